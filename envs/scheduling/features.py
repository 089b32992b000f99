"""The features of ``observation``, written in place by numba from a dynamics state."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.job_shop import ShopArrays, ShopState, lower_bound
from optgap.co.dynamics.options import KERNEL
from optgap.envs.scheduling.observation import F32, Scratch, ShopObservation

# columns of Scratch.queue: how many; their durations; the shortest; most and second most work left of their jobs;
# earliest begin; earliest and second earliest end; jobs that hold another machine, and their durations
COUNT, WORK, SHORTEST, LONGEST_REST, SECOND_REST, FIRST_BEGIN, FIRST_END, SECOND_END, UNDER_WAY, WORK_UNDER_WAY = range(
    10
)


@njit(cache=False, inline="always")
def squash(x: float) -> float:
    """X / (1 + |x|)."""
    return x / (1.0 + abs(x))


@njit(cache=False)  # allocates, once an episode
def _sort_by_tail(shop: ShopArrays, scratch: Scratch, b: int) -> None:
    operations = shop.job_ptr[b, shop.n_jobs[b]]
    most = shop.work[b].max() + 1
    order = np.argsort(
        shop.machine[b, :operations] * most + shop.work[b, :operations] - shop.duration[b, :operations],
        kind="mergesort",
    )
    scratch.by_tail[b, :operations] = order
    scratch.tail_next[b, :] = 0
    scratch.tail_end[b, :] = 0
    for m in range(shop.n_machines[b]):
        scratch.tail_next[b, m] = scratch.tail_end[b, m - 1] if m > 0 else 0
        end = scratch.tail_next[b, m]
        while end < operations and shop.machine[b, order[end]] == m:
            end += 1
        scratch.tail_end[b, m] = end


@njit(cache=False, **KERNEL)
def tighten_bound(shop: ShopArrays, state: ShopState, scratch: Scratch, b: int, bound: int) -> None:
    """Raise the bound of copy ``b`` to ``bound`` and to each machine's: idle from + work left + shortest tail left."""
    bound = max(bound, scratch.bound[b])
    clock = state.clock[b]
    for m in range(shop.n_machines[b]):
        at = scratch.tail_next[b, m]
        while at < scratch.tail_end[b, m] and state.start[b, scratch.by_tail[b, at]] >= 0:
            at += 1
        scratch.tail_next[b, m] = at
        if state.machine_work[b, m] > 0:
            o = scratch.by_tail[b, at]
            tail = shop.work[b, o] - shop.duration[b, o]
            bound = max(bound, max(state.machine_ready[b, m], clock) + state.machine_work[b, m] + tail)
    scratch.bound[b] = bound


@njit(cache=False)  # calls what allocates
def observe_route(shop: ShopArrays, state: ShopState, scratch: Scratch, seen: ShopObservation, b: int) -> None:
    """Write what is constant over the episode of copy ``b``; call right after its reset."""
    jobs = shop.n_jobs[b]
    operations = shop.job_ptr[b, jobs]
    total = 0
    most = 0
    for j in range(jobs):
        total += shop.work[b, shop.job_ptr[b, j]]
        most = max(most, shop.job_ptr[b, j + 1] - shop.job_ptr[b, j])
    scratch.mean_duration[b] = max(total / operations, 1e-9)
    scratch.most_operations[b] = most
    _sort_by_tail(shop, scratch, b)
    scratch.bound[b] = 0
    tighten_bound(shop, state, scratch, b, lower_bound(shop, state, b))
    scratch.first_bound[b] = max(scratch.bound[b], 1)
    d = scratch.mean_duration[b]
    bound = float(scratch.first_bound[b])
    seen.operations[b] = 0.0
    seen.jobs[b] = 0.0
    seen.machines[b] = 0.0
    seen.route[b] = 0.0
    seen.next_operation[b] = -1
    seen.operation_job[b] = -1
    seen.operation_machine[b] = -1
    for j in range(jobs):
        first, last = shop.job_ptr[b, j], shop.job_ptr[b, j + 1]
        for o in range(first, last):
            m = shop.machine[b, o]
            seen.operation_job[b, o] = j
            seen.operation_machine[b, o] = m
            seen.route[b, o, 0] = shop.duration[b, o] / (2 * d)
            seen.route[b, o, 1] = (shop.work[b, first] - shop.work[b, o]) / bound
            seen.route[b, o, 2] = (shop.work[b, o] - shop.duration[b, o]) / bound
            seen.route[b, o, 3] = (o - first) / (last - first)
            seen.route[b, o, 4] = state.machine_work[b, m] / bound
            seen.route[b, o, 5] = shop.work[b, first] / bound


