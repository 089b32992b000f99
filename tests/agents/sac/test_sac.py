"""The soft actor-critic on networks and on trees: densities, targets and gradients by hand, what is trivially learnable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.gbt.config import GBTSACConfig
from optgap.agents.sac.agent import SAC, soft_targets
from optgap.agents.sac.config import SACConfig
from optgap.agents.sac.network import NetworkActorCritic
from optgap.agents.sac.recipes import BY_ENVIRONMENT
from optgap.agents.sac.squashed import squashed
from optgap.agents.sac.trees import TreeSoftActorCritic
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS
from optgap.gbrl.model import GBTModel

BOTH = pytest.mark.parametrize("kind", ["network", "trees"])
SEEN, ACTIONS = spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (2,))


def agent_for(kind: str, name: str, **changes) -> SAC:
    settings: dict[str, Any] = {"warmup_steps": 400, "temperature": 0.2}
    if kind == "network":
        settings |= {"hidden_sizes": [32, 32], "batch_size": 1024, "minibatch_size": 64, "temperature_rate": 0.01}
        return SAC(GymConfig(f"optgap-test/{name}-v0"), SACConfig(**(settings | changes)))
    settings |= {"batch_size": 1024, "minibatch_size": 512, "policy_batch": 256, "temperature_rate": 0.05}
    return SAC(GymConfig(f"optgap-test/{name}-v0"), GBTSACConfig(**(settings | changes)))


def test_density_of_a_squashed_gaussian():
    generator = torch.Generator().manual_seed(0)
    # away from the ends, where the reference's atanh of a rounded action says little
    parameters = torch.rand(50, 4, generator=generator) - 0.5
    noise = 2 * torch.rand(50, 2, generator=generator) - 1
    actions, found = squashed(parameters, noise)
    normal = torch.distributions.Normal(parameters[:, :2], parameters[:, 2:].exp())
    reference = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform())
    torch.testing.assert_close(found, reference.log_prob(actions).sum(dim=1), rtol=1e-3, atol=1e-3)
    far, density = squashed(torch.tensor([[40.0, 0.0]]), torch.zeros(1, 1))
    assert far.item() == 1.0
    # N(40; 40, 1) times the derivative of atanh there: 2 * 40 - log 4 in logarithms.
    assert density.item() == pytest.approx(-0.5 * math.log(2 * math.pi) + 80 - math.log(4), rel=1e-5)
    clamped, _ = squashed(torch.tensor([[0.0, -50.0]]), torch.ones(1, 1))
    assert clamped.item() == pytest.approx(math.tanh(math.exp(-5)))


def test_targets_by_hand():
    rewards, discounts = np.array([1.0, 2.0], np.float32), np.array([0.5, 0.0], np.float32)
    worth, log_densities = np.array([10.0, 99.0], np.float32), np.array([-2.0, 5.0], np.float32)
    np.testing.assert_allclose(soft_targets(rewards, discounts, worth, log_densities, 0.5), [1 + 0.5 * 11, 2])


class Quadratic(GBTModel):
    """A critic that knows: -c (a - 0.5)^2 of the first action, of the second nothing."""

    def __init__(self, scale: float) -> None:
        super().__init__(3, 1)
        self.scale = scale

    def predict(self, rows):
        return -self.scale * (rows[:, 1:2] - 0.5) ** 2


def test_the_natural_gradient_is_that_of_the_objective():
    """Against the gradient through the critic (which a quadratic has), times the inverse Fisher information."""
    policy = TreeSoftActorCritic(SEEN, ACTIONS, GBTSACConfig(action_pairs=100_000))
    policy.models["policy"].ensemble.bias[:] = [0.2, -0.3, -0.9, -1.2]
    policy.models |= {"first": Quadratic(3.0), "second": Quadratic(2.0)}  # the lesser one is the first
    alpha = 2.0  # large enough that the step is not cut
    found, log_density = policy._natural_gradient(np.zeros((1, 1), np.float32), alpha, np.random.default_rng(0))
    parameters = torch.tensor([[0.2, -0.3, -0.9, -1.2]]).expand(400_000, 4).clone().requires_grad_()
    torch.manual_seed(0)
    actions, log_densities = squashed(parameters, torch.randn(400_000, 2))
    (-3.0 * (actions[:, 0] - 0.5) ** 2 / alpha - log_densities).sum().backward()
    gradient = parameters.grad.mean(dim=0).numpy()
    std = np.exp([-0.9, -1.2])
    expected = np.concatenate([gradient[:2] * std**2, gradient[2:] / 2])  # Fisher: 1 / std^2 and 2
    assert np.linalg.norm(expected / [*std, 1, 1]) < 1
    np.testing.assert_allclose(found[0], expected, atol=0.01)
    assert log_density == pytest.approx(float(log_densities.detach().mean()), abs=0.01)
    cut, _ = policy._natural_gradient(np.zeros((1, 1), np.float32), 1e-3, np.random.default_rng(0))
    assert np.linalg.norm(cut[0] / [*std, 1, 1]) == pytest.approx(1, rel=1e-5)
    assert cut[0, 0] > 0


def test_the_log_standard_deviation_stays_in_its_bounds():
    policy = TreeSoftActorCritic(SEEN, ACTIONS, GBTSACConfig(action_pairs=50))
    policy.models["policy"].ensemble.bias[:] = [0.0, 0.0, 2.5, -6.0]
    policy.models |= {"first": Quadratic(0.0), "second": Quadratic(0.0)}
    found, _ = policy._natural_gradient(np.zeros((4, 1), np.float32), 1.0, np.random.default_rng(0))
    assert (found[:, 2] <= 0).all()
    assert (found[:, 3] >= 0).all()


@pytest.mark.parametrize(("entropy", "rises"), [(-5.0, True), (5.0, False)])
def test_the_temperature_follows_the_entropy(entropy, rises):
    agent = agent_for("trees", "Target")
    before = agent.policy.log_temperature.item()
    agent._adjust(-entropy)  # the target is -2
    assert (agent.policy.log_temperature.item() > before) is rises
    fixed = agent_for("network", "Target", temperature_rate=0.0).learn(600)
    assert fixed.policy.log_temperature.item() == pytest.approx(math.log(0.2))


def test_targets_of_the_critics():
    rng = np.random.default_rng(0)
    x, actions = rng.uniform(-1, 1, (64, 1)).astype(np.float32), rng.uniform(-1, 1, (64, 2)).astype(np.float32)
    wanted = np.full(64, 3.0, np.float32)
    trees = TreeSoftActorCritic(SEEN, ACTIONS, GBTSACConfig())
    trees.fit(x, actions, wanted, rng)
    np.testing.assert_array_equal(trees.worth(x, actions), 0)
    trees.follow()
    assert (trees.worth(x, actions) > 0.5).all()
    for slow in (0.001, 1.0):
        network = NetworkActorCritic(SEEN, ACTIONS, SACConfig(hidden_sizes=[8], target_rate=slow, learning_rate=0.01))
        before = network.worth(x, actions)
        network.fit(x, actions, wanted, rng)
        moved = np.abs(network.worth(x, actions) - before).mean()
        assert (moved < 0.01) if slow < 1 else (moved > 0.01)


@BOTH
def test_continuous_actions(kind):
    """The best actions are 0.5 and minus half the number shown; rewards come at once."""
    agent = agent_for(kind, "Target", gamma=0.0).learn(4000)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.05  # 1 for uniform actions
    one, _ = agent.predict(shown[0])
    assert agent.action_space.contains(one)
    assert agent.action_space.contains(agent.predict(shown[0], deterministic=True)[0])


def test_actions_fill_the_box():
    agent = SAC(GymConfig("Pendulum-v1"), GBTSACConfig())
    np.testing.assert_allclose(agent._to_environment(np.array([[-1.0], [0.0], [1.0]])), [[-2], [0], [2]])


def test_recipes_fit():
    assert all(name in ENVIRONMENTS for name in BY_ENVIRONMENT)
    for recipe in BY_ENVIRONMENT.values():
        GBTSACConfig(**recipe)
        SACConfig(**recipe)
