"""Advantages of bonuses: by hand, against a sum over the future, and combined with those of the reward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.agents.common.gae import generalized_advantages
from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.exploration.agents import ExploringA2C, ExploringPPO
from optgap.agents.exploration.config import ExploringA2CConfig, ExploringPPOConfig
from optgap.agents.exploration.explorer import intrinsic_advantages
from optgap.envs.gym_config import GymConfig

CHAIN = GymConfig("optgap-test/Chain-v0")


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def rollout_of(valid: np.ndarray) -> RolloutBuffer:
    rollout = RolloutBuffer(*valid.shape)
    rollout.valid[:] = valid
    return rollout


def test_goes_on_over_an_end_by_hand():
    """Step 1 ends an episode, step 2 only resets (its value of 50 counts nowhere), step 3 begins the next one.

    gamma 1/2, lambda 1/2: A_3 = 4 + 0.5 * 6 - 2 = 5; A_1 = 2 + 0.5 * V_3 - V_1 + 0.25 * A_3 = 2 + 1 - 3 + 1.25 = 1.25;
    A_0 = 1 + 0.5 * V_1 - V_0 + 0.25 * A_1 = 1 + 1.5 - 1 + 0.3125 = 1.8125.
    """
    rollout = rollout_of(np.array([[True], [True], [False], [True]]))
    advantages, returns = intrinsic_advantages(rollout, column(1, 2, 0, 4), column(1, 3, 50, 2, 6), 0.5, 0.5)
    np.testing.assert_array_equal(advantages, column(1.8125, 1.25, 0, 5))
    np.testing.assert_array_equal(returns[rollout.valid], [2.8125, 4.25, 7.0])
    assert advantages.dtype == returns.dtype == np.float32


def test_ends_with_an_episode_by_hand():
    """As above, but terminated: A_3 = 5; A_1 = 2 - 3 = -1; A_0 = 1.5 - 0.25 = 1.25. Through the agent's own batch."""
    config = ExploringPPOConfig(
        two_headed=True, num_envs=1, rollout_length=4, gamma=0.0, intrinsic_gamma=0.5, gae_lambda=0.5, episodic=True,
        extrinsic_coefficient=2.0, bonus_coefficient=3.0,
    )  # fmt: skip
    for episodic, expected in ((True, [1.25, -1.0, 5.0]), (False, [1.8125, 1.25, 5.0])):
        config.intrinsic_episodic = episodic
        agent = ExploringPPO(CHAIN, config)
        rollout = RolloutBuffer(4, 1, 1)
        own, values = (1.0, 3.0, 50.0, 2.0), (0.5, 0.25, 7.0, 0.125)
        for t in range(4):
            streams = np.array([[own[t]]], np.float32)
            decision = Decision(np.array([0]), np.zeros(1), np.array([values[t]], np.float32), streams)
            rollout.decide(t, np.array([t]), None, decision, np.array([t != 2]))
            bonus = np.array([[(1.0, 2.0, 0.0, 4.0)[t]]])
            rollout.outcome(t, np.array([1.0 * (t != 2)]), np.array([t == 1]), np.array([False]), bonus)
        rollout.stream_values[4] = 6.0
        batch = agent._batch(rollout)
        np.testing.assert_array_equal(batch.stream_advantages[:, 0], expected)
        np.testing.assert_array_equal(batch.stream_returns[:, 0], np.add(expected, [1.0, 3.0, 2.0]))
        extrinsic = 1.0 - np.array([0.5, 0.25, 0.125])  # gamma is 0
        np.testing.assert_array_equal(batch.advantages, 2.0 * extrinsic + 3.0 * np.array(expected))
        np.testing.assert_array_equal(batch.returns, [1.0, 1.0, 1.0])


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_is_a_sum_over_the_future(seed, gamma, gae_lambda):
    """Without the steps that only reset, it is GAE of one episode that never ends, of each copy."""
    rng = np.random.default_rng(seed)
    valid = rng.random((12, 3)) < 0.8
    bonus, values = rng.normal(size=(12, 3)) * valid, rng.normal(size=(13, 3))
    found, returns = intrinsic_advantages(
        rollout_of(valid), bonus.astype(np.float32), values.astype(np.float32), gamma, gae_lambda
    )
    assert not found[~valid].any()
    np.testing.assert_allclose(returns[valid], (found + values[:-1])[valid], atol=1e-5)
    for b in range(3):
        rows = np.flatnonzero(valid[:, b])
        V = np.append(values[rows, b], values[-1, b])
        delta = bonus[rows, b] + gamma * V[1:] - V[:-1]
        expected = [
            sum((gamma * gae_lambda) ** (k - t) * delta[k] for k in range(t, len(rows))) for t in range(len(rows))
        ]
        np.testing.assert_allclose(found[rows, b], expected, atol=1e-4)


@pytest.mark.parametrize("agent_class", [ExploringPPO, ExploringA2C])
def test_a_head_of_its_own_learns_the_bonus(agent_class):
    """Episodes in which each visit counts 1, 1/sqrt(2), ...: the head's values fit their own returns, not the reward's."""
    settings = {"two_headed": True, "intrinsic_gamma": 0.0, "num_envs": 8, "learning_rate": 1e-2, "hidden_sizes": [16]}
    config = (ExploringPPOConfig if agent_class is ExploringPPO else ExploringA2CConfig)(
        bonus="first-visit", **settings
    )
    agent = agent_class(GymConfig("optgap-test/Chain-v0", {"paid": False}), config).learn(6000)
    outputs = agent.approximator.predict(np.arange(5))
    assert abs(outputs.values).max() < 0.1
    assert outputs.streams[:, 0].mean() > 0.3


def test_without_ends_both_kinds_agree():
    rng = np.random.default_rng(0)
    bonus, values = rng.normal(size=(9, 2)).astype(np.float32), rng.normal(size=(10, 2)).astype(np.float32)
    never, valid = np.zeros((9, 2), bool), np.ones((9, 2), bool)
    one = intrinsic_advantages(rollout_of(valid), bonus, values, 0.9, 0.8)
    other = generalized_advantages(bonus, values, never, never, valid, 0.9, 0.8)
    np.testing.assert_allclose(one, other, atol=1e-5)
