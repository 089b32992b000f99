from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError
from optgap.co.dynamics import blocking_job_shop as dynamics
from optgap.co.dynamics.job_shop import ANY_MACHINE, NEVER, NON_DELAY, ONE_MACHINE
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance


def shop_of(
    jobs: list[list[tuple[int, int]]],
    release: list[int] | None = None,
    windows: dict[int, list[tuple[int, int]]] | None = None,
) -> BlockingJobShopInstance:
    """An instance from (machine, duration) pairs a job and (start, end) windows a machine."""
    windows = windows or {}
    operations = [pair for job in jobs for pair in job]
    machines = 1 + max([m for m, _ in operations] + list(windows))
    spans = [span for m in range(machines) for span in windows.get(m, [])]
    return BlockingJobShopInstance(
        job_ptr=np.cumsum([0] + [len(job) for job in jobs]),
        machine=np.array([m for m, _ in operations]),
        duration=np.array([p for _, p in operations]),
        release=np.array(release or [0] * len(jobs)),
        n_machines=machines,
        down_ptr=np.cumsum([0] + [len(windows.get(m, [])) for m in range(machines)]),
        down_start=np.array([a for a, _ in spans], np.int64),
        down_end=np.array([b for _, b in spans], np.int64),
    )


@st.composite
def shops(draw: Any, most_jobs: int = 5, most_operations: int = 5, longest: int = 4) -> BlockingJobShopInstance:
    """Instances with recirculation, a machine twice in a row, releases, durations of zero and windows."""
    machines = draw(st.integers(1, 4))
    operation = st.tuples(st.integers(0, machines - 1), st.integers(0, longest))
    jobs = draw(st.lists(st.lists(operation, min_size=1, max_size=most_operations), min_size=1, max_size=most_jobs))
    release = draw(st.lists(st.integers(0, 6), min_size=len(jobs), max_size=len(jobs)))
    windows = {m: draw(spans()) for m in range(machines)}
    return shop_of(jobs, release, windows)


@st.composite
def spans(draw: Any, begin: int = -1) -> list[tuple[int, int]]:
    """Windows (start, end) after ``begin``."""
    found = []
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), max_size=5)):
        found.append((begin + gap, begin + gap + length))
        begin += gap + length
    return found


class Play:
    """One copy of the dynamics, played by hand: the second of a batch, so that every index of the copy matters."""

    def __init__(self, instance: BlockingJobShopInstance, scope: int = ANY_MACHINE) -> None:
        self.instance, self.scope = instance, scope
        self.shop, self.state = dynamics.load([shop_of([[(0, 1)]]), instance])
        dynamics.reset(self.shop, self.state, 1)
        dynamics.find_candidates(self.shop, self.state, 1, NON_DELAY, scope)

    def dispatch(self, j: int) -> None:
        assert j in self.candidates
        dynamics.dispatch(self.shop, self.state, 1, j, NON_DELAY)
        dynamics.find_candidates(self.shop, self.state, 1, NON_DELAY, self.scope)

    def wait(self) -> None:
        dynamics.wait_for_event(self.shop, self.state, 1)
        dynamics.find_candidates(self.shop, self.state, 1, NON_DELAY, self.scope)

    @property
    def count(self) -> int:
        return int(self.state.n_candidates[1])

    @property
    def candidates(self) -> list[int]:
        found = np.flatnonzero(self.state.candidate[1]).tolist()
        assert len(found) == self.count
        return found

    @property
    def clock(self) -> int:
        return int(self.state.clock[1])

    @property
    def start(self) -> np.ndarray:
        return self.state.start[1, : self.instance.n_operations]

    def seen(self) -> dict[str, Any]:
        """All that an online observer may read."""
        read = (
            "clock",
            "next_operation",
            "job_ready",
            "machine_ready",
            "machine_work",
            "down",
            "start",
            "left",
            "candidate",
        )
        found = {name: getattr(self.state, name)[1].tolist() for name in read}
        if self.count > 0:
            found["bound"] = dynamics.lower_bound(self.shop, self.state, 1)
            found["waitable"] = dynamics.next_event(self.shop, self.state, 1) < NEVER
        return found

    def random_step(self, rng: np.random.Generator, waits: float) -> None:
        if rng.random() < waits and dynamics.next_event(self.shop, self.state, 1) < NEVER:
            self.wait()
        else:
            self.dispatch(int(rng.choice(self.candidates)))


