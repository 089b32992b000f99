"""SCIP on the CVRP: exhaustive enumeration, agreement with PyVRP, and how it stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from routing_cases import instances

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, Result, Status, solve
from optgap.co.exact import cvrp_scip
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, split_routes


def run(instance: CVRPInstance, seconds: float = 600, seed: int = 0) -> Result:
    return solve(SOLVERS.load("cvrp/scip"), PROBLEMS.load("cvrp"), instance, Budget(seconds, seed=seed))


def enumerated(instance: CVRPInstance) -> float:
    """The optimal cost, from all routes of all sets of customers."""
    d = instance.distances

    @cache
    def route(customers: frozenset[int]) -> float:
        if instance.demand[list(customers)].sum() > instance.capacity * (1 + 1e-9):
            return np.inf
        paths = ([0, *order, 0] for order in permutations(customers))
        return min(sum(d[a, b] for a, b in zip(path, path[1:], strict=False)) for path in paths)

    @cache
    def best(customers: frozenset[int]) -> float:
        if not customers:
            return 0.0
        first, *rest = sorted(customers)
        options = (
            frozenset(c for k, c in enumerate(rest) if bits >> k & 1) | {first} for bits in range(2 ** len(rest))
        )
        return min(route(option) + best(customers - option) for option in options)

    return best(frozenset(range(1, instance.n_nodes)))


@settings(max_examples=25)
@given(instance=instances("cvrp", most=7))
def test_the_optimum_is_that_of_enumeration(instance: CVRPInstance) -> None:
    optimum = enumerated(instance)
    result = run(instance)
    assert result.status is Status.OPTIMAL
    assert result.cost == pytest.approx(optimum, rel=1e-9, abs=1e-9)
    assert result.bound == pytest.approx(optimum, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("demand", "routes"), [(0.0, 1), (0.1, 1), (1 / 3, 2), (0.5, 3), (0.51, 6), (1.0, 6)])
def test_real_demands_are_counted_without_rounding(demand: float, routes: int) -> None:
    # six customers 1 apart, 10 away from the depot: as few routes as the demands allow, 20 and what lies between each
    matrix = np.full((7, 7), 1.0)
    matrix[0] = matrix[:, 0] = 10.0
    np.fill_diagonal(matrix, 0.0)
    instance = CVRPInstance(
        matrix=matrix, metric="explicit", demand=np.array([0, *[demand] * 6]), capacity=max(0.6, 6 * demand / routes)
    )
    result = run(instance)
    assert (result.status, result.cost) == (Status.OPTIMAL, 20 * routes + (6 - routes))


def test_a_single_customer() -> None:
    instance = CVRPInstance(coordinates=np.array([[0, 0], [3, 4.0]]), demand=np.array([0, 1]), capacity=1)
    result = run(instance)
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 10.0, 10.0)


def test_twenty_customers_are_proved_in_seconds() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(2), customers=20)
    result = run(instance)
    assert result.status is Status.OPTIMAL
    assert result.cost == pytest.approx(5.653563208768661)


def test_the_optimum_is_what_pyvrp_finds() -> None:
    pytest.importorskip("pyvrp")
    instance = CVRP_PROBLEM.generate(np.random.default_rng(5), customers=12, distribution="clustered")
    proved = run(instance)
    found = solve(SOLVERS.load("cvrp/pyvrp"), CVRP_PROBLEM, instance, Budget(2))
    assert proved.status is Status.OPTIMAL
    assert found.cost == pytest.approx(proved.cost, rel=1e-9)


def test_the_time_limit_holds_and_the_bound_is_valid() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=50)
    result = run(instance, 2.0)
    assert result.wall_seconds < 8
    assert result.status is Status.FEASIBLE
    assert result.bound is not None
    assert 0 < result.bound <= 10.789050094385843 <= result.cost + 1e-9  # proved in half a minute
    for before, after in zip(result.incumbents[:-1], result.incumbents[1:], strict=True):
        assert before.seconds <= after.seconds
        assert before.cost >= after.cost
        assert (before.bound or 0) <= (after.bound or 0)


def test_a_budget_too_short_to_build_a_model_still_gives_routes() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=300)
    assert run(instance, 0.001).status is Status.FEASIBLE


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_returns_the_incumbent() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=100)
    run(instance, 0.001)  # imports and compilation are not what is measured
    begin = time.perf_counter()
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = run(instance, 30)
    timer.join()
    assert 1.5 <= time.perf_counter() - begin < 15
    assert result.status is Status.FEASIBLE
    assert len(split_routes(result.solution)) > 1


def test_an_error_in_the_separation_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in a callback")

    monkeypatch.setattr(cvrp_scip, "violated_sets", fail)
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        run(CVRP_PROBLEM.generate(np.random.default_rng(0), customers=8))


def test_too_many_nodes_are_refused() -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=2000)
    with pytest.raises(InputError, match=r"2001 nodes; SCIP's model takes up to 1500"):
        run(instance)
