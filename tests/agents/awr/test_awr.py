"""AWR's weights, loss and replay by hand; what is trivially learnable is learned, and a run can be resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from optgap.agents.awr.agent import AWR, advantage_weights
from optgap.agents.awr.config import AWRConfig
from optgap.agents.awr.recipes import TREES
from optgap.agents.common.approximator import Network, Outputs
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.rollout import Batch, Decision, RolloutBuffer
from optgap.agents.gbt.config import GBTAWRConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS

NETWORK: dict[str, Any] = {"learning_rate": 1e-2, "hidden_sizes": [16], "minibatch_size": 256, "gradient_steps": 20}
BOOSTED: dict[str, Any] = {"learning_rate": 0.1, "value_rate": 0.2, "minibatch_size": 256, "gradient_steps": 10}
BOTH = (AWRConfig, GBTAWRConfig)


def agent_for(name: str, config: type[AWRConfig], seed: int = 0, **changes) -> AWR:
    settings: dict[str, Any] = {"num_envs": 8, "rollout_length": 32, "replay_size": 1024, "beta": 0.3}
    settings |= BOOSTED if config is GBTAWRConfig else NETWORK
    return AWR(GymConfig(f"optgap-test/{name}-v0"), config(**(settings | changes)), seed=seed)


def same(one: AWR, other: AWR) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_weights_by_hand():
    weights = advantage_weights(torch.tensor([0.0, 1.0, -2.0, 10.0, 1000.0]), beta=0.5, weight_max=20.0)
    np.testing.assert_allclose(weights, [1.0, np.exp(2.0), np.exp(-4.0), 20.0, 20.0], rtol=1e-6)


class Table(nn.Module):
    """Two logits and a value for each of two observations: probabilities 1/4, 3/4, and values 0.5, 1."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([[0.0, np.log(3.0), -100.0, -100.0]] * 2))
        self.values = nn.Parameter(torch.tensor([0.5, 1.0]))

    def forward(self, observation):
        return self.logits[observation], self.values[observation]


def steps(first: int, count: int, num_envs: int = 1, ends: tuple[int, ...] = ()) -> RolloutBuffer:
    """Observation t, action t mod 2 and reward t + 1 at each time t from ``first`` on; values as recorded are -7."""
    rollout = RolloutBuffer(count, num_envs)
    for row in range(count):
        t = first + row
        alike = np.full(num_envs, t)
        decision = Decision(alike % 2, np.zeros(num_envs, np.float32), np.full(num_envs, -7.0, np.float32))
        valid = np.full(num_envs, t - 1 not in ends)
        rollout.decide(row, alike, None, decision, valid)
        rollout.outcome(row, (alike + 1.0) * valid, np.full(num_envs, t in ends), np.zeros(num_envs, np.bool_))
    return rollout


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_by_hand(normalize, monkeypatch):
    """Two steps, the second of which ends: returns 1 + 0.5 (0.5 * 1 + 0.5 * 2) = 1.75 and 2, advantages 1.25 and 1."""
    changes = {"gamma": 0.5, "gae_lambda": 0.5, "normalize_advantage": normalize, "entropy_coefficient": 0.1}
    agent = agent_for("Identity", AWRConfig, beta=0.5, value_coefficient=0.3, gradient_steps=1, **changes)
    table = Table()
    agent.approximator = Network(table, 1.0, 1e9, torch.device("cpu"))
    monkeypatch.setattr(agent.approximator.optimizer, "step", lambda: None)
    figures = agent._update(steps(0, 2, ends=(1,)), 0.5, np.random.default_rng(0))
    w = np.exp(np.array([1.0, -1.0]) / 0.5) if normalize else np.exp(np.array([1.25, 1.0]) / 0.5)
    p = np.array([0.25, 0.75])
    entropy = -(p * np.log(p)).sum()
    assert figures["train/policy_loss"] == pytest.approx(-(w[0] * np.log(0.25) + w[1] * np.log(0.75)) / 2, rel=1e-5)
    assert figures["train/value_loss"] == pytest.approx((1.25**2 + 1.0**2) / 2)
    assert figures["train/weight"] == pytest.approx(w.mean())
    assert figures["train/clipped_weights"] == 0
    bonus = 0.1 * p * (np.log(p) + entropy)
    expected = np.array([w[0] * (p - [1, 0]) + bonus, w[1] * (p - [0, 1]) + bonus]) / 2
    np.testing.assert_allclose(table.logits.grad[:, :2], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table.values.grad, [0.3 * 2 * -1.25 / 2, 0.3 * 2 * -1.0 / 2])


