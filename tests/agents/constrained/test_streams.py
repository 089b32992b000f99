"""Costs as further streams of a rollout: collected, given advantages and values of their own, refused when malformed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from optgap.agents.common.collector import Collector, costs_of
from optgap.agents.common.gae import generalized_advantages
from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.constrained.ppo import CLARA
from optgap.agents.nn.mlp import MLPActorCritic
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

NAMES = ("a", "b")
BUDGET = GymConfig("optgap-test/Budget-v0")


class Meter(gym.vector.VectorEnv):
    """Copy b plays b + 2 steps; costs are (time, 10 b), and nothing sensible in the steps that only reset."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self) -> None:
        self.num_envs, self.single_action_space = 2, spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.time, self.ended = np.zeros(2, np.int64), np.zeros(2, bool)
        return self.time.copy(), {}

    def step(self, actions):
        self.time = np.where(self.ended, 0, self.time + 1)
        costs = np.where(self.ended[:, None], np.nan, np.stack([self.time, 10 * np.arange(2)], 1))
        self.ended = self.time == np.arange(2) + 2
        return self.time.copy(), np.ones(2), np.zeros(2, bool), self.ended, {"cost": costs}


def act(observation, masks):
    values = np.stack([observation, -observation], 1).astype(np.float32)
    return Decision(np.zeros(2, np.int64), np.zeros(2, np.float32), np.zeros(2, np.float32), values)


def test_costs_are_collected_and_reset_steps_cost_nothing():
    collector = Collector(Meter(), 5, lambda actions: actions, NAMES)
    collector.reset(0)
    buffer, figures = collector.collect(act)
    np.testing.assert_array_equal(buffer.streams[:, 0], [[1, 0], [2, 0], [0, 0], [1, 0], [2, 0]])
    np.testing.assert_array_equal(buffer.streams[:, 1], [[1, 10], [2, 10], [3, 10], [0, 0], [1, 10]])
    np.testing.assert_array_equal(buffer.stream_values[:, 1, 0], [0, 1, 2, 3, 0, 1])
    assert figures["cost/a"] == pytest.approx((1 + 2 + 1 + 2 + 1 + 2 + 3 + 1) / 8)
    assert figures["cost/b"] == pytest.approx(40 / 8)


def random_buffer(seed: int, streams: int) -> RolloutBuffer:
    rng, buffer = np.random.default_rng(seed), RolloutBuffer(40, 3, streams)
    ended = np.zeros(3, bool)
    for t in range(40):
        numbers = rng.normal(size=(3, 2 + 2 * streams)).astype(np.float32)
        decision = Decision(np.zeros(3, np.int64), numbers[:, 0], numbers[:, 1], numbers[:, 2 : 2 + streams])
        buffer.decide(t, np.zeros(3), None, decision, ~ended)
        rewards = np.where(ended[:, None], 0.0, rng.normal(size=(3, 1 + streams)))
        terminated, truncated = (~ended & (rng.random(3) < 0.1) for _ in range(2))
        buffer.outcome(t, rewards[:, 0], terminated, truncated, rewards[:, 1:])
        ended = terminated | truncated
    return buffer


def test_every_stream_has_the_advantages_that_it_would_have_as_the_reward():
    buffer = random_buffer(0, 3)
    buffer.estimate_advantages(0.97, 0.9)
    for k in range(3):
        advantages, returns = generalized_advantages(
            buffer.streams[..., k], buffer.stream_values[..., k], buffer.terminated, buffer.truncated, buffer.valid, 0.97, 0.9
        )  # fmt: skip
        np.testing.assert_array_equal(buffer.stream_advantages[..., k], advantages)
        np.testing.assert_array_equal(buffer.stream_returns[..., k], returns)
    batch = buffer.batch("cpu")
    np.testing.assert_array_equal(batch.stream_advantages, buffer.stream_advantages[buffer.valid])
    chosen = batch.select(torch.tensor([3, 1]))
    assert torch.equal(chosen.stream_returns, batch.stream_returns[[3, 1]])


def test_without_streams_nothing_changes():
    """Reward and values as with streams beside them; a batch has no such fields."""
    plain, streamed = RolloutBuffer(40, 3), random_buffer(0, 3)
    for name in ("rewards", "values", "terminated", "truncated", "valid"):
        getattr(plain, name)[:] = getattr(streamed, name)
    plain.observations, plain.actions = streamed.observations, streamed.actions
    for buffer in (plain, streamed):
        buffer.estimate_advantages(0.97, 0.9)
    np.testing.assert_array_equal(plain.advantages, streamed.advantages)
    np.testing.assert_array_equal(plain.returns, streamed.returns)
    assert plain.batch("cpu").stream_advantages is plain.batch("cpu").stream_returns is None
    assert plain.streams.shape == (40, 3, 0)


def test_joined_rollouts_hold_the_streams_of_their_parts():
    parts = [random_buffer(1, 2), random_buffer(2, 2)]
    joined = RolloutBuffer.join(parts)
    np.testing.assert_array_equal(joined.streams, np.concatenate([part.streams for part in parts]))
    expected = np.concatenate([parts[0].stream_values[:-1], parts[1].stream_values])
    np.testing.assert_array_equal(joined.stream_values, expected)
    joined.estimate_advantages(0.9, 0.9)
    assert joined.stream_advantages.shape == (80, 3, 2)


def test_the_values_of_streams_are_a_perceptron_of_their_own():
    space = (spaces.Box(-1, 1, (4,)), spaces.Discrete(3))
    made = []
    for streams in (0, 2):
        torch.manual_seed(0)
        made.append(MLPActorCritic(*space, PPOConfig(hidden_sizes=[8]), streams))
    shown = torch.randn(5, 4)
    plain, streamed = made[0](shown), made[1](shown)
    assert len(plain) == 2
    assert all(torch.equal(one, other) for one, other in zip(plain, streamed[:2], strict=True))
    assert streamed[2].shape == (5, 2)
    streamed[2].sum().backward()
    assert all(parameter.grad is None for parameter in made[1].critic.parameters())


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({}, r"info has no 'cost'; expected \(num_envs, 2\) numbers: a, b"),
        ({"cost": np.zeros(3)}, r"has shape \(3,\); expected \(num_envs, 2\) numbers: a, b"),
        ({"cost": np.zeros((3, 1))}, r"has shape \(3, 1\); expected \(num_envs, 2\)"),
        ({"cost": [[1], [2, 3], []]}, r"info\['cost'\] is .*; expected \(num_envs, 2\) numbers"),
        ({"cost": np.array([[0, 0], [0, np.nan], [0, 0]])}, "cost 'b' of environment 1 is nan; expected a finite"),
    ],
)
def test_malformed_costs(info: dict[str, Any], message):
    with pytest.raises(InputError, match=message):
        costs_of(info, NAMES, np.array([True, True, False]))


def test_no_costs_are_needed_where_all_copies_only_reset():
    np.testing.assert_array_equal(costs_of({}, NAMES, np.zeros(3, bool)), np.zeros((3, 2)))


class NoStreams(MLPActorCritic):
    def __init__(self, observation_space, action_space, config) -> None:
        super().__init__(observation_space, action_space, config)


def test_policies_without_values_of_costs_are_refused():
    config = CLARA.config_class(policy=f"{__name__}:NoStreams")
    with pytest.raises(InputError, match="takes no argument 'streams', so it has no values of 2 costs; CLARA needs"):
        CLARA(BUDGET, config)
    with pytest.raises(InputError, match="has no cost_names"):
        CLARA(GymConfig("CartPole-v1"))
