"""Stable-Baselines3's SAC learns, and its checkpoints hold no pickle and resume exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.agents.sb3.sac import SB3SAC
from optgap.agents.sb3.sac_config import SB3SACConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

SMALL: dict[str, Any] = {"hidden_sizes": [32, 32], "batch_size": 128, "minibatch_size": 64, "warmup_steps": 200}


def agent_for(name: str, **changes) -> SB3SAC:
    return SB3SAC(GymConfig(f"optgap-test/{name}-v0"), SB3SACConfig(**({"num_envs": 2} | SMALL | changes)))


def weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.detach().ravel() for tensor in agent._learner.state_dict().values()])


def test_it_learns_the_best_actions():
    agent = agent_for("Target", gamma=0.0, temperature=0.1, learn_temperature=False, batch_size=256).learn(1200)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.1  # 1 for uniform actions


def test_round_trip_and_exact_resume(tmp_path):
    def save(agent, metrics):
        if agent.updates == 20:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for("Target", checkpoint_interval=10).learn(500, save)
    assert {file.suffix for file in (tmp_path / "checkpoint").iterdir()} == {".safetensors", ".json"}
    resumed = load_agent(tmp_path / "checkpoint")
    assert isinstance(resumed, SB3SAC)
    assert (resumed.steps, resumed.updates) == (320, 20)
    assert not torch.equal(weights(resumed), weights(whole))
    assert torch.equal(weights(resumed.learn(500)), weights(whole))


def test_bad_input():
    assert AGENTS.load("sb3-sac").agent == "optgap.agents.sb3.sac:SB3SAC"
    with pytest.raises(InputError, match="expected a bounded float Box"):
        SB3SAC(GymConfig("CartPole-v1"))
    with pytest.raises(InputError, match="n_steps is 3; expected 1"):
        SB3SACConfig(n_steps=3)
