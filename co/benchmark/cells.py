"""One cell of a benchmark: a solver on an instance within a budget, run and recorded; many of them through joblib."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from typing import Any

import numpy as np

from optgap.co.benchmark.collections import COLLECTIONS
from optgap.co.core import (
    PROBLEMS,
    SOLVERS,
    Budget,
    InputError,
    Instance,
    MissingExtraError,
    OptgapError,
    Result,
    Solver,
    Status,
    solve,
)

ENGINES = ("loky", "ray")
RAY_ROUNDS = 8  # runs a process between two moments at which results are kept

FindSolver = Callable[[str, str], Solver[Any]]
"""``find(problem, name)``: the solver that ``name`` means; importable by name, because other processes call it."""


@dataclass(frozen=True)
class Cell:
    """What is run, by name; its fields identify a record in a results file."""

    problem: str
    solver: str
    instance: str
    seconds: float
    threads: int
    seed: int

    @property
    def budget(self) -> Budget:
        return Budget(seconds=self.seconds, threads=self.threads, seed=self.seed)


def registered_solver(problem: str, name: str) -> Solver[Any]:
    """The solver ``<problem>/<name>`` of the registry."""
    solver: Solver[Any] = SOLVERS.load(f"{problem}/{name}")
    return solver


def run_cell(
    cell: Cell, instance: Instance, find: FindSolver = registered_solver, check: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The record of one run, JSON values only.

    Cost, times and feasibility are those of :func:`optgap.co.core.solve`, of a solver that :func:`warm_solver` gave. A
    solver that fails gives a record with ``error`` instead of figures, so that one failure does not end a benchmark; where
    an optional package is missing, with ``missing_extra`` too. ``check`` is called before the clock starts; what it
    raises passes through.
    """

    def run() -> Result:
        solver = warm_solver(cell.problem, cell.solver, find)
        if check is not None:
            check()
        return solve(solver, PROBLEMS.load(cell.problem), instance, cell.budget)

    return _record(cell, instance, run)


def run_batch(
    cells: Sequence[Cell],
    instances: Mapping[str, Instance],
    play: Callable[[Sequence[Instance]], Sequence[Any]],
) -> list[dict[str, Any]]:
    """The records of cells of one solver whose instances it solves all at once.

    Every solution is checked and its cost recomputed as by :func:`run_cell`. A record's times are its share of the
    batch's: a cell's time divided by the number of cells, which stands in ``batch``.

    Args:
        play: one solution an instance, in order.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    failure: Exception | None = None
    solutions: Sequence[Any] = []
    try:
        solutions = play([instances[cell.instance] for cell in cells])
    except Exception as error:  # a line in the results, as in run_cell
        failure = error
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    share = {"wall_seconds": wall / len(cells), "cpu_seconds": cpu / len(cells), "batch": len(cells)}

    def answer(index: int, cell: Cell) -> Result:
        if failure is not None:
            raise failure
        given = Result(solutions[index], Status.FEASIBLE)
        return solve(lambda instance, budget: given, PROBLEMS.load(cell.problem), instances[cell.instance], cell.budget)

    return [
        _record(cell, instances[cell.instance], partial(answer, index, cell)) | share
        for index, cell in enumerate(cells)
    ]


def _record(cell: Cell, instance: Instance, run: Callable[[], Result]) -> dict[str, Any]:
    """What ``run`` gave, or how it failed."""
    record = asdict(cell) | {"date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
    record["best_known"] = list(instance.best_known) if instance.best_known else None
    record["instance_sha256"] = instance_digest(instance)
    try:
        return record | result_facts(run())
    except MissingExtraError as error:
        return record | {"error": str(error), "missing_extra": True}
    except OptgapError as error:
        return record | {"error": str(error)}
    except Exception as error:  # a bug in somebody's solver is a line in the results, not the end of the others
        return record | {"error": f"{type(error).__name__}: {error}"}


def instance_digest(instance: Instance) -> str:
    """SHA-256 of the instance's numbers: a file may change and keep its name."""
    values = {
        item.name: json_value(getattr(instance, item.name))
        for item in fields(instance)
        if item.name not in ("name", "best_known")
    }
    text = json.dumps(values, sort_keys=True, default=lambda value: type(value).__name__)
    return hashlib.sha256(text.encode()).hexdigest()


def result_facts(result: Result) -> dict[str, Any]:
    """A checked result as JSON values."""
    return {
        "status": str(result.status),
        "cost": result.cost,
        "bound": result.bound,
        "wall_seconds": result.wall_seconds,
        "cpu_seconds": result.cpu_seconds,
        "incumbents": [list(point) for point in result.incumbents],
        "solution": json_value(result.solution),
    }


def json_value(value: Any) -> Any:
    """``value`` with NumPy arrays and numbers, tuples and sets as what JSON has."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    return value


def run_cells(
    cells: Sequence[Cell],
    instances: Mapping[str, Instance],
    *,
    find: FindSolver = registered_solver,
    jobs: int = 1,
    engine: str = "loky",
    check: Callable[[], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Records in the order in which cells finish.

    Args:
        instances: by name.
        jobs: processes at a time. Each is held to the cells' threads; more processes than cores share them, and then
            wall-clock budgets compare nothing.
        engine: ``"loky"``, processes of this machine, or ``"ray"``, a cluster that ``ray`` finds by itself. One process
            of this machine is the present one.
        check: called before each run in the present process and whenever a record arrives; raises to end the work (a
            solver answers Ctrl-C with its incumbent, so that KeyboardInterrupt alone does not).

    Raises:
        InputError: unknown engine, or jobs below 1.
        MissingExtraError: ``engine="ray"`` without ray.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if jobs < 1:
        raise InputError(f"jobs is {jobs}; expected at least 1")
    calls = [(cell, instances[cell.instance], find) for cell in cells]
    if engine == "loky" and jobs == 1:
        records: Iterator[dict[str, Any]] = (run_cell(*call, check) for call in calls)
    else:
        records = _in_processes(calls, jobs, engine)
    for record in records:
        if check is not None:
            check()
        yield record


def _in_processes(
    calls: Sequence[tuple[Cell, Instance, FindSolver]], jobs: int, engine: str
) -> Iterator[dict[str, Any]]:
    import joblib

    delayed = [joblib.delayed(run_cell)(*call) for call in calls]
    if engine == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError:
            raise MissingExtraError("ray", "distributed") from None
        register_ray()
        with joblib.parallel_config(backend="ray", n_jobs=jobs):  # answers only when all calls of a batch have ended
            for first in range(0, len(delayed), RAY_ROUNDS * jobs):
                yield from joblib.Parallel()(delayed[first : first + RAY_ROUNDS * jobs])
        return
    threads = max((cell.threads for cell, _, _ in calls), default=1)
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=threads):
        yield from joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")(delayed)


@lru_cache(maxsize=64)
def warm_solver(problem: str, name: str, find: FindSolver = registered_solver) -> Solver[Any]:
    """The solver, after a first call on a small instance: imports, compilation and weights are not on its clock."""
    solver = find(problem, name)
    if problem in COLLECTIONS:
        collection = COLLECTIONS.load(problem)
        solver(collection.load(collection.showcase[0]), Budget(seconds=0.1))
    return solver
