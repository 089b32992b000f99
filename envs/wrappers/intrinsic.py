"""Bonuses for exploring, and the statistics that make them stationary (SOFE, Castanyer et al. 2024, arXiv 2310.18144)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.wrappers.places import GIVE, Place, Where, find_place
from optgap.envs.wrappers.statistics.ellipse import Ellipse
from optgap.envs.wrappers.statistics.gaussian import Gaussian
from optgap.envs.wrappers.statistics.neighbours import Neighbours
from optgap.envs.wrappers.statistics.statistic import F64, Flags, Setting, Statistic
from optgap.envs.wrappers.statistics.visits import Count, FirstVisit

BONUSES: dict[str, Any] = {
    "count": Count,
    "first-visit": FirstVisit,
    "e3b": Ellipse,
    "smax": Gaussian,
    "knn": Neighbours,
}
"""The statistics by the names of their bonuses."""

KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool, np.bool_), "true or false"),
    "int": ((int, np.integer), "a whole number"),
    "float": ((int, float, np.integer, np.floating), "a number"),
}
"""What a parameter of a statistic may be, by its annotation."""

KEY = "statistic"  # of the observation


def _is_number(value: Any) -> bool:
    return isinstance(value, KINDS["float"][0]) and not isinstance(value, bool)


class Intrinsic:
    """What both wrappers share: the bonus of B copies, and the statistic for their observations.

    Args:
        env: single or vector environment.
        copies: B; None for the single environment, which is a batch of one.
        space: of one observation.
    """

    def __init__(
        self,
        env: Any,
        copies: int | None,
        space: spaces.Space[Any],
        *,
        bonus: str,
        coefficient: float,
        sofe: bool,
        episodic: bool,
        place: Place | Where | None,
        max_mib: float,
        parameters: dict[str, Any],
    ) -> None:
        if not isinstance(bonus, str) or bonus not in BONUSES:
            raise InputError(f"bonus is {bonus!r}; expected one of {', '.join(BONUSES)}")
        own = {name: each for name, each in inspect.signature(BONUSES[bonus]).parameters.items() if name != "setting"}
        for name, value in parameters.items():
            if name not in own:
                raise InputError(f"bonus {bonus!r} has no parameter {name!r}; known: {', '.join(own) or 'none'}")
            kinds, expected = KINDS[own[name].annotation]
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InputError(f"{name} is {value!r}; expected {expected}")
        for name, flag in (("sofe", sofe), ("episodic", episodic)):
            if not isinstance(flag, KINDS["bool"][0]):
                raise InputError(f"{name} is {flag!r}; expected true or false")
        if not _is_number(max_mib) or not max_mib > 0:
            raise InputError(f"max_mib is {max_mib!r}; expected a number above 0")
        if not _is_number(coefficient) or not np.isfinite(coefficient):
            raise InputError(f"coefficient is {coefficient!r}; expected a finite number")
        found = find_place(env, place)
        setting = Setting(found, copies or 1, episodic, sofe, max_mib)
        self.statistic: Statistic = BONUSES[bonus](setting, **parameters)
        if sofe and self.statistic.space is None:
            raise InputError(
                f"bonus {bonus!r} has no statistic of fixed size that could join the observation (sofe=True)"
            )
        self.env, self.where = env, found.where
        cells = self.statistic.reads == "cell"
        kind: tuple[int, np.dtype[Any]] = (0, np.dtype(np.int64)) if cells else (1, np.dtype(np.float64))
        self._index, self._kind = kind
        axes = () if cells else (found.bounds().shape[1],)
        self._single, self._shape = copies is None, (copies or 1, *axes)
        self._place: NDArray[Any] = np.zeros(self._shape, self._kind)
        self._fresh, self._never = np.zeros(copies or 1, np.bool_), np.zeros(copies or 1, np.bool_)
        self.sofe, self.named, self.space = sofe, isinstance(space, spaces.Dict), space
        if sofe:
            parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
            if KEY in parts:
                raise InputError(f"observation of {env} has the key {KEY!r} already")
            self.space = spaces.Dict(parts | {KEY: self.statistic.space})
        self._share()

    def _share(self) -> None:
        """``shown``: the encodings of all copies (B, ...), or that of the single environment, not copied."""
        encoding, space = self.statistic.encoding, self.statistic.space
        self.shown: NDArray[np.float32] = encoding
        if len(encoding) and space is not None:
            self.shown = encoding.reshape(len(encoding), *space.shape)
            if len(encoding) < self._shape[0]:  # one of all copies; broadcast_to answers what torch warns about
                strides = (0, *self.shown.strides[1:])
                self.shown = as_strided(self.shown, (self._shape[0], *space.shape), strides)
            if self._single:
                self.shown = self.shown[0]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "shown"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._share()  # a view would have become an array of its own

    def first(self, observation: Any, info: Mapping[str, Any], bonus: F64) -> F64:
        """``bonus`` (B,), filled with zeros, where all copies start an episode."""
        told = self.where(observation, info)[self._index]
        if np.shape(told) != self._shape[self._single :]:
            raise self._unknown(told)
        self._fresh[:] = True
        return self.next(observation, info, self._never, self._never, bonus)

    def next(self, observation: Any, info: Mapping[str, Any], terminated: Flags, truncated: Flags, bonus: F64) -> F64:
        """``bonus`` (B,), filled, of a step; ends of episodes (B,) make the next step one that only resets."""
        place = told = self.where(observation, info)[self._index]
        if type(told) is not np.ndarray or told.shape != self._shape or told.dtype != self._kind:
            try:
                given = np.asarray(told)
                if self._index == 0 and given.dtype.kind not in "iu":  # as an integer, 2.7 would be the cell 2
                    raise self._unknown(told)
                self._place[0 if self._single else slice(None)] = given
            except (TypeError, ValueError):
                raise self._unknown(told) from None
            place = self._place
        if self.statistic.visit(place, self._fresh, terminated, truncated, bonus) >= 0:
            raise self._unknown(told)
        return bonus

    def augmented(self, observation: Any, copy: bool) -> Any:
        """What the agent sees: with ``sofe`` a dict that has the statistic too."""
        if not self.sofe:
            return observation
        shown = self.shown.copy() if copy else self.shown
        return {**observation, KEY: shown} if self.named else {"observation": observation, KEY: shown}

    def _unknown(self, told: Any) -> InputError:
        reads, shape = self.statistic.reads, self._shape[self._single :]
        if told is None:
            return InputError(f"{self.env} does not say where its agent is: expected info[{reads!r}]; {GIVE}")
        among = "finite numbers"
        if reads == "cell":
            among = f"integers in 0..{self.statistic.arrays['visits'].shape[1] - 1}"
        return InputError(f"{reads} of {self.env} is {told!r}; expected {among} of shape {shape}")

    def state(self) -> dict[str, NDArray[Any]]:
        """The statistic, copied."""
        return {name: array.copy() for name, array in self.statistic.arrays.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """What :meth:`state` answered; :class:`InputError` where it is of another statistic, and nothing has changed."""
        own = self.statistic.arrays
        shapes = {name: (array.shape, array.dtype) for name, array in own.items()}
        given = {name: (np.shape(array), np.asarray(array).dtype) for name, array in state.items()}
        if shapes != given:
            raise InputError(f"state of the statistic has {given}; expected {shapes}")
        for name, array in own.items():
            array[...] = state[name]
        self.statistic.encode()


class IntrinsicReward(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Adds a bonus for exploring to the reward, and with ``sofe`` the statistic that it is computed from to the observation.

    A bonus such as 1 / sqrt(N(s)) changes while the agent visits s: it is no function of observation and action. With the
    statistic in the observation it is (section 4 of arXiv 2310.18144). The bonus of a step is a function of the statistic
    before the step and of the state that the step arrives at, which then joins the statistic. The state in which an
    episode starts counts as visited.

    | bonus | | reads | parameters |
    |---|---|---|---|
    | ``count`` | 1 / sqrt(N + 1) after N visits of the cell | ``info["cell"]`` | |
    | ``first-visit`` | 1 for the first visit of a cell, else 0 | ``info["cell"]`` | |
    | ``e3b`` | phi^T C^-1 phi, C = ridge I + sum phi phi^T | ``info["position"]`` | ``ridge``, ``features`` |
    | ``smax`` | -log p(position), p the Gaussian fitted to those visited | ``info["position"]`` | ``ridge`` |
    | ``knn`` | distance to the k-th nearest visited one; not with ``sofe`` | ``info["position"]`` | ``neighbours``, ``memory`` |

    ``info["intrinsic_reward"]`` (float) is the bonus, 0.0 at reset.

    With ``sofe`` the observation is a ``Dict``: the keys of the environment's own, or ``observation`` where that is no
    ``Dict``, and ``statistic``, a float32 ``Box``; its form is documented with each statistic.

    Args:
        env: tells where the agent is (:func:`optgap.envs.wrappers.places.find_place`), or is of MiniGrid.
        bonus: see above.
        coefficient: the reward becomes reward + coefficient * bonus.
        sofe: whether the statistic joins the observation.
        episodic: whether it starts anew with each episode.
        place: tells where the agent is in an environment that does not itself.
        max_mib: bound of the statistic's memory.
        parameters: of the bonus.

    Raises:
        InputError: an argument is unknown or does not fit, the statistic is larger than ``max_mib``, or the environment
            does not say where its agent is.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        bonus: str = "count",
        coefficient: float = 0.0,
        sofe: bool = False,
        episodic: bool = True,
        place: Place | Where | None = None,
        max_mib: float = 256,
        **parameters: Any,
    ) -> None:
        shared: dict[str, Any] = {
            "bonus": bonus,
            "coefficient": coefficient,
            "sofe": sofe,
            "episodic": episodic,
            "place": place,
            "max_mib": max_mib,
        }
        RecordConstructorArgs.__init__(self, **shared, **parameters)
        gym.Wrapper.__init__(self, env)
        self.coefficient = coefficient
        self.intrinsic = Intrinsic(env, None, env.observation_space, **shared, parameters=parameters)
        self.observation_space = self.intrinsic.space
        self._bonus, self._never = np.zeros(1), np.zeros(1, np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The environment's own; an episodic statistic starts anew."""
        observation, info = self.env.reset(seed=seed, options=options)
        info["intrinsic_reward"] = self.intrinsic.first(observation, info, self._bonus).item()
        return self.intrinsic.augmented(observation, True), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """The environment's own, with the bonus."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        bonus = self.intrinsic.next(observation, info, self._never, self._never, self._bonus).item()
        info["intrinsic_reward"] = bonus
        if self.coefficient:
            reward = float(reward) + self.coefficient * bonus
        return self.intrinsic.augmented(observation, True), reward, terminated, truncated, info

    def statistic_state(self) -> dict[str, NDArray[Any]]:
        """The statistic's arrays, copied: what a checkpoint of a lifetime statistic holds."""
        return self.intrinsic.state()

    def restore_statistic(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from an answer of :meth:`statistic_state`; :class:`InputError` where it is of another statistic."""
        self.intrinsic.restore(state)


class IntrinsicRewardVector(VectorWrapper[Any, Any, Any, Any, Any]):
    """:class:`IntrinsicReward` of a vector environment in autoreset mode NEXT_STEP.

    ``info["intrinsic_reward"]`` is float64 (num_envs,), 0 at reset and where a step only reset. An episodic statistic is
    of one copy; otherwise one is of all copies, and all see it as it was before the step.

    Observations are the caller's to keep. ``copy=False`` answers the statistic's own buffer (which a step then updates in
    the few cells that were visited): faster, but the next step changes it, and a statistic of all copies is one row that
    they share. Other arguments and errors as in :class:`IntrinsicReward`; another autoreset mode is an ``InputError``.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        bonus: str = "count",
        coefficient: float = 0.0,
        sofe: bool = False,
        episodic: bool = True,
        place: Place | Where | None = None,
        max_mib: float = 256,
        copy: bool = True,
        **parameters: Any,
    ) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value):
            raise InputError(f"vector environment {env} has autoreset mode {mode}; expected AutoresetMode.NEXT_STEP")
        shared: dict[str, Any] = {
            "bonus": bonus,
            "coefficient": coefficient,
            "sofe": sofe,
            "episodic": episodic,
            "place": place,
            "max_mib": max_mib,
        }
        self.coefficient, self.copy = coefficient, copy
        self.intrinsic = Intrinsic(env, env.num_envs, env.single_observation_space, **shared, parameters=parameters)
        self.single_observation_space = self.intrinsic.space
        self.observation_space = batch_space(self.intrinsic.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The environment's own; episodic statistics start anew."""
        observation, info = self.env.reset(seed=seed, options=options)
        info["intrinsic_reward"] = self.intrinsic.first(observation, info, np.empty(self.num_envs))
        return self.intrinsic.augmented(observation, self.copy), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The environment's own, with the bonuses."""
        observation, reward, terminated, truncated, info = self.env.step(actions)
        bonus = self.intrinsic.next(observation, info, terminated, truncated, np.empty(len(terminated)))
        info["intrinsic_reward"] = bonus
        if self.coefficient:
            reward = reward + self.coefficient * bonus
        return self.intrinsic.augmented(observation, self.copy), reward, terminated, truncated, info

    def statistic_state(self) -> dict[str, NDArray[Any]]:
        """As in :class:`IntrinsicReward`."""
        return self.intrinsic.state()

    def restore_statistic(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As in :class:`IntrinsicReward`."""
        self.intrinsic.restore(state)
