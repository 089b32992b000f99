"""Dynamics of the interrupting swap-allowed blocking job shop: the functions of ``job_shop``, on the same names.

The clock stands at the earliest moment at which a job that is complete (or not begun, and released) has its next
machine free and up. The scheme is NON_DELAY with waits; ``scheme`` is taken for the sake of the common signature.

**Cycles move at once.** When jobs are complete and each waits for the machine that the next one holds (a job that waits
for its own machine is a cycle of one), nobody else can come between: each machine of the cycle is left in that very
move only. All of them start their next operations at one moment t'. Starting at an earlier t, all machines up, ends no
operation later and changes no other hold, so every schedule that delays the move is matched by one that does not.
It is therefore no decision: ``find_candidates`` moves cycles before it offers anything.

**No deadlock.** Suppose operations are left, and there is neither a candidate nor an event ahead. Then no operation is
in process, every job is released, every machine is up and none is told to stay idle (a wait ends at an event). Take a
job that is not finished: it is complete and its next machine is held, by a job that is not finished either, for a
finished one has left. Going on from job to job among finitely many closes a cycle of complete jobs on machines that are
up, and that would have been moved. And time cannot run on for ever: windows are finite in number, so are events.

**Nothing of the future is told.** ``job_ready`` and ``machine_ready`` are what an online observer expects, without
further interruption (while a machine is down: the clock plus the processing time left); ``job_ready <= clock`` says
exactly that the job is complete. The true completions, which the windows ahead decide, stay in ``job_end``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.job_shop import NEVER, ONE_MACHINE
from optgap.co.dynamics.options import KERNEL
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


class BlockingShopArrays(NamedTuple):
    """B instances padded to J jobs, N operations, M machines, W down-time windows; int64, times in time units."""

    n_jobs: I64  # (B,)
    n_machines: I64  # (B,)
    job_ptr: I64  # (B, J + 1) first operation of each job; padded with the number of operations
    machine: I64  # (B, N) padded with 0
    duration: I64  # (B, N) padded with 0
    job: I64  # (B, N) job of each operation, padded with -1
    release: I64  # (B, J)
    work: I64  # (B, N) durations from the operation (included) to the end of its job
    first_window: I64  # (B, M) where the machine's windows begin; one at NEVER ends them
    down_start: I64  # (W, B): a copy's windows are a column, so that W can grow in place
    down_end: I64  # (W, B)


class BlockingShopState(NamedTuple):
    """State of B copies; int64, times in time units. The first twelve fields are those of ``job_shop.ShopState``."""

    clock: I64  # (B,) the moment of the present decision
    next_operation: I64  # (B, J) first operation of each job that has not started; job_ptr[j + 1] when none is left
    job_ready: I64  # (B, J) expected completion of the last started operation; release date of a job not begun
    machine_ready: I64  # (B, M) the earliest moment at which the machine can be expected to be free, >= clock
    machine_work: I64  # (B, M) durations of the operations that have not started
    start: I64  # (B, N) start times, -1 where not started
    makespan: I64  # (B,) latest true completion of the started operations
    left: I64  # (B,) operations that have not started
    candidate: Bools  # (B, J) jobs that may start now
    n_candidates: I64  # (B,)
    focus: I64  # (B,) machine that decides, -1 where several do
    down: Bools  # (B, M) machines that are down now
    job_end: I64  # (B, J) true completion of the last started operation; release date of a job not begun
    job_at: I64  # (B, J) machine that the job holds, or -1
    holder: I64  # (B, M) job that holds the machine, or -1
    idle_until: I64  # (B, M) nothing is offered on the machine before: a wait
    window: I64  # (B, M) the machine's present or next window, a row of down_start
    seen_by: I64  # (B, M) work space of the search for cycles


def empty_arrays(
    copies: int, jobs: int, operations: int, machines: int
) -> tuple[BlockingShopArrays, BlockingShopState]:
    """Zeroed arrays for ``copies`` copies of instances of at most the given size and any number of windows."""

    def zeros(*shape: int) -> I64:
        return np.zeros((copies, *shape), np.int64)

    def no(*shape: int) -> Bools:
        return np.zeros((copies, *shape), np.bool_)

    n, j, m = operations, jobs, machines
    windows = (np.zeros((0, copies), np.int64), np.zeros((0, copies), np.int64))
    shop = BlockingShopArrays(
        zeros(), zeros(), zeros(j + 1), zeros(n), zeros(n), zeros(n), zeros(j), zeros(n), zeros(m), *windows
    )
    common = (zeros(), zeros(j), zeros(j), zeros(m), zeros(m), zeros(n), zeros(), zeros(), no(j), zeros(), zeros())
    return shop, BlockingShopState(*common, no(m), zeros(j), zeros(j), *(zeros(m) for _ in range(4)))


def put_instance(shop: BlockingShopArrays, b: int, instance: BlockingJobShopInstance) -> None:
    """Write ``instance`` into copy ``b``; the arrays must be large enough, but for the windows: those grow."""
    jobs, operations, machines = instance.n_jobs, instance.n_operations, instance.n_machines
    shop.n_jobs[b], shop.n_machines[b] = jobs, machines
    shop.job_ptr[b] = operations
    shop.job_ptr[b, : jobs + 1] = instance.job_ptr
    shop.machine[b, :operations] = instance.machine
    shop.machine[b, operations:] = 0
    shop.duration[b, :operations] = instance.duration
    shop.duration[b, operations:] = 0
    shop.job[b, :operations] = instance.job
    shop.job[b, operations:] = -1
    shop.release[b, :jobs] = instance.release
    total = np.cumsum(instance.duration)
    shop.work[b, :operations] = total[instance.job_ptr[1:] - 1][instance.job] - total + instance.duration
    windows = len(instance.down_start) + machines
    if windows > len(shop.down_start):
        # In place, for the tuple is shared with whoever holds it. No view of these two arrays is ever kept.
        shape = (max(windows, 2 * len(shop.down_start)), shop.down_start.shape[1])
        shop.down_start.resize(shape, refcheck=False)
        shop.down_end.resize(shape, refcheck=False)
    shop.first_window[b, :machines] = instance.down_ptr[:-1] + np.arange(machines)
    shop.down_start[:windows, b] = np.insert(instance.down_start, instance.down_ptr[1:], NEVER)
    shop.down_end[:windows, b] = np.insert(instance.down_end, instance.down_ptr[1:], NEVER)


def load(instances: Sequence[BlockingJobShopInstance]) -> tuple[BlockingShopArrays, BlockingShopState]:
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
def reset(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> None:
    """Put copy ``b`` at time 0 with nothing started. Call :func:`find_candidates` next."""
    operations = shop.job_ptr[b, shop.n_jobs[b]]
    state.clock[b] = 0
    state.makespan[b] = 0
    state.left[b] = operations
    state.machine_ready[b, :] = 0
    state.machine_work[b, :] = 0
    state.start[b, :] = -1
    state.holder[b, :] = -1
    state.idle_until[b, :] = 0
    state.down[b, :] = False
    for j in range(state.next_operation.shape[1]):
        state.next_operation[b, j] = shop.job_ptr[b, j]
        state.job_ready[b, j] = shop.release[b, j]
        state.job_end[b, j] = shop.release[b, j]
        state.job_at[b, j] = -1
    for o in range(operations):
        state.machine_work[b, shop.machine[b, o]] += shop.duration[b, o]
    for m in range(shop.n_machines[b]):
        state.window[b, m] = shop.first_window[b, m]
        state.down[b, m] = shop.down_start[state.window[b, m], b] <= 0


@njit(cache=True, **KERNEL)
def _completion(shop: BlockingShopArrays, state: BlockingShopState, b: int, m: int, duration: int) -> int:
    """True completion of an operation that starts now on machine ``m``, which is up."""
    end = state.clock[b] + duration
    w = state.window[b, m]
    while shop.down_start[w, b] < end:
        end += shop.down_end[w, b] - shop.down_start[w, b]
        w += 1
    return end  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def _start(shop: BlockingShopArrays, state: BlockingShopState, b: int, j: int) -> None:
    """Start the next operation of job ``j`` now; its machine becomes the job's, unless the job is finished at once."""
    o = state.next_operation[b, j]
    m = shop.machine[b, o]
    end = _completion(shop, state, b, m, shop.duration[b, o])
    state.holder[b, m] = j
    state.job_at[b, j] = m
    if end == state.clock[b] and o + 1 == shop.job_ptr[b, j + 1]:
        state.holder[b, m] = -1
        state.job_at[b, j] = -1
    state.start[b, o] = state.clock[b]
    state.job_ready[b, j] = state.clock[b] + shop.duration[b, o]
    state.job_end[b, j] = end
    state.makespan[b] = max(state.makespan[b], end)
    state.next_operation[b, j] = o + 1
    state.left[b] -= 1
    state.machine_work[b, m] -= shop.duration[b, o]


