"""Windows, modes and propagation of the exact models, against the problem's own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.exact import disjunctive
from optgap.co.exact.disjunctive import Disjunctive
from optgap.co.exact.shop_times import completion, earliest_up, latest_start, shop_of
from optgap.co.heuristics.dispatching import best_rule_schedule
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop


@st.composite
def one_job(draw: st.DrawFn) -> BlockingJobShopInstance:
    """One job of one operation on the second of two machines, both with down-times."""
    edges = [sorted(draw(st.sets(st.integers(0, 25), max_size=10))) for _ in range(2)]
    edges = [points[: len(points) // 2 * 2] for points in edges]
    return BlockingJobShopInstance(
        job_ptr=np.array([0, 1]),
        machine=np.array([1]),
        duration=np.array([draw(st.integers(0, 8))]),
        release=np.array([0]),
        n_machines=2,
        down_ptr=np.cumsum([0, *(len(points) // 2 for points in edges)]),
        down_start=np.array([t for points in edges for t in points[::2]], np.int64),
        down_end=np.array([t for points in edges for t in points[1::2]], np.int64),
    )


def up_moments(instance: BlockingJobShopInstance, until: int) -> list[int]:
    begin, end = instance.windows(1)
    return [t for t in range(until) if not np.any((begin <= t) & (t < end))]


@given(instance=one_job(), time=st.integers(0, 30))
def test_times_with_interruptions_follow_the_definition(instance: BlockingJobShopInstance, time: int) -> None:
    shop, duration = shop_of(instance), int(instance.duration[0])
    moments = up_moments(instance, 100)
    assert earliest_up(shop, 0, time) == min(t for t in moments if t >= time)
    for t in up_moments(instance, 40):
        assert completion(shop, 0, t) == instance.completion(0, t)
    in_time = [t for t in moments if instance.completion(0, t) <= time]
    assert latest_start(shop, 0, time, duration) == max(in_time, default=-1)


@given(instance=one_job(), start=st.integers(0, 30))
def test_modes_cover_every_start_once_with_its_delay(instance: BlockingJobShopInstance, start: int) -> None:
    schedule = np.array([min(t for t in up_moments(instance, 100) if t >= start)])
    shop = Disjunctive(instance, schedule)
    covered = {t: mode.delay for mode in shop.modes[0] for t in range(mode.low, mode.high + 1)}
    assert sum(mode.high - mode.low + 1 for mode in shop.modes[0]) == len(covered)
    possible = [t for t in up_moments(instance, 100) if instance.completion(0, t) <= shop.upper]
    assert sorted(covered) == possible
    duration = int(instance.duration[0])
    assert all(delay == instance.completion(0, t) - t - duration for t, delay in covered.items())


def test_the_bound_of_ft10_is_the_one_machine_bound() -> None:
    # 808: the preemptive one-machine bound of ft10 (Carlier and Pinson 1989)
    instance = load_job_shop("ft10")
    assert Disjunctive(instance, best_rule_schedule(instance)).lower == 808


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), blocking=st.booleans())
def test_schedules_made_from_any_times_are_feasible(seed: int, blocking: bool) -> None:
    rng = np.random.default_rng(seed)
    problem = BLOCKING_JOB_SHOP if blocking else JOB_SHOP
    instance = problem.generate(rng, jobs=4, machines=3, high=9)
    shop = Disjunctive(instance, best_rule_schedule(instance))
    times = rng.uniform(0, shop.upper, instance.n_operations)
    problem.check(instance, shop.dispatched(times))
    shifted = shop.left_shifted(times, shop.upper)
    assert shifted is None or problem.check(instance, shifted) is None
    # what is feasible already keeps its order and ends no later
    again = shop.left_shifted(shop.dispatched(times).astype(float), 10**6)
    assert again is not None
    assert shop.makespan(again) <= shop.makespan(shop.dispatched(times))


def test_an_instance_too_large_for_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = JobShopInstance.from_matrix(np.zeros((700, 1), int), np.ones((700, 1), int), name="large")
    with pytest.raises(InputError, match="large: 244650 pairs of operations share a machine"):
        Disjunctive(instance, np.arange(700))
    monkeypatch.setattr(disjunctive, "SIZE_LIMIT", 5)
    begin = np.arange(1, 30, 3)
    machine = {"machine": np.array([0]), "n_machines": 1, "down_ptr": np.array([0, 10])}
    job = {"job_ptr": np.array([0, 1]), "duration": np.array([2]), "release": np.array([0])}
    flicker = BlockingJobShopInstance(**machine, **job, down_start=begin, down_end=begin + 1)
    with pytest.raises(InputError, match="ways for operations to meet down-times"):
        Disjunctive(flicker, np.array([30]))
