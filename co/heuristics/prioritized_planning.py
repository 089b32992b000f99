"""Prioritized planning for multi-agent path finding: one vehicle after another, around those that have planned before.

Sources: Erdmann and Lozano-Perez, On Multiple Moving Objects, Algorithmica 2, 1987; Silver, Cooperative Pathfinding, AIIDE
2005 (space-time A*). Neither complete nor optimal for a given order of the vehicles, so many orders are tried: first the
longest way first; a vehicle that finds no way moves to the front (Andreychuk and Yakovlev, Two Techniques That Enhance the
Performance of Multi-Robot Prioritized Path Planning, AAMAS 2018); then random orders.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, Result, Status
from optgap.co.dynamics.options import KERNEL
from optgap.co.heuristics.space_time_search import HERE, WAIT, move_between, shortest, space_of
from optgap.co.problems.multi_agent_path_finding import MAPFInstance, arrivals

I64 = NDArray[np.int64]

ORDERS = 10_000  # tried by the solver
PATIENCE = 256  # steps beyond the longest way, at most, that a vehicle may take


@njit(cache=True, **KERNEL)
def plan(space: Any, starts: Any, goals: Any, distances: Any, order: Any, paths: Any) -> int:
    """Plan the vehicles in an order: the sum of costs, or -1 - v where vehicle v finds no way.

    ``paths`` (V, H + 1) is set to the cells at each time.
    """
    forbidden, horizon = space.forbidden, len(space.forbidden) - 1
    for t in range(horizon + 1):
        for cell in range(len(space.neighbours)):
            forbidden[t, cell] = 0
    cost = 0
    for v in order:
        path = paths[v]
        arrival = shortest(space, starts[v], goals[v], distances[v], path)
        if arrival < 0:
            return -1 - v  # type: ignore[no-any-return]
        cost += arrival
        for t in range(horizon + 1):
            forbidden[t, path[t]] |= HERE
        for t in range(arrival):
            k = move_between(space, path[t], path[t + 1])
            if k != WAIT:
                forbidden[t + 1, path[t]] |= 1 << (k ^ 1)  # nobody comes the other way
    return cost


def try_orders(
    instance: MAPFInstance, orders: int, seed: int, found: Callable[[I64, int], None], more: Callable[[], bool]
) -> None:
    """Plan in up to ``orders`` orders; call ``found(paths, cost)`` for each plan better than those before.

    Ends early where a plan reaches the instance's lower bound, or ``more()`` is false after an order.

    Args:
        instance: every vehicle has a way to its goal (``lower_bound`` is not None).
    """
    vehicles, bound = instance.n_vehicles, instance.lower_bound
    alone = instance.distances[np.arange(vehicles), instance.starts]
    horizon = int(alone.max()) + min(int((~instance.blocked).sum()), PATIENCE)
    space = space_of(instance, horizon)
    paths = np.zeros((vehicles, horizon + 1), np.int64)
    rng = np.random.default_rng(seed)
    order, promoted, best = np.argsort(-alone, kind="stable"), 0, None
    for _ in range(orders):
        cost = plan(space, instance.starts, instance.goals, instance.distances, order, paths)
        if cost >= 0 and (best is None or cost < best):
            best = cost
            found(paths[:, : arrivals(instance, paths).max() + 1].copy(), cost)
        if best == bound or not more():
            return
        if cost < 0 and promoted < vehicles:
            failed = -1 - cost
            order, promoted = np.concatenate([[failed], order[order != failed]]), promoted + 1
        else:
            order, promoted = rng.permutation(vehicles), 0


@functools.cache
def warm_up() -> None:
    """Compile the kernels, so that no budget is charged for it."""
    toy = MAPFInstance(blocked=np.zeros((1, 2), np.bool_), starts=np.array([0]), goals=np.array([1]))
    try_orders(toy, 1, 0, lambda paths, cost: None, lambda: False)


def solve(instance: MAPFInstance, budget: Budget) -> Result:
    """The best plan of 10,000 orders, or of as many as the budget allows; Ctrl-C returns the incumbent.

    The bound is the sum of the vehicles' own shortest ways; a plan that reaches it is optimal. That no order works proves
    nothing; that a vehicle has no way at all proves that there is no solution.

    Raises:
        InputError: too large a grid (more than 2^27 states of space and time).
    """
    if instance.lower_bound is None:
        return Result(None, Status.INFEASIBLE)
    warm_up()
    began = time.perf_counter()
    bound, incumbents = float(instance.lower_bound), list[Incumbent]()
    best: I64 | None = None

    def found(paths: I64, cost: int) -> None:
        nonlocal best
        best = paths
        incumbents.append(Incumbent(time.perf_counter() - began, float(cost), bound))

    with contextlib.suppress(KeyboardInterrupt):
        try_orders(instance, ORDERS, budget.seed, found, lambda: time.perf_counter() - began < budget.seconds)
    status = Status.NO_SOLUTION
    if best is not None:
        status = Status.OPTIMAL if incumbents[-1].cost == bound else Status.FEASIBLE
    return Result(best, status, bound=bound, incumbents=tuple(incumbents))
