"""Dynamics of automated guided vehicles: numba functions over B copies, each in a hall of its own.

A step of dt seconds holds speed v and turn rate omega. The heading turns by omega dt, and the centre moves along the chord
of its arc: v dt sin(omega dt / 2) / (omega dt / 2) metres in the direction of the heading in the middle of the step. Step
ends are exact so, and a path is exactly the polyline of its centres. The target and the other vehicles move along
chords too, so every impact within a step is a motion at constant velocity against a convex set, in closed form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.agv_floor import (
    F64,
    I64,
    NEVER,
    FloorArrays,
    disc_impact,
    floor_impact,
    ray,
    ray_disc,
)
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.co.problems.path_planning import PathPlanningInstance

REVERSE_SPEED = 0.3  # m/s, or max_speed where that is less
ACCELERATION = 1.0  # m/s^2
TURN_RATE = 1.5  # rad/s, differential drive
TURN_ACCELERATION = 4.0  # rad/s^2, differential drive
WHEELBASE = 0.4  # m, car
STEERING = 0.6  # rad, car: the tightest circle has a radius of 0.58 m
STEERING_RATE = 1.5  # rad/s, car
CELL = 1.0  # m, side of a cell of the visit table
BESIDE_BEAMS = 11  # numbers of an observation that are not beams


class Halls(NamedTuple):
    """What B copies are given: B instances padded to P points of V + 1 movers, and L lanes. Mover 0 is the target."""

    radius: F64  # (B,) m
    goal_radius: F64  # (B,) m
    other_radius: F64  # (B,) m
    dt: F64  # (B,) s
    max_speed: F64  # (B,) m/s
    start: F64  # (B, 3) m, m, rad
    columns: I64  # (B,) of the visit table
    points: F64  # (B, V + 1, P + 1, 2) m, closed polylines: the first point is repeated at the end
    arc: F64  # (B, V + 1, P + 1) m, arc length at the points; only the mover's whole length behind its last point
    speed: F64  # (B, V + 1) m/s
    phase: F64  # (B, V + 1) m, arc length at time 0
    movers: I64  # (B,) target included
    lanes: F64  # (B, L, 6) m, xmin, ymin, xmax, ymax, and a unit direction
    n_lanes: I64  # (B,)


class Fleet(NamedTuple):
    """State of B copies, and what happened in the last step."""

    step: I64  # (B,) steps taken
    position: F64  # (B, 2) m, centre
    heading: F64  # (B,) rad, in [-pi, pi)
    speed: F64  # (B,) m/s
    turn: F64  # (B,) rad/s
    steer: F64  # (B,) rad, car
    places: F64  # (B, V + 1, 2) m, of the movers
    before: F64  # (B, V + 1, 2) m, at the beginning of the step
    path: F64  # (B, T + 1, 2) m, centres so far
    length: F64  # (B,) m driven
    cell: I64  # (B,) of the visit table
    reward: F64  # (B,)
    cost: F64  # (B, 2) collision, m driven the wrong way
    success: F64  # (B,) 1 where the target has been reached
    done: NDArray[np.bool_]  # (B,)
    truncated: NDArray[np.bool_]  # (B,) whether the episode ended by its number of steps alone
    seen: NDArray[np.float32]  # (B, beams + 11) the observation


class Rules(NamedTuple):
    """What all copies share."""

    car: bool  # car-like kinematics; else differential drive
    ends: bool  # whether a collision ends the episode
    reach: float  # m, of the lidar
    beams: F64  # (n, 2) cosine and sine of the beams' angles to the heading


def make_rules(car: bool, ends: bool, beams: int, reach: float) -> Rules:
    """Rules with ``beams`` evenly spaced beams, the first straight ahead, then counter-clockwise."""
    angle = np.arange(beams) * (2 * np.pi / max(beams, 1))
    return Rules(car, ends, float(reach), np.stack([np.cos(angle), np.sin(angle)], 1))


def empty_fleet(
    copies: int, steps: int, beams: int, movers: int = 1, points: int = 1, lanes: int = 0
) -> tuple[Halls, Fleet]:
    """Arrays of zeros; :func:`put_hall` makes larger ones where an instance needs them."""

    def real(*shape: int) -> F64:
        return np.zeros((copies, *shape))

    def whole() -> I64:
        return np.zeros(copies, np.int64)

    halls = Halls(
        radius=real(),
        goal_radius=real(),
        other_radius=real(),
        dt=real(),
        max_speed=real(),
        start=real(3),
        columns=whole(),
        points=real(movers, points + 1, 2),
        arc=real(movers, points + 1),
        speed=real(movers),
        phase=real(movers),
        movers=whole(),
        lanes=real(lanes, 6),
        n_lanes=whole(),
    )
    fleet = Fleet(
        step=whole(),
        position=real(2),
        heading=real(),
        speed=real(),
        turn=real(),
        steer=real(),
        places=real(movers, 2),
        before=real(movers, 2),
        path=real(steps + 1, 2),
        length=real(),
        cell=whole(),
        reward=real(),
        cost=real(2),
        success=real(),
        done=np.zeros(copies, np.bool_),
        truncated=np.zeros(copies, np.bool_),
        seen=np.zeros((copies, beams + BESIDE_BEAMS), np.float32),
    )
    return halls, fleet


def put_hall(halls: Halls, fleet: Fleet, b: int, instance: PathPlanningInstance, columns: int) -> tuple[Halls, Fleet]:
    """Give copy ``b`` an instance (:func:`reset_batch` starts it); returns the arrays, larger ones where it needs them.

    Args:
        columns: of the visit table.
    """
    to_and_fro = np.concatenate([instance.route, instance.route[-2:0:-1]])
    loops = [to_and_fro, *instance.loops]
    held = (halls.points.shape[1], halls.points.shape[2] - 1, halls.lanes.shape[1])
    needed = (len(loops), max(len(loop) for loop in loops), len(instance.lanes))
    if any(n > h for n, h in zip(needed, held, strict=True)):
        larger = [max(n, h) for n, h in zip(needed, held, strict=True)]
        small: list[NDArray[Any]] = [*halls, *fleet]
        beams = fleet.seen.shape[1] - BESIDE_BEAMS
        halls, fleet = empty_fleet(len(halls.dt), fleet.path.shape[1] - 1, beams, *larger)
        large: list[NDArray[Any]] = [*halls, *fleet]
        for before, after in zip(small, large, strict=True):
            after[tuple(slice(n) for n in before.shape)] = before
        # behind a mover's last point stands its whole length
        halls.arc[:, : held[0], held[1] + 1 :] = halls.arc[:, : held[0], held[1] : held[1] + 1]
    for name in ("radius", "goal_radius", "other_radius", "dt", "max_speed"):
        getattr(halls, name)[b] = getattr(instance, name)
    halls.start[b], halls.columns[b], halls.movers[b] = instance.start, columns, len(loops)
    for v, loop in enumerate(loops):
        closed = np.concatenate([loop, loop[:1]])
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
        halls.points[b, v, : len(closed)], halls.points[b, v, len(closed) :] = closed, closed[-1]
        halls.arc[b, v, : len(arc)], halls.arc[b, v, len(arc) :] = arc, arc[-1]
    halls.speed[b, : len(loops)] = [instance.target_speed, *instance.loop_speeds]
    halls.phase[b, : len(loops)] = [instance.target_phase, *instance.loop_phases]
    halls.n_lanes[b] = len(instance.lanes)
    halls.lanes[b, : len(instance.lanes)] = instance.lanes
    return halls, fleet


@njit(cache=True, **INLINED)
def place_movers(halls: Halls, fleet: Fleet, b: int) -> None:
    """Fill ``places`` of copy ``b`` for the time after its ``step`` steps."""
    time = fleet.step[b] * halls.dt[b]
    for v in range(halls.movers[b]):
        arc, points, last = halls.arc[b, v], halls.points[b, v], halls.arc.shape[2] - 1
        total, k = arc[last], 0
        if total > 0.0:
            s = (halls.phase[b, v] + halls.speed[b, v] * time) % total
            while k < last - 1 and arc[k + 1] <= s:
                k += 1
            span = arc[k + 1] - arc[k]
            part = (s - arc[k]) / span if span > 0.0 else 0.0
            fleet.places[b, v, 0] = points[k, 0] + part * (points[k + 1, 0] - points[k, 0])
            fleet.places[b, v, 1] = points[k, 1] + part * (points[k + 1, 1] - points[k, 1])
        else:
            fleet.places[b, v, 0], fleet.places[b, v, 1] = points[0, 0], points[0, 1]


@njit(cache=True, **INLINED)
def nearer(value: float, demand: float, most: float) -> float:
    """``value`` changed toward ``demand`` by at most ``most``."""
    return value + min(max(demand - value, -most), most)


@njit(cache=True, **INLINED)
def drive(halls: Halls, fleet: Fleet, rules: Rules, b: int, forward: float, turn: float) -> None:
    """Set speed, turn rate and steering angle of copy ``b`` for the step, from an action in [-1, 1] each."""
    dt, most = halls.dt[b], halls.max_speed[b]
    back = min(REVERSE_SPEED, most)
    demand = (forward * (most + back) + most - back) / 2.0
    fleet.speed[b] = nearer(fleet.speed[b], demand, ACCELERATION * dt)
    if rules.car:
        fleet.steer[b] = nearer(fleet.steer[b], turn * STEERING, STEERING_RATE * dt)
        fleet.turn[b] = fleet.speed[b] * np.tan(fleet.steer[b]) / WHEELBASE
    else:
        fleet.turn[b] = nearer(fleet.turn[b], turn * TURN_RATE, TURN_ACCELERATION * dt)


@njit(cache=True, **INLINED)
def impact(floors: FloorArrays, m: int, halls: Halls, fleet: Fleet, b: int, dx: float, dy: float) -> float:
    """When the vehicle of copy ``b``, moving by (dx, dy) in the step, meets something: in [0, 1], or NEVER."""
    x, y, radius = fleet.position[b, 0], fleet.position[b, 1], halls.radius[b]
    first: float = floor_impact(floors, m, x, y, dx, dy, radius)
    for v in range(1, halls.movers[b]):
        x0, y0 = fleet.before[b, v, 0], fleet.before[b, v, 1]
        ux, uy = fleet.places[b, v, 0] - x0, fleet.places[b, v, 1] - y0
        first = min(first, disc_impact(x - x0, y - y0, dx - ux, dy - uy, radius + halls.other_radius[b]))
    return first


@njit(cache=True, **INLINED)
def wrong_way(halls: Halls, b: int, x: float, y: float, dx: float, dy: float) -> float:
    """Metres that a motion by (dx, dy) to (x, y) goes against the direction of the one-way zone there."""
    for k in range(halls.n_lanes[b]):
        lane = halls.lanes[b, k]
        if lane[0] <= x <= lane[2] and lane[1] <= y <= lane[3]:
            against: float = max(0.0, -(dx * lane[4] + dy * lane[5]))
            return against
    return 0.0


@njit(cache=True, **INLINED)
def visit(floors: FloorArrays, m: int, halls: Halls, fleet: Fleet, b: int) -> None:
    """Append the position to the path and find its cell of the visit table."""
    x, y = fleet.position[b, 0], fleet.position[b, 1]
    fleet.path[b, fleet.step[b], 0], fleet.path[b, fleet.step[b], 1] = x, y
    column, row = int((x - floors.bounds[m, 0]) / CELL), int((y - floors.bounds[m, 1]) / CELL)
    fleet.cell[b] = row * halls.columns[b] + column


@njit(cache=True, **INLINED)
def advance(floors: FloorArrays, m: int, halls: Halls, fleet: Fleet, rules: Rules, b: int) -> None:
    """Move copy ``b`` for a step of its speed and turn rate, up to the first impact; fill cost, reward and ends."""
    fleet.step[b] += 1
    for v in range(halls.movers[b]):
        fleet.before[b, v, 0], fleet.before[b, v, 1] = fleet.places[b, v, 0], fleet.places[b, v, 1]
    place_movers(halls, fleet, b)
    angle = fleet.turn[b] * halls.dt[b]
    half = 0.5 * angle
    chord = fleet.speed[b] * halls.dt[b] * (np.sin(half) / half if abs(half) > 1e-4 else 1.0 - half * half / 6.0)
    direction = fleet.heading[b] + half
    dx, dy = chord * np.cos(direction), chord * np.sin(direction)
    time = impact(floors, m, halls, fleet, b, dx, dy)
    hit = time < NEVER
    if hit:
        dx, dy, chord = time * dx, time * dy, time * chord
        fleet.speed[b] = 0.0
        if rules.car:  # a car turns only as it drives; a differential drive turns on the spot
            angle *= time
            fleet.turn[b] = 0.0
    fleet.position[b, 0] += dx
    fleet.position[b, 1] += dy
    heading = fleet.heading[b] + angle
    fleet.heading[b] = heading - 2.0 * np.pi * np.floor((heading + np.pi) / (2.0 * np.pi))
    fleet.length[b] += abs(chord)
    visit(floors, m, halls, fleet, b)
    fleet.cost[b, 0] = 1.0 if hit else 0.0
    fleet.cost[b, 1] = wrong_way(halls, b, fleet.position[b, 0], fleet.position[b, 1], dx, dy)
    ex, ey = fleet.places[b, 0, 0] - fleet.position[b, 0], fleet.places[b, 0, 1] - fleet.position[b, 1]
    crashed = hit and rules.ends
    reached = not crashed and ex * ex + ey * ey <= halls.goal_radius[b] * halls.goal_radius[b]
    fleet.reward[b] = fleet.success[b] = 1.0 if reached else 0.0
    fleet.truncated[b] = not (reached or crashed) and fleet.step[b] == fleet.path.shape[1] - 1
    fleet.done[b] = reached or crashed or fleet.truncated[b]


@njit(cache=True, **INLINED)
def observe(floors: FloorArrays, m: int, halls: Halls, fleet: Fleet, rules: Rules, b: int) -> None:
    """Fill ``seen`` of copy ``b``: beams; target; speed, turn; pose; lane."""
    x, y, seen, beams = fleet.position[b, 0], fleet.position[b, 1], fleet.seen[b], len(rules.beams)
    cos, sin = np.cos(fleet.heading[b]), np.sin(fleet.heading[b])
    for k in range(beams):
        dx = rules.beams[k, 0] * cos - rules.beams[k, 1] * sin
        dy = rules.beams[k, 0] * sin + rules.beams[k, 1] * cos
        seen[k] = ray(floors, m, x, y, dx, dy, rules.reach) / rules.reach
    for v in range(1, halls.movers[b]):
        ex, ey, radius = fleet.places[b, v, 0] - x, fleet.places[b, v, 1] - y, halls.other_radius[b]
        if ex * ex + ey * ey < (rules.reach + radius) * (rules.reach + radius):
            for k in range(beams):
                dx = rules.beams[k, 0] * cos - rules.beams[k, 1] * sin
                dy = rules.beams[k, 0] * sin + rules.beams[k, 1] * cos
                seen[k] = min(seen[k], np.float32(ray_disc(ex, ey, dx, dy, radius, rules.reach) / rules.reach))
    x0, y0 = floors.bounds[m, 0], floors.bounds[m, 1]
    width, height = floors.bounds[m, 2] - x0, floors.bounds[m, 3] - y0
    ex, ey = fleet.places[b, 0, 0] - x, fleet.places[b, 0, 1] - y
    distance = np.sqrt(ex * ex + ey * ey)
    seen[beams] = min(distance / np.sqrt(width * width + height * height), 1.0)
    seen[beams + 1] = (ex * cos + ey * sin) / distance if distance > 0.0 else 1.0
    seen[beams + 2] = (ey * cos - ex * sin) / distance if distance > 0.0 else 0.0
    seen[beams + 3] = fleet.speed[b] / halls.max_speed[b]
    seen[beams + 4] = fleet.steer[b] / STEERING if rules.car else fleet.turn[b] / TURN_RATE
    seen[beams + 5] = 2.0 * (x - x0) / width - 1.0
    seen[beams + 6] = 2.0 * (y - y0) / height - 1.0
    seen[beams + 7], seen[beams + 8] = cos, sin
    seen[beams + 9] = seen[beams + 10] = 0.0
    for k in range(halls.n_lanes[b]):
        lane = halls.lanes[b, k]
        if lane[0] <= x <= lane[2] and lane[1] <= y <= lane[3]:
            seen[beams + 9] = lane[4] * cos + lane[5] * sin
            seen[beams + 10] = lane[5] * cos - lane[4] * sin
            break


@njit(cache=True, **KERNEL)
def reset_batch(
    floors: FloorArrays, floor: I64, halls: Halls, fleet: Fleet, rules: Rules, which: NDArray[np.bool_]
) -> None:
    """Stand the copies marked in ``which`` (B,) at their starts; ``floor`` (B,) is the floor of each."""
    for b in range(len(which)):
        if which[b]:
            fleet.step[b] = 0
            fleet.position[b, 0], fleet.position[b, 1] = halls.start[b, 0], halls.start[b, 1]
            heading = halls.start[b, 2]
            fleet.heading[b] = heading - 2.0 * np.pi * np.floor((heading + np.pi) / (2.0 * np.pi))
            fleet.speed[b] = fleet.turn[b] = fleet.steer[b] = fleet.length[b] = 0.0
            fleet.reward[b] = fleet.success[b] = fleet.cost[b, 0] = fleet.cost[b, 1] = 0.0
            fleet.done[b] = fleet.truncated[b] = False
            place_movers(halls, fleet, b)
            visit(floors, floor[b], halls, fleet, b)
            observe(floors, floor[b], halls, fleet, rules, b)


@njit(cache=True, **KERNEL)
def first_invalid(action: F64, skip: NDArray[np.bool_]) -> int:
    """The first copy not in ``skip`` whose ``action`` (B, 2) is not in [-1, 1]; -1 where there is none."""
    for b in range(len(action)):
        # NaN compares false
        if not skip[b] and not (-1.0 <= action[b, 0] <= 1.0 and -1.0 <= action[b, 1] <= 1.0):
            return b
    return -1


@njit(cache=True, **KERNEL)
def step_batch(
    floors: FloorArrays,
    floor: I64,
    halls: Halls,
    fleet: Fleet,
    rules: Rules,
    action: F64,
    skip: NDArray[np.bool_],
) -> None:
    """Take ``action`` (B, 2) in [-1, 1] (demanded speed; demanded turn rate or steering angle) in every copy not in ``skip``."""
    for b in range(len(action)):
        if not skip[b]:
            drive(halls, fleet, rules, b, action[b, 0], action[b, 1])
            advance(floors, floor[b], halls, fleet, rules, b)
            observe(floors, floor[b], halls, fleet, rules, b)