def test_two_jobs_that_block_each_other_swap() -> None:
    play = Play(shop_of([[(0, 3), (1, 2)], [(1, 5), (0, 4)]]))
    assert play.candidates == [0, 1]
    play.dispatch(0)
    assert play.candidates == [1]
    play.dispatch(1)  # both begin at 0; job 0 is blocked from 3 to 5; the swap at 5 is no decision
    assert play.count == 0
    assert play.start.tolist() == [0, 5, 0, 5]
    assert play.state.makespan[1] == 9


def test_a_chain_of_blocked_jobs_moves_job_by_job() -> None:
    chain = [[(0, 2), (1, 3)], [(1, 4), (2, 1)], [(2, 6)], [(3, 1)]]
    play = Play(shop_of(chain, release=[0, 0, 0, 4]))
    for j in (0, 1, 2):
        play.dispatch(j)
    assert (play.clock, play.candidates) == (4, [3])
    assert play.state.job_ready[1].tolist() == [2, 4, 6, 4]
    # Job 2 leaves machine 2 at 6; jobs 1 and 0 behind it cannot leave machines 1 and 0 earlier.
    assert play.state.machine_ready[1].tolist() == [6, 6, 6, 4]
    # Job 1 must still begin its last operation at 6, job 0 its last one, of length 3, at 6.
    assert dynamics.lower_bound(play.shop, play.state, 1) == 9
    play.dispatch(3)
    assert (play.clock, play.candidates) == (6, [1])
    play.dispatch(1)
    assert (play.clock, play.candidates) == (6, [0])
    play.dispatch(0)
    assert play.start.tolist() == [0, 6, 0, 6, 0, 4]
    assert play.state.makespan[1] == 9


def test_an_interrupted_operation_resumes_and_its_future_is_not_told() -> None:
    windows = {0: [(2, 5), (7, 8)]}
    play = Play(shop_of([[(0, 5)], [(1, 1)], [(1, 1)]], release=[0, 3, 6], windows=windows))
    play.dispatch(0)
    # At 3: two units done, three left, down. At 6: three done, two left, up: nobody knows of the window at 7.
    assert (play.clock, play.candidates, play.state.down[1].tolist()) == (3, [1], [True, False])
    assert play.state.job_ready[1, 0] == play.state.machine_ready[1, 0] == 6
    play.dispatch(1)
    assert (play.clock, play.candidates, play.state.down[1].tolist()) == (6, [2], [False, False])
    assert play.state.job_ready[1, 0] == play.state.machine_ready[1, 0] == 8
    assert dynamics.lower_bound(play.shop, play.state, 1) == 8
    play.dispatch(2)
    assert play.state.makespan[1] == 9  # 2 + 2 + 1 units of work in [0, 2), [5, 7), [8, 9)
    assert dynamics.lower_bound(play.shop, play.state, 1) == 9


def test_nothing_starts_on_a_machine_that_is_down_but_a_job_may_leave_it() -> None:
    # Machine 0 is down from 0 to 2, and goes down again at 6, when the operation on it has just been completed.
    play = Play(shop_of([[(0, 4), (1, 1)]], windows={0: [(0, 2), (6, 90)]}))
    assert play.clock == 2
    play.dispatch(0)
    assert play.clock == 6
    play.dispatch(0)
    assert play.start.tolist() == [2, 6]
    assert play.state.makespan[1] == 7


def test_a_swap_waits_until_all_its_machines_are_up() -> None:
    play = Play(shop_of([[(0, 2), (1, 2)], [(1, 2), (0, 2)]], windows={1: [(2, 7)]}))
    play.dispatch(0)
    play.dispatch(1)
    assert play.start.tolist() == [0, 7, 0, 7]


