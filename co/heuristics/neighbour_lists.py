"""The nearest nodes of each node: by comparing all pairs, or for coordinates by a k-d tree (Bentley 1975)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.tour_space import METRICS, Plane, distance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]

LEAF = 8  # nodes in a leaf of the tree
MANHATTAN, CHEBYSHEV = METRICS.index("man_2d"), METRICS.index("max_2d")


def neighbour_lists(space: Any, k: int) -> tuple[I4, F8]:
    """(N, K) int32 nodes nearest from each node and (N, K) float64 their distances, nearest first; K = min(k, N - 1).

    A plane takes O(N log N) time. For "geo" the neighbours are those by latitude and longitude as if they were flat.
    """
    n = len(space.x) if isinstance(space, Plane) else len(space)
    near, gap = np.empty((n, max(0, min(k, n - 1))), np.int32), np.empty((n, max(0, min(k, n - 1))))
    if isinstance(space, Plane):
        order, axis, cut = np.arange(n, dtype=np.int32), np.zeros(n, np.int8), np.zeros(n)
        build_tree(space.x, space.y, order, axis, cut)
        search_tree(space, order, axis, cut, near, gap)
    else:
        nearest_of_all(space, near, gap)
    return near, gap


@njit(cache=True, nogil=True, **KERNEL)
def nearest_of_all(space: Any, near: I4, gap: F8) -> None:
    """Fill ``near`` and ``gap``, see :func:`neighbour_lists`, in O(N^2) time."""
    n, k = near.shape
    for a in range(n):
        found = 0
        for b in range(n):
            if b != a and k > 0:
                d = distance(space, a, b)
                if found < k or d < gap[a, k - 1]:
                    found = min(found + 1, k)
                    _place(near[a], gap[a], found - 1, b, d)


@njit(cache=True, **KERNEL)
def _place(near: I4, gap: F8, i: int, node: int, d: float) -> None:
    """Put a node in its place among those before place ``i``; what was there falls out."""
    while i > 0 and gap[i - 1] > d:
        near[i], gap[i] = near[i - 1], gap[i - 1]
        i -= 1
    near[i], gap[i] = node, d


@njit(cache=True, nogil=True)
def build_tree(x: F8, y: F8, order: I4, axis: NDArray[np.int8], cut: F8) -> None:
    """Sort ``order``, all nodes, so that each range of it is halved by a line across its longer side.

    The range from low to high, high excluded, with more than LEAF nodes, falls apart at m = (low + high) // 2: before m
    lie nodes with a coordinate ``axis[m]`` of at most ``cut[m]``, from m on those of at least that.
    """
    stack = [(0, len(order))]
    while len(stack) > 0:
        low, high = stack.pop()
        if high - low <= LEAF:
            continue
        middle = (low + high) // 2
        part = order[low:high].copy()
        xs, ys = x[part], y[part]
        upright = xs.max() - xs.min() < ys.max() - ys.min()
        along = ys if upright else xs
        sort = np.argsort(along)
        order[low:high] = part[sort]
        axis[middle] = 1 if upright else 0
        cut[middle] = along[sort[middle - low]]
        stack.append((low, middle))
        stack.append((middle, high))


@njit(cache=True, nogil=True)
def search_tree(space: Any, order: I4, axis: NDArray[np.int8], cut: F8, near: I4, gap: F8) -> None:
    """Fill ``near`` and ``gap``, see :func:`neighbour_lists`, by the tree of :func:`build_tree`."""
    n, k = near.shape
    lows, highs, bounds = np.empty(128, np.int64), np.empty(128, np.int64), np.empty(128)
    flat = np.empty(k)  # distances before any rounding
    for a in range(n):
        here = (space.x[a], space.y[a])
        found, depth = 0, 1
        lows[0], highs[0], bounds[0] = 0, n, 0.0
        while depth > 0:
            depth -= 1
            low, high, bound = lows[depth], highs[depth], bounds[depth]
            if found == k and bound >= flat[k - 1]:
                continue
            if high - low <= LEAF:
                for i in range(low, high):
                    b = order[i]
                    if b != a:
                        dx, dy = abs(space.x[b] - here[0]), abs(space.y[b] - here[1])
                        if space.metric == MANHATTAN:
                            d = dx + dy
                        elif space.metric == CHEBYSHEV:
                            d = max(dx, dy)
                        else:
                            d = np.sqrt(dx * dx + dy * dy)
                        if found < k or d < flat[k - 1]:
                            found = min(found + 1, k)
                            _place(near[a], flat, found - 1, b, d)
                continue
            middle = (low + high) // 2
            off = here[axis[middle]] - cut[middle]
            across = max(bound, abs(off))
            for side in range(2):  # the half in which the node lies is pushed last and searched first
                before = (off < 0) == (side == 1)
                lows[depth], highs[depth] = (low, middle) if before else (middle, high)
                bounds[depth] = bound if side == 1 else across
                depth += 1
        for i in range(k):
            b = near[a, i]
            _place(near[a], gap[a], i, b, distance(space, a, b))
