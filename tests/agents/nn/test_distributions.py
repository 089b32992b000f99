"""Distributions against torch's own, and under masks against the distribution over the allowed actions alone."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.nn.distributions import Dirichlet, MaskedCategorical, action_interface
from optgap.agents.nn.mlp import MLPActorCritic, flat_size, flatten
from optgap.co.core import InputError

MASKS = torch.tensor([[True, False, True, True], [False, False, True, False], [True, True, True, True]])


def test_masked_categorical_equals_the_categorical_over_the_allowed_actions():
    logits = torch.randn(3, 4, generator=torch.manual_seed(0)) * 5
    distribution = MaskedCategorical(logits, MASKS)
    for row in range(3):
        allowed = torch.nonzero(MASKS[row]).ravel()
        small = torch.distributions.Categorical(logits=logits[row, allowed])
        assert torch.allclose(distribution.entropy()[row], small.entropy(), atol=1e-6)
        for i, action in enumerate(allowed):
            actions = torch.full((3,), int(action))
            assert torch.allclose(
                distribution.log_probability(actions)[row], small.log_prob(torch.tensor(i)), atol=1e-6
            )
        assert MASKS[row, distribution.mode()[row]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_forbidden_actions_are_never_sampled_and_gradients_stay_finite(dtype):
    torch.manual_seed(0)
    logits = (torch.randn(3, 4) * 50).to(dtype).requires_grad_()
    masks = MASKS.clone()
    distribution = MaskedCategorical(logits, masks)
    for _ in range(200):
        assert masks[torch.arange(3), distribution.sample()].all()
    (distribution.entropy().sum() + distribution.log_probability(distribution.sample()).sum()).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~masks] == 0).all()


def test_a_state_that_allows_nothing_is_uniform():
    distribution = MaskedCategorical(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2, dtype=torch.bool))
    assert torch.allclose(distribution.log_probabilities.exp(), torch.tensor([[0.5, 0.5]]))
    assert torch.isfinite(distribution.entropy()).all()


def test_multi_discrete_is_a_product():
    interface = action_interface(spaces.MultiDiscrete([2, 3], start=[1, 5]))
    assert interface.parameters == 5
    parameters = torch.randn(4, 5, generator=torch.manual_seed(1))
    masks = torch.tensor([[True, True, False, True, True]]).expand(4, 5)
    distribution = interface.distribution(parameters, masks)
    first, second = MaskedCategorical(parameters[:, :2]), MaskedCategorical(parameters[:, 2:], masks[:, 2:])
    assert torch.allclose(distribution.entropy(), first.entropy() + second.entropy())
    actions = distribution.sample()
    assert torch.allclose(
        distribution.log_probability(actions),
        first.log_probability(actions[:, 0]) + second.log_probability(actions[:, 1]),
    )
    np.testing.assert_array_equal(interface.to_environment(np.array([[0, 2]])), [[1, 7]])


def test_box_is_a_diagonal_gaussian_clipped_on_the_way_out():
    interface = action_interface(spaces.Box(-1, 1, (2, 1), np.float32))
    mean, log_std = torch.tensor([[0.3, -2.0]]), torch.tensor([[0.1, -0.7]])
    distribution = interface.distribution(torch.cat([mean, log_std], -1), None)
    reference = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    actions = torch.tensor([[1.7, -2.2]])
    assert torch.allclose(distribution.log_probability(actions), reference.log_prob(actions))
    assert torch.allclose(distribution.entropy(), reference.entropy())
    torch.manual_seed(0)
    samples = torch.stack([distribution.sample() for _ in range(4000)])
    assert torch.allclose(samples.mean(0), mean, atol=0.06)
    assert torch.allclose(samples.std(0), log_std.exp(), rtol=0.05)
    clipped = interface.to_environment(actions.numpy())
    assert clipped.shape == (1, 2, 1)
    np.testing.assert_allclose(clipped.ravel(), [1.0, -1.0])


def test_dirichlet_agrees_with_torchs():
    logarithms = torch.randn(6, 4, generator=torch.manual_seed(2)) * 1.5
    distribution, other = Dirichlet(logarithms), Dirichlet(logarithms.flip(0))
    reference, its = (torch.distributions.Dirichlet(one.concentration) for one in (distribution, other))
    torch.manual_seed(0)
    samples = torch.stack([distribution.sample() for _ in range(4000)])
    assert torch.allclose(samples.sum(-1), torch.ones(4000, 6))
    assert torch.allclose(samples.mean(0), reference.mean, atol=0.02)
    assert torch.allclose(samples.var(0), reference.variance, atol=0.01)
    assert torch.allclose(distribution.mode(), reference.mean)
    actions = samples[0].clamp(1e-4)
    actions = actions / actions.sum(-1, keepdim=True)
    assert torch.allclose(distribution.log_probability(actions), reference.log_prob(actions), rtol=1e-4, atol=1e-4)
    assert torch.allclose(distribution.entropy(), reference.entropy(), rtol=1e-4, atol=1e-4)
    expected = torch.distributions.kl_divergence(reference, its)
    assert torch.allclose(distribution.divergence(other), expected, rtol=1e-4, atol=1e-4)


def test_dirichlet_of_one_share_in_two_is_a_beta_distribution():
    """Beta(2, 1): density 2 x, mean 2/3, entropy 1/2 - log 2; against Beta(1, 1): KL = minus its entropy."""
    distribution = Dirichlet(torch.tensor([[2.0, 1.0]]).log())
    found = distribution.log_probability(torch.tensor([[0.25, 0.75]]))
    assert torch.allclose(found, torch.tensor([0.5]).log())
    assert torch.allclose(distribution.mode(), torch.tensor([[2 / 3, 1 / 3]]))
    assert torch.allclose(distribution.entropy(), torch.tensor([0.5]) - np.log(2))
    assert torch.allclose(distribution.divergence(Dirichlet(torch.zeros(1, 2))), np.log(2) - torch.tensor([0.5]))


def test_densities_of_tiny_shares_and_their_gradients_are_finite():
    torch.manual_seed(0)
    logarithms = torch.full((200, 3), -4.0).requires_grad_()
    distribution = Dirichlet(logarithms)
    actions = distribution.sample()
    assert (actions > 0).all()
    (distribution.log_probability(actions) + distribution.entropy()).sum().backward()
    assert torch.isfinite(logarithms.grad).all()


@pytest.mark.parametrize("space", [spaces.MultiBinary(3), spaces.Box(0, 5, (2,), np.int32), spaces.Text(4)])
def test_spaces_without_a_distribution_are_refused(space):
    with pytest.raises(InputError, match="has no policy"):
        action_interface(space)


def test_flatten_agrees_with_gymnasium():
    space = spaces.Dict(
        {
            "box": spaces.Box(-1, 1, (2, 3)),
            "inner": spaces.Dict({"one": spaces.Discrete(4, start=-1), "bits": spaces.MultiBinary(3)}),
            "many": spaces.MultiDiscrete([2, 3], start=[1, 0]),
            "scalar": spaces.Box(0, 1, ()),
        },
        seed=3,
    )
    samples = [space.sample() for _ in range(6)]

    def batch(part, values):
        if isinstance(part, spaces.Dict):
            return {key: batch(inner, [value[key] for value in values]) for key, inner in part.spaces.items()}
        return torch.as_tensor(np.array(values))

    flat = flatten(batch(space, samples), space)
    assert flat.shape == (6, flat_size(space))
    for row, sample in zip(flat, samples, strict=True):
        expected = np.concatenate(
            [
                np.ravel(sample["box"]),
                gym.spaces.flatten(space["inner"]["bits"], sample["inner"]["bits"]),
                gym.spaces.flatten(space["inner"]["one"], sample["inner"]["one"]),
                gym.spaces.flatten(space["many"], sample["many"]),
                np.ravel(sample["scalar"]),
            ]
        )
        np.testing.assert_allclose(row.numpy(), expected)


def test_actor_critic_shapes_and_first_policy_nearly_uniform():
    class Settings:
        hidden_sizes = [16, 16]  # noqa: RUF012
        normalize_observation = False

    torch.manual_seed(0)
    discrete = MLPActorCritic(spaces.Box(-1, 1, (3,)), spaces.Discrete(5), Settings())
    logits, values = discrete(torch.randn(7, 3))
    assert logits.shape == (7, 5)
    assert values.shape == (7,)
    assert logits.abs().max() < 0.1
    box = MLPActorCritic(spaces.Discrete(3), spaces.Box(-1, 1, (2,)), Settings())
    parameters, values = box(torch.tensor([0, 2]))
    assert parameters.shape == (2, 4)
    assert torch.equal(parameters[:, 2:], torch.zeros(2, 2))  # standard deviation 1
    with pytest.raises(InputError, match="cannot be flattened"):
        MLPActorCritic(spaces.Text(3), spaces.Discrete(2), Settings())
