"""``optgap/JobShop-v0`` and ``optgap/BlockingJobShop-v0``: the single environments."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.scheduling.batch import Observation
from optgap.envs.scheduling.config import BlockingJobShopOptions, JobShopOptions
from optgap.envs.scheduling.render import gantt_frame, gantt_text


def options_from(cls: type[JobShopOptions], arguments: dict[str, Any]) -> JobShopOptions:
    """Validated options; an unknown argument is an :class:`InputError` that lists the known ones."""
    known = list(cls.__dataclass_fields__)
    for name in arguments:
        if name not in known:
            raise InputError(f"{cls.id} has no argument {name!r}; known: {', '.join(known)}")
    return cls(**arguments)


class JobShopEnv(gym.Env[Observation, np.int64]):
    """Job-shop scheduling as a sequence of dispatching decisions.

    ## Description
    J jobs, each a chain of operations on M machines; one operation a machine at a time, no preemption. At a decision
    the agent names the job whose next operation starts. Time advances by events (Park et al. 2021, arXiv 2106.01086,
    section 3): with ``schedule="non-delay"`` the clock stands at the earliest moment at which a waiting job meets an
    idle machine; with ``"active"`` decisions follow Giffler and Thompson (1960), whose schedules contain an optimal one.

    ## Action space
    ``Discrete(J)``, or ``Discrete(J + 1)`` with ``wait=True``: action j < J starts the next operation of job j; action J
    leaves the deciding machine (all idle machines where ``candidates="shop"``) idle until the next moment at which a job
    could start; it is offered where there is one. With ``candidates="shop"`` waiting makes an optimal schedule
    reachable; a single "machine" must decide before it is known what the others will send it, and may miss it. Only actions
    with ``action_masks()`` true are allowed; another one raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    A ``Dict`` over the typed graph of operations (predecessor and successor: neighbours n - 1, n + 1 of the same job;
    same machine: equal ``operation_machine``). N is the number of operations; padded entries are 0, padded ids -1.
    Lengths are relative to the mean duration d or to the rest L of the makespan's lower bound, so they have no unit.

    | key | shape, dtype | content |
    |---|---|---|
    | operations | (N, 10) float32 | Park's node features and a lower bound (``observation.OPERATION_FEATURES``), if ``graph`` |
    | jobs | (J, 32) float32 | each unfinished job and its next operation (``observation.JOB_FEATURES``) |
    | machines | (M, 5) float32 | each machine, whether it is down included (``observation.MACHINE_FEATURES``) |
    | shop | (10,) float32 | the whole (``observation.SHOP_FEATURES``) |
    | route | (N, 6) float32 | constants of the operations (``observation.ROUTE_FEATURES``) |
    | operation_job | (N,) int64 | job of each operation |
    | operation_machine | (N,) int64 | machine of each operation |
    | next_operation | (J,) int64 | next operation of each job, -1 when finished |
    | action_mask | (A,) int8 | 1 where the action is allowed |

    Operations that are open (not done) form the residual graph of Ho et al. 2023: column 3 of ``operations`` is 0 there.

    ## Reward
    ``"makespan"``: minus the rise of the latest completion time, so that the undiscounted return is minus the makespan,
    exactly; ``"lower_bound"``: minus the rise of the lower bound (the first step pays the bound at time 0), same
    return, denser; ``"sparse"``: minus the makespan at the end; ``"waiting"``: minus the number of jobs that wait after
    the step (Park et al. 2021; its return is not the makespan). Time units.

    ## Episode
    Terminates when every operation has started. Never truncates. ``autoplay=True`` takes decisions with one candidate
    (and no possible wait) itself; an episode still has at least one step.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | jobs, machines | 10, 10 | size of the random instances: a number, or (least, most) to draw from, every episode |
    | low, high | 1, 99 | durations U[low, high] (Taillard 1993) |
    | instances | None | instances, names (``"ta01"``) or paths to draw from instead of random ones |
    | reward | "makespan" | see above |
    | schedule | "non-delay" | or "active" |
    | candidates | "shop" | every job that can start now, or those of one "machine" |
    | wait | False | offer the wait action (``schedule="non-delay"``) |
    | autoplay | False | play forced decisions |
    | graph | True | observe ``operations`` |
    | padding | None | (J, N, M) of the observation; by default the largest episode's |

    ``reset(options={"instance": instance})`` plays that instance (it must fit the padding).

    ## Info
    ``makespan`` (so far), ``lower_bound``, ``instance`` (name); at the end ``solution``, the (N,) int64 start times that
    ``JOB_SHOP.check`` takes.

    ## Version history
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's form)
    options_class: ClassVar[type[JobShopOptions]] = JobShopOptions

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode is {render_mode!r}; expected one of {self.metadata['render_modes']}")
        self.render_mode = render_mode
        self.batch = options_from(self.options_class, arguments).batch(1)
        self.observation_space = self.batch.observation_space()
        self.action_space = self.batch.action_space()
        self._all, self._none = np.ones(1, np.bool_), np.zeros(1, np.bool_)
        self._action = np.zeros(1, np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if options and "instance" in options:
            self.batch.put(0, options["instance"])
            self.batch.restart(self._all)
        else:
            self.batch.reset(self._all, [self.np_random])
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self.batch.instances[0] is None or self.batch.done[0]:
            raise gym.error.ResetNeeded("call reset before step: no episode is under way")
        if not self.action_space.contains(action):
            raise InvalidActionError(f"action is {action!r}; expected an integer of {self.action_space}")
        self._action[0] = action
        self.batch.step(self._action, self._none)
        done = bool(self.batch.done[0])
        return self._observation(), float(self.batch.reward[0]), done, False, self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """(A,) which actions are allowed now (the convention of sb3-contrib)."""
        allowed: NDArray[np.bool_] = self.batch.seen.action_mask[0] != 0
        return allowed

    def render(self) -> Any:
        """The Gantt chart so far, down-times drawn: an (H, W, 3) uint8 array, or text with ``render_mode="ansi"``."""
        instance = self.batch.instances[0]
        if instance is None:
            raise gym.error.ResetNeeded("call reset before render")
        draw = gantt_text if self.render_mode == "ansi" else gantt_frame
        return None if self.render_mode is None else draw(instance, self.batch.solution(0))

    def _observation(self) -> Observation:
        return {key: value[0].copy() for key, value in self.batch.observation().items()}

    def _info(self) -> dict[str, Any]:
        instance = self.batch.instances[0]
        assert instance is not None
        info: dict[str, Any] = {
            "makespan": int(self.batch.state.makespan[0]),
            "lower_bound": int(self.batch.scratch.bound[0]),
            "instance": instance.name,
        }
        if self.batch.done[0]:
            info["solution"] = self.batch.solution(0)
        return info


class BlockingJobShopEnv(JobShopEnv):
    """The interrupting swap-allowed blocking job shop, ISBJSSP (Wong et al. 2023, arXiv 2302.02506).

    As :class:`JobShopEnv`, with these differences; the problem is defined in ``optgap.co.problems.blocking_job_shop``.

    * No buffers: a job holds its machine until its next operation starts. A candidate's next machine is free and up, or
      the job's own. Jobs that block each other in a cycle move at once, by themselves, as soon as they can (waiting
      could not help: no other job can enter their machines).
    * Machines go down and come back at random times; an interrupted operation keeps its machine and resumes. The
      disruptions belong to the instance, hence to the seed; the observation shows which machines are down now
      (``machines`` column 4, ``jobs`` column 22) and nothing of the future: remaining times assume no further one.
    * ``schedule`` is "non-delay". Two more arguments: ``shutdown_probability`` (0.1), the long-run share of time a
      machine is down (a number, or (least, most) to draw from, every episode), and ``mean_downtime`` (50.0) time units.
    * ``info["makespan"]`` and the ``"makespan"`` reward count true completions, future interruptions of operations under
      way included: a measure for the trainer, not for the policy, whose observation and ``lower_bound`` know none.
    * ``solution`` is what ``BLOCKING_JOB_SHOP.check`` takes.

    ## Version history
    v0: first version.
    """

    options_class = BlockingJobShopOptions
