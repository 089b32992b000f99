"""Tours from nothing, compiled: nearest neighbour, insertion, and patching of the assignment's cycles (ATSP).

All work in any space of :mod:`~optgap.co.heuristics.tour_space`, symmetric or not. Sources: Rosenkrantz, Stearns and
Lewis 1977 (nearest neighbour, insertion); Karp 1979 (patching).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.tour_space import distance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]


@njit(cache=True, nogil=True)
def nearest_neighbour(space: Any, near: I4, start: int) -> I4:
    """From ``start`` always to the nearest node not visited; (N,) int32.

    Args:
        near: (N, K) nearest nodes from each, nearest first; K may be 0. A step that they do not settle looks at all
            nodes left, which happens at some 10% of the steps for K = 8.
    """
    n, K = near.shape
    tour, left, at = np.empty(n, np.int32), np.arange(n).astype(np.int32), np.arange(n)  # at: of a node in left, or -1
    node, remaining = start, n
    for i in range(n):
        tour[i] = node
        remaining -= 1
        last = left[remaining]
        left[at[node]], at[last] = last, at[node]
        at[node] = -1
        chosen, shortest = -1, np.inf
        for k in range(K):
            if at[near[node, k]] >= 0:
                chosen = near[node, k]
                break
        if chosen < 0:
            for k in range(remaining):
                d = distance(space, node, left[k])
                if d < shortest:
                    chosen, shortest = left[k], d
        node = chosen
    return tour


@njit(cache=True, nogil=True, **KERNEL)
def begin_insertion(space: Any, a: int, b: int, following: I4, onward: F8) -> None:
    """Begin with the tour a, b. ``following`` (N,): the next node, -1 outside; ``onward`` (N,): the distance to it."""
    following[:] = -1
    following[a], following[b] = b, a
    onward[a], onward[b] = distance(space, a, b), distance(space, b, a)


@njit(cache=True, nogil=True, **KERNEL)
def insert(space: Any, first: int, node: int, following: I4, onward: F8) -> None:
    """Insert ``node`` where it lengthens the tour through ``first`` least."""
    least, place, to_node, from_node = np.inf, first, 0.0, 0.0
    before, d_before = first, distance(space, first, node)
    while True:
        after = following[before]
        d_after = distance(space, node, after)
        longer = d_before + d_after - onward[before]
        if longer < least:
            least, place, to_node, from_node = longer, before, d_before, d_after
        if after == first:
            break
        before, d_before = after, distance(space, after, node)
    following[node], onward[node] = following[place], from_node
    following[place], onward[place] = node, to_node


@njit(cache=True, nogil=True, **KERNEL)
def insert_in_order(space: Any, order: I4, following: I4, onward: F8) -> None:
    """Insert the nodes of ``order``, each at its cheapest place, into a tour that has begun; O(N) a node."""
    first = 0
    while following[first] < 0:
        first += 1
    for node in order:
        insert(space, first, node, following, onward)


@njit(cache=True, nogil=True, **KERNEL)
def insert_farthest(space: Any, count: int, following: I4, onward: F8, away: F8) -> None:
    """Insert ``count`` times the node farthest from the tour.

    Args:
        away: (N,) distance from the tour to each node: the least from any of its nodes; kept up to date, -1 inside.
    """
    n = len(away)
    first = 0
    while following[first] < 0:
        first += 1
    for _ in range(count):
        node = np.argmax(away)
        insert(space, first, node, following, onward)
        away[node] = -1.0
        for k in range(n):
            if away[k] >= 0.0:
                away[k] = min(away[k], distance(space, node, k))


@njit(cache=True, nogil=True, **KERNEL)
def follow(following: I4, start: int, tour: I4) -> None:
    """Write the nodes from ``start`` on, in order, into ``tour``."""
    node = start
    for i in range(len(tour)):
        tour[i] = node
        node = following[node]


@njit(cache=True, nogil=True)
def assign_rows(matrix: F8, rows: I4, row_of: I4, u: F8, v: F8) -> None:
    """Give each of ``rows`` a column so that all rows assigned so far cost least (shortest augmenting paths).

    A row never takes the column of its own number. The work may be split over several calls; before the first one
    ``row_of`` (N,), the row of each column, is -1, and the dual prices ``u`` of rows and ``v`` of columns, (N,) each,
    are 0. After the last one their sum is the cost of the assignment, a lower bound on every tour.
    """
    n = len(matrix)
    slack, previous, done = np.empty(n), np.empty(n, np.int32), np.empty(n, np.bool_)
    for start in rows:
        slack[:], done[:] = np.inf, False
        row, column, reached = start, -1, 0.0
        while True:  # Dijkstra over reduced costs, until a free column
            best, chosen = np.inf, -1
            for j in range(n):
                if not done[j]:
                    if j != row:
                        cost = reached + matrix[row, j] - u[row] - v[j]
                        if cost < slack[j]:
                            slack[j], previous[j] = cost, column
                    if slack[j] < best:
                        best, chosen = slack[j], j
            column, reached = chosen, best
            done[column] = True
            row = row_of[column]
            if row < 0:
                break
        u[start] += reached
        for j in range(n):
            if done[j] and row_of[j] >= 0:
                v[j] -= reached - slack[j]
                u[row_of[j]] += reached - slack[j]
        while column >= 0:
            back = previous[column]
            row_of[column] = start if back < 0 else row_of[back]
            column = back


@njit(cache=True, nogil=True)
def patch(matrix: F8, following: I4) -> int:
    """Join the cycles of ``following`` into one, always by the cheapest exchange of two edges; returns how many there were."""
    n = len(matrix)
    cycle = np.full(n, -1, np.int32)
    count = 0
    for i in range(n):
        if cycle[i] < 0:
            node = i
            while cycle[node] < 0:
                cycle[node] = count
                node = following[node]
            count += 1
    for _ in range(count - 1):
        least, a, b = np.inf, 0, 0
        for i in range(n):
            for j in range(i + 1, n):
                if cycle[i] != cycle[j]:
                    p, q = following[i], following[j]
                    longer = matrix[i, q] + matrix[j, p] - matrix[i, p] - matrix[j, q]
                    if longer < least:
                        least, a, b = longer, i, j
        following[a], following[b] = following[b], following[a]
        old, new = cycle[b], cycle[a]
        for i in range(n):
            if cycle[i] == old:
                cycle[i] = new
    return count


@njit(cache=True, nogil=True)
def successors(row_of: I4) -> I4:
    """The inverse of an assignment: (N,) the column of each row."""
    following = np.empty_like(row_of)
    for j in range(len(row_of)):
        following[row_of[j]] = j
    return following


@njit(cache=True, nogil=True)
def patched_tours(matrices: F8) -> I4:
    """(B, N) int32 tours by patching, one for each of (B, N, N) float64 matrices of distances."""
    B, n = matrices.shape[:2]
    tours = np.zeros((B, n), np.int32)
    if n < 2:
        return tours
    rows = np.arange(n).astype(np.int32)
    for b in range(B):
        row_of, u, v = np.full(n, -1, np.int32), np.zeros(n), np.zeros(n)
        assign_rows(matrices[b], rows, row_of, u, v)
        following = successors(row_of)
        patch(matrices[b], following)
        follow(following, 0, tours[b])
    return tours
