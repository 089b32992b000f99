"""The natively batched scheduling environments: one numba call a step for all copies."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.scheduling.batch import Observation
from optgap.envs.scheduling.config import BlockingJobShopOptions, JobShopOptions
from optgap.envs.scheduling.env import options_from


class JobShopVectorEnv(gym.vector.VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """Copies of :class:`optgap.envs.scheduling.env.JobShopEnv` over one kernel.

    Same arguments, spaces (batched), rewards and masks. ``reset(seed=s)`` seeds copy i with s + i, as Gymnasium does, so
    copy i plays exactly what a single environment seeded with s + i plays. Autoreset mode is NEXT_STEP: the step after
    an episode's end ignores that copy's action, draws a new instance and returns reward 0.

    ``copy=False`` returns the kernel's own buffers: faster, but the next step overwrites them.
    ``reset(options={"instances": [...]})`` gives one instance a copy.

    Info: ``makespan``, ``lower_bound`` (num_envs,) int64; at an episode's end ``solution`` (object array of start
    times) with its mask ``_solution``.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012
    options_class: ClassVar[type[JobShopOptions]] = JobShopOptions

    def __init__(self, num_envs: int = 1, render_mode: str | None = None, copy: bool = True, **arguments: Any) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}; expected at least 1")
        if render_mode is not None:
            raise InputError("the batched environment does not render; use gymnasium.make")
        self.num_envs, self.render_mode, self.copy = num_envs, render_mode, copy
        self.batch = options_from(self.options_class, arguments).batch(num_envs)
        self.single_observation_space = self.batch.observation_space()
        self.single_action_space = self.batch.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds; expected one for each of {self.num_envs} copies")
        if not self._rngs:
            self._rngs = [seeding.np_random(s)[0] for s in seeds]
        for i, s in enumerate(seeds):
            if s is not None:
                self._rngs[i] = seeding.np_random(s)[0]
        everyone = np.ones(self.num_envs, np.bool_)
        if options and "instances" in options:
            if len(options["instances"]) != self.num_envs:
                raise InputError(
                    f"{len(options['instances'])} instances; expected one for each of {self.num_envs} copies"
                )
            for b, instance in enumerate(options["instances"]):
                self.batch.put(b, instance)
            self.batch.restart(everyone)
        else:
            self.batch.reset(everyone, self._rngs)
        self._ended[:] = False
        return self._observation(), self._info()

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        if not self._rngs:
            raise gym.error.ResetNeeded("call reset before step")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            raise InvalidActionError(
                f"actions have shape {actions.shape}, dtype {actions.dtype}; expected ({self.num_envs},) integers"
            )
        self.batch.step(actions.astype(np.int64, copy=False), self._ended)
        if self._ended.any():
            self.batch.reset(self._ended, self._rngs)
        self._ended[:] = self.batch.done
        reward = self.batch.reward.copy()
        return self._observation(), reward, self._ended.copy(), np.zeros(self.num_envs, np.bool_), self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """(num_envs, A) which actions are allowed now; all false for a copy whose episode has just ended."""
        return self.batch.seen.action_mask.astype(np.bool_)

    def _observation(self) -> Observation:
        seen = self.batch.observation()
        return {key: value.copy() for key, value in seen.items()} if self.copy else seen

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "makespan": self.batch.state.makespan.copy(),
            "lower_bound": self.batch.scratch.bound.copy(),
        }
        if self._ended.any():
            info["solution"] = np.array(
                [self.batch.solution(b) if self._ended[b] else None for b in range(self.num_envs)] + [None],
                dtype=object,
            )[:-1]
            info["_solution"] = self._ended.copy()
        return info


class BlockingJobShopVectorEnv(JobShopVectorEnv):
    """Copies of :class:`optgap.envs.scheduling.env.BlockingJobShopEnv` over one kernel."""

    options_class = BlockingJobShopOptions
