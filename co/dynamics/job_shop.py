"""Dynamics of the job shop under a schedule-generation scheme: numba functions over a batch of copies.

Every function works on copy ``b`` of structure-of-arrays tuples, so that one environment, a batch of environments and a
dispatching rule run the same code. Two schemes are offered (Giffler and Thompson 1960):

* NON_DELAY: the clock stands at the earliest moment at which a waiting job meets an idle machine; the candidates are
  the jobs that can start then. ``wait_for_event`` lets the clock (or one machine) pass to the next completion.
* ACTIVE: the machine is the one on which an operation could be completed first, the candidates are the jobs that could
  start on it before that moment. Active schedules contain an optimal one; non-delay schedules need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.problems.job_shop import JobShopInstance

I64 = NDArray[np.int64]

NON_DELAY, ACTIVE = 0, 1
ANY_MACHINE, ONE_MACHINE = 0, 1
NEVER = np.iinfo(np.int64).max // 4


class ShopArrays(NamedTuple):
    """B instances padded to J jobs, N operations, M machines; int64, times in time units."""

    n_jobs: I64  # (B,)
    n_machines: I64  # (B,)
    job_ptr: I64  # (B, J + 1) first operation of each job; padded with the number of operations
    machine: I64  # (B, N) padded with 0
    duration: I64  # (B, N) padded with 0
    job: I64  # (B, N) job of each operation, padded with -1
    release: I64  # (B, J)
    work: I64  # (B, N) durations from the operation (included) to the end of its job


class ShopState(NamedTuple):
    """State of B copies; int64, times in time units."""

    clock: I64  # (B,) the moment of the present decision
    next_operation: I64  # (B, J) first operation of each job that has not started; job_ptr[j + 1] when none is left
    job_ready: I64  # (B, J) when the last started operation of the job ends
    machine_ready: I64  # (B, M) when the machine is idle again
    machine_work: I64  # (B, M) durations of the operations that have not started
    start: I64  # (B, N) start times, -1 where not started
    makespan: I64  # (B,) latest end so far
    left: I64  # (B,) operations that have not started
    candidate: NDArray[np.bool_]  # (B, J) jobs that may start now
    n_candidates: I64  # (B,)
    focus: I64  # (B,) machine that decides, -1 where several do
    down: NDArray[np.bool_]  # (B, M) machines that are down; never in this problem
    holder: I64  # (B, M) job that keeps each machine until it goes on; always -1 in this problem, which has buffers


def empty_arrays(copies: int, jobs: int, operations: int, machines: int) -> tuple[ShopArrays, ShopState]:
    """Zeroed arrays for ``copies`` copies of instances of at most the given size."""

    def zeros(*shape: int) -> I64:
        return np.zeros((copies, *shape), np.int64)

    shop = ShopArrays(
        zeros(),
        zeros(),
        zeros(jobs + 1),
        zeros(operations),
        zeros(operations),
        zeros(operations),
        zeros(jobs),
        zeros(operations),
    )
    state = ShopState(
        zeros(),
        zeros(jobs),
        zeros(jobs),
        zeros(machines),
        zeros(machines),
        zeros(operations),
        zeros(),
        zeros(),
        np.zeros((copies, jobs), np.bool_),
        zeros(),
        zeros(),
        np.zeros((copies, machines), np.bool_),
        zeros(machines) - 1,
    )
    return shop, state


def put_instance(shop: ShopArrays, b: int, instance: JobShopInstance) -> None:
    """Write ``instance`` into copy ``b``; the arrays must be large enough."""
    jobs, operations = instance.n_jobs, instance.n_operations
    shop.n_jobs[b], shop.n_machines[b] = jobs, instance.n_machines
    shop.job_ptr[b] = operations
    shop.job_ptr[b, : jobs + 1] = instance.job_ptr
    shop.machine[b, :operations] = instance.machine
    shop.machine[b, operations:] = 0
    shop.duration[b, :operations] = instance.duration
    shop.duration[b, operations:] = 0
    shop.release[b, :jobs] = instance.release
    _derive(shop, b)


@njit(cache=True, **KERNEL)
def _derive(shop: ShopArrays, b: int) -> None:
    shop.job[b, :] = -1
    for j in range(shop.n_jobs[b]):
        work = 0
        for o in range(shop.job_ptr[b, j + 1] - 1, shop.job_ptr[b, j] - 1, -1):
            work += shop.duration[b, o]
            shop.work[b, o] = work
            shop.job[b, o] = j


def load(instances: Sequence[JobShopInstance]) -> tuple[ShopArrays, ShopState]:
    """Arrays that hold ``instances``, one a copy, padded to the largest."""
    shop, state = empty_arrays(
        len(instances),
        max(i.n_jobs for i in instances),
        max(i.n_operations for i in instances),
        max(i.n_machines for i in instances),
    )
    for b, instance in enumerate(instances):
        put_instance(shop, b, instance)
    return shop, state


@njit(cache=True, **KERNEL)
def reset(shop: ShopArrays, state: ShopState, b: int) -> None:
    """Put copy ``b`` at time 0 with nothing started. Call :func:`find_candidates` next."""
    operations = shop.job_ptr[b, shop.n_jobs[b]]
    state.clock[b] = 0
    state.makespan[b] = 0
    state.left[b] = operations
    state.machine_ready[b, :] = 0
    state.machine_work[b, :] = 0
    state.start[b, :] = -1
    for j in range(state.next_operation.shape[1]):
        state.next_operation[b, j] = shop.job_ptr[b, j]
        state.job_ready[b, j] = shop.release[b, j]
    for o in range(operations):
        state.machine_work[b, shop.machine[b, o]] += shop.duration[b, o]


@njit(cache=True, **KERNEL)
def find_candidates(shop: ShopArrays, state: ShopState, b: int, scheme: int, scope: int) -> int:
    """Advance the clock to the next decision of copy ``b`` and mark its candidates; return how many there are.

    ``scope`` ANY_MACHINE: every job that can start now. ONE_MACHINE: those of one machine, whose choice does not affect
    what the other machines can do now (under ACTIVE there is always one machine).
    """
    jobs = shop.n_jobs[b]
    first_start, first_end, focus = NEVER, NEVER, -1
    for j in range(jobs):
        o = state.next_operation[b, j]
        if o < shop.job_ptr[b, j + 1]:
            m = shop.machine[b, o]
            start = max(state.job_ready[b, j], state.machine_ready[b, m])
            end = start + shop.duration[b, o]
            if start < first_start:
                first_start = start
                if scheme == NON_DELAY:
                    focus = m
            if end < first_end:
                first_end = end
                if scheme == ACTIVE:
                    focus = m
    state.candidate[b, :] = False
    state.n_candidates[b] = 0
    if first_start == NEVER:
        state.focus[b] = -1
        return 0
    if scheme == NON_DELAY:
        state.clock[b] = max(state.clock[b], first_start)
    else:
        state.clock[b] = first_start
    count = 0
    for j in range(jobs):
        o = state.next_operation[b, j]
        if o < shop.job_ptr[b, j + 1]:
            m = shop.machine[b, o]
            start = max(state.job_ready[b, j], state.machine_ready[b, m])
            if scheme == NON_DELAY:
                good = start <= state.clock[b] and (scope == ANY_MACHINE or m == focus)
            else:
                good = m == focus and (start < first_end or start + shop.duration[b, o] == first_end)
            if good:
                state.candidate[b, j] = True
                count += 1
    state.n_candidates[b] = count
    state.focus[b] = focus if scheme == ACTIVE or scope == ONE_MACHINE else -1
    return count


@njit(cache=True, **KERNEL)
def dispatch(shop: ShopArrays, state: ShopState, b: int, j: int, scheme: int) -> None:
    """Start the next operation of candidate job ``j``: now under NON_DELAY, as early as it can be under ACTIVE."""
    o = state.next_operation[b, j]
    m = shop.machine[b, o]
    start = max(state.job_ready[b, j], state.machine_ready[b, m])
    if scheme == NON_DELAY:
        start = max(start, state.clock[b])
    end = start + shop.duration[b, o]
    state.start[b, o] = start
    state.job_ready[b, j] = end
    state.machine_ready[b, m] = end
    state.machine_work[b, m] -= shop.duration[b, o]
    state.next_operation[b, j] = o + 1
    state.left[b] -= 1
    if end > state.makespan[b]:
        state.makespan[b] = end


@njit(cache=True, **KERNEL)
def next_event(shop: ShopArrays, state: ShopState, b: int) -> int:
    """The first moment after the clock at which a job could start, or NEVER: when waiting could end."""
    event = NEVER
    for j in range(shop.n_jobs[b]):
        o = state.next_operation[b, j]
        if o < shop.job_ptr[b, j + 1]:
            start = max(state.job_ready[b, j], state.machine_ready[b, shop.machine[b, o]])
            if state.clock[b] < start < event:
                event = start
    return event


@njit(cache=True, **KERNEL)
def wait_for_event(shop: ShopArrays, state: ShopState, b: int) -> None:
    """Leave the deciding machine idle (every idle machine where several decide) until the next event (NON_DELAY)."""
    event = next_event(shop, state, b)
    if state.focus[b] >= 0:
        state.machine_ready[b, state.focus[b]] = event
    else:
        state.clock[b] = event


@njit(cache=True, **KERNEL)
def lower_bound(shop: ShopArrays, state: ShopState, b: int) -> int:
    """A bound on the makespan of every completion: jobs without conflicts, machines without idle time. Never falls."""
    bound, clock = state.makespan[b], state.clock[b]
    for m in range(shop.n_machines[b]):
        if state.machine_work[b, m] > 0:
            bound = max(bound, max(state.machine_ready[b, m], clock) + state.machine_work[b, m])
    for j in range(shop.n_jobs[b]):
        o = state.next_operation[b, j]
        if o < shop.job_ptr[b, j + 1]:
            begin = max(state.job_ready[b, j], state.machine_ready[b, shop.machine[b, o]])
            bound = max(bound, max(begin, clock) + shop.work[b, o])
    return bound  # type: ignore[no-any-return]
