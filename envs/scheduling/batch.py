"""A batch of scheduling episodes: instances, state, observation buffers. The single and the vector environment face it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.dynamics import job_shop
from optgap.co.dynamics.shop import dynamics_of
from optgap.co.problems.job_shop import TIME_LIMIT, JobShopInstance
from optgap.envs.batched import Observation
from optgap.envs.scheduling.kernel import REWARDS, Options, reset_batch, step_batch
from optgap.envs.scheduling.observation import (
    JOB_FEATURES,
    MACHINE_FEATURES,
    OPERATION_FEATURES,
    ROUTE_FEATURES,
    SHOP_FEATURES,
    empty_observation,
    empty_scratch,
)
from optgap.envs.scheduling.render import gantt_frame, gantt_text

SCHEDULES = {"non-delay": job_shop.NON_DELAY, "active": job_shop.ACTIVE}
CANDIDATES = {"shop": job_shop.ANY_MACHINE, "machine": job_shop.ONE_MACHINE}


def one_of(what: str, value: str, known: Sequence[str]) -> int:
    """Index of ``value`` among ``known``; an :class:`InputError` that lists them otherwise."""
    if value not in known:
        raise InputError(f"{what} is {value!r}; expected one of {', '.join(known)}")
    return list(known).index(value)


def require_kind(instance: object, dynamics: Any) -> None:
    """Raise :class:`InputError` unless ``instance`` is of the problem that the module ``dynamics`` moves."""
    if dynamics_of(instance) is not dynamics:
        name, kind = getattr(instance, "name", "unnamed"), type(instance).__name__
        problem = dynamics.__name__.rpartition(".")[2].replace("_", " ")
        raise InputError(f"instance {name} is a {kind}; the environment plays instances of the {problem}")


class ShopBatch:
    """``copies`` episodes on instances drawn by ``draw(rng)``, one random generator a copy.

    Args:
        dynamics: module of ``optgap.co.dynamics`` that moves the state.
        size: most (jobs, operations, machines) that ``draw`` returns: the shape of the padding.
    """

    constants: Sequence[str] = ()

    def __init__(
        self,
        dynamics: Any,
        copies: int,
        size: tuple[int, int, int],
        draw: Callable[[np.random.Generator], JobShopInstance],
        *,
        schedule: str,
        candidates: str,
        reward: str,
        wait: bool,
        autoplay: bool,
        graph: bool,
        candidates_only: bool = False,
    ) -> None:
        self.options = Options(
            scheme=SCHEDULES[schedule],
            scope=CANDIDATES[candidates],
            reward=REWARDS.index(reward),
            wait=bool(wait),
            autoplay=bool(autoplay),
            nodes=bool(graph),
            candidates_only=candidates_only,
        )
        self.dynamics, self.draw = dynamics, draw
        self.jobs, self.operations, self.machines = size
        self.n_actions = self.jobs + int(wait)
        self.shop, self.state = dynamics.empty_arrays(copies, *size)
        self.seen = empty_observation(copies, *size, self.n_actions)
        self.scratch = empty_scratch(copies, self.operations, self.machines)
        self.instances: list[JobShopInstance | None] = [None] * copies
        self.reward = np.zeros(copies)
        self.done = np.zeros(copies, np.bool_)

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new instance for, and restart, every copy marked in ``which`` (B,)."""
        for b in np.flatnonzero(which).tolist():
            self.put(b, self.draw(rngs[b]))
        self.restart(which)

    def put(self, b: int, instance: JobShopInstance) -> None:
        """Give copy ``b`` an instance; it must be of the right problem and fit the padding."""
        require_kind(instance, self.dynamics)
        if (
            instance.n_jobs > self.jobs
            or instance.n_operations > self.operations
            or instance.n_machines > self.machines
        ):
            raise InputError(
                f"instance {instance.name} has {instance.n_jobs} jobs, {instance.n_operations} operations and "
                f"{instance.n_machines} machines; the environment holds {self.jobs}, {self.operations} and {self.machines}"
            )
        self.dynamics.put_instance(self.shop, b, instance)
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the instances they have."""
        reset_batch(self.shop, self.state, self.scratch, self.seen, which, self.options)
        self.reward[which] = 0.0
        self.done[which] = False

    def step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; ``reward`` and ``done`` are written in place."""
        bad = step_batch(
            self.shop, self.state, self.scratch, self.seen, action, skip, self.options, self.reward, self.done
        )
        if bad >= 0:
            allowed = np.flatnonzero(self.seen.action_mask[bad]).tolist()
            raise InvalidActionError(f"action {int(action[bad])} in copy {bad} is not allowed; allowed now: {allowed}")

    def observation(self) -> Observation:
        """The buffers by name, not copied: the next step overwrites them."""
        seen = self.seen._asdict()
        if not self.options.nodes:
            del seen["operations"]
        return seen

    def masks(self) -> NDArray[np.int8]:
        """(B, A) buffer, 1 where an action is allowed."""
        return self.seen.action_mask

    def info(self) -> Observation:
        """Makespan so far and its lower bound, (B,) int64 each, not copied."""
        return {"makespan": self.state.makespan, "lower_bound": self.scratch.bound}

    def picture(self, b: int, mode: str) -> Any:
        """The Gantt chart so far, down-times drawn: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        instance = self.instances[b]
        assert instance is not None, "reset first"
        return (gantt_text if mode == "ansi" else gantt_frame)(instance, self.solution(b))

    def solution(self, b: int) -> NDArray[np.int64]:
        """Start times of copy ``b``, (N,) int64: what ``Problem.check`` takes."""
        instance = self.instances[b]
        assert instance is not None, "reset first"
        return cast(NDArray[np.int64], self.state.start[b, : instance.n_operations].copy())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"dynamics": self.dynamics.__name__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.dynamics = import_module(state["dynamics"])
        # arrays that come out of a pickle may borrow their memory, but the dynamics let some of theirs grow in place
        self.shop = type(self.shop)(*(array.copy() for array in self.shop))

    def action_space(self) -> spaces.Discrete:
        """Space of one copy's action."""
        return spaces.Discrete(self.n_actions)

    def observation_space(self) -> spaces.Space[Any]:
        """Space of one copy's observation."""
        # A duration is at most N mean durations, and every other feature is smaller, but for one: down-times, which no
        # one foresees, raise the bound without limit but that of times.

        def box(*shape: int, limit: float = self.operations + 1.0) -> spaces.Box:
            return spaces.Box(-limit, limit, shape, np.float32)

        found: dict[str, spaces.Space[Any]] = {
            "operations": box(self.operations, len(OPERATION_FEATURES)),
            "jobs": box(self.jobs, len(JOB_FEATURES)),
            "machines": box(self.machines, len(MACHINE_FEATURES)),
            "shop": box(len(SHOP_FEATURES), limit=float(TIME_LIMIT)),
            "route": box(self.operations, len(ROUTE_FEATURES)),
            "operation_job": spaces.Box(-1, self.jobs - 1, (self.operations,), np.int64),
            "operation_machine": spaces.Box(-1, self.machines - 1, (self.operations,), np.int64),
            "next_operation": spaces.Box(-1, self.operations - 1, (self.jobs,), np.int64),
            "action_mask": spaces.Box(0, 1, (self.n_actions,), np.int8),
        }
        if not self.options.nodes:
            del found["operations"]
        return spaces.Dict(found)