class Remembering:
    """An approximator whose value of observation t is ``factor * t``; what it was asked is kept."""

    def __init__(self) -> None:
        self.factor = 0.0
        self.kept: list[int] = []
        self.rows: list[torch.Tensor] = []

    def hold(self, observations, kept=0):
        self.kept.append(kept)
        self.rows.append(observations)
        return observations

    def evaluate(self, held):
        return Outputs(torch.zeros(len(held), 4), self.factor * held.float())


def returns_by_definition(first: int, last: int, value, gamma: float, lam: float, ends: tuple[int, ...]) -> list[float]:
    """(1 - lambda) sum_n lambda^(n - 1) R_n of each step that is not a reset, with all that is left on the longest R_n."""
    found = []
    for t in range(first, last):
        if t - 1 in ends:
            continue
        end = next((e for e in ends if t <= e < last), None)
        longest = (end + 1 if end is not None else last) - t
        n_step = []
        for n in range(1, longest + 1):
            rewards = sum(gamma**k * (t + k + 1) for k in range(n))
            n_step.append(rewards + (0.0 if t + n - 1 == end else gamma**n * value(t + n)))
        weights = [(1 - lam) * lam ** (n - 1) for n in range(1, longest)] + [lam ** (longest - 1)]
        found.append(sum(w * r for w, r in zip(weights, n_step, strict=True)))
    return found


def test_the_replay_is_one_long_rollout_valued_by_the_present_function(monkeypatch):
    """Rollouts of 3 steps; the episode of step 4 ends there, step 5 resets. The replay holds two rollouts."""
    agent = agent_for("Identity", AWRConfig, num_envs=2, rollout_length=3, replay_size=15, gamma=0.8, gae_lambda=0.7)
    approximator = Remembering()
    monkeypatch.setattr(agent, "approximator", approximator)
    ends = (4,)
    for update, first in enumerate((0, 3, 6)):
        rollout = steps(first, 3, 2, ends)
        approximator.factor = 1.0 + update
        rollout.values[-1] = approximator.factor * (first + 3)  # the value of what was observed last
        agent._replay.append(rollout)
        batch = agent._remembered()
        oldest = max(0, first - 3)
        expected = returns_by_definition(oldest, first + 3, lambda t: approximator.factor * t, 0.8, 0.7, ends)
        seen = [t for t in range(oldest, first + 3) if t - 1 not in ends]
        assert isinstance(batch, Batch)
        np.testing.assert_array_equal(batch.observations, np.repeat(seen, 2))
        np.testing.assert_array_equal(batch.actions, np.repeat(seen, 2) % 2)
        np.testing.assert_allclose(batch.returns, np.repeat(expected, 2), rtol=1e-6)
        np.testing.assert_allclose(
            batch.advantages, batch.returns - approximator.factor * batch.observations, rtol=1e-5
        )
    assert approximator.kept == [0, 6, 6]
    for before, after, kept in zip(approximator.rows[:-1], approximator.rows[1:], approximator.kept[1:], strict=True):
        np.testing.assert_array_equal(before[len(before) - kept :], after[:kept])