@njit(cache=True, **KERNEL)
def dispatch(shop: BlockingShopArrays, state: BlockingShopState, b: int, j: int, scheme: int) -> None:
    """Start the next operation of candidate job ``j`` now; the machine that it held is free."""
    if state.job_at[b, j] >= 0:
        state.holder[b, state.job_at[b, j]] = -1
    _start(shop, state, b, j)


@njit(cache=True, **KERNEL)
def _advance(shop: BlockingShopArrays, state: BlockingShopState, b: int, to: int) -> None:
    """Move the clock to ``to``, with no completion before: interrupt, turn machines off and on, finished jobs leave."""
    now = state.clock[b]
    state.clock[b] = to
    for m in range(shop.n_machines[b]):
        j = state.holder[b, m]
        w = state.window[b, m]
        lost = 0
        while shop.down_end[w, b] <= to:  # a window that is over
            lost += shop.down_end[w, b] - max(shop.down_start[w, b], now)
            w += 1
        lost += max(to - max(shop.down_start[w, b], now), 0)
        state.window[b, m] = w
        state.down[b, m] = shop.down_start[w, b] <= to
        if j >= 0 and state.job_end[b, j] > now:
            state.job_ready[b, j] += lost
        if j >= 0 and state.job_end[b, j] <= to and state.next_operation[b, j] == shop.job_ptr[b, j + 1]:
            state.holder[b, m] = -1
            state.job_at[b, j] = -1


