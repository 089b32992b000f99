"""Two faces over one batch of episodes: the single environment and the natively batched one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError

Observation = dict[str, NDArray[Any]]


class EpisodeBatch(Protocol):
    """B episodes on instances of one problem, over compiled dynamics. ``observation`` and ``info`` are arrays of B rows."""

    reward: NDArray[np.float64]  # (B,) of the last step
    done: NDArray[np.bool_]  # (B,) whether the episode has ended
    constants: Sequence[str]  # observations that stay as they are over an episode

    @property
    def instances(self) -> Sequence[Any]:
        """B; None before the first reset."""
        ...

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new instance for, and restart, every copy marked in ``which`` (B,)."""
        ...

    def put(self, b: int, instance: Any) -> None:
        """Give copy ``b`` an instance; :class:`InputError` where it cannot be played, and then nothing has changed."""
        ...

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the instances they have."""
        ...

    def step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; :class:`InvalidActionError` names a forbidden action, no copy has moved."""
        ...

    def observation(self) -> Observation:
        """The buffers by name, not copied: the next step overwrites them."""
        ...

    def masks(self) -> NDArray[np.int8]:
        """(B, A) buffer, 1 where an action is allowed."""
        ...

    def info(self) -> Observation:
        """Figures of the episodes so far, (B,) each, not copied."""
        ...

    def solution(self, b: int) -> Any:
        """The solution of copy ``b`` so far; at the end of the episode what ``Problem.check`` takes."""
        ...

    def picture(self, b: int, mode: str) -> Any:
        """What copy ``b`` has decided so far: an (H, W, 3) uint8 array for "rgb_array", text for "ansi"."""
        ...

    def action_space(self) -> spaces.Discrete:
        """Space of one copy's action."""
        ...

    def observation_space(self) -> spaces.Space[Any]:
        """Space of one copy's observation."""
        ...


class Options(Protocol):
    """A dataclass of an environment's arguments."""

    id: ClassVar[str]

    def batch(self, copies: int) -> EpisodeBatch:
        """``copies`` episodes."""
        ...


def batch_from(options_class: Any, copies: int, arguments: dict[str, Any]) -> EpisodeBatch:
    """A batch from validated arguments; an unknown one is an :class:`InputError` that lists the known ones."""
    known = list(options_class.__dataclass_fields__)
    for name in arguments:
        if name not in known:
            raise InputError(f"{options_class.id} has no argument {name!r}; known: {', '.join(known)}")
    return cast(EpisodeBatch, options_class(**arguments).batch(copies))


class BatchedEnv(gym.Env[Observation, np.int64]):
    """A single environment over a batch of one. A subclass documents it and names the class of its arguments."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's form)
    options_class: ClassVar[Any]

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode is {render_mode!r}; expected one of {self.metadata['render_modes']}")
        self.render_mode = render_mode
        self.batch = batch_from(self.options_class, 1, arguments)
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
        return self._observation(), float(self.batch.reward[0]), bool(self.batch.done[0]), False, self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """(A,) which actions are allowed now (the convention of sb3-contrib)."""
        allowed: NDArray[np.bool_] = self.batch.masks()[0] != 0
        return allowed

    def render(self) -> Any:
        """What has been decided so far: an (H, W, 3) uint8 array, or text with ``render_mode="ansi"``."""
        if self.batch.instances[0] is None:
            raise gym.error.ResetNeeded("call reset before render")
        return None if self.render_mode is None else self.batch.picture(0, self.render_mode)

    def _observation(self) -> Observation:
        return {key: value[0].copy() for key, value in self.batch.observation().items()}

    def _info(self) -> dict[str, Any]:
        info = {key: value[0].item() for key, value in self.batch.info().items()}
        info["instance"] = self.batch.instances[0].name
        if self.batch.done[0]:
            info["solution"] = self.batch.solution(0)
        return info


class BatchedVectorEnv(gym.vector.VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """Copies of a single environment over one compiled batch.

    Same arguments, spaces (batched), rewards and masks. ``reset(seed=s)`` seeds copy i with s + i, as Gymnasium does, so
    copy i plays exactly what a single environment seeded with s + i plays. Autoreset mode is NEXT_STEP: the step after
    an episode's end ignores that copy's action, draws a new instance and returns reward 0.
    ``reset(options={"instances": [...]})`` gives one instance a copy.

    Observations are the caller's to keep. Those that no episode changes (the positions of the nodes, for instance) are
    copied when a copy is reset and shared by the answers until the next reset: do not write to them. ``copy=False``
    returns the batch's own buffers: faster, but the next step overwrites them.

    Info: as the single environment's, (num_envs,) each; at an episode's end ``solution`` (object array) with its mask
    ``_solution``.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012
    options_class: ClassVar[Any]

    def __init__(self, num_envs: int = 1, render_mode: str | None = None, copy: bool = True, **arguments: Any) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs is {num_envs}; expected at least 1")
        if render_mode is not None:
            raise InputError("the batched environment does not render; use gymnasium.make")
        self.num_envs, self.render_mode, self.copy = num_envs, render_mode, copy
        self.batch = batch_from(self.options_class, num_envs, arguments)
        self.single_observation_space = self.batch.observation_space()
        self.single_action_space = self.batch.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._ended = np.zeros(num_envs, np.bool_)
        self._constants: Observation = {}

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
            given = options["instances"]
            if len(given) != self.num_envs:
                raise InputError(f"{len(given)} instances; expected one for each of {self.num_envs} copies")
            for b, instance in enumerate(given):
                self.batch.put(b, instance)
            self.batch.restart(everyone)
        else:
            self.batch.reset(everyone, self._rngs)
        self._ended[:] = False
        self._constants = {}
        return self._observation(), self._info()

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        if not self._rngs:
            raise gym.error.ResetNeeded("call reset before step")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise InvalidActionError(
                f"actions have shape {actions.shape}, dtype {actions.dtype}; expected ({self.num_envs},) integers"
            )
        self.batch.step(actions.astype(np.int64, copy=False), self._ended)
        if np.count_nonzero(self._ended):
            self.batch.reset(self._ended, self._rngs)
            self._constants = {}
        self._ended[:] = self.batch.done
        reward = self.batch.reward.copy()
        return self._observation(), reward, self._ended.copy(), np.zeros(self.num_envs, np.bool_), self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """(num_envs, A) which actions are allowed now; all false for a copy whose episode has just ended."""
        allowed: NDArray[np.bool_] = self.batch.masks() != 0
        return allowed

    def _observation(self) -> Observation:
        seen = self.batch.observation()
        if not self.copy:
            return seen
        if not self._constants:
            self._constants = {key: seen[key].copy() for key in self.batch.constants}
        return {key: self._constants[key] if key in self._constants else value.copy() for key, value in seen.items()}

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {key: value.copy() for key, value in self.batch.info().items()}
        ended = np.flatnonzero(self._ended).tolist()
        if ended:
            info["solution"], info["_solution"] = np.full(self.num_envs, None, object), self._ended.copy()
            for b in ended:
                info["solution"][b] = self.batch.solution(b)
        return info
