"""Two faces over one batch of episodes: the single environment and the natively batched one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError

Observation = dict[str, NDArray[Any]]
Seen = Observation | NDArray[Any]  # what an agent sees: named arrays, or one


class EpisodeBatch(Protocol):
    """B episodes on instances of one problem, over compiled dynamics. ``observation`` and ``info`` are arrays of B rows."""

    constants: Sequence[str]  # observations that stay as they are over an episode

    @property
    def done(self) -> NDArray[np.bool_]:
        """(B,) whether the episode has ended."""
        ...

    @property
    def reward(self) -> NDArray[np.float64]:
        """(B,) of the last step."""
        ...

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

    def step(self, action: NDArray[Any], skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; :class:`InvalidActionError` names a forbidden action, no copy has moved.

        Args:
            action: (B,) int64, or (B, n) float64 where the space of actions is a box.
        """
        ...

    def observation(self) -> Seen:
        """The buffers, by name where there are several, not copied: the next step overwrites them."""
        ...

    def info(self) -> Observation:
        """Figures of the episodes so far, or of the last step, (B,) or (B, n) each, not copied."""
        ...

    def solution(self, b: int) -> Any:
        """The solution of copy ``b`` so far; at the end of the episode what ``Problem.check`` takes."""
        ...

    def picture(self, b: int, mode: str) -> Any:
        """What copy ``b`` has decided so far: an (H, W, 3) uint8 array for "rgb_array", text for "ansi"."""
        ...

    def action_space(self) -> spaces.Discrete | spaces.Box:
        """Space of one copy's action."""
        ...

    def observation_space(self) -> spaces.Space[Any]:
        """Space of one copy's observation."""
        ...


class MaskedBatch(Protocol):
    """A batch whose actions are not always allowed."""

    def masks(self) -> NDArray[np.int8]:
        """(B, A) buffer, 1 where an action is allowed."""
        ...


class EndedBatch(Protocol):
    """A batch some of whose episodes end by termination and some by truncation: it says which, in place of ``truncates``."""

    truncated: NDArray[np.bool_]  # (B,) whether the episode has ended by truncation


class Options(Protocol):
    """A dataclass of an environment's arguments."""

    id: ClassVar[str]

    def batch(self, copies: int) -> EpisodeBatch:
        """``copies`` episodes."""
        ...


class MadeById:
    """Mixin of a dataclass whose fields are the arguments of the environment that is registered as ``id``."""

    id: ClassVar[str]

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """The single environment."""
        return gym.make(self.id, **self._arguments(overrides))

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """The natively batched environment."""
        return gym.make_vec(self.id, num_envs, vectorization_mode="vector_entry_point", **self._arguments(overrides))

    def _arguments(self, overrides: dict[str, Any]) -> dict[str, Any]:
        own: Any = self
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(own)} | overrides


def batch_from(options_class: Any, copies: int, arguments: dict[str, Any]) -> EpisodeBatch:
    """A batch from validated arguments; an unknown one is an :class:`InputError` that lists the known ones."""
    known = [field.name for field in dataclasses.fields(options_class)]
    for name in arguments:
        if name not in known:
            raise InputError(f"{options_class.id} has no argument {name!r}; known: {', '.join(known)}")
    return cast(EpisodeBatch, options_class(**arguments).batch(copies))


def require_options(options: Any) -> None:
    """Raise :class:`InputError` unless the options of a reset are named ones, or None."""
    if not isinstance(options, Mapping | None):
        raise InputError(f"options is {options!r}; expected a dictionary")


def read_actions(space: spaces.Space[Any], actions: Any, copies: int) -> NDArray[Any]:
    """What ``EpisodeBatch.step`` takes: (B,) int64 for a ``Discrete`` space, (B, n) float64 for a ``Box``.

    Raises:
        InvalidActionError: another shape, or not numbers of that kind. Their values are the batch's to judge.
    """
    discrete = isinstance(space, spaces.Discrete)
    shape, kinds = (copies, *(space.shape or ())), "iu" if discrete else "fiu"
    try:
        found = np.asarray(actions)
    except ValueError:  # rows of different lengths
        found = np.empty(0, object)
    if found.shape != shape or found.dtype.kind not in kinds:
        raise InvalidActionError(
            f"actions have shape {found.shape}, dtype {found.dtype}; expected {shape} {'integers' if discrete else 'numbers'}"
        )
    return found.astype(np.int64 if discrete else np.float64, copy=False)


def truncations(batch: EpisodeBatch, truncates: bool) -> NDArray[np.bool_]:
    """(B,) whose end is a truncation, the caller's to keep: what an :class:`EndedBatch` says, or all that have ended."""
    found: NDArray[np.bool_] = getattr(batch, "truncated", batch.done & truncates)
    return found.copy()


