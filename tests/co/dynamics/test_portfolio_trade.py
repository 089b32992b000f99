"""The compiled trade and limits: equal to the definition, to an independent projection, and to figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.dynamics.portfolio_trade import keep_limits, wealth_after
from optgap.co.problems import portfolio as definition
from optgap.envs.constrained_box import Capacity, polyhedron_of

seeds = st.integers(0, 2**31)


def weights_of(rng: np.random.Generator, n: int, least: float = 0.0) -> np.ndarray:
    """(N + 1,) of sum 1, some of them 0, cash at least ``least``."""
    shares = rng.exponential(size=n + 1) * (rng.random(n + 1) < 0.7)
    shares[n] += 1e-3
    weights = (1 - least) * shares / shares.sum()
    weights[n] += least
    return weights


@settings(max_examples=200, deadline=None)
@given(seeds, st.integers(1, 12), st.sampled_from([0.0, 0.0005, 0.0025, 0.3]), st.sampled_from([0.0, 1e-4, 0.2]))
def test_the_wealth_after_a_trade_is_the_definitions_and_solves_its_equation(
    seed: int, n: int, cost: float, fixed: float
) -> None:
    rng = np.random.default_rng(seed)
    least = rng.choice([0.0, -0.5])
    holdings = weights_of(rng, n, least) * rng.uniform(0.1, 10)
    wealth, target = holdings.sum(), weights_of(rng, n, least)
    after = wealth_after(holdings, wealth, target, cost, fixed)
    assert after == pytest.approx(definition.wealth_after(holdings, target, cost, fixed), rel=1e-14, abs=1e-300)
    changes = np.abs(target * after - holdings)[:n]
    fees = fixed * (np.abs(target * wealth - holdings)[:n] > 1e-9 * wealth).sum()
    if after > 0:  # money is conserved
        assert after + cost * changes.sum() + fees == pytest.approx(wealth, rel=1e-14)
    else:  # not even selling everything would pay the fees
        assert wealth - fees <= cost * holdings[:n].sum()


def test_trades_by_hand() -> None:
    cash, stock = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    assert wealth_after(cash, 1.0, stock, 0.25, 0.0) == pytest.approx(1 / 1.25, rel=1e-15)  # V' = 1 - V' / 4
    assert wealth_after(stock, 1.0, cash, 0.25, 0.0) == 0.75
    assert wealth_after(stock, 1.0, stock, 0.25, 0.1) == 1.0  # no trade, no cost
    assert wealth_after(stock, 1.0, cash, 0.25, 0.1) == pytest.approx(0.65, rel=1e-15)
    assert wealth_after(stock, 1.0, cash, 0.25, 0.8) == 0.0  # ruin
    # all of one into the other: V' = 1 - (1 + V') / 4
    assert wealth_after(np.array([1.0, 0, 0]), 1.0, np.array([0, 1.0, 0]), 0.25, 0.0) == pytest.approx(0.6, rel=1e-15)


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(1, 8))
def test_trades_cost_more_at_a_higher_rate_and_over_a_longer_way(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    before, target = weights_of(rng, n), weights_of(rng, n)
    rates = [wealth_after(before, 1.0, target, cost, 0.0) for cost in np.linspace(0, 0.5, 6)]
    assert (np.diff(rates) <= 1e-15).all()
    ways = [wealth_after(before, 1.0, before + part * (target - before), 0.01, 0.0) for part in np.linspace(0, 1, 6)]
    assert (np.diff(ways) <= 1e-15).all()
    assert ways[0] == pytest.approx(1.0, rel=1e-15)


@settings(max_examples=200, deadline=None)
@given(seeds, st.integers(1, 10), st.sampled_from([0.1, 0.3, 1.0]), st.sampled_from([-1.0, 0.0, 0.2, 1.0]))
def test_limits_give_the_nearest_weights(seed: int, n: int, cap: float, least: float) -> None:
    rng = np.random.default_rng(seed)
    drifted = weights_of(rng, n, min(least, 0.0) if rng.random() < 0.5 else 0.1)
    wanted = rng.choice([0.3, 1.0, 30.0]) * rng.standard_normal(n + 1) + rng.choice([0.0, 0.3])
    low, high = np.zeros(n + 1), np.maximum(cap, drifted)
    low[n], high[n] = min(least, drifted[n]), np.inf
    nearest, _ = polyhedron_of(low, high, Capacity(1.0, exact=True)).project(wanted[None])
    found = wanted.copy()
    keep_limits(found, drifted, cap, least, np.inf)
    np.testing.assert_allclose(found, nearest[0], rtol=0, atol=1e-9)
    assert (found[:n] >= 0).all()
    again = found.copy()
    keep_limits(again, drifted, cap, least, np.inf)
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-12)  # what is allowed stays as it is


@settings(max_examples=100, deadline=None)
@given(seeds, st.integers(1, 10), st.sampled_from([0.0, 0.1, 0.5, 2.0]))
def test_a_limit_of_the_turnover_shortens_the_way(seed: int, n: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    drifted, wanted = weights_of(rng, n), weights_of(rng, n)
    found = wanted.copy()
    keep_limits(found, drifted, 1.0, 0.0, limit)
    far = np.abs(wanted - drifted)[:n].sum()
    part = min(1.0, limit / far) if far else 0.0
    np.testing.assert_allclose(found, drifted + part * (wanted - drifted), rtol=0, atol=1e-14)
    assert found.sum() == pytest.approx(1.0, abs=1e-15)


def test_what_has_drifted_above_the_cap_or_below_the_least_cash_may_stay() -> None:
    drifted = np.array([0.7, 0.35, -0.05])
    for wanted in (drifted, np.array([0.9, 0.3, -0.2])):
        found = wanted.copy()
        keep_limits(found, drifted, 0.5, 0.0, np.inf)
        assert found[0] == 0.7
        assert found[2] >= -0.05 - 1e-15
        assert found.sum() == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_allclose(found, [0.7, 0.35, -0.05], atol=1e-15)