def test_a_job_goes_on_by_itself_on_the_machine_that_it_holds() -> None:
    play = Play(shop_of([[(0, 2), (0, 3), (0, 0)], [(0, 1)]]))
    play.dispatch(0)
    assert (play.clock, play.candidates) == (5, [1])
    play.dispatch(1)
    assert play.start.tolist() == [0, 2, 5, 5]


def test_a_swap_of_operations_without_duration_closes_the_next_one_at_the_same_moment() -> None:
    play = Play(shop_of([[(0, 1), (1, 0), (0, 2)], [(1, 1), (0, 0), (1, 2)]]))
    play.dispatch(0)
    play.dispatch(1)
    assert play.start.tolist() == [0, 1, 1, 0, 1, 1]


def test_waiting_holds_one_machine_or_the_clock() -> None:
    machine = Play(shop_of([[(1, 4)], [(0, 1)], [(2, 6)]]), ONE_MACHINE)
    assert dynamics.next_event(machine.shop, machine.state, 1) == NEVER  # all jobs are there and no machine works
    machine.dispatch(0)
    assert (machine.state.focus[1], machine.candidates) == (0, [1])
    machine.wait()  # machine 0 stays idle until job 0 is completed at 4; machine 2 is not held back
    assert (machine.clock, machine.candidates) == (0, [2])
    machine.dispatch(2)
    assert (machine.clock, machine.candidates) == (4, [1])

    everything = Play(shop_of([[(1, 4)], [(0, 1)], [(2, 6)]]), ANY_MACHINE)
    everything.dispatch(0)
    assert everything.candidates == [1, 2]
    everything.wait()
    assert (everything.clock, everything.candidates) == (4, [1, 2])


@settings(max_examples=300)
@given(shops(), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 0.9]), st.sampled_from([ANY_MACHINE, ONE_MACHINE]))
def test_every_policy_ends_with_a_schedule_that_passes_the_check(
    instance: BlockingJobShopInstance, seed: int, waits: float, scope: int
) -> None:
    rng = np.random.default_rng(seed)
    play = Play(instance, scope)
    bounds = []
    while play.count > 0:
        clock = play.clock
        # what `job_ready` promises: complete means complete, and no promise is later than the truth
        ready, end = play.state.job_ready[1, : instance.n_jobs], play.state.job_end[1, : instance.n_jobs]
        assert np.array_equal(ready <= clock, end <= clock)
        assert np.all(ready <= end)
        bounds.append(dynamics.lower_bound(play.shop, play.state, 1))
        play.random_step(rng, waits)
        assert play.clock >= clock
    BLOCKING_JOB_SHOP.check(instance, play.start)
    cost = BLOCKING_JOB_SHOP.cost(instance, play.start)
    assert cost == play.state.makespan[1] == dynamics.lower_bound(play.shop, play.state, 1)
    assert max(bounds) <= cost


@settings(max_examples=150)
@given(st.data(), shops(), st.integers(0, 12), st.integers(0, 2**32), st.sampled_from([ANY_MACHINE, ONE_MACHINE]))
def test_windows_ahead_are_not_seen(
    data: Any, instance: BlockingJobShopInstance, now: int, seed: int, scope: int
) -> None:
    windows = {}
    for m in range(instance.n_machines):
        known = [(a, b) for a, b in zip(*instance.windows(m), strict=True) if a <= now]
        if known and known[-1][1] > now:  # down now: when it comes up is not known
            known[-1] = (known[-1][0], now + data.draw(st.integers(1, 6)))
        windows[m] = known + data.draw(spans(max([now] + [b for _, b in known])))
    jobs = [
        list(zip(instance.machine[a:b].tolist(), instance.duration[a:b].tolist(), strict=True))
        for a, b in zip(instance.job_ptr[:-1], instance.job_ptr[1:], strict=True)
    ]
    other = shop_of(jobs, instance.release.tolist(), {m: windows[m] for m in windows})
    histories = []
    for shop in (instance, other):
        rng = np.random.default_rng(seed)
        play = Play(shop, scope)
        history = []
        while play.count > 0 and play.clock <= now:
            history.append(play.seen())
            play.random_step(rng, 0.3)
        histories.append(history)
    assert histories[0] == histories[1]


