"""The job shop: jobs of ordered operations, one machine an operation, no preemption; minimize the makespan.

Any number of operations a job, recirculation (a job visits a machine more than once), skipped machines and release
dates are allowed. Times are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

TIME_LIMIT = 2**31 - 1  # the sum of all durations and the latest release date must stay below: 32-bit solvers read it
FAR_FUTURE = 2**62  # a later start could overflow where a duration is added to it


@dataclass(frozen=True, kw_only=True, eq=False)
class JobShopInstance(Instance):
    """A job-shop instance of J jobs, N operations and M machines; all arrays are read-only int64.

    Operations are numbered job by job in technological order: job j owns ``job_ptr[j]`` to ``job_ptr[j + 1] - 1``.
    """

    job_ptr: NDArray[np.int64]  # (J + 1,) first operation of each job; job_ptr[0] = 0, job_ptr[J] = N
    machine: NDArray[np.int64]  # (N,) machine of each operation, in 0..M-1
    duration: NDArray[np.int64]  # (N,) processing time of each operation, time units, >= 0
    release: NDArray[np.int64]  # (J,) earliest start of each job, time units, >= 0
    n_machines: int  # M

    def __post_init__(self) -> None:
        for name in ("job_ptr", "machine", "duration", "release"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
        where = f"instance {self.name}"
        if self.n_jobs < 1 or len(self.release) != self.n_jobs:
            raise InputError(f"{where}: {self.n_jobs} jobs and {len(self.release)} release dates; expected one a job")
        if self.job_ptr[0] != 0 or self.job_ptr[-1] != len(self.machine) or len(self.machine) != len(self.duration):
            raise InputError(f"{where}: job_ptr must run from 0 to the number of operations")
        if np.any(np.diff(self.job_ptr) < 1):
            raise InputError(f"{where}: job {int(np.argmax(np.diff(self.job_ptr) < 1))} has no operation")
        if np.any((self.machine < 0) | (self.machine >= self.n_machines)):
            at = int(np.argmax((self.machine < 0) | (self.machine >= self.n_machines)))
            raise InputError(
                f"{where}: operation {at} is on machine {self.machine[at]}; expected 0..{self.n_machines - 1}"
            )
        if np.any(self.duration < 0) or np.any(self.release < 0):
            raise InputError(f"{where}: a negative duration or release date; expected at least 0")
        if float(self.duration.astype(float).sum()) + float(self.release.max()) > TIME_LIMIT:
            raise InputError(f"{where}: durations add up to more than {TIME_LIMIT}")
        super().__post_init__()

    @property
    def n_jobs(self) -> int:
        return len(self.job_ptr) - 1

    @property
    def n_operations(self) -> int:
        return len(self.machine)

    @property
    def job(self) -> NDArray[np.int64]:
        """(N,) job of each operation."""
        return np.repeat(np.arange(self.n_jobs), np.diff(self.job_ptr))

    @classmethod
    def from_matrix(
        cls, machine: Any, duration: Any, *, name: str = "unnamed", release: Any = None, **rest: Any
    ) -> JobShopInstance:
        """From (J, K) matrices of machines and durations, K operations a job."""
        machine, duration = np.asarray(machine), np.asarray(duration)
        if machine.ndim != 2 or machine.shape != duration.shape:
            raise InputError(
                f"machine {machine.shape} and duration {duration.shape}; expected two equal (J, K) matrices"
            )
        jobs, operations = machine.shape
        return cls(
            name=name,
            job_ptr=np.arange(jobs + 1) * operations,
            machine=machine.ravel(),
            duration=duration.ravel(),
            release=np.zeros(jobs, np.int64) if release is None else release,
            n_machines=rest.pop("n_machines", int(machine.max(initial=0)) + 1),
            **rest,
        )

    def lower_bound(self) -> int:
        """max(longest job, busiest machine with its smallest head and tail): Taillard 1993, section 2."""
        head = np.empty(self.n_operations, np.int64)
        for j in range(self.n_jobs):
            first, last = self.job_ptr[j], self.job_ptr[j + 1]
            head[first:last] = self.release[j] + np.cumsum(self.duration[first:last]) - self.duration[first:last]
        job_end = (head + self.duration)[self.job_ptr[1:] - 1]
        tail = np.repeat(job_end, np.diff(self.job_ptr)) - head - self.duration
        bound = int(job_end.max())
        for m in range(self.n_machines):
            on = self.machine == m
            if on.any():
                bound = max(bound, int(head[on].min() + self.duration[on].sum() + tail[on].min()))
        return bound


def as_start_times(instance: JobShopInstance, solution: Any) -> NDArray[np.int64]:
    """Validate the form of a schedule: one non-negative integer start time an operation, shape (N,)."""
    start = np.asarray(solution)
    if start.shape != (instance.n_operations,) or not np.issubdtype(start.dtype, np.integer):
        raise InfeasibleError(
            f"{instance.name}: schedule of shape {start.shape}, dtype {start.dtype}; expected ({instance.n_operations},) integers"
        )
    if start.max() > FAR_FUTURE:
        raise InfeasibleError(f"{instance.name}: an operation starts at {start.max()}; expected at most {FAR_FUTURE}")
    for j in range(instance.n_jobs):
        first = start[instance.job_ptr[j]]
        if first < instance.release[j]:
            raise InfeasibleError(
                f"{instance.name}: job {j} starts at {first}, before its release date {instance.release[j]}"
            )
    return start.astype(np.int64)


class JobShop:
    """The job-shop problem. A solution is an (N,) integer array of start times."""

    name = "job-shop"
    sense: Sense = "minimize"

    def generate(
        self, rng: np.random.Generator, *, jobs: int = 10, machines: int = 10, low: int = 1, high: int = 99, **rest: Any
    ) -> JobShopInstance:
        """Taillard's distribution: every job visits every machine once in a random order, durations U[low, high]."""
        if jobs < 1 or machines < 1 or not 0 <= low <= high:
            raise InputError(
                f"jobs {jobs}, machines {machines}, durations {low}..{high}; expected 1 or more, 0 <= low <= high"
            )
        duration = rng.integers(low, high + 1, size=(jobs, machines))
        machine = rng.permuted(np.tile(np.arange(machines), (jobs, 1)), axis=1)
        rest.setdefault("name", f"random-{jobs}x{machines}")
        return JobShopInstance.from_matrix(machine, duration, n_machines=machines, **rest)

    def check(self, instance: JobShopInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` where release dates, job order or machine capacity are broken."""
        start = as_start_times(instance, solution)
        end = start + instance.duration
        for j in range(instance.n_jobs):
            for o in range(instance.job_ptr[j], instance.job_ptr[j + 1] - 1):
                if start[o + 1] < end[o]:
                    raise InfeasibleError(
                        f"{instance.name}: job {j}: operation {o + 1} starts at {start[o + 1]}, before {o} ends at {end[o]}"
                    )
        for m in range(instance.n_machines):
            on = np.flatnonzero(instance.machine == m)
            on = on[np.lexsort((end[on], start[on]))]
            for a, b in zip(on[:-1], on[1:], strict=True):
                if start[b] < end[a]:
                    raise InfeasibleError(
                        f"{instance.name}: machine {m}: operation {b} starts at {start[b]}, before {a} ends at {end[a]}"
                    )

    def cost(self, instance: JobShopInstance, solution: Any) -> float:
        """Makespan: the latest completion time, time units."""
        return float((np.asarray(solution) + instance.duration).max())


JOB_SHOP = JobShop()
