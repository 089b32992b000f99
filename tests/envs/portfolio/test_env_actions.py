"""Actions and rewards of ``optgap/Portfolio-v0``, and its pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import portfolio_env_cases as cases
import pytest

from optgap.co.core import InvalidActionError
from optgap.co.problems.portfolio import replay
from optgap.envs.portfolio.config import PortfolioConfig

EQUAL = np.full(cases.ASSETS + 1, 1 / (cases.ASSETS + 1), np.float32)


def first_weights(env: Any, action: Any) -> np.ndarray:
    """After the first trade of an episode."""
    env.reset(seed=0)
    env.step(np.array(action, np.float32))
    return np.asarray(env.unwrapped.batch.solution(0)[0])


def test_logits_are_clipped_and_their_softmax_is_the_target() -> None:
    env = cases.small()
    assert (env.action_space.low == -10).all()
    assert (env.action_space.high == 10).all()
    for logits in ([1.0, 2.0, -1.0, 0.0, 0.5], [50.0, 0, 0, 0, -50]):
        shares = np.exp(np.clip(logits, -10, 10))
        np.testing.assert_allclose(first_weights(env, logits), shares / shares.sum(), rtol=1e-6, atol=1e-15)
    papers = cases.small(prices=cases.prices(assets=8), logit_low=0.0, logit_high=1.0)
    weights = first_weights(papers, [5.0] + [-5.0] * 8)
    assert weights[0] == pytest.approx(math.e / (math.e + 8))  # of 11 assets and cash: 21%
    borrowed = first_weights(cases.small(minimum_cash=-1.0, cap=2.0), [0, 0, 0, 0, -10.0])
    np.testing.assert_allclose(borrowed, [0.5, 0.5, 0.5, 0.5, -1.0], atol=1e-4)


def test_weights_are_projected_or_refused() -> None:
    env = cases.small(action="weights", cap=0.4)
    np.testing.assert_allclose(first_weights(env, [1.0, 0.3, 0, 0, 0]), [0.4, 0.375, 0.075, 0.075, 0.075], atol=1e-7)
    strict = cases.small(action="weights", cap=0.4, projected=False, turnover=0.7)
    untouched = cases.small(action="weights", cap=0.4, projected=False, turnover=0.7)
    for each in (strict, untouched):
        each.reset(seed=0)
    for action, said in (
        ([0.5, 0, 0, 0, 0.5], r"from 0 to 0.4 and of cash from 0, or as they were"),
        ([-0.01, 0, 0, 0, 1.01], r"from 0 to 0.4"),
        ([0.4, 0.2, 0.2, 0.4, -0.2], r"cash from 0"),
        ([0.1, 0.1, 0.1, 0.1, 0.5], r"weights of sum 1 \(projected=True"),
        ([0.3, 0.3, 0.2, 0.0, 0.2], r"changes of the assets' weights of at most 0.7 in all"),
        ([np.nan, 0, 0, 0, 1], r"numbers in -1e\+06..1e\+06"),
        ([0, 0, 0, 0, 1e7], r"numbers in"),
    ):
        with pytest.raises(InvalidActionError, match=f"copy 0; expected .*{said}") as error:
            strict.step(np.array(action))
        assert "\n" not in str(error.value)
    for _ in range(3):
        answers = [each.step(np.array([0.2, 0.2, 0.2, 0.0, 0.4], np.float32)) for each in (strict, untouched)]
        np.testing.assert_array_equal(answers[0][0], answers[1][0])
    for logits in (np.full(5, np.nan), np.full(5, np.inf)):
        env = cases.small()
        env.reset(seed=0)
        with pytest.raises(InvalidActionError, match="expected numbers"):
            env.step(logits)


def test_the_weights_that_are_seen_mean_no_trade_and_cost_nothing() -> None:
    env = cases.small(action="weights", fixed_cost=0.01, proportional_cost=0.1)
    env.reset(seed=0)
    seen, *_, info = env.step(EQUAL)
    paid = info["paid"]
    for _ in range(4):
        held = seen[0, -1]
        seen, *_, info = env.step(np.append(held, 1 - held.sum()))
    assert info["paid"] == pytest.approx(paid, rel=1e-14)  # a fixed cost would be 0.01
    assert info["turnover"] == pytest.approx(0.8 / 5, rel=1e-6)


def wealth_returns(env: Any, seed: int) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Rewards, simple returns and excess returns of random actions over an episode."""
    answers, info = cases.played(env, seed)
    period = env.unwrapped.batch.period(0)
    wealth = replay(period, info["solution"]).wealth
    simple = wealth[1:] / wealth[:-1] - 1
    return [answer[1] for answer in answers[1:]], simple, simple - period.cash[period.history + 1 :]


