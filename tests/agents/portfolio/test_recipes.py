"""Agents of other families on portfolios, with what is recommended there."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from optgap.agents.common.contracts import AGENTS
from optgap.envs.portfolio.config import PortfolioConfig


def imported(name):
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", ["portfolio-ppo", "ppo", "sac", "sb3-ppo", "sb3-sac"])
def test_agents_train_with_their_recipes(name):
    entry = AGENTS.load(name)
    recipe = imported(entry.recipes)["portfolio"]
    small = {"num_envs": 2, "rollout_length": 64, "minibatch_size": 64, "hidden_sizes": [8]}
    if "sac" in name:
        small |= {"warmup_steps": 64, "batch_size": 64, "capacity": 500}
    env_config = PortfolioConfig(prices="markov", window=5, episode=20)
    logged = []
    agent = imported(entry.agent)(env_config, imported(entry.config)(**recipe | small), seed=1)
    agent.learn(260, lambda _, metrics: logged.append(metrics))
    assert agent.steps >= 260
    assert any(abs(metrics.get("train/value_loss", 0.0)) > 0 for metrics in logged)
    assert all(np.isfinite(value) for metrics in logged for value in metrics.values())
    env = env_config.make()
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation, deterministic=True)
    assert env.action_space.contains(action)
