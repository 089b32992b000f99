"""Networks that treat every asset alike, their first policy, and the spaces that they take."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.portfolio.config import PortfolioPPOConfig
from optgap.agents.portfolio.policies import PortfolioActorCritic, held
from optgap.co.core import InputError

F, W, N = 2, 8, 5
LOGITS = gym.spaces.Box(-10, 10, (N + 1,))
SEEN = gym.spaces.Box(-np.inf, np.inf, (F, W + 1, N))
EXTRACTORS = ["equivariant", "attention", "convolution"]


def made(extractor="equivariant", action_space=LOGITS, streams=0, **fields):
    torch.manual_seed(0)
    return PortfolioActorCritic(SEEN, action_space, PortfolioPPOConfig(extractor=extractor, **fields), streams=streams)


def observations(count=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    days = torch.randn(count, F, W, N, generator=generator)
    weights = torch.rand(count, N + 1, generator=generator).softmax(-1)[:, None, None, :N].expand(-1, F, -1, -1)
    return torch.cat([days, weights], dim=2)


def loud(policy):
    """The policy with outputs as large as training may make them."""
    with torch.no_grad():
        for name, parameter in policy.actor.named_parameters():
            if name.startswith("of_"):
                parameter.mul_(30)
    return policy


@pytest.mark.parametrize("extractor", ["equivariant", "attention"])
@pytest.mark.parametrize("distribution", ["gaussian", "dirichlet"])
def test_a_permutation_of_the_assets_permutes_their_parameters_alone(extractor, distribution):
    policy = loud(made(extractor, distribution=distribution))
    seen, order = observations(), torch.tensor([3, 0, 4, 2, 1])
    policy.observe(observations(50, seed=2))
    parameters, values = policy(seen)
    permuted, its_values = policy(seen[..., order])
    logits, its_logits = parameters[:, : N + 1], permuted[:, : N + 1]
    assert logits.std(dim=0).min() > 1e-3  # the logits do depend on what is seen
    torch.testing.assert_close(its_logits[:, :N], logits[:, order])
    torch.testing.assert_close(its_logits[:, N], logits[:, N])
    torch.testing.assert_close(its_values, values)


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("distribution", ["gaussian", "dirichlet"])
def test_shapes_and_first_policy_of_equal_weights(extractor, distribution):
    policy = made(extractor, distribution=distribution, streams=2)
    parameters, values, streams = policy(observations())
    assert (values.shape, streams.shape) == ((7,), (7, 2))
    assert parameters.shape == (7, policy.interface.parameters)
    mode = policy.interface.distribution(parameters, None).mode()
    weights = mode if distribution == "dirichlet" else mode.softmax(-1)
    torch.testing.assert_close(weights, torch.full((7, N + 1), 1 / (N + 1)), rtol=0.05, atol=0)
    assert len(made(extractor)(observations())) == 2


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_parameter_has_a_gradient(extractor):
    """Of the value and of the density, in either distribution: nothing is computed that nothing depends on."""
    for distribution in ("gaussian", "dirichlet"):
        policy = made(extractor, distribution=distribution)
        parameters, values = policy(observations())
        actions = policy.interface.distribution(parameters.detach(), None).sample()
        density = policy.interface.distribution(parameters, None).log_probability(actions)
        (density.sum() + values.sum()).backward()
        for name, parameter in policy.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert (parameter.grad != 0).any(), name


def test_deviations_and_concentrations_are_those_of_the_configuration():
    parameters, _ = made(log_std=-1.5)(observations())
    torch.testing.assert_close(parameters[:, N + 1 :], torch.full((7, N + 1), -1.5))
    parameters, _ = made(distribution="dirichlet", concentration=4.0)(observations())
    torch.testing.assert_close(parameters.exp().sum(-1), torch.full((7,), 4.0 * (N + 1)))


def test_sampled_weights_are_weights():
    policy = made(distribution="dirichlet", action_space=gym.spaces.Box(0, 1, (N + 1,)))
    parameters, _ = policy(observations())
    distribution = policy.interface.distribution(parameters, None)
    for actions in (distribution.sample(), distribution.mode()):
        weights = policy.interface.to_environment(actions.detach().numpy())
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)


def test_cash_is_what_is_missing():
    seen = torch.zeros(2, F, W + 1, N)
    seen[0, :, -1] = torch.tensor([0.1, 0.2, 0.3, 0.0, 0.0])
    seen[1, :, -1, 0] = 1.0 + 1e-7
    torch.testing.assert_close(held(seen)[:, -1], torch.tensor([0.4, 0.0]))


def test_moments_are_those_of_all_assets():
    policy, seen = made(), observations(400)
    policy.observe(seen)
    moments = seen[:, :, :W].permute(0, 3, 1, 2).reshape(-1, F * W)
    torch.testing.assert_close(policy.scale.mean, moments.mean(0), rtol=1e-4, atol=1e-5)
    assert made(normalize_observation=False).scale is None


@pytest.mark.parametrize(
    ("observed", "acted", "expected"),
    [
        (gym.spaces.Box(-1, 1, (3,)), LOGITS, "expected a Box \\(features, window \\+ 1, assets\\)"),
        (gym.spaces.Discrete(3), LOGITS, "expected a Box \\(features, window \\+ 1, assets\\)"),
        (SEEN, gym.spaces.Discrete(6), "expected a Box \\(6,\\), cash last"),
        (SEEN, gym.spaces.Box(-1, 1, (N,)), "expected a Box \\(6,\\), cash last"),
    ],
)
def test_other_spaces_are_refused(observed, acted, expected):
    with pytest.raises(InputError, match=expected):
        PortfolioActorCritic(observed, acted, PortfolioPPOConfig())


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("extractor", "vgg", "equivariant, attention, convolution"),
        ("distribution", "beta", "gaussian or dirichlet"),
        ("width", 0, "at least 1"),
        ("layers", 0, "at least 1"),
        ("concentration", 0.0, "above 0"),
        ("epochs", 0, "at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(field, value, expected):
    with pytest.raises(InputError, match=f"{field} is .*{expected}"):
        PortfolioPPOConfig(**{field: value})


def test_attention_needs_a_width_that_its_heads_share():
    with pytest.raises(InputError, match="width is 12; attention expects a multiple of 8"):
        made("attention", width=12)
