"""Figures of equity curves: by hand, against skfolio's, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from optgap.co.core import InputError
from optgap.envs.portfolio.metrics import Metrics, daily_returns, drawdowns, measure, sharpe, sortino

RETURNS = arrays.arrays(np.float64, st.integers(3, 40), elements=st.floats(-0.2, 0.2))


def path(returns: np.ndarray) -> np.ndarray:
    return np.concatenate([[1.0], np.cumprod(1 + returns)])


def test_figures_by_hand() -> None:
    found = measure([1.0, 1.1, 0.99, 1.188], cash=0.0, traded=[1.0, 0.5, 0.0], costs=[0.01, 0.005, 0.0])
    # returns 0.1, -0.1, 0.2: mean 1/15, variance (1/30^2 + 5^2/30^2 + 4^2/30^2) / 2 = 42 / 1800
    assert found.volatility == pytest.approx(math.sqrt(42 / 1800 * 252))
    assert found.sharpe == pytest.approx(1 / 15 / math.sqrt(42 / 1800) * math.sqrt(252))
    assert found.sortino == pytest.approx(1 / 15 / math.sqrt(0.01 / 3) * math.sqrt(252))
    assert found.annual_return == pytest.approx(1.188**84 - 1)
    assert found.maximum_drawdown == pytest.approx(0.1)
    assert found.calmar == pytest.approx((1.188**84 - 1) / 0.1)
    assert found.turnover == pytest.approx(0.5 * 252)
    assert found.costs == pytest.approx(0.005 * 252)
    assert found.final_wealth == pytest.approx(1.188)


def test_ratios_are_over_cash() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0])
    with_cash = measure(path(returns), cash=np.array([0.001, 0.002, 0.0, 0.001]))
    assert with_cash.sharpe == pytest.approx(sharpe([0.009, -0.022, 0.03, -0.001]))
    assert with_cash.sortino == pytest.approx(sortino([0.009, -0.022, 0.03, -0.001]))
    assert with_cash.volatility == measure(path(returns)).volatility  # that of the returns themselves


def test_drawdown_counts_a_loss_on_the_first_day() -> None:
    np.testing.assert_allclose(drawdowns([1.0, 0.8, 1.2, 0.9, 1.5]), [0, 0.2, 0, 0.25, 0])


def test_constant_curve_has_no_ratios() -> None:
    found = measure(1.0001 ** np.arange(10), cash=0.0001)
    assert math.isnan(found.sharpe)
    assert math.isnan(found.sortino)
    assert math.isnan(found.calmar)
    assert found.as_json()["sharpe"] is None
    assert found.annual_return == pytest.approx(1.0001**252 - 1)


def test_ruin() -> None:
    found = measure([1.0, 0.5, 0.0, 0.0])
    assert (found.annual_return, found.maximum_drawdown, found.final_wealth) == (-1.0, 1.0, 0.0)
    assert math.isnan(found.sharpe)


@pytest.mark.parametrize(
    ("wealth", "message"),
    [
        ([1.0, 1.1], "at least 3 marks"),
        ([1.0, 0.0, 1.0], "wealth is 0.0 at mark 1"),
        ([1.0, 1.1, math.nan], "wealth is nan at mark 2"),
    ],
)
def test_bad_curves_are_refused(wealth: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(wealth)


@given(RETURNS, st.floats(0.01, 100.0))
def test_unit_of_money_does_not_matter(returns: np.ndarray, unit: float) -> None:
    one, other = measure(path(returns)), measure(unit * path(returns))
    for name, value in one.as_json().items():
        if value is None or abs(value) < 1e12:  # ratios to a rounding error of a constant curve
            assert other.as_json()[name] == (value if value is None else pytest.approx(value, rel=1e-5, abs=1e-9))


@given(RETURNS)
def test_drawdown_is_the_worst_of_all_pairs(returns: np.ndarray) -> None:
    wealth = path(returns)
    worst = max(1 - wealth[j] / wealth[i] for i in range(len(wealth)) for j in range(i, len(wealth)))
    assert measure(wealth).maximum_drawdown == pytest.approx(worst, abs=1e-12)


def test_agrees_with_skfolio_where_definitions_agree() -> None:
    skfolio = pytest.importorskip("skfolio")
    measures = pytest.importorskip("skfolio.measures")
    returns = np.random.default_rng(3).standard_t(4, 700) * 0.01 + 0.0004
    found, cash = measure(path(returns), cash=0.0001), 0.0001
    theirs = skfolio.Portfolio(
        X=returns[:, None],
        weights=np.ones(1),
        risk_free_rate=cash,
        min_acceptable_return=cash,
        compounded=True,
    )
    excess_ratio = math.sqrt(699 / 700)  # they divide the negative squares by T - 1, we by T
    assert found.volatility == pytest.approx(theirs.annualized_standard_deviation, rel=1e-12)
    assert found.sharpe == pytest.approx(theirs.annualized_sharpe_ratio, rel=1e-12)
    assert found.sortino * excess_ratio == pytest.approx(theirs.annualized_sortino_ratio, rel=1e-12)
    assert found.maximum_drawdown == pytest.approx(theirs.max_drawdown, rel=1e-12)
    np.testing.assert_allclose(
        drawdowns(path(returns))[1:], -measures.get_drawdowns(returns, compounded=True), atol=1e-14
    )
    # what differs: arithmetic against compounded, and a ratio of the daily mean against one of the annual return
    assert theirs.annualized_mean == pytest.approx(252 * daily_returns(path(returns)).mean(), rel=1e-9)
    assert found.annual_return == pytest.approx(math.exp(252 * np.log1p(returns).mean()) - 1, rel=1e-9)
    assert theirs.calmar_ratio * found.maximum_drawdown == pytest.approx(returns.mean() - cash, rel=1e-9)
    assert found.calmar * found.maximum_drawdown == pytest.approx(found.annual_return, rel=1e-12)


def test_fields_are_numbers() -> None:
    assert isinstance(measure([1.0, 2.0, 3.0]), Metrics)
    assert all(isinstance(value, float) or value is None for value in measure([1.0, 2.0, 1.5]).as_json().values())
