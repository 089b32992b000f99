"""Features against a slow reading of their names (``observation.py``) in plain Python, over general instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.envs.scheduling.config import JobShopOptions
from optgap.envs.scheduling.env import BlockingJobShopEnv, JobShopEnv

JOBS, OPERATIONS, MACHINES = 5, 20, 4


@st.composite
def shops(draw: Any, longest: int = 6) -> JobShopInstance:
    """Ragged jobs, recirculation, skipped and unused machines, durations of zero, release dates."""
    machines = draw(st.integers(1, MACHINES))
    operation = st.tuples(st.integers(0, machines - 1), st.integers(0, longest))
    route = st.lists(operation, min_size=1, max_size=OPERATIONS // JOBS)
    jobs = draw(st.lists(route, min_size=1, max_size=JOBS))
    release = draw(
        st.one_of(st.just([0] * len(jobs)), st.lists(st.integers(0, 9), min_size=len(jobs), max_size=len(jobs)))
    )
    pairs = [pair for job in jobs for pair in job]
    return JobShopInstance(
        job_ptr=np.cumsum([0] + [len(job) for job in jobs]),
        machine=np.array([m for m, _ in pairs]),
        duration=np.array([p for _, p in pairs]),
        release=np.array(release),
        n_machines=machines,
    )


@st.composite
def blocking_shops(draw: Any) -> BlockingJobShopInstance:
    """The same with down-times."""
    shop = draw(shops())
    spans: list[tuple[int, int]] = []
    pointer = [0]
    for _ in range(shop.n_machines):
        end = -1
        for gap, length in draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 30)), max_size=3)):
            spans.append((end + gap, end + gap + length))
            end += gap + length
        pointer.append(len(spans))
    fields = {name: getattr(shop, name) for name in ("job_ptr", "machine", "duration", "release", "n_machines")}
    begin, end_ = (np.array([span[i] for span in spans], np.int64) for i in (0, 1))
    return BlockingJobShopInstance(**fields, down_ptr=np.array(pointer), down_start=begin, down_end=end_)


@dataclass
class Seen:
    """What an observer knows of a shop at a decision."""

    shop: JobShopInstance
    start: list[int]  # -1: not started
    clock: int
    ready: list[int]  # when each job is ready for its next operation
    idle: list[int]  # when each machine is idle again
    down: list[bool]
    candidates: list[int]
    bound: int
    first_bound: int
    holds: list[int]  # machine that each job keeps until it goes on, or -1

    def __post_init__(self) -> None:
        pointer = self.shop.job_ptr.tolist()
        self.route = [list(range(a, b)) for a, b in zip(pointer[:-1], pointer[1:], strict=True)]
        self.m, self.p = self.shop.machine.tolist(), self.shop.duration.tolist()
        self.left = [[o for o in route if self.start[o] < 0] for route in self.route]
        self.unfinished = [j for j, left in enumerate(self.left) if left]
        self.d = max(sum(self.p) / len(self.p), 1e-9)
        self.L = max(self.bound - self.clock, 1)
        self.most = max(map(len, self.route))
        self.job = [j for j, route in enumerate(self.route) for _ in route]

    def after(self, o: int) -> int:
        """Work that follows operation ``o`` in its job."""
        return sum(self.p[k] for k in self.route[self.job[o]] if k > o)

    def work(self, j: int) -> int:
        return sum(self.p[o] for o in self.left[j])

    def machine_work(self, m: int) -> int:
        return sum(self.p[o] for left in self.left for o in left if self.m[o] == m)

    def queue(self, m: int) -> list[int]:
        return [j for j in self.unfinished if self.m[self.left[j][0]] == m]

    def next_machine(self, j: int) -> int:
        return self.m[self.left[j][0]]

    def earliest(self, j: int) -> int:
        return max(self.ready[j], self.idle[self.m[self.left[j][0]]])

    def jobs(self) -> np.ndarray:
        rows = np.zeros((JOBS, 32))
        for j in self.unfinished:
            rows[j] = self.job_row(j)
        return rows

    def job_row(self, j: int) -> list[float]:
        d, L, bound, clock = self.d, self.L, self.bound, self.clock
        o, *then = self.left[j]
        m, p, work = self.m[o], self.p[o], self.work(j)
        begin = max(self.earliest(j), clock)
        queue = self.queue(m)
        others = [i for i in queue if i != j]
        on_machine = [k for left in self.left for k in left if self.m[k] == m]
        machine_bound = max(self.idle[m], clock) + self.machine_work(m) + min(map(self.after, on_machine))
        loads = {
            k: self.idle[k] + self.machine_work(k) for k in range(self.shop.n_machines) if self.machine_work(k) > 0
        }
        busiest = max(loads, key=lambda k: loads[k]) if loads else -1
        visits = [k for k in self.left[j] if self.m[k] == busiest]
        if_chosen = if_not = -1.0
        if others:
            if_chosen = squash((begin + p + max(map(self.work, others)) - bound) / L)
            first_end = min(self.earliest(i) + self.p[self.left[i][0]] for i in others)
            if_not = squash((max(first_end, clock) + work - bound) / L)
        after = self.m[then[0]] if then else -1
        under_way = [i for i in self.unfinished if self.holds[i] >= 0]
        behind = [i for i in under_way if i != j and self.holds[j] >= 0 and self.next_machine(i) == self.holds[j]]
        ahead = [i for i in range(len(self.route)) if i != j and then and self.holds[i] == after]
        return [
            float(j in self.candidates),
            p / (2 * d),
            work / L,
            (begin + work - bound) / L,
            len(self.left[j]) / self.most,
            squash((clock - self.ready[j]) / d),
            self.machine_work(m) / L,
            (machine_bound - bound) / L,
            len(queue) / len(self.unfinished),
            squash((self.idle[after] - begin - p) / d) if then else 0.0,
            self.machine_work(after) / L if then else 0.0,
            squash(sum(self.p[self.left[i][0]] for i in self.queue(after)) / d) if then else 0.0,
            self.p[then[0]] / (2 * d) if then else 0.0,
            float(not then),
            work / max(1, *(self.work(i) for i in queue)),
            squash((p - min(self.p[self.left[i][0]] for i in queue)) / d),
            squash(sum(self.p[k] for k in self.left[j] if k < visits[0]) / d) if visits else 1.0,
            self.p[visits[0]] / (2 * d) if visits else 0.0,
            squash((self.earliest(j) - min(map(self.earliest, queue))) / d),
            len(self.left[j]) / len(self.route[j]),
            sum(self.p[k] * self.machine_work(self.m[k]) for k in self.left[j]) / max(work, 1) / L,
            if_chosen,
            float(self.down[m]),
            if_not,
            squash((work - max(map(self.work, queue))) / (2 * d)),
            squash((begin + work - bound) / (4 * d)),
            float(len(ahead)),
            squash(len(behind) / 2),
            squash(sum(self.p[self.left[i][0]] for i in behind) / d),
            float(any(self.left[i] and self.next_machine(i) == m for i in ahead)),
            squash(sum(self.next_machine(i) == after for i in under_way) / 2) if then else 0.0,
            float(self.holds[j] >= 0),
        ]

    def machines(self) -> np.ndarray:
        rows = np.zeros((MACHINES, 5))
        for m in range(self.shop.n_machines):
            until = max(self.idle[m] - self.clock, 0)
            share = len(self.queue(m)) / max(len(self.unfinished), 1)
            rows[m] = [until > 0, squash(until / self.d), self.machine_work(m) / self.L, share, self.down[m]]
        return rows

    def whole(self) -> np.ndarray:
        jobs, machines = len(self.route), self.shop.n_machines
        works = [self.machine_work(m) for m in range(machines)]
        return np.array(
            [
                sum(map(len, self.left)) / len(self.p),
                squash(self.L / (10 * self.d)),
                len(self.unfinished) / jobs,
                jobs / (jobs + machines),
                (self.bound - self.first_bound) / self.first_bound,
                len(self.candidates) / jobs,
                sum(works) / machines / self.L,
                max(map(self.work, range(jobs))) / self.L,
                sum(m >= 0 for m in self.holds) / machines,
                sum(m >= 0 and self.ready[j] <= self.clock for j, m in enumerate(self.holds)) / machines,
            ]
        )

    def constants(self) -> np.ndarray:
        rows = np.zeros((OPERATIONS, 6))
        for o, j in enumerate(self.job):
            load = sum(p for p, m in zip(self.p, self.m, strict=True) if m == self.m[o])
            before = sum(self.p[k] for k in self.route[j] if k < o)
            place = self.route[j].index(o) / len(self.route[j])
            total = sum(self.p[k] for k in self.route[j])
            b = self.first_bound
            rows[o] = [self.p[o] / (2 * self.d), before / b, self.after(o) / b, place, load / b, total / b]
        return rows

    def operations(self) -> np.ndarray:
        rows = np.zeros((OPERATIONS, 10))
        for o, j in enumerate(self.job):
            p, left = self.p[o], self.left[j]
            total = sum(self.p[k] for k in self.route[j])
            started = self.start[o] >= 0
            last_started = started and (o == self.route[j][-1] or self.start[o + 1] < 0)
            in_process = last_started and self.ready[j] > self.clock
            delayed = bool(left) and o == left[0] and self.ready[j] <= self.clock
            if started:
                completion = self.ready[j] if in_process else self.start[o] + p
            else:
                completion = max(self.ready[j], self.clock) + sum(self.p[k] for k in left if k <= o)
            rows[o] = [
                not started and not delayed,
                in_process,
                delayed,
                started and not in_process,
                p / self.d,
                1 - self.work(j) / max(total, 1),
                len(left) / self.most,
                squash((self.clock - self.ready[j]) / self.d) if delayed else 0.0,
                (self.ready[j] - self.clock) / self.d if in_process else 0.0,
                completion / max(self.bound, 1),
            ]
        return rows

    def lower_bound(self) -> int:
        """What jobs without conflicts and machines without idle time leave possible, in the job shop."""
        ends = [s + p for s, p in zip(self.start, self.p, strict=True) if s >= 0]
        chains = [max(self.earliest(j), self.clock) + self.work(j) for j in self.unfinished]
        loads = []
        for m in range(self.shop.n_machines):
            tails = [self.after(o) for left in self.left for o in left if self.m[o] == m]
            if self.machine_work(m):
                loads.append(max(self.idle[m], self.clock) + self.machine_work(m) + min(tails))
        return max([0, *ends, *chains, *loads])


def squash(x: float) -> float:
    return x / (1 + abs(x))


def compare(seen: Seen, observation: dict[str, np.ndarray]) -> None:
    expected: dict[str, Any] = {
        "jobs": seen.jobs(),
        "machines": seen.machines(),
        "shop": seen.whole(),
        "route": seen.constants(),
        "operations": seen.operations(),
        "operation_job": padded(seen.job, OPERATIONS),
        "operation_machine": padded(seen.m, OPERATIONS),
        "next_operation": padded([left[0] if left else -1 for left in seen.left], JOBS),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(observation[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


def padded(values: list[int], size: int) -> list[int]:
    return values + [-1] * (size - len(values))


class Replay:
    """The state of a job shop from its definition: what was dispatched, and which waits were taken."""

    def __init__(self, shop: JobShopInstance, schedule: str, candidates: str) -> None:
        self.shop, self.active, self.one_machine = shop, schedule == "active", candidates == "machine"
        self.start, self.clock, self.bound = [-1] * shop.n_operations, 0, 0
        self.told_idle = [0] * shop.n_machines
        self.first_bound = max(self._seen([]).lower_bound(), 1)
        self.bound = self.first_bound if self._seen([]).lower_bound() else 0

    def _seen(self, candidates: list[int]) -> Seen:
        shop, start = self.shop, self.start
        ready, idle = shop.release.tolist(), list(self.told_idle)
        for o, j in enumerate(shop.job.tolist()):
            if start[o] >= 0:
                end = start[o] + int(shop.duration[o])
                ready[j] = end
                idle[shop.machine[o]] = max(idle[shop.machine[o]], end)
        first = getattr(self, "first_bound", 1)
        down = [False] * shop.n_machines
        return Seen(shop, list(start), self.clock, ready, idle, down, candidates, self.bound, first, [-1] * shop.n_jobs)

    def decide(self) -> Seen:
        """The next decision."""
        seen = self._seen([])
        begins = {j: seen.earliest(j) for j in seen.unfinished}
        if begins:
            self.clock = min(begins.values()) if self.active else max(self.clock, min(begins.values()))
        ends = {j: begin + seen.p[seen.left[j][0]] for j, begin in begins.items()}
        key = ends if self.active else begins
        self.focus = seen.m[seen.left[min(key, key=lambda j: key[j])][0]] if key else -1
        candidates = []
        for j, begin in begins.items():
            here = seen.m[seen.left[j][0]] == self.focus
            if self.active:
                first_end = min(ends.values())
                allowed = here and (begin < first_end or ends[j] == first_end)
            else:
                allowed = begin <= self.clock and (here or not self.one_machine)
            if allowed:
                candidates.append(j)
        seen = self._seen(candidates)
        self.bound = max(self.bound, seen.lower_bound())
        return self._seen(candidates)

    def dispatch(self, j: int) -> None:
        seen = self._seen([])
        self.start[seen.left[j][0]] = seen.earliest(j) if self.active else max(seen.earliest(j), self.clock)

    def next_event(self) -> int | None:
        seen = self._seen([])
        return min((t for j in seen.unfinished if (t := seen.earliest(j)) > self.clock), default=None)

    def wait(self) -> None:
        event = self.next_event()
        assert event is not None
        if self.one_machine:
            self.told_idle[self.focus] = event
        else:
            self.clock = event


SCHEMES = [
    {"schedule": "active"},
    {"candidates": "shop"},
    {"candidates": "machine"},
    {"candidates": "shop", "wait": True},
    {"candidates": "machine", "wait": True},
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: "-".join(map(str, scheme.values())))
@given(shops(), shops(), st.integers(0, 2**32))
def test_job_shop(scheme: dict[str, Any], before: JobShopInstance, shop: JobShopInstance, seed: int) -> None:
    rng = np.random.default_rng(seed)
    env = JobShopEnv(padding=(JOBS, OPERATIONS, MACHINES), **scheme)
    env.reset(options={"instance": before})
    if not step_at_random(env, rng)[2]:
        step_at_random(env, rng)  # an episode broken off leaves nothing behind
    observation, info = env.reset(options={"instance": shop})
    options = JobShopOptions(**scheme)
    replay = Replay(shop, options.schedule, options.candidates)
    bound, done = 0, False
    while not done:
        seen = replay.decide()
        compare(seen, observation)
        assert info["lower_bound"] == seen.bound >= bound
        bound = seen.bound
        mask = np.zeros(JOBS + options.wait, np.int8)
        mask[seen.candidates] = 1
        if options.wait:
            mask[JOBS] = replay.next_event() is not None
        np.testing.assert_array_equal(observation["action_mask"], mask)
        assert env.observation_space.contains(observation)
        observation, _, done, _, info = step_at_random(env, rng, replay)
    compare(replay.decide(), observation)
    assert info["solution"].tolist() == replay.start
    assert bound <= info["makespan"] == info["lower_bound"]


def step_at_random(env: JobShopEnv, rng: np.random.Generator, replay: Replay | None = None) -> Any:
    action = rng.choice(np.flatnonzero(env.action_masks()))
    if replay is not None:
        if action == JOBS:
            replay.wait()
        else:
            replay.dispatch(action)
    return env.step(action)


@pytest.mark.parametrize("autoplay", [False, True])
@pytest.mark.parametrize("wait", [False, True])
@given(blocking_shops(), st.integers(0, 2**32))
def test_blocking_job_shop(wait: bool, autoplay: bool, shop: BlockingJobShopInstance, seed: int) -> None:
    """Features of the state that the dynamics keep; the dynamics themselves have tests of their own."""
    rng = np.random.default_rng(seed)
    env = BlockingJobShopEnv(padding=(JOBS, OPERATIONS, MACHINES), wait=wait, autoplay=autoplay)
    observation, info = env.reset(options={"instance": shop})
    first_bound = int(env.batch.scratch.first_bound[0])
    done, bound = False, 0
    while not done:
        compare(seen_by(env, shop, first_bound), observation)
        assert observation["action_mask"].any()
        assert env.observation_space.contains(observation)
        assert info["lower_bound"] >= bound
        bound = info["lower_bound"]
        observation, _, done, _, info = step_at_random(env, rng)
    assert env.observation_space.contains(observation)
    assert bound <= info["makespan"] == info["lower_bound"]


def seen_by(env: BlockingJobShopEnv, shop: BlockingJobShopInstance, first_bound: int) -> Seen:
    state = env.batch.state
    start, clock = state.start[0, : shop.n_operations].tolist(), int(state.clock[0])
    holds = []
    for first, end in zip(shop.job_ptr[:-1].tolist(), shop.job_ptr[1:].tolist(), strict=True):
        begun = [o for o in range(first, end) if start[o] >= 0]
        gone = not begun or (begun[-1] == end - 1 and shop.completion(begun[-1], start[begun[-1]]) <= clock)
        holds.append(-1 if gone else int(shop.machine[begun[-1]]))
    return Seen(
        shop,
        start,
        clock,
        state.job_ready[0, : shop.n_jobs].tolist(),
        state.machine_ready[0, : shop.n_machines].tolist(),
        [bool(np.any((begin <= clock) & (clock < end))) for begin, end in map(shop.windows, range(shop.n_machines))],
        np.flatnonzero(state.candidate[0]).tolist(),
        int(env.batch.scratch.bound[0]),
        first_bound,
        holds,
    )


def test_down_times_without_end_stay_within_the_observation_space() -> None:
    shop = BlockingJobShopInstance(
        job_ptr=[0, 1],
        machine=[0],
        duration=[1],
        release=[0],
        n_machines=1,
        down_ptr=[0, 1],
        down_start=[0],
        down_end=[10**6],
    )
    env = BlockingJobShopEnv(instances=[shop])
    observation, info = env.reset()
    assert info["lower_bound"] == 10**6 + 1
    assert env.observation_space.contains(observation)


def test_candidates_alone_are_the_candidates_rows_of_all() -> None:
    """``candidates_only``, which fast rollouts use, leaves the other rows at zero and changes nothing else."""
    whole, part = (JobShopOptions(jobs=6, machines=4).batch(2) for _ in range(2))
    part.options = part.options._replace(candidates_only=True)
    everyone, rng = np.ones(2, np.bool_), np.random.default_rng(0)
    for batch in (whole, part):
        batch.reset(everyone, [np.random.default_rng(i) for i in range(2)])
    while not whole.done.all():
        candidate = whole.seen.action_mask > 0
        np.testing.assert_array_equal(part.seen.jobs, whole.seen.jobs * candidate[:, :, None])
        for name in ("machines", "shop", "next_operation", "action_mask"):
            np.testing.assert_array_equal(getattr(part.seen, name), getattr(whole.seen, name))
        action = (candidate * rng.random(candidate.shape)).argmax(1)
        skip = whole.done.copy()
        for batch in (whole, part):
            batch.step(action, skip)


def test_hand_computed() -> None:
    """Two jobs on two machines: job 0 is (0, 3), (1, 2); job 1 is (0, 2), (1, 1)."""
    shop = JobShopInstance.from_matrix([[0, 1], [0, 1]], [[3, 2], [2, 1]])
    env = JobShopEnv(instances=[shop])
    observation, info = env.reset()
    # machine 0 has 5 units of work and then at least 1: the bound is 6; d = 2, L = 6
    assert info["lower_bound"] == 6
    row = observation["jobs"][0].tolist()
    assert row[:5] == pytest.approx([1, 3 / 4, 5 / 6, (5 - 6) / 6, 1])
    assert row[6] == pytest.approx(5 / 6)
    assert row[7] == pytest.approx(0)
    assert row[21] == pytest.approx(squash((3 + 3 - 6) / 6))  # chosen: job 1 still has 3 units after time 3
    assert row[23] == pytest.approx(squash((2 + 5 - 6) / 6))  # not chosen: job 1 ends at 2, then 5 units
    _, reward, _, _, info = env.step(1)
    assert (reward, info["lower_bound"]) == (-2, 7)  # now job 0 runs from 2 to 7
