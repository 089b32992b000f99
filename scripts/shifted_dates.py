"""What a curve with wrong dates looks like beside right ones, and how little bounded logits can do.

    python scripts/shifted_dates.py
    python scripts/shifted_dates.py shift=48 window=500 begin=1992-01-01 end=2014-12-31 out=runs/shifted-dates

arXiv 2412.18563 compares a policy's Sharpe ratio on a test window of about 500 days with those of classical methods, while
the policy's dates are 48 trading days off. Here the same is done on purpose with each method in the policy's place, in all
windows of that length: the table tells by how much its Sharpe ratio changes, how often it beats all others with right
dates, how often with shifted ones (`late`: returns of `shift` days later are taken for those of the window; `early`: of
earlier ones), and how often the answer changes.

Logits in [0, 1], as that policy's, keep every one of n weights within 1 / (1 + (n - 1) e) and e / (e + n - 1). The second
table has the largest active share (half the sum of differences to equal weight) and, on these days, the largest tracking
error that any such policy could have: constant weights (exact: the largest value of a convex function is at a vertex, and
these are the logits 0 or 1), and weights that change every day with the next day known. out has the tables and a picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import cli
from drawing import save_figure
from learned_portfolios import Watched, methods_of
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from optgap.envs.portfolio.backtest import HISTORY, Backtest, backtest, strategy_player
from optgap.envs.portfolio.metrics import daily_returns
from optgap.envs.portfolio.price_files import SUFFIXES
from optgap.envs.portfolio.prices import YEAR, Prices, load_prices
from optgap.envs.portfolio.strategy import EVERY
from optgap.envs.portfolio.walk_forward import SEALED_FROM, walk_forward

F64 = NDArray[np.float64]
SIDES = {"late": 1, "early": -1}
CONSTANT = 1e-8  # a deviation below is rounding of sums
ASSETS = 10  # of the paper, besides cash
MOST_ASSETS = 23  # all vertices of whose weights can be tried
VERTICES = 2**16  # at a time


@dataclass
class ShiftConfig:
    """What can be said on the command line."""

    prices: str = "sp500"
    methods: Any = field(default_factory=lambda: ["equal-weight", "minimum-variance", "risk-parity", "maximum-sharpe"])
    shift: int = 48  # trading days
    window: int = 500  # days of a test
    begin: str = "1992-01-01"
    end: str | None = None  # null: the last day before the sealed ones
    cost: float = 0.0025
    every: int = EVERY
    history: int = HISTORY
    out: str = "runs/shifted-dates"

    def __post_init__(self) -> None:
        for name, least in (("shift", 1), ("window", 3), ("every", 1), ("history", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least {least}")


def main(argv: list[str]) -> int:
    config = cli.parse(ShiftConfig, argv, about=__doc__)
    cli.limit_threads(1)
    methods, console = methods_of(cli.as_list(config.methods)), Console(highlight=False)
    if any(method.learned for method in methods) or len(methods) < 2:
        raise InputError(f"methods={','.join(m.name for m in methods)}: expected at least 2 strategies")
    prices = load_prices(config.prices)
    sealed = None if config.prices.endswith(SUFFIXES) else SEALED_FROM  # a file's days are its owner's to seal
    folds = walk_forward(prices.dates, config.begin, config.end, years=100, sealed_from=sealed)
    out = cli.folder(config.out)
    with cli.interruptible() as check, console.status("playing") as status:
        players = {m.name: strategy_player(Watched(m.strategy(config.history), check), config.every) for m in methods}

        def tell(name: str) -> None:
            status.update(f"playing {name}")

        result = backtest(prices, folds, players, history=config.history, progress=tell, proportional_cost=config.cost)
    curves = [curve for curve in result.curves if curve.weights is not None]
    excess = np.column_stack([daily_returns(curve.wealth) for curve in curves]) - result.cash[:, None]
    ratios = window_sharpes(excess, config.window)
    names = [curve.method for curve in curves]
    rows = [row for k in range(len(names)) for row in shifted_rows(ratios, names, k, config.shift)]
    period = f"{result.dates[1]} to {result.dates[-1]}"
    console.print(shift_table(rows, f"Sharpe ratio in windows of {config.window} days, {prices.name}, {period}"))
    limits = [
        bounded_row(prices.select(prices.assets[:n]), result)
        for n in sorted({min(ASSETS, len(prices.assets)), len(prices.assets)})
        if n <= MOST_ASSETS
    ]
    compared = [distance_row(result, curve.method, np.asarray(curve.weights)) for curve in curves]
    console.print(bounds_table([*limits, *compared]))
    data: dict[str, Any] = {"provenance": provenance(), "settings": asdict(config), "period": period}
    data |= {"shifts": rows, "bounds": limits, "methods": compared}
    write_text(out / "shifted.json", json.dumps(data, indent=1, allow_nan=False) + "\n")
    draw(ratios, names, config, out / "shifted.png")
    console.print(Text(f"written  {out / 'shifted.json'} and shifted.png"))
    return 0


def window_sharpes(excess: F64, days: int) -> F64:
    """(T - days + 1, M) annual Sharpe ratios of all windows of (T, M) daily returns over cash.

    Raises:
        InputError: fewer days than a window has.
    """
    if len(excess) < days:
        raise InputError(f"{len(excess)} days; expected at least a window of {days}")
    zero = np.zeros((1, excess.shape[1]))
    centred = excess - excess.mean(0)  # squares of what is near 0 lose no digits
    first, second = (np.concatenate([zero, np.cumsum(values, axis=0)]) for values in (centred, centred**2))
    mean, square = ((sums[days:] - sums[:-days]) / days for sums in (first, second))
    spread = np.sqrt(np.maximum(square - mean**2, 0.0) * days / (days - 1))
    varies = spread > CONSTANT
    found = (mean + excess.mean(0)) / np.where(varies, spread, 1.0) * np.sqrt(YEAR)
    return np.where(varies, found, 0.0)  # cash earns nothing over cash


def shifted_rows(ratios: F64, names: Sequence[str], method: int, shift: int) -> list[dict[str, Any]]:
    """How the Sharpe ratio of ``method`` among all (W, M), and its rank, change when its dates alone are shifted.

    Raises:
        InputError: no window is left.
    """
    if len(ratios) <= 2 * shift:
        raise InputError(f"{len(ratios)} windows; expected more than twice the shift of {shift}")
    inner = ratios[shift : len(ratios) - shift]
    others = np.delete(inner, method, axis=1).max(1)
    right, rows = inner[:, method], []
    for side, sign in SIDES.items():
        begin = shift + sign * shift
        shifted = ratios[begin : begin + len(inner), method]
        low, high = np.quantile(shifted - right, [0.05, 0.95])
        best, said = right > others, shifted > others
        rows.append(
            {
                "method": names[method],
                "side": side,
                "windows": len(inner),
                "sharpe": float(right.mean()),
                "deviation": float((shifted - right).std()),
                "low": float(low),
                "high": float(high),
                "best": float(best.mean()),
                "best_shifted": float(said.mean()),
                "changed": float((best != said).mean()),
                "wrongly_best": float((said & ~best).mean()),
            }
        )
    return rows


def vertices(n: int) -> F64:
    """(2^n, n) logits 0 or 1."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


