"""Measure trained weights: on instances, a gap each and their mean; on an environment without a problem, the returns.

    python scripts/evaluate.py run=runs/jssp/gnn-ppo/20260101-120000 instances=ft06,ft10,ta01-ta80
    python scripts/evaluate.py run=<shipped weights> instances=path/to/folder mode=sample samples=128 out=gaps.csv
    python scripts/evaluate.py run=tsp-bq instances=uniform-100-s0-s999 reference=ils reference_seconds=2
    python scripts/evaluate.py run=tsp-bq instances=my/berlin52.tsp mode=reconstruct seconds=60
    python scripts/evaluate.py run=runs/cartpole/gbt-ppo/20260101-120000 episodes=1000

`run` may name several: run=a,b. Gaps are measured against best-known bounds; where there is none, against the best cost
found here, that of the solver `reference` included. Its answers are kept in `references`, so that it runs once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

import cli
from batches import batch_player, batches
from drawing import require_writable
from naming import BEAM, RECONSTRUCT, Finder, find_agent, weights_digest
from optgap.agents.common.contracts import Agent
from optgap.co.benchmark.cells import Cell, instance_digest, run_batch, run_cells
from optgap.co.benchmark.collections import COLLECTIONS, load_instances
from optgap.co.benchmark.provenance import provenance
from optgap.co.benchmark.results import (
    Record,
    append_record,
    as_csv,
    cell_of,
    finished,
    gap_of,
    references,
    summarize,
)
from optgap.co.core import Budget, InputError, Instance
from optgap.co.formats.files import write_text
from tables import duration, failures, gap_table, percent

MODES = ("greedy", "sample", BEAM, RECONSTRUCT)
UNLIMITED, RECONSTRUCTING = 86_400.0, 60.0  # seconds an instance, where none are said
LINES = 100  # instances up to which each has its line
UPDATES = 50  # of the mean gap on the progress bar

Check = Callable[[], None]


@dataclass
class EvaluateConfig:
    """What can be said on the command line."""

    run: Any = MISSING  # run folders or shipped weights
    instances: Any = None  # names, ranges of names, files, folders
    episodes: int = 100  # where the environment solves no problem and so has no instances
    mode: str = "greedy"  # or sample, beam, reconstruct
    samples: int = 128  # solutions an instance, mode=sample
    width: int = 16  # of the beam, mode=beam
    seconds: float | None = None  # budget an instance; null: 60 with mode=reconstruct, otherwise as long as it takes
    seed: int = 0
    threads: int = 1
    jobs: int = 1  # processes; with more than one no instances are solved together
    device: str = "cpu"  # of the weights
    reference: str | None = None  # a solver, for instances without a best-known cost
    reference_seconds: float = 2.0  # its budget an instance
    references: str = "runs/references.jsonl"  # where its answers are kept
    out: str | None = None  # .json or .csv
    plugins: Any = field(default_factory=list)  # packages to import first


def main(argv: list[str]) -> int:
    config = cli.parse(EvaluateConfig, argv, about=__doc__)
    if config.mode not in MODES:
        raise InputError(f"mode is {config.mode!r}; expected one of {', '.join(MODES)}")
    for name in ("samples", "width", "episodes"):
        if getattr(config, name) < 1:
            raise InputError(f"{name} is {getattr(config, name)}; expected at least 1")
    if config.out is not None:
        require_writable(config.out, (".json", ".csv"))
    cli.limit_threads(config.threads)
    find = Finder(tuple(cli.as_list(config.plugins)), config.device)
    runs = cli.as_list(config.run)
    agents = {run: find_agent(run, config.device) for run in runs}
    problems = {str(agent.env_config.problem) for agent in agents.values()}
    if problems == {"None"}:
        return _returns(config, agents)
    if len(problems) != 1:
        raise InputError(
            f"run={','.join(runs)}: trained on {', '.join(sorted(problems))}; expected one optimization problem"
        )
    problem = problems.pop()
    if config.instances is None:
        raise InputError(f"instances= is missing; expected names or files of {problem}")
    instances = {instance.name: instance for instance in load_instances(problem, cli.as_list(config.instances))}
    suffix = {"sample": f"@{config.samples}", BEAM: f"@{BEAM}{config.width}", RECONSTRUCT: f"@{RECONSTRUCT}"}
    solvers = [f"{run}{suffix.get(config.mode, '')}" for run in runs]
    for solver in [*solvers, *([config.reference] if config.reference else [])]:
        find(problem, solver)
    usual = RECONSTRUCTING if config.mode == RECONSTRUCT else UNLIMITED
    seconds = usual if config.seconds is None else config.seconds
    for spent in (seconds, config.reference_seconds):
        Budget(spent, config.threads, config.seed)  # refuses before the work begins
    cells = {
        solver: [Cell(problem, solver, name, seconds, config.threads, config.seed) for name in instances]
        for solver in solvers
    }

    console = Console()
    records: list[Record] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with cli.interruptible() as check, Progress(*columns, console=console, transient=True) as progress:
        compared: list[Record] = []
        if config.reference:
            unknown = [name for name, instance in instances.items() if instance.best_known is None]
            task = progress.add_task(f"references by {config.reference}", total=len(unknown))
            for record in _references(config, problem, instances, unknown, find, check):
                compared.append(record)
                progress.update(task, advance=1)
            progress.remove_task(task)
        total = len(solvers) * len(instances)
        task = progress.add_task("evaluating", total=total)
        for solver, run in zip(solvers, runs, strict=True):
            for record in _run(config, agents[run], cells[solver], instances, find, check):
                records.append(record)
                progress.update(task, advance=1)
                if len(records) % -(-total // UPDATES) == 0:
                    rows = summarize([*records, *compared])
                    gap = next(row.mean_gap for row in rows if row.solver == solver)
                    progress.update(task, description=f"mean gap {percent(gap)}")
    order = {cell: index for index, cell in enumerate(cell for each in cells.values() for cell in each)}
    records.sort(key=lambda record: order[cell_of(record)])
    return _report(config, runs, records, compared, console)


def _run(
    config: EvaluateConfig,
    agent: Agent,
    cells: list[Cell],
    instances: Mapping[str, Instance],
    find: Finder,
    check: Check,
) -> Iterator[Record]:
    """The records of one set of weights, instances of one size together where that is possible."""
    together = config.mode == "greedy" and config.jobs == 1
    play = batch_player(agent) if together else None
    if play is None:
        yield from run_cells(cells, instances, find=find, jobs=config.jobs, check=check)
        return
    problem = cells[0].problem
    play([COLLECTIONS.load(problem).load(COLLECTIONS.load(problem).showcase[0])])  # off the clock, as warm_solver
    for part in batches(problem, [instances[cell.instance] for cell in cells]):
        check()
        yield from run_batch([cells[index] for index in part], instances, play)


def _returns(config: EvaluateConfig, agents: Mapping[str, Agent]) -> int:
    """Returns of whole episodes, on an environment that solves no problem."""
    from returns import constraints_of_env, measure, plain, returns_table, threshold

    environments = [plain(agent.env_config) for agent in agents.values()]
    if config.instances is not None or config.out is not None or config.mode != "greedy":
        raise InputError(f"run={config.run}: trained on {environments[0]}, which has no instances; expected episodes=")
    if any(other != environments[0] for other in environments):
        raise InputError(f"run={config.run}: trained on different environments; expected one")
    own = getattr(next(iter(agents.values())).config, "limits", None)
    with cli.interruptible() as check:
        found = measure(agents, environments[0], config.episodes, check, own_limits=own is None)
    solved = threshold(environments[0])
    asked = "" if solved is None else f"; solved at {solved:g}"
    limits = constraints_of_env(environments[0], own)
    Console().print(returns_table(found, f"Returns of {config.episodes} episodes{asked}", limits))
    return 0


def _references(
    config: EvaluateConfig,
    problem: str,
    instances: Mapping[str, Instance],
    names: list[str],
    find: Finder,
    check: Check,
) -> Iterator[Record]:
    """The records of the reference solver, kept ones first."""
    solver, file = str(config.reference), Path(config.references)
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [Cell(problem, solver, name, config.reference_seconds, 1, 0) for name in names]
    weights = {solver: weights_digest(solver)}
    done = finished(file, {name: instance_digest(instances[name]) for name in names}, weights)
    yield from (done[cell] for cell in cells if cell in done)
    rest = [cell for cell in cells if cell not in done]
    for record in run_cells(rest, instances, find=find, jobs=config.jobs, check=check):
        record |= {"weights_sha256": weights[solver], "incumbents": []}
        append_record(file, record)
        yield record


def _report(
    config: EvaluateConfig, runs: list[str], records: list[Record], compared: list[Record], console: Console
) -> int:
    """Print and write what was found."""
    every = [*records, *compared]
    known = references(every)
    for record in records if len(records) <= LINES * len(runs) else []:
        where, cost = record["instance"], record.get("cost")
        gap = percent(gap_of(record, cost, known))
        reference = f"{known[where].cost:.12g} {known[where].source}" if where in known else "no reference"
        figures = (
            f"{cost:.12g}  gap {gap:>6} to {reference}  {duration(record['wall_seconds'])}" if cost is not None else "-"
        )
        console.print(Text(f"{where:<24} {figures}" + (f"  {record['solver']}" if len(runs) > 1 else "")))
    count = len({record["instance"] for record in records})
    console.print(gap_table(every, f"{config.mode}, {count} instances", console.width, each=False))
    if any(record.get("batch", 1) > 1 for record in records):
        console.print(Text("note     instances of one size were solved together: a time is an instance's share of it"))
    for line in failures(every):
        console.print(Text(line), style="yellow")
    if config.out is not None:
        data = {"provenance": provenance(), "records": every}
        write_text(
            Path(config.out), as_csv(every) if config.out.endswith(".csv") else json.dumps(data, indent=1) + "\n"
        )
        console.print(Text(f"written  {config.out}"))
    return 2 if failures(every) else 0


if __name__ == "__main__":
    cli.run(main)
