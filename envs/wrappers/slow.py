"""Environments that take their time: what a simulator costs, without its work, to measure how training scales."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper

from optgap.co.core import InputError
from optgap.envs.registry import EnvironmentConfig

LONGEST = 86_400.0  # seconds of a step: a day


class Durations:
    """How long steps take: ``seconds`` times a number that is uniform in [1 - jitter, 1 + jitter].

    Raises:
        InputError: seconds outside [0, :data:`LONGEST`], or a jitter outside [0, 1].
    """

    def __init__(self, seconds: float, jitter: float) -> None:
        if not 0 <= seconds <= LONGEST:
            raise InputError(f"seconds of a step is {seconds}; expected a number from 0 to {LONGEST:g}")
        if not 0 <= jitter <= 1:
            raise InputError(f"jitter is {jitter}; expected a number in [0, 1]")
        self.seconds, self.jitter = seconds, jitter
        self.seed(None)

    def seed(self, seed: int | list[int | None] | None) -> None:
        """Determine all later durations, where it is not None."""
        first = seed[0] if isinstance(seed, list) else seed
        if first is not None or not hasattr(self, "_rng"):
            self._rng = np.random.default_rng(first)

    def sleep(self) -> None:
        """Wait as long as the next step takes."""
        time.sleep(self.seconds * (1 + self.jitter * self._rng.uniform(-1, 1)))


class Slow(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Sleeps in every step; see :class:`Durations`. The seed of a reset is that of the durations too."""

    def __init__(self, env: gym.Env[Any, Any], seconds: float, jitter: float = 0.0) -> None:
        RecordConstructorArgs.__init__(self, seconds=seconds, jitter=jitter)
        gym.Wrapper.__init__(self, env)
        self.durations = Durations(seconds, jitter)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The environment's own, which takes no time."""
        self.durations.seed(seed)
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """The environment's own, later."""
        self.durations.sleep()
        return self.env.step(action)


class SlowVector(VectorWrapper[Any, Any, Any, Any, Any]):
    """Sleeps in every step of a batch, once: copies that step side by side; see :class:`Slow`."""

    def __init__(self, env: VectorEnv[Any, Any, Any], seconds: float, jitter: float = 0.0) -> None:
        super().__init__(env)
        self.durations = Durations(seconds, jitter)

    def reset(
        self,
        *,
        seed: Any = None,  # an integer, or a list of them
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """The environments' own, which takes no time."""
        self.durations.seed(seed)
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The environments' own, later."""
        self.durations.sleep()
        return self.env.step(actions)


@dataclass
class SlowConfig:
    """The environments of ``plain``, slowed down.

    Raises:
        InputError: as :class:`Durations`.
    """

    problem: ClassVar[str | None] = None

    plain: EnvironmentConfig
    seconds: float = 0.05
    jitter: float = 0.3

    def __post_init__(self) -> None:
        Durations(self.seconds, self.jitter)

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """One environment."""
        return Slow(self.plain.make(**overrides), self.seconds, self.jitter)

    def make_vec(self, num_envs: int, **overrides: Any) -> VectorEnv[Any, Any, Any]:
        """Copies that step side by side."""
        return SlowVector(self.plain.make_vec(num_envs, **overrides), self.seconds, self.jitter)
