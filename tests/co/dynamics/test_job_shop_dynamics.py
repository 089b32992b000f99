from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.dynamics import job_shop as dynamics
from optgap.co.dynamics.job_shop import ACTIVE, ANY_MACHINE, NEVER, NON_DELAY, ONE_MACHINE
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance


@st.composite
def shops(draw: Any, most_jobs: int = 5, most_operations: int = 5, longest: int = 5) -> JobShopInstance:
    """Instances with recirculation, jobs of different lengths, releases and durations of zero."""
    machines = draw(st.integers(1, 4))
    operation = st.tuples(st.integers(0, machines - 1), st.integers(0, longest))
    jobs = draw(st.lists(st.lists(operation, min_size=1, max_size=most_operations), min_size=1, max_size=most_jobs))
    return JobShopInstance(
        job_ptr=np.cumsum([0] + [len(job) for job in jobs]),
        machine=np.array([m for job in jobs for m, _ in job]),
        duration=np.array([p for job in jobs for _, p in job]),
        release=np.array([draw(st.integers(0, 6)) for _ in jobs]),
        n_machines=machines,
    )


def play(instance: JobShopInstance, seed: int, scheme: int, scope: int, waits: float = 0.0) -> tuple[np.ndarray, int]:
    """(start times, makespan) of a random policy, in the second copy of a batch; bounds are watched on the way."""
    rng = np.random.default_rng(seed)
    shop, state = dynamics.load([JobShopInstance.from_matrix([[0]], [[1]]), instance])
    dynamics.reset(shop, state, 1)
    bounds = []
    while dynamics.find_candidates(shop, state, 1, scheme, scope):
        bounds.append(dynamics.lower_bound(shop, state, 1))
        if rng.random() < waits and dynamics.next_event(shop, state, 1) < NEVER:
            dynamics.wait_for_event(shop, state, 1)
        else:
            dynamics.dispatch(shop, state, 1, int(rng.choice(np.flatnonzero(state.candidate[1]))), scheme)
    makespan = int(state.makespan[1])
    assert bounds == sorted(bounds)
    assert bounds[-1] <= makespan
    return state.start[1, : instance.n_operations], makespan


@settings(max_examples=200)
@given(
    shops(),
    st.integers(0, 2**32),
    st.sampled_from([(NON_DELAY, ANY_MACHINE, 0.3), (NON_DELAY, ONE_MACHINE, 0.3), (ACTIVE, ONE_MACHINE, 0.0)]),
)
def test_every_policy_ends_with_a_schedule_that_passes_the_check(
    instance: JobShopInstance, seed: int, form: tuple[int, int, float]
) -> None:
    start, makespan = play(instance, seed, *form)
    JOB_SHOP.check(instance, start)
    assert JOB_SHOP.cost(instance, start) == makespan
    assert makespan >= instance.lower_bound()


@settings(max_examples=100)
@given(shops(), st.integers(0, 2**32), st.sampled_from([ANY_MACHINE, ONE_MACHINE]))
def test_non_delay_schedules_leave_no_machine_idle_that_a_ready_job_could_take(
    instance: JobShopInstance, seed: int, scope: int
) -> None:
    start, _ = play(instance, seed, NON_DELAY, scope)
    end = start + instance.duration
    for o in range(instance.n_operations):
        j = instance.job[o]
        ready = instance.release[j] if o == instance.job_ptr[j] else end[o - 1]
        on = instance.machine == instance.machine[o]
        busy = np.maximum(np.minimum(end[on], start[o]) - np.maximum(start[on], ready), 0).sum()
        assert busy == max(start[o] - ready, 0)


@settings(max_examples=25)
@given(shops(most_jobs=3, most_operations=3, longest=3))
def test_active_schedules_contain_an_optimal_one(instance: JobShopInstance) -> None:
    shop, state = dynamics.load([instance])
    dynamics.reset(shop, state, 0)
    dynamics.find_candidates(shop, state, 0, ACTIVE, ONE_MACHINE)
    best, stack = NEVER, [state]
    while stack:
        state = stack.pop()
        if state.left[0] == 0:
            best = min(best, int(state.makespan[0]))
        for j in np.flatnonzero(state.candidate[0]):
            after = type(state)(*(array.copy() for array in state))
            dynamics.dispatch(shop, after, 0, j, ACTIVE)
            dynamics.find_candidates(shop, after, 0, ACTIVE, ONE_MACHINE)
            stack.append(after)
    assert best == best_of_all_orders(instance)


def best_of_all_orders(instance: JobShopInstance) -> int:
    """Least makespan over all interleavings of the jobs, each operation as early as those before it allow."""
    best = NEVER
    stack = [((0,) * instance.n_jobs, tuple(instance.release.tolist()), (0,) * instance.n_machines)]
    while stack:
        done, job_free, machine_free = stack.pop()
        if sum(done) == instance.n_operations:
            best = min(best, max(job_free))
        for j in range(instance.n_jobs):
            o = int(instance.job_ptr[j]) + done[j]
            if o < instance.job_ptr[j + 1]:
                m = instance.machine[o]
                end = max(job_free[j], machine_free[m]) + int(instance.duration[o])
                stack.append((put(done, j, done[j] + 1), put(job_free, j, end), put(machine_free, m, end)))
    return best


def put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])
