"""Arguments of the exploration environments, which are their training configurations too: ``env=deepsea``, ..."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optgap.co.core import InputError
from optgap.envs.batched import MadeById
from optgap.envs.exploration.continuous_maze import PointMazeBatch
from optgap.envs.exploration.deep_sea import SIZES as SEA_SIZES
from optgap.envs.exploration.deep_sea import DeepSeaBatch, deep_sea
from optgap.envs.exploration.maze import SIZES as MAZE_SIZES
from optgap.envs.exploration.maze import MazeSource, free_cells
from optgap.envs.exploration.maze_batch import GridMazeBatch

STEPS_LIMIT = 1_000_000  # of an episode in a maze
SPEED_LIMIT = 10.0  # cells a step


def require_whole(name: str, value: Any, least: int, most: float, none: bool = False) -> None:
    """Raise :class:`InputError` unless ``value`` is an integer in least..most, or None where ``none`` allows it."""
    if none and value is None:
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        limit = f" to {most:.0f}" if most < np.inf else ""
        raise InputError(
            f"{name} is {value!r}; expected a whole number from {least}{limit}{' or None' if none else ''}"
        )


def require_number(name: str, value: Any, above: float, most: float) -> None:
    """Raise :class:`InputError` unless ``value`` is a number greater than ``above`` and at most ``most``."""
    if (
        not isinstance(value, int | float | np.number) or isinstance(value, bool) or not above < value <= most
    ):  # NaN compares false
        raise InputError(f"{name} is {value!r}; expected a number above {above:g}, at most {most:g}")


@dataclass
class DeepSeaConfig(MadeById):
    """``env=deepsea``; documented with the environment."""

    size: int = 10
    mapping_seed: int | None = 0

    problem: ClassVar[str | None] = None
    id: ClassVar[str] = "optgap/DeepSea-v0"
    figures: ClassVar[tuple[str, ...]] = ("success",)

    def __post_init__(self) -> None:
        require_whole("size", self.size, *SEA_SIZES)
        require_whole("mapping_seed", self.mapping_seed, 0, np.inf, none=True)

    def batch(self, copies: int) -> DeepSeaBatch:
        """``copies`` dives."""
        return DeepSeaBatch(copies, deep_sea(self.size, self.mapping_seed))


@dataclass
class MazeConfig(MadeById):
    """What the configurations of both mazes share; documented with the environments."""

    size: int = 11
    maze_seed: int | None = 0
    loops: float = 0.0
    goal: bool = False
    max_steps: int | None = None

    problem: ClassVar[str | None] = None
    figures: ClassVar[tuple[str, ...]] = ("coverage",)

    def __post_init__(self) -> None:
        require_whole("size", self.size, *MAZE_SIZES)
        if self.size % 2 == 0:
            raise InputError(f"size is {self.size}; expected an odd number from {MAZE_SIZES[0]} to {MAZE_SIZES[1]}")
        require_whole("maze_seed", self.maze_seed, 0, np.inf, none=True)
        require_whole("max_steps", self.max_steps, 1, STEPS_LIMIT, none=True)
        if not (isinstance(self.loops, int | float) and self.loops == 0):
            require_number("loops", self.loops, 0, 1)
        if not isinstance(self.goal, bool):
            raise InputError(f"goal is {self.goal!r}; expected true or false")

    def arguments(self) -> dict[str, Any]:
        """What the constructors of both batches take."""
        return {
            "grid_shape": (self.size, self.size),
            "draw": MazeSource(self.size, float(self.loops), self.maze_seed),
            "goal": self.goal,
            "max_steps": self.max_steps or 4 * free_cells(self.size, self.loops),
        }


@dataclass
class GridMazeConfig(MazeConfig):
    """``env=gridmaze``; documented with the environment."""

    id: ClassVar[str] = "optgap/GridMaze-v0"

    def batch(self, copies: int) -> GridMazeBatch:
        """``copies`` episodes."""
        return GridMazeBatch(copies, **self.arguments())


@dataclass
class PointMazeConfig(MazeConfig):
    """``env=pointmaze``; documented with the environment."""

    max_speed: float = 1.0
    max_acceleration: float = 0.5

    id: ClassVar[str] = "optgap/PointMaze-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("max_speed", self.max_speed, 0, SPEED_LIMIT)
        require_number("max_acceleration", self.max_acceleration, 0, 2 * SPEED_LIMIT)

    def batch(self, copies: int) -> PointMazeBatch:
        """``copies`` episodes."""
        return PointMazeBatch(
            copies, **self.arguments(), max_speed=self.max_speed, max_acceleration=self.max_acceleration
        )