def bounded_row(prices: Prices, result: Backtest) -> dict[str, Any]:
    """What policies with logits in [0, 1] can hold, and how far from equal weight (cash included) that is.

    The softmax of such logits is the polytope of shares whose ratios are at most e: its vertices are those of logits 0 or 1.

    Raises:
        InputError: more shares than all vertices of which can be tried.
    """
    n = len(prices.assets) + 1
    if n > MOST_ASSETS + 1:
        raise InputError(f"{n - 1} assets; expected at most {MOST_ASSETS}, all vertices of whose weights can be tried")
    begin, end = (int(np.searchsorted(prices.dates, date)) for date in result.dates[[0, -1]])
    close = prices.close[begin : end + 1]
    returns = np.column_stack([close[1:] / close[:-1] - 1, result.cash])
    covariance = np.cov(returns, rowvar=False)
    share = error = 0.0
    for part in np.array_split(vertices(n), -(-(2**n) // VERTICES)):
        weights = np.exp(part)
        away = weights / weights.sum(1, keepdims=True) - 1 / n
        share = max(share, float(np.abs(away).sum(1).max() / 2))
        error = max(error, float(np.einsum("vi,vi->v", away @ covariance, away).max()))
    return {
        "policy": f"{n} logits 0..1",
        "least": 1 / (1 + (n - 1) * np.e),
        "largest": np.e / (np.e + n - 1),
        "active_share": share,
        "tracking_error": float(np.sqrt(error * YEAR)),
        "with_foresight": float(np.sqrt(np.mean(largest_difference(returns) ** 2) * YEAR)),
    }


def largest_difference(returns: F64) -> F64:
    """(T,) the most by which a day's return (T, n) of weights with ratios of at most e can differ from equal weight's."""
    days, n = returns.shape
    ordered = np.sort(returns, axis=1)
    most = np.zeros(days)
    for side in (ordered, -ordered[:, ::-1]):
        above = np.cumsum(side[:, ::-1], axis=1)  # of the k assets that did best
        for k in range(1, n):
            held = (side.sum(1) + (np.e - 1) * above[:, k - 1]) / (n + (np.e - 1) * k)
            most = np.maximum(most, held - side.mean(1))
    return most


def distance_row(result: Backtest, method: str, weights: F64) -> dict[str, Any]:
    """How far from equal weight of the assets, restored every day, a method with weights (T, N + 1) was."""
    growth = result.period.growth
    equal = np.append(np.full(weights.shape[1] - 1, 1 / (weights.shape[1] - 1)), 0.0)
    away = weights - equal
    return {
        "policy": method,
        "least": float(weights[:, :-1].min()),
        "largest": float(weights.max()),
        "active_share": float(np.abs(away).sum(1).mean() / 2),
        "tracking_error": float((away * (growth - 1)).sum(1).std(ddof=1) * np.sqrt(YEAR)),
        "with_foresight": None,
    }


def least_width(column: str) -> int:
    return 16 if column in ("method", "policy") else 4


def shift_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(
        title=title, title_justify="left", header_style="bold", padding=0, box=box.SIMPLE_HEAD, show_edge=False
    )
    for name in ("method", "shift", "Sharpe", "change", "5%..95%", "best", "shifted", "differs", "wrongly"):
        table.add_column(
            name,
            justify="left" if name in ("method", "shift") else "right",
            overflow="fold",
            min_width=least_width(name),
        )
    for row in rows:
        shares = (f"{row[name]:.0%}" for name in ("best", "best_shifted", "changed", "wrongly_best"))
        change = f"{row['deviation']:.2f}", f"{row['low']:+.2f}..{row['high']:+.2f}"
        table.add_row(row["method"], row["side"], f"{row['sharpe']:.2f}", *change, *shares)
    table.caption = Text(
        "change: of the Sharpe ratio by the shift, its deviation over the windows; best: beats "
        "all others; shifted: seems to; wrongly: only seems to"
    )
    table.caption_justify = "left"
    return table


def bounds_table(rows: Sequence[dict[str, Any]]) -> Table:
    title = "Distance from equal weight"
    table = Table(
        title=title, title_justify="left", header_style="bold", padding=0, box=box.SIMPLE_HEAD, show_edge=False
    )
    for name in ("policy", "least weight", "largest", "active share", "tracking error", "foresight"):
        table.add_column(
            name, justify="left" if name == "policy" else "right", overflow="fold", min_width=least_width(name)
        )
    for row in rows:
        ahead = row["with_foresight"]
        numbers = (f"{row[name]:.2%}" for name in ("least", "largest", "active_share", "tracking_error"))
        table.add_row(row["policy"], *numbers, "" if ahead is None else f"{ahead:.2%}")
    table.caption = Text(
        "logits: the most of any policy, with constant weights and, as foresight, with those "
        "that suit each next day; methods: means over their days"
    )
    table.caption_justify = "left"
    return table


def draw(ratios: F64, names: Sequence[str], config: ShiftConfig, path: Any) -> None:
    """Changes of each method's Sharpe ratio by a shift of its own dates, over all windows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.0 + 1.5 * len(names)), layout="constrained")
    for axes, k in zip(figure.subplots(len(names), sharex=True, squeeze=False)[:, 0], range(len(names)), strict=True):
        change = ratios[config.shift :, k] - ratios[: -config.shift, k]
        axes.hist(change, bins=60, color="tab:blue", alpha=0.7)
        axes.axvline(0.0, color="black", lw=0.8)
        axes.set(yticks=[], ylabel=names[k].replace("-", "\n"))
    axes.set(
        xlabel=f"Sharpe ratio of {config.window} days, less that of the {config.window} that begin {config.shift} earlier"
    )
    save_figure(figure, path)


if __name__ == "__main__":
    cli.run(main)
