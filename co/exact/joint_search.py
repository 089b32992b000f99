"""Whether a small case of multi-agent path finding has a solution at all, by search over all vehicles at once, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.problems.multi_agent_path_finding import MAPFInstance

I64 = NDArray[np.int64]

LARGEST = 2**22  # combinations of cells


def is_small(instance: MAPFInstance) -> bool:
    """Whether the vehicles' combinations of cells are few enough to visit them all."""
    return float((~instance.blocked).sum()) ** instance.n_vehicles <= LARGEST


def joint_search(instance: MAPFInstance) -> I64 | None:
    """Paths (V, T + 1) of the least makespan by breadth-first search; None where there is no solution, which is proved.

    For an instance that :func:`is_small`.
    """
    free = np.flatnonzero(~instance.blocked)
    index = np.full(instance.blocked.size + 1, -1)  # the last stands for no neighbour
    index[free] = np.arange(len(free))
    after = np.concatenate([index[instance.neighbours[free]], np.arange(len(free))[:, None]], axis=1)
    weight = len(free) ** np.arange(instance.n_vehicles)
    first, last = int(index[instance.starts] @ weight), int(index[instance.goals] @ weight)
    before = np.full(len(free) ** instance.n_vehicles, -1, np.int32)
    _visit(after, instance.n_vehicles, first, last, before, np.empty(len(before), np.int32))
    if before[last] < 0:
        return None
    codes = [last]
    while codes[-1] != first:
        codes.append(int(before[codes[-1]]))
    return np.asarray(free[np.array(codes[::-1]) // weight[:, None] % len(free)])


@njit(cache=True)
def _visit(after: Any, vehicles: int, first: int, last: int, before: Any, queue: Any) -> None:
    """Set ``before``, the predecessor of each combination on a shortest way from ``first``, until ``last`` has one.

    Args:
        after: (F, 5) the cells after a cell, itself among them, -1 where there is none.
        before: (F^V,) all -1.
        queue: (F^V,) memory.
    """
    cells, chosen, moved = len(after), np.zeros(vehicles, np.int64), np.empty(vehicles, np.int64)
    at = np.empty(vehicles, np.int64)
    before[first], queue[0] = first, first
    begin, end = 0, 1
    while begin < end and before[last] < 0:
        code = queue[begin]
        begin += 1
        rest = code
        for v in range(vehicles):
            at[v], rest = rest % cells, rest // cells
        v = 0  # vehicles before v have moved; a move of v is tried, then the next one
        chosen[0] = -1
        while v >= 0:
            chosen[v] += 1
            if chosen[v] == after.shape[1]:
                v -= 1
                continue
            moved[v] = after[at[v], chosen[v]]
            collides = moved[v] < 0
            for u in range(v):
                collides |= moved[u] == moved[v] or (moved[u] == at[v] and moved[v] == at[u])
            if collides:
                continue
            if v + 1 < vehicles:
                v += 1
                chosen[v] = -1
                continue
            reached = 0
            for u in range(vehicles - 1, -1, -1):
                reached = reached * cells + moved[u]
            if before[reached] < 0:
                before[reached] = code
                queue[end] = reached
                end += 1
