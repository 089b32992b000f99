"""A reward that random walks hardly ever find: with a bonus of visits the agent finds it, without it does not."""

from __future__ import annotations

from typing import Any

import pytest

from optgap.agents.common.evaluation import play_episodes
from optgap.agents.exploration.agents import ExploringPPO
from optgap.agents.exploration.config import ExploringPPOConfig
from optgap.envs.exploration.config import DeepSeaConfig

SETTINGS: dict[str, Any] = {
    "num_envs": 16,
    "rollout_length": 64,
    "epochs": 4,
    "learning_rate": 1e-3,
    "episodic": False,
    "hidden_sizes": [64],
    "checkpoint_interval": 100,
}


@pytest.mark.slow
@pytest.mark.parametrize(("bonus", "solved"), [("count", True), ("none", False)])
def test_depth_fourteen(bonus, solved):
    """1 in 16384 random dives ends at the treasure, and each step to it costs; the best return is 0.99."""
    agent = ExploringPPO(DeepSeaConfig(14), ExploringPPOConfig(bonus=bonus, **SETTINGS), seed=0).learn(40_000)
    played = play_episodes(lambda o, m: agent.predict(o, m, deterministic=True)[0], agent.env_config, 4, 0)
    assert (played.returns.mean() > 0.9) == solved
