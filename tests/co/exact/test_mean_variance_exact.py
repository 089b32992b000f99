"""Mean-variance portfolios of few assets: optimality conditions of the weights, SCIP against all choices of assets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import SOLVERS, Budget, InputError, Status
from optgap.co.core import solve as checked
from optgap.co.exact.mean_variance_scip import solve, solve_mean_variance
from optgap.co.heuristics.mean_variance_search import best_weights, local_search
from optgap.co.problems.mean_variance import MEAN_VARIANCE, MeanVarianceInstance

BUDGET = Budget(60.0)


def random(seed, assets, **other):
    rng = np.random.default_rng(seed)
    held = int(rng.integers(1, assets + 1))
    fields = {"cardinality": held, "risk_aversion": float(rng.choice([0.1, 5.0, 1000.0]))}
    limits = {"least": float(rng.choice([0.0, 0.05, 1 / held])), "cap": float(rng.choice([1.0, 1 / held]))}
    return MEAN_VARIANCE.generate(rng, assets=assets, **(fields | limits | other))


def best_of_all(instance):
    choices = (c for k in instance.sizes for c in itertools.combinations(range(instance.n_assets), k))
    return min(MEAN_VARIANCE.cost(instance, best_weights(instance, choice)) for choice in choices)


@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_the_weights_of_given_assets_are_optimal(seed, assets, singular):
    """The conditions of Karush, Kuhn and Tucker: one price between the gradients of what can rise and what can fall."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((assets, max(assets // 2, 1) if singular else assets + 3))
    cap = rng.uniform(1 / assets, 1.0)
    instance = MeanVarianceInstance(
        expected=0.1 * rng.standard_normal(assets),
        covariance=0.01 * factors @ factors.T,
        risk_aversion=float(rng.choice([0.01, 1.0, 1000.0])),
        cardinality=assets,
        least=rng.uniform(0.0, 1 / assets),
        cap=cap,
    )
    weights = best_weights(instance, range(assets))
    MEAN_VARIANCE.check(instance, weights)
    gradient = instance.risk_aversion * instance.covariance @ weights - instance.expected
    can_rise, can_fall = weights < instance.cap - 1e-9, weights > instance.least + 1e-9
    if can_rise.any() and can_fall.any():
        slack = 1e-6 * (1e-2 + np.abs(gradient).max())
        assert gradient[can_fall].max() <= gradient[can_rise].min() + slack


def test_two_assets_by_hand():
    """Minimum variance of two uncorrelated assets: weights in inverse proportion to the variances."""
    found = solve_mean_variance(np.zeros(2), np.diag([0.01, 0.04]), cardinality=2)
    np.testing.assert_allclose(found.solution, [0.8, 0.2], atol=1e-9)
    assert found.status == Status.OPTIMAL
    assert found.cost == pytest.approx((0.64 * 0.01 + 0.04 * 0.04) / 2)
    alone = solve_mean_variance(np.array([0.0, 0.5]), np.diag([0.01, 0.04]), cardinality=1)
    assert alone.solution.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("seed", range(12))
def test_scip_finds_the_best_of_all_choices(seed):
    instance = random(seed, 4 + seed % 4)
    found = checked(solve, MEAN_VARIANCE, instance, BUDGET)
    best = best_of_all(instance)
    assert found.status == Status.OPTIMAL
    assert found.cost == pytest.approx(best, abs=1e-6 * abs(best) + 1e-12)
    search = local_search(instance)
    MEAN_VARIANCE.check(instance, search)
    assert MEAN_VARIANCE.cost(instance, search) >= best - 1e-12


def test_a_covariance_without_full_rank():
    """More assets than days: the optimum is riskless, or nearly so."""
    days = np.random.default_rng(1).standard_normal((5, 8))
    instance = MeanVarianceInstance(expected=np.zeros(8), covariance=np.cov(days.T), cardinality=4)
    found = checked(solve, MEAN_VARIANCE, instance, BUDGET)
    assert found.cost == pytest.approx(best_of_all(instance), abs=1e-9)


def test_a_larger_number_of_assets_is_never_worse_and_the_proof_takes_twenty():
    rng = np.random.default_rng(7)
    whole = MEAN_VARIANCE.generate(rng, assets=20, cardinality=20, expected=np.zeros(20))
    found = [
        solve_mean_variance(whole.expected, whole.covariance, cardinality=k, least=0.02, cap=0.5) for k in (3, 6, 10)
    ]
    assert [each.status for each in found] == [Status.OPTIMAL] * 3
    assert found[0].cost > found[1].cost > found[2].cost
    assert [np.count_nonzero(each.solution) for each in found] == [3, 6, 10]


def test_solvers_are_registered_and_limits_that_cannot_be_kept_are_refused():
    assert SOLVERS.names("mean-variance/") == ["mean-variance/local-search", "mean-variance/scip"]
    with pytest.raises(InputError, match="no 3 or fewer shares"):
        solve_mean_variance(np.zeros(5), np.eye(5), cardinality=3, cap=0.3)
    hurried = checked(solve, MEAN_VARIANCE, random(3, 30, cardinality=8, cap=0.5), Budget(1e-3))
    assert hurried.status == Status.FEASIBLE
