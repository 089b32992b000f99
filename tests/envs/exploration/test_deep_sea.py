"""Deep Sea follows bsuite's rules, and hides exactly one way to the treasure."""

from __future__ import annotations

from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.exploration.config import DeepSeaConfig
from optgap.envs.exploration.deep_sea import DeepSea, deep_sea
from optgap.envs.registry import ENVIRONMENTS

ID = "optgap/DeepSea-v0"


class PlainDeepSea:
    """The rules as bsuite states them (deterministic), one dive; a cell of row N is None."""

    def __init__(self, right: np.ndarray) -> None:
        self.right, self.size = right.tolist(), len(right)
        self.row = self.column = 0

    def step(self, action: int) -> tuple[int | None, float, bool]:
        reward = 0.0
        goes_right = action == self.right[self.row][self.column]
        if self.column == self.size - 1 and goes_right:
            reward += 1.0
        if goes_right:
            reward -= 0.01 / self.size
        self.column = max(0, min(self.size - 1, self.column + (1 if goes_right else -1)))
        self.row += 1
        ended = self.row == self.size
        return (None if ended else self.row * self.size + self.column), reward, ended


def dive(env: Any, actions: Any) -> tuple[list[float], dict[str, Any]]:
    """Rewards of a whole episode and what its last step says."""
    env.reset()
    rewards = []
    for t, action in enumerate(actions):
        _, reward, terminated, truncated, info = env.step(action)
        assert (terminated, truncated) == (t == len(actions) - 1, False)
        rewards.append(reward)
    return rewards, info


@pytest.mark.parametrize(
    ("actions", "rewards", "cells", "success"),
    [
        ((1, 1, 1), (-0.01 / 3, -0.01 / 3, 1 - 0.01 / 3), [0, 4, 8], 1.0),
        ((1, 1, 0), (-0.01 / 3, -0.01 / 3, 0), [0, 4, 8], 0.0),
        ((0, 0, 0), (0, 0, 0), [0, 3, 6], 0.0),
        ((0, 1, 1), (0, -0.01 / 3, -0.01 / 3), [0, 3, 7], 0.0),
        ((1, 0, 1), (-0.01 / 3, 0, -0.01 / 3), [0, 4, 6], 0.0),
    ],
)
def test_dives_of_three_steps_by_hand(actions, rewards, cells, success):
    env = DeepSeaConfig(size=3, mapping_seed=None).make()
    found, info = dive(env, actions)
    assert found == list(rewards)
    assert info["solution"].tolist() == cells
    assert info["cell"] == cells[-1]
    assert info["position"].tolist() == [cells[-1] % 3, 2]
    assert info["success"] == success


@pytest.mark.parametrize("mapping_seed", [None, 0, 1])
def test_one_way_of_all_leads_to_the_treasure(mapping_seed):
    env = DeepSeaConfig(size=4, mapping_seed=mapping_seed).make()
    found = {actions: dive(env, actions) for actions in product((0, 1), repeat=4)}
    returns = {actions: sum(rewards) for actions, (rewards, _) in found.items()}
    best = max(returns, key=lambda actions: returns[actions])
    assert returns[best] == pytest.approx(0.99, abs=1e-15)
    assert [actions for actions, (_, info) in found.items() if info["success"]] == [best]
    others = sorted((value for actions, value in returns.items() if actions != best), reverse=True)
    # k moves right of four, without the treasure: binomial(4, k) ways, at 0.0025 each; with four there is none
    assert others == pytest.approx([0.0] + 4 * [-0.0025] + 6 * [-0.005] + 4 * [-0.0075], abs=1e-15)
    right = deep_sea(4, mapping_seed).right
    assert best == tuple(right.diagonal().tolist())


@pytest.mark.parametrize("size", [2, 10, 30, 50])
def test_the_best_return_is_99_hundredths(size):
    env = DeepSeaConfig(size=size).make()
    rewards, info = dive(env, deep_sea(size, 0).right.diagonal())
    assert sum(rewards) == pytest.approx(0.99, abs=1e-14)
    assert info["success"] == 1.0


