"""Portfolio selection: the trade's equation by hand and by its properties, days worked out by hand, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from portfolio_cases import periods, two_nights, weights_of

from optgap.co.core import PROBLEMS, InfeasibleError, InputError
from optgap.co.problems.portfolio import PORTFOLIO, replay, trade, wealth_after, wealth_path

HALF = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
costs = st.sampled_from([0.0, 1e-4, 0.0025, 0.01, 0.3, 0.9])


@st.composite
def trades(draw):
    """Holdings in money, not all 0, and target weights; either may have debts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 6))
    holdings, weights = (rng.dirichlet(np.full(n + 1, draw(st.sampled_from([0.1, 1.0])))) for _ in range(2))
    holdings *= draw(st.sampled_from([1e-6, 1.0, 1e6]))
    if draw(st.booleans()):
        weights[:-1] *= 1.5
        weights[-1] = 1.0 - weights[:-1].sum()
    return holdings, weights


@pytest.mark.parametrize("c", [0.0, 0.0025, 0.01, 0.5])
def test_trades_by_hand(c):
    def after(holdings, weights):
        return wealth_after(np.array(holdings), np.array(weights), c)

    assert after([0.0, 2.0], [0.3, 0.7]) == pytest.approx(2 / (1 + 0.3 * c), rel=1e-15)  # bought from cash
    assert after([2.0, 0.0], [0.0, 1.0]) == pytest.approx(2 * (1 - c), rel=1e-15)  # sold
    assert after([2.0, 0.0], [0.3, 0.7]) == pytest.approx(2 * (1 - c) / (1 - 0.3 * c), rel=1e-15)  # sold in part
    assert after([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]) == pytest.approx((1 - c) / (1 + c), rel=1e-15)  # switched
    assert after([0.0, 1.0], [2.0, -1.0]) == pytest.approx(1 / (1 + 2 * c), rel=1e-15)  # on borrowed money
    assert after([0.4, 0.6], [0.4, 0.6]) == 1.0


def test_a_fixed_cost_is_paid_for_each_asset_traded():
    holdings = np.array([0.5, 0.2, 0.0, 0.3])
    assert wealth_after(holdings, np.array([0.5, 0.2, 0.0, 0.3]), 0.0, 0.01) == 1.0
    assert wealth_after(holdings, np.array([0.5, 0.1, 0.0, 0.4]), 0.0, 0.01) == pytest.approx(0.99, rel=1e-15)
    assert wealth_after(holdings, np.array([0.5, 0.1, 0.1, 0.3]), 0.0, 0.01) == pytest.approx(0.98, rel=1e-15)
    assert wealth_after(holdings, np.array([0.0, 0.1, 0.1, 0.8]), 0.1, 0.4) == 0.0  # cannot be paid


@given(trades(), costs)
def test_the_trade_solves_its_equation_and_never_costs_more_than_all_sold_and_bought(case, c):
    holdings, weights = case
    wealth = holdings.sum()
    after = wealth_after(holdings, weights, c)
    bought = np.abs(weights[:-1] * after - holdings[:-1]).sum()
    assert wealth - after == pytest.approx(c * bought, rel=1e-12, abs=1e-14 * wealth)
    most = wealth - c * holdings[:-1].sum()
    assert 0 < after <= wealth
    assert after >= most / (1 + c * weights[:-1].sum()) * (1 - 1e-14)


@given(trades(), costs, st.sampled_from([1e-3, 0.1, 1.0]))
def test_a_higher_cost_leaves_less_and_a_longer_way_costs_more(case, c, part):
    holdings, weights = case
    after = wealth_after(holdings, weights, c)
    assert wealth_after(holdings, weights, min(0.95, 1.5 * c)) <= after * (1 + 1e-14)
    now = holdings / holdings.sum()
    assert wealth_after(holdings, now + part * (weights - now), c) >= after * (1 - 1e-14)
    assert wealth_after(holdings, now, c) == pytest.approx(holdings.sum(), rel=1e-14)


@given(periods(), st.integers(0, 2**32))
def test_no_money_is_made_or_lost(period, seed):
    weights = weights_of(period, seed)
    PORTFOLIO.check(period, weights)
    played = replay(period, weights)
    np.testing.assert_array_less(-1e-15, played.cost)
    paid = played.wealth[:-1] - played.cost
    np.testing.assert_allclose(paid * (weights * period.growth).sum(1), played.wealth[1:], rtol=1e-12)
    held = weights[:-1] * period.growth[:-1]
    np.testing.assert_allclose(played.drifted[1:], held / held.sum(1, keepdims=True), atol=1e-12)
    np.testing.assert_array_equal(played.drifted[0], period.initial)
    assert PORTFOLIO.cost(period, weights) == pytest.approx(np.log(played.wealth[-1] / played.wealth[0]))


