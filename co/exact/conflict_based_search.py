"""Conflict-based search for multi-agent path finding: optimal, without a linear program.

A node holds constraints (a vehicle must not be in a cell at a time, or must not enter it by a move) and for each vehicle a
shortest path that keeps its own. A conflict of two paths splits the node in two: one vehicle or the other gives way. Best
first by the sum of costs, so that the first node without a conflict is optimal and every node before it a bound. Sources:
Sharon et al., Conflict-Based Search for Optimal Multi-Agent Pathfinding, Artificial Intelligence 219, 2015; Boyarski et al.,
ICBS, IJCAI 2015: of a node's conflicts first one that makes both sides dearer (cardinal), and a side that costs no more and
has fewer conflicts takes the node's place (bypass).
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import Budget, Result
from optgap.co.dynamics.options import KERNEL
from optgap.co.exact.delays import CappedProgress, solve_by_delays
from optgap.co.heuristics.space_time_search import HERE, move_between, shortest, space_of
from optgap.co.problems.multi_agent_path_finding import MAPFInstance, arrivals

I64 = NDArray[np.int64]
Constraint = tuple[int, int, int, int]  # vehicle, time, cell, bits of SpaceTime.forbidden

MOST = 64  # conflicts of a node that are looked at


class Node(NamedTuple):
    """Ordered by its cost, then by its conflicts, then the newest first."""

    cost: int
    conflicts: int
    age: int
    paths: tuple[I64, ...]  # V of (H + 1,), shared with the nodes before and after
    constraints: tuple[Any, ...]  # (those of the node before, Constraint), () at the root


@njit(cache=True, **KERNEL)
def find_conflicts(paths: Any, found: Any) -> int:
    """How many conflicts there are.

    The first of them are put into ``found`` (K, 3): two vehicles and a time, of an exchange the earlier one.
    """
    vehicles, times = paths.shape
    number = 0
    for t in range(times):
        for a in range(vehicles):
            for b in range(a + 1, vehicles):
                same = paths[a, t] == paths[b, t]
                exchange = t + 1 < times and paths[a, t] == paths[b, t + 1] and paths[b, t] == paths[a, t + 1]
                if same or (exchange and paths[a, t] != paths[a, t + 1]):
                    if number < len(found):
                        found[number, 0], found[number, 1], found[number, 2] = a, b, t
                    number += 1
    return number


class ConflictBasedSearch:
    """The search on one instance; each vehicle arrives by time ``horizon``."""

    def __init__(self, instance: MAPFInstance, horizon: int) -> None:
        self.instance, self.space = instance, space_of(instance, horizon)
        self.found = np.zeros((MOST, 3), np.int64)
        self.ages = count(0, -1)
        alone = [self._plan(v) for v in range(instance.n_vehicles)]
        self.open = [self._node(tuple(path for path in alone if path is not None), ())]

    def _node(self, paths: tuple[I64, ...], constraints: tuple[Any, ...]) -> Node:
        table = np.stack(paths)
        cost = int(arrivals(self.instance, table).sum())
        return Node(cost, find_conflicts(table, self.found[:0]), next(self.ages), paths, constraints)

    def _plan(self, v: int) -> I64 | None:
        """A shortest path (H + 1,) around ``forbidden``; None where there is none."""
        instance, path = self.instance, np.empty(len(self.space.forbidden), np.int64)
        arrival = shortest(self.space, instance.starts[v], instance.goals[v], instance.distances[v], path)
        return None if arrival < 0 else path

    def _child(self, node: Node, constraint: Constraint) -> Node | None:
        """The node with one more constraint; None where its vehicle has no path left within the horizon."""
        v, chain = constraint[0], (node.constraints, constraint)
        own, link = [], chain
        while link:
            link, (vehicle, t, cell, bits) = link
            if vehicle == v:
                own.append((t, cell))
                self.space.forbidden[t, cell] |= bits
        path = self._plan(v)
        for t, cell in own:
            self.space.forbidden[t, cell] = 0
        return None if path is None else self._node((*node.paths[:v], path, *node.paths[v + 1 :]), chain)

    def _constraints(self, node: Node, conflict: I64) -> tuple[Constraint, Constraint]:
        a, b, t = conflict.tolist()
        if node.paths[a][t] == node.paths[b][t]:
            cell = int(node.paths[a][t])
            return (a, t, cell, HERE), (b, t, cell, HERE)
        one, other = int(node.paths[a][t]), int(node.paths[b][t])
        there, back = (1 << move_between(self.space, *ends) for ends in ((one, other), (other, one)))
        return (a, t + 1, other, there), (b, t + 1, one, back)

    def step(self) -> Node | None:
        """Take the best node; it is returned where it has no conflict, and otherwise split."""
        node = heapq.heappop(self.open)
        while node.conflicts:
            split = self._split(node)
            if isinstance(split, Node):
                node = split
                continue
            for child in split:
                heapq.heappush(self.open, child)
            return None
        return node

    def _split(self, node: Node) -> Node | list[Node]:
        """Another node in place of ``node``, or the sides of its most promising conflict."""
        find_conflicts(np.stack(node.paths), self.found)
        best: list[Node] = []
        most = (-1.0, -1.0)
        for conflict in self.found[: min(node.conflicts, MOST)].copy():
            sides = [self._child(node, constraint) for constraint in self._constraints(node, conflict)]
            for side in sides:
                if side is not None and side.cost == node.cost and side.conflicts < node.conflicts:
                    return side._replace(constraints=node.constraints)
            rise = sorted(np.inf if side is None else float(side.cost - node.cost) for side in sides)
            if (rise[0], rise[1]) > most:
                most, best = (rise[0], rise[1]), [side for side in sides if side is not None]
            if rise[0] > 0:
                break
        return best


def solve(instance: MAPFInstance, budget: Budget) -> Result:
    """The optimal paths, or the best plan and the bound reached within the budget; Ctrl-C ends it.

    When infeasible is said: see :func:`~optgap.co.exact.delays.solve_by_delays`.

    Raises:
        InputError: too large a grid.
    """
    longest = int(instance.distances[np.arange(instance.n_vehicles), instance.starts].max())

    def run(progress: CappedProgress, delay: int) -> None:
        search = ConflictBasedSearch(instance, longest + delay)
        while search.open and search.open[0].cost < min(progress.cost, progress.cap):
            progress.proved(search.open[0].cost)
            if progress.seconds() >= budget.seconds:
                return
            if (node := search.step()) is not None:
                paths = np.stack(node.paths)
                progress.found(paths[:, : arrivals(instance, paths).max() + 1], node.cost)
        progress.proved(progress.cost)

    return solve_by_delays(instance, budget, run)
