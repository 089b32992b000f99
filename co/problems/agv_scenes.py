"""Scenes for automated guided vehicles: a simple and a complex hall with a target that stands or moves, and maps.

Four scenes as in arXiv 2404.12594 (simple and complex, static and dynamic), whose own layouts are not public: these are
fixed, and drawn here. At 1 m/s, the shortest path of the simple scenes takes about 18 s, that of the
complex ones about 34 s; in neither is the target seen from the start.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.formats.movingai import read_boxes
from optgap.co.problems.multi_agent_path_finding import MAPFInstance, steps_from
from optgap.co.problems.path_planning import F64, ROUNDING, PathPlanningInstance
from optgap.co.problems.warehouse import DRAWS, draw_ends, warehouse

JITTER = 0.5  # m: of the start's x and y, to either side
PATROL_SPEED = 0.3  # m/s of a moving target

# Two long boxes make the way an S; two crates stand beside it.
SIMPLE = np.array([[2.5, 0.0, 3.5, 6.5], [6.0, 5.0, 7.0, 12.0], [4.2, 1.5, 5.2, 2.5], [8.6, 5.6, 9.6, 6.6]])
# Three columns of rooms, walls of 0.2 m with doors of 1.4 m, pillars of 0.6 m. Doors: in x = 6 at y 11.5 to 12.9; in y =
# 10 of the second column at x 7.5 to 8.9; in x = 13 at y 4.5 to 5.9; in y = 9 of the third column at x 16.5 to 17.9.
COMPLEX_WALLS = [
    [6.0, 0.0, 6.2, 11.5],
    [6.0, 12.9, 6.2, 20.0],
    [6.2, 10.0, 7.5, 10.2],
    [8.9, 10.0, 13.0, 10.2],
    [13.0, 0.0, 13.2, 4.5],
    [13.0, 5.9, 13.2, 20.0],
    [13.2, 9.0, 16.5, 9.2],
    [17.9, 9.0, 20.0, 9.2],
    [0.0, 6.0, 2.0, 6.2],  # of the first room, which has a passage of 4 m
]
COMPLEX_PILLARS = [(3.6, 4.0), (4.0, 8.6), (2.4, 11.6), (3.4, 15.6), (8.4, 14.4), (10.6, 12.6), (10.4, 16.8)]
COMPLEX_PILLARS += [(8.4, 6.6), (10.6, 7.2), (9.6, 3.4), (15.4, 3.2), (15.6, 6.4), (18.0, 4.8), (15.8, 12.2)]
COMPLEX_PILLARS += [(17.8, 14.2)]
COMPLEX = np.array(COMPLEX_WALLS + [[x - 0.3, y - 0.3, x + 0.3, y + 0.3] for x, y in COMPLEX_PILLARS])


def _hall(rng: np.random.Generator, side: float, boxes: F64, start: F64, route: F64, moving: bool) -> dict[str, Any]:
    """A square hall. Draws the start's heading and jitter, then the target's phase on its route where it moves."""
    found: dict[str, Any] = {"bounds": np.array([0.0, 0.0, side, side]), "boxes": boxes}
    heading = rng.uniform(-np.pi, np.pi)
    found["start"] = np.array([*(start + rng.uniform(-JITTER, JITTER, 2)), heading])
    if not moving:
        return found | {"route": route[:1]}
    whole = 2 * np.hypot(*np.diff(route, axis=0).T).sum()
    return found | {"route": route, "target_speed": PATROL_SPEED, "target_phase": rng.uniform(0, whole)}


def simple(rng: np.random.Generator, moving: bool) -> dict[str, Any]:
    """Hall of 12 x 12 m with four boxes; the target is in the far corner, or patrols 7 m of the far side."""
    return _hall(rng, 12.0, SIMPLE, np.array([1.2, 1.2]), np.array([[10.8, 10.8], [10.8, 3.8]]), moving)


def complex_(rng: np.random.Generator, moving: bool) -> dict[str, Any]:
    """Hall of 20 x 20 m with rooms, doors and pillars; the target is in the last room, or patrols 9.5 m of it."""
    route = np.array([[16.0, 17.0], [18.9, 17.0], [18.9, 10.4]])
    return _hall(rng, 20.0, COMPLEX, np.array([1.5, 1.5]), route, moving)


def grid_map(
    rng: np.random.Generator,
    path: str | Path | None = None,
    cell: float = 1.0,
    start: Any = None,
    target: Any = None,
    radius: float = 0.3,
) -> dict[str, Any]:
    """The hall of a MovingAI ``.map`` file; its blocked cells are merged into boxes.

    Args:
        path: the file.
        cell: m, side of a cell.
        start: (2,) or (3,) x, y in m, heading; drawn if missing, as is the heading.
        target: (2,) x, y in m; drawn if missing. Both are drawn together, a third of the hall's diagonal apart, in one
            area of free cells, joined by their sides.
        radius: m, of the vehicle.

    Raises:
        InputError: the file is missing or malformed, or there are no free places.
    """
    if path is None:
        raise InputError("scene map: path is missing; expected a MovingAI .map file")
    if not 0 < cell < np.inf:
        raise InputError(f"{path}: cell is {cell}; expected a side in m above 0")
    blocked, boxes = read_boxes(path)
    boxes = boxes * cell
    bounds = np.array([0.0, 0.0, blocked.shape[1], blocked.shape[0]]) * cell
    start, target = _given("start", start, (2, 3)), _given("target", target, (2,))
    if start is None or target is None:
        for _ in range(DRAWS):
            drawn = draw_ends(rng, Path(path).stem, bounds, boxes, radius + ROUNDING, np.zeros((0, 1, 2)), 0.0)
            ends = drawn[0] if start is None else start, drawn[1] if target is None else target
            if _joined(blocked, ends[0] / cell, ends[1] / cell):
                break
        start, target = ends
    if len(start) == 2:
        start = np.append(start, rng.uniform(-np.pi, np.pi))
    where = {"name": Path(path).stem, "bounds": bounds, "boxes": boxes, "radius": radius}
    return where | {"start": start, "route": target[None]}


def _given(name: str, place: Any, sizes: tuple[int, ...]) -> F64 | None:
    """A place that was given, (2,) or (3,), or None."""
    if place is None:
        return None
    try:
        found = np.asarray(place, np.float64).ravel()
    except (TypeError, ValueError):
        found = np.zeros(0)
    if len(found) not in sizes:
        raise InputError(f"scene map: {name} is {place!r}; expected {' or '.join(map(str, sizes))} numbers")
    return found


def _joined(blocked: NDArray[np.bool_], start: F64, target: F64) -> bool:
    """Whether two places, in cells from the lower left corner, are in one area of free cells.

    True where one of them is in no free cell: who checks the instance says so.
    """
    height, width = blocked.shape
    cells = []
    for x, y in (start[:2].tolist(), target.tolist()):
        if not (0 <= x < width and 0 < y <= height) or blocked[int(height - y), int(x)]:
            return True
        cells.append(int(height - y) * width + int(x))
    grid = MAPFInstance(blocked=blocked, starts=np.array(cells[:1]), goals=np.array(cells[1:]))
    return bool(steps_from(grid.neighbours, cells[0])[cells[1]] >= 0)


SCENES: dict[str, Callable[..., dict[str, Any]]] = {
    "simple-static": lambda rng: simple(rng, False),
    "simple-dynamic": lambda rng: simple(rng, True),
    "complex-static": lambda rng: complex_(rng, False),
    "complex-dynamic": lambda rng: complex_(rng, True),
    "warehouse": warehouse,
    "map": grid_map,
}
FIELDS = tuple(item.name for item in fields(PathPlanningInstance))


def make_scene(rng: np.random.Generator, scene: str = "simple-static", **size: Any) -> PathPlanningInstance:
    """See :meth:`optgap.co.problems.path_planning.PathPlanning.generate`; not checked to be playable."""
    if scene not in list(SCENES):
        raise InputError(f"scene is {scene!r}; expected of {', '.join(SCENES)}")
    make = SCENES[scene]
    own = [name for name in inspect.signature(make).parameters if name != "rng"]
    unknown = [name for name in size if name not in own and name not in FIELDS]
    if unknown:
        raise InputError(f"scene {scene} has no argument {unknown[0]!r}; expected of {', '.join((*own, *FIELDS))}")
    numbers = [name for name in own if inspect.signature(make).parameters[name].annotation in ("int", "float")]
    for name in size.keys() & set(numbers):
        if not isinstance(size[name], int | float | np.number) or isinstance(size[name], bool):
            raise InputError(f"scene {scene}: {name} is {size[name]!r}; expected a number")
    found = make(rng, **{name: value for name, value in size.items() if name in own})
    return PathPlanningInstance(**({"name": scene} | found | {n: v for n, v in size.items() if n not in own}))
