"""A2C's loss by hand, on a network and on trees; what is trivially learnable is learned, and a run can be resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from optgap.agents.a2c.agent import A2C
from optgap.agents.a2c.config import A2CConfig
from optgap.agents.a2c.recipes import TREES
from optgap.agents.common.approximator import Network
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.gbt.config import GBTA2CConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS

NETWORK: dict[str, Any] = {"learning_rate": 1e-2, "hidden_sizes": [16]}
BOOSTED: dict[str, Any] = {"rollout_length": 16, "learning_rate": 0.5, "value_rate": 0.2}


def agent_for(name: str, config: type[A2CConfig], seed: int = 0, **changes) -> A2C:
    settings = {"num_envs": 8} | (BOOSTED if config is GBTA2CConfig else NETWORK)
    return A2C(GymConfig(f"optgap-test/{name}-v0"), config(**(settings | changes)), seed=seed)


def same(one: A2C, other: A2C) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def two_steps() -> RolloutBuffer:
    """Action 1 for reward 1, then action 0 for reward 2 and the end; the values were 0.5 and 1."""
    rollout = RolloutBuffer(2, 1)
    for t, (action, value, reward) in enumerate([(1, 0.5, 1.0), (0, 1.0, 2.0)]):
        decision = Decision(np.array([action]), np.zeros(1, np.float32), np.array([value], np.float32))
        rollout.decide(t, np.array([t]), None, decision, np.array([True]))
        rollout.outcome(t, np.array([reward]), np.array([t == 1]), np.array([False]))
    rollout.values[2] = 100.0  # of the observation after the end: it must not count
    return rollout


class Table(nn.Module):
    """Four logits and a value for each of two observations: probabilities 1/4, 3/4, 0, 0, and the values that acted."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([[0.0, np.log(3.0), -100.0, -100.0]] * 2))
        self.values = nn.Parameter(torch.tensor([0.5, 1.0]))

    def forward(self, observation):
        return self.logits[observation], self.values[observation]


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_by_hand(normalize, monkeypatch):
    """Returns 1 + 0.5 * 2 = 2 and 2; advantages 1.5 and 1, standardized 1 and -1."""
    changes = {"gamma": 0.5, "normalize_advantage": normalize, "entropy_coefficient": 0.1, "value_coefficient": 0.3}
    agent = agent_for("Identity", A2CConfig, **changes)
    table = Table()
    agent.approximator = Network(table, 1.0, 1e9, torch.device("cpu"))
    monkeypatch.setattr(agent.approximator.optimizer, "step", lambda: None)
    figures = agent._update(two_steps(), 0.5, np.random.default_rng(0))
    A = np.array([1.0, -1.0]) if normalize else np.array([1.5, 1.0])
    p = np.array([0.25, 0.75])
    entropy = -(p * np.log(p)).sum()
    assert figures["train/policy_loss"] == pytest.approx(-(A[0] * np.log(0.75) + A[1] * np.log(0.25)) / 2, rel=1e-5)
    assert figures["train/value_loss"] == pytest.approx((1.5**2 + 1.0**2) / 2)
    assert figures["train/entropy"] == pytest.approx(entropy)
    # d/dlogit: A (p - 1[chosen]) and 0.1 p (log p + H), half of each because the loss is a mean over two rows
    bonus = 0.1 * p * (np.log(p) + entropy)
    expected = np.array([A[0] * (p - [0, 1]) + bonus, A[1] * (p - [1, 0]) + bonus]) / 2
    np.testing.assert_allclose(table.logits.grad[:, :2], expected, atol=1e-6)
    np.testing.assert_allclose(table.values.grad, [0.3 * 2 * -1.5 / 2, 0.3 * 2 * -1.0 / 2])


