"""Features against a slow reading of their names (``observation.py``) in plain Python, over general instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduling_features import JOBS, MACHINES, OPERATIONS, Seen, compare, squash

from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.envs.scheduling.config import JobShopOptions
from optgap.envs.scheduling.env import BlockingJobShopEnv, JobShopEnv


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
