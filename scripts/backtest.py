"""Walk-forward backtest: strategies and trained agents on the same days, with the same prices and costs.

    python scripts/backtest.py methods=equal-weight,minimum-variance,risk-parity costs=0.0025
    python scripts/backtest.py methods=equal-weight,portfolio-ppo,sac seeds=0,1,2 total_steps=300000 jobs=2
    python scripts/backtest.py prices=my/prices.csv begin=2018-01-01 sealed_from=null methods=equal-weight,hrp:window=252
    python scripts/backtest.py report=runs/backtest

Each window of `years` years from `begin` on is tested with what was learned on the days before it, `gap` days apart; the
days from `sealed_from` on stay closed unless open_sealed=true, which is logged. Methods are strategies (traded every
`every` days; `all`: every one), and agents, trained with scripts/train.py for each window, cost and seed, and then played
greedily through the environment. A name may have settings of its own, name:field=value+field=value, of an agent those of
its environment too (portfolio-ppo:env.reward=average-sharpe); env.window=30 and agent.width=16 go to all trainings.
The same command goes on where it was stopped. out/cost-<cost>/ holds results.json, wealth.csv, weights.npz and
report.png; out/backtest.json and backtest.md the tables. report=<out> reads, checks and draws them anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

import cli
from benchmark_agents import AgentsConfig, run_all
from learned_portfolios import Kept, Method, classical_player, learned_player, methods_of, require_free
from optgap.co.benchmark.cells import instance_digest
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError, OptgapError
from optgap.co.formats.files import read_text, write_text
from optgap.envs.portfolio.backtest import HISTORY, Backtest, Player, backtest, solver_player, trading_period
from optgap.envs.portfolio.prices import Prices, day, load_prices
from optgap.envs.portfolio.results import read_results, require_table, write_results
from optgap.envs.portfolio.strategy import EVERY, STRATEGIES
from optgap.envs.portfolio.walk_forward import SEALED_FROM, Fold, walk_forward
from portfolio_report import save_report
from portfolio_table import SEED, Line, backtest_markdown, backtest_table, lines_of, verdicts
from training_cells import Cell

BOUND = "hindsight"  # a solver of the problem: nobody could have earned more
TRAININGS, SETTINGS = "training", "training.json"


@dataclass
class BacktestConfig:
    """What can be said on the command line."""

    prices: str = "sp500"  # or markov, a file
    assets: Any = None  # names; null: all
    cash: float | None = None  # interest a year; null: that of the prices
    methods: Any = field(
        default_factory=lambda: [*(name for name in STRATEGIES if name != "all-cash"), "portfolio-ppo"]
    )
    costs: Any = field(default_factory=lambda: [0.0025, 0.0005])  # shares of what is bought or sold
    begin: str = "2000-01-01"  # first day tested
    end: str | None = None  # last one; null: the last before the sealed days
    years: int = 5  # of a test window
    gap: int = 5  # trading days between training and test
    train_years: int | None = None  # null: all years before
    sealed_from: str | None = SEALED_FROM
    open_sealed: bool = False
    every: int = EVERY  # days from trade to trade of a strategy
    window: int = HISTORY  # days before a decision that are seen
    reference: str = "equal-weight"  # that differences are taken to
    trials: int | None = None  # methods, settings and seeds ever tried; null: those of the table
    seeds: Any = field(default_factory=lambda: [0, 1, 2])  # of agents
    total_steps: int = 200_000  # of each training
    jobs: int = 1  # trainings at a time
    out: str = "runs/backtest"
    report: str | None = None  # a folder of results
    plugins: Any = field(default_factory=list)  # packages to import first

    def __post_init__(self) -> None:
        for name in ("total_steps", "jobs", "every", "window"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 1")


def main(argv: list[str]) -> int:
    more = [item for item in argv if item.startswith(("env.", "agent."))]
    config = cli.parse(BacktestConfig, [item for item in argv if item not in more], about=__doc__)
    console = Console(highlight=False)
    if config.report is not None:
        return redraw(Path(config.report), console)
    cli.limit_threads(1)
    require_free("command", more)
    names = cli.as_list(config.methods)
    names = STRATEGIES.names() if names == ["all"] else names
    names = names if config.reference in names else [config.reference, *names]
    methods, costs, seeds = methods_of(names), floats("costs", config.costs), cli.integers("seeds", config.seeds)
    for method in methods:
        if not method.learned:
            method.strategy(config.window)  # refused before the work begins
        elif method.name == config.reference:
            raise InputError(f"reference is {method.name}; expected a strategy, which has no seeds")
    for method in methods:
        if method.learned and method.days_seen(more) > config.window:
            days = method.days_seen(more)
            raise InputError(f"window is {config.window}; {method.name} sees {days} days (env.window and env.lag)")
    if config.prices == "sp500" and (config.sealed_from is None or day(config.sealed_from) > day(SEALED_FROM)):
        raise InputError(
            f"sealed_from is {config.sealed_from}; sp500 is sealed from {SEALED_FROM} on, or earlier: open_sealed=true opens it"
        )
    prices = load_prices(config.prices, assets=asset_names(config.assets), cash=config.cash)
    command = f"backtest.py {' '.join(argv)}"
    out = Path(config.out)
    folds = {cost: folds_of(config, prices, out / folder_name(cost), command, names) for cost in costs}
    for cost in costs:  # refused before the work begins: too short a history, costs that are none
        windows = folds[cost]
        tested = trading_period(
            prices, windows[0].test_begin, windows[-1].test_end, config.window, proportional_cost=cost
        )
        count = sum(len(seeds) if method.learned else 1 for method in methods)
        require_table(tested.n_days, count, config.trials)
    out = cli.folder(config.out)
    learned = [method for method in methods if method.learned]
    cells = {
        (method.name, cost, seed, fold.train_end): method.cell(fold, cost, seed, out / TRAININGS)
        for method in learned
        for cost in costs
        for seed in seeds
        for fold in folds[cost]
    }
    try:
        failed = train(config, cells, more, prices, out, console) if cells else 0
        results = play(config, methods, folds, cells, prices, out, console)
    except KeyboardInterrupt:
        console.print(Text(f"stopped  what was trained and played is in {out}; the same command goes on"))
        raise
    settings = asdict(config) | {"methods": names, "costs": costs, "seeds": seeds, "arguments": more}
    tables = {}
    for cost, result in results.items():
        settled = {"reference": config.reference, "trials": config.trials}
        rows = write_results(result, out / folder_name(cost), prices, **settled)
        tables[cost] = lines_of(result, rows, config.reference)
    write_text(out / "backtest.json", json.dumps(_as_json(settings, tables), indent=1, allow_nan=False) + "\n")
    show(results, tables, config.reference, out, console)
    return 1 if failed else 0


def folds_of(config: BacktestConfig, prices: Prices, folder: Path, command: str, names: Sequence[str]) -> list[Fold]:
    """The test windows; where the sealed days are opened, that is logged in ``folder``."""
    return walk_forward(
        prices.dates,
        config.begin,
        config.end,
        years=config.years,
        gap=config.gap,
        train_years=config.train_years,
        sealed_from=config.sealed_from,
        open_sealed=config.open_sealed,
        folder=folder,
        command=command,
        methods=names,
    )


def train(
    config: BacktestConfig,
    cells: Mapping[Any, Cell],
    more: Sequence[str],
    prices: Prices,
    out: Path,
    console: Console,
) -> int:
    """All trainings that are not done; how many failed.

    Raises:
        InputError: the folder has trainings on other prices or with other settings.
    """
    common = [f"env.prices={config.prices}", *more]
    if plugins := cli.as_list(config.plugins):
        common.append(f"plugins=[{','.join(plugins)}]")
    if config.assets is not None:
        common.append(f"env.assets={','.join(prices.assets)}")
    if config.cash is not None:
        common.append(f"env.cash={config.cash!r}")
    whole = trading_period(prices, prices.dates[1], prices.dates[-1], 1)
    says = {"prices_sha256": instance_digest(whole), "total_steps": config.total_steps, "arguments": common}
    file = out / SETTINGS
    if file.exists():
        try:
            before = dict(json.loads(read_text(file)))
        except (TypeError, ValueError):
            raise InputError(f"{file}: not written by backtest.py; expected its trainings, or another out=") from None
        for key, value in says.items():
            if before.get(key) != value:
                raise InputError(f"{file}: trained with {key} {before.get(key)}; expected {value}, or another out=")
    write_text(file, json.dumps(says, indent=1) + "\n")
    todo = [cell for cell in cells.values() if cell.steps() < config.total_steps]
    if len(todo) < len(cells):
        console.print(Text(f"resumed  {len(cells) - len(todo)} of {len(cells)} trainings are in {out / TRAININGS}"))
    return run_all(todo, AgentsConfig(total_steps=config.total_steps, jobs=config.jobs), common, console)


def play(
    config: BacktestConfig,
    methods: Sequence[Method],
    folds: Mapping[float, list[Fold]],
    cells: Mapping[Any, Cell],
    prices: Prices,
    out: Path,
    console: Console,
) -> dict[float, Backtest]:
    """The backtest for each cost; agents whose training failed are left out."""
    results = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    seeds = cli.integers("seeds", config.seeds)
    with cli.interruptible() as check, Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("playing", total=0)
        for cost, windows in folds.items():
            folder = out / folder_name(cost) / "played"
            players: dict[str, Kept] = {}
            for method in methods:
                if not method.learned:
                    players[method.name] = classical_player(method, config.window, config.every, check, folder)
                    continue
                for seed in seeds:
                    runs = {fold.train_end: cells[method.name, cost, seed, fold.train_end] for fold in windows}
                    ended = {end: run.folder() for end, run in runs.items() if run.steps() >= config.total_steps}
                    known = {end: run for end, run in ended.items() if run is not None}
                    if len(known) == len(runs):
                        name = f"{method.name}{SEED}{seed}"
                        players[name] = learned_player(name, known, check, folder)
                    else:
                        progress.console.print(
                            Text(f"left out {method.name}, seed {seed}: not trained"), style="yellow"
                        )
            bounds: dict[str, Player] = {BOUND: solver_player(BOUND)}
            progress.update(task, total=len(players) + len(bounds), completed=0)

            def tell(name: str, cost: float = cost) -> None:
                check()
                progress.update(task, description=f"cost {cost:.2%}: {name}", advance=1)

            result = backtest(
                prices,
                windows,
                players,
                bounds=bounds,
                history=config.window,
                progress=tell,
                proportional_cost=cost,
            )
            results[cost] = timed(result, players)
    return results


def timed(result: Backtest, players: Mapping[str, Kept]) -> Backtest:
    """With the CPU time that weights took when they were made, not that of reading them."""
    curves = [
        replace(curve, seconds=players[curve.method].seconds) if curve.method in players else curve
        for curve in result.curves
    ]
    return replace(result, curves=tuple(curves))


def redraw(out: Path, console: Console) -> int:
    """Tables and pictures of a folder, everything recomputed from weights and prices.

    Raises:
        InputError: no such folder, other prices, or wealth that the weights do not earn on these dates.
    """
    file = out / "backtest.json"
    try:
        settings = json.loads(read_text(file))["settings"]
        costs, reference = [float(cost) for cost in settings["costs"]], str(settings["reference"])
        if not costs:
            raise InputError(f"{file}: names no costs; expected at least one")
        trials = None if settings["trials"] is None else int(settings["trials"])
        source = load_prices(settings["prices"], assets=asset_names(settings["assets"]), cash=settings["cash"])
    except OptgapError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: no results of backtest.py: {error!r}") from None
    results, tables = {}, {}
    for cost in costs:
        folder = out / folder_name(cost)
        results[cost] = read_results(folder, source)
        rows = write_results(results[cost], folder, source, reference=reference, trials=trials)
        tables[cost] = lines_of(results[cost], rows, reference)
    show(results, tables, reference, out, console)
    return 0


def show(
    results: Mapping[float, Backtest],
    tables: Mapping[float, Sequence[Line]],
    reference: str,
    out: Path,
    console: Console,
) -> None:
    """Print the tables, write them as Markdown, and draw."""
    parts = []
    for cost, result in results.items():
        first, last = result.dates[1], result.dates[-1]
        title = f"{result.period.name.rsplit(' ', 1)[0]}, returns of {first} to {last}, costs {cost:.2%}"
        console.print(backtest_table(tables[cost], title))
        said = verdicts(tables[cost], reference)
        for line in said:
            console.print(Text(line))
        save_report(result, title, out / folder_name(cost) / "report.png")
        parts.append(f"{title}\n\n{backtest_markdown(tables[cost])}" + "".join(f"\n{line}\n" for line in said))
    write_text(out / "backtest.md", "\n".join(parts))
    console.print(Text(f"written  {out / 'backtest.md'}, backtest.json, and a report.png a cost"))


def floats(key: str, value: Any) -> list[float]:
    try:
        numbers = [float(item) for item in cli.as_list(str(value) if isinstance(value, int | float) else value)]
    except ValueError:
        raise InputError(f"{key}={value}: expected numbers, for instance {key}=0.0025,0.0005") from None
    if not numbers or not np.isfinite(numbers).all():
        raise InputError(f"{key}={value}: expected numbers, for instance {key}=0.0025,0.0005")
    return list(dict.fromkeys(numbers))


def asset_names(value: Any) -> list[str] | None:
    return None if value is None else cli.as_list(value)


def folder_name(cost: float) -> str:
    return f"cost-{cost!r}"


def _as_json(settings: Mapping[str, Any], tables: Mapping[float, Sequence[Line]]) -> dict[str, Any]:
    lines = {str(cost): [line.as_json() for line in table] for cost, table in tables.items()}
    return {"settings": settings, "provenance": provenance(), "tables": lines}


if __name__ == "__main__":
    cli.run(main)
