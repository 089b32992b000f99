"""Constructions of CVRP solutions: nearest neighbour and savings, compiled, for any number of customers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.tour_space import distance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I64 = NDArray[np.int64]

ALL_PAIRS = 2000  # customers up to which savings looks at every pair
NEAREST = 100  # beyond: neighbours of each customer with which it pairs
SLACK = 1e-10  # relative, of the capacity, for sums of demands in different orders


@njit(cache=True, nogil=True, **KERNEL)
def _nearest_neighbour(space: Any, demand: F8, capacity: float, solution: I64, waiting: I4) -> int:
    """Fill ``solution`` (2 N,) and return its length; ``waiting`` (N,) is scratch."""
    n = len(demand)
    for c in range(1, n):
        waiting[c - 1] = c
    count, at, length, room = n - 1, 0, 1, capacity
    solution[0] = 0
    while count > 0:
        best, least = -1, np.inf
        for k in range(count):
            c = waiting[k]
            if demand[c] <= room:
                d = distance(space, at, c)
                if d < least or (d == least and c < waiting[best]):
                    best, least = k, d
        if best < 0:
            at, room = 0, capacity
        else:
            at = waiting[best]
            room -= demand[at]
            count -= 1
            waiting[best] = waiting[count]
        solution[length] = at
        length += 1
    solution[length] = 0
    return length + 1


def nearest_neighbour_routes(space: Any, demand: F8, capacity: float) -> I64:
    """A solution: drive to the nearest customer that still fits, to the depot where none does.

    Args:
        demand: (N,) of the depot, 0, and the customers.
    """
    n = len(demand)
    solution = np.empty(2 * n, np.int64)
    length = _nearest_neighbour(space, demand, capacity * (1 + SLACK), solution, np.empty(n, np.int32))
    return solution[:length]


@njit(cache=True, nogil=True, **KERNEL)
def _list_savings(space: Any, near: I4, every: bool, saving: F8, pair: I4) -> int:
    """List the pairs of customers with a saving above 0; return their number. ``saving`` (P,), ``pair`` (P, 2)."""
    n, count = near.shape[0], 0
    for i in range(1, n):
        home = distance(space, 0, i)
        for k in range(n - 1 - i if every else near.shape[1]):
            j = i + 1 + k if every else near[i, k]
            if j == 0:
                continue
            saved = home + distance(space, 0, j) - distance(space, i, j)
            if saved > 0.0:
                saving[count], pair[count, 0], pair[count, 1] = saved, i, j
                count += 1
    return count


@njit(**KERNEL)
def _route_of(parent: I4, c: int) -> int:
    """The representative of the route of ``c``, by union-find with path halving."""
    while parent[c] != c:
        parent[c] = parent[parent[c]]
        c = parent[c]
    return c


@njit(cache=True, nogil=True, **KERNEL)
def _merge(demand: F8, capacity: float, ranked: I64, pair: I4, link: I4, parent: I4, load: F8, solution: I64) -> int:
    """Join the ends of routes in the order ``ranked`` of the pairs; write the routes; return the solution's length."""
    n = len(demand)
    for c in range(n):
        link[c, 0] = link[c, 1] = 0
        parent[c], load[c] = c, demand[c]
    for k in ranked:
        i, j = pair[k, 0], pair[k, 1]
        if link[i, 1] > 0 or link[j, 1] > 0:  # no end of a route
            continue
        a, b = _route_of(parent, i), _route_of(parent, j)
        if a != b and load[a] + load[b] <= capacity:
            parent[b] = a
            load[a] += load[b]
            link[i, 1 if link[i, 0] > 0 else 0] = j
            link[j, 1 if link[j, 0] > 0 else 0] = i
    length = 1
    solution[0] = 0
    for begin in range(1, n):
        if link[begin, 1] > 0 or parent[begin] < 0:
            continue
        p, c = 0, begin
        while c > 0:
            solution[length] = c
            length += 1
            parent[c] = -1  # written
            following = link[c, 1] if link[c, 0] == p else link[c, 0]
            p, c = c, following
        solution[length] = 0
        length += 1
    return length


def savings_routes(space: Any, demand: F8, capacity: float) -> I64:
    """A solution by the parallel savings algorithm (Clarke and Wright, Operations Research 12(4), 1964).

    Beyond 2,000 customers a pair is one of a customer and its 100 nearest, so that memory grows with N.

    Args:
        demand: (N,) of the depot, 0, and the customers.
    """
    n = len(demand)
    every = n - 1 <= ALL_PAIRS
    near = np.empty((n, 0), np.int32) if every else neighbour_lists(space, NEAREST)[0]
    most = (n - 1) * (n - 2) // 2 if every else n * NEAREST
    saving, pair = np.empty(most), np.empty((most, 2), np.int32)
    count = _list_savings(space, near, every, saving, pair)
    ranked = np.argsort(-saving[:count], kind="stable")
    solution = np.empty(2 * n, np.int64)
    link, parent = np.empty((n, 2), np.int32), np.empty(n, np.int32)
    length = _merge(demand, capacity * (1 + SLACK), ranked, pair, link, parent, np.empty(n), solution)
    return solution[:length]
