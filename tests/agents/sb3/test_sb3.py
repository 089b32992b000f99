"""The adapter learns what PPO learns, masks included, and its checkpoints hold no pickle and resume exactly."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.sb3.agent import SB3PPO
from optgap.agents.sb3.config import SB3PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig


def agent_for(name: str, seed: int = 0, **changes) -> SB3PPO:
    settings = {"rollout_length": 64, "minibatch_size": 64, "epochs": 4, "learning_rate": 3e-3, "hidden_sizes": [16]}
    return SB3PPO(GymConfig(f"optgap-test/{name}-v0"), SB3PPOConfig(**(settings | changes)), seed=seed)


def weights(agent: SB3PPO) -> torch.Tensor:
    return torch.cat([parameter.detach().ravel() for parameter in agent.model.policy.parameters()])


def test_masks_reach_maskable_ppo():
    agent = agent_for("MaskedChoice", entropy_coefficient=0.01, learning_rate=1e-2).learn(
        6000
    )  # a forbidden action would have raised
    assert type(agent.model).__name__ == "MaskablePPO"
    allowed = np.zeros((20, 6), np.bool_)
    for row, three in enumerate(itertools.combinations(range(6), 3)):
        allowed[row, list(three)] = True
    values = np.where(allowed, [0.0, 1.0, 0.2, 0.8, 0.4, 0.6], -1)
    actions, _ = agent.predict({"nothing": np.zeros((20, 1), np.float32)}, allowed, deterministic=True)
    assert (values.max(axis=1) - values[np.arange(20), actions]).mean() < 0.05


def test_without_masks_it_is_ppo_and_the_callback_sees_every_update():
    seen = []

    def callback(agent, metrics):
        seen.append((agent.updates, agent.steps, dict(metrics)))
        return len(seen) < 5

    agent = agent_for("Corridor").learn(100_000, callback)
    assert type(agent.model).__name__ == "PPO"
    assert [entry[:2] for entry in seen] == [(i, i * 8 * 64) for i in range(1, 6)]
    assert agent.model.num_timesteps == agent.steps
    for name in ("episode/return", "train/policy_loss", "train/entropy", "train/learning_rate"):
        assert np.isfinite(seen[-1][2][name])


def test_round_trip_and_exact_resume(tmp_path):
    settings = {"num_envs": 2, "checkpoint_interval": 2, "learning_rate_schedule": "linear"}

    def save(agent, metrics):
        if agent.updates == 2:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for("MaskedChoice", **settings).learn(600, save)
    assert {file.suffix for file in (tmp_path / "checkpoint").iterdir()} == {".safetensors", ".json"}
    resumed = load_agent(tmp_path / "checkpoint")
    assert isinstance(resumed, SB3PPO)
    assert (resumed.steps, resumed.updates) == (256, 2)
    assert torch.equal(weights(resumed.learn(600)), weights(whole))
    assert resumed.steps == whole.steps
    other = agent_for("MaskedChoice", seed=1, **settings).learn(600)
    assert not torch.equal(weights(other), weights(whole))


def test_evaluate_policy_with_and_without_masks():
    from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
    from stable_baselines3.common.evaluation import evaluate_policy

    mean, _ = evaluate_policy(agent_for("Target"), gym.make("optgap-test/Target-v0"), n_eval_episodes=2, warn=False)
    assert mean < 0
    env = gym.make("optgap-test/MaskedChoice-v0")
    mean, _ = evaluate_masked(agent_for("MaskedChoice"), env, n_eval_episodes=2, warn=False)
    assert 0 < mean <= 8


def test_errors(tmp_path):
    with pytest.raises(InputError, match="seed is -1"):
        agent_for("Target", seed=-1)
    agent = agent_for("Target", num_envs=1)
    agent.save(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "optimizer.safetensors").unlink()
    with pytest.raises(InputError, match=r"optimizer.safetensors: the file is missing"):
        SB3PPO.load(tmp_path / "checkpoint")
    from optgap.agents.ppo.agent import PPO

    with pytest.raises(
        InputError, match=r"written by the agent optgap.agents.sb3.agent:SB3PPO; expected optgap.agents.ppo"
    ):
        PPO.load(tmp_path / "checkpoint")
