"""The interrupting swap-allowed blocking job shop, ISBJSSP (Wong et al. 2023, arXiv 2302.02506); minimize the makespan.

Definition used here. There are no buffers: a job holds its machine from the start of an operation until the start of
its next one (the last operation frees its machine when its processing ends). A machine is down in given windows
[down_start, down_end). While its machine is down an operation is interrupted: it keeps the machine and resumes where
it stopped. No operation starts on a machine that is down; a finished job may leave a machine that is down. Holds are
half-open intervals, so jobs that block each other in a cycle may all move at the same moment (swap). A swap cycle needs
every one of its machines up.

The windows are part of the instance. An online policy sees only whether a machine is down now; the exact models know
all windows (hindsight), so their optimum is a lower bound for every policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Sense
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance, as_start_times


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockingJobShopInstance(JobShopInstance):
    """A job-shop instance with the down-time windows of its machines, sorted and disjoint, W windows in all."""

    down_ptr: NDArray[np.int64]  # (M + 1,) first window of each machine; down_ptr[M] = W
    down_start: NDArray[np.int64]  # (W,) time units
    down_end: NDArray[np.int64]  # (W,) time units, > down_start, < the machine's next down_start

    def __post_init__(self) -> None:
        for name in ("down_ptr", "down_start", "down_end"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
        super().__post_init__()
        where = f"instance {self.name}"
        shape = len(self.down_ptr) == self.n_machines + 1 and len(self.down_start) == len(self.down_end)
        if (
            not shape
            or self.down_ptr[0] != 0
            or self.down_ptr[-1] != len(self.down_start)
            or np.any(np.diff(self.down_ptr) < 0)
        ):
            raise InputError(
                f"{where}: down_ptr must rise from 0 to the number of windows, {self.n_machines + 1} entries"
            )
        for m in range(self.n_machines):
            begin, end = self.windows(m)
            if np.any(begin < 0) or np.any(end <= begin) or np.any(begin[1:] <= end[:-1]):
                raise InputError(f"{where}: machine {m}: down-time windows must be non-empty, sorted and apart")
        if (
            float(self.duration.astype(float).sum())
            + float(self.release.max())
            + float((self.down_end - self.down_start).astype(float).sum())
            > 2**31 - 1
            or self.down_end.max(initial=0) > 2**31 - 1
        ):
            raise InputError(f"{where}: durations and down-times add up to more than {2**31 - 1}")

    def windows(self, machine: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(start, end) arrays of one machine's down-time windows."""
        part = slice(self.down_ptr[machine], self.down_ptr[machine + 1])
        return self.down_start[part], self.down_end[part]

    def completion(self, operation: int, start: int) -> int:
        """When the processing of ``operation`` ends if it starts at ``start`` (an up moment), interruptions included."""
        left, now = int(self.duration[operation]), int(start)
        for begin, end in zip(*self.windows(int(self.machine[operation])), strict=True):
            if end <= now:
                continue
            if now + left <= begin:
                break
            left -= max(0, int(begin) - now)
            now = int(end)
        return now + left


class BlockingJobShop:
    """The ISBJSSP. A solution is an (N,) integer array of start times."""

    name = "blocking-job-shop"
    sense: Sense = "minimize"

    def generate(
        self,
        rng: np.random.Generator,
        *,
        jobs: int = 10,
        machines: int = 10,
        low: int = 1,
        high: int = 99,
        shutdown_probability: float = 0.1,
        mean_downtime: float = 50.0,
        **rest: Any,
    ) -> BlockingJobShopInstance:
        """A Taillard-like job shop whose machines alternate between geometric up- and down-times.

        Args:
            shutdown_probability: long-run share of time in which a machine is down, in [0, 0.9].
            mean_downtime: mean length of a window, time units, >= 1. The mean up-time follows from the two.

        Windows reach until a machine's up-time exceeds twice the sum of all durations, which is far beyond a sensible
        schedule, but are at most twice as many as expected by then; after the last one the machine stays up.
        """
        if not 0 <= shutdown_probability <= 0.9 or mean_downtime < 1:
            raise InputError(
                f"shutdown_probability {shutdown_probability}, mean_downtime {mean_downtime}; expected 0..0.9, >= 1"
            )
        shop = JOB_SHOP.generate(rng, jobs=jobs, machines=machines, low=low, high=high)
        enough = 2 * int(shop.duration.sum())
        starts: list[NDArray[np.int64]] = []
        ends: list[NDArray[np.int64]] = []
        pointer = [0]
        mean_uptime = max(1.0, mean_downtime * (1 - shutdown_probability) / max(shutdown_probability, 1e-12))
        for _ in range(machines):
            if shutdown_probability > 0:
                count = max(1, int(2 * enough / mean_uptime))
                up = rng.geometric(1 / mean_uptime, size=count)
                down = rng.geometric(1 / mean_downtime, size=count)
                keep = np.cumsum(up) <= enough
                up, down = up[keep], down[keep]
                begin = np.cumsum(up) + np.cumsum(down) - down
                starts.append(begin)
                ends.append(begin + down)
                pointer.append(pointer[-1] + len(begin))
            else:
                pointer.append(pointer[-1])
        rest.setdefault("name", f"random-blocking-{jobs}x{machines}")
        return BlockingJobShopInstance(
            job_ptr=shop.job_ptr,
            machine=shop.machine,
            duration=shop.duration,
            release=shop.release,
            n_machines=machines,
            down_ptr=np.array(pointer),
            down_start=np.concatenate([np.zeros(0, np.int64), *starts]),
            down_end=np.concatenate([np.zeros(0, np.int64), *ends]),
            **rest,
        )

    def check(self, instance: BlockingJobShopInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` where a job's order, a hold, or a down-time window is broken."""
        start = as_start_times(instance, solution)
        done = np.array([instance.completion(o, int(start[o])) for o in range(instance.n_operations)])
        leave = done.copy()  # when an operation's machine is free again
        for j in range(instance.n_jobs):
            for o in range(instance.job_ptr[j], instance.job_ptr[j + 1] - 1):
                leave[o] = start[o + 1]
                if start[o + 1] < done[o]:
                    raise InfeasibleError(
                        f"{instance.name}: job {j}: operation {o + 1} starts at {start[o + 1]}, before {o} ends at {done[o]}"
                    )
        for m in range(instance.n_machines):
            on = np.flatnonzero(instance.machine == m)
            begin, end = instance.windows(m)
            for o in on.tolist():
                down = np.flatnonzero((begin <= start[o]) & (start[o] < end))
                if len(down):
                    raise InfeasibleError(
                        f"{instance.name}: operation {o} starts at {start[o]}; machine {m} is down in "
                        f"[{begin[down[0]]}, {end[down[0]]})"
                    )
            on = on[np.lexsort((leave[on], start[on]))]
            for a, b in zip(on[:-1], on[1:], strict=True):
                if start[b] < leave[a]:
                    raise InfeasibleError(
                        f"{instance.name}: machine {m}: operation {b} starts at {start[b]}, but {a} holds it until {leave[a]}"
                    )

    def cost(self, instance: BlockingJobShopInstance, solution: Any) -> float:
        """Makespan: the latest completion time, time units."""
        start = np.asarray(solution)
        last = instance.job_ptr[1:] - 1
        return float(max(instance.completion(int(o), int(start[o])) for o in last))


BLOCKING_JOB_SHOP = BlockingJobShop()
