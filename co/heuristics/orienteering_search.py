"""Orienteering by ruin and recreate under simulated annealing, compiled, and the greedy construction it starts from.

An iteration removes short stretches of the path near a random node, shortens what is left by 2-opt, and inserts nodes
one by one: each time the node of the highest prize a unit of extra length (with random weights, so that iterations
differ) at its cheapest position, until nothing fits. Where a path or an instance is long, positions and candidates
are those near the ruin, so that an iteration costs little more on 10,000 nodes than on 200.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.path_state import (
    BEST_LENGTH,
    BEST_PRIZE,
    BEST_SIZE,
    LENGTH,
    OLD_SIZE,
    PRIZE,
    QUEUED,
    SIZE,
    STAMP,
    cut,
    enqueue,
    insert,
    keep,
    refresh,
    restore,
    reverse,
)
from optgap.co.heuristics.random_stream import below, draw
from optgap.co.heuristics.tour_space import distance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
U64 = NDArray[np.uint64]

LONGEST = 8  # nodes of a removed stretch, at most
STRETCHES = 3  # removed stretches, at most
CANDIDATES = 128  # nodes that an iteration may insert, at most
WINDOW = 128  # nodes of a path up to which every position is tried, beyond it those beside near nodes
NOISE = 0.5  # a node's weight is its prize times 1 plus or minus at most half of this
LARGE = 0.05  # probability that stretches are as long as half of the candidates
PULL = 1.0  # what is added to the extra length in the score, in mean edges of the path: uniform up to this
TIE = 0.02  # the path's whole length is worth this share of its prize: of two equal paths, the shorter
REFRESH = 1024  # iterations after which sums are computed anew, against the drift of floating point
SLACK = 1e-10  # relative, of the limit, for sums of distances in different orders
EPSILON = 1e-9  # prizes and lengths (in mean edges) that differ by less are equal


@njit(**KERNEL)
def _locate(space: Any, state: Any, near: I4, local: bool, c: int) -> None:
    """Find the cheapest position of ``c``: among all, or (``local``) beside its near nodes and at both ends."""
    path, size = state.path, state.number[SIZE]
    after, extra = path[0], np.inf
    if local:
        for k in range(-2, near.shape[1]):
            at = 0 if k == -2 else size - 2 if k == -1 else state.position[near[c, k]]
            if at < 0:
                continue
            to = distance(space, path[at], c)
            if at < size - 1:
                more = to + distance(space, c, path[at + 1]) - distance(space, path[at], path[at + 1])
                if more < extra:
                    after, extra = path[at], more
            if at > 0:
                more = distance(space, path[at - 1], c) + to - distance(space, path[at - 1], path[at])
                if more < extra:
                    after, extra = path[at - 1], more
    else:
        to = distance(space, path[0], c)
        for at in range(size - 1):
            on = distance(space, c, path[at + 1])
            more = to + on - distance(space, path[at], path[at + 1])
            if more < extra:
                after, extra = path[at], more
            to = on
    state.after[c], state.extra[c] = after, extra


@njit(**KERNEL)
def _fill(
    space: Any, prize: F8, limit: float, near: I4, state: Any, count: int, local: bool, pull: float, queue: bool
) -> None:
    """Insert of the first ``count`` candidates the one of the highest weight / (extra length + pull), while one fits."""
    for k in range(count):
        _locate(space, state, near, local, state.candidate[k])
    while True:
        room = limit - state.value[LENGTH]
        chosen, highest, k = -1, 0.0, 0
        while k < count:
            c = state.candidate[k]
            if state.extra[c] > room:  # nor will it fit later: by the triangle inequality, room shrinks by more
                count -= 1
                state.candidate[k] = state.candidate[count]
                state.candidate[count] = c
                continue
            score = (state.weight[c] + 1e-300) / (max(state.extra[c], 0.0) + pull)
            if score > highest:
                chosen, highest = k, score
            k += 1
        if chosen < 0:
            return
        c = state.candidate[chosen]
        p = state.after[c]
        n = state.path[state.position[p] + 1]
        insert(space, prize, state, c, p, state.extra[c])
        if queue:
            enqueue(state, c)
        count -= 1
        state.candidate[chosen] = state.candidate[count]
        state.candidate[count] = c
        first, second = distance(space, p, c), distance(space, c, n)
        for k in range(count):
            x = state.candidate[k]
            if state.after[x] == p:
                _locate(space, state, near, local, x)
                continue
            middle = distance(space, c, x)
            more = distance(space, p, x) + middle - first
            if more < state.extra[x]:
                state.after[x], state.extra[x] = p, more
            more = middle + distance(space, x, n) - second
            if more < state.extra[x]:
                state.after[x], state.extra[x] = c, more


@njit(**KERNEL)
def _improve_node(space: Any, state: Any, near: I4, c: int) -> bool:
    """One 2-opt move with a new edge from ``c`` to a near node, if there is one that shortens the path."""
    path, size, i = state.path, state.number[SIZE], state.position[c]
    shortest = -EPSILON * (1.0 + state.value[LENGTH]) / size
    if i < size - 1:
        s = path[i + 1]
        edge = distance(space, c, s)
        for k in range(near.shape[1]):
            x = near[c, k]
            new = distance(space, c, x)
            if new >= edge:
                break
            j = state.position[x]
            if j < 0 or j == size - 1:
                continue
            y = path[j + 1]
            gain = new + distance(space, s, y) - edge - distance(space, x, y)
            if gain < shortest:
                reverse(state, min(i, j) + 1, max(i, j))
                state.value[LENGTH] += gain
                enqueue(state, s)
                enqueue(state, x)
                enqueue(state, y)
                return True
    if i > 0:
        p = path[i - 1]
        edge = distance(space, p, c)
        for k in range(near.shape[1]):
            x = near[c, k]
            new = distance(space, c, x)
            if new >= edge:
                break
            j = state.position[x]
            if j < 1:
                continue
            y = path[j - 1]
            gain = new + distance(space, p, y) - edge - distance(space, y, x)
            if gain < shortest:
                reverse(state, min(i, j), max(i, j) - 1)
                state.value[LENGTH] += gain
                enqueue(state, p)
                enqueue(state, x)
                enqueue(state, y)
                return True
    return False


@njit(**KERNEL)
def _shorten(space: Any, state: Any, near: I4) -> bool:
    """Apply 2-opt around the queued nodes until nothing helps; whether anything did."""
    helped = False
    while state.number[QUEUED] > 0:
        state.number[QUEUED] -= 1
        c = state.queue[state.number[QUEUED]]
        if state.position[c] >= 0:
            while _improve_node(space, state, near, c):
                helped = True
    return helped


@njit(**KERNEL)
def _offer(state: Any, c: int, count: int, most: int) -> int:
    """List node ``c`` as a candidate unless it is listed or visited; the number of the candidates."""
    if count < most and state.position[c] < 0 and state.seen[c] != state.number[STAMP]:
        state.seen[c] = state.number[STAMP]
        state.candidate[count] = c
        count += 1
    return count


@njit(**KERNEL)
def _offer_all(state: Any) -> int:
    count = 0
    for c in range(len(state.position)):
        if state.position[c] < 0:
            state.candidate[count] = c
            count += 1
    return count


@njit(**KERNEL)
def _ruin(space: Any, prize: F8, near: I4, state: Any, stream: U64) -> int:
    """Remove stretches of the path near a random node; return the number of the candidates for the return."""
    n = len(prize)
    centre = below(stream, n)
    state.number[STAMP] += 1
    state.number[QUEUED] = 0
    count, wanted = 0, 1 + below(stream, STRETCHES)
    longest = CANDIDATES // 2 if draw(stream) < LARGE else LONGEST
    for k in range(-1, near.shape[1]):
        size = state.number[SIZE]
        if wanted == 0 or size <= 2:
            break
        c = centre if k < 0 else near[centre, k]
        at = state.position[c]
        if at <= 0 or at == size - 1 or (k >= 0 and draw(stream) < 0.3):
            continue
        width = 1 + below(stream, min(longest, size - 2))
        begin = max(1, at - below(stream, width))
        stop = min(size - 1, begin + width)
        for i in range(begin, stop):
            state.candidate[count] = state.path[i]
            state.seen[state.path[i]] = state.number[STAMP]
            count += 1
        cut(space, prize, state, begin, stop)
        wanted -= 1
    if n <= CANDIDATES:
        return int(_offer_all(state))
    removed = count
    count = _offer(state, centre, count, CANDIDATES)
    for k in range(near.shape[1]):
        count = _offer(state, near[centre, k], count, CANDIDATES)
        for i in range(removed):
            count = _offer(state, near[state.candidate[i], k], count, CANDIDATES)
    return int(count)


@njit(cache=True, nogil=True, **KERNEL)
def search(
    space: Any, prize: F8, limit: float, near: I4, state: Any, stream: U64, iterations: int, hot: float, cold: float
) -> None:
    """Run ``iterations`` on ``state``, the temperature falling from ``hot`` to ``cold`` (a prize)."""
    temperature, cooling = hot, (cold / hot) ** (1.0 / iterations) if hot > 0.0 else 1.0
    limit *= 1.0 + SLACK
    for iteration in range(iterations):
        if iteration % REFRESH == 0:
            refresh(space, prize, state)
        keep(state, state.old, OLD_SIZE)
        length, total = state.value[LENGTH], state.value[PRIZE]
        count = _ruin(space, prize, near, state, stream)
        noise = NOISE * draw(stream)
        for k in range(count):
            c = state.candidate[k]
            state.weight[c] = prize[c] * (1.0 + noise * (draw(stream) - 0.5))
        pull = PULL * draw(stream) * length / state.number[OLD_SIZE]
        local = state.number[SIZE] > WINDOW
        _fill(space, prize, limit, near, state, count, local, pull, True)
        if _shorten(space, state, near):
            count = _offer_all(state) if len(prize) <= CANDIDATES else count
            free = 0
            for k in range(count):  # those not inserted
                c = state.candidate[k]
                if state.position[c] < 0:
                    state.candidate[k] = state.candidate[free]
                    state.candidate[free] = c
                    free += 1
            _fill(space, prize, limit, near, state, free, local, pull, False)
        gain = state.value[PRIZE] - total + TIE * total * (length - state.value[LENGTH]) / limit
        if gain > temperature * np.log(1.0 - draw(stream)):
            more = state.value[PRIZE] - state.value[BEST_PRIZE]
            equal = EPSILON * (1.0 + state.value[BEST_PRIZE])
            shorter = state.value[BEST_LENGTH] - state.value[LENGTH]
            if more > equal or (more > -equal and shorter > EPSILON * limit):
                state.value[BEST_PRIZE], state.value[BEST_LENGTH] = state.value[PRIZE], state.value[LENGTH]
                keep(state, state.best, BEST_SIZE)
        else:
            restore(state)
            state.value[LENGTH], state.value[PRIZE] = length, total
        temperature *= cooling


@njit(cache=True, nogil=True, **KERNEL)
def complete(space: Any, prize: F8, limit: float, state: Any, near: I4, pull: float, noise: float, stream: U64) -> None:
    """Insert nodes by prize / (extra length + ``pull``) until none fits anywhere; ``near`` is not read.

    The prizes are weighted by 1 plus or minus at most half of ``noise``.
    """
    for c in range(len(prize)):
        state.weight[c] = prize[c] * (1.0 + noise * (draw(stream) - 0.5))
    size = 0
    while size < state.number[SIZE]:  # again, where distances break the triangle inequality
        size = state.number[SIZE]
        _fill(space, prize, limit * (1.0 + SLACK), near, state, _offer_all(state), False, pull, False)
