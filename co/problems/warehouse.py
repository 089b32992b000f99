"""Warehouses from a seed: rows of shelves with aisles between, cross aisles, one-way lanes and other vehicles."""

from __future__ import annotations

from typing import Any

import numpy as np

from optgap.co.core import InputError
from optgap.co.problems.path_planning import F64, LARGEST, SMALLEST, distances_to_boxes

CLEARANCE = 0.2  # m between a vehicle that starts, or a target, and the nearest box or wall
BESIDE = 0.1  # m between another vehicle and the shelf that it drives round
OTHER_SPEED = (0.3, 0.6)  # m/s, drawn for each other vehicle
MOST = 300  # rows, columns or vehicles: 90,000 shelves take a second
DRAWS = 1000  # of a start or a target before giving up


def warehouse(
    rng: np.random.Generator,
    rows: int = 5,
    columns: int = 3,
    aisle: float = 1.8,
    shelf_length: float = 4.0,
    shelf_depth: float = 1.0,
    missing: float = 0.1,
    vehicles: int = 2,
    one_way: bool = True,
    radius: float = 0.3,
    other_radius: float = 0.3,
) -> dict[str, Any]:
    """The fields of a warehouse.

    Every seed has its own layout in a hall of the same size: the shelves of a row share its length at random (each has
    at least half of ``shelf_length``), so that cross aisles lie elsewhere in each row, and some are missing.

    Args:
        rows: of shelves, along x.
        columns: shelves a row.
        aisle: m, width of the aisles along x and of the cross aisles.
        shelf_length: m along x, on average.
        shelf_depth: m along y.
        missing: probability that a shelf is left out.
        vehicles: others, each on a loop round a shelf of its own, in the sense of the lane beside it.
        one_way: every second aisle between rows is one-way, to either side in turn.
        radius: m, of the vehicle; start and target are drawn free of shelves by ``CLEARANCE`` and at least a third of
            the hall's diagonal apart.
        other_radius: m, of the other vehicles.

    Raises:
        InputError: an argument out of range, or no room for start and target.
    """
    widest = 2 * max(radius, other_radius) + CLEARANCE
    for what, value, least, most in (
        ("radius", radius, SMALLEST, LARGEST),
        ("other_radius", other_radius, SMALLEST, LARGEST),
        ("rows", rows, 1, MOST),
        ("columns", columns, 1, MOST),
        ("aisle", aisle, widest, LARGEST),
        ("shelf_length", shelf_length, 4 * (other_radius + BESIDE), LARGEST),
        ("shelf_depth", shelf_depth, 0.1, LARGEST),
        ("missing", missing, 0.0, 1.0),
        ("vehicles", vehicles, 0, MOST),
    ):
        if not least <= value <= most:
            raise InputError(f"warehouse: {what} is {value}; expected a number from {least:g} to {most:g}")
        if most == MOST and not isinstance(value, int | np.integer):
            raise InputError(f"warehouse: {what} is {value}; expected a whole number")
    if missing == 1:
        raise InputError(f"warehouse: missing is {missing}; expected a probability below 1")
    if not isinstance(one_way, bool | np.bool_):
        raise InputError(f"warehouse: one_way is {one_way!r}; expected true or false")
    width = columns * shelf_length + (columns + 1) * aisle
    height = rows * shelf_depth + (rows + 1) * aisle
    bounds = np.array([0.0, 0.0, width, height])
    shelves, row_of = [], []
    for row in range(rows):
        spare = columns * shelf_length / 2  # what the shelves of a row do not have for certain
        lengths = shelf_length / 2 + spare * rng.dirichlet(np.full(columns, 3.0))
        x, y = aisle, aisle + row * (shelf_depth + aisle)
        for length in lengths.tolist():
            if rng.random() >= missing:
                shelves.append([x, y, x + length, y + shelf_depth])
                row_of.append(row)
            x += length + aisle
    boxes = np.array(shelves).reshape(-1, 4)
    sense = int(rng.integers(2)) * 2 - 1  # of the first one-way aisle
    lane_of: dict[int, int] = (
        {row: sense * (1 - 2 * (row // 2 % 2)) for row in range(0, rows - 1, 2)} if one_way else {}
    )
    lanes = [
        [aisle, (row + 1) * (aisle + shelf_depth), width - aisle, (row + 1) * (aisle + shelf_depth) + aisle, way, 0.0]
        for row, way in lane_of.items()
    ]
    found = _other_vehicles(rng, boxes, np.array(row_of, np.int64), lane_of, vehicles, other_radius + BESIDE)
    found |= {"radius": radius, "other_radius": other_radius, "bounds": bounds, "boxes": boxes}
    found["lanes"] = np.array(lanes).reshape(-1, 6)
    start, target = draw_ends(
        rng, "warehouse", bounds, boxes, radius + CLEARANCE, found["loops"], radius + other_radius + 0.5
    )
    return found | {"start": np.array([*start, rng.uniform(-np.pi, np.pi)]), "route": target[None]}


def _other_vehicles(
    rng: np.random.Generator, boxes: F64, row_of: Any, lane_of: dict[int, int], vehicles: int, apart: float
) -> dict[str, Any]:
    """Loops around different shelves at a distance, counterclockwise unless the lane beside the shelf says otherwise."""
    if vehicles > len(boxes):
        raise InputError(
            f"warehouse: vehicles is {vehicles}; expected at most one a shelf, of which there are {len(boxes)}"
        )
    loops = np.zeros((vehicles, 4, 2))
    phases = np.zeros(vehicles)
    for v, shelf in enumerate(rng.permutation(len(boxes))[:vehicles].tolist()):
        x0, y0, x1, y1 = (boxes[shelf] + apart * np.array([-1, -1, 1, 1])).tolist()
        row = int(row_of[shelf])
        # A counterclockwise loop drives towards -x above its shelf and towards +x below.
        clockwise = lane_of.get(row) == 1 or lane_of.get(row - 1) == -1
        loop = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        loops[v] = loop[::-1] if clockwise else loop
        phases[v] = rng.uniform(0, 2 * (x1 - x0 + y1 - y0))
    return {"loops": loops, "loop_speeds": rng.uniform(*OTHER_SPEED, vehicles), "loop_phases": phases}


def draw_ends(
    rng: np.random.Generator, name: str, bounds: F64, boxes: F64, margin: float, loops: F64, from_loops: float
) -> tuple[F64, F64]:
    """A start and a target, (2,) each, at free places that are at least a third of the hall's diagonal apart.

    Args:
        margin: m, least distance to boxes and walls.
        loops: (V, K, 2) closed polylines.
        from_loops: m, least distance of the start to them.

    Raises:
        InputError: no such places were found.
    """
    low, high = bounds[:2] + margin, bounds[2:] - margin
    least = float(np.hypot(*(bounds[2:] - bounds[:2]))) / 3
    # Both ends are drawn anew each time: no place need have another one that is far enough.
    for _ in range(DRAWS if (low < high).all() else 0):
        start, target = rng.uniform(low, high), rng.uniform(low, high)
        taken = any((distances_to_boxes(end, boxes) < margin).any() for end in (start, target))
        if taken or np.hypot(*(start - target)) < least:
            continue
        if all(_apart(start, np.vstack([loop, loop[:1]])) >= from_loops for loop in loops):
            return start, target
    raise InputError(f"{name}: no free start and target {least:.4g} m apart were found in a hall of {bounds.tolist()}")


def _apart(point: F64, polyline: F64) -> float:
    """Distance of a point to a polyline."""
    a, step = polyline[:-1], np.diff(polyline, axis=0)
    squared = (step**2).sum(1)
    share = np.clip(((point - a) * step).sum(1) / np.where(squared > 0, squared, 1), 0, 1)
    return float(np.hypot(*(point - a - share[:, None] * step).T).min())
