"""Environments that take their time: what a simulator costs, without its work, to measure how training scales."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper

from optgap.co.core import InputError


class Durations:
    """How long steps take: ``seconds`` times a number that is uniform in [1 - jitter, 1 + jitter], from ``seed``.

    Raises:
        InputError: seconds below 0, or a jitter outside [0, 1].
    """

    def __init__(self, seconds: float, jitter: float, seed: int | None) -> None:
        if not seconds >= 0:
            raise InputError(f"seconds of a step is {seconds}; expected a number of at least 0")
        if not 0 <= jitter <= 1:
            raise InputError(f"jitter is {jitter}; expected a number in [0, 1]")
        self.seconds, self.jitter = seconds, jitter
        self._rng = np.random.default_rng(seed)

    def sleep(self) -> None:
        """Wait as long as the next step takes."""
        time.sleep(self.seconds * (1 + self.jitter * self._rng.uniform(-1, 1)))


class Slow(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Sleeps in every step; see :class:`Durations`."""

    def __init__(self, env: gym.Env[Any, Any], seconds: float, jitter: float = 0.0, seed: int | None = None) -> None:
        RecordConstructorArgs.__init__(self, seconds=seconds, jitter=jitter, seed=seed)
        gym.Wrapper.__init__(self, env)
        self.durations = Durations(seconds, jitter, seed)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """The environment's own, later."""
        self.durations.sleep()
        return self.env.step(action)


class SlowVector(VectorWrapper[Any, Any, Any, Any, Any]):
    """Sleeps in every step of a batch, once: copies that step side by side; see :class:`Durations`."""

    def __init__(
        self, env: VectorEnv[Any, Any, Any], seconds: float, jitter: float = 0.0, seed: int | None = None
    ) -> None:
        super().__init__(env)
        self.durations = Durations(seconds, jitter, seed)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The environments' own, later."""
        self.durations.sleep()
        return self.env.step(actions)
