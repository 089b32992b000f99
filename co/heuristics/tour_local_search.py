"""Iterated 3-opt for the symmetric TSP, compiled: sequential 3-opt moves with neighbour lists and a queue of nodes.

The moves are those of Lin and Kernighan's search at depth 3 (2-opt, Or-opt and every sequential 3-exchange). A local
optimum is perturbed by a double bridge of three short segments (Martin, Otto and Felten 1991), only the nodes touched
are searched again, and what did not improve is undone from a log, so that an iteration costs microseconds at any N.
A tour is an array with the position of each node; every move is a sequence of reversals of its shorter side.
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
from optgap.co.heuristics.tour_space import Plane, distance, length_of

F8 = NDArray[np.float64]

NEIGHBOURS = 7
SEGMENT = 50  # longest segment of a double bridge


@njit(cache=True, **KERNEL)
def _reverse(s: Search, i: int, j: int) -> None:
    """Reverse the tour from position ``i`` on to position ``j``, or what is left of it, which is the same cycle."""
    n = len(s.tour)
    length = j - i + 1
    if length <= 0:
        length += n
    if 2 * length > n:
        i, j = j + 1, i - 1
        if i == n:
            i = 0
        if j < 0:
            j = n - 1
        length = n - length
    for _ in range(length // 2):
        a, b = s.tour[i], s.tour[j]
        s.tour[i], s.tour[j] = b, a
        s.position[b], s.position[a] = i, j
        i += 1
        if i == n:
            i = 0
        j -= 1
        if j < 0:
            j = n - 1


@njit(cache=True, **KERNEL)
def _log_reverse(s: Search, i: int, j: int) -> None:
    record(s, i, j, 0)
    _reverse(s, i, j)


@njit(cache=True, **KERNEL)
def _undo(s: Search) -> None:
    """Undo the logged reversals, the last first."""
    for at in range(s.counts[LOGGED] - 1, -1, -1):
        _reverse(s, s.log[at, 0], s.log[at, 1])
    s.counts[LOGGED] = 0


@njit(cache=True, **KERNEL)
def _flip(s: Search, a: int, b: int, c: int, d: int) -> None:
    """The 2-opt move that takes edges a-b and c-d out and puts b-c and d-a in, whichever way the tour runs."""
    if following(s, a, True) == b:
        _log_reverse(s, s.position[b], s.position[d])
    else:
        _log_reverse(s, s.position[d], s.position[b])


@njit(cache=True, **KERNEL)
def _apply(s: Search, kind: int, t1: int, t2: int, t3: int, t4: int, t5: int, t6: int) -> None:
    """Take edges t1-t2, t3-t4, t5-t6 out and put t2-t3, t4-t5, t6-t1 in; kind as in :func:`_best_move`."""
    if kind == 1:
        _flip(s, t1, t2, t3, t4)
    elif kind == 2:
        _flip(s, t1, t2, t3, t4)
        _flip(s, t1, t4, t5, t6)
    elif kind == 3:
        _flip(s, t1, t2, t4, t3)
        _flip(s, t1, t3, t5, t6)
        _flip(s, t3, t5, t4, t2)
    else:
        _flip(s, t1, t2, t5, t6)
        _flip(s, t2, t5, t4, t3)


@njit(cache=True, **KERNEL)
def _best_move(space: Any, s: Search, t1: int, t2: int, forward: bool, tolerance: float, exchanges: int) -> Any:
    """Best 2-opt or sequential 3-opt move that takes out edge t1-t2, t2 being next to t1 in the direction given.

    ``exchanges`` is 2 for 2-opt moves alone. Returns gain, kind, t3, t4, t5, t6; kind is 0: none; 1: 2-opt; 2: 3-opt
    through a 2-opt move; 3: two segments swapped; 4: two segments reversed in place.
    """
    best, kind, b3, b4, b5, b6 = tolerance, 0, t1, t1, t1, t1
    K = s.near.shape[1]
    d12 = distance(space, t1, t2)
    after = following(s, t2, forward)
    for i in range(K):
        g1 = d12 - s.gap[t2, i]
        if g1 <= tolerance:
            break
        t3 = s.near[t2, i]
        if t3 in (t1, after):
            continue
        # t4 before t3: the 2-opt move closes the tour; from its path t4 .. t2 t3 .. t1 a second one may gain more
        t4 = following(s, t3, not forward)
        g2 = g1 + distance(space, t3, t4)
        gain = g2 - distance(space, t4, t1)
        if gain > best:
            best, kind, b3, b4 = gain, 1, t3, t4
        if exchanges == 2:
            continue
        for j in range(K):
            g3 = g2 - s.gap[t4, j]
            if g3 <= tolerance:
                break
            t5 = s.near[t4, j]
            if t5 in (t3, t1):
                continue
            t6 = following(s, t5, forward == between(s, t2, t5, t4, forward))
            if t6 == t4:
                continue
            gain = g3 + distance(space, t5, t6) - distance(space, t6, t1)
            if gain > best:
                best, kind, b3, b4, b5, b6 = gain, 2, t3, t4, t5, t6
        # t4 after t3: t2 .. t3 becomes a cycle, which t5-t6, one of its edges, opens again
        t4 = following(s, t3, forward)
        g2 = g1 + distance(space, t3, t4)
        for j in range(K):
            g3 = g2 - s.gap[t4, j]
            if g3 <= tolerance:
                break
            t5 = s.near[t4, j]
            if t5 == t3 or not between(s, t2, t5, t3, forward):
                continue
            t6 = following(s, t5, forward)
            gain = g3 + distance(space, t5, t6) - distance(space, t6, t1)
            if gain > best:
                best, kind, b3, b4, b5, b6 = gain, 3, t3, t4, t5, t6
            if t5 != t2:
                t6 = following(s, t5, not forward)
                if t6 != t2:
                    gain = g3 + distance(space, t5, t6) - distance(space, t6, t1)
                    if gain > best:
                        best, kind, b3, b4, b5, b6 = gain, 4, t3, t4, t5, t6
    return best, kind, b3, b4, b5, b6


@njit(cache=True, **KERNEL)
def _improve_node(space: Any, s: Search, t1: int, tolerance: float, exchanges: int) -> float:
    """Apply the best move from one of the two edges at ``t1`` and queue its ends; returns the gain, 0 if none."""
    for forward in (True, False):
        t2 = following(s, t1, forward)
        gain, kind, t3, t4, t5, t6 = _best_move(space, s, t1, t2, forward, tolerance, exchanges)
        if kind > 0:
            _apply(s, kind, t1, t2, t3, t4, t5, t6)
            push(s, t1)
            push(s, t2)
            push(s, t3)
            push(s, t4)
            if kind > 1:
                push(s, t5)
                push(s, t6)
            return gain  # type: ignore[no-any-return]
    return 0.0


@njit(cache=True, nogil=True, **KERNEL)
def descend(space: Any, s: Search, tolerance: float, exchanges: int, nodes: int) -> float:
    """Search from queued nodes until none is left, ``nodes`` have been searched or the log is full; returns the gain.

    Args:
        exchanges: 2 for 2-opt moves alone, 3 for all.
    """
    total = 0.0
    for _ in range(nodes):
        if s.counts[WAITING] == 0 or log_is_full(s):
            break
        t1, gain = pop(s), 1.0
        while gain > 0.0:
            if log_is_full(s):
                push(s, t1)
                break
            gain = _improve_node(space, s, t1, tolerance, exchanges)
            total += gain
    return total


@njit(cache=True, **KERNEL)
def _double_bridge(space: Any, s: Search, longest: int) -> float:
    """Swap three neighbouring segments A B C of random length into C B A and queue their ends; returns the gain."""
    n = len(s.tour)
    p = below(s.random, n)
    a = 1 + below(s.random, min(longest, n - 4))
    b = 1 + below(s.random, min(longest, n - 3 - a))
    c = 1 + below(s.random, min(longest, n - 2 - a - b))
    first, last = (p + 1) % n, (p + a + b + c) % n
    node = (
        s.tour[p],
        s.tour[first],
        s.tour[(p + a) % n],
        s.tour[(p + a + 1) % n],
        s.tour[(p + a + b) % n],
        s.tour[(p + a + b + 1) % n],
        s.tour[last],
        s.tour[(last + 1) % n],
    )
    gain = 0.0
    for i in (0, 2, 4, 6):
        gain += distance(space, node[i], node[i + 1])
    gain -= distance(space, node[0], node[5]) + distance(space, node[6], node[3])
    gain -= distance(space, node[4], node[1]) + distance(space, node[2], node[7])
    # reverse the whole, then each segment back
    _flip(s, node[0], node[1], node[7], node[6])
    _flip(s, node[0], node[6], node[4], node[5])
    _flip(s, node[6], node[4], node[2], node[3])
    _flip(s, node[4], node[2], node[7], node[1])
    for i in range(8):
        push(s, node[i])
    return gain


@njit(cache=True, nogil=True, **KERNEL)
def iterate(space: Any, s: Search, iterations: int, tolerance: float) -> float:
    """Perturb and descend ``iterations`` times, keeping what is no worse; returns the gain. N >= 4."""
    total = 0.0
    if len(s.tour) < 5:
        return total
    for _ in range(iterations):
        s.counts[LOGGED] = 0
        gain = _double_bridge(space, s, SEGMENT)
        gain += descend(space, s, tolerance, 3, MANY)
        clear_queue(s)
        if gain < 0.0:
            _undo(s)
        else:
            total += gain
    return total


@njit(cache=True, nogil=True)
def improve_tours(coordinates: F8, tours: Any, iterations: int, seed: int, closed: bool) -> Any:
    """Improve a batch of Euclidean tours or paths, one instance after another; releases the GIL, all of it compiled.

    Args:
        coordinates: (B, N, 2) float64.
        tours: (B, N) integers, each row a permutation of the nodes.
        iterations: perturbations an instance, each of some 15 us; 1,000 bring N = 100 to 0.01% of the optimum.
        seed: of the perturbations; row b of a batch draws from stream b.
        closed: whether the rows are tours; if not, paths, whose first and last nodes stay where they are.

    Returns:
        (B, N) int32 tours, none longer than what was given, and (B,) float64 lengths.
    """
    B, n = coordinates.shape[:2]
    out = np.empty((B, n), np.int32)
    lengths = np.zeros(B)
    if n < 2:
        out[:] = 0
        return out, lengths
    k = min(NEIGHBOURS, n - 1)
    near, gap = np.empty((n, k), np.int32), np.empty((n, k))
    s = search_of(near, gap)
    table = np.empty((n, n))
    for b in range(B):
        plane = Plane(coordinates[b, :, 0].copy(), coordinates[b, :, 1].copy(), 0)
        for i in range(n):
            for j in range(n):
                table[i, j] = distance(plane, i, j)
        start_stream(s.random, seed, b)
        load_tour(s, tours[b])
        first, last = tours[b, 0], tours[b, n - 1]
        tolerance = TOLERANCE * length_of(table, s.tour)
        if not closed:
            # a tour through the edge from the last node to the first, which no move that gains takes out
            bonus = length_of(table, s.tour) + table[last, first]
            table[last, first] -= bonus
            table[first, last] -= bonus
        nearest_of_all(table, near, gap)
        if n > 3:
            while s.counts[WAITING] > 0:
                s.counts[LOGGED] = 0
                descend(table, s, tolerance, 3, MANY)
            iterate(table, s, iterations, tolerance)
        lengths[b] = length_of(table, s.tour)
        out[b] = s.tour
        if not closed:
            forward = following(s, first, False) == last
            out[b, 0], lengths[b] = first, 0.0
            for i in range(1, n):
                out[b, i] = following(s, out[b, i - 1], forward)
                lengths[b] += distance(plane, out[b, i - 1], out[b, i])
    return out, lengths
