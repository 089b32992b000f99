"""Any registered Gymnasium id: ``env=gym env.id=CartPole-v1``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from optgap.co.core import InputError

T = TypeVar("T")


@dataclass
class GymConfig:
    """An environment of Gymnasium or of an imported package that registers ids with it.

    Raises:
        InputError: the id is not registered (one line, with the nearest ones that are).
    """

    problem: ClassVar[str | None] = None

    id: str = "CartPole-v1"
    """``[package:][namespace/]name-v<version>``; the package must have been imported already, because a configuration
    may come from a stranger's file and must not run code."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment's constructor."""

    def __post_init__(self) -> None:
        package, _, name = self.id.rpartition(":")
        if package and package.partition(".")[0] not in sys.modules:
            raise InputError(f"environment id {self.id!r}: import {package} first (plugins=[{package}])")
        if name not in gym.registry:
            near = get_close_matches(name, gym.registry, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; is the package that registers it imported?"
            raise InputError(f"environment id {self.id!r} is not registered with Gymnasium{hint}")

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """One environment; ``overrides`` win over ``kwargs``."""
        return self._checked(lambda: gym.make(self.id.rpartition(":")[2], **(self.kwargs | overrides)))

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """``num_envs`` copies that step one after the other (``SyncVectorEnv``), autoreset mode NEXT_STEP."""
        return self._checked(
            lambda: gym.make_vec(
                self.id.rpartition(":")[2],
                num_envs,
                vectorization_mode="sync",
                vector_kwargs={"autoreset_mode": AutoresetMode.NEXT_STEP},
                **(self.kwargs | overrides),
            )
        )

    def _checked(self, make: Callable[[], T]) -> T:
        try:
            return make()
        except (TypeError, ImportError, gym.error.Error) as error:
            line = " ".join(str(error).split())
            raise InputError(f"environment {self.id} cannot be made with {self.kwargs}: {line}") from error
