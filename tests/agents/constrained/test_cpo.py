from __future__ import annotations

import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.constrained.cpo import CPO
from optgap.agents.constrained.cpo_config import CPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

BUDGET = GymConfig(id="optgap-test/Budget-v0")


def small(**changes):
    return CPOConfig(**({"num_envs": 4, "rollout_length": 64, "hidden_sizes": [8], "value_epochs": 2} | changes))


def probabilities(agent):
    """Of taking the first and the second offer."""
    distribution = agent.interface.distribution(agent.approximator.predict(np.array([0, 1])).parameters, None)
    return distribution.log_probabilities.exp()[:, 1].numpy()


@pytest.mark.slow
def test_reaches_the_known_optimum_within_its_limit():
    """The best: take the first offer always, the second with probability 0.2; reward 0.55 at cost 0.6."""
    figures = []
    agent = CPO(BUDGET, CPOConfig(hidden_sizes=[16], rollout_length=128, value_epochs=2))
    agent.learn(45_000, lambda _, metrics: figures.append(dict(metrics)))
    first, second = probabilities(agent)
    assert first > 0.98
    assert (first + second) / 2 <= 0.6 * 1.02
    assert first / 2 + second / 4 > 0.55 * 0.97
    last = figures[-5:]
    assert np.mean([metrics["multiplier/spent"] for metrics in last]) > 0.05
    assert all(metrics["multiplier/left"] == 0 for metrics in last)  # never binds
    assert all(metrics["train/divergence"] <= agent.config.max_divergence for metrics in figures)
    assert {"cost/spent", "cost_estimate/spent", "violation/spent", "train/step", "train/value_loss"} <= set(figures[0])


def test_a_violated_limit_is_restored_before_the_reward():
    """From a policy that takes nearly everything, a limit of 0.2 is out of reach of one step."""
    config = GymConfig(id="optgap-test/Budget-v0", kwargs={"limit": 0.2})
    agent = CPO(config, small(rollout_length=128))
    with torch.no_grad():
        agent.policy.actor[-1].bias.copy_(torch.tensor([-1.5, 1.5]))
    figures: list[dict[str, float]] = []
    agent.learn(12_000, lambda _, metrics: figures.append(dict(metrics)))
    costs = [metrics["cost/spent"] for metrics in figures]
    feasible = [metrics["train/feasible"] for metrics in figures]
    assert feasible[0] == 0
    assert costs[0] > 0.8
    assert np.mean(costs[-3:]) < 0.3
    assert feasible[-1] == 1


def test_same_seed_same_weights_and_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    config = small(checkpoint_interval=2)
    whole = CPO(BUDGET, config, seed=3).learn(6 * 250)
    half = CPO(BUDGET, config, seed=3).learn(2 * 250)
    assert half.updates == 2
    half.save(tmp_path / "half")
    resumed = load_agent(tmp_path / "half").learn(6 * 250)
    assert isinstance(resumed, CPO)
    for a, b in zip(whole.policy.parameters(), resumed.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_only_the_policy_moves_within_the_trust_region():
    agent = CPO(BUDGET, small(), seed=1)
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    rollout, _ = agent._restart().collect(agent._act)
    agent._prepare(rollout)
    batch = agent._batch(rollout)
    figures = agent._improve(batch)
    assert figures["train/step"] > 0
    for name, value in agent.policy.state_dict().items():
        assert torch.equal(before[name], value) == (not name.startswith("actor")), name
    acting = {name: value.clone() for name, value in agent.policy.actor.state_dict().items()}
    agent._fit_values(batch, 1e-3, np.random.default_rng(0))
    for name, value in agent.policy.actor.state_dict().items():
        assert torch.equal(acting[name], value)


def test_a_continuous_policy_with_a_projection_layer_moves():
    config = small(policy="optgap.agents.constrained.policies:ProjectedActorCritic", limits=[0.4])
    agent = CPO(GymConfig(id="optgap-test/Shares-v0"), config)
    figures: list[dict[str, float]] = []
    agent.learn(800, lambda _, metrics: figures.append(dict(metrics)))
    assert max(metrics["train/step"] for metrics in figures) > 0
    assert all(0 <= metrics["train/divergence"] <= 0.01 for metrics in figures)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_divergence", 0.0),
        ("damping", -1.0),
        ("line_search_factor", 1.0),
        ("value_epochs", 0),
        ("limits", [np.nan]),
    ],
)
def test_bad_hyperparameters_are_said(field, value):
    with pytest.raises(InputError, match=field):
        CPOConfig(**{field: value})
