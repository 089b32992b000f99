"""Policies over shares of a capacity: always within it, and as fine for small shares as for large ones."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.nn.distributions import ActionInterface, DiagonalGaussian
from optgap.agents.nn.mlp import MLPActorCritic, MLPSettings
from optgap.co.core import InputError
from optgap.envs.constrained_box import Capacity, ConstrainedBox

F32 = NDArray[np.float32]

MARGIN = 1e-6  # of the capacity, left over so that sums in single precision stay within it


class SharesActorCritic(MLPActorCritic):
    """Perceptrons whose actions are shares: ``policy=optgap.agents.constrained.shares:SharesActorCritic``.

    A Gaussian sample z (n,) becomes the shares C softmax(z), which are at least 0 and sum to the capacity C. A projection
    has the same set of actions, but a step of the policy that moves a share of 0.8 by a tenth there moves one of 0.01
    by ten times itself; here both change by the same factor.

    For action spaces ``ConstrainedBox`` with a :class:`Capacity` and lower bound 0, or a Box from 0 to the same C
    in all n components.

    Raises:
        InputError: another action space.
    """

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], config: MLPSettings, streams: int = 0
    ) -> None:
        capacity = capacity_of(action_space)
        super().__init__(observation_space, action_space, config, streams)
        assert self.log_std is not None
        with torch.no_grad():  # a sample changes a share by half of itself
            self.log_std.fill_(math.log(0.5))

        def to_environment(actions: F32) -> F32:
            return shares(actions, capacity)

        self.interface = ActionInterface(
            2 * actions_of(action_space), lambda parameters, _: DiagonalGaussian(parameters), to_environment
        )


def actions_of(space: gym.Space[Any]) -> int:
    """Number of components of a Box of one axis."""
    assert space.shape is not None
    return int(space.shape[0])


def capacity_of(space: gym.Space[Any]) -> float:
    """What the components of an action may sum to."""
    expected = "expected shares of a capacity: lower bounds 0 and a Capacity, or upper bounds that are all the same"
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1 or (space.low != 0).any():
        raise InputError(f"SharesActorCritic: action space {space}; {expected}")
    if isinstance(space, ConstrainedBox):
        if not isinstance(space.action_constraints, Capacity):
            raise InputError(f"SharesActorCritic: action space {space}; {expected}")
        return float(space.action_constraints.total)
    if not np.isfinite(space.high).all() or (space.high != space.high[0]).any():
        raise InputError(f"SharesActorCritic: action space {space}; {expected}")
    return float(space.high[0])


def shares(logits: F32, capacity: float) -> F32:
    """C softmax of each row (B, n), as float32 whose sum is at most C."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    found: F32 = (capacity * (1.0 - MARGIN) * powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return found
