"""What the buffer holds after the collector played: nothing shifted, nothing overwritten, reset steps set apart."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from optgap.agents.common.collector import Collector, mask_source
from optgap.agents.common.normalize import RewardScale
from optgap.agents.common.rollout import Decision, RolloutBuffer, minibatches
from optgap.co.core import InputError


class Counter(gym.vector.VectorEnv):
    """Copy b plays episodes of b + 2 steps; one buffer, overwritten at every step, shows (step, copy)."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 3) -> None:
        self.num_envs = num_envs
        self.single_action_space, self.action_space = spaces.Discrete(5), spaces.MultiDiscrete([5] * num_envs)
        self.seen = {"where": {"step": np.zeros(num_envs, np.int32)}, "wide": np.zeros((num_envs, 2, 1))}
        self.mask = np.ones((num_envs, 5), bool)

    def reset(self, *, seed=None, options=None):
        self.seed, self.ended = seed, np.zeros(self.num_envs, bool)
        self.seen["where"]["step"][:] = 0
        self.played = []
        return self._show()

    def step(self, actions):
        self.played.append(actions.copy())
        step = self.seen["where"]["step"]
        step[:] = np.where(self.ended, 0, step + 1)
        rewards = np.where(self.ended, 0.0, 100.0 * step)
        self.ended = step == np.arange(self.num_envs) + 2
        terminated = self.ended & (np.arange(self.num_envs) % 2 == 0)
        return self._show()[0], rewards, terminated, self.ended & ~terminated, {}

    def action_masks(self):
        self.mask[:] = np.arange(5) != (self.seen["where"]["step"] % 5)[:, None]
        return self.mask

    def _show(self):
        self.seen["wide"][:] = self.seen["where"]["step"][:, None, None]
        return self.seen, {}


def act(observation, masks):
    step = observation["where"]["step"]
    return Decision((step + 1) % 5, -step.astype(np.float32), 10.0 * step.astype(np.float32))


def test_rollout_of_a_vector_environment_that_overwrites_its_observations():
    env = Counter()
    collector = Collector(env, 6, lambda actions: actions + 10)
    collector.reset(seed=7)
    assert env.seed == 7
    buffer, statistics = collector.collect(act)

    steps = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [0, 3, 3], [1, 0, 4], [2, 1, 0]])
    np.testing.assert_array_equal(buffer.observations["where"]["step"], steps)
    assert buffer.observations["where"]["step"].dtype == np.int32
    np.testing.assert_array_equal(buffer.observations["wide"][..., 1, 0], steps)
    assert buffer.observations["wide"].dtype == np.float32  # float64 is stored as float32
    np.testing.assert_array_equal(buffer.actions, (steps + 1) % 5)
    np.testing.assert_array_equal(env.played, (steps + 1) % 5 + 10)
    np.testing.assert_array_equal(buffer.masks, np.arange(5) != (steps % 5)[..., None])
    np.testing.assert_array_equal(buffer.values, 10.0 * np.vstack([steps, [[0, 2, 1]]]))
    ends = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]], bool)
    np.testing.assert_array_equal(buffer.terminated, ends & [True, False, True])
    np.testing.assert_array_equal(buffer.truncated, ends & [False, True, False])
    np.testing.assert_array_equal(buffer.valid, np.vstack([np.ones((1, 3), bool), ~ends[:-1]]))
    np.testing.assert_array_equal(buffer.rewards, np.where(buffer.valid, 100.0 * (steps + 1), 0.0))
    # Episodes: copy 0 twice (100 + 200), copy 1 once (+ 300), copy 2 once (+ 400).
    assert statistics == {"episode/count": 4.0, "episode/return": (2 * 300 + 600 + 1000) / 4, "episode/length": 2.75}


def test_a_reset_step_that_falls_to_the_next_rollout_is_still_left_out():
    collector = Collector(Counter(), 5, lambda actions: actions)
    collector.reset(seed=0)
    collector.collect(act)  # copy 0 ends its second episode at the last step
    buffer, statistics = collector.collect(act)
    np.testing.assert_array_equal(buffer.observations["where"]["step"][0], [2, 1, 0])
    np.testing.assert_array_equal(buffer.valid[0], [False, True, True])
    assert statistics["episode/length"] == (2 + 3 + 4) / 3  # episodes that began in the first rollout are whole
    collector.reset(seed=0)
    buffer, _ = collector.collect(act)
    assert buffer.valid[0].all()


