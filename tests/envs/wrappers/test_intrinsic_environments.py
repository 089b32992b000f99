"""The wrappers around environments of this and of other packages, and under agents of another."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit

from optgap.agents.common.collector import mask_source
from optgap.co.core import InputError
from optgap.envs.exploration.config import DeepSeaConfig, GridMazeConfig, PointMazeConfig
from optgap.envs.minigrid_config import DoorKeyConfig
from optgap.envs.scheduling.config import JobShopConfig
from optgap.envs.wrappers.intrinsic import IntrinsicReward, IntrinsicRewardVector
from optgap.envs.wrappers.places import Place


@pytest.mark.parametrize("episodic", [True, False])
def test_minigrid_is_asked_where_its_agent_is(episodic):
    pytest.importorskip("minigrid")
    config = DoorKeyConfig()
    single = IntrinsicReward(config.make(), sofe=True, episodic=episodic)
    vector = IntrinsicRewardVector(config.make_vec(2), sofe=True, episodic=episodic)
    seen, _ = single.reset(seed=3)
    assert seen["statistic"].shape == (1, 5, 5)
    assert set(seen) == {"image", "direction", "statistic"}
    vector.reset(seed=3)
    rng = np.random.default_rng(0)
    visits = np.zeros((2, 25), np.int64)
    inner: Any = vector.unwrapped
    own = [env.unwrapped for env in inner.envs]
    for b, env in enumerate(own):
        visits[b if episodic else 0, env.agent_pos[1] * 5 + env.agent_pos[0]] += 1
    for _ in range(60):
        seen, *_, info = vector.step(rng.integers(0, 3, 2))
        cells = [env.agent_pos[1] * 5 + env.agent_pos[0] for env in own]
        rows = [b if episodic else 0 for b in range(2)]
        expected = [1 / np.sqrt(visits[row, cell] + 1) for row, cell in zip(rows, cells, strict=True)]
        np.testing.assert_array_equal(info["intrinsic_reward"], expected)
        for row, cell in zip(rows, cells, strict=True):
            visits[row, cell] += 1
        np.testing.assert_allclose(seen["statistic"][0].ravel(), 1 / np.sqrt(visits[0] + 1), rtol=1e-6)


@pytest.mark.parametrize("config", [DeepSeaConfig(size=4), GridMazeConfig(), PointMazeConfig()], ids=lambda c: c.id)
@pytest.mark.parametrize("bonus", ["count", "e3b", "smax"])
def test_environments_made_for_exploration_say_where_the_agent_is(config, bonus):
    single, vector = IntrinsicReward(config.make(), bonus), IntrinsicRewardVector(config.make_vec(3), bonus, sofe=True)
    single.reset(seed=0)
    seen, info = vector.reset(seed=0)
    vector.action_space.seed(0)
    over = False
    for _ in range(20):
        taken = vector.action_space.sample()
        seen, *_, info = vector.step(taken)
        assert seen in vector.observation_space
        if not over:
            _, _, terminated, truncated, told = single.step(taken[0])
            assert told["intrinsic_reward"] == info["intrinsic_reward"][0]
            over = terminated or truncated


def test_deep_sea_counts_the_cells_of_a_dive():
    env = IntrinsicRewardVector(DeepSeaConfig(size=3).make_vec(1), sofe=True, episodic=False)
    env.reset(seed=0)
    answers = [env.step(np.array([0])) for _ in range(7)]
    # The third step of a dive ends it in the cell of the second; the fourth only resets.
    expected = [1, 1, 1 / np.sqrt(2), 0, 1 / np.sqrt(2), 1 / np.sqrt(3), 1 / np.sqrt(4)]
    assert [answer[4]["intrinsic_reward"].item() for answer in answers] == expected
    visits = env.statistic_state()["visits"].reshape(3, 3).sum(axis=1)
    assert visits.tolist() == [2, 2, 4]  # by row


def test_an_environment_that_has_no_places_is_refused():
    for wrap in (
        lambda: IntrinsicReward(gym.make("CartPole-v1")),
        lambda: IntrinsicReward(gym.make("CartPole-v1"), "e3b"),
    ):
        with pytest.raises(InputError, match="needs the environment's attribute"):
            wrap()


def test_masks_and_other_wrappers_work_with_it():
    config, zeros = JobShopConfig(), np.zeros(2, np.int64)
    env = IntrinsicReward(config.make(), sofe=True, place=Place(lambda o, i: (0, None), (1, 2)))
    env.reset(seed=0)
    shape = env.get_wrapper_attr("action_masks")().shape
    assert len(shape) == 1
    vector = IntrinsicRewardVector(config.make_vec(2), sofe=True, place=Place(lambda o, i: (zeros, None), (1, 2)))
    vector.reset(seed=0)
    masks = mask_source(vector)
    assert masks is not None
    assert masks().shape == (2, *shape)
    outer = RecordEpisodeStatistics(TimeLimit(IntrinsicReward(DeepSeaConfig(size=3).make(), sofe=True), 2))
    outer.reset(seed=0)
    outer.step(0)
    *_, truncated, info = outer.step(0)
    assert truncated
    assert info["episode"]["l"] == 2
    assert info["intrinsic_reward"] > 0


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("algorithm", ["A2C", "PPO"])
def test_agents_of_stable_baselines_learn_with_the_statistic_in_the_observation(algorithm):
    import stable_baselines3

    kwargs = {"n_steps": 64, "batch_size": 32, "n_epochs": 1} if algorithm == "PPO" else {}
    env = IntrinsicReward(DeepSeaConfig(size=4).make(), "count", 0.1, sofe=True, episodic=False)
    model = getattr(stable_baselines3, algorithm)("MultiInputPolicy", env, seed=0, device="cpu", **kwargs)
    model.learn(256)
    seen, _ = env.reset(seed=0)
    action, _ = model.predict(seen, deterministic=True)
    assert env.action_space.contains(int(action))
    assert env.statistic_state()["visits"].sum() > 256
