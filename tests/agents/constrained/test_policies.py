from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.constrained.policies import ProjectedActorCritic
from optgap.agents.nn.distributions import action_interface
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.constrained_box import Capacity, ConstrainedBox
from optgap.envs.gym_config import GymConfig

POLICY = "optgap.agents.constrained.policies:ProjectedActorCritic"
SEEN = gym.spaces.Box(-1, 1, (2,))
SPACE = ConstrainedBox(0.0, 1.0, Capacity(1.0), n=3)


def test_the_mean_and_every_sample_become_members_of_the_space():
    torch.manual_seed(0)
    policy = ProjectedActorCritic(SEEN, SPACE, PPOConfig(hidden_sizes=[8]), streams=2)
    with torch.no_grad():
        policy.actor[-1].weight.mul_(300)
    parameters, values, streams = policy(torch.rand(500, 2))
    assert (parameters.shape, values.shape, streams.shape) == ((500, 6), (500,), (500, 2))
    interface = action_interface(SPACE)
    distribution = interface.distribution(parameters, None)
    for actions in (distribution.mode(), distribution.sample()):
        for action in interface.to_environment(actions.detach().numpy()):
            assert SPACE.contains(action)
    # What the mean keeps of what the projection took off does not change the action.
    output = policy.middle + policy.half_width * policy.actor(
        torch.rand(500, 2, generator=torch.Generator().manual_seed(1))
    )
    nearest = policy.projection(output)
    again = policy.projection(nearest + 0.1 * (output - nearest))
    torch.testing.assert_close(again, nearest, atol=1e-5, rtol=0)


def test_an_output_outside_is_led_back():
    torch.manual_seed(0)
    policy = ProjectedActorCritic(SEEN, SPACE, PPOConfig(hidden_sizes=[8]))
    with torch.no_grad():
        policy.actor[-1].bias.copy_(torch.tensor([0.0, 0.0, -9.0]))
    parameters, _ = policy(torch.zeros(1, 2))
    distribution = action_interface(SPACE).distribution(parameters, None)
    distribution.log_probability(torch.tensor([[0.0, 0.0, 1.0]])).sum().backward()
    assert float(policy.actor[-1].bias.grad[2]) > 0


def test_ppo_learns_shares_that_fit():
    """The environment accepts members of its space only; without anything learned the return is about -4."""
    config = PPOConfig(policy=POLICY, num_envs=8, rollout_length=64, hidden_sizes=[16], learning_rate=3e-3, gamma=0.0)
    agent = PPO(GymConfig(id="optgap-test/Shares-v0"), config).learn(6_000)
    shown = np.linspace(-1, 1, 21, dtype=np.float32)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.concatenate([0.5 + shown / 2, 0.5 - shown / 2, 0 * shown], axis=1)
    assert float(((actions - best) ** 2).sum(axis=1).mean()) < 0.01
    assert all(SPACE.contains(action) for action in actions)


def test_other_action_spaces():
    box = gym.spaces.Box(np.array([-2.0, -np.inf], np.float32), np.array([4.0, np.inf], np.float32))
    policy = ProjectedActorCritic(SEEN, box, PPOConfig(hidden_sizes=[8]))
    mean, log_std = policy(torch.zeros(1, 2))[0].chunk(2, dim=1)
    torch.testing.assert_close(mean, torch.tensor([[1.0, 0.0]]), atol=0.2, rtol=0)
    torch.testing.assert_close(log_std.exp(), torch.tensor([[1.5, 0.5]]))
    with pytest.raises(InputError, match="expected a Box"):
        ProjectedActorCritic(SEEN, gym.spaces.Discrete(3), PPOConfig())