@njit(cache=True, **KERNEL)
def _blocked_by(shop: BlockingShopArrays, state: BlockingShopState, b: int, m: int) -> int:
    """The machine, up, for which the complete job on machine ``m`` waits, or -1 where there is none such."""
    j = state.holder[b, m]
    if j < 0 or state.job_end[b, j] > state.clock[b]:
        return -1
    wanted = shop.machine[b, state.next_operation[b, j]]  # a complete job that holds a machine is not finished
    return -1 if state.down[b, wanted] else wanted


@njit(cache=True, **KERNEL)
def _move_cycles(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> bool:
    """Move the cycles of mutually blocked jobs; whether there was one (durations of zero may have closed another)."""
    moved = False
    seen_by = state.seen_by[b]
    seen_by[:] = -1
    for first in range(shop.n_machines[b]):
        m = first
        while m >= 0 and seen_by[m] < 0:
            seen_by[m] = first
            m = _blocked_by(shop, state, b, m)
        if m >= 0 and seen_by[m] == first and _blocked_by(shop, state, b, m) >= 0:
            moved = True
            last = m
            j = state.holder[b, m]
            while True:
                m = shop.machine[b, state.next_operation[b, j]]
                pushed_out = state.holder[b, m]
                _start(shop, state, b, j)
                if m == last:
                    break
                j = pushed_out
    return moved


@njit(cache=True, **KERNEL)
def _expect_machines(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> None:
    """Fill ``machine_ready``: a job leaves once it is complete and, at the earliest, once its next machine is left."""
    clock = state.clock[b]
    machines = shop.n_machines[b]
    for m in range(machines):
        j = state.holder[b, m]
        state.machine_ready[b, m] = clock if j < 0 else max(clock, state.job_ready[b, j])
    changed = True
    while changed:
        changed = False
        for m in range(machines):
            j = state.holder[b, m]
            if j >= 0 and state.next_operation[b, j] < shop.job_ptr[b, j + 1]:
                free = state.machine_ready[b, shop.machine[b, state.next_operation[b, j]]]
                if free > state.machine_ready[b, m]:
                    state.machine_ready[b, m] = free
                    changed = True


@njit(cache=True, **KERNEL)
def find_candidates(shop: BlockingShopArrays, state: BlockingShopState, b: int, scheme: int, scope: int) -> int:
    """Advance the clock to the next decision of copy ``b`` and mark its candidates; return how many there are.

    ``scope`` ANY_MACHINE: every job that can start now. ONE_MACHINE: those of one machine, whose choice takes no
    candidate from another machine. 0 is returned when every operation has started, and never before.
    """
    state.candidate[b, :] = False
    focus, count = -1, 0
    while True:
        while _move_cycles(shop, state, b):
            pass
        if state.left[b] == 0:
            break
        clock = state.clock[b]
        for j in range(shop.n_jobs[b]):
            o = state.next_operation[b, j]
            if state.job_end[b, j] <= clock and o < shop.job_ptr[b, j + 1]:
                m = shop.machine[b, o]
                if state.holder[b, m] < 0 and not state.down[b, m] and state.idle_until[b, m] <= clock:
                    if focus < 0:
                        focus = m
                    if scope != ONE_MACHINE or m == focus:
                        state.candidate[b, j] = True
                        count += 1
        if count > 0:
            break
        _advance(shop, state, b, next_event(shop, state, b))
    state.n_candidates[b] = count
    state.focus[b] = focus if scope == ONE_MACHINE else -1
    _expect_machines(shop, state, b)
    return count


@njit(cache=True, **KERNEL)
def next_event(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> int:
    """The first moment after the clock at which something happens, or NEVER: when waiting ends.

    A completion, a release, a machine that comes up, or one that goes down under an operation in process. (An idle one
    that goes down is none: whether waiting can end must not depend on the windows ahead.)
    """
    event = NEVER
    clock = state.clock[b]
    for j in range(shop.n_jobs[b]):
        if clock < state.job_end[b, j] < event:
            event = state.job_end[b, j]
    for m in range(shop.n_machines[b]):
        if state.down[b, m]:
            event = min(event, shop.down_end[state.window[b, m], b])
        else:
            j = state.holder[b, m]
            if j >= 0 and state.job_end[b, j] > clock:
                event = min(event, shop.down_start[state.window[b, m], b])
    return event


@njit(cache=True, **KERNEL)
def wait_for_event(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> None:
    """Leave the deciding machine idle (every machine where several decide) until the next event."""
    event = next_event(shop, state, b)
    if state.focus[b] >= 0:
        state.idle_until[b, state.focus[b]] = event
    else:
        _advance(shop, state, b, event)


@njit(cache=True, **KERNEL)
def lower_bound(shop: BlockingShopArrays, state: BlockingShopState, b: int) -> int:
    """A bound on the makespan of every completion, from what has been seen so far; the makespan itself at the end.

    Jobs without conflicts, machines without idle time, no further interruption. Read it after :func:`find_candidates`.
    """
    bound = state.clock[b]
    for m in range(shop.n_machines[b]):
        if state.machine_work[b, m] > 0:
            bound = max(bound, state.machine_ready[b, m] + state.machine_work[b, m])
    for j in range(shop.n_jobs[b]):
        o = state.next_operation[b, j]
        bound = max(bound, state.job_ready[b, j])
        if o < shop.job_ptr[b, j + 1]:
            begin = max(state.job_ready[b, j], state.machine_ready[b, shop.machine[b, o]])
            bound = max(bound, begin + shop.work[b, o])
    return max(bound, (state.left[b] == 0) * state.makespan[b])  # type: ignore[no-any-return]
