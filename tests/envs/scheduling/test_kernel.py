"""Corners of the kernel that random shops do not reach."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import optgap  # noqa: F401  (registers the environments)
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance


@pytest.mark.parametrize("candidates", ["shop", "machine"])
def test_an_episode_that_plays_itself_still_has_a_step(candidates):
    # one job twice on one machine: once it is dispatched, its second operation starts by itself (a cycle of one)
    alone = BlockingJobShopInstance(
        job_ptr=np.array([0, 2]),
        machine=np.array([0, 0]),
        duration=np.array([2, 3]),
        release=np.array([1]),
        n_machines=1,
        down_ptr=np.array([0, 1]),
        down_start=np.array([2]),
        down_end=np.array([4]),
    )
    arguments = {"instances": [alone], "autoplay": True, "candidates": candidates}
    env = gym.make("optgap/BlockingJobShop-v0", **arguments)
    observation, _ = env.reset(seed=0)
    assert observation["action_mask"].tolist() == [1]
    _, reward, terminated, _, info = env.step(0)
    assert terminated
    assert info["solution"].tolist() == [1, 5]  # 1 unit before the down-time, 1 after it
    BLOCKING_JOB_SHOP.check(alone, info["solution"])
    assert reward == -8
