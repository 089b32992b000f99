"""Any registered Gymnasium id: ``env=gym env.id=CartPole-v1``, and names for the classic ones: ``env=cartpole``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, TypeVar

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from optgap.co.core import InputError, MissingExtraError

T = TypeVar("T")


@dataclass
class GymConfig:
    """An environment of Gymnasium or of an imported package that registers ids with it.

    Raises:
        InputError: the id is not registered (one line, with the nearest ones that are).
        MissingExtraError: the package that the environment needs is not installed.
    """

    problem: ClassVar[str | None] = None
    needs: ClassVar[tuple[str, str] | None] = None  # the package that is imported first, and optgap's extra that has it
    wrappers: ClassVar[
        tuple[Callable[[gym.Env[Any, Any]], gym.Wrapper[Any, Any, Any, Any]], ...]
    ] = ()  # innermost first

    id: str = "CartPole-v1"
    """``[package:][namespace/]name-v<version>``; the package must have been imported already, because a configuration
    may come from a stranger's file and must not run code."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the environment's constructor."""

    def __post_init__(self) -> None:
        if self.needs is not None:
            _import_extra(*self.needs)
        package, _, name = self.id.rpartition(":")
        if package and package.partition(".")[0] not in sys.modules:
            raise InputError(f"environment id {self.id!r}: import {package} first (plugins=[{package}])")
        if name not in gym.registry:
            near = get_close_matches(name, gym.registry, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; is the package that registers it imported?"
            raise InputError(f"environment id {self.id!r} is not registered with Gymnasium{hint}")

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """One environment; ``overrides`` win over ``kwargs``."""

        def make() -> gym.Env[Any, Any]:
            env = gym.make(self.id.rpartition(":")[2], **(self.kwargs | overrides))
            for wrap in self.wrappers:
                env = wrap(env)
            return env

        return self._checked(make)

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """``num_envs`` copies that step one after the other (``SyncVectorEnv``), autoreset mode NEXT_STEP."""
        return self._checked(
            lambda: gym.make_vec(
                self.id.rpartition(":")[2],
                num_envs,
                vectorization_mode="sync",
                wrappers=self.wrappers,
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


def _import_extra(package: str, extra: str) -> None:
    """Import a package, which registers its ids with Gymnasium, or say which extra brings it."""
    try:
        with (
            warnings.catch_warnings()
        ):  # Box2D's bindings warn while they are imported, and crash where that is an error
            warnings.simplefilter("ignore")
            import_module(package)
    except ImportError:
        raise MissingExtraError(package, extra) from None


@dataclass
class CartPoleConfig(GymConfig):
    """Balance a pole on a cart: 4 numbers observed, 2 actions, reward 1 a step, 500 steps at most."""

    id: str = "CartPole-v1"


@dataclass
class AcrobotConfig(GymConfig):
    """Swing a two-link pendulum up: 6 numbers observed, 3 actions, reward -1 a step, 500 steps at most."""

    id: str = "Acrobot-v1"


@dataclass
class MountainCarConfig(GymConfig):
    """Drive an underpowered car up a hill: 2 numbers observed, 3 actions, reward -1 a step, 200 steps at most."""

    id: str = "MountainCar-v0"


@dataclass
class MountainCarContinuousConfig(GymConfig):
    """The same car with a throttle in [-1, 1]: reward 100 at the top, minus 0.1 throttle^2 a step, 999 steps at most."""

    id: str = "MountainCarContinuous-v0"


@dataclass
class PendulumConfig(GymConfig):
    """Swing a pendulum up with a weak motor: 3 numbers observed, a torque in [-2, 2], 200 steps, reward at most 0."""

    id: str = "Pendulum-v1"


@dataclass
class LunarLanderConfig(GymConfig):
    """Land between two flags: 8 numbers observed, 4 actions; solved at a mean return of 200."""

    needs = ("Box2D", "box2d")
    id: str = "LunarLander-v3"
