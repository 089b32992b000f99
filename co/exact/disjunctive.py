"""The disjunctive model of the job shop and of the blocking job shop, before any solver: pairs, windows, bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.job_shop import NON_DELAY, ONE_MACHINE
from optgap.co.dynamics.shop import dispatch, dynamics_of, find_candidates, reset
from optgap.co.exact.shop_times import I64, completions, forward, propagate, shop_of, work_time
from optgap.co.problems.job_shop import JobShopInstance

SIZE_LIMIT = 200_000  # pairs, and modes: about 3 GiB as a MILP. Taillard's largest instances have 99,000 pairs


class Mode(NamedTuple):
    """Start times low..high of an operation that all meet the same down-times, and how long these delay its end."""

    low: int
    high: int
    delay: int


class Disjunctive:
    """A shop narrowed to the schedules that are no worse than a given one.

    Args:
        start: (N,) start times of a feasible schedule, time units.

    Attributes:
        upper: makespan of the given schedule; lower: a proved bound (no schedule passes the propagation below it).
        a, b: (P,) the operations of each pair that shares a machine; order (P,): 1 a first, -1 b first, 0 open.
        earliest, latest: (N,) start times between which every schedule of makespan <= upper lies.
        modes: for each operation, its start times between these two, split by the down-times that they meet.

    Raises:
        InputError: more than SIZE_LIMIT pairs or modes.
    """

    def __init__(self, instance: JobShopInstance, start: I64) -> None:
        count = np.bincount(instance.machine)
        _require_size(instance, int((count * (count - 1) // 2).sum()), "pairs of operations share a machine")
        self.instance = instance
        self.shop = shop_of(instance)
        self._dynamics, self._state = dynamics_of(instance).load([instance])
        self.a, self.b = _pairs(instance)
        self.upper = self.makespan(start)
        self.lower = self._destructive_bound()
        self.order, self.earliest, self.latest = self._blank(self.upper)
        if not propagate(self.shop, self.a, self.b, self.order, self.earliest, self.latest, self.upper):
            raise RuntimeError(f"{instance.name}: the propagation refuses a schedule of makespan {self.upper}")
        self.modes = [self._modes(o) for o in range(instance.n_operations)]
        _require_size(instance, sum(map(len, self.modes)), "ways for operations to meet down-times")

    def _blank(self, limit: int) -> tuple[NDArray[np.int8], I64, I64]:
        n = self.instance.n_operations
        return np.zeros(len(self.a), np.int8), np.zeros(n, np.int64), np.full(n, limit, np.int64)

    def _destructive_bound(self) -> int:
        """The smallest makespan that the propagation cannot refute: a lower bound (bisection)."""
        low, high = 0, self.upper
        while low < high:
            middle = (low + high) // 2
            if propagate(self.shop, self.a, self.b, *self._blank(middle), middle):
                high = middle
            else:
                low = middle + 1
        return low

    def makespan(self, start: I64) -> int:
        """Latest completion of a schedule (N,)."""
        return int(completions(self.shop, start).max())

    def _modes(self, operation: int) -> list[Mode]:
        shop, m, p = self.shop, int(self.instance.machine[operation]), int(self.instance.duration[operation])
        windows = slice(shop.down_ptr[m], shop.down_ptr[m + 1])
        work = shop.work[windows]
        length = shop.down_end[windows] - shop.down_start[windows]
        down = np.concatenate([[0], np.cumsum(length)])  # down-time of the first k windows
        low, high = (work_time(shop, m, int(times[operation])) for times in (self.earliest, self.latest))
        # in work time, the start passes window k at work[k], the end passes it when the start is at work[k] - p + 1
        edges = np.unique(np.concatenate([[low, high + 1], work, work - p + 1 if p > 0 else work]))
        edges = edges[(edges >= low) & (edges <= high + 1)]
        modes = []
        for first, last in zip(edges[:-1], edges[1:] - 1, strict=True):
            before = down[np.searchsorted(work, first, side="right")]
            after = down[np.searchsorted(work, first + p)] if p > 0 else before
            modes.append(Mode(int(first + before), int(last + before), int(after - before)))
        return modes

    def left_shifted(self, start: NDArray[np.float64], limit: int) -> I64 | None:
        """The earliest integer schedule whose pairs are ordered as in ``start``; None if it ends after ``limit``.

        Args:
            start: (N,) start times, feasible or not, integer or not. A pair is ordered by the middles of its two holds:
                of the two orders, the one that ``start`` violates less.
        """
        following = self.shop.next
        leave = start + self.instance.duration
        held = following >= 0
        if self.shop.blocking:
            leave[held] = np.maximum(leave[held], start[following[held]])
        middle = start + leave
        order = np.where(middle[self.a] <= middle[self.b], 1, -1).astype(np.int8)
        shifted = np.zeros(self.instance.n_operations, np.int64)
        return shifted if forward(self.shop, self.a, self.b, order, shifted, limit) else None

    def dispatched(self, start: NDArray[np.float64]) -> I64:
        """The non-delay schedule in which the candidate of smallest ``start`` (N,) goes first; it never deadlocks."""
        _follow(self._dynamics, self._state, start)
        schedule: I64 = self._state.start[0, : len(start)].copy()
        return schedule


@njit(cache=True)
def _follow(shop: Any, state: Any, times: NDArray[np.float64]) -> None:
    reset(shop, state, 0)
    while find_candidates(shop, state, 0, NON_DELAY, ONE_MACHINE) > 0:
        chosen = -1
        for j in range(shop.n_jobs[0]):
            if not state.candidate[0, j]:
                continue
            if chosen < 0 or times[state.next_operation[0, j]] < times[state.next_operation[0, chosen]]:
                chosen = j
        dispatch(shop, state, 0, chosen, NON_DELAY)


def _require_size(instance: JobShopInstance, number: int, what: str) -> None:
    if number > SIZE_LIMIT:
        raise InputError(f"instance {instance.name}: {number} {what}; the exact models take up to {SIZE_LIMIT}")


def _pairs(instance: JobShopInstance) -> tuple[I64, I64]:
    """Operations of different jobs on the same machine; a job's own are ordered by the job."""
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for m in np.unique(instance.machine):
        on = np.flatnonzero(instance.machine == m)
        i, j = np.triu_indices(len(on), k=1)
        first.append(on[i])
        second.append(on[j])
    a, b = np.concatenate(first), np.concatenate(second)
    apart = instance.job[a] != instance.job[b]
    return a[apart], b[apart]
