"""Exact shortest paths of a disc among axis-aligned boxes: a visibility graph of tangents between the corners' arcs.

The shortest path of the disc's centre is taut: it is made of segments tangent to the corners of the grown boxes and of arcs
of these (Laumond 1987, "Obstacle growing in a nonpolygonal world"; Lozano-Perez and Wesley 1979 for polygons). A* searches
the tangents, which are found when a corner is first left, and kept: further searches in the same hall are cheap.

The goal is the disc round the target, or all that is within its radius of a part of the target's route. A shortest path to it
ends either where its last segment, at right angles to the border, meets it, or where this border meets a grown box or a wall
(the path would slide on, but is held): all such ends are tried, so that boxes beside the target, or a target that the
vehicle's centre cannot reach, are treated exactly.

A moving target: at speed v the vehicle can be at the goal at time t if f(t) <= v t, f(t) being the length of the shortest path
to the goal disc of that time. The target is slower, so that f(t) grows by less than v t: from the first such time on, all are.
The shortest interception up to a time is then the shortest path to all places that the target is at from the first one on.
"""

from __future__ import annotations

import functools
import heapq
import math
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result, Status
from optgap.co.exact import tangents as geometry
from optgap.co.exact.tangents import ANGLE_IN, ANGLE_OUT, END_X, END_Y, HIGH, LENGTH, SIDE_X, SIDE_Y, TURN, X, Y
from optgap.co.problems.path_planning import TOLERANCE, PathPlanningInstance, point_along

F64 = NDArray[np.float64]

EQUAL = 1e-10  # m, rad: less is a rounding
TIME_SLACK = 1e-7  # s: of the earliest interception


@dataclass(frozen=True)
class ShortestPath:
    """A taut path: ``length`` in m, and its legs."""

    length: float
    legs: F64  # (n, 8) ax, ay, bx, by of a segment, then cx, cy, signed radius of the arc before it, and its angle

    def polyline(self, apart: float) -> F64:
        """(m, 2) a polyline from the start to the goal disc: arcs are replaced by the legs of tangents outside of them.

        Args:
            apart: m, how far it may leave an arc.
        """
        points = [self.legs[0, :2]]
        for before, (ax, ay, bx, by, cx, cy, turn, angle) in pairwise([None, *self.legs]):
            if before is not None and angle > 0:
                half = math.acos(abs(turn) / (abs(turn) + apart))
                pieces = max(1, math.ceil(angle / (2 * half)))
                step = math.copysign(angle / pieces, turn)
                first = math.atan2(before[3] - cy, before[2] - cx)
                reach = abs(turn) / math.cos(step / 2)
                at = first + step * (np.arange(pieces) + 0.5)
                points.extend(np.column_stack([cx + reach * np.cos(at), cy + reach * np.sin(at)]))
                points.append(np.array([ax, ay]))
            points.append(np.array([bx, by]))
        return np.array(points)