@settings(max_examples=100)
@given(shops(), st.integers(0, 2**32))
def test_without_waits_no_job_waits_for_a_machine_that_is_free_and_up(
    instance: BlockingJobShopInstance, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    play = Play(instance)
    while play.count > 0:
        play.random_step(rng, 0.0)
    start = play.start
    done = np.array([instance.completion(o, int(start[o])) for o in range(instance.n_operations)])
    last = np.isin(np.arange(instance.n_operations), instance.job_ptr[1:] - 1)
    leave = np.where(last, done, np.roll(start, -1))
    for o in range(instance.n_operations):
        first = o in instance.job_ptr[:-1]
        ready = instance.release[np.searchsorted(instance.job_ptr, o)] if first else done[o - 1]
        m = instance.machine[o]
        for t in range(ready, start[o]):
            held = np.any((instance.machine == m) & (start <= t) & (t < leave))
            begin, end = instance.windows(m)
            assert held or np.any((begin <= t) & (t < end)), f"operation {o} could have started at {t}"


def best_by_play(play: Play) -> int:
    """Least makespan over all sequences of actions, waits included."""
    best, seen = NEVER, set()
    stack = [play.state]
    while stack:
        play.state = stack.pop()
        if play.state.left[1] == 0:
            best = min(best, int(play.state.makespan[1]))
            continue
        waitable = dynamics.next_event(play.shop, play.state, 1) < NEVER
        for action in [*np.flatnonzero(play.state.candidate[1]).tolist(), *([-1] if waitable else [])]:
            kept = play.state
            play.state = type(kept)(*(array.copy() for array in kept))
            if action < 0:
                play.wait()
            else:
                play.dispatch(action)
            key = b"".join(array[1].tobytes() for array in play.state)
            if key not in seen:
                seen.add(key)
                stack.append(play.state)
            play.state = kept
    return best


@settings(max_examples=25)
@given(shops(most_jobs=3, most_operations=2, longest=2))
def test_the_actions_reach_an_optimal_schedule(instance: BlockingJobShopInstance) -> None:
    found = best_by_play(Play(instance))
    # Every schedule of less makespan, whatever made it, breaks a constraint.
    lengths = np.diff(instance.job_ptr)
    for start in product(*(combinations_with_replacement(range(found), int(n)) for n in lengths)):
        schedule = np.array([s for job in start for s in job])
        if np.all(schedule + instance.duration < found):
            try:
                BLOCKING_JOB_SHOP.check(instance, schedule)
            except InfeasibleError:
                continue
            assert BLOCKING_JOB_SHOP.cost(instance, schedule) >= found


def test_windows_of_a_copy_grow_in_place() -> None:
    few = shop_of([[(0, 4)]], windows={0: [(1, 2)]})
    many = shop_of([[(0, 4)]], windows={0: [(2 * i, 2 * i + 1) for i in range(50)]})
    shop, state = dynamics.load([few, few])
    dynamics.put_instance(shop, 1, many)
    for b, end in ((0, 5), (1, 8)):  # many: up in [1, 2), [3, 4), [5, 6), [7, 8)
        dynamics.reset(shop, state, b)
        while dynamics.find_candidates(shop, state, b, NON_DELAY, ANY_MACHINE):
            dynamics.dispatch(shop, state, b, 0, NON_DELAY)
        assert state.makespan[b] == end


@pytest.mark.parametrize("scope", [ANY_MACHINE, ONE_MACHINE])
def test_large_random_shops_end(scope: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        instance = BLOCKING_JOB_SHOP.generate(rng, jobs=15, machines=10, shutdown_probability=0.2)
        play = Play(instance, scope)
        while play.count > 0:
            play.random_step(rng, 0.1)
        BLOCKING_JOB_SHOP.check(instance, play.start)