@pytest.mark.parametrize(("size", "mapping_seed"), [(2, 3), (5, None), (7, 0), (13, 42)])
def test_all_copies_follow_the_rules_of_bsuite(size, mapping_seed):
    copies, rng = 6, np.random.default_rng(size)
    vector = DeepSeaConfig(size=size, mapping_seed=mapping_seed).make_vec(copies)
    right = deep_sea(size, mapping_seed).right
    observation, info = vector.reset(seed=0)
    for _ in range(30):
        plain = [PlainDeepSea(right) for _ in range(copies)]
        # some dive at random, the others along the diagonal for a while, so that the corner is seen
        along = rng.integers(0, size + 1, copies)
        np.testing.assert_array_equal(observation, np.zeros(copies))
        assert not info["success"].any()
        for t in range(size):
            actions = np.where(t < along, right[t, t], rng.integers(0, 2, copies))
            last = observation
            observation, rewards, terminated, truncated, info = vector.step(actions)
            for i in range(copies):
                cell, reward, ended = plain[i].step(int(actions[i]))
                assert observation[i] == (last[i] if cell is None else cell)
                assert (rewards[i], terminated[i], truncated[i]) == (reward, ended, False)
                assert info["success"][i] == (reward > 0.5)
            np.testing.assert_array_equal(info["cell"], observation)
            np.testing.assert_array_equal(info["position"], np.stack([observation % size, observation // size], 1))
        observation, rewards, terminated, _, info = vector.step(np.full(copies, -1))  # only resets
        assert not rewards.any()
        assert not terminated.any()


def test_the_seed_of_the_mapping_changes_the_mapping_alone():
    seas = [deep_sea(20, seed).right for seed in range(5)]
    np.testing.assert_array_equal(seas[0], deep_sea(20, 0).right)
    for i, right in enumerate(seas):
        assert 0.4 < right.mean() < 0.6  # 400 fair coins
        for other in seas[:i]:
            assert 0.4 < (right != other).mean() < 0.6
    assert deep_sea(20, None).right.all()


def test_what_the_wrappers_read():
    single, vector = gym.make(ID, size=6), DeepSeaConfig(size=6).make_vec(3)
    assert single.unwrapped.grid_shape == vector.unwrapped.grid_shape == (6, 6)  # type: ignore[attr-defined]
    _, info = single.reset(seed=0)
    assert isinstance(info["cell"], int)
    assert isinstance(info["success"], float)
    assert (info["position"].dtype, info["position"].shape) == (np.float64, (2,))
    _, info = vector.reset(seed=0)
    shapes = {name: (info[name].dtype, info[name].shape) for name in ("cell", "position", "success")}
    assert shapes == {"cell": (np.int64, (3,)), "position": (np.float64, (3, 2)), "success": (np.float64, (3,))}
    assert ENVIRONMENTS.load("deepsea") is DeepSeaConfig
    assert DeepSeaConfig.figures == ("success",)


def test_a_sea_of_ones_own():
    right = np.zeros((4, 4), int)
    right[2] = 1
    env = DeepSeaConfig(size=4).make()
    env.reset(options={"instance": DeepSea(name="own", right=right)})
    rewards = [env.step(action)[1] for action in (0, 0, 1, 0)]
    assert sum(rewards) == pytest.approx(0.99)
    assert env.reset()[1]["instance"] == "deepsea-4-m0"  # the next one is the configured sea again
    with pytest.raises(InputError, match=r"expected a DeepSea of \(4, 4\)"):
        env.reset(options={"instance": deep_sea(5, 0)})
    with pytest.raises(InputError, match=r"expected \(N, N\)"):
        DeepSea(name="own", right=right[:3])
    with pytest.raises(InputError, match="expected actions 0 and 1"):
        DeepSea(name="own", right=right + 1)


@pytest.mark.parametrize(
    "arguments", [{"size": 1}, {"size": 101}, {"size": 10.0}, {"size": "10"}, {"mapping_seed": -1}]
)
def test_an_argument_out_of_its_range_is_one_line(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))) as error:
        gym.make(ID, **arguments)
    assert "\n" not in str(error.value)


def test_an_action_that_is_none_moves_no_copy():
    env, vector = gym.make(ID).unwrapped, DeepSeaConfig(size=5).make_vec(2)
    env.reset()
    for wrong in (2, -1, 1.0, None, [1]):
        with pytest.raises(InvalidActionError):
            env.step(wrong)
    before = vector.reset()[0]
    for actions in ([1, 2], [-1, 0], [0.0, 1.0], [1]):
        with pytest.raises(InvalidActionError):
            vector.step(np.array(actions))
    with pytest.raises(InvalidActionError, match="action 2 in copy 1; expected 0 or 1"):
        vector.step(np.array([1, 2]))
    np.testing.assert_array_equal(vector.unwrapped.batch.observation(), before)  # type: ignore[attr-defined]


def test_pictures():
    env = DeepSeaConfig(size=3, mapping_seed=None).make(render_mode="ansi")
    env.reset()
    env.step(1)
    assert env.render() == "deepsea-3: row 1 of 3, treasure 0\n.  \n A \n  G"
    env = DeepSeaConfig(size=3).make(render_mode="rgb_array")
    env.reset()
    picture: Any = env.render()
    assert (picture.shape, picture.dtype) == ((480, 480, 3), np.uint8)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 4  # free, passed, treasure, diver
