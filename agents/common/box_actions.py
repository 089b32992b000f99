"""Actions of a bounded Box as continuous algorithms mean them: flat, every number in [-1, 1]."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError


class BoxActions:
    """The way between an algorithm's actions (B, ``size``) float32 in [-1, 1] and those of ``space``.

    Raises:
        InputError: the space is no bounded float Box.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        if not (isinstance(space, gym.spaces.Box) and space.is_bounded() and np.issubdtype(space.dtype, np.floating)):
            raise InputError(f"action space {space} cannot be scaled to [-1, 1]; expected a bounded float Box")
        self.space, self.size = space, math.prod(space.shape)

    def example(self) -> NDArray[np.float32]:
        """One action (size,)."""
        return np.zeros(self.size, np.float32)

    def random(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Uniform actions (count, size)."""
        return rng.uniform(-1, 1, (count, self.size)).astype(np.float32)

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions (B, size) as the environment's (B, ...): -1 is its lower bound, 1 its upper one."""
        box = self.space
        shares = (actions.reshape(-1, *box.shape).astype(np.float64) + 1) / 2
        scaled: NDArray[Any] = np.clip(box.low + shares * (box.high - box.low), box.low, box.high).astype(box.dtype)
        return scaled
