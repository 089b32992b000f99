"""Where the agent is: a cell of a grid, and a position in space. Bonuses that count or fit visits read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import InputError

Where = Callable[[Any, Mapping[str, Any]], tuple[Any, Any]]
"""(observation, info) of an environment -> (cell, position) of the agent; None for one that is not known.

Of a single environment an integer and (k,) numbers, of a vector environment (num_envs,) and (num_envs, k).
"""


@dataclass(frozen=True)
class Place:
    """Where the agent is, and among what.

    Args:
        where: tells the cell and the position.
        grid_shape: rows, columns; a cell is row * columns + column. None where there is no grid.
        position_bounds: (2, k) lowest and highest position; beyond them positions are clipped. None: no position.

    Raises:
        InputError: ``where`` is not callable, the grid has no cells, or the bounds are not k finite intervals.
    """

    where: Where
    grid_shape: tuple[int, int] | None = None
    position_bounds: ArrayLike | None = None

    def __post_init__(self) -> None:
        if not callable(self.where):
            raise InputError(f"where is {self.where!r}; expected where(observation, info) -> (cell, position)")
        shape: Any = self.grid_shape
        if shape is not None:
            pair = isinstance(shape, tuple | list | np.ndarray) and np.shape(shape) == (2,)
            if not pair or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
                raise InputError(f"grid_shape is {shape!r}; expected rows and columns, whole numbers of at least 1")
        if self.position_bounds is not None:
            try:
                bounds = np.asarray(self.position_bounds, np.float64)
            except (TypeError, ValueError):
                bounds = np.zeros(0)
            k = bounds.size // 2
            if bounds.shape != (2, k) or not k or not np.isfinite(bounds).all() or (bounds[0] >= bounds[1]).any():
                raise InputError(
                    f"position_bounds are {self.position_bounds!r}; expected lowest and highest position (2, k)"
                )

    def grid(self) -> tuple[int, int]:
        """Rows and columns; :class:`InputError` where there is no grid."""
        if self.grid_shape is None:
            raise InputError(f"a bonus on cells needs the environment's attribute grid_shape = (rows, columns); {GIVE}")
        rows, columns = self.grid_shape
        return int(rows), int(columns)

    def bounds(self) -> NDArray[np.float64]:
        """(2, k) lowest and highest position; :class:`InputError` where they are not known."""
        if self.position_bounds is None:
            raise InputError(
                f"a bonus on positions needs the environment's attribute position_bounds = (lowest, highest); {GIVE}"
            )
        return np.array(self.position_bounds, np.float64)


GIVE = "or give place=Place(where, grid_shape, position_bounds) with where(observation, info) -> (cell, position)"


def find_place(env: Any, place: Place | Where | None) -> Place:
    """The place of a single or vector environment's agent.

    Args:
        env: has ``info["cell"]`` and ``info["position"]``, and attributes ``grid_shape`` and ``position_bounds``
            (without the latter, positions are x and y in cells of the grid); or is of MiniGrid, whose ``agent_pos`` is
            read.
        place: what tells it instead; a callable leaves the attributes to the environment.
    """
    if not (place is None or isinstance(place, Place) or callable(place)):
        raise InputError(f"place is {place!r}; expected a Place, or where(observation, info) -> (cell, position)")
    inner = env.unwrapped
    singles: Sequence[Any] = [single.unwrapped for single in getattr(inner, "envs", [inner])]
    if isinstance(place, Place):
        return place
    if place is None and all(hasattr(single, "agent_pos") for single in singles):
        width, height = singles[0].width, singles[0].height
        where: Where = AgentPositions(singles, width) if hasattr(inner, "envs") else AgentPosition(inner, width)
        return Place(where, (height, width), ((0, 0), (width - 1, height - 1)))
    grid_shape, bounds = (getattr(singles[0], name, None) for name in ("grid_shape", "position_bounds"))
    found = Place(place or from_info, grid_shape, bounds)
    if bounds is None and grid_shape is not None:
        found = replace(found, position_bounds=((0, 0), found.grid()[::-1]))
    return found


def from_info(observation: Any, info: Mapping[str, Any]) -> tuple[Any, Any]:
    """What ``info`` says, where every copy of a vector environment says it."""
    if "_cell" in info or "_position" in info:  # as Gymnasium marks the copies whose info has a key
        for key in info.keys() & {"_cell", "_position"}:
            if not info[key].all():
                raise InputError(f"info has no {key[1:]!r} of copy {int(np.argmin(info[key]))}; the others have")
    return info.get("cell"), info.get("position")


class AgentPosition:
    """Where the agent of a MiniGrid environment is: cell y * width + x, position (x, y)."""

    def __init__(self, env: Any, width: int) -> None:
        self.env, self.width = env, width

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> tuple[int, tuple[int, int]]:
        x, y = self.env.agent_pos
        return y * self.width + x, (x, y)


class AgentPositions:
    """The same of several, (B,) and (B, 2)."""

    def __init__(self, envs: Sequence[Any], width: int) -> None:
        self.envs, self.width = envs, width

    def __call__(self, observation: Any, info: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        positions = np.array([(x, y) for x, y in (env.agent_pos for env in self.envs)], np.int64)
        return positions[:, 1] * self.width + positions[:, 0], positions
