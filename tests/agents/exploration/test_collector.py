"""What a collector brings of ``info`` besides costs: bonuses as the last stream, and figures of episodes."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from optgap.agents.common.collector import Collector, figures_of
from optgap.agents.common.rollout import Decision
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig


class Told(gym.vector.VectorEnv):
    """Copy b plays b + 2 steps; the bonus is its time (99 where it only resets), its cost 10, its height 3 times its time."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, told: bool = True) -> None:
        self.num_envs, self.single_action_space, self.told = 2, spaces.Discrete(2), told

    def reset(self, *, seed=None, options=None):
        self.time, self.ended = np.zeros(2, np.int64), np.zeros(2, bool)
        return self.time.copy(), {}

    def step(self, actions):
        info = {"intrinsic_reward": np.where(self.ended, 99.0, self.time + 1.0)} if self.told else {}
        self.time = np.where(self.ended, 0, self.time + 1)
        self.ended = self.time == np.array([2, 3])
        info |= {"cost": np.full((2, 1), 10.0), "height": 3.0 * self.time}
        return self.time.copy(), np.ones(2), self.ended.copy(), np.zeros(2, bool), info


def act(observation, masks):
    return Decision(np.zeros(2, np.int64), np.zeros(2, np.float32), np.zeros(2, np.float32))


def collect(env, *arguments):
    collector = Collector(env, 6, lambda actions: actions, *arguments)
    collector.reset(0)
    return collector, *collector.collect(act)


def test_bonuses_are_the_last_stream():
    collector, rollout, metrics = collect(Told(), ("cost",), ("height",), True)
    assert rollout.streams.shape == (6, 2, 2)
    np.testing.assert_array_equal(rollout.streams[..., 1].T, [[1, 2, 0, 1, 2, 0], [1, 2, 3, 0, 1, 2]])
    np.testing.assert_array_equal(rollout.streams[..., 0], 10.0 * rollout.valid)
    np.testing.assert_array_equal(collector.observation, [0, 2])
    assert metrics["episode/height"] == (6 + 6 + 9) / 3
    assert metrics["cost/cost"] == 10.0
    assert "cost/intrinsic_reward" not in metrics


def test_no_bonus_told_is_a_stream_of_zeros():
    _, rollout, metrics = collect(Told(told=False), (), (), True)
    assert rollout.streams.shape == (6, 2, 1)
    assert not rollout.streams.any()
    assert "episode/height" not in metrics


def test_no_stream_unless_asked():
    assert collect(Told())[1].streams.shape == (6, 2, 0)


def test_a_figure_that_is_missing():
    with pytest.raises(InputError, match="info has no 'depth', a figure of its episodes"):
        collect(Told(), (), ("depth",))


def test_figures_of_a_configuration():
    assert figures_of(GymConfig("optgap-test/Chain-v0")) == ()