@pytest.mark.parametrize("seed", range(3))
def test_the_differential_sharpe_ratio_is_the_derivative_of_the_sharpe_ratio(seed: int) -> None:
    rewards, _, excess = wealth_returns(cases.small(reward="differential-sharpe", decay=0.1), seed)
    A, B = 0.0, 1e-4
    for reward, R in zip(rewards, excess, strict=True):
        step = 1e-6

        def sharpe(rate: float, R: float = R, A: float = A, B: float = B) -> float:
            first, second = A + rate * (R - A), B + rate * (R * R - B)
            return float(first / math.sqrt(second - first**2))

        assert reward == pytest.approx((sharpe(step) - sharpe(-step)) / (2 * step), rel=1e-5, abs=1e-7)
        A, B = A + 0.1 * (R - A), B + 0.1 * (R * R - B)


@pytest.mark.parametrize("seed", range(3))
def test_the_average_sharpe_ratio_is_that_of_the_days_so_far(seed: int) -> None:
    rewards, _, excess = wealth_returns(cases.small(reward="average-sharpe"), seed)
    expected = [0.0] + [
        math.sqrt(252) * excess[:k].mean() / excess[:k].std(ddof=1) / cases.DAYS for k in range(2, cases.DAYS + 1)
    ]
    np.testing.assert_allclose(rewards, expected, rtol=1e-9)


def test_the_risk_penalty_comes_to_the_conditional_value_at_risk() -> None:
    weight, level = 0.7, 0.9
    env = cases.small(reward="cvar", risk_weight=weight, risk_level=level, prices=cases.prices(rows=6000), episode=None)
    env.reset(seed=0)
    env.action_space.seed(0)
    rewards, wealth, at_risk = [], [1.0], 0.015
    done = False
    while not done:
        _, reward, _, done, info = env.step(np.zeros(cases.ASSETS + 1, np.float32))
        rewards.append(reward)
        wealth.append(info["wealth"])
    log_returns = np.diff(np.log(wealth))
    for reward, r in zip(rewards, log_returns.tolist(), strict=True):
        penalty = at_risk + max(0.0, -r - at_risk) / (1 - level)
        assert reward == pytest.approx(r - weight * penalty, rel=1e-9, abs=1e-11)
        at_risk += 0.002 * level if -r > at_risk else -0.002 * (1 - level)
    losses = np.sort(-log_returns)[::-1]
    worst = losses[: round((1 - level) * len(losses))].mean()  # CVaR of the losses
    found = (log_returns.mean() - np.mean(rewards)) / weight
    assert worst <= found <= 1.05 * worst  # z is near the value at risk, not at it


def test_cash_alone_earns_its_interest_and_no_reward_for_risk() -> None:
    for reward in ("log-return", "differential-sharpe", "average-sharpe"):
        env = cases.small(action="weights", reward=reward)
        env.reset(seed=0)
        period = env.unwrapped.batch.period(0)
        cash = np.eye(cases.ASSETS + 1, dtype=np.float32)[-1]
        rewards = [env.step(cash)[1] for _ in range(cases.DAYS)]
        interest = np.log1p(period.cash[period.history + 1 :])
        np.testing.assert_allclose(rewards, interest if reward == "log-return" else 0.0, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("action", ["softmax", "weights"])
def test_baselines_hold_equal_weights_or_cash(action: str) -> None:
    config = PortfolioConfig(action=action, prices=cases.prices(), **cases.SMALL)
    policies = config.baselines()
    env: Any = config.make()
    for name, expected in (("equal-weight", [0.25] * 4 + [0.0]), ("cash", [0.0] * 4 + [1.0])):
        observation, _ = env.reset(seed=0)
        env.step(policies[name](observation[None], None)[0])
        np.testing.assert_allclose(env.unwrapped.batch.solution(0)[0], expected, atol=1e-7)


def test_pictures_show_every_day() -> None:
    env = cases.small(render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(np.zeros(cases.ASSETS + 1, np.float32))
    after = env.render()
    assert before.shape == after.shape
    assert before.dtype == np.uint8
    assert (before != after).any()
    text = cases.small(render_mode="ansi", action="weights")
    text.reset(seed=0)
    assert "day 0 of 12" in text.render()
    _, _, _, _, info = text.step(np.array([0.0, 0.75, 0.25, 0.0, 0.0], np.float32))
    lines = text.render().splitlines()
    assert "day 1 of 12" in lines[0]
    assert f"wealth {info['wealth']:.4f}" in lines[0]
    assert [line.split()[:2] for line in lines[1:3]] == [["B", "75.00%"], ["C", "25.00%"]]
