"""Observations that perceptrons see normalized: moments as NumPy gives them, and an agent that keeps them."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.agents.nn.mlp import RunningScale
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.envs.gym_config import CartPoleConfig


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**31))
def test_moments_are_those_of_all_rows_however_they_arrive(sizes, seed):
    sizes = [*sizes, 3]
    rows = np.random.default_rng(seed).normal(3.0, [1.0, 40.0, 0.0], (sum(sizes), 3)).astype(np.float32)
    scale = RunningScale(3)
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        scale.observe(torch.from_numpy(part))
    expected = np.clip((rows - rows.mean(0)) / (rows.std(0) + 1e-4), -10, 10)
    np.testing.assert_allclose(scale(torch.from_numpy(rows)).numpy(), expected, atol=2e-2)


def test_before_the_first_row_nothing_changes_and_far_ones_are_held():
    scale = RunningScale(2)
    row = torch.tensor([[0.5, 99.0]])
    torch.testing.assert_close(scale(row), torch.tensor([[0.5, 10.0]]), rtol=1e-3, atol=0)


def test_an_agent_observes_its_rollouts_and_saves_what_it_saw(tmp_path):
    config = PPOConfig(num_envs=2, rollout_length=16, epochs=1, checkpoint_interval=1, normalize_observation=True)
    agent = PPO(CartPoleConfig(), config, seed=1).learn(60)
    assert int(agent.policy.scale.count) == agent.steps  # the steps in which an episode only begins do not count
    agent.save(tmp_path / "weights")
    again = PPO.load(tmp_path / "weights")
    observation = np.array([0.1, -0.2, 0.05, 0.3], np.float32)
    torch.testing.assert_close(
        again.approximator.predict(observation[None]), agent.approximator.predict(observation[None])
    )
    assert bool((again.policy.scale.squares > 0).all())
