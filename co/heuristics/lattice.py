"""A* on a state lattice: paths that a vehicle can drive, of motions that join the points of a grid.

Positions are a square grid, headings eight, both laid out from the vehicle's start (so that it is one of the states). From
each state lead: straight on to the next point; a turn of 45 degrees to either side, an arc of the turning radius and a
straight that ends on a point of the grid (Pivtoraiko, Knepper and Kelly 2009, "Differentially constrained mobile robot
motion planning in state lattices"); and, with a differential drive, a turn on the spot; car-like, one point straight back.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result, Status
from optgap.co.exact.visibility import graph_of, steps_of
from optgap.co.problems.path_planning import PathPlanningInstance

F64 = NDArray[np.float64]

HEADINGS = 8
CHORDS = 3  # that an arc of 45 degrees is cut into
TURNING_RADIUS = 0.7  # m: 1 m/s at 1.5 rad/s takes 0.67 m
ON_THE_SPOT = 1e-6  # m: what a turn on the spot costs in the search, so that needless ones are left out


@dataclass(frozen=True)
class Motion:
    """A motion from the lattice's origin, for one heading."""

    right: int  # grid points that it leads along x
    up: int  # and along y
    heading: int  # in which it ends
    points: F64  # (n, 2) m, polyline from the origin, chords of the arc
    length: float  # m, of the polyline


def motions(spacing: float, kinematics: str) -> list[list[Motion]]:
    """The motions from each of the eight headings.

    Args:
        spacing: m, of the grid; arcs have the radius (1 + sqrt 2) spacing.
        kinematics: ``"differential"`` or ``"car"``.
    """
    radius = (1 + math.sqrt(2)) * spacing
    angles = np.linspace(0, math.pi / 4, CHORDS + 1)
    # From heading 0 to 45 degrees, points (2, 1) on: the arc ends at (sqrt 2 / 2, 1 - sqrt 2 / 2) radius, then straight.
    # From 45 to 90 degrees it is this motion mirrored and driven from its end: first the straight.
    even = np.vstack(
        [np.column_stack([radius * np.sin(angles), radius * (1 - np.cos(angles))]), [2 * spacing, spacing]]
    )
    odd = (even[-1] - even[::-1])[:, ::-1]
    found = []
    for heading in range(HEADINGS):
        turn = math.pi / 2 * (heading // 2)
        rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        straight = np.array([[0.0, 0.0], [spacing, spacing * (heading % 2)]])
        left = odd if heading % 2 else even
        # A turn to the right is one to the left, mirrored in the line of the heading.
        right = left[:, ::-1] if heading % 2 else left * np.array([1, -1])
        shapes = [(straight, 0), (left, 1), (right, -1)]
        if kinematics == "differential":
            shapes += [(np.zeros((1, 2)), 1), (np.zeros((1, 2)), -1)]
        else:
            shapes += [(-straight, 0)]
        mine = []
        for shape, change in shapes:
            points = shape @ rotation
            x, y = (int(value) for value in np.rint(points[-1] / spacing))
            length = float(np.hypot(*np.diff(points, axis=0).T).sum())
            mine.append(Motion(x, y, (heading + change) % HEADINGS, points, length))
        found.append(mine)
    return found


def search(
    instance: PathPlanningInstance,
    kinematics: str = "differential",
    turning_radius: float = TURNING_RADIUS,
    seconds: float = math.inf,
) -> F64 | None:
    """The shortest path on the lattice, (T + 1, 2) m; None where the lattice has none, or the time did not suffice.

    A moving target is chased at top speed: the path is the one that first is at the goal at the end of a step, all its
    chords being at most ``max_speed * dt`` long.
    """
    began = time.perf_counter()
    graph, spacing = graph_of(instance), turning_radius / (1 + math.sqrt(2))
    heading = float(instance.start[2])
    rotation = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    origin, longest = instance.start[:2], instance.max_speed * instance.dt
    table = []
    for mine in motions(spacing, kinematics):
        row = []
        for motion in mine:
            points = motion.points @ rotation
            cost = max(motion.length, ON_THE_SPOT)
            if instance.moves:
                points = steps_of(points, longest) if len(points) > 1 else np.vstack([points, points])
                cost = (len(points) - 1) * longest
            row.append((motion, points, cost))
        table.append(row)
    # A moving target may come towards the vehicle: of the distance to it now, only this part has to be driven.
    share = instance.max_speed / (instance.max_speed + instance.target_speed)

    def left(place: F64, cost: float) -> float:
        target = instance.target_at(cost / instance.max_speed) if instance.moves else instance.route[0]
        return max(0.0, math.hypot(*(target - place)) - instance.goal_radius)

    start = (0, 0, 0)
    costs, parents = {start: 0.0}, {start: (start, 0)}
    ties = count()
    queue = [(share * left(origin, 0.0), next(ties), start)]
    done = set()
    while queue:
        _, _, state = heapq.heappop(queue)
        if state in done:
            continue
        done.add(state)
        if len(done) % 256 == 0 and time.perf_counter() - began > seconds:
            return None
        x, y, direction = state
        place = origin + spacing * (np.array([x, y]) @ rotation)
        if left(place, costs[state]) <= 0:
            return _driven(state, parents, table, origin, spacing * rotation)
        for index, (motion, points, cost) in enumerate(table[direction]):
            to = (x + motion.right, y + motion.up, motion.heading)
            total = costs[state] + cost
            if to in done or total >= costs.get(to, math.inf):
                continue
            if not all(graph.is_clear(a, b) for a, b in pairwise(place + points)):
                continue
            costs[to], parents[to] = total, (state, index)
            end = place + points[-1]
            heapq.heappush(queue, (total + share * left(end, total), next(ties), to))
    return None


def _driven(
    state: tuple[int, int, int],
    parents: dict[tuple[int, int, int], tuple[tuple[int, int, int], int]],
    table: list[list[tuple[Motion, F64, float]]],
    origin: F64,
    axes: F64,
) -> F64:
    """The polyline of the motions from the start to a state."""
    pieces: list[F64] = []
    while parents[state][0] != state:
        state, index = parents[state]
        pieces.append(origin + np.array(state[:2]) @ axes + table[state[2]][index][1][1:])
    return np.vstack([origin[None], *pieces[::-1]])


def solve(instance: PathPlanningInstance, budget: Budget) -> Result:
    """Solver ``lattice-a-star``: a differential drive that turns on the spot, and on arcs of ``TURNING_RADIUS``."""
    return _solve(instance, budget, "differential")


def solve_car(instance: PathPlanningInstance, budget: Budget) -> Result:
    """Solver ``lattice-a-star-car``: forward and back, and on arcs of ``TURNING_RADIUS`` forward."""
    return _solve(instance, budget, "car")


def _solve(instance: PathPlanningInstance, budget: Budget, kinematics: str) -> Result:
    path = search(instance, kinematics, seconds=budget.seconds)
    return Result(path, Status.NO_SOLUTION if path is None else Status.FEASIBLE)
