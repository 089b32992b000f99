"""The adapter of PyVRP: integers as they are, reals scaled, stops on time."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, MissingExtraError, Result, Status, solve
from optgap.co.formats.vrplib import read_vrplib
from optgap.co.heuristics.pyvrp_solver import _integer_demand, _integer_distance
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance


def run(instance: CVRPInstance, seconds: float = 0.3, seed: int = 0) -> Result:
    return solve(SOLVERS.load("cvrp/pyvrp"), PROBLEMS.load("cvrp"), instance, Budget(seconds, seed=seed))


@pytest.fixture(autouse=True)
def _needs_pyvrp(request: pytest.FixtureRequest) -> None:
    if "without_pyvrp" not in request.node.name:
        pytest.importorskip("pyvrp")


def test_the_square_takes_two_routes() -> None:
    # corners of a square of side 2 around the depot, two fit into a vehicle: two routes of two neighbours each
    corners = np.array([[0, 0], [1, 1], [1, -1], [-1, -1], [-1, 1.0]])
    result = run(CVRPInstance(coordinates=corners, demand=np.array([0, 1, 1, 1, 1]), capacity=2))
    assert result.status is Status.FEASIBLE
    assert result.cost == pytest.approx(2 * (2 + 2 * np.sqrt(2)))
    assert result.incumbents[-1].cost == result.cost


@pytest.mark.parametrize("customers", [1, 2, 30])
def test_routes_are_feasible_and_the_clock_is_kept(customers: int) -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(1), customers=customers, capacity=30)
    run(instance)
    result = run(instance, 0.5)
    assert result.status is Status.FEASIBLE
    assert result.wall_seconds < 3
    assert all(a.cost > b.cost for a, b in zip(result.incumbents[:-1], result.incumbents[1:], strict=True))


def test_real_demands_never_overload() -> None:
    rng = np.random.default_rng(0)
    demand = np.append(0.0, rng.random(20))
    run(CVRPInstance(coordinates=rng.random((21, 2)), demand=demand, capacity=1.7))  # checked by solve


def test_what_is_integral_stays_as_it_is() -> None:
    instance = CVRPInstance(
        coordinates=np.array([[0, 0], [3, 4], [6, 8.0]]), metric="euc_2d", demand=np.array([0, 7, 9]), capacity=12
    )
    assert _integer_distance(instance).tolist() == [[0, 5, 10], [5, 0, 5], [10, 5, 0]]
    assert _integer_demand(instance) == ([0, 7, 9], 12)
    decimal = CVRPInstance(coordinates=np.zeros((3, 2)), demand=np.array([0, 0.25, 1]), capacity=1.259)
    assert _integer_demand(decimal) == ([0, 25, 100], 125)
    thirds = CVRPInstance(coordinates=np.zeros((3, 2)), demand=np.array([0, 1 / 3, 2 / 3]), capacity=2)
    rounded, capacity = _integer_demand(thirds)
    assert (rounded, capacity) == ([0, 166_667, 333_334], 1_000_000)


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_returns_the_incumbent() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=50)
    run(instance)
    begin = time.perf_counter()
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = run(instance, 30)
    timer.join()
    assert time.perf_counter() - begin < 10
    assert result.status is Status.FEASIBLE


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(InputError, match="10002 nodes; PyVRP takes up to 10001 here"):
        run(CVRP_PROBLEM.generate(np.random.default_rng(0), customers=10_001))


def test_without_pyvrp_the_message_is_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvrp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'optgap\[vrp\]'"):
        run(CVRP_PROBLEM.generate(np.random.default_rng(0), customers=5))


@pytest.mark.slow
def test_five_seconds_come_close_to_the_best_known(data_folder: Path) -> None:
    instance = read_vrplib(data_folder / "cvrp" / "X-n106-k14.vrp")
    assert instance.best_known is not None
    assert run(instance, 5.0).cost <= 1.02 * instance.best_known.upper
