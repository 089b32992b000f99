"""Visits of the cells of a grid: bonuses "count" and "first-visit"."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.wrappers.statistics.statistic import F32, F64, Flags, Setting


class Visits:
    """How often each cell was visited.

    The encoding is the bonus that the next visit of each cell would earn, (1, rows, columns): it determines the bonus,
    and (to 4 million visits of a cell, where float32 ends) the number of visits.
    """

    reads: ClassVar[Literal["cell", "position"]] = "cell"
    once: ClassVar[bool]  # whether only the first visit of a cell earns something

    def __init__(self, setting: Setting) -> None:
        rows, columns = setting.place.grid()
        self.space = spaces.Box(0.0, 1.0, (1, rows, columns))
        self.episodic = setting.episodic
        self.arrays, self.encoding = setting.allocate(rows * columns, visits=((rows * columns,), np.int64))
        self.encode()

    def visit(self, place: NDArray[np.int64], fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        bad: int = visit(
            place, fresh, terminated, truncated, self.episodic, self.once, self.arrays["visits"], self.encoding, bonus
        )
        return bad

    def encode(self) -> None:
        if len(self.encoding):
            visits = self.arrays["visits"]
            self.encoding[:] = visits == 0 if self.once else 1.0 / np.sqrt(visits + 1.0)


class Count(Visits):
    """1 / sqrt(N + 1) for the (N + 1)-th visit of a cell (Strehl and Littman 2008; episodic as in Raileanu et al. 2020)."""

    once = False


class FirstVisit(Visits):
    """1 for the first visit of a cell, then 0 (the "salesman" of SOFE, arXiv 2310.18144)."""

    once = True


@njit(cache=True, **INLINED)
def _worth(visits: int, once: bool) -> float:
    """What the next visit of a cell earns after so many."""
    return (1.0 if visits == 0 else 0.0) if once else 1.0 / np.sqrt(visits + 1.0)


@njit(cache=True, **KERNEL)
def visit(
    cell: NDArray[np.int64],
    fresh: Flags,
    terminated: Flags,
    truncated: Flags,
    episodic: bool,
    once: bool,
    visits: NDArray[Any],
    encoding: F32,
    bonus: F64,
) -> int:
    """See :meth:`optgap.envs.wrappers.statistics.statistic.Statistic.visit`."""
    for b in range(len(cell)):
        if not 0 <= cell[b] < visits.shape[1]:
            return b
    for b in range(len(cell)):  # all copies that share a statistic see it as it was before the step
        bonus[b] = 0.0 if fresh[b] else _worth(visits[b if episodic else 0, cell[b]], once)
    for b in range(len(cell)):
        row = b if episodic else 0
        if episodic and fresh[b]:
            visits[row] = 0
            if len(encoding) > 0:
                encoding[row] = 1.0
        visits[row, cell[b]] += 1
        if len(encoding) > 0:
            encoding[row, cell[b]] = _worth(visits[row, cell[b]], once)
        fresh[b] = terminated[b] or truncated[b]
    return -1
