"""Arguments of the scheduling environments, and their training configurations ``env=jssp`` and ``env=isbjssp``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from optgap.co.core import PROBLEMS, InputError
from optgap.co.dynamics import blocking_job_shop, job_shop
from optgap.co.formats.job_shop import SIZE_LIMIT
from optgap.co.problems.job_shop import TIME_LIMIT, JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.envs.batched import MadeById
from optgap.envs.scheduling.batch import CANDIDATES, SCHEDULES, ShopBatch, one_of, require_kind
from optgap.envs.scheduling.kernel import REWARDS


def span(what: str, value: Any) -> tuple[int, int]:
    """(least, most) of a size given as one number or as a pair."""
    pair = (value, value) if isinstance(value, Integral) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(x, Integral) for x in pair) or not 1 <= pair[0] <= pair[1] <= SIZE_LIMIT:
        raise InputError(f"{what} is {value!r}; expected a number from 1 to {SIZE_LIMIT}, or two: [least, most]")
    return int(pair[0]), int(pair[1])


@dataclass(frozen=True)
class InstanceSource:
    """Draws the instance of an episode: one of ``given``, or a random one of a random size."""

    problem: Any
    jobs: tuple[int, int]
    machines: tuple[int, int]
    rest: dict[str, Any]  # other arguments of ``generate``; a pair is drawn uniformly
    given: list[JobShopInstance] | None

    def __call__(self, rng: np.random.Generator) -> JobShopInstance:
        if self.given is not None:
            return self.given[int(rng.integers(len(self.given))) if len(self.given) > 1 else 0]
        jobs = int(rng.integers(self.jobs[0], self.jobs[1] + 1))
        machines = int(rng.integers(self.machines[0], self.machines[1] + 1))
        rest = {name: float(rng.uniform(*x)) if isinstance(x, tuple) else x for name, x in self.rest.items()}
        return cast(JobShopInstance, self.problem.generate(rng, jobs=jobs, machines=machines, **rest))


@dataclass
class JobShopOptions(MadeById):
    """Arguments of ``optgap/JobShop-v0``; documented with the environment."""

    jobs: Any = 10
    machines: Any = 10
    low: int = 1
    high: int = 99
    instances: Any = None
    reward: str = "makespan"
    schedule: str = "non-delay"
    candidates: str = "shop"
    wait: bool = False
    autoplay: bool = False
    graph: bool = True
    padding: Any = None

    problem: ClassVar[str] = "job-shop"
    id: ClassVar[str] = "optgap/JobShop-v0"

    def __post_init__(self) -> None:
        span("jobs", self.jobs), span("machines", self.machines)
        if (
            not all(isinstance(x, Integral) for x in (self.low, self.high))
            or not 0 <= self.low <= self.high <= TIME_LIMIT
        ):
            raise InputError(
                f"durations low={self.low!r}, high={self.high!r}; expected integers, 0 <= low <= high <= {TIME_LIMIT}"
            )
        one_of("reward", self.reward, REWARDS)
        one_of("schedule", self.schedule, list(SCHEDULES))
        one_of("candidates", self.candidates, list(CANDIDATES))
        if self.wait and self.schedule == "active":
            raise InputError(
                "wait is offered by schedule='non-delay' alone; an active schedule waits by its choice of job"
            )
        if self.instances is not None:
            single = isinstance(self.instances, str | Path) or not isinstance(self.instances, Iterable)
            given = [self.instances] if single else list(self.instances)
            self.instances = [str(i) if isinstance(i, Path) else i for i in given]
            if not self.instances:
                raise InputError("instances is empty; expected at least one instance, name or path")
        if self.padding is not None:
            size = tuple(self.padding) if isinstance(self.padding, Sequence) else ()
            if len(size) != 3 or not all(isinstance(x, Integral) and int(x) >= 1 for x in size):
                raise InputError(f"padding is {self.padding!r}; expected (jobs, operations, machines), each above 0")
            self.padding = tuple(int(x) for x in size)

    @property
    def dynamics(self) -> Any:
        """The module of ``optgap.co.dynamics`` that moves the state."""
        return job_shop

    def loaded(self) -> list[JobShopInstance] | None:
        """The given instances, names and paths read."""
        if self.instances is None:
            return None
        found = [load_job_shop(i) if isinstance(i, str) else i for i in self.instances]
        for instance in found:
            require_kind(instance, self.dynamics)
        return found

    def generator_arguments(self) -> dict[str, Any]:
        """What ``Problem.generate`` takes besides jobs and machines; a pair is drawn from, every episode."""
        return {"low": self.low, "high": self.high}

    def source(self) -> InstanceSource:
        """What draws the instance of an episode."""
        jobs, machines = span("jobs", self.jobs), span("machines", self.machines)
        return InstanceSource(PROBLEMS.load(self.problem), jobs, machines, self.generator_arguments(), self.loaded())

    def size(self) -> tuple[int, int, int]:
        """Most (jobs, operations, machines) of an episode: the shape of the observation."""
        if self.padding is not None:
            return self.padding  # type: ignore[no-any-return]
        given = self.loaded()
        if given is not None:
            return max(i.n_jobs for i in given), max(i.n_operations for i in given), max(i.n_machines for i in given)
        jobs, machines = span("jobs", self.jobs)[1], span("machines", self.machines)[1]
        if jobs * machines > SIZE_LIMIT:
            raise InputError(f"{jobs} jobs x {machines} machines; expected at most {SIZE_LIMIT} operations")
        return jobs, jobs * machines, machines

    def batch(self, copies: int) -> ShopBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        return ShopBatch(
            self.dynamics,
            copies,
            self.size(),
            self.source(),
            schedule=self.schedule,
            candidates=self.candidates,
            reward=self.reward,
            wait=self.wait,
            autoplay=self.autoplay,
            graph=self.graph,
        )


@dataclass
class BlockingJobShopOptions(JobShopOptions):
    """Arguments of ``optgap/BlockingJobShop-v0``; documented with the environment."""

    shutdown_probability: Any = 0.1
    mean_downtime: float = 50.0

    problem: ClassVar[str] = "blocking-job-shop"
    id: ClassVar[str] = "optgap/BlockingJobShop-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule != "non-delay":
            raise InputError(f"schedule is {self.schedule!r}; the blocking job shop offers 'non-delay' alone")
        pair, mean = self._shutdown(), self.mean_downtime
        numbers = len(pair) == 2 and all(isinstance(x, Real) for x in (*pair, mean))
        if not numbers or not 0 <= pair[0] <= pair[1] <= 0.9 or not 1 <= mean <= TIME_LIMIT:
            raise InputError(
                f"shutdown_probability {self.shutdown_probability!r}, mean_downtime {mean!r}; "
                f"expected a number in 0 to 0.9 or two, [least, most], and 1 to {TIME_LIMIT}"
            )

    def _shutdown(self) -> tuple[Any, ...]:
        """(least, most) share of down-time."""
        value = self.shutdown_probability
        return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)

    @property
    def dynamics(self) -> Any:
        return blocking_job_shop

    def generator_arguments(self) -> dict[str, Any]:
        least, most = self._shutdown()
        return super().generator_arguments() | {
            "shutdown_probability": (least, most) if least < most else least,
            "mean_downtime": self.mean_downtime,
        }


@dataclass
class JobShopConfig(JobShopOptions):
    """``env=jssp``: mixed sizes, active schedules, forced decisions are played, dense reward.

    Policies of equal training end several per cent better on active than on non-delay schedules (docs/systems/job-shop.md).
    """

    jobs: Any = (6, 12)
    machines: Any = (5, 10)
    reward: str = "lower_bound"
    schedule: str = "active"
    candidates: str = "machine"
    autoplay: bool = True
    graph: bool = False


@dataclass
class BlockingJobShopConfig(BlockingJobShopOptions):
    """``env=isbjssp``: mixed sizes and disruptions, all machines decide together, waiting is offered.

    Without buffers a shop that takes in every job at once clogs; holding jobs back is where schedules are won.
    """

    jobs: Any = (6, 12)
    machines: Any = (5, 10)
    shutdown_probability: Any = (0.0, 0.2)
    reward: str = "lower_bound"
    wait: bool = True
    autoplay: bool = True
    graph: bool = False
