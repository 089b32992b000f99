"""SCIP on the knapsack problem: exhaustive enumeration, and agreement with branch and bound."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from routing_cases import instances

from optgap.co.core import PROBLEMS, SOLVERS, Budget, Result, Status, solve
from optgap.co.heuristics.knapsack_exact import branch_and_bound
from optgap.co.problems.knapsack import KNAPSACK, KnapsackInstance


def run(instance: KnapsackInstance) -> Result:
    return solve(SOLVERS.load("kp/scip"), PROBLEMS.load("kp"), instance, Budget(600))


def enumerated(instance: KnapsackInstance) -> float:
    """The most value of all sets of items that fit."""
    sets = (list(c) for k in range(instance.n_items + 1) for c in combinations(range(instance.n_items), k))
    fit = (c for c in sets if instance.weight[c].sum() <= instance.capacity * (1 + 1e-9))
    return max(float(instance.value[c].sum()) for c in fit)


@settings(max_examples=50)
@given(instance=instances("kp", most=11))
def test_the_optimum_is_that_of_enumeration(instance: KnapsackInstance) -> None:
    optimum = enumerated(instance)
    result = run(instance)
    assert result.status is Status.OPTIMAL
    assert result.cost == pytest.approx(optimum, rel=1e-9, abs=1e-12)
    assert result.bound == pytest.approx(optimum, rel=1e-9, abs=1e-12)


def test_no_item_fits() -> None:
    result = run(KnapsackInstance(value=np.array([1.0, 2.0]), weight=np.array([3.0, 4.0]), capacity=2.0))
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 0.0, 0.0)
    assert result.solution.tolist() == []


def test_an_item_that_exceeds_the_capacity_within_scips_default_tolerance_is_left_out() -> None:
    result = run(KnapsackInstance(value=np.array([2.0, 1.5]), weight=np.array([5.0, 5.00001]), capacity=10.0))
    assert (result.status, result.cost) == (Status.OPTIMAL, 2.0)


@pytest.mark.parametrize("items", [50, 200])
def test_it_agrees_with_branch_and_bound(items: int) -> None:
    instance = KNAPSACK.generate(np.random.default_rng(items), items=items)
    scip, other = run(instance), solve(branch_and_bound, KNAPSACK, instance, Budget(600))
    assert scip.status is other.status is Status.OPTIMAL
    assert scip.cost == pytest.approx(other.cost, rel=1e-9)