@njit(cache=False, **KERNEL)
def _observe_queues(shop: ShopArrays, state: ShopState, queue: NDArray[np.int64], b: int) -> tuple[int, int]:
    """Fill ``queue``; return (number of unfinished jobs, most work left of a job)."""
    queue[:] = 0
    unfinished, most_work = 0, 0
    for j in range(shop.n_jobs[b]):
        o = state.next_operation[b, j]
        if o < shop.job_ptr[b, j + 1]:
            m = shop.machine[b, o]
            p, work = shop.duration[b, o], shop.work[b, o]
            begin = max(state.job_ready[b, j], state.machine_ready[b, m])
            unfinished += 1
            most_work = max(most_work, work)
            row = queue[m]
            if row[COUNT] == 0:
                row[SHORTEST] = p
                row[FIRST_BEGIN] = begin
                row[FIRST_END] = begin + p
            else:
                row[SHORTEST] = min(row[SHORTEST], p)
                row[FIRST_BEGIN] = min(row[FIRST_BEGIN], begin)
                if begin + p < row[FIRST_END]:
                    row[SECOND_END] = row[FIRST_END]
                    row[FIRST_END] = begin + p
                elif row[COUNT] == 1 or begin + p < row[SECOND_END]:
                    row[SECOND_END] = begin + p
            if work > row[LONGEST_REST]:
                row[SECOND_REST] = row[LONGEST_REST]
                row[LONGEST_REST] = work
            elif work > row[SECOND_REST]:
                row[SECOND_REST] = work
            row[COUNT] += 1
            if o > shop.job_ptr[b, j] and state.holder[b, shop.machine[b, o - 1]] == j:
                row[UNDER_WAY] += 1
                row[WORK_UNDER_WAY] += p
            row[WORK] += p
    return unfinished, most_work


@njit(cache=False, **KERNEL)
def _observe_holds(shop: ShopArrays, state: ShopState, scratch: Scratch, b: int, j: int, x: F32) -> None:
    """Write what concerns machines that are held by jobs, for job ``j`` with features ``x``; zero with buffers."""
    o = state.next_operation[b, j]
    m = shop.machine[b, o]
    if o + 1 < shop.job_ptr[b, j + 1]:
        after = shop.machine[b, o + 1]
        holder = state.holder[b, after]
        if holder >= 0 and holder != j:
            x[26] = 1.0
            upcoming = state.next_operation[b, holder]
            x[29] = upcoming < shop.job_ptr[b, holder + 1] and shop.machine[b, upcoming] == m
        x[30] = squash(scratch.queue[after, UNDER_WAY] * 0.5)
    if o > shop.job_ptr[b, j]:
        mine = shop.machine[b, o - 1]
        if state.holder[b, mine] == j:
            own = mine == m
            x[27] = squash((scratch.queue[mine, UNDER_WAY] - own) * 0.5)
            x[28] = squash((scratch.queue[mine, WORK_UNDER_WAY] - own * shop.duration[b, o]) / scratch.mean_duration[b])
            x[31] = 1.0


