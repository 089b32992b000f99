"""Arguments of the scheduling environments, and their training configurations ``env=jssp`` and ``env=isbjssp``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from optgap.co.core import PROBLEMS, InputError
from optgap.co.problems.job_shop import JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.envs.scheduling.batch import CANDIDATES, SCHEDULES, ShopBatch, one_of
from optgap.envs.scheduling.kernel import REWARDS


def span(what: str, value: Any) -> tuple[int, int]:
    """(least, most) of a size given as one number or as a pair."""
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(x, int) for x in pair) or not 1 <= pair[0] <= pair[1]:
        raise InputError(f"{what} is {value!r}; expected a number above 0, or two: [least, most]")
    return pair[0], pair[1]


@dataclass
class JobShopOptions:
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
        if not 0 <= self.low <= self.high:
            raise InputError(f"durations low={self.low}, high={self.high}; expected 0 <= low <= high")
        one_of("reward", self.reward, REWARDS)
        one_of("schedule", self.schedule, list(SCHEDULES))
        one_of("candidates", self.candidates, list(CANDIDATES))
        if self.instances is not None:
            given = [self.instances] if isinstance(self.instances, str | JobShopInstance) else list(self.instances)
            if not given:
                raise InputError("instances is empty; expected at least one instance, name or path")
            self.instances = given
        if self.padding is not None:
            self.padding = tuple(self.padding)
            if len(self.padding) != 3 or any(not isinstance(x, int) or x < 1 for x in self.padding):
                raise InputError(f"padding is {self.padding!r}; expected (jobs, operations, machines), each above 0")

    def loaded(self) -> list[JobShopInstance] | None:
        """The given instances, names and paths read."""
        if self.instances is None:
            return None
        return [load_job_shop(i) if isinstance(i, str) else i for i in self.instances]

    def generator_arguments(self) -> dict[str, Any]:
        """What ``Problem.generate`` takes besides jobs and machines."""
        return {"low": self.low, "high": self.high}

    def source(self) -> Callable[[np.random.Generator], JobShopInstance]:
        """Draws the instance of an episode: one of ``instances``, or a random one of a random size."""
        problem = PROBLEMS.load(self.problem)
        jobs, machines, rest, given = (
            span("jobs", self.jobs),
            span("machines", self.machines),
            self.generator_arguments(),
            self.loaded(),
        )

        def draw(rng: np.random.Generator) -> JobShopInstance:
            if given is not None:
                return given[int(rng.integers(len(given))) if len(given) > 1 else 0]
            size = {
                "jobs": int(rng.integers(jobs[0], jobs[1] + 1)),
                "machines": int(rng.integers(machines[0], machines[1] + 1)),
            }
            return problem.generate(rng, **size, **rest)  # type: ignore[no-any-return]

        return draw

    def size(self) -> tuple[int, int, int]:
        """Most (jobs, operations, machines) of an episode: the shape of the observation."""
        if self.padding is not None:
            return self.padding  # type: ignore[no-any-return]
        given = self.loaded()
        if given is not None:
            return tuple(max(getattr(i, f"n_{what}") for i in given) for what in ("jobs", "operations", "machines"))  # type: ignore[return-value]
        jobs, machines = span("jobs", self.jobs)[1], span("machines", self.machines)[1]
        return jobs, jobs * machines, machines

    def batch(self, copies: int) -> ShopBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        from optgap.co.dynamics import job_shop

        return self._batch_over(job_shop, copies)

    def _batch_over(self, dynamics: Any, copies: int) -> ShopBatch:
        return ShopBatch(
            dynamics,
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

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """The single environment."""
        return gym.make(self.id, **self._arguments(overrides))

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """The natively batched environment."""
        return gym.make_vec(self.id, num_envs, vectorization_mode="vector_entry_point", **self._arguments(overrides))

    def _arguments(self, overrides: dict[str, Any]) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | overrides


@dataclass
class BlockingJobShopOptions(JobShopOptions):
    """Arguments of ``optgap/BlockingJobShop-v0``; documented with the environment."""

    shutdown_probability: float = 0.1
    mean_downtime: float = 50.0

    problem: ClassVar[str] = "blocking-job-shop"
    id: ClassVar[str] = "optgap/BlockingJobShop-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule != "non-delay":
            raise InputError(f"schedule is {self.schedule!r}; the blocking job shop offers 'non-delay' alone")
        if not 0 <= self.shutdown_probability <= 0.9 or self.mean_downtime < 1:
            raise InputError(
                f"shutdown_probability {self.shutdown_probability}, mean_downtime {self.mean_downtime}; "
                "expected 0..0.9 and at least 1"
            )

    def generator_arguments(self) -> dict[str, Any]:
        return super().generator_arguments() | {
            "shutdown_probability": self.shutdown_probability,
            "mean_downtime": self.mean_downtime,
        }

    def batch(self, copies: int) -> ShopBatch:
        from optgap.co.dynamics import blocking_job_shop

        return self._batch_over(blocking_job_shop, copies)


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
    """``env=isbjssp``: mixed sizes, all machines decide together, forced decisions are played, dense reward."""

    jobs: Any = (6, 12)
    machines: Any = (5, 10)
    reward: str = "lower_bound"
    autoplay: bool = True
    graph: bool = False
