"""Strategies see the past alone; what they do with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod, replay
from optgap.envs.portfolio.backtest import strategy_player
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.strategies import AllCash, BuyAndHold, ConstantWeights, equal_weight
from optgap.envs.portfolio.strategy import STRATEGIES, play, prices_of


def period(seed: int = 0, **rules: object) -> TradingPeriod:
    return PORTFOLIO.generate(np.random.default_rng(seed), assets=4, days=30, history=20, **rules)


class Spy:
    """Writes down what it is shown, and spoils it."""

    name = "spy"

    def __init__(self) -> None:
        self.shown: list[Prices] = []

    def fit(self, history: Prices) -> None:
        pass

    def weights(self, past: Prices, holdings: np.ndarray) -> np.ndarray:
        self.shown.append(past)
        holdings[:] = 0.2
        return holdings


class Fixed(Spy):
    """Answers what it was given, whatever it is."""

    def __init__(self, answer: list[float] | str) -> None:
        super().__init__()
        self.answer = answer

    def weights(self, past: Prices, holdings: np.ndarray) -> Any:
        return self.answer


def test_past_ends_at_the_decision_and_leads_nowhere() -> None:
    instance, spy = period(), Spy()
    weights = play(spy, instance, every=7)
    assert [len(past) for past in spy.shown] == [21, 28, 35, 42, 49]  # history, and the decision's own close
    for past, t in zip(spy.shown, range(0, 30, 7), strict=True):
        assert past.dates[-1] == instance.dates[instance.history + t]
        for array in (past.dates, past.close, past.cash):
            assert array.base is None  # no view: nothing is left of the rows that were cut off
            assert not np.shares_memory(array, instance.close)
        np.testing.assert_array_equal(past.close, instance.close[: len(past)])
    np.testing.assert_allclose(weights[::7], 0.2)  # what it wrote into its holdings moved no money
    PORTFOLIO.check(instance, weights)


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_shuffling_the_future_changes_no_past_weight(name: str) -> None:
    if name not in ("equal-weight", "buy-and-hold", "all-cash"):
        pytest.importorskip("skfolio")
    build = STRATEGIES.load(name)
    arguments = {} if name in ("equal-weight", "buy-and-hold", "all-cash") else {"window": 60}
    # cash is so bad that no strategy keeps to it
    instance = PORTFOLIO.generate(np.random.default_rng(5), assets=6, days=40, history=60, cash=-0.3)
    before = play(build(**arguments), instance, every=10)
    cut = 25  # decisions 0..cut see rows 0..history + cut
    last = instance.history + cut
    order = np.concatenate([np.arange(last + 1), last + 1 + np.random.default_rng(1).permutation(40 - cut)])
    other = play(
        build(**arguments), replace(instance, close=instance.close[order], cash=instance.cash[order]), every=10
    )
    np.testing.assert_array_equal(other[: cut + 1], before[: cut + 1])
    if name not in ("buy-and-hold", "all-cash"):
        assert not np.array_equal(other[cut + 1 :], before[cut + 1 :])  # it was not blind to them either


def test_equal_weight_restores_its_shares_on_the_calendar_alone() -> None:
    instance = period()
    played = replay(instance, weights := play(equal_weight(), instance, every=10))
    np.testing.assert_allclose(weights[[0, 10, 20]], [[0.25] * 4 + [0.0]] * 3, atol=1e-15)
    held = np.arange(30) % 10 != 0
    assert (played.turnover[~held] > 0).all()
    np.testing.assert_allclose(played.turnover[held], 0.0, atol=1e-14)
    np.testing.assert_allclose(played.cost[held], 0.0, atol=1e-16)


def test_buy_and_hold_trades_once() -> None:
    instance = period(fixed_cost=0.001, proportional_cost=0.01)
    played = replay(instance, play(BuyAndHold(), instance, every=5))
    assert np.count_nonzero(played.cost > 1e-12) == 1
    kept = played.wealth[0] - played.cost[0]
    expected = kept * (instance.close[instance.history :] / instance.close[instance.history]).mean(1)
    np.testing.assert_allclose(played.wealth[1:], expected[1:], rtol=1e-12)


def test_all_cash_earns_interest() -> None:
    instance = period(cash=0.05)
    wealth = replay(instance, play(AllCash(), instance)).wealth
    np.testing.assert_allclose(wealth, 1.05 ** (np.arange(31) / 252), rtol=1e-12)


def test_constant_weights() -> None:
    instance = period()
    weights = play(ConstantWeights("60/40", [0.6, 0.0, 0.0, 0.0, 0.4]), instance, every=1)
    np.testing.assert_allclose(weights, [[0.6, 0, 0, 0, 0.4]] * 30, atol=1e-15)
    with pytest.raises(InputError, match="strategy 60/40: 2 shares; expected 4 and cash"):
        play(ConstantWeights("60/40", [0.6, 0.4]), instance)


def test_targets_are_moved_to_the_limits() -> None:
    instance = period(cap=0.4, minimum_cash=0.1, turnover=0.5)
    weights = play(Fixed([1.0, 0.0, 0.0, 0.0, 0.0]), instance, every=3)
    PORTFOLIO.check(instance, weights)
    assert weights[0].max() == weights[0, -1]  # the turnover lets half of the wealth be invested at once
    assert 0.3 < weights[-1, 0] < 0.5
    assert weights[3:, -1].min() > 0.05


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5, 0.5], "strategy spy on 2000-01-31: weights of shape \\(2,\\); expected 5 numbers, cash last"),
        ([0.5, 0.5, 0.5, 0.0, 0.0], "least weight 0, sum 1.5; expected at least 0, sum 1"),
        ([1.5, -0.5, 0.0, 0.0, 0.0], "least weight -0.5, sum 1; expected at least 0, sum 1"),
        ([np.nan, 0.5, 0.5, 0.0, 0.0], "weights are .nan, 0.5, 0.5, 0.0, 0.0.; expected 5 numbers"),
        ("all", "strategy spy on 2000-01-31: weights are 'all'; expected 5 numbers"),
    ],
)
def test_bad_weights_name_strategy_and_date(answer: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        play(Fixed(answer), period())


def test_a_strategy_that_fails_is_named_with_date_and_place() -> None:
    class Broken:
        name = "broken"

        def fit(self, history: Prices) -> None:
            raise ZeroDivisionError("no days")

        def weights(self, past: Prices, holdings: np.ndarray) -> np.ndarray:
            return past.close[-999]

    with pytest.raises(
        InputError, match=r"strategy broken on 2000-01-31: IndexError: .* \(test_strategies.py, line \d+"
    ):
        play(Broken(), period())
    with pytest.raises(InputError, match=r"broken, fit up to 2000-03-13: ZeroDivisionError: no days \(test_strategies"):
        strategy_player(Broken())(prices_of(period()), period())


def test_calendar_has_at_least_a_day() -> None:
    with pytest.raises(InputError, match="every is 0; expected at least 1 trading day"):
        play(AllCash(), period(), every=0)


def test_ruin_ends_the_play() -> None:
    instance = replace(period(fixed_cost=0.6), proportional_cost=0.0)
    weights = play(equal_weight(), instance)
    assert replay(instance, weights).wealth[-1] == 0
    np.testing.assert_array_equal(weights[1:, -1], 1.0)


def test_prices_of_a_period() -> None:
    instance = period(cash=0.03)
    prices = prices_of(instance)
    np.testing.assert_array_equal(prices.close, instance.close)
    np.testing.assert_array_equal(prices.cash, instance.cash)
    assert prices.assets == instance.assets
    assert len(prices) == 51
