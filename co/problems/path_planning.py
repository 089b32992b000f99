"""Path planning: the shortest way of a disc among axis-aligned boxes to a target that stands or drives to and fro.

A vehicle is a disc whose centre follows a polyline, one chord a step of ``dt`` seconds. It arrives when its centre is at
most ``goal_radius`` from the target: from where the target is at the end of the last step, if it moves. One-way lanes and
other vehicles are part of the instance but not of the problem: they cost an agent, and no path is infeasible by them, so
the shortest path is a lower bound of what any agent drives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

TOLERANCE = 1e-6  # m: of every distance that a check compares
SMALLEST, LARGEST = 1e-6, 1e5  # m, rad, s, m/s: beyond them roundings would be larger than the distances that count
ROUNDING = 1e-9  # m: of a start that touches

F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class PathPlanningInstance(Instance):
    """A hall, a vehicle, its target, and what else drives there; arrays are read-only, in metres and radians."""

    bounds: F64  # (4,) xmin, ymin, xmax, ymax of the hall
    boxes: F64 = field(default_factory=lambda: np.zeros((0, 4)))  # (R, 4) closed obstacles: xmin, ymin, xmax, ymax
    start: F64  # (3,) x, y, heading
    route: F64  # (K, 2) the target drives to and fro on this polyline; K = 1: it stands still
    radius: float = 0.3  # of the vehicle, > 0
    target_speed: float = 0.0  # m/s, 0 where K = 1, below max_speed
    target_phase: float = 0.0  # arc length at time 0 along the cycle to and fro, in [0, twice the route's length]
    goal_radius: float = 0.5  # > 0
    lanes: F64 = field(default_factory=lambda: np.zeros((0, 6)))  # (L, 6) one-way: xmin, ymin, xmax, ymax, unit dx, dy
    loops: F64 = field(
        default_factory=lambda: np.zeros((0, 1, 2))
    )  # (V, K2, 2) of other vehicles; last to first closes
    loop_speeds: F64 = field(default_factory=lambda: np.zeros(0))  # (V,) m/s
    loop_phases: F64 = field(default_factory=lambda: np.zeros(0))  # (V,) arc length along the loop at time 0
    other_radius: float = 0.3  # of the other vehicles, > 0
    dt: float = 0.2  # s: duration of a step, > 0
    max_speed: float = 1.0  # m/s, > 0

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        vehicles = len(np.atleast_1d(_numbers(self.loops)))
        shapes = {"bounds": (4,), "boxes": (-1, 4), "start": (3,), "route": (-1, 2), "lanes": (-1, 6)} | {
            "loops": (vehicles, -1, 2),
            "loop_speeds": (vehicles,),
            "loop_phases": (vehicles,),
        }
        for name, shape in shapes.items():
            array = _numbers(getattr(self, name))
            object.__setattr__(self, name, array)
            fits = array.ndim == len(shape) and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
            if not fits or not (abs(array) <= LARGEST).all():  # NaN compares false
                wanted = ", ".join("any" if n < 0 else str(n) for n in shape)
                raise InputError(
                    f"{where}: {name} of shape {array.shape}; expected finite numbers up to {LARGEST:g} of shape ({wanted})"
                )
        for name in (item.name for item in fields(self) if item.type == "float"):
            given = getattr(self, name)
            try:
                value = float(given)
            except (TypeError, ValueError):
                raise InputError(f"{where}: {name} is {given!r}; expected a number") from None
            object.__setattr__(self, name, value)
            least = 0.0 if name.startswith("target_") else SMALLEST
            if not least <= value <= LARGEST:
                raise InputError(f"{where}: {name} is {value}; expected a number from {least:g} to {LARGEST:g}")
        for name, boxes in (("bounds", self.bounds[None]), ("boxes", self.boxes), ("lanes", self.lanes)):
            if (boxes[:, :2] >= boxes[:, 2:4]).any():
                at = int(np.argmax((boxes[:, :2] >= boxes[:, 2:4]).any(1)))
                raise InputError(f"{where}: {name} {boxes[at].tolist()}; expected xmin < xmax and ymin < ymax")
        if len(self.lanes) and (abs(np.hypot(*self.lanes[:, 4:].T) - 1) > TOLERANCE).any():
            raise InputError(f"{where}: lanes: expected directions of length 1")
        if len(self.route) == 0 or (self.target_speed > 0 and self.route_length == 0):
            raise InputError(
                f"{where}: route of {len(self.route)} points; expected 1 where the target stands, else more"
            )
        if self.max_speed * self.dt > LARGEST:
            raise InputError(
                f"{where}: max_speed is {self.max_speed}, dt {self.dt}; expected steps of at most {LARGEST:g} m"
            )
        if self.target_speed >= self.max_speed:
            raise InputError(
                f"{where}: target_speed is {self.target_speed}; expected below max_speed, {self.max_speed} m/s"
            )
        if not self.target_phase <= 2 * self.route_length:
            raise InputError(
                f"{where}: target_phase is {self.target_phase}; expected 0 to {2 * self.route_length:.6g} m"
            )
        super().__post_init__()

    @property
    def route_length(self) -> float:
        """Length of the target's polyline in m."""
        return float(np.hypot(*np.diff(self.route, axis=0).T).sum())

    @property
    def moves(self) -> bool:
        """Whether the target moves."""
        return self.target_speed > 0

    @property
    def n_boxes(self) -> int:
        """R."""
        return len(self.boxes)

    def target_at(self, seconds: float) -> F64:
        """(2,) position of the target at a time."""
        whole = self.route_length
        if whole == 0:
            return point_along(self.route, 0.0)
        along = (self.target_phase + self.target_speed * seconds) % (2 * whole)
        return point_along(self.route, min(along, 2 * whole - along))

    def others_at(self, seconds: float) -> F64:
        """(V, 2) positions of the other vehicles at a time."""
        found = np.zeros((len(self.loops), 2))
        for v, loop in enumerate(self.loops):
            closed = np.vstack([loop, loop[:1]])
            whole = np.hypot(*np.diff(closed, axis=0).T).sum()
            along = (self.loop_phases[v] + self.loop_speeds[v] * seconds) % whole if whole else 0.0
            found[v] = point_along(closed, along)
        return found