@given(periods())
def test_no_trade_is_always_allowed_and_free(period):
    weights = np.vstack([period.initial, np.cumprod(period.growth[:-1], axis=0) * period.initial])
    weights /= weights.sum(1, keepdims=True)
    PORTFOLIO.check(period, weights)
    played = replay(period, weights)
    assert played.cost.max() < 1e-13
    assert played.turnover.max() < 1e-13


def test_two_nights_by_hand():
    played = replay(two_nights(), HALF)
    first = 1 / 1.005  # after half of it has bought a
    risen = 1.5 * first  # two thirds of it in a
    switched = risen * (1 - 0.01 * 2 / 3) / 1.01
    np.testing.assert_allclose(played.wealth, [1.0, risen, 2 * switched], rtol=1e-15)
    np.testing.assert_allclose(played.cost, [1 - first, risen - switched], rtol=1e-12)
    np.testing.assert_allclose(played.turnover, [0.5, 2 / 3 + 1])
    np.testing.assert_allclose(played.drifted, [[0, 0, 1], [2 / 3, 0, 1 / 3]])
    assert PORTFOLIO.cost(two_nights(), HALF) == pytest.approx(np.log(2 * switched), rel=1e-15)
    assert wealth_path(two_nights(), HALF).tolist() == played.wealth.tolist()


def test_cash_earns_the_interest_of_the_day_that_ends():
    period = two_nights(cash=np.array([9.0, 9.0, 0.1, 0.2]))
    np.testing.assert_allclose(wealth_path(period, np.array([[0.0, 0.0, 1.0]] * 2)), [1.0, 1.1, 1.1 * 1.2])


def test_ruin_ends_it():
    period = two_nights(minimum_cash=-3.0, cap=4.0, proportional_cost=0.0)
    weights = np.array([[0.0, 0.0, 1.0], [2.5, 0.0, -1.5]])  # 2.5 halves, 1.5 is owed
    assert wealth_path(period, weights).tolist() == [1.0, 1.0, 0.0]
    assert PORTFOLIO.cost(period, weights) == -np.inf
    PORTFOLIO.check(period, weights)
    poor = two_nights(fixed_cost=0.6)  # two assets cost more than there is; what follows is nobody's decision
    assert wealth_path(poor, np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]])).tolist() == [1.0, 0.0, 0.0]


def test_what_has_grown_above_the_cap_may_stay():
    period = two_nights(cap=0.5, turnover=0.6)
    PORTFOLIO.check(period, np.array([[0.5, 0, 0.5], [2 / 3, 0.3, 1 - 2 / 3 - 0.3]]))
    with pytest.raises(
        InfeasibleError, match=r"two-nights: a of decision 1 \(2001-01-04\): 0.67; expected at most 0.5"
    ):
        PORTFOLIO.check(period, np.array([[0.5, 0, 0.5], [0.67, 0, 0.33]]))
    short = two_nights(minimum_cash=0.5)
    PORTFOLIO.check(short, np.array([[0.5, 0, 0.5], [0, 2 / 3, 1 / 3]]))
    with pytest.raises(InfeasibleError, match=r"cash of decision 1 .*: 0.33; expected at least 0.5"):
        PORTFOLIO.check(short, np.array([[0.5, 0, 0.5], [0.67, 0, 0.33]]))


def test_float32_weights_are_accepted_and_make_no_money():
    weights = np.random.default_rng(0).dirichlet(np.ones(21), 500)
    period = PORTFOLIO.generate(np.random.default_rng(1), assets=20, days=500)
    PORTFOLIO.check(period, weights.astype(np.float32))
    exact, rounded = PORTFOLIO.cost(period, weights), PORTFOLIO.cost(period, weights.astype(np.float32))
    assert rounded == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("solution", "said"),
    [
        (HALF[:1], r"weights of shape \(1, 3\)"),
        (HALF.astype(int), "int64"),
        ([[0.5, 0.0, 0.4], [0.0, 1.0, 0.0]], r"the weights of decision 0 \(2001-01-03\): 0.9; expected 1 in all"),
        ([[0.5, np.nan, 0.5], [0.0, 1.0, 0.0]], "the weights of decision 0"),
        ([[0.5, 0.0, 0.5], [1.1, -0.1, 0.0]], r"b of decision 1 \(2001-01-04\): -0.1; expected at least 0"),
        ([[1.2, 0.0, -0.2], [0.0, 1.0, 0.0]], "a of decision 0 .*: 1.2; expected at most 1, the cap"),
        ([[0.6, 0.6, -0.2], [0.0, 1.0, 0.0]], "cash of decision 0 .*: -0.2; expected at least 0"),
    ],
)
def test_weights_that_break_a_limit_are_refused(solution, said):
    with pytest.raises(InfeasibleError, match=said):
        PORTFOLIO.check(two_nights(), np.array(solution))


