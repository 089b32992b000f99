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

    Args:
        setting: what is counted.
        centred: turn the map, over its edges, so that the cell where the agent is stands in the middle, at (rows // 2,
            columns // 2). Then the worth of what is beside the agent stands in the same entries everywhere, and a network
            learns from it sooner. Beside the agent's place, which the observation tells, it says as much. A step then
            writes a map for each copy, where it writes a cell otherwise.
    """

    reads: ClassVar[Literal["cell", "position"]] = "cell"
    once: ClassVar[bool]  # whether only the first visit of a cell earns something

    def __init__(self, setting: Setting, centred: bool = False) -> None:
        rows, columns = self._grid = setting.place.grid()
        self.episodic, self.centred = setting.episodic, centred
        self._cell = np.zeros(setting.copies, np.int64)  # of each copy, the latest
        shown = setting.copies if centred else None
        self.arrays, self.encoding = setting.allocate(rows * columns, shown, visits=((rows * columns,), np.int64))
        self.space = spaces.Box(0.0, 1.0, (1, rows, columns))
        self.encode()

    def visit(self, place: NDArray[np.int64], fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        visits, flat = self.arrays["visits"], self.encoding[:0] if self.centred else self.encoding
        bad: int = visit(place, fresh, terminated, truncated, self.episodic, self.once, visits, flat, bonus)
        if self.centred and bad < 0 and len(self.encoding):
            self._cell[:] = place
            turn(self._cell, *self._grid, self.episodic, self.once, visits, self.encoding)
        return bad

    def encode(self) -> None:
        visits = self.arrays["visits"]
        if self.centred and len(self.encoding):
            turn(self._cell, *self._grid, self.episodic, self.once, visits, self.encoding)
        elif len(self.encoding):
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


@njit(cache=True, **KERNEL)
def turn(
    cell: NDArray[np.int64],
    rows: int,
    columns: int,
    episodic: bool,
    once: bool,
    visits: NDArray[Any],
    encoding: F32,
) -> None:
    """Write the worth of each cell to ``encoding`` (B, rows * columns), with ``cell`` (B,) in the middle."""
    for b in range(len(cell)):
        own = b if episodic else 0
        top, left = cell[b] // columns - rows // 2, cell[b] % columns - columns // 2
        for row in range(rows):
            first = ((row + top) % rows) * columns
            for column in range(columns):
                encoding[b, row * columns + column] = _worth(visits[own, first + (column + left) % columns], once)
