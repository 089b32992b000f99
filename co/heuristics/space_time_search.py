"""Shortest paths of one vehicle through space and time, around cells and moves that are forbidden at certain times.

Space-time A* (Silver, Cooperative Pathfinding, AIIDE 2005) with the vehicle's own true distances as estimate. The cost of a
state is its time, so that no state is reached twice at different costs and a queue of buckets without a heap suffices. As
with :mod:`optgap.co.heuristics.random_stream`, empty the numba caches of the callers after a change of this file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import KERNEL
from optgap.co.problems.multi_agent_path_finding import MAPFInstance

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

HERE = 16  # bit of ``forbidden``: to be in a cell; bits 0 to 3: to enter it by that move
WAIT = 4  # as a move
LARGEST = 2**27  # states: 1.3 GB


class SpaceTime(NamedTuple):
    """The states of a grid of N cells at times 0 to H, and the memory of a search."""

    neighbours: I64  # (N, 4) as the instance says
    forbidden: NDArray[np.uint8]  # (H + 1, N) bits by time and cell
    move: NDArray[np.int8]  # (H + 1, N) by which a state was reached
    seen: I32  # (H + 1, N) number of the last search that reached a state
    behind: I32  # ((H + 1) * N,) the state behind this one in its bucket, -1 at the end
    front: I32  # (H + 1,) the first state of each bucket, by the time of arrival that it promises
    searches: I32  # (1,) searches so far


def space_of(instance: MAPFInstance, horizon: int) -> SpaceTime:
    """Nothing forbidden, up to time ``horizon``.

    Raises:
        InputError: more than 2^27 states.
    """
    cells = instance.blocked.size
    if (horizon + 1) * cells > LARGEST:
        raise InputError(
            f"instance {instance.name}: {cells} cells at {horizon + 1} times; expected at most 2^27 states"
        )
    shape = (horizon + 1, cells)
    return SpaceTime(
        neighbours=instance.neighbours,
        forbidden=np.zeros(shape, np.uint8),
        move=np.zeros(shape, np.int8),
        seen=np.zeros(shape, np.int32),
        behind=np.zeros(shape[0] * cells, np.int32),
        front=np.full(shape[0], -1, np.int32),
        searches=np.zeros(1, np.int32),
    )


@njit(cache=True, **KERNEL)
def shortest(space: Any, start: int, goal: int, distance: Any, path: Any) -> int:
    """The earliest time from which the vehicle can be at ``goal`` for good, at most H; -1 where there is none.

    Args:
        distance: (N,) steps from each cell to the goal, -1 where there is no way.
        path: (H + 1,) is set to the cells of such a path, the goal after its end.
    """
    horizon, cells = len(space.forbidden) - 1, len(distance)
    if distance[start] < 0 or distance[start] > horizon:
        return -1
    free_from = 0
    for t in range(horizon, -1, -1):
        if space.forbidden[t, goal] & HERE:
            free_from = t + 1
            break
    space.searches[0] += 1
    number = space.searches[0]
    front, behind, seen, move = space.front, space.behind, space.seen, space.move
    for promise in range(horizon + 1):
        front[promise] = -1
    # A bucket gives its newest state first: of equal promises, the one nearer to the goal.
    promise = max(distance[start], free_from)
    if promise > horizon:
        return -1
    front[promise] = start
    behind[start] = -1
    seen[0, start] = number
    while promise <= horizon:
        state = front[promise]
        if state < 0:
            promise += 1
            continue
        front[promise] = behind[state]
        t, cell = state // cells, state % cells
        if cell == goal and t >= free_from:
            for later in range(t, horizon + 1):
                path[later] = goal
            for earlier in range(t, 0, -1):
                k = move[earlier, cell]
                if k != WAIT:
                    cell = space.neighbours[cell, k ^ 1]
                path[earlier - 1] = cell
            return t  # type: ignore[no-any-return]
        if t == horizon:
            continue
        for k in range(WAIT, -1, -1):  # waiting first, so that it is looked at last
            after = cell if k == WAIT else space.neighbours[cell, k]
            if after < 0 or seen[t + 1, after] == number or space.forbidden[t + 1, after] & (HERE | (1 << k)):
                continue
            then = max(t + 1 + distance[after], free_from)
            if then <= horizon:
                seen[t + 1, after] = number
                move[t + 1, after] = k
                later = (t + 1) * cells + after
                behind[later] = front[then]
                front[then] = later
    return -1


@njit(cache=True, **KERNEL)
def move_between(space: Any, cell: int, after: int) -> int:
    """The move from a cell to a neighbour or to itself."""
    for k in range(WAIT):
        if space.neighbours[cell, k] == after:
            return k
    return WAIT