def test_one_step_on_trees_by_hand():
    """Uniform over 2 to 5 and values 0 at first: gradients A (1/4 - 1[chosen]) at the logits, and V - R at the values."""
    settings = {"normalize_advantage": False, "max_depth": 1, "min_leaf": 1, "gamma": 0.5, "gae_lambda": 1.0}
    agent = agent_for("Identity", GBTA2CConfig, learning_rate=0.5, value_rate=0.2, **settings)
    agent._update(two_steps(), agent.config.learning_rate, np.random.default_rng(0))
    outputs = agent.approximator.predict(np.array([0, 1]))
    moved = 0.5 * np.array([1.5 * np.array([-0.25, 0.75, -0.25, -0.25]), [0.75, -0.25, -0.25, -0.25]])
    np.testing.assert_allclose(outputs.parameters, moved, rtol=1e-6)
    np.testing.assert_allclose(outputs.values, 0.2 * np.array([2.0, 2.0]), rtol=1e-6)


@pytest.mark.parametrize("config", [A2CConfig, GBTA2CConfig])
def test_identity(config):
    agent = agent_for("Identity", config).learn(8000)
    shown = np.arange(2, 6)
    np.testing.assert_array_equal(agent.predict(shown, deterministic=True)[0], shown)
    assert 8000 <= agent.steps < 8000 + 8 * 16


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (A2CConfig, {}),
        (GBTA2CConfig, {"learning_rate": 0.02, "min_leaf": 16, "log_std": -1.0}),
        (GBTA2CConfig, {"learning_rate": 0.02, "min_leaf": 16, "log_std": -1.0, "predicted_std": True}),
    ],
)
def test_continuous_actions(config, changes):
    agent = agent_for("Target", config, gamma=0.0, **changes).learn(16_000)
    shown = np.linspace(-1, 1, 9)[:, None]
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((agent.predict(shown, deterministic=True)[0] - best) ** 2).sum(axis=1).mean() < 0.1  # 1 for uniform actions


@pytest.mark.parametrize("config", [A2CConfig, GBTA2CConfig])
def test_values_after_termination(config):
    """Reward 1 a step, gamma 0.8: n steps to the end are worth (1 - 0.8^n) / 0.2."""
    agent = agent_for("Clock", config, gamma=0.8).learn(8000)
    values = agent.approximator.predict(np.arange(5)).values.numpy()
    np.testing.assert_allclose(values, (1 - 0.8 ** np.arange(5, 0, -1)) / 0.2, atol=0.1)


@pytest.mark.parametrize("config", [A2CConfig, GBTA2CConfig])
@pytest.mark.parametrize("name", ["MaskedChoice", "Target"])
def test_resuming_at_a_boundary_equals_going_on(tmp_path, config, name):
    def save(agent, metrics):
        if agent.updates == 4:
            agent.save(tmp_path / "checkpoint")

    settings = {"num_envs": 2, "checkpoint_interval": 4, "normalize_reward": True}
    whole = agent_for(name, config, **settings).learn(400, save)
    assert whole.updates > 8
    resumed = A2C.load(tmp_path / "checkpoint")
    assert not same(resumed, whole)
    assert same(resumed.learn(400), whole)


def test_a_checkpoint_of_another_agent_is_refused(tmp_path):
    from optgap.agents.ppo.agent import PPO

    agent_for("Identity", A2CConfig).save(tmp_path / "checkpoint")
    with pytest.raises(InputError, match=r"written by the agent optgap.agents.a2c.agent:A2C; expected .*PPO"):
        PPO.load(tmp_path / "checkpoint")


def test_registered_with_recipes_that_fit():
    assert AGENTS.load("a2c").config == "optgap.agents.a2c.config:A2CConfig"
    entry = AGENTS.load("gbt-a2c")
    assert (entry.agent, entry.recipes) == ("optgap.agents.a2c.agent:A2C", "optgap.agents.a2c.recipes:TREES")
    for name, recipe in TREES.items():
        assert name in ENVIRONMENTS
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(GBTA2CConfig), recipe))
    with pytest.raises(InputError, match=r"GBTA2CConfig: gae_lambda is 1.5; expected a number in \[0, 1\]"):
        GBTA2CConfig(gae_lambda=1.5)
    with pytest.raises(InputError, match=r"GBTA2CConfig: value_rate is 0.0; expected a number above 0"):
        GBTA2CConfig(value_rate=0.0)
