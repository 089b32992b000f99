"""OR-Tools' routing: small optima, tight capacities, sizes, Ctrl-C, and what is missing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, MissingExtraError, Result, Status, solve
from optgap.co.formats.tsplib import read_tsplib
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, split_routes
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSP_PROBLEM, TSP_PROBLEM, ATSPInstance, TSPInstance


def run(instance: NetworkInstance, seconds: float = 1.0) -> Result:
    problem = "cvrp" if isinstance(instance, CVRPInstance) else "atsp" if isinstance(instance, ATSPInstance) else "tsp"
    return solve(SOLVERS.load(f"{problem}/or-tools"), PROBLEMS.load(problem), instance, Budget(seconds))


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
@pytest.mark.parametrize("problem", [TSP_PROBLEM, ATSP_PROBLEM])
def test_small_tours_are_optimal(problem: Any, nodes: int) -> None:
    pytest.importorskip("ortools")
    instance = problem.generate(np.random.default_rng(nodes), nodes=nodes)
    result = run(instance)
    assert result.cost == pytest.approx(solve(SOLVERS.load(f"{problem.name}/scip"), problem, instance, Budget(10)).cost)
    assert (result.status, result.bound) == (Status.FEASIBLE, None)


def test_tsplib_within_a_few_percent_and_the_history_falls(data_folder: Path) -> None:
    pytest.importorskip("ortools")
    result = run(read_tsplib(data_folder / "tsp" / "berlin52.tsp"), 2.0)
    assert result.cost is not None
    assert 7542 <= result.cost < 1.05 * 7542
    costs = [point.cost for point in result.incumbents]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == result.cost


def test_routes_by_hand() -> None:
    """Two pairs of customers on opposite sides, a pair a vehicle."""
    pytest.importorskip("ortools")
    instance = CVRPInstance(
        coordinates=np.array([[0, 0], [3, 4], [3, 5], [-3, -4], [-3, -5]], np.float64),
        demand=np.array([0, 1, 1, 1, 1]),
        capacity=2.0,
    )
    result = run(instance)
    assert result.cost == pytest.approx(2 * (5 + 1 + np.hypot(3, 5)))
    assert sorted(sorted(route.tolist()) for route in split_routes(result.solution)) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("demand", [[0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0], [1 / 3] * 6, [0.0, 0.0]])
def test_demands_that_fill_vehicles_or_are_no_integers(demand: list[float]) -> None:
    pytest.importorskip("ortools")
    points = np.random.default_rng(0).random((len(demand) + 1, 2))
    result = run(CVRPInstance(coordinates=points, demand=np.array([0.0, *demand]), capacity=1.0))
    assert result.solution is not None
    assert len(split_routes(result.solution)) >= sum(demand) - 1e-9


def test_generated_routes() -> None:
    pytest.importorskip("ortools")
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=20)
    result = run(instance, 1.0)
    assert result.cost is not None
    assert result.cost < 2 * instance.distance(0, np.arange(21)).sum() / 2


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_returns_the_incumbent() -> None:
    pytest.importorskip("ortools")
    instance = TSP_PROBLEM.generate(np.random.default_rng(0), nodes=200)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    result = run(instance, 300.0)
    assert time.perf_counter() - began < 60
    assert result.solution is not None
    timer.join()


def test_too_large_is_refused() -> None:
    pytest.importorskip("ortools")
    with pytest.raises(InputError, match="5001 nodes; OR-Tools takes up to 5000"):
        run(TSPInstance(coordinates=np.zeros((5001, 2))))


def test_without_ortools_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.constraint_solver", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'optgap\[cp\]'"):
        run(TSP_PROBLEM.generate(np.random.default_rng(0), nodes=5))
