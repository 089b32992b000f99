"""The table of a backtest: a line a method, the seeds of a learned one together."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from optgap.envs.portfolio.backtest import Backtest
from optgap.envs.portfolio.bootstrap import Interval, resampled_sharpes
from optgap.envs.portfolio.metrics import daily_returns
from optgap.envs.portfolio.results import Row

SEED = " seed "  # between a learned method's name and its seed
HEADERS = ("method", "return", "vol.", "Sharpe", "95%", "Sortino", "Calmar", "fall", "turns", "DSR")
FIGURES = ("annual_return", "volatility", "sharpe", "sortino", "calmar", "maximum_drawdown", "turnover")
COLUMNS = (*FIGURES[:3], "interval", *FIGURES[3:], "deflated_sharpe")
SHARES = ("annual_return", "volatility", "maximum_drawdown")
LEGEND = "fall: maximum drawdown; turns: portfolios traded a year; DSR: deflated Sharpe"
LEVEL = 0.95


@dataclass(frozen=True)
class Line:
    """One method; a learned one with all its seeds."""

    method: str
    kind: str  # "method", "index" or "bound"
    seeds: tuple[int, ...]  # none: not learned
    values: dict[str, list[float]]  # figure -> of each seed, or the one
    interval: Interval  # of the (mean) Sharpe ratio
    difference: Interval  # of the (mean) Sharpe ratio to the reference's
    rows: tuple[Row, ...]

    def mean(self, figure: str) -> float:
        return float(np.mean(self.values[figure]))

    def spread(self, figure: str) -> float:
        """Standard deviation over seeds; NaN of fewer than two."""
        return float(np.std(self.values[figure], ddof=1)) if len(self.values[figure]) > 1 else math.nan

    def as_json(self) -> dict[str, Any]:
        figures = {
            name: {
                "mean": known(self.mean(name)),
                "std": known(self.spread(name)),
                "values": [known(v) for v in values],
            }
            for name, values in self.values.items()
        }
        return {
            "method": self.method,
            "kind": self.kind,
            "seeds": list(self.seeds),
            "figures": figures,
            "sharpe_interval": [known(value) for value in self.interval],
            "sharpe_difference": [known(value) for value in self.difference],
        }


def known(value: float) -> float | None:
    """None, json's null, for what is no number: json has none."""
    return float(value) if math.isfinite(value) else None


def split_seed(method: str) -> tuple[str, int | None]:
    """The method's name, and the seed of a learned one."""
    found = re.fullmatch(rf"(.+){SEED}(\d+)", method)
    return (method, None) if found is None else (found[1], int(found[2]))


def lines_of(result: Backtest, rows: Sequence[Row], reference: str) -> list[Line]:
    """Lines by kind, the best (mean) Sharpe ratio first; intervals over the days, all methods resampled together."""
    excess = [np.zeros(len(result.cash)) if c.wealth[-1] <= 0 else daily_returns(c.wealth) for c in result.curves]
    drawn = resampled_sharpes(np.column_stack(excess) - result.cash[:, None])
    column = {curve.method: drawn[:, k] for k, curve in enumerate(result.curves)}
    base = next(row.sharpe.estimate for row in rows if row.method == reference)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(split_seed(row.method)[0], []).append(row)
    lines = []
    for method, members in groups.items():
        members.sort(key=lambda row: split_seed(row.method)[1] or 0)
        values = {name: [getattr(row.metrics, name) for row in members] for name in (*FIGURES, "costs", "final_wealth")}
        values["deflated_sharpe"] = [row.deflated_sharpe for row in members]
        mean = np.mean([column[row.method] for row in members], axis=0)
        estimate = float(np.mean(values["sharpe"]))
        seeds = tuple(seed for row in members if (seed := split_seed(row.method)[1]) is not None)
        interval = Interval(estimate, *ends(mean))
        difference = Interval(estimate - base, *ends(mean - column[reference]))
        lines.append(Line(method, members[0].kind, seeds, values, interval, difference, tuple(members)))
    order = ("bound", "index", "method")
    return sorted(lines, key=lambda line: (order.index(line.kind), -np.nan_to_num(line.interval.estimate, nan=-np.inf)))


def ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    if not np.isfinite(drawn).all():
        return math.nan, math.nan
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def texts(line: Line) -> list[tuple[str, ...]]:
    """A line as printed, and for a learned method the standard deviations over seeds below it.

    What bounds the wealth bounds no other figure.
    """
    shown = ("annual_return", "turnover") if line.kind == "bound" else (*FIGURES, "deflated_sharpe")
    means = {name: value_text(name, line.mean(name)) for name in shown}
    low, high = line.interval[1:]
    if line.kind != "bound" and math.isfinite(low):
        means["interval"] = f"{low:.2f}..{high:.2f}"
    rows = [(line.method, *(means.get(name, "-") for name in COLUMNS))]
    if len(line.seeds) > 1:
        spreads = {
            name: value_text(name, line.spread(name)).rstrip("%")
            for name in FIGURES
            if math.isfinite(line.spread(name))
        }
        rows.append((f"  {len(line.seeds)} seeds", *(f"+-{spreads[n]}" if n in spreads else "" for n in COLUMNS)))
    return rows


def value_text(name: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if name in SHARES:
        return f"{value:.1%}" if value < 10 else f"{value:.0f} x"
    return f"{value:.{1 if name == 'turnover' or value >= 100 else 2}f}"


def backtest_table(lines: Sequence[Line], title: str) -> Table:
    """The lines, a column a figure, within 80 characters."""
    table = Table(
        title=title, title_justify="left", header_style="bold", padding=0, box=box.SIMPLE_HEAD, show_edge=False
    )
    table.add_column(HEADERS[0], overflow="fold", min_width=16)
    for name in HEADERS[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    table.caption, table.caption_justify = Text(LEGEND), "left"
    for line in lines:
        style = {"bound": "dim", "index": "dim"}.get(line.kind, "bold" if line.seeds else "")
        for cells in texts(line):
            table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def backtest_markdown(lines: Sequence[Line]) -> str:
    rows = [HEADERS, ("---",) * len(HEADERS), *(cells for line in lines for cells in texts(line))]
    return "".join(f"| {' | '.join(cell.strip() for cell in row)} |\n" for row in rows)


def verdicts(lines: Sequence[Line], reference: str) -> list[str]:
    """What the table says of each learned method, in a sentence."""
    said = []
    base = next(line for line in lines if line.method == reference).mean("sharpe")
    classical = [line for line in lines if line.kind == "method" and not line.seeds]
    best = max(classical, key=lambda line: np.nan_to_num(line.mean("sharpe"), nan=-np.inf))
    for line in lines:
        if line.seeds:
            _, low, high = line.difference
            better = sum(value > base for value in line.values["sharpe"])
            above = sum(value > best.mean("sharpe") for value in line.values["sharpe"])
            sure = "sure at 95%" if low > 0 or high < 0 else "not sure at 95%"
            said.append(
                f"{line.method}: Sharpe {line.difference.estimate:+.2f} ({low:.2f}..{high:.2f}) to {reference}, {sure}; "
                f"{better} of {len(line.seeds)} seeds above it, {above} above {best.method}, the best classical method"
            )
    return said
