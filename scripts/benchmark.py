"""Run solvers on instances under one clock; table, curves and a page that opens offline.

    python scripts/benchmark.py solvers=spt,mwkr,scip instances=ft06,ft10 seconds=5 out=runs/benchmark
    python scripts/benchmark.py solvers=mwkr,<weights>,<weights>@128,cp-sat instances=ta01-ta80 seconds=60 seeds=0,1,2 jobs=4
    python scripts/benchmark.py solvers=scip instances=ta01-ta80 seconds=3600 jobs=80 engine=ray

    python scripts/benchmark.py solvers=2-opt,tsp-bq,lkh instances=my/tsplib seconds=10 group=size edges=100,200,500,1000

A solver is a registered one (`all`: every one), shipped weights or a run folder (greedy), or weights with @<samples>,
@beam<width> or @reconstruct. The same command goes on where it was stopped; out holds results.jsonl, results.json,
results.csv, gap_over_time.png and report.html; with group=size the mean gaps by size too, as groups.md. env=portfolio
is scripts/backtest.py, with its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from omegaconf import MISSING
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

import cli
from naming import Finder, problem_for, solver_names, weights_digest
from optgap.co.benchmark.cells import Cell, instance_digest, run_cells
from optgap.co.benchmark.collections import COLLECTIONS, Collection, load_instances
from optgap.co.benchmark.groups import EDGES, size_groups, summarize_groups
from optgap.co.benchmark.provenance import provenance
from optgap.co.benchmark.results import append_record, as_csv, cell_of, finished, read_records, summarize
from optgap.co.core import SOLVERS, Budget, InputError, Instance
from optgap.co.formats.files import write_text
from report import html_report, save_curves
from tables import failures, gap_table, group_markdown, group_table, label, percent

ENVIRONMENTS = {"portfolio": "backtest"}  # that have a benchmark of their own -> the script


@dataclass
class BenchmarkConfig:
    """What can be said on the command line."""

    solvers: Any = MISSING
    instances: Any = MISSING  # names, ranges of names, files, folders
    problem: str | None = None  # null: what the weights, the files' suffix or the names tell
    seconds: float = 10.0  # budget a solver, instance and seed
    seeds: Any = field(default_factory=lambda: [0])
    threads: int = 1  # a process
    jobs: int = 1  # processes at a time
    engine: str = "loky"  # or ray
    group: str | None = None  # size: mean gaps by size
    edges: Any = field(default_factory=lambda: list(EDGES))  # nodes, items or operations at which a new group begins
    out: str = "runs/benchmark"
    plugins: Any = field(default_factory=list)  # packages to import first


def main(argv: list[str]) -> int:
    env = next((item.partition("=")[2] for item in argv if item.startswith("env=")), None)
    if env is not None:
        if env not in ENVIRONMENTS:
            raise InputError(
                f"env={env}: expected {', '.join(ENVIRONMENTS)}, or solvers= and instances= "
                f"(returns of agents: scripts/benchmark_agents.py)"
            )
        code: int = import_module(ENVIRONMENTS[env]).main([item for item in argv if not item.startswith("env=")])
        return code
    config = cli.parse(BenchmarkConfig, argv, about=__doc__)
    cli.limit_threads(config.threads)
    find = Finder(tuple(cli.as_list(config.plugins)))
    solvers, seeds, names = (
        cli.as_list(config.solvers),
        cli.integers("seeds", config.seeds),
        cli.as_list(config.instances),
    )
    if not solvers:
        raise InputError("no solver is named; expected for instance solvers=spt,scip")
    problem = problem_for(config.problem, names, solvers)
    instances = {item.name: item for item in load_instances(problem, names)}
    groups = _groups(config, problem, instances)
    every = solvers == ["all"]
    solvers = solver_names(problem) if every else list(dict.fromkeys(solvers))
    for solver in solvers:
        find(problem, solver)
    cells = [
        Cell(problem, solver, name, config.seconds, config.threads, Budget(config.seconds, config.threads, seed).seed)
        for name in instances
        for solver in solvers
        for seed in seeds
    ]
    folder = cli.folder(config.out)
    file = folder / "results.jsonl"
    digests = {name: instance_digest(instance) for name, instance in instances.items()}
    weights = {solver: weights_digest(solver) for solver in solvers if f"{problem}/{solver}" not in SOLVERS}
    done = finished(file, digests, weights)

    console = Console()
    facts = provenance()
    if config.engine == "loky" and config.jobs * config.threads > facts["cores"]:
        warning = (
            f"jobs={config.jobs} x threads={config.threads} on {facts['cores']} cores: runs share cores, times mislead"
        )
        console.print(Text(f"note     {warning}"), style="yellow")
    todo = [cell for cell in cells if cell not in done]
    if len(todo) < len(cells):
        console.print(Text(f"resumed  {len(cells) - len(todo)} of {len(cells)} runs are in {file}"))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with cli.interruptible() as check, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=len(cells), completed=len(cells) - len(todo))
        try:
            # A solver answers Ctrl-C with its incumbent, which is no result of this budget: hence the check.
            for record in run_cells(todo, instances, find=find, jobs=config.jobs, engine=config.engine, check=check):
                record["weights_sha256"] = weights.get(record["solver"])
                append_record(file, record)
                done[cell_of(record)] = record
                progress.update(task, advance=1, description=_figure(list(done.values()), record))
        except KeyboardInterrupt:
            progress.stop()
            kept = len({cell_of(record) for record in read_records(file)} & set(cells))
            console.print(Text(f"stopped  {kept} of {len(cells)} runs are in {file}; the same command goes on"))
            raise
    records = [done[cell] for cell in cells]
    if every:  # a person who names no solver does not miss one
        for line in failures([record for record in records if record.get("missing_extra")]):
            console.print(Text(line), style="yellow")
        records = [record for record in records if not record.get("missing_extra")]

    told = {"problem": problem, "solvers": solvers, "instances": list(instances), "seeds": seeds}
    settings = asdict(config) | told
    summary = [asdict(row) for row in summarize(records)]
    data = {"settings": settings, "provenance": facts, "summary": summary, "records": records}
    by_group = summarize_groups(records, groups) if groups else None
    write_text(folder / "results.json", json.dumps(data, indent=1) + "\n")
    write_text(folder / "results.csv", as_csv(records))
    save_curves(records, folder / "gap_over_time.png")
    write_text(folder / "report.html", html_report(records, instances, settings, facts, by_group))
    title = f"{config.seconds:g} s a run, {config.threads} thread{'s' * (config.threads > 1)}, seeds {', '.join(map(str, seeds))}"
    console.print(gap_table(records, title, console.width, each=by_group is None))
    if by_group is not None:
        write_text(folder / "groups.md", group_markdown(by_group))
        console.print(group_table(by_group, "Mean gap by size"))
    for line in failures(records):
        console.print(Text(line), style="yellow")
    console.print(Text(f"written  {folder / 'report.html'} and results.json, results.csv, gap_over_time.png beside it"))
    return 2 if failures(records) else 0


def _groups(config: BenchmarkConfig, problem: str, instances: Mapping[str, Instance]) -> dict[str, str] | None:
    """Instance -> its group; None where none are asked for."""
    if config.group is None:
        return None
    collection: Collection = COLLECTIONS.load(problem)
    if config.group != "size":
        raise InputError(f"group is {config.group!r}; expected size")
    if collection.size is None:
        raise InputError(f"group=size: instances of {problem} tell no size")
    sizes = {name: collection.size_of(instance) or 0 for name, instance in instances.items()}
    return size_groups(sizes, cli.integers("edges", config.edges))


def _figure(records: list[dict[str, Any]], last: dict[str, Any]) -> str:
    """The best solver so far, and what has just ended."""
    best = summarize(records)[0]
    return f"best {label(best.solver)} {percent(best.mean_gap)}  ({label(last['solver'])} on {last['instance']})"


if __name__ == "__main__":
    cli.run(main)
