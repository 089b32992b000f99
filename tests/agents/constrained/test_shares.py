"""Policies over shares: always within the capacity, and spaces that they take."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optgap.agents.constrained.shares import SharesActorCritic, capacity_of, shares
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.constrained_box import Capacity, ConstrainedBox, Linear

OBSERVATION = gym.spaces.Box(-1, 1, (2,))
logits = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-1e4, 1e4, width=32))


@settings(max_examples=300, deadline=None)
@given(logits, st.floats(1e-3, 1e6))
def test_shares_are_never_negative_and_never_above_the_capacity(z, capacity):
    found = shares(z, capacity)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    for order in (found, found[:, ::-1]):
        assert (order.sum(axis=1, dtype=np.float32) <= np.float32(capacity)).all()
    np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), capacity, rtol=1e-5)


def test_shares_are_a_softmax():
    z = np.log(np.array([[1.0, 2.0, 5.0]], np.float32))
    np.testing.assert_allclose(shares(z, 4.0), [[0.5, 1.0, 2.5]], rtol=1e-5)
    np.testing.assert_allclose(shares(z + 7, 4.0), [[0.5, 1.0, 2.5]], rtol=1e-5)


def test_actions_of_the_policy_are_shares_and_its_density_is_that_of_the_logits():
    policy = SharesActorCritic(OBSERVATION, ConstrainedBox(0, 1, Capacity(1.0), n=3), PPOConfig())
    parameters, _ = policy(torch.zeros(5, 2))
    distribution = policy.interface.distribution(parameters, None)
    z = distribution.sample()
    assert policy.interface.parameters == parameters.shape[1] == 6
    normal = torch.distributions.Normal(parameters[:, :3], 0.5)
    torch.testing.assert_close(distribution.log_probability(z), normal.log_prob(z).sum(1))
    assert (policy.interface.to_environment(z.detach().numpy()).sum(1) <= 1).all()


def test_capacities():
    assert capacity_of(gym.spaces.Box(0, 2.5, (3,))) == 2.5
    assert capacity_of(ConstrainedBox(0, 9, Capacity(4.0), n=3)) == 4.0


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Discrete(3),
        gym.spaces.Box(-1, 1, (3,)),
        gym.spaces.Box(0, np.inf, (3,)),
        gym.spaces.Box(np.zeros(2, np.float32), np.array([1, 2], np.float32)),
        ConstrainedBox(0, 1, Linear(np.ones((1, 3)), [1.0]), n=3),
    ],
)
def test_other_spaces_are_refused(space):
    with pytest.raises(InputError, match="expected shares of a capacity"):
        SharesActorCritic(OBSERVATION, space, PPOConfig())
