"""CLARA, IPO and PPO-Lagrangian on a task whose optimum is known; state, configuration, figures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.agents.constrained import agent as core
from optgap.agents.constrained.ppo import CLARA, IPO, ConstrainedPPO, PPOLagrangian
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

SETTINGS: dict[str, Any] = {
    "rollout_length": 50,
    "minibatch_size": 400,
    "learning_rate": 3e-3,
    "hidden_sizes": [16],
    "normalize_observation": False,
}


class Batched(GymConfig):
    def make_vec(self, num_envs, **overrides):
        return gym.make_vec(self.id, num_envs, vectorization_mode="vector_entry_point", **self.kwargs)


TYPES = [CLARA, IPO, PPOLagrangian]


def agent_for(kind: type[ConstrainedPPO], limit: float = 0.6, seed: int = 0, **changes) -> ConstrainedPPO:
    config = kind.config_class(**(SETTINGS | changes))
    return kind(Batched("optgap-test/Budget-v0", {"limit": limit}), config, seed=seed)


def taken(agent) -> np.ndarray:
    """(2,) probability of taking either offer."""
    return torch.softmax(agent.approximator.predict(np.arange(2)).parameters, dim=-1)[:, 1].numpy()


def trained(kind: type[ConstrainedPPO], limit: float, steps: int, **changes) -> tuple[float, np.ndarray]:
    """Reward over the best one; of every update the mean cost over its limit, both exact."""
    costs, rewards = [], []

    def note(agent, metrics):
        assert all(np.isfinite(list(metrics.values())))
        first, second = taken(agent)
        costs.append((first + second) / 2 / limit)
        rewards.append((first + second / 2) / 2)

    agent_for(kind, limit, **changes).learn(steps, note)
    return rewards[-1] / (min(limit, 0.5) + max(0.0, limit - 0.5) / 2), np.array(costs)


def same(one, other) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_the_best_mixture_is_found_and_clara_violates_less_on_the_way():
    reward, costs = trained(CLARA, 0.6, 60_000)
    assert reward > 0.95
    assert costs[-1] < 1.01
    dual_reward, dual_costs = trained(PPOLagrangian, 0.6, 60_000, rollout_length=25, entropy_coefficient=0.1)
    assert dual_reward > 0.9
    assert dual_costs[-75:].mean() == pytest.approx(1.0, abs=0.25)  # it goes to and fro about the limit
    excess, dual_excess = (np.maximum(found - 1.0, 0.0).sum() for found in (costs, dual_costs))
    assert excess < 0.1 * dual_excess


@pytest.mark.parametrize("kind", [CLARA, IPO])
def test_a_barrier_leads_back_what_begins_violated(kind):
    reward, costs = trained(kind, 0.2, 30_000)  # at the beginning half of the offers are taken
    assert costs[0] > 2.0
    assert costs[-1] < 1.01
    assert costs[len(costs) // 2 :].max() < 1.1
    assert reward > 0.75


@pytest.mark.slow
def test_the_published_barrier_stays_further_from_the_limit():
    assert trained(IPO, 0.6, 30_000)[0] < trained(CLARA, 0.6, 30_000)[0]


@pytest.mark.parametrize("kind", TYPES)
def test_resuming_at_a_boundary_equals_going_on(kind, tmp_path):
    def save(agent, metrics):
        if agent.updates == 2:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for(kind, 0.3, num_envs=4, checkpoint_interval=2).learn(1200, save)
    assert whole.updates > 4
    resumed: Any = load_agent(tmp_path / "checkpoint")
    assert type(resumed) is kind
    resumed.learn(1200)
    assert same(resumed, whole)
    assert resumed._statistics() == whole._statistics()
    assert not np.array_equal(whole.penalty.strengths, agent_for(kind).penalty.strengths) or kind is IPO


def test_figures_of_every_constraint():
    seen = []

    def note(agent, metrics):
        seen.append(metrics)
        return len(seen) < 2

    agent_for(CLARA, 0.3).learn(10_000, note)
    for metrics in seen:
        for name in ("spent", "left"):
            assert {f"{of}/{name}" for of in ("cost", "cost_estimate", "violation", "barrier_t")} <= metrics.keys()
    first, second = seen
    assert first["cost_estimate/spent"] == pytest.approx(first["cost/spent"], rel=1e-5)
    low, high = sorted([first["cost/spent"], second["cost/spent"]])
    assert low < second["cost_estimate/spent"] < high
    assert first["violation/spent"] == pytest.approx(first["cost/spent"] - 0.3, rel=1e-5)
    assert first["violation/left"] == 0.0
    assert first["cost/spent"] == pytest.approx(0.5, abs=0.1)


def test_limits_of_the_configuration_win():
    agent = agent_for(CLARA, 0.6, limits=[0.25, 1.0])
    np.testing.assert_array_equal(agent.constraints.limits, [0.25, 1.0])
    with pytest.raises(InputError, match=r"limits are \[0.25\]; expected a number for each of spent, left"):
        agent_for(CLARA, limits=[0.25])


def test_limits_that_nothing_meets_are_warned_of_once(monkeypatch):
    monkeypatch.setattr(core, "PATIENCE", 3)
    agent = agent_for(CLARA, limits=[0.3, 0.3], num_envs=8)  # what is not taken is left: the costs' sum is 1
    with pytest.warns(UserWarning, match="has not been met for 3 updates: mean cost .* limit 0.3; perhaps") as seen:
        agent.learn(4000)
    assert 1 <= len(seen) <= 2  # a constraint each


def test_discounted_rewards_keep_their_offset():
    assert agent_for(CLARA).config.average_reward
    agent = agent_for(CLARA, average_reward=False, normalize_reward=False)
    rollout, _ = agent._restart().collect(agent._act)
    before = rollout.rewards.copy(), rollout.streams.copy()
    agent._prepare(rollout)
    np.testing.assert_array_equal(rollout.rewards, before[0])
    assert abs(rollout.streams[rollout.valid].mean()) < 1e-6  # costs are always less their mean
    batch = agent._batch(rollout)
    torch.testing.assert_close(batch.stream_advantages.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)


def test_advantages_of_costs_are_in_units_of_the_limits():
    """Twice the limit, half the advantage."""
    found = []
    for limit in (0.3, 0.6):
        agent = agent_for(CLARA, limit)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            rollout, _ = agent._restart().collect(agent._act)
        agent._prepare(rollout)
        found.append(agent._batch(rollout).stream_advantages)
    torch.testing.assert_close(found[0][:, 0], 2 * found[1][:, 0])
    torch.testing.assert_close(found[0][:, 1], found[1][:, 1])


@pytest.mark.parametrize("kind", TYPES)
def test_configurations_validate_and_are_hydra_schemas(kind):
    config = kind.config_class
    assert OmegaConf.to_object(OmegaConf.structured(config)) == config()
    for name, value in {"limits": [float("nan")], "cost_memory": 1.0, "epochs": 0, "clip_range": 0.0}.items():
        with pytest.raises(InputError, match=f"{config.__name__}: {name} is"):
            config(**{name: value})


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (IPO, "t", 0.0),
        (IPO, "epsilon", 0.0),
        (CLARA, "confidence", -1.0),
        (CLARA, "growth", 1.0),
        (CLARA, "t_max", 1e-3),
        (PPOLagrangian, "initial_multiplier", -0.1),
        (PPOLagrangian, "multiplier_rate", 0.0),
    ],
)
def test_wrong_fields(kind, field, value):
    with pytest.raises(InputError, match=f"{field} is {value}"):
        kind.config_class(**{field: value})


def test_registered():
    for name, kind in (("clara", CLARA), ("ipo", IPO), ("ppo-lagrangian", PPOLagrangian)):
        entry = AGENTS.load(name)
        assert entry.agent == f"optgap.agents.constrained.ppo:{kind.__name__}"
        assert entry.config == f"optgap.agents.constrained.config:{kind.config_class.__name__}"
