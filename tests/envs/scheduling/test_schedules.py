"""Which schedules the environment can build, against their definitions, by enumeration of toy instances."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.envs.scheduling.env import JobShopEnv

Schedule = tuple[int, ...]


@st.composite
def toys(draw: Any, shortest: int = 1) -> JobShopInstance:
    """Three jobs of at most seven operations together, with recirculation and release dates."""
    machines = draw(st.integers(1, 3))
    operation = st.tuples(st.integers(0, machines - 1), st.integers(shortest, 4))
    jobs = draw(st.lists(st.lists(operation, min_size=1, max_size=3), min_size=1, max_size=3))
    while sum(map(len, jobs)) > 7:
        max(jobs, key=len).pop()
    pairs = [pair for job in jobs for pair in job]
    return JobShopInstance(
        job_ptr=np.cumsum([0] + [len(job) for job in jobs]),
        machine=np.array([m for m, _ in pairs]),
        duration=np.array([p for _, p in pairs]),
        release=np.array(draw(st.lists(st.integers(0, 3), min_size=len(jobs), max_size=len(jobs)))),
        n_machines=machines,
    )


def reached(instance: JobShopInstance, **options: Any) -> set[Schedule]:
    """The schedules at the ends of all sequences of allowed actions."""
    env = JobShopEnv(instances=[instance], graph=False, **options)
    found: set[Schedule] = set()
    stack: list[list[int]] = [[]]
    while stack:
        actions = stack.pop()
        env.reset()
        done = False
        for action in actions:
            _, _, done, _, info = env.step(action)
        while not done:
            first, *rest = np.flatnonzero(env.action_masks()).tolist()
            stack += [[*actions, action] for action in rest]
            actions.append(first)
            _, _, done, _, info = env.step(first)
        found.add(tuple(info["solution"].tolist()))
    return found


def semi_active(instance: JobShopInstance) -> set[Schedule]:
    """Every order of the machines, each operation as early as the order allows."""
    found: set[Schedule] = set()

    def extend(start: dict[int, int], upcoming: list[int], job_end: list[int], machine_end: list[int]) -> None:
        if len(start) == instance.n_operations:
            found.add(tuple(start[o] for o in range(instance.n_operations)))
            return
        for j, o in enumerate(upcoming):
            if o < instance.job_ptr[j + 1]:
                m = instance.machine[o]
                begin = max(job_end[j], machine_end[m])
                end = begin + int(instance.duration[o])
                jobs, machines = job_end.copy(), machine_end.copy()
                jobs[j], machines[m] = end, end
                extend(start | {o: begin}, [k + (i == j) for i, k in enumerate(upcoming)], jobs, machines)

    extend({}, instance.job_ptr[:-1].tolist(), instance.release.tolist(), [0] * instance.n_machines)
    return found


def ready(instance: JobShopInstance, start: Schedule, o: int) -> int:
    """When the job of ``o`` is ready for it."""
    j = int(instance.job[o])
    return int(instance.release[j]) if o == instance.job_ptr[j] else start[o - 1] + int(instance.duration[o - 1])


def is_active(instance: JobShopInstance, start: Schedule) -> bool:
    """No operation could start earlier with all others where they are."""
    for o, begin in enumerate(start):
        m, length = instance.machine[o], instance.duration[o]
        busy = [(s, s + int(instance.duration[k])) for k, s in enumerate(start) if k != o and instance.machine[k] == m]
        for t in range(ready(instance, start, o), begin):
            if all(t + length <= a or b <= t for a, b in busy):
                return False
    return True


def is_non_delay(instance: JobShopInstance, start: Schedule) -> bool:
    """No machine is idle while a job waits for it."""
    for o, begin in enumerate(start):
        on = np.flatnonzero(instance.machine == instance.machine[o])
        for t in range(ready(instance, start, o), begin):
            if not any(start[k] <= t < start[k] + instance.duration[k] for k in on):
                return False
    return True


def best(instance: JobShopInstance, schedules: set[Schedule]) -> float:
    for schedule in schedules:
        JOB_SHOP.check(instance, np.array(schedule))
    return min(JOB_SHOP.cost(instance, np.array(schedule)) for schedule in schedules)


@settings(max_examples=40)
@given(toys())
def test_active_schedules_are_reached_and_no_others(instance: JobShopInstance) -> None:
    everything = semi_active(instance)
    expected = {schedule for schedule in everything if is_active(instance, schedule)}
    assert reached(instance, schedule="active") == expected
    assert best(instance, expected) == best(instance, everything)


@settings(max_examples=40)
@given(toys())
def test_non_delay_schedules_are_reached_and_no_others(instance: JobShopInstance) -> None:
    expected = {schedule for schedule in semi_active(instance) if is_non_delay(instance, schedule)}
    assert reached(instance, candidates="shop") == expected
    assert reached(instance, candidates="machine") == expected


@settings(max_examples=15)
@given(toys())
def test_waiting_reaches_every_schedule_that_is_not_late_without_reason(instance: JobShopInstance) -> None:
    assert reached(instance, wait=True) >= semi_active(instance)


@settings(max_examples=25)
@given(toys(shortest=0), st.sampled_from(["shop", "machine"]), st.sampled_from(["non-delay", "active"]), st.booleans())
def test_autoplay_changes_no_schedule(instance: JobShopInstance, candidates: str, schedule: str, wait: bool) -> None:
    options = {"candidates": candidates, "schedule": schedule, "wait": wait and schedule == "non-delay"}
    assert reached(instance, **options) == reached(instance, **options, autoplay=True)


@settings(max_examples=25)
@given(toys(shortest=0))
def test_durations_of_zero_hide_no_optimum(instance: JobShopInstance) -> None:
    optimum = best(instance, semi_active(instance))
    assert best(instance, reached(instance, schedule="active")) == optimum
    assert best(instance, reached(instance, wait=True)) == optimum


def test_no_wait_reaches_the_optimum_that_non_delay_misses() -> None:
    # Job 0 blocks machine 0 for 10 if it may start at 0; job 1 comes at 1 and still has 10 to do elsewhere.
    instance = JobShopInstance(job_ptr=[0, 1, 3], machine=[0, 0, 1], duration=[10, 1, 10], release=[0, 1], n_machines=2)
    assert best(instance, reached(instance)) == 21
    assert best(instance, reached(instance, wait=True)) == 12
    assert best(instance, reached(instance, wait=True, candidates="machine")) == 12
    assert best(instance, reached(instance, schedule="active")) == 12


def test_a_machine_that_decides_alone_cannot_wait_for_what_has_not_begun() -> None:
    # Machine 0 decides first, with nothing under way: job 1 will come to it at 1, but only once it has begun elsewhere.
    instance = JobShopInstance(
        job_ptr=[0, 1, 4], machine=[0, 1, 0, 2], duration=[10, 1, 1, 10], release=[0, 0], n_machines=3
    )
    assert best(instance, reached(instance, wait=True)) == 12
    assert best(instance, reached(instance, wait=True, candidates="machine")) == 21


def test_waiting_ends_when_a_machine_that_a_job_waits_for_is_idle() -> None:
    # Job 0 waits for machine 0 until 5, when the last operation of job 1 ends, and job 2 comes at 9.
    instance = JobShopInstance(
        job_ptr=[0, 1, 2, 3, 4], machine=[0, 0, 1, 1], duration=[3, 5, 7, 7], release=[1, 0, 1, 9], n_machines=2
    )
    env = JobShopEnv(instances=[instance], wait=True)
    env.reset()
    clocks = []
    for action in (1, 4, 4):
        env.step(action)
        clocks.append(int(env.batch.state.clock[0]))
    assert clocks == [1, 5, 9]


@pytest.mark.parametrize("options", [{}, {"schedule": "active"}, {"wait": True, "candidates": "machine"}])
@pytest.mark.parametrize("seed", range(3))
def test_random_episodes_of_ft06_end_above_its_optimum(options: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    env = JobShopEnv(instances="ft06", **options)
    env.reset()
    done, bounds = False, []
    while not done:
        _, _, done, _, info = env.step(rng.choice(np.flatnonzero(env.action_masks())))
        bounds.append(info["lower_bound"])
    assert all(a <= b for a, b in pairwise(bounds))
    assert info["makespan"] >= 55
