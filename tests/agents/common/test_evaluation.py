"""Whole episodes, as many in each copy of the environment, so that their mean is no mean of the quickest ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from optgap.agents.common.evaluation import play_episodes
from optgap.co.core import PROBLEMS
from optgap.envs.gym_config import GymConfig
from optgap.envs.routing.config import TSPConfig


class Lottery(gym.Env):
    """Episodes of one step, or of nine, at even odds; reward 1 a step for action 1."""

    observation_space = spaces.Discrete(10)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 1 if self.np_random.random() < 0.5 else 9
        return np.int64(self.left), {}

    def step(self, action):
        self.left -= 1
        return np.int64(self.left), float(action), self.left == 0, False, {}


if "optgap-test/Lottery-v0" not in gym.registry:
    gym.register("optgap-test/Lottery-v0", entry_point=Lottery)
CONFIG = GymConfig("optgap-test/Lottery-v0")


def always(action: int) -> Any:
    return lambda observation, masks: np.full(len(observation), action)


@pytest.mark.parametrize("count", [1, 5, 16, 37])
def test_as_many_whole_episodes_as_asked(count):
    found = play_episodes(always(1), CONFIG, count, seed=0)
    assert len(found.returns) == len(found.lengths) == count
    assert set(found.lengths) <= {1, 9}
    np.testing.assert_array_equal(found.returns, found.lengths)  # the reset steps between episodes are no steps
    again = play_episodes(always(1), CONFIG, count, seed=0)
    np.testing.assert_array_equal(found.returns, again.returns)


def test_short_episodes_count_no_more_than_long_ones():
    found = play_episodes(always(1), CONFIG, 1600, seed=1)
    assert abs(found.lengths.mean() - 5) < 0.4  # the first 1600 to end would have a mean near 3


def test_random_actions_are_allowed_ones_and_follow_the_seed():
    found = play_episodes(None, CONFIG, 800, seed=0)
    assert abs(found.returns.sum() / found.lengths.sum() - 0.5) < 0.05
    masked = GymConfig("optgap-test/MaskedChoice-v0")  # raises at a forbidden action
    assert len(play_episodes(None, masked, 20, seed=0).returns) == 20
    first, second = (play_episodes(None, masked, 20, seed=3).returns for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_it_can_be_stopped():
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_episodes(None, CONFIG, 1, seed=0, check=stop)


class Toll(gym.Env):
    """Episodes of 3 or 4 steps; a step costs its action, and twice its number from 1 on."""

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(2)
    cost_names = ("action", "number")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.length = 0, int(self.np_random.integers(3, 5))
        return np.int64(0), {}

    def step(self, action):
        self.count += 1
        cost = np.array([action, 2.0 * self.count])
        info = {"cost": cost, "number": float(self.count)}
        return np.int64(self.count), 1.0, False, self.count == self.length, info


if "optgap-test/Toll-v0" not in gym.registry:
    gym.register("optgap-test/Toll-v0", entry_point=Toll)


def test_costs_are_means_over_the_steps_of_an_episode():
    found = play_episodes(always(1), GymConfig("optgap-test/Toll-v0"), 21, seed=1)
    assert set(found.lengths) == {3, 4}
    np.testing.assert_allclose(found.costs[:, 0], 1.0)
    np.testing.assert_allclose(found.costs[:, 1], found.lengths + 1.0)
    assert play_episodes(always(1), CONFIG, 3, seed=0).costs is None


def test_figures_are_those_of_an_episodes_last_step():
    class Named(GymConfig):
        figures = ("number",)

    plain = play_episodes(always(0), GymConfig("optgap-test/Toll-v0"), 9, seed=1)
    found = play_episodes(always(0), Named("optgap-test/Toll-v0"), 9, seed=1)
    assert plain.figures == {}
    np.testing.assert_array_equal(found.figures["number"], found.lengths)


def test_a_judge_sees_what_each_episode_played():
    class Judged(TSPConfig):
        def judge(self, instance, solution):
            return {"cost": PROBLEMS.load("tsp").cost(instance, solution)}

    found = play_episodes(None, Judged(nodes=6), 10, seed=0)
    assert len(set(found.returns)) == 10
    np.testing.assert_allclose(found.figures["cost"], -found.returns)


def test_a_policy_is_told_where_episodes_begin():
    class Told:
        def __init__(self):
            self.begins = []

        def begin(self, begins):
            self.begins.append(begins.copy())

        def __call__(self, observation, masks):
            assert (observation[self.begins[-1]] == 0).all()  # the first observation of an episode
            assert (observation[~self.begins[-1]] > 0).all()
            return np.zeros(len(observation), np.int64)

    policy = Told()
    found = play_episodes(policy, GymConfig("optgap-test/Toll-v0"), 6, seed=3)
    assert sum(int(begins.sum()) for begins in policy.begins) == len(found.returns) == 6
