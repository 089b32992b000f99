"""Earliest and latest start times in a shop with down-times: the propagation that both exact models start from.

A disjunctive graph: job arcs, and for every pair (a, b) of operations of different jobs on one machine an order, 1 (a
before b), -1 (b before a) or 0 (open). "a before b" means that a has left its machine when b starts. In the job shop an
operation leaves at its completion; in the blocking job shop, at the start of its job's next operation.

Down-times are handled in *work time*: the number of up moments of a machine before a clock time. There an operation is
never interrupted, and the k-th window is a point. All functions are monotone in their times, so that repeating the
passes reaches the least (greatest) fixpoint, swaps included: arcs in a cycle of length zero move together.

Sources: heads, tails and immediate selection, Carlier and Pinson 1989; one-machine preemptive bound, Jackson 1955.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance

I64 = NDArray[np.int64]


class Shop(NamedTuple):
    """What the compiled functions read of an instance; J jobs, N operations, M machines, W windows; int64, time units."""

    job_ptr: I64  # (J + 1,)
    machine: I64  # (N,)
    duration: I64  # (N,)
    release: I64  # (J,)
    next: I64  # (N,) the job's next operation, -1 for its last
    down_ptr: I64  # (M + 1,)
    down_start: I64  # (W,)
    down_end: I64  # (W,)
    lost: I64  # (W,) down-time of the machine before this window
    work: I64  # (W,) work time at which this window lies: down_start - lost
    blocking: bool  # an operation holds its machine until the next one of its job starts


def shop_of(instance: JobShopInstance) -> Shop:
    """The arrays of an instance; a blocking shop where the instance is one."""
    following = np.arange(1, instance.n_operations + 1)
    following[instance.job_ptr[1:] - 1] = -1
    none = np.zeros(0, np.int64)
    pointer, begin, end = np.zeros(instance.n_machines + 1, np.int64), none, none
    blocking = isinstance(instance, BlockingJobShopInstance)
    if isinstance(instance, BlockingJobShopInstance):
        pointer, begin, end = instance.down_ptr, instance.down_start, instance.down_end
    before = np.concatenate([[0], np.cumsum(end - begin)])[:-1]
    lost = (
        before - np.repeat(before[np.minimum(pointer[:-1], len(before) - 1)], np.diff(pointer)) if len(begin) else none
    )
    return Shop(
        instance.job_ptr,
        instance.machine,
        instance.duration,
        instance.release,
        following,
        pointer,
        begin,
        end,
        lost,
        begin - lost,
        blocking,
    )


@njit(cache=True)
def work_time(shop: Shop, m: int, t: int) -> int:
    """Up moments of machine ``m`` in [0, t)."""
    first = shop.down_ptr[m]
    k = first + np.searchsorted(shop.down_start[first : shop.down_ptr[m + 1]], t)  # windows that begin before t
    if k == first:
        return t
    return int(t - shop.lost[k - 1] - (min(t, shop.down_end[k - 1]) - shop.down_start[k - 1]))


@njit(cache=True)
def up_moment(shop: Shop, m: int, w: int) -> int:
    """The up moment of machine ``m`` whose work time is ``w``."""
    first = shop.down_ptr[m]
    k = first + np.searchsorted(shop.work[first : shop.down_ptr[m + 1]], w, side="right")
    return w if k == first else int(w + shop.lost[k - 1] + shop.down_end[k - 1] - shop.down_start[k - 1])


@njit(cache=True)
def earliest_up(shop: Shop, o: int, t: int) -> int:
    """First moment from ``t`` on at which operation ``o`` may start."""
    return up_moment(shop, shop.machine[o], work_time(shop, shop.machine[o], t))


@njit(cache=True)
def completion(shop: Shop, o: int, start: int) -> int:
    """When the processing of ``o`` ends if it starts at the up moment ``start``."""
    if shop.duration[o] == 0:
        return start
    m = shop.machine[o]
    first = shop.down_ptr[m]
    w = work_time(shop, m, start) + shop.duration[o]
    k = first + np.searchsorted(shop.work[first : shop.down_ptr[m + 1]], w)  # ends before a window at exactly w
    return w if k == first else int(w + shop.lost[k - 1] + shop.down_end[k - 1] - shop.down_start[k - 1])


@njit(cache=True)
def completions(shop: Shop, start: I64) -> I64:
    """(N,) when the processing of each operation ends."""
    return np.array([completion(shop, o, start[o]) for o in range(len(start))])


def makespan(instance: JobShopInstance, start: I64) -> int:
    """Latest completion of a schedule (N,)."""
    return int(completions(shop_of(instance), start).max())


@njit(cache=True)
def latest_start(shop: Shop, o: int, deadline: int, duration: int) -> int:
    """Last up moment at which ``o`` may start to be processed for ``duration`` by ``deadline``; -1 if there is none."""
    m = shop.machine[o]
    w = work_time(shop, m, deadline) - duration if duration > 0 else work_time(shop, m, deadline + 1) - 1
    return up_moment(shop, m, w) if w >= 0 else -1


@njit(cache=True)
def leave(shop: Shop, start: I64, o: int) -> int:
    """When ``o`` frees its machine."""
    if shop.blocking and shop.next[o] >= 0:
        return int(start[shop.next[o]])
    return completion(shop, o, start[o])


@njit(cache=True)
def forward(shop: Shop, a: I64, b: I64, order: NDArray[np.int8], start: I64, limit: int) -> bool:
    """Raise ``start`` (N,) to the earliest times that respect job arcs and decided pairs; False if one exceeds ``limit``."""
    changed = True
    while changed:
        changed = False
        for j in range(len(shop.job_ptr) - 1):
            ready = shop.release[j]
            for o in range(shop.job_ptr[j], shop.job_ptr[j + 1]):
                t = earliest_up(shop, o, max(ready, start[o]))
                if t > start[o]:
                    start[o] = t
                    changed = True
                ready = completion(shop, o, t)
            if ready > limit:
                return False
        for k in range(len(a)):
            if order[k] != 0:
                one, two = (a[k], b[k]) if order[k] > 0 else (b[k], a[k])
                t = leave(shop, start, one)
                if t > start[two]:
                    start[two] = t
                    changed = True
    return True


@njit(cache=True)
def backward(shop: Shop, a: I64, b: I64, order: NDArray[np.int8], start: I64, limit: int) -> bool:
    """Lower ``start`` (N,) to the latest times from which all can end by ``limit``; False if one falls below 0."""
    changed = True
    while changed:
        changed = False
        for j in range(len(shop.job_ptr) - 1):
            deadline = limit
            for o in range(shop.job_ptr[j + 1] - 1, shop.job_ptr[j] - 1, -1):
                t = min(latest_start(shop, o, start[o], 0), latest_start(shop, o, deadline, shop.duration[o]))
                if t < start[o]:
                    start[o] = t
                    changed = True
                if t < 0:
                    return False
                deadline = t
        for k in range(len(a)):
            if order[k] != 0:
                one, two = (a[k], b[k]) if order[k] > 0 else (b[k], a[k])
                if shop.blocking and shop.next[one] >= 0:
                    one, t = shop.next[one], start[two]
                else:
                    t = latest_start(shop, one, start[two], shop.duration[one])
                if t < start[one]:
                    start[one] = t
                    changed = True
                if t < 0:
                    return False
    return True


@njit(cache=True)
def _one_machine_fits(head: I64, duration: I64, deadline: I64) -> bool:
    """Whether operations fit on one machine if they may be interrupted: earliest deadline first decides that exactly."""
    left, now = duration.copy(), 0
    while True:
        chosen, arrival = -1, -1
        for i in range(len(left)):
            if left[i] > 0 and head[i] <= now and (chosen < 0 or deadline[i] < deadline[chosen]):
                chosen = i
        for i in range(len(left)):
            if left[i] > 0 and head[i] > now and (arrival < 0 or head[i] < arrival):
                arrival = head[i]
        if chosen < 0 and arrival < 0:
            return True
        if chosen < 0:
            now = arrival
            continue
        step = left[chosen] if arrival < 0 else min(left[chosen], arrival - now)
        left[chosen] -= step
        now += step
        if now > deadline[chosen]:
            return False


@njit(cache=True)
def propagate(shop: Shop, a: I64, b: I64, order: NDArray[np.int8], earliest: I64, latest: I64, limit: int) -> bool:
    """Narrow all start times to what a makespan of at most ``limit`` allows, and decide the pairs that this decides.

    ``order`` (P,), ``earliest`` and ``latest`` (N,) are narrowed in place. False: no such schedule exists.
    """
    changed = True
    while changed:
        changed = False
        if not forward(shop, a, b, order, earliest, limit) or not backward(shop, a, b, order, latest, limit):
            return False
        for o in range(len(earliest)):
            if earliest[o] > latest[o]:
                return False
        for k in range(len(a)):
            if order[k] == 0:
                ab = leave(shop, earliest, a[k]) <= latest[b[k]]
                ba = leave(shop, earliest, b[k]) <= latest[a[k]]
                if not ab and not ba:
                    return False
                if ab != ba:
                    order[k] = 1 if ab else -1
                    changed = True
    deadline = completions(shop, latest)
    for m in range(len(shop.down_ptr) - 1):
        on = np.flatnonzero(shop.machine == m)
        if not _one_machine_fits(earliest[on], shop.duration[on], deadline[on]):
            return False
    return True
