"""Distances to visited positions: bonus "knn" (particle-based state entropy, as in APT, Liu and Abbeel 2021, arXiv 2103.04551)."""

from __future__ import annotations

from math import sqrt
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import KERNEL
from optgap.envs.wrappers.statistics.positions import scale
from optgap.envs.wrappers.statistics.statistic import F64, Flags, Setting


class Neighbours:
    """The last ``memory`` visited positions, their bounds scaled to [-1, 1].

    The bonus is the distance to the ``neighbours``-th nearest of them, or to the furthest while they are fewer. There is
    no encoding of it: a list of visits grows with the episode.

    Args:
        neighbours: which neighbour's distance counts.
        memory: M, positions that are remembered; the oldest is forgotten first.
    """

    reads: ClassVar[Literal["cell", "position"]] = "position"
    space: ClassVar[spaces.Box | None] = None

    def __init__(self, setting: Setting, neighbours: int = 5, memory: int = 1024) -> None:
        if not 1 <= neighbours <= memory:
            raise InputError(f"neighbours is {neighbours}; expected 1..{memory} (memory)")
        self.bounds, self.episodic = setting.place.bounds(), setting.episodic
        k = self.bounds.shape[1]
        self.arrays, self.encoding = setting.allocate(0, n=((), np.int64), visited=((memory, k), np.float64))
        self.scaled, self.nearest = np.zeros((setting.copies, k)), np.zeros(neighbours)

    def visit(self, place: F64, fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        """See :class:`optgap.envs.wrappers.statistics.statistic.Statistic`."""
        n, visited = self.arrays["n"], self.arrays["visited"]
        bad: int = visit(
            place,
            self.bounds,
            fresh,
            terminated,
            truncated,
            self.episodic,
            n,
            visited,
            self.scaled,
            self.nearest,
            bonus,
        )
        return bad

    def encode(self) -> None:
        """Nothing is encoded."""


@njit(cache=True, **KERNEL)
def distance(x: F64, visited: F64, n: int, nearest: F64) -> float:
    """From ``x`` (k,) to the K-th nearest of the first ``n`` positions of ``visited`` (M, k); ``nearest`` (K,) is overwritten."""
    found = 0
    for m in range(n):
        square = 0.0
        for i in range(len(x)):
            square += (x[i] - visited[m, i]) ** 2
        if found == len(nearest) and square >= nearest[found - 1]:
            continue
        found = min(found + 1, len(nearest))
        at = found - 1
        while at > 0 and nearest[at - 1] > square:
            nearest[at] = nearest[at - 1]
            at -= 1
        nearest[at] = square
    return sqrt(nearest[found - 1])


@njit(cache=True, **KERNEL)
def visit(
    position: F64,
    bounds: F64,
    fresh: Flags,
    terminated: Flags,
    truncated: Flags,
    episodic: bool,
    n: NDArray[np.int64],
    visited: F64,
    x: F64,
    nearest: F64,
    bonus: F64,
) -> int:
    """See :meth:`optgap.envs.wrappers.statistics.statistic.Statistic.visit`."""
    memory = visited.shape[1]
    bad: int = scale(position, bounds, x)
    if bad >= 0:
        return bad
    for b in range(len(position)):  # all copies that share a statistic see it as it was before the step
        row = b if episodic else 0
        bonus[b] = 0.0 if fresh[b] else distance(x[b], visited[row], min(n[row], memory), nearest)
    for b in range(len(position)):
        row = b if episodic else 0
        if episodic and fresh[b]:
            n[row] = 0
        for i in range(x.shape[1]):
            visited[row, n[row] % memory, i] = x[b, i]
        n[row] += 1
        fresh[b] = terminated[b] or truncated[b]
    return -1
