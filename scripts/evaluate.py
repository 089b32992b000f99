"""Measure trained weights on instances: a gap each, and their mean.

    python scripts/evaluate.py run=runs/jssp/gnn-ppo/20260101-120000 instances=ft06,ft10,ta01-ta80
    python scripts/evaluate.py run=<shipped weights> instances=path/to/folder mode=sample samples=128 out=gaps.csv

`run` may name several: run=a,b. Beside best-known bounds, gaps are measured against the best cost found here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

import cli
from drawing import require_writable
from naming import Finder, find_agent
from optgap.co.benchmark.cells import Cell, run_cells
from optgap.co.benchmark.collections import load_instances
from optgap.co.benchmark.provenance import provenance
from optgap.co.benchmark.results import as_csv, cell_of, gap_of, references, summarize
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from tables import duration, failures, gap_table, percent

MODES = ("greedy", "sample")


@dataclass
class EvaluateConfig:
    """What can be said on the command line."""

    run: Any = MISSING  # run folders or shipped weights
    instances: Any = MISSING  # names, ranges of names, files, folders
    mode: str = "greedy"
    samples: int = 128  # solutions an instance, mode=sample
    seconds: float = 3600.0  # budget an instance
    seed: int = 0
    threads: int = 1
    jobs: int = 1  # processes
    out: str | None = None  # .json or .csv
    plugins: Any = field(default_factory=list)  # packages to import first


def main(argv: list[str]) -> int:
    config = cli.parse(EvaluateConfig, argv, about=__doc__)
    if config.mode not in MODES:
        raise InputError(f"mode is {config.mode!r}; expected one of {', '.join(MODES)}")
    if config.samples < 1:
        raise InputError(f"samples is {config.samples}; expected at least 1")
    if config.out is not None:
        require_writable(config.out, (".json", ".csv"))
    cli.limit_threads(config.threads)
    find = Finder(tuple(cli.as_list(config.plugins)))
    runs = cli.as_list(config.run)
    problems = {str(find_agent(run).env_config.problem) for run in runs}
    if len(problems) != 1 or problems == {"None"}:
        raise InputError(
            f"run={','.join(runs)}: trained on {', '.join(sorted(problems))}; expected one optimization problem"
        )
    problem = problems.pop()
    instances = {instance.name: instance for instance in load_instances(problem, cli.as_list(config.instances))}
    suffix = f"@{config.samples}" if config.mode == "sample" else ""
    solvers = [f"{run}{suffix}" for run in runs]
    for solver in solvers:
        find(problem, solver)
    cells = [
        Cell(problem, solver, name, config.seconds, config.threads, config.seed)
        for solver in solvers
        for name in instances
    ]

    console = Console()
    records: list[dict[str, Any]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with cli.interruptible() as check, Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("evaluating", total=len(cells))
        for record in run_cells(cells, instances, find=find, jobs=config.jobs, check=check):
            records.append(record)
            progress.update(task, advance=1, description=f"mean gap {percent(summarize(records)[0].mean_gap)}")
    records.sort(key=lambda record: cells.index(cell_of(record)))

    known = references(records)
    for record in records:
        where, cost = record["instance"], record.get("cost")
        gap = percent(gap_of(record, cost, known))
        reference = f"{known[where].cost:.12g} {known[where].source}" if where in known else "no reference"
        figures = (
            f"{cost:.12g}  gap {gap:>6} to {reference}  {duration(record['wall_seconds'])}" if cost is not None else "-"
        )
        console.print(Text(f"{where:<24} {figures}" + (f"  {record['solver']}" if len(runs) > 1 else "")))
    console.print(gap_table(records, f"{config.mode}, {len(instances)} instances", console.width, each=False))
    for line in failures(records):
        console.print(Text(line), style="yellow")
    if config.out is not None:
        data = {"provenance": provenance(), "records": records}
        write_text(
            Path(config.out), as_csv(records) if config.out.endswith(".csv") else json.dumps(data, indent=1) + "\n"
        )
        console.print(Text(f"written  {config.out}"))
    return 2 if failures(records) else 0


if __name__ == "__main__":
    cli.run(main)