@pytest.mark.parametrize("changes", [{}, {"shared_trees": False}, {"optimizer": "adam", "learning_rate": 0.01}])
def test_trees_remember_what_they_said_of_the_rows_that_stay(changes, monkeypatch):
    agent = agent_for("Target", GBTAWRConfig, replay_size=700, **changes)
    seen = []
    update = agent._remembered

    def remembered():
        batch = update()
        shown = np.concatenate([rollout.observations.reshape(-1, 1) for rollout in agent._replay])
        held = agent.approximator.evaluate(torch.arange(len(shown)))
        fresh = agent.approximator.predict(shown)
        assert torch.equal(held.parameters, fresh.parameters)
        assert torch.equal(held.values, fresh.values)
        seen.append(len(shown))
        return batch

    monkeypatch.setattr(agent, "_remembered", remembered)
    agent.learn(1200)
    assert seen == [256, 512, 512, 512, 512]


def test_the_replay_begins_anew_with_the_environments():
    sizes = []
    agent = agent_for("Clock", AWRConfig, checkpoint_interval=3, gradient_steps=1)
    agent.learn(1500, lambda _, metrics: sizes.append(metrics["train/replay"]))
    assert sizes[0] == sizes[3] == sizes[6] < sizes[1] == sizes[4] < sizes[2] == sizes[5]


@pytest.mark.parametrize("config", BOTH)
def test_identity(config):
    agent = agent_for("Identity", config, gamma=0.0).learn(5000)
    shown = np.arange(2, 6)
    np.testing.assert_array_equal(agent.predict(shown, deterministic=True)[0], shown)


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (AWRConfig, {}),
        (GBTAWRConfig, {"learning_rate": 0.005, "log_std_rate": 0.005, "min_leaf": 32, "beta": 0.6}),
        (
            GBTAWRConfig,
            {"learning_rate": 0.005, "log_std_rate": 0.005, "min_leaf": 32, "beta": 0.6, "predicted_std": True},
        ),
    ],
)
def test_continuous_actions(config, changes):
    agent = agent_for("Target", config, gamma=0.0, **changes).learn(10_000)
    shown = np.linspace(-1, 1, 9)[:, None]
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((agent.predict(shown, deterministic=True)[0] - best) ** 2).sum(axis=1).mean() < 0.1  # 1 for uniform actions


@pytest.mark.parametrize("config", BOTH)
@pytest.mark.parametrize("name", ["MaskedChoice", "Target"])
def test_resuming_at_a_boundary_equals_going_on(tmp_path, config, name):
    def save(agent, metrics):
        if agent.updates == 4:
            agent.save(tmp_path / "checkpoint")

    settings = {"num_envs": 2, "replay_size": 192, "checkpoint_interval": 4, "normalize_reward": True}
    whole = agent_for(name, config, minibatch_size=64, gradient_steps=5, **(settings)).learn(550, save)
    assert whole.updates > 8
    resumed = AWR.load(tmp_path / "checkpoint")
    assert not same(resumed, whole)
    assert same(resumed.learn(550), whole)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("beta", 0.0, "a number above 0"),
        ("weight_max", -1.0, "a number above 0"),
        ("replay_size", 0, "an integer of at least 1"),
        ("gradient_steps", 0, "an integer of at least 1"),
        ("minibatch_size", 0, "an integer of at least 1"),
        ("gamma", 2.0, "a number in"),
    ],
)
def test_each_value_is_checked(name, value, expected):
    for config in BOTH:
        with pytest.raises(InputError, match=f"{config.__name__}: {name} is {value}; expected {expected}"):
            config(**{name: value})


def test_registered_with_recipes_that_fit():
    assert AGENTS.load("awr").config == "optgap.agents.awr.config:AWRConfig"
    entry = AGENTS.load("gbt-awr")
    assert (entry.agent, entry.recipes) == ("optgap.agents.awr.agent:AWR", "optgap.agents.awr.recipes:TREES")
    for name, recipe in TREES.items():
        assert name in ENVIRONMENTS
        OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(GBTAWRConfig), recipe))
