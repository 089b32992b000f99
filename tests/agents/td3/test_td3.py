"""TD3: smoothing, delays and targets by hand, what is trivially learnable, and resuming."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.replay import Transitions
from optgap.agents.td3.agent import TD3
from optgap.agents.td3.config import TD3Config
from optgap.agents.td3.network import NetworkTwinDelayed
from optgap.agents.td3.recipes import BY_ENVIRONMENT
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

SEEN, ACTIONS = spaces.Box(-1, 1, (1,)), spaces.Box(-1, 1, (2,))
SMALL: dict[str, Any] = {"hidden_sizes": [32, 32], "batch_size": 1024, "minibatch_size": 64, "warmup_steps": 400}


def agent_for(name: str, **changes) -> TD3:
    return TD3(GymConfig(name), TD3Config(**(SMALL | changes)))


def network(**changes) -> NetworkTwinDelayed:
    torch.manual_seed(0)
    return NetworkTwinDelayed(SEEN, ACTIONS, TD3Config(**({"hidden_sizes": [8]} | changes)))


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().ravel().clone() for parameter in module.parameters()])


def batch(count: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    seen, actions = (rng.uniform(-1, 1, (count, size)).astype(np.float32) for size in (1, 2))
    return seen, actions, np.full(count, 3.0, np.float32)


def test_the_target_policy_is_smoothed_by_clipped_noise():
    policy = network(target_noise=0.3, target_noise_clip=0.2)
    seen = np.zeros((20_000, 1), np.float32)
    middle = policy.act(seen)[0]  # the target policy begins as the policy
    noise = policy.smoothed(seen, np.random.default_rng(0)) - middle
    assert np.abs(noise).max() == pytest.approx(0.2, abs=1e-6)
    inside = np.abs(noise) < 0.2 - 1e-6
    assert inside.mean() == pytest.approx(0.495, abs=0.01)  # P(|z| < 2 / 3)
    assert noise.mean() == pytest.approx(0, abs=0.005)
    with torch.no_grad():
        policy.target_actor[-1].bias.fill_(5.0)
    assert policy.smoothed(seen, np.random.default_rng(0)).max() <= 1  # the box cuts what the noise adds


@pytest.mark.parametrize("delay", [1, 3])
def test_the_policy_and_all_targets_move_at_every_delayed_step(delay):
    """One gradient step an update, so the delay has to count on between updates."""
    policy, moved = network(policy_delay=delay, minibatch_size=64, learning_rate=0.01, policy_rate=0.01), []
    for _ in range(6):
        before = [weights(part) for part in (policy.critics, policy.actor, policy.targets, policy.target_actor)]
        policy.fit(*batch(), np.random.default_rng(0))
        after = [weights(part) for part in (policy.critics, policy.actor, policy.targets, policy.target_actor)]
        moved.append([not torch.equal(one, other) for one, other in zip(before, after, strict=True)])
    assert moved == [[True] + [step % delay == 0] * 3 for step in range(1, 7)]
    assert int(policy.gradient_steps) == 6


def test_the_actor_climbs_the_first_critic():
    policy = network(policy_rate=0.01)
    features = torch.from_numpy(batch()[0])

    def values() -> list[float]:
        with torch.no_grad():
            joined = torch.cat([features, torch.tanh(policy.actor(features))], dim=1)
            return [float(critic(joined).mean()) for critic in policy.critics]

    before, critics = values(), weights(policy.critics)
    for _ in range(20):
        policy._step_actor(features)
    assert values()[0] > before[0] + 0.01
    assert torch.equal(weights(policy.critics), critics)


def test_targets_follow_at_their_rate():
    policy = network(target_rate=0.25, policy_delay=1, learning_rate=0.1)
    before = weights(policy.targets)
    policy.fit(*batch(), np.random.default_rng(0))
    torch.testing.assert_close(weights(policy.targets), 0.75 * before + 0.25 * weights(policy.critics))


def test_targets_of_the_critics_by_hand(monkeypatch):
    agent = agent_for("Pendulum-v1", batch_size=2)
    given: list[float] = []
    seen = np.zeros((2, 3), np.float32)
    rewards, discounts = np.array([1.0, 2.0], np.float32), np.array([0.5, 0.0], np.float32)  # the second is terminal
    drawn = Transitions(seen, np.zeros((2, 1), np.float32), rewards, seen, discounts, None)
    monkeypatch.setattr(agent.replay, "sample", lambda count, rng: drawn)
    monkeypatch.setattr(agent.policy, "worth", lambda observations, actions: np.array([10.0, 99.0], np.float32))

    def fit(observations, actions, targets, rng):
        given.extend(targets)
        return 0.0

    monkeypatch.setattr(agent.policy, "fit", fit)
    agent._update(np.random.default_rng(0))
    np.testing.assert_allclose(given, [1 + 0.5 * 10, 2])


def test_continuous_actions():
    """The best actions are 0.5 and minus half the number shown; rewards come at once."""
    agent = agent_for("optgap-test/Target-v0", gamma=0.0, exploration_noise=0.3).learn(4000)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.05  # 1 for uniform actions
    assert agent.action_space.contains(agent.predict(shown[0])[0])


def test_noise_explores_unless_deterministic():
    agent = agent_for("Pendulum-v1", exploration_noise=0.1)
    seen = np.zeros((4000, 3), np.float32)
    plain, noisy = (agent.predict(seen, deterministic=sure)[0] for sure in (True, False))
    assert len(np.unique(plain)) == 1
    assert (noisy - plain).std() == pytest.approx(0.2, rel=0.05)  # of [-1, 1], and the box is [-2, 2]


def test_resuming_at_a_boundary_equals_going_on(tmp_path):
    settings = {"num_envs": 2, "warmup_steps": 40, "batch_size": 96, "minibatch_size": 32, "checkpoint_interval": 5}

    def save(agent, metrics):
        if agent.updates == 15:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for("optgap-test/Target-v0", **settings).learn(500, save)
    resumed = load_agent(tmp_path / "checkpoint")
    assert isinstance(resumed, TD3)
    assert int(resumed.policy.gradient_steps) == 3 * 13  # two updates of 15 were warm-up; odd, so the delay matters
    assert not torch.equal(weights(resumed.policy), weights(whole.policy))
    assert torch.equal(weights(resumed.learn(500).policy), weights(whole.policy))


def test_bad_input():
    with pytest.raises(InputError, match=r"expected a bounded float Box"):
        TD3(GymConfig("CartPole-v1"))
    for field, value in (("policy_delay", 0), ("target_noise", -0.1), ("target_rate", 0.0), ("policy_rate", 0.0)):
        with pytest.raises(InputError, match=f"TD3Config: {field} is"):
            TD3Config(**{field: value})


def test_recipes_fit():
    assert AGENTS.load("td3").recipes == "optgap.agents.td3.recipes:BY_ENVIRONMENT"
    for recipe in BY_ENVIRONMENT.values():
        TD3Config(**recipe)
