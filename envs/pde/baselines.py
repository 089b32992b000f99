"""Policies that need no training, to stand beside trained ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.envs.pde.burgers import CENTRES, HIGH, LOW, PERIOD, SWING, bump

Policy = Callable[[NDArray[Any], Any], NDArray[Any]]
"""(observations (B, ...), masks or None) -> actions (B, ...)."""


class ConstantPolicy:
    """The same action (A,) always."""

    def __init__(self, action: NDArray[np.float32]) -> None:
        self._action = action

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, A)."""
        return np.tile(self._action, (len(observation), 1))


class ProportionalBurgers:
    """Pushes the mean field towards the target of ``optgap/Burgers-v0``: feedforward and a proportional part.

    The mean of the field grows by the mean force alone. The feedforward is what the target's own rise takes, and the error
    of the mean is to be removed in ``time``; both actuators push alike, as far as they can.
    """

    def __init__(self, points: int, time: float = 1.0) -> None:
        x = np.arange(points) / points
        self._strength = len(CENTRES) * bump(x - 0.5).mean()  # mean force of all actuators at amplitude 1
        self._time = time

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, 2)."""
        rise = SWING * 2 * np.pi / PERIOD * observation[:, -1]
        amplitude = (rise - observation[:, :-2].mean(axis=1) / self._time) / self._strength
        action = np.clip(2 * (amplitude - LOW) / (HIGH - LOW) - 1, -1, 1)
        return np.repeat(action[:, None], len(CENTRES), axis=1).astype(np.float32)


def burgers_policies(points: int) -> dict[str, Policy]:
    """No force, and the proportional rule."""
    idle = np.full(len(CENTRES), 2 * (0 - LOW) / (HIGH - LOW) - 1, np.float32)
    return {"zero": ConstantPolicy(idle), "proportional": ProportionalBurgers(points)}
