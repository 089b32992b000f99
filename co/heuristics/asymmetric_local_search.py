"""Iterated 3-opt for the asymmetric TSP, compiled: segment insertions, which keep every direction of travel.

The moves are the 3-exchanges without reversal (two neighbouring segments change places), found through lists of the
nearest successors with a queue of nodes; the perturbation is a double bridge of three short segments, searched from its
ends alone and undone from a log where it did not improve: :mod:`~optgap.co.heuristics.tour_local_search` without
reversals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.neighbour_lists import nearest_of_all
from optgap.co.heuristics.random_stream import below
from optgap.co.heuristics.tour_search import (
    LOGGED,
    MANY,
    TOLERANCE,
    WAITING,
    Search,
    between,
    clear_queue,
    following,
    load_tour,
    log_is_full,
    pop,
    push,
    record,
    search_of,
    start_stream,
)
from optgap.co.heuristics.tour_space import length_of

F8 = NDArray[np.float64]

NEIGHBOURS = 10
SEGMENT = 10  # longest segment of a double bridge


@njit(cache=True, **KERNEL)
def _swap(s: Search, i: int, a: int, b: int) -> None:
    """Let the segments of ``a`` and ``b`` nodes that begin at position ``i`` change places."""
    n = len(s.tour)
    for k in range(a):
        at = i + k
        s.spare[k] = s.tour[at if at < n else at - n]
    for k in range(a + b):
        to, of = i + k, i + k + a
        if to >= n:
            to -= n
        if of >= n:
            of -= n
        node = s.tour[of] if k < b else s.spare[k - b]
        s.tour[to] = node
        s.position[node] = to


@njit(cache=True, **KERNEL)
def _exchange(s: Search, i: int, a: int, b: int) -> None:
    """:func:`_swap`, logged, of the two shorter ones among the three segments of the cycle: the same cycle."""
    n = len(s.tour)
    c = n - a - b
    if a > b and a > c:
        i, a, b = i + a, b, c
    elif b > c:
        i, a, b = i + a + b, c, a
    if i >= n:
        i -= n
    record(s, i, a, b)
    _swap(s, i, a, b)


@njit(cache=True, **KERNEL)
def _undo(s: Search) -> None:
    """Undo the logged moves, the last first."""
    for at in range(s.counts[LOGGED] - 1, -1, -1):
        _swap(s, s.log[at, 0], s.log[at, 2], s.log[at, 1])
    s.counts[LOGGED] = 0


@njit(cache=True, **KERNEL)
def _improve_node(space: Any, s: Search, t1: int, tolerance: float) -> float:
    """Apply the best move that gives ``t1`` a nearer successor and queue its ends; returns the gain, 0 if none.

    Of t1 [t2 .. t3] [t4 .. t5] t6 it makes t1 [t4 .. t5] [t2 .. t3] t6.
    """
    K = s.near.shape[1]
    t2 = following(s, t1, True)
    d12 = space[t1, t2]
    best, b4, b6 = tolerance, t1, t1
    for i in range(K):
        g1 = d12 - s.gap[t1, i]
        if g1 <= tolerance:
            break
        t4 = s.near[t1, i]
        t3 = following(s, t4, False)
        g2 = g1 + space[t3, t4]
        for j in range(K):
            g3 = g2 - s.gap[t3, j]
            if g3 <= tolerance:
                break
            t6 = s.near[t3, j]
            if t6 == t4 or not between(s, t4, t6, t1, True):
                continue
            t5 = following(s, t6, False)
            gain = g3 + space[t5, t6] - space[t5, t2]
            if gain > best:
                best, b4, b6 = gain, t4, t6
    if b4 == t1:
        return 0.0
    n = len(s.tour)
    i, j, k = s.position[t2], s.position[b4], s.position[b6]
    push(s, t1)
    push(s, following(s, b4, False))
    push(s, following(s, b6, False))
    push(s, t2)
    push(s, b4)
    push(s, b6)
    _exchange(s, i, (j - i) % n, (k - j) % n)
    return best


@njit(cache=True, nogil=True, **KERNEL)
def descend(space: Any, s: Search, tolerance: float, nodes: int) -> float:
    """Search from queued nodes until none is left, ``nodes`` have been searched or the log is full; returns the gain."""
    total = 0.0
    for _ in range(nodes):
        if s.counts[WAITING] == 0 or log_is_full(s):
            break
        t1, gain = pop(s), 1.0
        while gain > 0.0:
            if log_is_full(s):
                push(s, t1)
                break
            gain = _improve_node(space, s, t1, tolerance)
            total += gain
    return total


@njit(cache=True, **KERNEL)
def _double_bridge(space: Any, s: Search, longest: int) -> float:
    """Swap three neighbouring segments A B C of random length into C B A and queue their ends; returns the gain."""
    n = len(s.tour)
    p = below(s.random, n)
    a = 1 + below(s.random, min(longest, n - 3))
    b = 1 + below(s.random, min(longest, n - 2 - a))
    c = 1 + below(s.random, min(longest, n - 1 - a - b))
    at = (p + 1) % n
    cut = (p, (p + a) % n, (p + a + b) % n, (p + a + b + c) % n)
    gain = 0.0
    for q in cut:
        u, v = s.tour[q], s.tour[q + 1 if q + 1 < n else 0]
        gain += space[u, v]
        push(s, u)
        push(s, v)
    record(s, at, a, b + c)
    _swap(s, at, a, b + c)
    record(s, at, b, c)
    _swap(s, at, b, c)
    for q in (p, (p + c) % n, (p + b + c) % n, cut[3]):
        gain -= space[s.tour[q], s.tour[q + 1 if q + 1 < n else 0]]
    return gain


@njit(cache=True, nogil=True, **KERNEL)
def iterate(space: Any, s: Search, iterations: int, tolerance: float) -> float:
    """Perturb and descend ``iterations`` times, keeping what is no worse; returns the gain. N >= 3."""
    total = 0.0
    if len(s.tour) < 4:
        return total
    for _ in range(iterations):
        s.counts[LOGGED] = 0
        gain = _double_bridge(space, s, SEGMENT)
        gain += descend(space, s, tolerance, MANY)
        clear_queue(s)
        if gain < 0.0:
            _undo(s)
        else:
            total += gain
    return total


@njit(cache=True, nogil=True)
def improve_asymmetric_tours(matrices: F8, tours: Any, iterations: int, seed: int) -> Any:
    """Improve a batch of tours, one instance after another; releases the GIL and runs nothing but compiled code.

    Args:
        matrices: (B, N, N) float64 distances from row to column.
        tours: (B, N) integers, each row a permutation of the nodes.
        iterations: perturbations an instance.
        seed: of the perturbations; row b of a batch draws from stream b.

    Returns:
        (B, N) int32 tours, none longer than what was given, and (B,) float64 lengths.
    """
    B, n = matrices.shape[:2]
    out = np.empty((B, n), np.int32)
    lengths = np.zeros(B)
    if n < 2:
        out[:] = 0
        return out, lengths
    k = min(NEIGHBOURS, n - 1)
    near, gap = np.empty((n, k), np.int32), np.empty((n, k))
    s = search_of(near, gap)
    for b in range(B):
        nearest_of_all(matrices[b], near, gap)
        start_stream(s.random, seed, b)
        load_tour(s, tours[b])
        tolerance = TOLERANCE * length_of(matrices[b], s.tour)
        if n > 2:
            while s.counts[WAITING] > 0:
                s.counts[LOGGED] = 0
                descend(matrices[b], s, tolerance, MANY)
            iterate(matrices[b], s, iterations, tolerance)
        out[b] = s.tour
        lengths[b] = length_of(matrices[b], s.tour)
    return out, lengths
