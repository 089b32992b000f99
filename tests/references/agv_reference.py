"""Slow second implementations for AGVs, from the definitions: distances by sampling, rays by edges, motion by Euler steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.dynamics import agv
from optgap.co.dynamics.agv_floor import Floors
from optgap.co.problems.path_planning import PathPlanningInstance

F64 = NDArray[np.float64]


def random_instance(
    seed: int, boxes: int = 8, others: int = 0, lanes: int = 0, side: float = 12.0, **fields: Any
) -> PathPlanningInstance:
    """A square hall with boxes of any size that may overlap, and a start that is free."""
    rng = np.random.default_rng(seed)
    start = np.array([*rng.uniform(1.5, side - 1.5, 2), rng.uniform(-4, 4)])
    low = rng.uniform(0, side - 0.5, (boxes, 2))
    found = np.concatenate([low, np.minimum(low + rng.choice([0.05, 0.5, 3.0], (boxes, 2)), side)], 1)
    found = found[[distance(start[:2], box) > 0.31 for box in found]] if boxes else found
    loops = rng.uniform(0.5, side - 0.5, (others, 4, 2))
    loops = loops[[np.hypot(*(loop[0] - start[:2])) > 0.7 for loop in loops]] if others else loops
    corner = rng.uniform(0, side - 5, (lanes, 2))
    angle = rng.uniform(0, 7, lanes)
    zones = np.concatenate([corner, corner + 4, np.stack([np.cos(angle), np.sin(angle)], 1)], 1)
    route = rng.uniform(0.5, side - 0.5, (3, 2))
    given: dict[str, Any] = {
        "name": f"random-{seed}",
        "bounds": np.array([0.0, 0.0, side, side]),
        "boxes": found,
        "start": start,
        "route": route,
        "target_speed": 0.4,
        "loops": loops,
        "loop_speeds": rng.uniform(0.2, 2, len(loops)),
        "loop_phases": np.zeros(len(loops)),
        "lanes": zones,
        "goal_radius": 1e-3,
    } | fields
    return PathPlanningInstance(**given)


def distance(points: F64, box: F64) -> Any:
    """From points (..., 2) to a closed box."""
    return np.linalg.norm(points - np.clip(points, box[:2], box[2:]), axis=-1)


def room(points: F64, instance: PathPlanningInstance) -> Any:
    """From centres (..., 2) to the nearest box or wall."""
    walls = np.minimum(points - instance.bounds[:2], instance.bounds[2:] - points).min(-1)
    return np.min([walls, *(distance(points, box) for box in instance.boxes)], axis=0)


class Simulation:
    """One copy, driven by the kernels alone."""

    def __init__(
        self,
        instance: PathPlanningInstance,
        *,
        car: bool = False,
        ends: bool = False,
        beams: int = 0,
        reach: float = 8.0,
        steps: int = 200,
    ) -> None:
        self.instance = instance
        self.rules = agv.make_rules(car, ends, beams, reach)
        self.floors = Floors(1)
        self.floors.put(0, instance.bounds, instance.boxes)
        columns = int(np.ceil(instance.bounds[2] - instance.bounds[0]))
        self.halls, self.fleet = agv.put_hall(*agv.empty_fleet(1, steps, beams), 0, instance, columns)
        arrays = (self.floors.arrays, self.floors.of, self.halls, self.fleet, self.rules)
        agv.reset_batch(*arrays, np.ones(1, np.bool_))
        self._arrays = arrays

    def step(self, forward: float, turn: float) -> None:
        """An action."""
        agv.step_batch(*self._arrays, np.array([[forward, turn]], np.float64), np.zeros(1, np.bool_))

    @property
    def position(self) -> F64:
        """(2,) m."""
        position: F64 = self.fleet.position[0].copy()
        return position


def cast(
    instance: PathPlanningInstance, origin: F64, angle: float, reach: float, discs: F64 | Sequence[F64] = ()
) -> float:
    """Distance from ``origin`` (2,) at an angle to the first edge of a box or of the hall, or disc, at most ``reach``."""
    way = np.array([np.cos(angle), np.sin(angle)])
    found = [reach]
    for x0, y0, x1, y1 in [instance.bounds, *instance.boxes]:
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])
        for a, b in zip(corners[:-1], corners[1:], strict=True):
            matrix = np.stack([way, a - b], 1)  # origin + t way = a + s (b - a)
            if abs(np.linalg.det(matrix)) > 1e-14:
                t, s = np.linalg.solve(matrix, a - origin)
                if t >= 0 and 0 <= s <= 1:
                    found.append(t)
    for centre in discs:
        apart = centre - origin
        roots = np.roots(np.array([1.0, -2 * way @ apart, apart @ apart - instance.other_radius**2]))
        if np.isreal(roots).all() and roots.real.max() >= 0:
            found.append(max(float(roots.real.min()), 0.0))
    return float(min(found))
