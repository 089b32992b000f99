"""Improvement of CVRP solutions by ruin and recreate: slack induction by string removals (SISR), compiled.

Source: Christiaens and Vanden Berghe, Slack Induction by String Removals for Vehicle Routing Problems, Transportation
Science 54(2), 2020. An iteration removes strings of adjacent customers from routes that are near one another, puts the
customers back one by one at the cheapest position (skipping each position with probability ``BLINK``) and keeps the
outcome by simulated annealing. Routes are doubly linked lists; a rejected iteration is undone in the reverse order of
its removals, so an iteration costs nothing that depends on the size of the instance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.random_stream import below, draw, random_stream
from optgap.co.heuristics.route_construction import savings_routes
from optgap.co.heuristics.route_state import (
    COUNT,
    SKIP,
    STAMP,
    best_routes,
    edge_length,
    insert,
    load_routes,
    refresh,
    remove,
)
from optgap.co.heuristics.tour_space import distance, space_of
from optgap.co.problems.cvrp import CVRPInstance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

# The paper's parameters
REMOVED = 10.0  # customers removed, on average
LONGEST = 10.0  # customers of a removed string, at most
SPLIT = 0.5  # probability that a string keeps a part in its middle
DEPTH = 0.01  # probability that the part kept grows by one more
BLINK = 0.01  # probability that a position is overlooked
FRESH = 0.05  # probability that the first customer to return opens a route: the paper has none, so that it keeps their number
# Temperatures at the start and at the end, in mean edge lengths of the initial solution
HOT, COLD = 1.0, 0.05

NEAREST = 100  # neighbours of a customer among which its ruin finds other routes
TRIED = 30  # of them those whose routes take it back, where there are more routes than that
REFRESH = 4096  # iterations after which sums are computed anew, against the drift of floating point
SLACK = 1e-10  # relative, of the capacity, for sums of demands in different orders
_LOG_SEEN = np.log(1.0 - BLINK)


@njit(**KERNEL)
def _ruin(space: Any, demand: F8, near: I4, state: Any, stream: U64) -> int:
    """Remove strings around a random customer; return the number of the removed customers."""
    n_customers = len(state.next) - 1
    longest = min(LONGEST, n_customers / state.counters[COUNT])
    strings = int(draw(stream) * (4.0 * REMOVED / (1.0 + longest) - 1.0) + 1.0)
    centre = 1 + below(stream, n_customers)
    state.counters[STAMP] += 1
    stamp, count, touched = state.counters[STAMP], 0, 0
    for k in range(-1, near.shape[1]):
        c = centre if k < 0 else near[centre, k]
        r = state.route[c]
        if r < 0 or state.seen[r] == stamp:
            continue
        state.seen[r] = stamp
        size = state.size[r]
        length = int(draw(stream) * min(float(size), longest) + 1.0)
        kept = 0
        if 1 < length < size and draw(stream) < SPLIT:
            kept = 1
            while length + kept < size and draw(stream) < DEPTH:
                kept += 1
        # a stretch of length + kept customers around c, every such stretch with the same probability
        stretch = length + kept
        front, at = 0, c
        while front < stretch - 1 and state.previous[at] > 0:
            at = state.previous[at]
            front += 1
        back, at = 0, c
        while back < stretch - 1 and state.next[at] > 0:
            at = state.next[at]
            back += 1
        shortest = stretch - 1 - back
        at = c
        for _ in range(shortest + below(stream, front - shortest + 1)):
            at = state.previous[at]
        keep_from = 1 + below(stream, length - 1) if kept else stretch
        for step in range(stretch):
            following = state.next[at]
            if step < keep_from or step >= keep_from + kept:
                state.removed[count], state.before[count], state.origin[count] = at, state.previous[at], r
                remove(space, demand, state, at)
                count += 1
            at = following
        touched += 1
        if touched == strings:
            break
    return count


@njit(**KERNEL)
def _sort(space: Any, demand: F8, state: Any, count: int, stream: U64) -> None:
    """The order of the return: random, large demand, far from the depot or close to it first, with weights 4:4:2:1."""
    kind = below(stream, 11)
    for k in range(count):
        c = state.removed[k]
        if kind < 4:
            key = draw(stream)
        elif kind < 8:
            key = -demand[c]
        elif kind < 10:
            key = -distance(space, 0, c)
        else:
            key = distance(space, 0, c)
        at = k
        while at > 0 and state.key[at - 1] > key:
            state.key[at], state.order[at] = state.key[at - 1], state.order[at - 1]
            at -= 1
        state.key[at], state.order[at] = key, c


@njit(**KERNEL)
def _blinks(state: Any, stream: U64) -> bool:
    """Whether this position is overlooked; the number of positions to the next such one is drawn at each."""
    if state.counters[SKIP] > 0:
        state.counters[SKIP] -= 1
        return False
    state.counters[SKIP] = int(np.log(1.0 - draw(stream)) / _LOG_SEEN)
    return True


@njit(**KERNEL)
def _scan(space: Any, state: Any, c: int, r: int, stream: U64, at: int, least: float) -> tuple[int, float]:
    """Cheapest position of ``c`` in route ``r``: the node before it and the cost, if less than ``least``, else ``at``."""
    p, n = 0, state.first[r]
    to = distance(space, c, 0)
    home = to
    while n > 0:
        on = distance(space, c, n)
        cost = to + on - state.edge[n]
        if not _blinks(state, stream) and cost < least:
            at, least = p, cost
        to, p, n = on, n, state.next[n]
    cost = to + home - state.closing[r]
    if not _blinks(state, stream) and cost < least:
        at, least = p, cost
    return at, least


@njit(**KERNEL)
def _recreate(space: Any, demand: F8, capacity: float, near: I4, state: Any, count: int, stream: U64) -> None:
    """Insert the removed customers greedily with blinks; one that fits nowhere opens a route."""
    tried = min(TRIED, near.shape[1])
    for k in range(count):
        c = state.order[k]
        room = capacity - demand[c]
        route, at, least = -1, 0, np.inf
        if k == 0 and draw(stream) < FRESH and state.counters[COUNT] < len(state.first):
            insert(space, demand, state, c, 0, state.active[state.counters[COUNT]])
            continue
        if state.counters[COUNT] > tried:
            state.counters[STAMP] += 1
            stamp = state.counters[STAMP]
            for m in range(tried):
                r = state.route[near[c, m]]
                if r >= 0 and state.seen[r] != stamp:
                    state.seen[r] = stamp
                    if state.load[r] <= room:
                        found, cost = _scan(space, state, c, r, stream, at, least)
                        if cost < least:
                            route, at, least = r, found, cost
        if route < 0:
            for m in range(state.counters[COUNT]):
                r = state.active[m]
                if state.load[r] <= room:
                    found, cost = _scan(space, state, c, r, stream, at, least)
                    if cost < least:
                        route, at, least = r, found, cost
        if route < 0:
            route, at = state.active[state.counters[COUNT]], 0
        insert(space, demand, state, c, at, route)


@njit(cache=True, nogil=True, **KERNEL)
def search(
    space: Any,
    demand: F8,
    capacity: float,
    near: I4,
    state: Any,
    stream: U64,
    iterations: int,
    hot: float,
    cold: float,
) -> None:
    """Run ``iterations`` of SISR on ``state``, the temperature falling from ``hot`` to ``cold`` (a length)."""
    temperature = hot
    cooling = (cold / hot) ** (1.0 / iterations) if hot > 0.0 else 1.0
    limit = capacity * (1.0 + SLACK)
    for iteration in range(iterations):
        if iteration % REFRESH == 0:
            refresh(space, demand, state)
        old = state.cost[0]
        count = _ruin(space, demand, near, state, stream)
        _sort(space, demand, state, count, stream)
        _recreate(space, demand, limit, near, state, count, stream)
        cost = state.cost[0]
        if cost < old - temperature * np.log(1.0 - draw(stream)):
            if cost < state.cost[1] * (1.0 - 1e-12):
                state.cost[1] = cost
                for c in range(len(state.next)):
                    state.best_next[c] = state.next[c]
                for r in range(len(state.first)):
                    state.best_first[r] = state.first[r]
        else:
            for k in range(count):
                remove(space, demand, state, state.removed[k])
            for k in range(count - 1, -1, -1):
                insert(space, demand, state, state.removed[k], state.before[k], state.origin[k])
            state.cost[0] = old
        temperature *= cooling


def improve_routes(
    space: Any, demand: F8, capacity: float, solution: Any, iterations: int, seed: int = 0, hot: float = HOT
) -> I64:
    """A solution at least as good as ``solution`` after so many iterations; the GIL is released meanwhile.

    Args:
        demand: (N,) of the depot, 0, and the customers.
        solution: feasible, of the problem's form.
        hot: the temperature at the start, in mean edge lengths.
    """
    state = load_routes(space, demand, solution)
    if iterations > 0:
        near = neighbour_lists(space, NEAREST)[0]
        unit = edge_length(state)
        stream = random_stream(seed)
        search(space, demand, capacity, near, state, stream, iterations, hot * unit, min(hot, COLD) * unit)
    return best_routes(state)


def improve_route_batch(coordinates: F8, demand: F8, capacity: Any, iterations: int, seed: int = 0) -> I64:
    """Near-optimal solutions of B Euclidean instances: savings, then :func:`improve_routes`.

    Args:
        coordinates: (B, N, 2), the depot first.
        demand: (B, N), 0 for the depot.
        capacity: (B,) or one number.
        seed: instance b takes the stream of ``seed + b``.

    Returns:
        (B, L) int64: a solution a row, padded by zeros, which mean nothing at the end of a solution.
    """
    limits = np.broadcast_to(capacity, len(coordinates))
    found = []
    for b, points in enumerate(coordinates):
        instance = CVRPInstance(coordinates=points, demand=demand[b], capacity=limits[b])
        space = space_of(instance)
        start = savings_routes(space, instance.demand, instance.capacity)
        found.append(improve_routes(space, instance.demand, instance.capacity, start, iterations, seed + b))
    solutions = np.zeros((len(found), max(len(row) for row in found)), np.int64)
    for b, row in enumerate(found):
        solutions[b, : len(row)] = row
    return solutions
