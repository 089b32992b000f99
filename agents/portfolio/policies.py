"""Policy and value of portfolios."""

from __future__ import annotations

import math
from typing import Protocol

import gymnasium as gym
import torch
from torch import Tensor, nn

from optgap.agents.nn.distributions import ActionInterface, Dirichlet, action_interface
from optgap.agents.nn.mlp import RunningScale
from optgap.agents.portfolio.extractors import EXTRACTORS, ExtractorSettings, Shape
from optgap.co.core import InputError

LEAST_CONCENTRATION = 0.02  # samples of less are all 0 in single precision


class PortfolioSettings(ExtractorSettings, Protocol):
    """The part of a configuration that a :class:`PortfolioActorCritic` reads."""

    extractor: str
    distribution: str
    log_std: float
    concentration: float
    normalize_observation: bool


class PortfolioActorCritic(nn.Module):
    """Two separate networks over the observation of ``optgap/Portfolio-v0``: weights, and value.

    Observations are (B, F, W + 1, N): W days of F features of N assets, then the weights held; actions are (B, N + 1),
    cash last. The untrained policy holds all in equal weights, or nearly so.

    The actor gives logits. Gaussian: they are the means, with standard deviations that do not depend on the observation;
    the weights of the mode are their softmax. Dirichlet: their softmax is the mean, which is the deterministic action,
    and the sum of the concentrations does not depend on the observation.

    With ``streams`` = K > 0 the critic gives the values (B, K) of K further streams of rewards, third in what
    ``forward`` returns.

    Raises:
        InputError: other spaces.
    """

    def __init__(
        self,
        observation_space: gym.Space[object],
        action_space: gym.Space[object],
        config: PortfolioSettings,
        streams: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape_of(observation_space, action_space)
        features, window, assets = self.shape
        network = EXTRACTORS[config.extractor]
        self.actor = network(self.shape, config, per_asset=True, outputs=1, output_gain=0.01)
        self.critic = network(self.shape, config, per_asset=False, outputs=1 + streams, output_gain=1.0)
        self.scale = RunningScale(features * window) if config.normalize_observation else None
        self.further = streams > 0
        self.log_std: nn.Parameter | None = None
        self.log_concentration: nn.Parameter | None = None
        if config.distribution == "gaussian":
            self.interface = action_interface(action_space)
            self.log_std = nn.Parameter(torch.full((assets + 1,), config.log_std))
        else:
            self.interface = weights_interface(action_space)
            self.log_concentration = nn.Parameter(torch.tensor(math.log(config.concentration * (assets + 1))))

    def observe(self, observations: Tensor) -> None:
        """Take the observations of a rollout (N, ...) into what they are normalized by, the same for all assets."""
        if self.scale is not None:
            self.scale.observe(self._windows(observations).flatten(0, 1))

    def forward(self, observation: Tensor) -> tuple[Tensor, ...]:
        windows, weights = self._windows(observation), held(observation)
        if self.scale is not None:
            windows = self.scale(windows)
        logits = self.actor(windows, weights)
        values = self.critic(windows, weights)
        parameters = (logits, values[:, 0])
        if self.log_std is not None:
            parameters = (torch.cat([logits, self.log_std.expand_as(logits)], dim=-1), values[:, 0])
        elif self.log_concentration is not None:
            shares = self.log_concentration + torch.log_softmax(logits, dim=-1)
            parameters = (shares.clamp(min=math.log(LEAST_CONCENTRATION)), values[:, 0])
        return (*parameters, values[:, 1:]) if self.further else parameters

    def _windows(self, observation: Tensor) -> Tensor:
        """(B, N, F W), an asset's window."""
        return observation[:, :, :-1].permute(0, 3, 1, 2).flatten(2)


def held(observation: Tensor) -> Tensor:
    """The weights held (B, N + 1) in observations (B, F, W + 1, N): the last is cash, what is missing to 1."""
    assets = observation[:, 0, -1]
    return torch.cat([assets, 1.0 - assets.sum(dim=-1, keepdim=True)], dim=-1).clamp(min=0.0)


def shape_of(observation_space: gym.Space[object], action_space: gym.Space[object]) -> Shape:
    """What the observations are made of; spaces that are not a portfolio's raise :class:`InputError`."""
    seen, acted = observation_space.shape or (), action_space.shape or ()
    if not isinstance(observation_space, gym.spaces.Box) or len(seen) != 3 or seen[1] < 2:
        raise InputError(
            f"PortfolioActorCritic: observation space {observation_space}; expected a Box (features, window + 1, assets)"
        )
    if not isinstance(action_space, gym.spaces.Box) or acted != (seen[2] + 1,):
        raise InputError(
            f"PortfolioActorCritic: action space {action_space}; expected a Box ({seen[2] + 1},), cash last"
        )
    return Shape(seen[0], seen[1] - 1, seen[2])


def weights_interface(space: gym.Space[object]) -> ActionInterface:
    """Dirichlet distributions over an action space of weights; other spaces raise :class:`InputError`."""
    expected = action_interface(space)
    return ActionInterface(
        expected.parameters // 2, lambda parameters, _: Dirichlet(parameters), expected.to_environment
    )