def test_too_much_turnover_is_refused():
    with pytest.raises(
        InfeasibleError, match=r"the turnover of decision 1 \(2001-01-04\): 1.66666667; expected at most 1"
    ):
        PORTFOLIO.check(two_nights(turnover=1.0), HALF)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"close": [[1, 3], [2, 4], [4, 0], [2, 8]]}, "close of b on 2001-01-04 is 0; expected a number above 0"),
        ({"low": [[1, 3], [2, np.nan], [4, 4], [2, 8]]}, "low of b on 2001-01-03 is nan"),
        ({"open": [[1, 3]]}, r"open of shape \(1, 2\); expected \(4, 2\)"),
        ({"dates": ["2001-01-02", "2001-01-04", "2001-01-03", "2001-01-05"]}, "2001-01-03 follows 2001-01-04"),
        ({"dates": ["2001-01-02", "2001-01-02", "2001-01-03", "2001-01-05"]}, "2001-01-02 follows 2001-01-02"),
        ({"dates": ["2001-01-02"]}, r"dates of shape \(1,\)"),
        ({"history": 0}, "history 0 of 4 rows; expected at least 1"),
        ({"history": 3}, "history 3 of 4 rows"),
        ({"assets": ("a", "a")}, "expected 2 different names"),
        ({"cash": [0.0]}, "expected 4 rates of a day"),
        ({"proportional_cost": 1.0}, "proportional_cost is 1.0; expected a number at least 0 and below 1"),
        ({"fixed_cost": -1.0}, "fixed_cost is -1.0"),
        ({"cap": 0.0}, "cap is 0.0; expected a number above 0"),
        ({"minimum_cash": np.nan}, "minimum_cash is nan; expected a number from -1000 to 1"),
        ({"minimum_cash": -1e9}, "minimum_cash is -1000000000.0; expected a number from -1000 to 1"),
        ({"cap": "much"}, "cap is 'much'; expected a number above 0"),
        ({"history": "one"}, "history one of 4 rows"),
        ({"history": np.nan}, "history nan of 4 rows"),
        (
            {"close": [[1, 3], [2, 4], [4, 1e101], [2, 8]]},
            "close of b on 2001-01-04 is 1e.101; expected one from 1e-100",
        ),
        (
            {"close": [[1, 3], [2, 4], [4, 4e7], [2, 8]]},
            "close of b on 2001-01-04 is 4e.07; expected within 1e.06 times",
        ),
        ({"close": [[1, 3], [2]]}, "close cannot be read as numbers"),
        ({"dates": ["2001-01-02", "tomorrow"]}, "dates cannot be read as dates"),
        ({"dates": np.arange(4)}, "dates cannot be read as dates"),
        ({"assets": 2}, "assets are 2; expected 2 different names"),
        ({"turnover": -0.1}, "turnover is -0.1"),
        ({"initial": [0.5, 0.6, 0.0]}, "expected 3 weights of sum 1, cash last"),
        ({"initial": [1.5, -0.5, 0.0]}, "expected 3 weights of sum 1"),
    ],
)
def test_periods_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(InputError, match=f"instance two-nights: .*{said}"):
        two_nights(**changes)


def test_random_periods():
    one, same = (PORTFOLIO.generate(np.random.default_rng(3), assets=4, days=2000) for _ in range(2))
    np.testing.assert_array_equal(one.close, same.close)
    assert (one.n_assets, one.n_days, one.history, len(one.dates)) == (4, 2000, 60, 2061)
    assert np.is_busday(one.dates).all()
    returns = np.diff(np.log(one.close), axis=0)
    assert np.corrcoef(returns.T)[np.triu_indices(4, 1)].min() > 0.05
    assert ((returns.std(0) * np.sqrt(252) > 0.09) & (returns.std(0) * np.sqrt(252) < 0.42)).all()
    with pytest.raises(InputError, match="days is 0"):
        PORTFOLIO.generate(np.random.default_rng(0), days=0)
    assert PROBLEMS.load("portfolio") is PORTFOLIO
    assert PORTFOLIO.sense == "maximize"


def test_a_trade_gives_what_the_weights_say_and_cash_the_rest():
    bought, cost = trade(two_nights(), np.array([0.0, 0.0, 1.0]), np.array([0.25, 0.75, 1e-7]))
    assert bought.sum() + cost == pytest.approx(1.0, rel=1e-15)
    assert bought[:2] == pytest.approx(np.array([0.25, 0.75]) / 1.01, rel=1e-15)
