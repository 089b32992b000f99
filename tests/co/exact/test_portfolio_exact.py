"""The optimum in hindsight: dynamic programme, linear programme and brute force agree; the bounds hold under any limits."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolio_cases import periods, two_nights, weights_of

from optgap.co.core import PROBLEMS, SOLVERS, Budget, Status
from optgap.co.core import solve as checked
from optgap.co.exact import portfolio_hindsight, portfolio_scip
from optgap.co.heuristics.portfolio_rules import play
from optgap.co.problems.portfolio import PORTFOLIO

BUDGET = Budget(20.0)


def best_path(period):
    """Log growth of the best of all (N + 1)^T paths that hold one thing at a time."""
    one = np.eye(period.n_assets + 1)
    paths = itertools.product(range(period.n_assets + 1), repeat=period.n_days)
    return max(PORTFOLIO.cost(period, one[list(path)]) for path in paths)


def test_two_nights_by_hand():
    found = checked(portfolio_hindsight.solve, PORTFOLIO, two_nights(), BUDGET)
    assert found.solution.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert found.cost == pytest.approx(np.log(2 / 1.01 * 2 * 0.99 / 1.01), rel=1e-12)
    assert (found.status, found.bound) == (Status.OPTIMAL, found.cost)
    # Selling and buying for 30% each takes more than a gives: b alone.
    dear = checked(portfolio_hindsight.solve, PORTFOLIO, two_nights(proportional_cost=0.5), BUDGET)
    assert dear.cost == pytest.approx(np.log(2 / 1.5), rel=1e-12)


@pytest.mark.parametrize("cost", [0.0, 1e-4, 0.0025, 0.01])
@pytest.mark.parametrize("seed", [0, 1])
def test_programmes_and_brute_force_agree(cost, seed):
    period = PORTFOLIO.generate(
        np.random.default_rng(seed), assets=2 + seed, days=5, history=1, proportional_cost=cost, cash=0.5
    )
    found = checked(portfolio_hindsight.solve, PORTFOLIO, period, BUDGET)
    linear = checked(portfolio_scip.solve, PORTFOLIO, period, BUDGET)
    assert found.status == linear.status == Status.OPTIMAL
    assert found.cost == pytest.approx(best_path(period), abs=1e-12)
    assert linear.cost == pytest.approx(found.cost, abs=1e-7)
    assert linear.bound == pytest.approx(found.bound, abs=1e-6)


@pytest.mark.parametrize("cost", [0.0, 0.0005, 0.01])
def test_programmes_agree_from_a_mixed_start(cost):
    rng = np.random.default_rng(5)
    start = rng.dirichlet(np.ones(9))
    period = PORTFOLIO.generate(rng, assets=8, days=60, proportional_cost=cost, initial=start)
    found = checked(portfolio_hindsight.solve, PORTFOLIO, period, BUDGET)
    linear = checked(portfolio_scip.solve, PORTFOLIO, period, BUDGET)
    assert found.status == linear.status == Status.OPTIMAL
    assert linear.bound == pytest.approx(found.bound, abs=1e-6)
    assert linear.cost == pytest.approx(found.cost, abs=1e-6)


def test_no_period_is_too_long_and_a_higher_cost_earns_less():
    period = PORTFOLIO.generate(np.random.default_rng(0), assets=5, days=2000)
    found = [
        checked(portfolio_hindsight.solve, PORTFOLIO, dataclasses.replace(period, proportional_cost=c), BUDGET)
        for c in (0.0, 1e-3, 0.01)
    ]
    assert [each.status for each in found] == [Status.OPTIMAL] * 3
    assert found[0].cost > found[1].cost > found[2].cost > 0
    best = period.growth.max(1)
    assert found[0].cost == pytest.approx(np.log(best).sum(), rel=1e-12)


@given(periods(), st.integers(0, 2**32))
def test_nothing_that_keeps_the_limits_earns_more_than_the_value(period, seed):
    found = checked(portfolio_hindsight.solve, PORTFOLIO, period, BUDGET)
    assert (found.bound is None) == (period.minimum_cash < 0)
    value = portfolio_hindsight.hindsight(period).value
    if period.minimum_cash >= 0:
        assert PORTFOLIO.cost(period, weights_of(period, seed)) <= value + 1e-12
    PORTFOLIO.check(period, portfolio_hindsight.follow(period, portfolio_hindsight.hindsight(period)))


@settings(max_examples=25, deadline=None)
@given(periods(), st.integers(0, 2**32))
def test_nothing_that_keeps_the_limits_earns_more_than_the_bound_of_scip(period, seed):
    found = checked(portfolio_scip.solve, PORTFOLIO, period, BUDGET)
    start = checked(portfolio_hindsight.solve, PORTFOLIO, period, BUDGET)
    assert found.cost >= start.cost - 1e-7
    assert start.bound is None or found.bound <= start.bound + 1e-6
    for other in range(5):
        assert PORTFOLIO.cost(period, weights_of(period, seed + other)) <= found.bound + 1e-6


@pytest.mark.parametrize(
    "limits",
    [{"cap": 0.4}, {"minimum_cash": 0.3}, {"minimum_cash": -1.0, "cap": 2.0}, {"cap": 0.7, "minimum_cash": 0.2}],
)
def test_the_bound_of_scip_holds_for_every_portfolio_of_a_grid(limits):
    """One asset that rises, falls and rises: six shares, and the one to which it has drifted."""
    close = np.array([[1.0], [1.0], [1.3], [1.1], [1.6], [1.5]])
    dates = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]")
    period = PORTFOLIO.generate(
        np.random.default_rng(0), assets=1, days=4, history=1, close=close, dates=dates, cash=0.0, **limits
    )
    most = min(limits.get("cap", 1.0), 1 - limits.get("minimum_cash", 0.0))
    shares = [*np.linspace(0, most, 6), None]
    best = -np.inf
    for path in itertools.product(shares, repeat=4):

        def target(t, drifted, path=path):
            return drifted if path[t] is None else np.array([path[t], 1 - path[t]])

        weights = play(period, target)
        best = max(best, PORTFOLIO.cost(period, weights))
    found = checked(portfolio_scip.solve, PORTFOLIO, period, BUDGET)
    assert best <= found.bound + 1e-7
    assert found.cost >= best - 0.02


def test_the_bound_of_scip_is_close_under_a_cap():
    period = PORTFOLIO.generate(np.random.default_rng(0), assets=10, days=60, cap=0.2)
    found = checked(portfolio_scip.solve, PORTFOLIO, period, BUDGET)
    plain = portfolio_hindsight.hindsight(period).value
    assert found.cost <= found.bound <= found.cost + 0.01 < plain - 0.1


def test_limits_of_fixed_costs_and_turnover_leave_a_portfolio_and_a_bound():
    rng = np.random.default_rng(2)
    for limit in ({"turnover": 0.2}, {"fixed_cost": 0.003}):
        period = PORTFOLIO.generate(rng, assets=4, days=30, **limit)
        for solver in (portfolio_hindsight.solve, portfolio_scip.solve):
            found = checked(solver, PORTFOLIO, period, BUDGET)
            assert found.status == Status.FEASIBLE
            assert 0 <= found.cost < found.bound


def test_solvers_are_registered_and_end_in_time():
    assert set(SOLVERS.names("portfolio/")) == {
        f"portfolio/{name}" for name in ("equal-weight", "buy-and-hold", "hindsight", "scip")
    }
    period = PORTFOLIO.generate(np.random.default_rng(0), assets=10, days=250, cap=0.3)
    found = checked(SOLVERS.load("portfolio/scip"), PROBLEMS.load("portfolio"), period, Budget(0.05))
    assert found.status == Status.FEASIBLE
    assert found.cost < found.bound