def test_batch_leaves_reset_steps_out_and_minibatches_cover_the_rest_once():
    collector = Collector(Counter(), 6, lambda actions: actions)
    collector.reset(seed=0)
    buffer, _ = collector.collect(act)
    buffer.estimate_advantages(0.9, 0.95)
    batch = buffer.batch("cpu")
    count = int(buffer.valid.sum())
    assert count == 18 - 4
    assert len(batch.actions) == len(batch.masks) == len(batch.observations["where"]["step"]) == count
    np.testing.assert_array_equal(batch.advantages.numpy(), buffer.advantages[buffer.valid])
    np.testing.assert_array_equal(batch.values.numpy(), buffer.values[:-1][buffer.valid])
    numbered = batch._replace(actions=torch.arange(count))
    parts = list(minibatches(numbered, 4, np.random.default_rng(0)))
    assert [len(part.actions) for part in parts] == [4, 4, 3, 3]
    assert sorted(torch.cat([part.actions for part in parts]).tolist()) == list(range(count))
    for part in parts:
        assert torch.equal(part.observations["wide"], batch.observations["wide"][part.actions])
        assert torch.equal(part.masks, batch.masks[part.actions])


def test_other_autoreset_modes_are_refused():
    env = SyncVectorEnv([lambda: gym.make("CartPole-v1")], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(InputError, match="NEXT_STEP"):
        Collector(env, 4, lambda actions: actions)
    env.close()


def test_rollouts_that_follow_one_another_are_one_long_rollout():
    (whole,) = played(6)
    joined = RolloutBuffer.join(played(2, 4))
    assert joined.length == whole.length
    for buffer in (joined, whole):
        buffer.estimate_advantages(0.9, 0.8)
    for name in vars(whole):
        expected, found = getattr(whole, name), getattr(joined, name)
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected, err_msg=name)
            assert found.dtype == expected.dtype
    one, other = whole.batch("cpu"), joined.batch("cpu")
    assert torch.equal(one.observations["wide"], other.observations["wide"])
    assert torch.equal(one.returns, other.returns)


def played(*lengths: int) -> list[RolloutBuffer]:
    """Rollouts of these lengths, one after another, of the same environments from their beginning."""
    collector = Collector(Counter(), 0, lambda actions: actions)
    collector.reset(1)
    found = []
    for collector.length in lengths:
        found.append(collector.collect(act)[0])
    return found


def test_masks_come_from_the_environments_of_a_sync_vector_env():
    env = gym.make_vec("optgap-test/MaskedChoice-v0", 3, vectorization_mode="sync")
    env.reset(seed=0)
    source = mask_source(env)
    assert source is not None
    masks = source()
    assert masks.shape == (3, 6)
    assert masks.sum() == 9
    assert mask_source(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")) is None


def test_reward_scale_is_the_deviation_of_the_discounted_return():
    rng = np.random.default_rng(0)
    scale = RewardScale(num_envs=2, gamma=0.9)
    history, running = [], np.zeros(2)
    for _ in range(5):  # the statistics of five rollouts equal those of all their returns together
        buffer = RolloutBuffer(7, 2)
        buffer.valid[:] = rng.random((7, 2)) < 0.8
        raw = np.where(buffer.valid, rng.normal(3.0, 5.0, (7, 2)), 0.0).astype(np.float32)
        buffer.rewards[:] = raw
        for t in range(7):
            running = np.where(buffer.valid[t], 0.9 * running, 0.0) + raw[t]
            history += running[buffer.valid[t]].tolist()
        scale.apply(buffer)
        np.testing.assert_allclose(scale.scale, np.std(history), rtol=1e-6)
        np.testing.assert_allclose(buffer.rewards, raw / np.std(history), rtol=1e-5)
    other = RewardScale(num_envs=2, gamma=0.9)
    other.restore(scale.state())
    assert other.scale == scale.scale


def test_constant_returns_are_left_as_they_are():
    scale, buffer = RewardScale(1, 0.0), RolloutBuffer(3, 1)
    buffer.rewards[:] = 4.0
    scale.apply(buffer)
    np.testing.assert_array_equal(buffer.rewards, 4.0)
