"""Floors of halls: axis-aligned boxes in square buckets, for the rays of a lidar and the exact impact of a moving disc.

A ray visits the buckets on its way and no others (Amanatides and Woo 1987, *A Fast Voxel Traversal Algorithm for Ray
Tracing*), so its cost does not grow with the number of boxes of the hall.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import INLINED, KERNEL

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

BUCKET = 4.0
"""Side of a bucket in m where the hall has at most :data:`MOST_BUCKETS` of them; the fastest of 0.5 to 100 m, in halls of
20 to 20,000 boxes."""
MOST_BUCKETS = 2**20
SKIN = 1e-9
"""m: a disc is stopped this far from what it runs into, so that no rounding lets it overlap."""
NEVER = 2.0
"""Time of an impact that does not happen in a motion from time 0 to 1."""


class FloorArrays(NamedTuple):
    """M floors padded to R boxes, N buckets and K entries."""

    bounds: F64  # (M, 4) m, xmin, ymin, xmax, ymax of the hall
    boxes: F64  # (M, R, 4) m, xmin, ymin, xmax, ymax
    side: F64  # (M,) m, of a bucket
    rows: I64  # (M,)
    columns: I64  # (M,)
    first: I32  # (M, N + 1) where the entries of bucket row * columns + column begin
    entry: I32  # (M, K) boxes that touch the bucket


def empty_floors(floors: int, boxes: int, buckets: int, entries: int) -> FloorArrays:
    """Arrays of zeros."""
    return FloorArrays(
        bounds=np.zeros((floors, 4)),
        boxes=np.zeros((floors, boxes, 4)),
        side=np.ones(floors),
        rows=np.ones(floors, np.int64),
        columns=np.ones(floors, np.int64),
        first=np.zeros((floors, buckets + 1), np.int32),
        entry=np.zeros((floors, entries), np.int32),
    )


class Floors:
    """The floors that B copies stand on; copies with equal ones share them.

    ``arrays`` are what the kernels take; ``of`` (B,) int64 tells which floor a copy has, -1 before its first.
    """

    def __init__(self, copies: int) -> None:
        self.of = np.full(copies, -1, np.int64)
        self.arrays = empty_floors(1, 0, 1, 0)
        self._slots: dict[bytes, int] = {}

    def put(self, b: int, bounds: F64, boxes: F64) -> None:
        """Give copy ``b`` a hall with ``bounds`` (4,) and ``boxes`` (R, 4), in m."""
        self.of[b] = -1
        key = bounds.tobytes() + boxes.tobytes()
        if key not in self._slots:
            slot = self._free_slot()
            self._slots = {k: s for k, s in self._slots.items() if s != slot} | {key: slot}
            self._fill(slot, bounds, boxes)
        self.of[b] = self._slots[key]

    def _free_slot(self) -> int:
        used = set(self._slots.values())
        unused = [s for s in range(len(self.arrays.side)) if s not in used]
        if unused:
            return unused[0]
        idle = used.difference(self.of.tolist())
        return min(idle) if idle else len(self.arrays.side)

    def _fill(self, slot: int, bounds: F64, boxes: F64) -> None:
        width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
        side = max(BUCKET, float(np.sqrt(width * height / MOST_BUCKETS)))
        rows, columns = int(height // side) + 1, int(width // side) + 1
        low = np.clip((boxes[:, :2] - bounds[:2]) // side, 0, [columns - 1, rows - 1]).astype(np.int64)
        high = np.clip((boxes[:, 2:] - bounds[:2]) // side, 0, [columns - 1, rows - 1]).astype(np.int64)
        entries = int((high - low + 1).prod(1).sum())
        self._grow(slot + 1, len(boxes), rows * columns, entries)
        a = self.arrays
        a.bounds[slot], a.side[slot], a.rows[slot], a.columns[slot] = bounds, side, rows, columns
        a.boxes[slot, : len(boxes)] = boxes
        fill_buckets(low, high, rows, columns, a.first[slot], a.entry[slot])

    def _grow(self, floors: int, boxes: int, buckets: int, entries: int) -> None:
        a = self.arrays
        held = (len(a.side), a.boxes.shape[1], a.first.shape[1] - 1, a.entry.shape[1])
        needed = (floors, boxes, buckets, entries)
        if any(n > h for n, h in zip(needed, held, strict=True)):
            larger = [h if n <= h else n + n // 4 for n, h in zip(needed, held, strict=True)]
            grown = empty_floors(larger[0], larger[1], larger[2], larger[3])
            pairs: list[tuple[NDArray[Any], NDArray[Any]]] = list(zip(a, grown, strict=True))
            for before, after in pairs:
                after[tuple(slice(n) for n in before.shape)] = before
            self.arrays = grown


@njit(cache=True, **KERNEL)
def fill_buckets(low: I64, high: I64, rows: int, columns: int, first: I32, entry: I32) -> None:
    """Enter every box into the buckets ``low`` (R, 2) to ``high`` (R, 2), columns then rows, both included."""
    buckets = rows * columns
    first[:] = 0
    for r in range(len(low)):
        for row in range(low[r, 1], high[r, 1] + 1):
            for column in range(low[r, 0], high[r, 0] + 1):
                first[row * columns + column] += 1
    for k in range(1, buckets + 1):
        first[k] += first[k - 1]  # where bucket k ends
    for r in range(len(low)):
        for row in range(low[r, 1], high[r, 1] + 1):
            for column in range(low[r, 0], high[r, 0] + 1):
                first[row * columns + column] -= 1
                entry[first[row * columns + column]] = r


@njit(cache=True, **INLINED)
def bucket_of(value: float, origin: float, side: float, count: int) -> int:
    """The row or column of a coordinate; one outside the hall belongs to the first or the last."""
    return min(max(int(np.floor((value - origin) / side)), 0), count - 1)


@njit(cache=True, **INLINED)
def ray(a: FloorArrays, m: int, x: float, y: float, dx: float, dy: float, reach: float) -> float:
    """Distance in m from (x, y) in hall ``m`` along the unit vector (dx, dy) to the first box or wall, at most ``reach``."""
    # no zeros below: 0 times infinity would be NaN
    dx = dx if abs(dx) > 1e-12 else 1e-12
    dy = dy if abs(dy) > 1e-12 else 1e-12
    ix, iy, side = 1.0 / dx, 1.0 / dy, a.side[m]
    x0, y0, columns = a.bounds[m, 0], a.bounds[m, 1], a.columns[m]
    best: float = min(
        reach, ((a.bounds[m, 2] if dx > 0.0 else x0) - x) * ix, ((a.bounds[m, 3] if dy > 0.0 else y0) - y) * iy
    )
    column, row = bucket_of(x, x0, side, columns), bucket_of(y, y0, side, a.rows[m])
    along, up = (1 if dx > 0.0 else -1), (1 if dy > 0.0 else -1)
    next_x = (x0 + (column + (dx > 0.0)) * side - x) * ix  # where the ray leaves the column
    next_y = (y0 + (row + (dy > 0.0)) * side - y) * iy
    step_x, step_y = side * abs(ix), side * abs(iy)
    left_x = columns - 1 - column if dx > 0.0 else column  # columns ahead
    left_y = a.rows[m] - 1 - row if dy > 0.0 else row
    bucket = row * columns + column
    while True:
        for k in range(a.first[m, bucket], a.first[m, bucket + 1]):
            r = a.entry[m, k]
            tx, ux = (a.boxes[m, r, 0] - x) * ix, (a.boxes[m, r, 2] - x) * ix
            ty, uy = (a.boxes[m, r, 1] - y) * iy, (a.boxes[m, r, 3] - y) * iy
            near, far = max(min(tx, ux), min(ty, uy)), min(max(tx, ux), max(ty, uy))
            if near <= far and far >= 0.0 and near < best:
                best = max(near, 0.0)
        if next_x < next_y:
            if next_x >= best or left_x == 0:
                return best
            bucket += along
            left_x -= 1
            next_x += step_x
        else:
            if next_y >= best or left_y == 0:
                return best
            bucket += up * columns
            left_y -= 1
            next_y += step_y


@njit(cache=True, **INLINED)
def ray_disc(x: float, y: float, dx: float, dy: float, radius: float, reach: float) -> float:
    """Distance in m from the origin along the unit vector (dx, dy) to the disc around (x, y), at most ``reach``."""
    along = x * dx + y * dy
    under = along * along - (x * x + y * y - radius * radius)
    if under < 0.0:
        return reach
    root = np.sqrt(under)
    if along + root < 0.0:
        return reach
    distance: float = min(reach, max(along - root, 0.0))
    return distance


@njit(cache=True, **INLINED)
def disc_impact(ex: float, ey: float, dx: float, dy: float, radius: float) -> float:
    """When a point at (ex, ey) that moves by (dx, dy) meets the open disc around the origin: in [0, 1], or NEVER.

    A point within two skins of ``radius``, or inside, meets it at once if it comes nearer and never if it does not: the
    distance to a convex set is a convex function of time.
    """
    distance, toward = ex * ex + ey * ey, ex * dx + ey * dy
    if toward >= 0.0:
        return NEVER
    inner = radius + 2.0 * SKIN
    if distance <= inner * inner:
        return 0.0
    outer = radius + SKIN
    length = dx * dx + dy * dy
    under = toward * toward - length * (distance - outer * outer)
    if under <= 0.0:
        return NEVER
    time = (distance - outer * outer) / (np.sqrt(under) - toward)  # the smaller root, without cancellation
    return time if time <= 1.0 else NEVER


@njit(cache=True, **INLINED)
def slab_impact(x: float, y: float, dx: float, dy: float, xmin: float, ymin: float, xmax: float, ymax: float) -> float:
    """When a point outside the open rectangle, moving by (dx, dy), enters it: in [0, 1], or NEVER."""
    enter, leave = -np.inf, np.inf
    if dx != 0.0:
        t, u = (xmin - x) / dx, (xmax - x) / dx
        enter, leave = min(t, u), max(t, u)
    elif not xmin < x < xmax:
        return NEVER
    if dy != 0.0:
        t, u = (ymin - y) / dy, (ymax - y) / dy
        enter, leave = max(enter, min(t, u)), min(leave, max(t, u))
    elif not ymin < y < ymax:
        return NEVER
    return max(enter, 0.0) if enter < leave and leave > 0.0 and enter <= 1.0 else NEVER


@njit(cache=True, **KERNEL)
def box_impact(
    x: float,
    y: float,
    dx: float,
    dy: float,
    xmin: float,
    ymin: float,
    xmax: float,
    ymax: float,
    radius: float,
) -> float:
    """When a disc of ``radius`` around (x, y) that moves by (dx, dy) meets a box: in [0, 1], or NEVER.

    The centre meets the box grown by the radius, with rounded corners: two rectangles and four discs.
    """
    ex, ey = x - min(max(x, xmin), xmax), y - min(max(y, ymin), ymax)
    inner, outer = radius + 2.0 * SKIN, radius + SKIN
    if ex * ex + ey * ey <= inner * inner:
        return 0.0 if ex * dx + ey * dy < 0.0 else NEVER
    first: float = slab_impact(x, y, dx, dy, xmin - outer, ymin, xmax + outer, ymax)
    first = min(first, slab_impact(x, y, dx, dy, xmin, ymin - outer, xmax, ymax + outer))
    first = min(first, disc_impact(x - xmin, y - ymin, dx, dy, radius))
    first = min(first, disc_impact(x - xmin, y - ymax, dx, dy, radius))
    first = min(first, disc_impact(x - xmax, y - ymin, dx, dy, radius))
    first = min(first, disc_impact(x - xmax, y - ymax, dx, dy, radius))
    return first


@njit(cache=True, **INLINED)
def wall_impact(room: float, approach: float) -> float:
    """When a disc whose edge is ``room`` m from a wall and comes ``approach`` m nearer meets it: in [0, 1], or NEVER."""
    if approach <= 0.0:
        return NEVER
    if room <= 2.0 * SKIN:
        return 0.0
    return (room - SKIN) / approach if room - SKIN <= approach else NEVER


@njit(cache=True, **KERNEL)
def floor_impact(a: FloorArrays, m: int, x: float, y: float, dx: float, dy: float, radius: float) -> float:
    """When a disc of ``radius`` around (x, y) that moves by (dx, dy) meets a wall or box of hall ``m``: in [0, 1], or NEVER."""
    x0, y0, x1, y1 = a.bounds[m, 0], a.bounds[m, 1], a.bounds[m, 2], a.bounds[m, 3]
    first: float = min(wall_impact(x - radius - x0, -dx), wall_impact(x1 - x - radius, dx))
    first = min(first, wall_impact(y - radius - y0, -dy), wall_impact(y1 - y - radius, dy))
    outer, side, columns, rows = radius + 2.0 * SKIN, a.side[m], a.columns[m], a.rows[m]
    left, right = min(x, x + dx) - outer, max(x, x + dx) + outer
    low, high = min(y, y + dy) - outer, max(y, y + dy) + outer
    begin, end = bucket_of(left, x0, side, columns), bucket_of(right, x0, side, columns)
    for row in range(bucket_of(low, y0, side, rows), bucket_of(high, y0, side, rows) + 1):
        for k in range(a.first[m, row * columns + begin], a.first[m, row * columns + end + 1]):
            r = a.entry[m, k]
            xmin, ymin, xmax, ymax = a.boxes[m, r, 0], a.boxes[m, r, 1], a.boxes[m, r, 2], a.boxes[m, r, 3]
            if xmin <= right and xmax >= left and ymin <= high and ymax >= low:
                first = min(first, box_impact(x, y, dx, dy, xmin, ymin, xmax, ymax, radius))
    return first