class VisibilityGraph:
    """Shortest paths in one hall.

    Args:
        bounds: (4,) xmin, ymin, xmax, ymax of the hall in m.
        boxes: (R, 4) closed obstacles.
        radius: m, of the disc, > 0.
    """

    def __init__(self, bounds: F64, boxes: F64, radius: float) -> None:
        self.bounds, self.boxes, self.radius = np.array(bounds), np.array(boxes).reshape(-1, 4), float(radius)
        arcs = geometry.free_arcs(self.bounds, self.boxes, self.radius)
        # Each arc is driven in both senses: ends 2 i and 2 i + 1.
        self._ends = np.repeat(arcs, 2, axis=0)
        self._ends[1::2, TURN] *= -1
        # In this sense of its drive the angle of an arc rises (1) or falls (-1).
        self._sense = np.sign(self._ends[:, TURN] * self._ends[:, SIDE_X] * self._ends[:, SIDE_Y])
        self._leaving: dict[int, tuple[NDArray[np.int64], F64]] = {}

    def is_clear(self, a: F64, b: F64) -> bool:
        """Whether the disc's centre can drive the segment from a (2,) to b (2,)."""
        found = geometry.is_clear(a[0], a[1], b[0], b[1], self.bounds, self.boxes, self.radius)
        return bool(found)

    def _tangents(self, end: F64, ends: F64, short: float = 0.0) -> F64:
        return geometry.tangents(end, ends, self.bounds, self.boxes, self.radius, short)

    def _leave(self, end: int) -> tuple[NDArray[np.int64], F64]:
        """The ends that tangents from this one lead to, and the tangents (see :func:`tangents`)."""
        if end not in self._leaving:
            found = self._tangents(self._ends[end], self._ends)
            found[end ^ 1, LENGTH] = found[end, LENGTH] = np.inf
            to = np.flatnonzero(np.isfinite(found[:, LENGTH]))
            self._leaving[end] = (to, found[to])
        return self._leaving[end]

    def shortest(self, start: F64, target: F64, reach: float = 0.0) -> ShortestPath | None:
        """The shortest path to the goal; None where there is none.

        Args:
            start: (2,) m.
            target: (2,), or a polyline (K, 2), m.
            reach: m, how near to the target, or to any point of the polyline, the path has to come.
        """
        start, target = np.array(start, np.float64)[:2], np.array(target, np.float64).reshape(-1, 2)
        if not self.is_clear(start, start):
            return None
        if _apart(start, target) <= reach:
            return ShortestPath(0.0, np.array([[*start, *start, 0.0, 0.0, 0.0, 0.0]]))
        aim, segments = _points(target), np.hstack([target[:-1], target[1:]])
        stops = _points(geometry.border_points(target, reach, self.bounds, self.boxes, self.radius))
        origin = _points(start[None])[0]

        def finish(end: F64) -> F64:
            across = geometry.approaches(end, segments, self.bounds, self.boxes, self.radius, reach)
            return np.vstack([self._tangents(end, aim, reach), self._tangents(end, stops), across])

        # Records of tangents driven: (previous record, end left or -1, tangent's row, angle of the arc before it).
        records: list[tuple[int, int, F64, float]] = []
        queue: list[tuple[float, int, float, int, int]] = []  # estimate, tie, length so far, end, record
        ties = count()
        best, last = math.inf, -1
        reached: dict[int, F64] = {}  # end -> least length found to the far end of each tangent that leaves it
        arrivals: dict[int, list[tuple[float, float]]] = {}  # end -> (progress, length) of those searched from
        finals: dict[int, F64] = {}

        def push(record: tuple[int, int, F64, float], length: float, end: int) -> None:
            left = _apart(record[2][END_X:], target) - reach
            if length + left < best:
                records.append(record)
                heapq.heappush(queue, (length + max(left, 0.0), next(ties), length, end, len(records) - 1))

        direct = finish(origin)
        nearest = int(np.argmin(direct[:, LENGTH]))
        if math.isfinite(direct[nearest, LENGTH]):
            best, last = float(direct[nearest, LENGTH]), 0
            records.append((-1, -1, direct[nearest], 0.0))
        first = self._tangents(origin, self._ends)
        for end in np.flatnonzero(np.isfinite(first[:, LENGTH])).tolist():
            push((-1, -1, first[end], 0.0), float(first[end, LENGTH]), end)
        while queue and queue[0][0] < best:
            _, _, length, end, record = heapq.heappop(queue)
            sense, radius = self._sense[end], self.radius
            progress = float(sense * records[record][2][ANGLE_IN])
            seen = arrivals.setdefault(end, [])
            if any(p <= progress + EQUAL and g + radius * (progress - p) <= length + EQUAL for p, g in seen):
                continue
            seen.append((progress, length))
            if end not in finals:
                finals[end] = finish(self._ends[end])
            to, rows = self._leave(end)
            everything = np.vstack([finals[end], rows])
            arc = sense * everything[:, ANGLE_OUT] - progress
            total = length + radius * np.maximum(arc, 0) + everything[:, LENGTH]
            total[~(arc >= -geometry.ANGLE_SLACK)] = np.inf
            split = len(finals[end])
            nearest = int(np.argmin(total[:split]))
            if total[nearest] < best:
                best, last = float(total[nearest]), len(records)
                records.append((record, end, everything[nearest], max(float(arc[nearest]), 0.0)))
            table = reached.setdefault(end, np.full(len(to), np.inf))
            for k in np.flatnonzero(total[split:] < table - EQUAL).tolist():
                table[k] = total[split + k]
                row = (record, end, rows[k], max(float(arc[split + k]), 0.0))
                push(row, float(table[k]), int(to[k]))
        return None if last < 0 else ShortestPath(best, self._legs(start, records, last))

    def _legs(self, start: F64, records: list[tuple[int, int, F64, float]], last: int) -> F64:
        legs: list[list[float]] = []
        while last >= 0:
            last, end, row, angle = records[last]
            left = self._ends[end] if end >= 0 else np.array([*start, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
            out, size = row[ANGLE_OUT], abs(left[TURN])
            ax, ay = left[X] + left[SIDE_X] * size * math.cos(out), left[Y] + left[SIDE_Y] * size * math.sin(out)
            legs.append([ax, ay, row[END_X], row[END_Y], *left[:3], angle])
        return np.array(legs[::-1])


def _apart(point: F64, polyline: F64) -> float:
    """Distance of a point (2,) to a polyline (K, 2)."""
    least = math.hypot(point[0] - polyline[0, 0], point[1] - polyline[0, 1])
    for (ax, ay), (bx, by) in pairwise(polyline.tolist()):
        ux, uy = bx - ax, by - ay
        share = ((point[0] - ax) * ux + (point[1] - ay) * uy) / max(ux * ux + uy * uy, 1e-300)
        share = min(1.0, max(0.0, share))
        least = min(least, math.hypot(point[0] - ax - share * ux, point[1] - ay - share * uy))
    return least


def _points(points: F64) -> F64:
    """(n, 8) ends for :func:`tangents` that are points (n, 2)."""
    ends = np.zeros((len(points), 8))
    ends[:, :2], ends[:, SIDE_X], ends[:, SIDE_Y], ends[:, HIGH] = points, 1.0, 1.0, 0.0
    return ends


@functools.lru_cache(maxsize=64)
def _graph(bounds: bytes, boxes: bytes, radius: float) -> VisibilityGraph:
    return VisibilityGraph(np.frombuffer(bounds), np.frombuffer(boxes).reshape(-1, 4), radius)


def graph_of(instance: PathPlanningInstance) -> VisibilityGraph:
    """The visibility graph of an instance's hall; kept, so that further episodes in the same hall are cheap."""
    return _graph(instance.bounds.tobytes(), instance.boxes.tobytes(), instance.radius)


def earliest_interception(instance: PathPlanningInstance) -> tuple[float, float]:
    """When the vehicle can first be at the goal, at ``max_speed`` all the way, and the length of its path.

    Accelerations, turning, one-way lanes and other vehicles are left out, so that it is a lower bound of any drive's time.

    Returns:
        (seconds, m); both inf where there is no path.
    """
    graph, start, speed = graph_of(instance), instance.start, instance.max_speed

    def late(seconds: float) -> float:
        return _length(graph.shortest(start, instance.target_at(seconds), instance.goal_radius)) / speed - seconds

    if not instance.moves:
        return late(0.0), late(0.0) * speed
    high, misses = 0.0, 2 * instance.route_length / instance.goal_radius
    while (behind := late(high)) > 0:
        if math.isfinite(behind):  # from then on the target flees for this long at most
            high += max(behind, TIME_SLACK) / (1 - instance.target_speed / speed)
        elif misses > 0:  # it may come to where it can be reached
            misses, high = misses - 1, high + instance.goal_radius / instance.target_speed
        else:
            return math.inf, math.inf
    low = 0.0
    while high - low > TIME_SLACK:
        middle = (low + high) / 2
        low, high = (middle, high) if late(middle) > 0 else (low, middle)
    return high, high * speed


def shortest_path(instance: PathPlanningInstance, horizon: float = math.inf) -> ShortestPath | None:
    """The shortest path to the goal disc, of where the target stands or is at any time up to ``horizon`` s; None if none.

    A moving target is met at ``max_speed`` or below, waiting allowed; a horizon before the earliest interception is taken
    as that. One-way lanes and other vehicles are left out: it is a lower bound of what any vehicle drives.
    """
    if not instance.moves:
        return graph_of(instance).shortest(instance.start, instance.route[0], instance.goal_radius)
    first, _ = earliest_interception(instance)
    if not math.isfinite(first):
        return None
    places = _route_between(instance, first, max(first, horizon))
    return graph_of(instance).shortest(instance.start, places, instance.goal_radius)


def shortest_length(instance: PathPlanningInstance, horizon: float = math.inf) -> float:
    """Length in m of :func:`shortest_path`, inf where there is none.

    With the time that an agent took as ``horizon``, the length that it drove, divided by this, is at least 1.
    """
    return _length(shortest_path(instance, horizon))


def _length(path: ShortestPath | None) -> float:
    return math.inf if path is None else path.length


def _route_between(instance: PathPlanningInstance, first: float, last: float) -> F64:
    """(K, 2) the part of the target's route where it is from one time to another, both included."""
    whole = instance.route_length
    begin = instance.target_phase + instance.target_speed * first
    end = instance.target_phase + instance.target_speed * min(last, first + 2 * whole / instance.target_speed)
    begin, end = begin - 2 * whole * (begin // (2 * whole)), end - 2 * whole * (begin // (2 * whole))
    # Unfolded: the route is driven from 0 to whole, back to 2 whole, and so on.
    turns = [k * whole for k in range(5) if begin < k * whole < end]
    at = [min(s % (2 * whole), 2 * whole - s % (2 * whole)) for s in (begin, *turns, end)]
    low, high = min(at), max(at)
    ends = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(instance.route, axis=0).T))])
    within = instance.route[(ends > low) & (ends < high)]
    return np.vstack([point_along(instance.route, low), within, point_along(instance.route, high)])