@njit(cache=False, **KERNEL)
def observe_jobs(
    shop: ShopArrays, state: ShopState, scratch: Scratch, seen: ShopObservation, b: int, candidates_only: bool
) -> None:
    """Write jobs (of the candidates alone, the others zero, on request), machines, shop, next_operation of copy ``b``."""
    jobs, machines = shop.n_jobs[b], shop.n_machines[b]
    clock = state.clock[b]
    bound = scratch.bound[b]
    per_mean = 1.0 / scratch.mean_duration[b]
    rest = float(max(bound - clock, 1))
    per_rest = 1.0 / rest
    per_most = 1.0 / scratch.most_operations[b]
    queue = scratch.queue
    unfinished, most_work = _observe_queues(shop, state, queue, b)
    share = 1.0 / max(unfinished, 1)
    busiest, load, total = -1, -1, 0
    for m in range(machines):
        work = state.machine_work[b, m]
        total += work
        if work > 0 and state.machine_ready[b, m] + work > load:
            load = state.machine_ready[b, m] + work
            busiest = m
        until = max(state.machine_ready[b, m] - clock, 0)
        row = seen.machines[b, m]
        row[0] = until > 0
        row[1] = squash(until * per_mean)
        row[2] = work * per_rest
        row[3] = queue[m, COUNT] * share
        row[4] = state.down[b, m]
    for j in range(jobs):
        x = seen.jobs[b, j]
        x[:] = 0.0
        o, last = state.next_operation[b, j], shop.job_ptr[b, j + 1]
        if o >= last:
            seen.next_operation[b, j] = -1
            continue
        seen.next_operation[b, j] = o
        if candidates_only and not state.candidate[b, j]:
            continue
        m, p, work = shop.machine[b, o], shop.duration[b, o], shop.work[b, o]
        line = queue[m]
        idle = state.machine_ready[b, m]
        begin = max(state.job_ready[b, j], idle)
        now = max(begin, clock)
        slack = now + work - bound
        x[0] = state.candidate[b, j]
        x[1] = p * per_mean * 0.5
        x[2] = work * per_rest
        x[3] = slack * per_rest
        x[4] = (last - o) * per_most
        x[5] = squash((clock - state.job_ready[b, j]) * per_mean)
        x[6] = state.machine_work[b, m] * per_rest
        at = scratch.by_tail[b, scratch.tail_next[b, m]]
        x[7] = (
            max(idle, clock) + state.machine_work[b, m] + shop.work[b, at] - shop.duration[b, at] - bound
        ) * per_rest
        x[8] = line[COUNT] * share
        if o + 1 < last:
            after = shop.machine[b, o + 1]
            x[9] = squash((state.machine_ready[b, after] - now - p) * per_mean)
            x[10] = state.machine_work[b, after] * per_rest
            x[11] = squash(queue[after, WORK] * per_mean)
            x[12] = shop.duration[b, o + 1] * per_mean * 0.5
        else:
            x[13] = 1.0
        x[14] = work / max(line[LONGEST_REST], 1)
        x[15] = squash((p - line[SHORTEST]) * per_mean)
        x[16] = 1.0
        crowd = 0
        for k in range(o, last):
            route = shop.machine[b, k]
            crowd += shop.duration[b, k] * state.machine_work[b, route]
            if route == busiest and x[16] == 1.0:
                x[16] = squash((work - shop.work[b, k]) * per_mean)
                x[17] = shop.duration[b, k] * per_mean * 0.5
        x[18] = squash((begin - line[FIRST_BEGIN]) * per_mean)
        x[19] = (last - o) / (last - shop.job_ptr[b, j])
        x[20] = crowd * per_rest / max(work, 1)
        x[22] = state.down[b, m]
        if line[COUNT] > 1:
            behind = line[SECOND_REST] if work == line[LONGEST_REST] else line[LONGEST_REST]
            x[21] = squash((now + p + behind - bound) * per_rest)
            ahead = line[SECOND_END] if begin + p == line[FIRST_END] else line[FIRST_END]
            x[23] = squash((max(ahead, clock) + work - bound) * per_rest)
        else:
            x[21] = -1.0
            x[23] = -1.0
        x[24] = squash((work - line[LONGEST_REST]) * per_mean * 0.5)
        x[25] = squash(slack * per_mean * 0.25)
        _observe_holds(shop, state, scratch, b, j, x)
    y = seen.shop[b]
    y[0] = state.left[b] / shop.job_ptr[b, jobs]
    y[1] = squash(rest * per_mean * 0.1)
    y[2] = unfinished / jobs
    y[3] = jobs / (jobs + machines)
    y[4] = (bound - scratch.first_bound[b]) / scratch.first_bound[b]
    y[5] = state.n_candidates[b] / jobs
    y[6] = total / (machines * rest)
    y[7] = most_work / rest
    held, blocked = 0, 0
    for m in range(machines):
        holder = state.holder[b, m]
        if holder >= 0:
            held += 1
            blocked += state.job_ready[b, holder] <= clock
    y[8] = held / machines
    y[9] = blocked / machines


@njit(cache=False, **KERNEL)
def observe_operations(shop: ShopArrays, state: ShopState, scratch: Scratch, seen: ShopObservation, b: int) -> None:
    """Write the nodes of the typed graph of copy ``b``: operations in the states of Park et al. 2021, section 4.1."""
    clock = state.clock[b]
    d = scratch.mean_duration[b]
    bound = float(max(scratch.bound[b], 1))
    for j in range(shop.n_jobs[b]):
        first, last, upcoming = shop.job_ptr[b, j], shop.job_ptr[b, j + 1], state.next_operation[b, j]
        work = max(shop.work[b, first], 1)
        undone = shop.work[b, upcoming] if upcoming < last else 0
        ratio = 1.0 - undone / work
        left = (last - upcoming) / scratch.most_operations[b]
        ready = state.job_ready[b, j]
        for o in range(first, last):
            x = seen.operations[b, o]
            p = shop.duration[b, o]
            x[0] = 0.0
            x[1] = 0.0
            x[2] = 0.0
            x[3] = 0.0
            x[4] = p / d
            x[5] = ratio
            x[6] = left
            x[7] = 0.0
            x[8] = 0.0
            if o < upcoming:
                end = state.start[b, o] + p
                if o == upcoming - 1 and ready > clock:
                    x[1] = 1.0
                    x[8] = (ready - clock) / d
                    end = ready
                else:
                    x[3] = 1.0
                x[9] = end / bound
            else:
                if o == upcoming and ready <= clock:
                    x[2] = 1.0
                    x[7] = squash((clock - ready) / d)
                else:
                    x[0] = 1.0
                x[9] = (max(ready, clock) + undone - shop.work[b, o] + p) / bound
