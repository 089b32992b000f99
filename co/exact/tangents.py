"""Geometry of a taut path of a disc among axis-aligned boxes, compiled: free arcs round corners, and their tangents.

The disc's centre must stay out of the boxes grown by the disc's radius, whose corners are quarters of circles. A taut path
is of segments tangent to those quarters and of arcs of them. An ``end`` of a tangent is a circle with a sense, (8,) float64:

    x, y, signed radius (a), sign of x and of y of the quarter (sx, sy), least and greatest angle (low, high), tolerance

a > 0 is driven counterclockwise, a < 0 clockwise, a = 0 is a point. The angle of a quarter's point is measured from the x
axis towards the y axis, both with the quarter's signs: 0 to pi/2.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SLACK = 1e-9  # m: how much nearer than its radius a disc may come, so that it may touch
ANGLE_SLACK = 1e-7  # rad
X, Y, TURN, SIDE_X, SIDE_Y, LOW, HIGH = range(7)
ANGLE_OUT, LENGTH, ANGLE_IN, END_X, END_Y = range(5)


@njit(cache=True)
def _crosses(ax: float, ay: float, bx: float, by: float, x0: float, y0: float, x1: float, y1: float) -> bool:
    """Whether a segment meets a closed box."""
    enter, leave = 0.0, 1.0
    for a, b, low, high in ((ax, bx, x0, x1), (ay, by, y0, y1)):
        step = b - a
        if step == 0.0:
            if a < low or a > high:
                return False
        else:
            first, second = (low - a) / step, (high - a) / step
            enter, leave = max(enter, min(first, second)), min(leave, max(first, second))
    return enter <= leave


@njit(cache=True)
def _near(ax: float, ay: float, bx: float, by: float, x: float, y: float, reach: float) -> bool:
    """Whether a segment comes nearer to a point than ``reach``."""
    ux, uy = bx - ax, by - ay
    squared = ux * ux + uy * uy
    share = 0.0
    if squared > 0.0:
        share = min(1.0, max(0.0, ((x - ax) * ux + (y - ay) * uy) / squared))
    dx, dy = x - ax - share * ux, y - ay - share * uy
    return dx * dx + dy * dy < reach * reach


@njit(cache=True)
def is_clear(ax: float, ay: float, bx: float, by: float, bounds: F64, boxes: F64, radius: float) -> bool:
    """Whether a disc whose centre drives a segment stays inside the hall and out of the boxes; it may touch."""
    r = radius - SLACK
    left, right, low, high = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
    if left < bounds[0] + r or low < bounds[1] + r or right > bounds[2] - r or high > bounds[3] - r:
        return False
    for k in range(len(boxes)):
        x0, y0, x1, y1 = boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3]
        if right <= x0 - r or left >= x1 + r or high <= y0 - r or low >= y1 + r:
            continue
        if _crosses(ax, ay, bx, by, x0 - r, y0, x1 + r, y1) or _crosses(ax, ay, bx, by, x0, y0 - r, x1, y1 + r):
            return False
        for x in (x0, x1):
            for y in (y0, y1):
                if _near(ax, ay, bx, by, x, y, r):
                    return False
    return True


@njit(cache=True)
def free_arcs(bounds: F64, boxes: F64, radius: float) -> F64:
    """(A, 8) ends, counterclockwise: the parts of the corners' quarters where the disc's centre is free.

    A quarter is cut where it meets the border of the hall, or of another grown box.
    """
    found = np.zeros((4 * len(boxes) + 16, 8))
    count = 0
    near = np.zeros((len(boxes), 4))
    cuts = np.zeros(20 * len(boxes) + 8)
    inner = np.array([bounds[0] + radius, bounds[1] + radius, bounds[2] - radius, bounds[3] - radius])
    for k in range(len(boxes)):
        for corner in range(4):
            sx, sy = 2.0 * (corner % 2) - 1.0, 2.0 * (corner // 2) - 1.0
            cx, cy = boxes[k, 1 + int(sx)], boxes[k, 2 + int(sy)]
            n_near = 0
            for other in range(len(boxes)):
                dx = max(boxes[other, 0] - cx, cx - boxes[other, 2], 0.0)
                dy = max(boxes[other, 1] - cy, cy - boxes[other, 3], 0.0)
                if other != k and dx * dx + dy * dy < 4.0 * radius * radius:
                    near[n_near] = boxes[other]
                    n_near += 1
            cuts[0], cuts[1] = 0.0, math.pi / 2
            n_cuts = 2
            for other in range(-1, n_near):
                if other < 0:
                    lines = inner
                else:
                    b = near[other]
                    lines = np.array([b[0] - radius, b[1] - radius, b[2] + radius, b[3] + radius])
                for side in range(4):
                    vertical = side % 2 == 0
                    share = (sx * (lines[side] - cx) if vertical else sy * (lines[side] - cy)) / radius
                    if 0.0 < share < 1.0:
                        cuts[n_cuts] = math.acos(share) if vertical else math.asin(share)
                        n_cuts += 1
                for side in range(4 if other >= 0 else 0):
                    # Two circles of this radius meet beside the middle between their centres.
                    dx, dy = near[other, 2 * (side % 2)] - cx, near[other, 1 + 2 * (side // 2)] - cy
                    d = math.hypot(dx, dy)
                    if 0.0 < d < 2.0 * radius:
                        across = math.sqrt(radius * radius - d * d / 4.0)
                        for sign in (-1.0, 1.0):
                            x, y = dx / 2.0 - sign * across * dy / d, dy / 2.0 + sign * across * dx / d
                            if sx * x > 0.0 and sy * y > 0.0:
                                cuts[n_cuts] = math.atan2(sy * y, sx * x)
                                n_cuts += 1
            ordered = np.sort(cuts[:n_cuts])
            begun = -1.0
            for c in range(n_cuts):
                free = False
                if c + 1 < n_cuts:
                    middle = (ordered[c] + ordered[c + 1]) / 2.0
                    x, y = cx + sx * radius * math.cos(middle), cy + sy * radius * math.sin(middle)
                    free = is_clear(x, y, x, y, bounds, near[:n_near], radius)
                if free and begun < 0.0:
                    begun = ordered[c]
                elif not free and begun >= 0.0:
                    if count == len(found):
                        grown = np.zeros((2 * count, 8))
                        grown[:count] = found
                        found = grown
                    if ordered[c] - begun > ANGLE_SLACK:
                        found[count, :7] = np.array([cx, cy, radius, sx, sy, begun, ordered[c]])
                        count += 1
                    begun = -1.0
    return found[:count]


@njit(cache=True)
def _angle(end: F64, nx: float, ny: float) -> float:
    """Angle in its quarter of a direction from the centre of ``end``; NaN outside its arc, 0 for a point."""
    if end[TURN] == 0.0:
        return 0.0
    angle = math.atan2(end[SIDE_Y] * ny, end[SIDE_X] * nx)
    if not end[LOW] - ANGLE_SLACK <= angle <= end[HIGH] + ANGLE_SLACK:
        return np.nan
    return float(min(end[HIGH], max(end[LOW], angle)))


@njit(cache=True)
def tangents(a: F64, ends: F64, bounds: F64, boxes: F64, radius: float, short: float) -> F64:
    """The tangents from the end ``a`` (8,) to each of ``ends`` (M, 8), in the senses of both.

    Args:
        short: m, by which a tangent is cut at its far end; one that is no longer becomes its first point.

    Returns:
        (M, 5) angle at ``a``, length, angle at the far end, x and y there; the length is inf where there is no tangent
        within both arcs, or it is not free.
    """
    found = np.full((len(ends), 5), np.inf)
    for k in range(len(ends)):
        b = ends[k]
        dx, dy, turn = b[X] - a[X], b[Y] - a[Y], a[TURN] - b[TURN]
        squared = dx * dx + dy * dy
        along = squared - turn * turn
        # Concentric circles have no tangent, nor do circles that overlap one across both.
        if along < 0.0:
            if along < -4.0 * SLACK * radius or squared == 0.0:
                continue
            along = 0.0
        if squared == 0.0 and (a[TURN] != 0.0 or b[TURN] != 0.0):
            continue
        along = math.sqrt(along)
        # The unit direction u solves d = along u + turn n, where n is u turned by -90 degrees.
        ux, uy = 0.0, 0.0
        if squared > 0.0:
            ux, uy = (dx * along - dy * turn) / squared, (dy * along + dx * turn) / squared
        first = _angle(a, math.copysign(1.0, a[TURN]) * uy, -math.copysign(1.0, a[TURN]) * ux)
        last = _angle(b, math.copysign(1.0, b[TURN]) * uy, -math.copysign(1.0, b[TURN]) * ux)
        if math.isnan(first) or math.isnan(last):
            continue
        ax, ay = a[X] + a[TURN] * uy, a[Y] - a[TURN] * ux
        length = max(0.0, along - short)
        bx, by = ax + length * ux, ay + length * uy
        if is_clear(ax, ay, bx, by, bounds, boxes, radius):
            found[k] = np.array([first, length, last, bx, by])
    return found


@njit(cache=True)
def approaches(a: F64, segments: F64, bounds: F64, boxes: F64, radius: float, reach: float) -> F64:
    """The tangents from the end ``a`` (8,) that meet segments (S, 4: from x, y to x, y) at right angles, from either side.

    They are cut ``reach`` m before the segment; one that is no longer becomes its first point.

    Returns:
        (2 S, 5), as :func:`tangents`.
    """
    found = np.full((2 * len(segments), 5), np.inf)
    for k in range(2 * len(segments)):
        px, py = segments[k // 2, 0], segments[k // 2, 1]
        wx, wy = segments[k // 2, 2] - px, segments[k // 2, 3] - py
        whole = math.hypot(wx, wy)
        if whole == 0.0:
            continue
        side = 1.0 if k % 2 else -1.0
        ux, uy = side * wy / whole, -side * wx / whole  # the way driven; the vehicle comes from the other side
        first = _angle(a, math.copysign(1.0, a[TURN]) * uy, -math.copysign(1.0, a[TURN]) * ux)
        ax, ay = a[X] + a[TURN] * uy, a[Y] - a[TURN] * ux
        along = ((ax - px) * wx + (ay - py) * wy) / whole
        apart = (px - ax) * ux + (py - ay) * uy
        if math.isnan(first) or not 0.0 <= along <= whole or apart < 0.0:
            continue
        length = max(0.0, apart - reach)
        bx, by = ax + length * ux, ay + length * uy
        if is_clear(ax, ay, bx, by, bounds, boxes, radius):
            found[k] = np.array([first, length, 0.0, bx, by])
    return found


def border_points(points: F64, reach: float, bounds: F64, boxes: F64, radius: float) -> F64:
    """(n, 2) where the border of all that is within ``reach`` m of a polyline (K, 2) meets that of the free space.

    Other points of the free space, no farther than ``reach`` from the polyline, may be among them.
    """
    found = [np.zeros((0, 2))]
    if reach > 0:
        low, high = points.min(0) - reach - radius, points.max(0) + reach + radius
        near = boxes[(boxes[:, :2] <= high).all(1) & (boxes[:, 2:] >= low).all(1)]
        sides = np.vstack([near + radius * np.array([-1, -1, 1, 1]), bounds + radius * np.array([1, 1, -1, -1])])
        corners = np.vstack([near[:, [i, j]] for i in (0, 2) for j in (1, 3)])
        for point in points:
            found += _on_circle(point, reach, sides, corners, radius)
        for a, b in pairwise(points):
            beside = reach * np.array([a[1] - b[1], b[0] - a[0]]) / max(math.hypot(*(b - a)), 1e-300)
            for sign in (-1, 1):
                found += _on_segment(a + sign * beside, b - a, sides, corners, radius)
    everything = np.vstack(found)
    free = [bool(is_clear(x, y, x, y, bounds, boxes, radius)) for x, y in everything.tolist()]
    kept: F64 = everything[np.array(free, bool)]
    return kept


def _on_circle(centre: F64, size: float, sides: F64, corners: F64, radius: float) -> list[F64]:
    """Points where a circle meets the lines of sides (n, 4: xmin, ymin, xmax, ymax) and circles round corners (m, 2)."""
    found = []
    for axis in (0, 1):
        apart = np.unique(sides[:, [axis, axis + 2]]) - centre[axis]
        apart = apart[abs(apart) <= size]
        across = np.sqrt(size**2 - apart**2)
        either = np.column_stack([np.tile(apart, 2), np.concatenate([-across, across])])
        found.append(centre + (either if axis == 0 else either[:, ::-1]))
    away = corners - centre
    d = np.hypot(away[:, 0], away[:, 1])
    meet = (d > 0) & (d <= size + radius) & (d >= abs(size - radius))
    away, d = away[meet] / d[meet, None], d[meet]
    along = (d**2 + size**2 - radius**2) / (2 * d)
    across = np.sqrt(np.maximum(size**2 - along**2, 0))
    turned = np.column_stack([-away[:, 1], away[:, 0]]) * across[:, None]
    return [*found, centre + along[:, None] * away + turned, centre + along[:, None] * away - turned]


def _on_segment(start: F64, step: F64, sides: F64, corners: F64, radius: float) -> list[F64]:
    """Points where the segment from ``start`` to ``start + step`` meets the same lines and circles."""
    shares = [(np.unique(sides[:, [k, k + 2]]) - start[k]) / step[k] for k in (0, 1) if step[k] != 0]
    squared = float((step**2).sum())
    if squared > 0:
        away = corners - start
        middle, apart = away @ step / squared, (away @ np.array([-step[1], step[0]])) ** 2 / squared
        half = np.sqrt(np.maximum(radius**2 - apart, 0) / squared)
        meet = apart <= radius**2
        shares += [(middle - half)[meet], (middle + half)[meet]]
    share = np.concatenate([np.zeros(0), *shares])
    return [start + share[(share >= 0) & (share <= 1), None] * step]
