"""A tour under improvement by compiled local search: an array with the position of each node, a queue, a log of moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.random_stream import U64

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

LOG = 4096  # entries of the log: what one iteration may do
MOVE = 8  # entries that a move may need
TOLERANCE = 1e-12  # of the length of the tour: a smaller gain may be an error of rounding
MANY = 1 << 60  # nodes: no limit
HEAD, WAITING, LOGGED = 0, 1, 2  # fields of Search.counts


class Search(NamedTuple):
    """A tour under improvement, with its work space."""

    tour: I4  # (N,) nodes in order
    position: I4  # (N,) of each node in the tour
    near: I4  # (N, K) neighbours, nearest first
    gap: F8  # (N, K) their distances
    queue: I4  # (N,) ring of nodes to search from
    queued: I4  # (N,) 1 for a node in the queue
    spare: I4  # (N,) for copies
    log: I4  # (LOG, 3) moves since the last accepted tour
    counts: I8  # (3,) head of the queue, nodes in it, moves in the log
    random: U64  # (1,) state of the generator


@njit(cache=True)
def search_of(near: I4, gap: F8) -> Search:
    """Work space for tours over these neighbours; see :func:`load_tour`."""
    n = len(near)
    node = np.arange(n, dtype=np.int32)
    return Search(
        tour=node,
        position=node.copy(),
        near=near,
        gap=gap,
        queue=node.copy(),
        queued=np.zeros(n, np.int32),
        spare=node.copy(),
        log=np.empty((LOG, 3), np.int32),
        counts=np.zeros(3, np.int64),
        random=np.ones(1, np.uint64),
    )


@njit(cache=True, **KERNEL)
def start_stream(random: U64, seed: int, index: int) -> None:
    """Start the random stream of number ``index`` of a seed."""
    random[0] = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(index) * np.uint64(0x2545F4914F6CDD1D)


@njit(cache=True, **KERNEL)
def push(s: Search, node: int) -> None:
    """Queue a node unless it is queued."""
    if s.queued[node] == 0:
        n = len(s.queue)
        at = s.counts[HEAD] + s.counts[WAITING]
        if at >= n:
            at -= n
        s.queue[at] = node
        s.queued[node] = 1
        s.counts[WAITING] += 1


@njit(cache=True, **KERNEL)
def pop(s: Search) -> int:
    """The node that has waited longest."""
    node = s.queue[s.counts[HEAD]]
    s.counts[HEAD] += 1
    if s.counts[HEAD] == len(s.queue):
        s.counts[HEAD] = 0
    s.counts[WAITING] -= 1
    s.queued[node] = 0
    return node  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def load_tour(s: Search, tour: Any) -> None:
    """Take over a tour and queue all its nodes."""
    s.counts[:] = 0
    for i in range(len(tour)):
        s.tour[i] = tour[i]
        s.position[tour[i]] = i
        s.queued[i] = 0
    for i in range(len(tour)):
        push(s, s.tour[i])


@njit(cache=True, **KERNEL)
def following(s: Search, node: int, forward: bool) -> int:
    """The node after ``node`` in the direction given."""
    n = len(s.tour)
    at = s.position[node]
    if forward:
        at += 1
        return s.tour[0 if at == n else at]  # type: ignore[no-any-return]
    return s.tour[n - 1 if at == 0 else at - 1]  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def between(s: Search, a: int, b: int, c: int, forward: bool) -> bool:
    """Whether ``b`` lies on the way from ``a`` to ``c``, ends included."""
    if not forward:
        a, c = c, a
    i, j, k = s.position[a], s.position[b], s.position[c]
    if i <= k:
        return i <= j and j <= k  # type: ignore[no-any-return]
    return i <= j or j <= k  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def log_is_full(s: Search) -> bool:
    """Whether the log may not take another move."""
    return s.counts[LOGGED] + MOVE > len(s.log)  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def record(s: Search, a: int, b: int, c: int) -> None:
    """Enter a move in the log; what a full log does not take cannot be undone."""
    at = s.counts[LOGGED]
    if at < len(s.log):
        s.log[at, 0], s.log[at, 1], s.log[at, 2] = a, b, c
        s.counts[LOGGED] = at + 1


@njit(cache=True, **KERNEL)
def clear_queue(s: Search) -> None:
    """Empty the queue."""
    while s.counts[WAITING] > 0:
        pop(s)
