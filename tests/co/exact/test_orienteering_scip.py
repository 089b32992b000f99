"""SCIP on the orienteering problem: exhaustive enumeration with any start and end, and how it stops."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from routing_cases import instances

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, Result, Status, solve
from optgap.co.problems.orienteering import ORIENTEERING, OrienteeringInstance


def run(instance: OrienteeringInstance, seconds: float = 600) -> Result:
    return solve(SOLVERS.load("op/scip"), PROBLEMS.load("op"), instance, Budget(seconds))


def enumerated(instance: OrienteeringInstance) -> float:
    """The most prize of all paths within the limit."""
    inner = [j for j in range(instance.n_nodes) if j not in (instance.start, instance.end)]
    best = 0.0
    for size in range(len(inner) + 1):
        for order in permutations(inner, size):
            path = np.array([instance.start, *order, instance.end])
            if instance.length(path) <= instance.limit * (1 + 1e-9):
                best = max(best, float(instance.prize[np.unique(path)].sum()))
    return best


@settings(max_examples=40)
@given(instance=instances("op", most=7))
def test_the_optimum_is_that_of_enumeration(instance: OrienteeringInstance) -> None:
    optimum = enumerated(instance)
    result = run(instance)
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, optimum, optimum)


def test_a_limit_that_two_lengths_just_exceed_is_kept() -> None:
    # 1 and 2 lie 1 and 1 + 1e-7 from the start, on either side: one of them fits, both need 4 + 2e-7
    instance = OrienteeringInstance(
        coordinates=np.array([[0, 0], [1, 0], [-1 - 1e-7, 0]]), prize=np.array([0, 1, 1]), limit=4.0
    )
    result = run(instance)
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 1.0, 1.0)


@pytest.mark.parametrize("prize", ["constant", "uniform", "distance"])
def test_twenty_nodes_are_proved_in_seconds(prize: str) -> None:
    instance = ORIENTEERING.generate(np.random.default_rng(0), nodes=20, prize=prize)
    result = run(instance)
    assert result.status is Status.OPTIMAL
    if prize == "distance":
        assert result.cost == pytest.approx(5.16)


def test_a_path_between_two_nodes_of_a_larger_instance() -> None:
    closed = ORIENTEERING.generate(np.random.default_rng(3), nodes=25)
    instance = OrienteeringInstance(
        coordinates=closed.coordinates, prize=closed.prize, limit=closed.limit, start=3, end=7
    )
    result = run(instance)
    assert result.status is Status.OPTIMAL
    assert result.solution[[0, -1]].tolist() == [3, 7]


def test_the_time_limit_holds_and_the_bound_is_valid() -> None:
    instance = ORIENTEERING.generate(np.random.default_rng(0), nodes=100)
    run(ORIENTEERING.generate(np.random.default_rng(0), nodes=8))  # compilation is not what is measured
    result = run(instance, 2.0)
    assert result.wall_seconds < 8
    assert result.bound is None or result.bound >= result.cost
    for before, after in zip(result.incumbents[:-1], result.incumbents[1:], strict=True):
        assert before.cost <= after.cost
        assert (before.bound or np.inf) >= (after.bound or np.inf)


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(InputError, match=r"2000 nodes; SCIP's model takes up to 1500"):
        run(ORIENTEERING.generate(np.random.default_rng(0), nodes=2000))
