"""``optgap/Portfolio-v0``: returns, observations, no look-ahead, episodes; the rest is in the conformance suite."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import portfolio_env_cases as cases
import pytest
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.dynamics.portfolio import FEATURES, REWARDS
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod, replay, wealth_path

LIMITED = {"cap": 0.4, "turnover": 0.3, "minimum_cash": 0.1, "fixed_cost": 1e-4}
BORROWED = {"minimum_cash": -0.5, "proportional_cost": 0.01, "cap": 0.8}
CASES: list[dict[str, Any]] = [
    {},
    LIMITED,
    BORROWED,
    {"action": "weights"},
    {"action": "weights", **LIMITED},
    {"action": "weights", **BORROWED},
    {"action": "weights", "projected": False},
    {"lag": 2, "proportional_cost": 0.0},
    {"lag": 1, **LIMITED},
]


@pytest.mark.parametrize("arguments", CASES)
def test_the_return_is_the_problems_cost_and_money_is_conserved(arguments: dict[str, Any]) -> None:
    for seed in range(3):
        env = cases.small(seed, **arguments)
        answers, info = cases.played(env, seed)
        period = env.unwrapped.batch.period(0)
        PORTFOLIO.check(period, info["solution"])
        total = sum(answer[1] for answer in answers[1:])
        assert total == pytest.approx(PORTFOLIO.cost(period, info["solution"]), rel=1e-11, abs=1e-13)
        told = replay(period, info["solution"])
        np.testing.assert_allclose([a[-1]["wealth"] for a in answers], told.wealth, rtol=1e-12)
        assert info["paid"] == pytest.approx(told.cost.sum(), rel=1e-9, abs=1e-12)
        assert info["turnover"] == pytest.approx(told.turnover.mean(), rel=1e-12)
        holdings = info["solution"] * (told.wealth[:-1] - told.cost)[:, None]
        gains = (holdings * (period.growth - 1)).sum()
        assert info["wealth"] == pytest.approx(1 + gains - info["paid"], rel=1e-12)
        assert (answers[-1][2], answers[-1][3]) == (False, True)
        assert len(answers) == cases.DAYS + 1


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_observation_is_what_the_prices_say(lag: int) -> None:
    env = cases.small(lag=lag, features=FEATURES, minimum_cash=-0.2)
    answers, info = cases.played(env, 4)
    period = env.unwrapped.batch.period(0)
    drifted = replay(period, info["solution"]).drifted
    for t, answer in enumerate(answers[:-1]):
        if lag == 0:
            weights = drifted[t]
        else:  # after the trade at the latest close that is seen
            weights = info["solution"][t - lag] if t >= lag else np.eye(cases.ASSETS + 1)[-1]
        expected = cases.shown(period, t, FEATURES, cases.WINDOW, lag, weights[:-1])
        np.testing.assert_allclose(answer[0], expected, rtol=2e-6, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(CASES), st.sampled_from(REWARDS), st.integers(0, cases.DAYS))
def test_no_later_price_changes_what_was_seen_earned_or_decided(
    seed: int, arguments: dict[str, Any], reward: str, t: int
) -> None:
    env = cases.small(features=FEATURES, reward=reward, **arguments)
    lag = arguments.get("lag", 0)
    env.reset(seed=seed)
    period = env.unwrapped.batch.period(0)
    rng = np.random.default_rng(seed)
    now = period.history + t + 1  # rows from here on are the future of decision t
    channels = {}
    for name in ("open", "high", "low", "close"):
        channels[name] = getattr(period, name).copy()
        channels[name][now:] = rng.uniform(0.1, 1000, channels[name][now:].shape)
    cash = period.cash.copy()
    cash[now:] = rng.uniform(0, 0.1, len(cash[now:]))
    other = replace(period, cash=cash, **channels)
    both = [cases.played(env, seed, options={"instance": each}) for each in (period, other)]
    (first, info), (second, changed) = both
    for k in range(t + lag + 1):
        if k < min(len(first), len(second)):
            np.testing.assert_array_equal(first[k][0], second[k][0])
    assert [a[1] for a in first[1 : t + 1]] == [a[1] for a in second[1 : t + 1]]
    np.testing.assert_array_equal(info["solution"][: t + 1], changed["solution"][: t + 1])
    if t < cases.DAYS:  # and there is a future that differs
        assert not np.array_equal(wealth_path(period, info["solution"]), wealth_path(other, info["solution"]))


def test_episodes_begin_anywhere_inside_their_days_with_history_before_and_end_inside() -> None:
    dates = cases.prices().dates
    env = cases.small(begin=str(dates[20]), end=str(dates[39]), lag=2)
    firsts = set()
    for seed in range(200):
        env.reset(seed=seed)
        period = env.unwrapped.batch.period(0)
        assert period.history == cases.WINDOW + 2
        assert len(period.dates) == cases.WINDOW + 2 + cases.DAYS + 1
        firsts.add(period.dates[period.history])
        assert period.dates[-1] <= dates[39]
    assert sorted(firsts) == list(dates[20 : 39 - cases.DAYS + 1])
    whole = cases.small(begin=str(dates[20]), end=str(dates[39]), episode=None)
    whole.reset(seed=0)
    period = whole.unwrapped.batch.period(0)
    assert (period.dates[period.history], period.dates[-1], period.n_days) == (dates[20], dates[39], 19)
    whole = cases.small(episode=None)  # the first day with enough history
    whole.reset(seed=0)
    assert whole.unwrapped.batch.period(0).n_days == cases.ROWS - 1 - cases.WINDOW


def test_ruin_terminates() -> None:
    close = np.full((cases.WINDOW + 6, 2), 10.0)
    close[cases.WINDOW + 3 :, 0] = 4.0
    dates = np.busday_offset("2001-01-01", np.arange(len(close)), roll="forward")
    rules = {"minimum_cash": -1.0, "proportional_cost": 0.0, "cap": 2.0}
    period = TradingPeriod(name="crash", dates=dates, close=close, history=cases.WINDOW, **rules)
    data = {"prices": cases.prices(assets=2)}
    env = cases.small(action="weights", **rules, **data)
    env.reset(options={"instance": period})
    action, rewards = np.array([2.0, 0.0, -1.0], np.float32), []
    for _ in range(3):
        observation, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
    assert rewards == [0.0, 0.0, math.log(1e-6)]
    assert (terminated, truncated, info["wealth"]) == (True, False, 0.0)
    assert np.isfinite(observation).all()
    assert info["solution"].tolist() == [[2, 0, -1], [2, 0, -1], [2, 0, -1], [0, 0, 1], [0, 0, 1]]
    PORTFOLIO.check(period, info["solution"])
    assert PORTFOLIO.cost(period, info["solution"]) == -math.inf
    env = cases.small(action="weights", fixed_cost=0.6, **data)  # costs that cannot be paid
    env.reset(seed=0)
    *_, terminated, truncated, info = env.step(np.array([0.5, 0.5, 0.0], np.float32))
    assert (terminated, truncated, info["wealth"], info["paid"]) == (True, False, 0.0, 1.0)


def test_periods_of_any_length_are_played_side_by_side_as_alone() -> None:
    rng = np.random.default_rng(0)
    lengths = (7, 12, 20, 7)
    periods = [PORTFOLIO.generate(rng, assets=cases.ASSETS, days=days, history=6) for days in lengths]
    periods[3] = replace(periods[3], proportional_cost=0.02, cap=0.3, initial=np.full(5, 0.2))
    arguments = {"prices": cases.prices()} | cases.SMALL
    vector = gym.make_vec("optgap/Portfolio-v0", 4, vectorization_mode="vector_entry_point", **arguments)
    single: Any = gym.make("optgap/Portfolio-v0", **arguments)
    vector.reset(seed=0)
    for order in (periods, periods[::-1]):
        seen, _ = vector.reset(options={"instances": order})
        told, actions = [seen], rng.uniform(-10, 10, (25, 4, 5)).astype(np.float32)
        solutions: dict[int, Any] = {}
        for action in actions:
            seen, _, _, ended, info = vector.step(action)
            told.append(seen)
            for b in np.flatnonzero(ended).tolist():
                solutions.setdefault(b, info["solution"][b])
        for b, period in enumerate(order):
            seen, _ = single.reset(options={"instance": period})
            for t in range(period.n_days):
                np.testing.assert_array_equal(seen, told[t][b])
                seen, *_, info = single.step(actions[t, b])
            np.testing.assert_array_equal(info["solution"], solutions[b])
            PORTFOLIO.check(period, info["solution"])
    assert solutions[0][0, :-1].max() <= 0.3 < solutions[1][:, :-1].max()  # each by its own limits


def test_an_episode_goes_on_from_a_pickle() -> None:
    env = cases.small(reward="differential-sharpe")
    env.reset(seed=0)
    action = np.linspace(-1, 1, cases.ASSETS + 1).astype(np.float32)
    env.step(action)
    again = pickle.loads(pickle.dumps(env))  # noqa: S301  (our own)
    assert data_equivalence(env.step(action), again.step(action), exact=True)


def test_the_built_in_prices_are_played_before_2012() -> None:
    pytest.importorskip("skfolio")
    env: Any = gym.make("optgap/Portfolio-v0", episode=None)
    observation, _ = env.reset(seed=0)
    period = env.unwrapped.batch.period(0)
    assert observation.shape == (2, 51, 20)
    assert (str(period.dates[0]), str(period.dates[-1])) == ("1990-01-02", "2011-12-30")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reward": "sharpe"}, "reward is 'sharpe'; expected one of log-return, differential-sharpe"),
        ({"action": "logits"}, "action is 'logits'; expected one of softmax, weights"),
        ({"features": ["close", "volume"]}, "features are"),
        ({"features": []}, "expected some of return, close"),
        ({"window": 1}, "window is 1; expected a whole number of at least 2"),
        ({"lag": -1}, "lag is -1"),
        ({"episode": 0}, "episode is 0"),
        (
            {"window": 50},
            "random: 9 days of trade until .*, after begin and 50 days of history .*; expected at least 12",
        ),
        ({"begin": "2001-03-15"}, "expected at least 12"),
        ({"begin": "yesterday"}, "begin is 'yesterday'; expected a date"),
        ({"begin": None, "end": "1999-01-01"}, "random: no prices"),
        ({"begin": "2001-03-02", "end": "2001-03-01"}, "begin is 2001-03-02 and end is 2001-03-01; expected a begin"),
        ({"minimum_cash": -1e9}, "minimum_cash is -1000000000.0; expected a number of at least -1000"),
        ({"assets": ["A", "Z"]}, "no asset 'Z'"),
        ({"logit_low": 5.0, "logit_high": 5.0}, "logit_high is 5.0; expected a number above logit_low"),
        ({"proportional_cost": 1.0}, "proportional_cost is 1.0"),
        ({"turnover": 0}, "turnover is 0"),
        ({"cap": math.nan}, "cap is nan"),
        ({"minimum_cash": 1.0}, "minimum_cash is 1.0"),
        ({"decay": 0.0}, "decay is 0.0"),
        ({"risk_level": 1.0}, "risk_level is 1.0"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        cases.small(**arguments)
    assert "\n" not in str(error.value)


def test_instances_that_cannot_be_played_are_refused() -> None:
    env = cases.small(features=("return", "high"))
    rng = np.random.default_rng(0)
    for period, said in (
        (PORTFOLIO.generate(rng, assets=3, days=5, history=9), "has 3 assets; the environment holds 4"),
        (PORTFOLIO.generate(rng, assets=4, days=5, history=4), "has history 4; expected at least 5"),
        (PORTFOLIO.generate(rng, assets=4, days=5, history=9), "has no prices 'high'"),
        (3, "is a int; the environment plays a TradingPeriod"),
    ):
        with pytest.raises(InputError, match=said):
            env.reset(options={"instance": period})


def test_a_feature_without_prices_is_refused() -> None:
    with pytest.raises(InputError, match="feature 'open': the prices have no such column"):
        gym.make("optgap/Portfolio-v0", prices="markov", features=("open",))
