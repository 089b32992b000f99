"""SCIP and CP-SAT on both job shops: known optima, exhaustive enumeration, and how they stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, MissingExtraError, Result, Status, solve
from optgap.co.exact.disjunctive import Disjunctive
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop

BOTH = pytest.mark.parametrize("solver", ["scip", "cp-sat"])


def run(solver: str, instance: JobShopInstance, seconds: float = 60, seed: int = 0) -> Result:
    problem = "blocking-job-shop" if isinstance(instance, BlockingJobShopInstance) else "job-shop"
    return solve(SOLVERS.load(f"{problem}/{solver}"), PROBLEMS.load(problem), instance, Budget(seconds, seed=seed))


def blocking(
    jobs: list[list[tuple[int, int]]], windows: dict[int, list[tuple[int, int]]], release: list[int] | None = None
) -> BlockingJobShopInstance:
    """From (machine, duration) pairs a job and windows a machine."""
    machines = 1 + max(m for job in jobs for m, _ in job)
    down = [windows.get(m, []) for m in range(machines)]
    return BlockingJobShopInstance(
        job_ptr=np.cumsum([0, *map(len, jobs)]),
        machine=np.array([m for job in jobs for m, _ in job]),
        duration=np.array([p for job in jobs for _, p in job]),
        release=np.array(release or [0] * len(jobs)),
        n_machines=machines,
        down_ptr=np.cumsum([0, *map(len, down)]),
        down_start=np.array([begin for part in down for begin, _ in part], np.int64),
        down_end=np.array([end for part in down for _, end in part], np.int64),
    )


def plain(instance: BlockingJobShopInstance) -> JobShopInstance:
    """The same jobs with buffers and without down-times."""
    names = ("job_ptr", "machine", "duration", "release", "n_machines")
    return JobShopInstance(**{name: getattr(instance, name) for name in names})


def enumerate_optimum(instance: JobShopInstance) -> int:
    """The optimal makespan by walking through every reachable state, one time unit after another.

    A state holds, for every job, how many operations it has started and what is left of the last one. Written from the
    problem's text alone; durations must be at least 1.
    """
    holding = isinstance(instance, BlockingJobShopInstance)
    jobs = [range(instance.job_ptr[j], instance.job_ptr[j + 1]) for j in range(instance.n_jobs)]
    machine = instance.machine.tolist()

    def up(m: int, t: int) -> bool:
        if not isinstance(instance, BlockingJobShopInstance):
            return True
        begin, end = instance.windows(m)
        return not np.any((begin <= t) & (t < end))

    def held(state: tuple[tuple[int, int], ...]) -> list[int]:
        machines = []
        for (count, left), job in zip(state, jobs, strict=True):
            if count > 0 and (left > 0 or (holding and count < len(job))):
                machines.append(machine[job[count - 1]])
        return machines

    states = {((0, 0),) * instance.n_jobs}
    for t in range(10_000):
        if any(
            all(count == len(job) and left == 0 for (count, left), job in zip(s, jobs, strict=True)) for s in states
        ):
            return t
        is_up = [up(m, t) for m in range(instance.n_machines)]
        following = set()
        for state in states:
            ready = [
                j
                for j, (count, left) in enumerate(state)
                if left == 0
                and count < len(jobs[j])
                and (count > 0 or instance.release[j] <= t)
                and is_up[machine[jobs[j][count]]]
            ]
            for moving in chain.from_iterable(combinations(ready, k) for k in range(len(ready) + 1)):
                after = list(state)
                for j in moving:
                    count = state[j][0]
                    after[j] = (count + 1, int(instance.duration[jobs[j][count]]))
                if len(set(occupied := held(tuple(after)))) < len(occupied):
                    continue
                for j, (count, left) in enumerate(after):
                    if left > 0 and is_up[machine[jobs[j][count - 1]]]:
                        after[j] = (count, left - 1)
                following.add(tuple(after))
        states = following
    raise AssertionError("no schedule")


@st.composite
def toys(draw: st.DrawFn) -> BlockingJobShopInstance:
    """2 or 3 jobs of 1 to 3 operations on 2 or 3 machines, durations 1..4, recirculation, releases, a few windows."""
    machines = draw(st.integers(2, 3))
    operation = st.tuples(st.integers(0, machines - 1), st.integers(1, 4))
    jobs = draw(st.lists(st.lists(operation, min_size=1, max_size=3), min_size=2, max_size=3))
    jobs[0].append((machines - 1, 1))  # so that every machine exists
    windows = {}
    for m in range(machines):
        points = sorted(draw(st.sets(st.integers(0, 14), max_size=4)))
        windows[m] = list(zip(points[::2], points[1::2], strict=False))
    return blocking(jobs, windows, [draw(st.integers(0, 3)) for _ in jobs])


@settings(max_examples=40)
@given(toy=toys(), buffers=st.booleans())
def test_both_solvers_agree_with_enumeration(toy: BlockingJobShopInstance, buffers: bool) -> None:
    instance = plain(toy) if buffers else toy
    optimum = enumerate_optimum(instance)
    for solver in ("scip", "cp-sat"):
        result = run(solver, instance)
        assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, optimum, optimum), solver


@settings(max_examples=25)
@given(toy=toys(), zeros=st.sets(st.integers(0, 5), max_size=4))
def test_the_solvers_agree_where_some_durations_are_zero(toy: BlockingJobShopInstance, zeros: set[int]) -> None:
    duration = toy.duration.copy()
    duration[[o for o in zeros if o < len(duration)]] = 0
    names = ("job_ptr", "machine", "release", "n_machines", "down_ptr", "down_start", "down_end")
    instance = BlockingJobShopInstance(**{name: getattr(toy, name) for name in names}, duration=duration)
    for shop in (instance, plain(instance)):
        scip, cp_sat = run("scip", shop), run("cp-sat", shop)
        assert scip.status is cp_sat.status is Status.OPTIMAL
        assert scip.cost == cp_sat.cost


@BOTH
def test_jobs_that_block_each_other_swap(solver: str) -> None:
    # job 0 ends on machine 0 at 3 and waits for job 1, which ends on machine 1 at 5; they swap; 5 + 4 and 5 + 2.
    # machine 1 alone has 5 + 4 = 9 to do, so 9 is optimal; one job after the other would take 14
    result = run(solver, blocking([[(0, 3), (1, 4)], [(1, 5), (0, 2)]], {}))
    assert (result.status, result.cost) == (Status.OPTIMAL, 9)
    assert result.solution.tolist() == [0, 5, 0, 5]


@BOTH
def test_a_swap_waits_until_both_machines_are_up(solver: str) -> None:
    # as above with machine 1 down in [5, 7): job 1 ends at 5, before the window; job 0 cannot start on machine 1 before
    # 7, so both move at 7, and job 0 ends at 11. Job 0 wholly first: 9 (interrupted) + 5 + 2 = 16; job 1 wholly first,
    # job 0 entering machine 0 at 7: 14
    result = run(solver, blocking([[(0, 3), (1, 4)], [(1, 5), (0, 2)]], {1: [(5, 7)]}))
    assert (result.status, result.cost) == (Status.OPTIMAL, 11)


@BOTH
def test_an_interruption_is_weighed_against_waiting(solver: str) -> None:
    # one machine, down in [2, 5) and [6, 8): the job of 4 at 0 has 2 done at 2, 3 at 6, 4 at 9. The job of 2 first: done at
    # 2, then the job of 4 from 5: 1 done at 6, 4 at 11. The job of 4 first: 9, then 2 more: 11. Work time says 6 units
    # of up-time end at 11 whatever the order
    result = run(solver, blocking([[(0, 4)], [(0, 2)]], {0: [(2, 5), (6, 8)]}))
    assert (result.status, result.cost) == (Status.OPTIMAL, 11)
    # alone: 2 units before the window, 2 after it, the second window is met at 6: 5..6 and 8..9
    result = run(solver, blocking([[(0, 4)]], {0: [(2, 5), (6, 8)]}))
    assert (result.status, result.cost) == (Status.OPTIMAL, 9)


@BOTH
def test_ft06(solver: str) -> None:
    result = run(solver, load_job_shop("ft06"))
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 55, 55)


def test_cp_sat_proves_ft10() -> None:
    result = run("cp-sat", load_job_shop("ft10"))
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 930, 930)


@BOTH
@pytest.mark.parametrize("name", ["ta21", "blocking-15x15-p10-s0"])
def test_the_time_limit_holds_and_the_history_is_monotone(solver: str, name: str) -> None:
    run(solver, load_job_shop("ft06"), 1)  # imports and compilation are not what is measured
    run(solver, load_job_shop("blocking-3x3-p10-s0"), 1)
    instance = load_job_shop(name)
    result = run(solver, instance, 2.0)
    assert result.wall_seconds < 8  # presolving looks at the clock now and then
    assert result.status is Status.FEASIBLE
    assert result.cost is not None
    assert result.bound is not None
    assert result.bound < result.cost == result.incumbents[-1].cost
    if instance.best_known is not None:
        assert result.bound <= instance.best_known.upper <= result.cost
    for before, after in zip(result.incumbents[:-1], result.incumbents[1:], strict=True):
        assert before.seconds <= after.seconds
        assert before.cost >= after.cost
        assert (before.bound or 0) <= (after.bound or 0)


@BOTH
def test_a_budget_too_short_to_build_a_model_still_gives_a_schedule(solver: str) -> None:
    result = run(solver, load_job_shop("ta21"), 0.001)
    assert result.status is Status.FEASIBLE
    assert len(result.incumbents) == 2  # the warm start, then the propagation's bound


@pytest.mark.usefixtures("no_garbage_collection")
@BOTH
def test_ctrl_c_returns_the_incumbent(solver: str) -> None:
    run(solver, load_job_shop("ft06"), 1)
    begin = time.perf_counter()
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    result = run(solver, load_job_shop("ta21"), 30)
    timer.join()
    assert 1.5 <= time.perf_counter() - begin < 15
    assert result.status is Status.FEASIBLE


@BOTH
def test_ctrl_c_while_the_bounds_are_computed_returns_the_rule_schedule(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Disjunctive, "_destructive_bound", interrupted)
    assert run(solver, load_job_shop("ft06")).status is Status.FEASIBLE


@BOTH
def test_a_budget_without_end(solver: str) -> None:
    assert run(solver, load_job_shop("ft06"), float("inf")).cost == 55


@BOTH
def test_an_error_in_a_callback_reaches_the_caller(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in a callback")

    monkeypatch.setattr(Disjunctive, "left_shifted", fail)
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        run(solver, load_job_shop("ft06"))


def test_scip_refuses_times_beyond_its_tolerances() -> None:
    instance = JobShopInstance.from_matrix([[0, 1], [1, 0]], [[10**8, 10**8], [10**8, 10**8 + 1]], name="long")
    assert run("cp-sat", instance).status is Status.OPTIMAL
    with pytest.raises(InputError, match=r"instance long: a horizon of .* SCIP takes up to 10000000"):
        run("scip", instance)


def test_without_or_tools_the_message_is_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'optgap\[cp\]'"):
        run("cp-sat", load_job_shop("ft06"))
