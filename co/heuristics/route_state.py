"""Routes as linked lists that a compiled search changes in place: removal, insertion, lengths and loads.

As with :mod:`optgap.co.heuristics.random_stream`, empty the numba caches of the callers after a change of this file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.tour_space import distance
from optgap.co.problems.cvrp import join_routes, split_routes

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]
I64 = NDArray[np.int64]

COUNT, STAMP, SKIP = 0, 1, 2  # of counters


class RouteState(NamedTuple):
    """Routes 0..C-1 of customers 1..C as doubly linked lists that end in 0, the depot; R <= C of them in use."""

    next: I4  # (N,) the customer after, or 0
    previous: I4  # (N,) the customer before, or 0
    route: I4  # (N,) route of the customer, -1 while removed
    edge: F8  # (N,) length from the node before
    first: I4  # (C,) first customer of a route, 0 for an empty one
    last: I4  # (C,)
    size: I4  # (C,) customers
    load: F8  # (C,) their demand
    closing: F8  # (C,) length from the last customer to the depot
    active: I4  # (C,) all routes, the R in use first
    place: I4  # (C,) where a route stands in active
    seen: I64  # (C,) stamp of the last step that looked at a route
    removed: I4  # (64,) customers of this iteration, in the order of their removal
    before: I4  # (64,) the node before each then
    origin: I4  # (64,) its route then
    order: I4  # (64,) the same customers in the order in which they return
    key: F8  # (64,) what that order sorts by
    best_next: I4  # (N,) of the best solution
    best_first: I4  # (C,)
    cost: F8  # (2,) of the routes, of the best solution
    counters: I64  # (3,) routes in use, stamps given, positions until the next blink


@njit(**KERNEL)
def _activate(state: Any, r: int) -> None:
    """Put route ``r`` among those in use, at their end."""
    count, at = state.counters[COUNT], state.place[r]
    other = state.active[count]
    state.active[count], state.active[at] = r, other
    state.place[r], state.place[other] = count, at
    state.counters[COUNT] = count + 1


@njit(**KERNEL)
def _deactivate(state: Any, r: int) -> None:
    count, at = state.counters[COUNT] - 1, state.place[r]
    other = state.active[count]
    state.active[count], state.active[at] = r, other
    state.place[r], state.place[other] = count, at
    state.counters[COUNT] = count
    state.load[r] = 0.0


@njit(**KERNEL)
def remove(space: Any, demand: F8, state: Any, c: int) -> None:
    """Take customer ``c`` out of its route."""
    r, p, n = state.route[c], state.previous[c], state.next[c]
    joined = distance(space, p, n)
    removed = state.edge[c]
    if p > 0:
        state.next[p] = n
    else:
        state.first[r] = n
    if n > 0:
        removed += state.edge[n]
        state.previous[n] = p
        state.edge[n] = joined
    else:
        removed += state.closing[r]
        state.last[r] = p
        state.closing[r] = joined
    state.cost[0] += joined - removed
    state.route[c] = -1
    state.load[r] -= demand[c]
    state.size[r] -= 1
    if state.size[r] == 0:
        _deactivate(state, r)


@njit(**KERNEL)
def insert(space: Any, demand: F8, state: Any, c: int, p: int, r: int) -> None:
    """Put customer ``c`` into route ``r`` behind ``p``, 0 for its begin; an empty route comes into use."""
    if state.size[r] == 0:
        _activate(state, r)
        state.closing[r] = 0.0
    n = state.next[p] if p > 0 else state.first[r]
    to, on = distance(space, p, c), distance(space, c, n)
    if p > 0:
        state.next[p] = c
    else:
        state.first[r] = c
    if n > 0:
        removed = state.edge[n]
        state.previous[n] = c
        state.edge[n] = on
    else:
        removed = state.closing[r]
        state.last[r] = c
        state.closing[r] = on
    state.previous[c], state.next[c], state.route[c], state.edge[c] = p, n, r, to
    state.cost[0] += to + on - removed
    state.load[r] += demand[c]
    state.size[r] += 1


@njit(cache=True, **KERNEL)
def refresh(space: Any, demand: F8, state: Any) -> None:
    """Compute lengths, loads and the cost from the order of the customers."""
    total = 0.0
    for at in range(state.counters[COUNT]):
        r = state.active[at]
        load, p, c = 0.0, 0, state.first[r]
        while c > 0:
            state.edge[c] = distance(space, p, c)
            total += state.edge[c]
            load += demand[c]
            p, c = c, state.next[c]
        state.closing[r] = distance(space, p, 0)
        total += state.closing[r]
        state.load[r] = load
    state.cost[0] = total


def load_routes(space: Any, demand: F8, solution: Any) -> RouteState:
    """The state of a feasible solution, on which :func:`search` runs; it is its own best."""
    n = len(demand)
    nodes, routes = np.zeros((4, n), np.int32), np.zeros((6, n - 1), np.int32)
    routes[3] = routes[4] = np.arange(n - 1)
    stack = np.zeros((4, 64), np.int32)
    parts = split_routes(solution)
    for r, part in enumerate(parts):
        nodes[0, part[:-1]], nodes[1, part[1:]], nodes[2, part] = part[1:], part[:-1], r
        routes[0, r], routes[1, r], routes[2, r] = part[0], part[-1], len(part)
    nodes[2, 0] = -1
    nodes[3], routes[5] = nodes[0], routes[0]
    lengths = np.zeros((2, n - 1))
    state = RouteState(
        next=nodes[0],
        previous=nodes[1],
        route=nodes[2],
        edge=np.zeros(n),
        first=routes[0],
        last=routes[1],
        size=routes[2],
        load=lengths[0],
        closing=lengths[1],
        active=routes[3],
        place=routes[4],
        seen=np.zeros(n - 1, np.int64),
        removed=stack[0],
        before=stack[1],
        origin=stack[2],
        order=stack[3],
        key=np.zeros(64),
        best_next=nodes[3],
        best_first=routes[5],
        cost=np.zeros(2),
        counters=np.array([len(parts), 0, 0], np.int64),
    )
    refresh(space, demand, state)
    state.cost[1] = state.cost[0]
    return state


def best_routes(state: RouteState) -> I64:
    """The best solution that ``state`` has seen."""
    routes = []
    following = state.best_next.tolist()
    for c in state.best_first[state.best_first > 0].tolist():
        route = []
        while c > 0:
            route.append(c)
            c = following[c]
        routes.append(route)
    return join_routes(routes)


def edge_length(state: RouteState) -> float:
    """Mean length of an edge of the present solution: the unit of the temperatures."""
    return float(state.cost[0] / (len(state.next) - 1 + state.counters[COUNT]))