def _numbers(value: Any) -> F64:
    """A new array of ``value``; NaN, which no instance takes, where that is no array of numbers."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        return np.full((), np.nan)


def point_along(polyline: F64, along: float) -> F64:
    """(2,) point of a polyline (K, 2) at an arc length from its start."""
    ends = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(polyline, axis=0).T))])
    return np.array([np.interp(along, ends, polyline[:, k]) for k in (0, 1)])


def path_length(path: Any) -> float:
    """Length in m of a polyline (T + 1, 2)."""
    return float(np.hypot(*np.diff(np.asarray(path, np.float64), axis=0).T).sum())


def distances_to_boxes(point: F64, boxes: F64) -> F64:
    """(R,) distances in m of a point (2,) to closed boxes (R, 4); 0 inside."""
    outside = np.maximum(np.maximum(boxes[:, :2] - point, point - boxes[:, 2:]), 0)
    found: F64 = np.hypot(outside[:, 0], outside[:, 1])
    return found


def distance_to_box(path: F64, box: F64) -> F64:
    """(T,) distances in m of the segments of a polyline (T + 1, 2), T >= 1, to one closed box; 0 where they meet.

    The distance of two convex polygons that do not meet is one of a corner of either to the other: of the segment's ends
    to the box, and of the box's corners to the segment. They meet where the segment's part within the slab of x and that
    within the slab of y overlap.
    """
    a, b = path[:-1], path[1:]
    low, high, step = box[:2], box[2:], b - a
    outside = np.maximum(np.maximum(low - path, path - high), 0)
    of_ends = np.hypot(*outside.T)
    corners = np.array([[x, y] for x in box[[0, 2]] for y in box[[1, 3]]])  # (4, 2)
    squared = (step**2).sum(1)[:, None]
    to_corner = corners - a[:, None]  # (T, 4, 2)
    share = np.clip((to_corner * step[:, None]).sum(2) / np.where(squared > 0, squared, 1), 0, 1)
    of_corners = np.sqrt(((to_corner - share[..., None] * step[:, None]) ** 2).sum(2)).min(1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        first, second = (low - a) / step, (high - a) / step
    still, inside = step == 0, (low <= a) & (a <= high)
    enter = np.where(still, np.where(inside, -np.inf, np.inf), np.minimum(first, second)).max(1)
    leave = np.where(still, np.where(inside, np.inf, -np.inf), np.maximum(first, second)).min(1)
    meets = np.maximum(enter, 0) <= np.minimum(leave, 1)
    return np.where(meets, 0.0, np.minimum(np.minimum(of_ends[:-1], of_ends[1:]), of_corners))


def check_playable(instance: PathPlanningInstance) -> None:
    """Raise :class:`InputError`, which names the instance, unless it can be played.

    The start is free (hall, boxes, other vehicles at time 0), the target's route is in the hall and in no box, and there
    is a path to the goal disc.
    """
    from optgap.co.exact.visibility import graph_of  # compiled code, which reading an instance does not need

    name, start, radius = instance.name, instance.start[:2], instance.radius
    says = f"{name}: start {_text(start)}"
    if not _inside(start, instance.bounds, radius, ROUNDING):
        raise InputError(f"{says} is within {radius:g} m of a wall; expected the vehicle inside the hall")
    near = instance.boxes[distances_to_boxes(start, instance.boxes) < radius - ROUNDING]
    if len(near):
        raise InputError(f"{says} is within {radius:g} m of box {near[0].tolist()}; expected a free place")
    others = np.hypot(*(instance.others_at(0.0) - start).T)
    if (others < radius + instance.other_radius).any():
        raise InputError(f"{says} is where vehicle {int(np.argmin(others))} is at time 0; expected a free place")
    route = np.vstack([instance.route, instance.route[-1:]])
    for point in instance.route:
        if not _inside(point, instance.bounds, 0.0, 0.0):
            raise InputError(f"{name}: target {_text(point)} is outside the hall; expected it inside")
    boxes = instance.boxes
    reached = (boxes[:, :2] <= route.max(0)).all(1) & (boxes[:, 2:] >= route.min(0)).all(1)  # of a map's thousands, few
    for box in boxes[reached]:
        apart = distance_to_box(route, box)
        if (apart <= 0).any():
            at = instance.route[int(np.argmax(apart <= 0))]
            raise InputError(
                f"{name}: target {_text(at)} is in box {box.tolist()}, or drives into it; expected a free way"
            )
    graph, ends = graph_of(instance), (instance.target_at(0.0), *instance.route)
    if all(graph.shortest(start, end, instance.goal_radius) is None for end in ends):
        raise InputError(
            f"{says}: no path to target {_text(ends[0])} for a vehicle of radius {radius:g} m; expected one"
        )


def _inside(point: F64, bounds: F64, margin: float, slack: float) -> bool:
    least = margin - slack
    return bool((point >= bounds[:2] + least).all() and (point <= bounds[2:] - least).all())


def _text(point: F64) -> str:
    return f"({point[0]:.4g}, {point[1]:.4g})"


class PathPlanning:
    """Shortest path of a disc among boxes. A solution is the polyline of its centres, (T + 1, 2) float64 in m."""

    name = "path-planning"
    sense: Sense = "minimize"

    def generate(self, rng: np.random.Generator, **size: Any) -> PathPlanningInstance:
        """An instance of a scene, which can be played.

        Args:
            scene: ``"simple-static"`` (default), ``"simple-dynamic"``, ``"complex-static"``, ``"complex-dynamic"``,
                ``"warehouse"`` or ``"map"``.
            name: of the instance; that of the scene by default.
            size: the other arguments are those of the scene (:mod:`optgap.co.problems.agv_scenes`,
                :mod:`optgap.co.problems.warehouse`), or fields of the instance, which replace the scene's.

        Raises:
            InputError: an unknown scene or argument, or no path (says the instance, the start and the target).
        """
        from optgap.co.problems.agv_scenes import make_scene  # it imports this module

        instance = make_scene(rng, **size)
        check_playable(instance)
        return instance

    def check(self, instance: PathPlanningInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless the path is feasible, up to ``TOLERANCE``.

        It starts at the start, every chord keeps the disc inside the hall and out of the boxes, and it ends within
        ``goal_radius`` of the target. Where the target moves, chord t lasts from t dt to (t + 1) dt, so that none is
        longer than ``max_speed * dt``, and the target is where it is at the end of the last.
        """
        path, name = np.asarray(solution), instance.name
        if path.ndim != 2 or path.shape[1:] != (2,) or len(path) < 1 or path.dtype.kind != "f":
            raise InfeasibleError(f"{name}: path of shape {path.shape}, dtype {path.dtype}; expected (T + 1, 2) floats")
        path = path.astype(np.float64)
        if not np.isfinite(path).all():
            raise InfeasibleError(f"{name}: point {int(np.argmin(np.isfinite(path).all(1)))} is not finite")
        if np.hypot(*(path[0] - instance.start[:2])) > TOLERANCE:
            raise InfeasibleError(f"{name}: the path begins at {_text(path[0])}; expected {_text(instance.start)}")
        for t, point in enumerate(path):
            if not _inside(point, instance.bounds, instance.radius, TOLERANCE):
                raise InfeasibleError(f"{name}: point {t}, {_text(point)}: the vehicle is in a wall of the hall")
        chords = path if len(path) > 1 else np.vstack([path, path])
        for box in instance.boxes:
            apart = distance_to_box(chords, box)
            if (apart < instance.radius - TOLERANCE).any():
                t = int(np.argmin(apart))
                raise InfeasibleError(
                    f"{name}: chord {t}, {_text(chords[t])} to {_text(chords[t + 1])}, is {apart[t]:.6g} m from box "
                    f"{box.tolist()}; expected at least {instance.radius:g} m"
                )
        if instance.moves:
            length, most = np.hypot(*np.diff(chords, axis=0).T), instance.max_speed * instance.dt
            if (length > most + TOLERANCE).any():
                t = int(np.argmax(length))
                raise InfeasibleError(
                    f"{name}: chord {t} is {length[t]:.6g} m long; expected at most {most:g} m a step"
                )
        target = instance.target_at((len(path) - 1) * instance.dt)
        left = float(np.hypot(*(path[-1] - target)))
        if left > instance.goal_radius + TOLERANCE:
            raise InfeasibleError(
                f"{name}: the path ends {left:.6g} m from the target; expected at most {instance.goal_radius:g} m"
            )

    def cost(self, instance: PathPlanningInstance, solution: Any) -> float:
        """Length of the path in m."""
        return path_length(solution)


PATH_PLANNING = PathPlanning()
