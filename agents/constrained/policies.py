"""Policies whose actions keep instantaneous constraints by construction."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from optgap.agents.constrained.projection import projection_of
from optgap.agents.nn.mlp import MLPActorCritic, MLPSettings
from optgap.co.core import InputError

LEAK = 0.1  # see ProjectedActorCritic


class ProjectedActorCritic(MLPActorCritic):
    """Perceptrons with a projection layer: ``policy=optgap.agents.constrained.policies:ProjectedActorCritic``.

    For Box action spaces, those with constraints (:class:`optgap.envs.constrained_box.ConstrainedBox`) above all. The
    actor's output, in units of half the bounds' distance and from their middle, is projected on the set of actions;
    the result, P(y), is the mean of the Gaussian. Its samples are projected once more on their way to the environment.

    The mean keeps a share of what the projection took off, m = P(y) + LEAK (y - P(y)). The action taken for it is the
    same, P(m) = P(y), because y - P(y) is orthogonal to the set there; but an output that is outside is led back by its
    gradient, where the derivative of P alone would be zero for good.
    """

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], config: MLPSettings, streams: int = 0
    ) -> None:
        if not isinstance(action_space, gym.spaces.Box):
            raise InputError(f"ProjectedActorCritic: action space {action_space}; expected a Box")
        super().__init__(observation_space, action_space, config, streams)
        low, high = (np.ravel(bound).astype(np.float64) for bound in (action_space.low, action_space.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        low, high = np.where(bounded, low, np.clip(0.0, low, high)), np.where(bounded, high, np.clip(0.0, low, high))
        self.projection = projection_of(action_space)
        self.middle: Tensor
        self.half_width: Tensor
        self.register_buffer("middle", torch.from_numpy((low + high) / 2).float())
        self.register_buffer("half_width", torch.from_numpy(np.where(bounded, (high - low) / 2, 1.0)).float())
        assert self.log_std is not None
        with torch.no_grad():  # of an action space of unit half width: 1/2, so that most samples are inside
            self.log_std.copy_((self.half_width / 2).clamp(min=1e-6).log())

    def forward(self, observation: Any) -> tuple[Tensor, ...]:
        parameters, *values = super().forward(observation)
        output, log_std = parameters.chunk(2, dim=-1)
        point = self.middle + self.half_width * output
        nearest = self.projection(point)
        return torch.cat([nearest + LEAK * (point - nearest), log_std], dim=-1), *values
