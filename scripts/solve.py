"""Solve an instance by any solver or trained weights; print, draw and write the checked solution.

    python scripts/solve.py instance=ft06 solver=scip seconds=10 out=schedule.json plot=schedule.png
    python scripts/solve.py instance=my/shop.txt solver=runs/jssp/gnn-ppo/20260101-120000@128
    python scripts/solve.py problem=blocking-job-shop instance=blocking-6x6-p10-s0 solver=cp-sat
    python scripts/solve.py instance=my/berlin52.tsp solver=scip out=berlin52.tour plot=berlin52.png
    python scripts/solve.py instance=uniform-500-s0 solver=tsp-bq@reconstruct seconds=30

Weights tell their problem, and so do files that end in .tsp, .atsp, .vrp, .oplib or .kp, and names that only one problem has.

Ctrl-C gives the best solution found so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from rich.console import Console
from rich.text import Text

import cli
from drawing import require_writable, save_drawing, solution_text
from naming import find_solver, problem_for
from optgap.co.benchmark.cells import warm_solver
from optgap.co.benchmark.collections import COLLECTIONS, Collection, load_instances
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import PROBLEMS, Budget, InputError, Instance, Result, Sense, optimality_gap, solve
from tables import duration, percent


@dataclass
class SolveConfig:
    """What can be said on the command line."""

    instance: str = MISSING  # a name or a file
    solver: str = MISSING  # a registered solver, weights; <weights>@128, @beam16 or @reconstruct
    problem: str | None = None  # null: what the weights, the file's suffix or the name tells
    seconds: float = 60.0
    threads: int = 1
    seed: int = 0
    out: str | None = None  # .json; .tour for a tour, .sol for routes
    plot: str | None = None  # .png, .pdf, .svg
    plugins: Any = field(default_factory=list)  # packages to import first


def main(argv: list[str]) -> int:
    config = cli.parse(SolveConfig, argv, about=__doc__)
    cli.limit_threads(config.threads)
    name = problem_for(config.problem, [config.instance], [config.solver])
    problem = PROBLEMS.load(name)
    collection: Collection = COLLECTIONS.load(name)
    budget = Budget(config.seconds, config.threads, config.seed)
    instances = load_instances(name, [config.instance])
    if len(instances) > 1:
        raise InputError(
            f"instance={config.instance}: {len(instances)} instances; expected one (evaluate.py takes many)"
        )
    instance = instances[0]
    if config.out is not None:
        require_writable(config.out, collection.solution_suffixes)
    if config.plot is not None:
        require_writable(config.plot, (".png", ".pdf", ".svg"))
    with cli.interruptible() as check:
        solver = warm_solver(name, config.solver, find_solver)
        check()
    print(
        f"solving  {instance.name} with {config.solver}, at most {config.seconds:g} s (Ctrl-C ends it earlier)",
        flush=True,
    )
    result = solve(solver, problem, instance, budget)

    console = Console()
    if result.solution is not None:
        text = solution_text(name, instance, result.solution, min(100, console.width - 6))
        console.print(Text(text or str(result.solution)))
    for line in report(instance, result, problem.sense, config):
        console.print(Text(line))
    if result.solution is None:
        return 1
    facts = {"solver": config.solver, "status": str(result.status), "bound": result.bound}
    facts |= {"seconds": round(result.wall_seconds, 3), "threads": config.threads, "seed": config.seed}
    if config.out is not None:
        collection.write(config.out, instance, result.solution, facts | {"provenance": provenance()})
        console.print(Text(f"written  {config.out}"))
    if config.plot is not None:
        save_drawing(name, instance, result.solution, Path(config.plot))
        console.print(Text(f"drawn    {config.plot}"))
    return 0


def report(instance: Instance, result: Result, sense: Sense, config: SolveConfig) -> list[str]:
    """Cost, bound, gaps, status and time."""
    lines = []
    if result.cost is not None:
        lines.append(f"cost     {result.cost:.12g}  ({result.status}, checked)")
        if result.bound is not None:
            lines.append(
                f"bound    {result.bound:.12g}  (proved gap {percent(optimality_gap(result.cost, result.bound, sense))})"
            )
        if instance.best_known is not None:
            reference = instance.best_known.upper if sense == "minimize" else instance.best_known.lower
            gap = percent(optimality_gap(result.cost, reference, sense))
            lines.append(f"gap      {gap} to the best known {reference:.12g} ({instance.best_known.date})")
    else:
        lines.append(f"{result.status} within {config.seconds:g} s")
    lines.append(
        f"time     {duration(result.wall_seconds)}  ({config.solver}, threads {config.threads}, seed {config.seed})"
    )
    return lines


if __name__ == "__main__":
    cli.run(main)
