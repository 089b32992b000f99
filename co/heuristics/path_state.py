"""A path as an array that a compiled search changes in place: insertion, removal, reversal, length and prize.

Numba does not notice a change of this file in what it keeps on disk of its callers: after one, empty their caches
(``__pycache__/*.nb*``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.tour_space import distance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I64 = NDArray[np.int64]

SIZE, OLD_SIZE, BEST_SIZE, STAMP, QUEUED = 0, 1, 2, 3, 4  # of number
LENGTH, PRIZE, BEST_LENGTH, BEST_PRIZE = 0, 1, 2, 3  # of value


class PathState(NamedTuple):
    """A path of L nodes from start to end (which may be the same node twice), and what a search keeps beside it."""

    path: I4  # (N + 1,) the nodes in their order; L of them count
    position: I4  # (N,) where a node stands in the path, -1 for one that is not visited; of the start, 0
    old: I4  # (N + 1,) the path before this iteration
    best: I4  # (N + 1,) the best path
    queue: I4  # (256,) nodes whose surroundings have changed
    candidate: I4  # (N,) nodes that this iteration may insert
    after: I4  # (N,) the node behind which a candidate is cheapest
    extra: F8  # (N,) what it adds to the length there
    weight: F8  # (N,) its prize times noise
    seen: I64  # (N,) stamp of the last step that listed a node
    number: I64  # (5,) L, of the old and the best path; stamps given; nodes in the queue
    value: F8  # (4,) length and prize without start and end, of the path and of the best path


@njit(**KERNEL)
def enqueue(state: Any, node: int) -> None:
    """Note that the surroundings of ``node`` have changed; forgotten where the queue is full."""
    if state.number[QUEUED] < len(state.queue):
        state.queue[state.number[QUEUED]] = node
        state.number[QUEUED] += 1


@njit(**KERNEL)
def insert(space: Any, prize: F8, state: Any, c: int, p: int, extra: float) -> None:
    """Put node ``c`` behind node ``p``."""
    at = state.position[p] + 1
    size = state.number[SIZE]
    for i in range(size, at, -1):
        node = state.path[i - 1]
        state.path[i] = node
        if i < size:  # the last one, the end, may be the start, whose position is 0
            state.position[node] = i
    end, start = state.path[size], state.path[0]
    if end != start:
        state.position[end] = size
    state.path[at] = c
    state.position[c] = at
    state.number[SIZE] = size + 1
    state.value[LENGTH] += extra
    state.value[PRIZE] += prize[c]


@njit(**KERNEL)
def cut(space: Any, prize: F8, state: Any, begin: int, stop: int) -> None:
    """Remove the nodes at positions ``begin`` to ``stop`` - 1, neither the first nor the last."""
    path, size, width = state.path, state.number[SIZE], stop - begin
    for i in range(begin - 1, stop):
        state.value[LENGTH] -= distance(space, path[i], path[i + 1])
    state.value[LENGTH] += distance(space, path[begin - 1], path[stop])
    enqueue(state, path[begin - 1])
    enqueue(state, path[stop])
    for i in range(begin, stop):
        state.position[path[i]] = -1
        state.value[PRIZE] -= prize[path[i]]
    for i in range(stop, size):
        path[i - width] = path[i]
        if i < size - 1 or path[i] != path[0]:
            state.position[path[i]] = i - width
    state.number[SIZE] = size - width


@njit(**KERNEL)
def reverse(state: Any, i: int, j: int) -> None:
    """Reverse the nodes at positions ``i`` to ``j``."""
    while i < j:
        a, b = state.path[i], state.path[j]
        state.path[i], state.path[j] = b, a
        state.position[a], state.position[b] = j, i
        i, j = i + 1, j - 1


@njit(**KERNEL)
def restore(state: Any) -> None:
    """Take back the old path; its length and prize are the caller's."""
    for i in range(1, state.number[SIZE] - 1):
        state.position[state.path[i]] = -1
    size = state.number[OLD_SIZE]
    for i in range(1, size):
        node = state.old[i]
        state.path[i] = node
        if i < size - 1 or node != state.path[0]:
            state.position[node] = i
    state.number[SIZE] = size


@njit(**KERNEL)
def keep(state: Any, target: I4, size: int) -> None:
    """Copy the path to ``target``, its size to ``number[size]``."""
    for i in range(state.number[SIZE]):
        target[i] = state.path[i]
    state.number[size] = state.number[SIZE]


@njit(cache=True, **KERNEL)
def refresh(space: Any, prize: F8, state: Any) -> None:
    """Compute length and prize from the path."""
    length, total = 0.0, 0.0
    for i in range(state.number[SIZE] - 1):
        length += distance(space, state.path[i], state.path[i + 1])
        if i > 0:
            total += prize[state.path[i]]
    state.value[LENGTH], state.value[PRIZE] = length, total


def load_path(space: Any, prize: F8, path: Any) -> PathState:
    """The state of a feasible path, which is its own best."""
    n, nodes = len(prize), np.asarray(path, dtype=np.int64)
    if len(nodes) == 1:  # the start that is the end
        nodes = np.repeat(nodes, 2)
    rows = np.zeros((3, n + 1), np.int32)
    rows[:, : len(nodes)] = nodes
    position = np.full(n, -1, np.int32)
    position[nodes[::-1]] = np.arange(len(nodes))[::-1]
    state = PathState(
        path=rows[0],
        position=position,
        old=rows[1],
        best=rows[2],
        queue=np.zeros(256, np.int32),
        candidate=np.zeros(n, np.int32),
        after=np.zeros(n, np.int32),
        extra=np.zeros(n),
        weight=np.zeros(n),
        seen=np.zeros(n, np.int64),
        number=np.array([len(nodes), len(nodes), len(nodes), 0, 0], np.int64),
        value=np.zeros(4),
    )
    refresh(space, prize, state)
    state.value[2:] = state.value[:2]
    return state