def steps_of(polyline: F64, longest: float) -> F64:
    """(T + 1, 2) the polyline, each of its segments cut into equal chords of at most ``longest`` m."""
    pieces = [polyline[:1]]
    for a, b in pairwise(polyline):
        n = max(1, math.ceil(math.hypot(*(b - a)) / longest - EQUAL))
        pieces.append(a + (b - a) * (np.arange(1, n + 1) / n)[:, None])
    return np.vstack(pieces)


def solve(instance: PathPlanningInstance, budget: Budget) -> Result:
    """Solver: the shortest path as a polyline, the bound being its exact length. Ignores the budget (milliseconds).

    The polyline leaves the arcs by at most 1 mm, or less where a passage is as narrow as the vehicle: *optimal* is meant up
    to this. A moving target is waited for at the start where that shortens the path; the arrival is at the end of a step,
    so that the target may be half a step's drive from where the bound meets it: only *feasible*.
    """
    path = shortest_path(instance)
    if path is None:
        return Result(None, Status.INFEASIBLE)
    if not instance.moves:
        return Result(_tried(instance, path), Status.OPTIMAL, bound=path.length)
    graph, longest = graph_of(instance), instance.max_speed * instance.dt
    cycle = math.ceil(2 * instance.route_length / instance.target_speed / instance.dt)
    first = math.ceil(earliest_interception(instance)[0] / instance.dt)
    places = np.array([instance.target_at(k * instance.dt) for k in range(first, first + 2 * cycle + 1)])
    near = np.hypot(*(places - path.legs[-1, 2:4]).T)
    for k in np.argsort(near, kind="stable").tolist():
        met = graph.shortest(instance.start, places[k], instance.goal_radius)
        drive = None if met is None else steps_of(_tried(instance, met), longest)
        if drive is not None and len(drive) <= first + k + 1:
            wait = np.repeat(drive[:1], first + k + 1 - len(drive), axis=0)
            return Result(np.vstack([wait, drive]), Status.FEASIBLE, bound=path.length)
    return Result(None, Status.NO_SOLUTION)


def _tried(instance: PathPlanningInstance, path: ShortestPath) -> F64:
    """The polyline of a path, 1 mm from its arcs, or as near as the tolerance of a check where that does not fit."""
    wide = path.polyline(1e-3)
    fits = all(graph_of(instance).is_clear(a, b) for a, b in pairwise(wide))
    return wide if fits else path.polyline(TOLERANCE / 2)