class BatchedEnv(gym.Env[Any, Any]):
    """A single environment over a batch of one. A subclass documents it and names the class of its arguments.

    ``truncates`` says whether an episode's end is a truncation: the task would go on. Where both kinds of end occur, the
    batch is an :class:`EndedBatch`.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's form)
    options_class: ClassVar[Any]
    truncates: ClassVar[bool] = False

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise InputError(f"render_mode is {render_mode!r}; expected one of {self.metadata['render_modes']}")
        self.render_mode = render_mode
        self.batch = batch_from(self.options_class, 1, arguments)
        self.observation_space = self.batch.observation_space()
        self.action_space = self.batch.action_space()
        self._all, self._none = np.ones(1, np.bool_), np.zeros(1, np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        require_options(options)
        super().reset(seed=seed)
        if options and "instances" in options:
            raise InputError('options has the key "instances"; a single environment takes "instance"')
        if options and "instance" in options:
            self.batch.put(0, options["instance"])
            self.batch.restart(self._all)
        else:
            self.batch.reset(self._all, [self.np_random])
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.batch.instances[0] is None or self.batch.done[0]:
            raise gym.error.ResetNeeded("call reset before step: no episode is under way")
        if isinstance(self.action_space, spaces.Discrete) and not self.action_space.contains(action):
            said = " ".join(repr(action).split())  # an array's is of several lines
            raise InvalidActionError(f"action is {said}; expected an integer of {self.action_space}")
        self.batch.step(read_actions(self.action_space, [action], 1), self._none)
        truncated = bool(truncations(self.batch, self.truncates)[0])
        terminated = bool(self.batch.done[0]) and not truncated
        return self._observation(), float(self.batch.reward[0]), terminated, truncated, self._info()

    def render(self) -> Any:
        """What has been decided so far: an (H, W, 3) uint8 array, or text with ``render_mode="ansi"``."""
        if self.batch.instances[0] is None:
            raise gym.error.ResetNeeded("call reset before render")
        return None if self.render_mode is None else self.batch.picture(0, self.render_mode)

    def _observation(self) -> Seen:
        seen = self.batch.observation()
        return {key: value[0].copy() for key, value in seen.items()} if isinstance(seen, dict) else seen[0].copy()

    def _info(self) -> dict[str, Any]:
        figures = self.batch.info()
        info = {key: value[0].item() if value.ndim == 1 else value[0].copy() for key, value in figures.items()}
        info["instance"] = self.batch.instances[0].name
        if self.batch.done[0]:
            info["solution"] = self.batch.solution(0)
        return info


class BatchedVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """Copies of a single environment over one compiled batch.

    Same arguments, spaces (batched), rewards and masks. ``reset(seed=s)`` seeds copy i with s + i, as Gymnasium does, so
    copy i plays exactly what a single environment seeded with s + i plays. Autoreset mode is NEXT_STEP: the step after
    an episode's end ignores that copy's action, draws a new instance and returns reward 0.
    ``reset(options={"instances": [...]})`` gives one instance a copy.

    Observations are the caller's to keep. Those that no episode changes (the positions of the nodes, for instance) are
    copied when a copy is reset and shared by the answers until the next reset: do not write to them. ``copy=False``
    returns the batch's own buffers: faster, but the next step overwrites them.

    Info: as the single environment's, (num_envs,) or (num_envs, n) each; at an episode's end ``solution`` (object array)
    with its mask ``_solution``.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012
    options_class: ClassVar[Any]
    truncates: ClassVar[bool] = False

    def __init__(self, num_envs: int = 1, render_mode: str | None = None, copy: bool = True, **arguments: Any) -> None:
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise InputError(f"num_envs is {num_envs!r}; expected an integer of at least 1")
        if render_mode is not None:
            raise InputError("the batched environment does not render; use gymnasium.make")
        self.num_envs, self.render_mode, self.copy = num_envs, render_mode, copy
        self._arguments = arguments
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
    ) -> tuple[Any, dict[str, Any]]:
        require_options(options)
        if seed is not None and not isinstance(seed, list | int | np.integer):
            raise InputError(f"seed is {seed!r}; expected an integer, or one a copy")
        seeds = (
            seed if isinstance(seed, list) else [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        )
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds; expected one for each of {self.num_envs} copies")
        if not self._rngs:
            self._rngs = [seeding.np_random(s)[0] for s in seeds]
        for i, s in enumerate(seeds):
            if s is not None:
                self._rngs[i] = seeding.np_random(s)[0]
        everyone = np.ones(self.num_envs, np.bool_)
        if options and "instance" in options:
            raise InputError('options has the key "instance"; a vector environment takes "instances", one a copy')
        if options and "instances" in options:
            given = options["instances"]
            if not isinstance(given, Sequence | np.ndarray):
                raise InputError(f"instances is {given!r}; expected one for each of {self.num_envs} copies")
            if len(given) != self.num_envs:
                raise InputError(f"{len(given)} instances; expected one for each of {self.num_envs} copies")
            probe = batch_from(self.options_class, 1, self._arguments)
            for instance in given:  # one that cannot be played is refused before any copy has changed
                probe.put(0, instance)
            for b, instance in enumerate(given):
                self.batch.put(b, instance)
            self.batch.restart(everyone)
        else:
            self.batch.reset(everyone, self._rngs)
        self._ended[:] = False
        self._constants = {}
        return self._observation(), self._info()

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        if not self._rngs:
            raise gym.error.ResetNeeded("call reset before step")
        self.batch.step(read_actions(self.single_action_space, actions, self.num_envs), self._ended)
        if np.count_nonzero(self._ended):
            self.batch.reset(self._ended, self._rngs)
            self._constants = {}
        self._ended[:] = self.batch.done
        truncated = truncations(self.batch, self.truncates)
        return self._observation(), self.batch.reward.copy(), self._ended & ~truncated, truncated, self._info()

    def _observation(self) -> Seen:
        seen = self.batch.observation()
        if not self.copy:
            return seen
        if not isinstance(seen, dict):
            return seen.copy()
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


class ActionMasks:
    """Adds its masks to a single environment; the first base of one over a :class:`MaskedBatch`."""

    batch: Any

    def action_masks(self) -> NDArray[np.bool_]:
        """(A,) which actions are allowed now (the convention of sb3-contrib)."""
        allowed: NDArray[np.bool_] = self.batch.masks()[0] != 0
        return allowed


class VectorActionMasks:
    """The same for a batched environment."""

    batch: Any

    def action_masks(self) -> NDArray[np.bool_]:
        """(num_envs, A) which actions are allowed now; all false for a copy whose episode has just ended."""
        allowed: NDArray[np.bool_] = self.batch.masks() != 0
        return allowed
