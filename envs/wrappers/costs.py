"""Costs of constraints as environments of other packages report them, brought to one form: ``info["cost"]`` (m,)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from optgap.co.core import InputError

F64 = NDArray[np.float64]

KEYS = ("cost", "costs", "constraint_costs")
"""Where environments put costs into ``info``, in the order in which they are looked for."""


class CostInfo(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Puts the costs of a step into ``info["cost"]``, float64 (m,), zeros after a reset.

    Understood are, in this order,

    - numbers by name, ``info["cost"]``, ``info["costs"]`` or ``info["constraint_costs"]`` being a dict that has all
      ``names``, or ``info`` itself having them;
    - the third of a step's six results ``(observation, reward, cost, terminated, truncated, info)`` (Safety-Gymnasium;
      such an environment must be wrapped before any other wrapper, ``TimeLimit`` included);
    - ``info["cost"]``, ``info["costs"]`` or ``info["constraint_costs"]``, a number or a sequence of m.

    Args:
        env: the environment.
        limits: (m,) what the mean cost of a step may be; ``cost_limits``.
        names: (m,) of the constraints; ``cost_names``. None: the environment's own, or "cost" where m is 1.

    Raises:
        InputError: names and limits do not fit; in a step, the cost is missing, of another shape, or not finite.
    """

    def __init__(self, env: gym.Env[Any, Any], limits: Sequence[float], names: Sequence[str] | None = None) -> None:
        RecordConstructorArgs.__init__(self, limits=limits, names=names)
        gym.Wrapper.__init__(self, env)
        self.cost_names, self.cost_limits = described(env, limits, names)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The environment's own, with no cost."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, "cost": np.zeros(len(self.cost_names))}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """The environment's own, with ``info["cost"]``."""
        observation, reward, third, terminated, truncated, info = split_costs(self.env.step(action), self.env)
        found = found_costs(third, info, self.cost_names, self.env)
        cost = checked(found, (len(self.cost_names),), self.cost_names, self.env)
        return observation, reward, terminated, truncated, {**info, "cost": cost}


class CostInfoVector(VectorWrapper[Any, Any, Any, Any, Any]):
    """:class:`CostInfo` of a vector environment: ``info["cost"]``, float64 (num_envs, m), zeros where a step only reset.

    Each cost has one more axis, the first; otherwise the arguments and the forms understood are the same. Autoreset
    mode NEXT_STEP.

    Raises:
        InputError: as in :class:`CostInfo`, or the autoreset mode is another.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], limits: Sequence[float], names: Sequence[str] | None = None
    ) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value):
            raise InputError(f"vector environment {env} has autoreset mode {mode}; expected AutoresetMode.NEXT_STEP")
        self.cost_names, self.cost_limits = described(env, limits, names)
        self._resetting = np.zeros(env.num_envs, dtype=np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The environment's own, with no cost."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._resetting[:] = False
        return observation, {**info, "cost": np.zeros((self.num_envs, len(self.cost_names)))}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """The environment's own, with ``info["cost"]``."""
        observation, reward, third, terminated, truncated, info = split_costs(self.env.step(actions), self.env)
        shape = (self.num_envs, len(self.cost_names))
        if self._resetting.all():
            cost = np.zeros(shape)
        else:
            found = found_costs(third, info, self.cost_names, self.env)
            silent = np.flatnonzero(unsaid(info, (*KEYS, *self.cost_names), self.num_envs) & ~self._resetting)
            if third is None and silent.size:
                raise InputError(f"environment {silent[0]} of {self.env} reports no cost in a step; the others do")
            if isinstance(found, np.ndarray) and found.dtype == object:  # what was reset is None
                blank = np.zeros(shape[1]).tolist()
                found = [blank if gone else row for gone, row in zip(self._resetting, found, strict=True)]
            cost = checked(found, shape, self.cost_names, self.env, self._resetting)
        self._resetting = np.asarray(terminated | truncated, dtype=np.bool_)
        return observation, reward, terminated, truncated, {**info, "cost": cost}


def described(env: Any, limits: Sequence[float], names: Sequence[str] | None) -> tuple[tuple[str, ...], F64]:
    """Names (m,) and limits (m,) of the constraints."""
    bounds = np.array(limits, dtype=np.float64)
    if bounds.ndim != 1 or not bounds.size or not np.isfinite(bounds).all():
        raise InputError(f"limits of the costs of {env} are {limits}; expected a sequence of finite numbers")
    if names is None:
        own = getattr(env.unwrapped, "cost_names", None)
        if own is None and len(bounds) > 1:
            raise InputError(f"{env} has {len(bounds)} limits of costs; expected names of them too (names=)")
        names = ("cost",) if own is None else own
    if isinstance(names, str) or len(names) != len(bounds) or len(set(names)) != len(names):
        raise InputError(f"names of the costs of {env} are {names}; expected {len(bounds)} different ones, as limits")
    return tuple(names), bounds


def split_costs(answer: tuple[Any, ...], env: Any) -> tuple[Any, Any, Any, Any, Any, dict[str, Any]]:
    """A step's five or six results as six, the third of them None where the environment gives five."""
    if len(answer) == 6:
        return answer
    if len(answer) == 5:
        return (*answer[:2], None, *answer[2:])
    raise InputError(f"a step of {env} has {len(answer)} results; expected 5, or 6 with the cost as the third")


def found_costs(third: Any, info: Mapping[str, Any], names: tuple[str, ...], env: Any) -> Any:
    """What the environment says of the named costs, in one of the forms of :class:`CostInfo`."""
    places = [info[key] for key in KEYS if key in info]
    for place in (*places, info):
        if isinstance(place, Mapping) and all(name in place for name in names):
            parts = [place[name] for name in names]
            if place is info and names == ("cost",):
                return parts[0]  # a number, or the sequence that it is
            return np.stack(parts, axis=-1) if all(np.ndim(part) == 1 for part in parts) else parts
    if third is not None:
        return third
    for place in places:
        if not isinstance(place, Mapping):
            return place
    if places:
        raise InputError(f"costs of {env} are named {', '.join(places[0])}; expected {', '.join(names)} (names=)")
    raise InputError(
        f"a step of {env} reports no cost: its info has {sorted(info)}; "
        f"expected {', '.join(names)}, one of {', '.join(KEYS)}, or a cost as the third of six results"
    )


def unsaid(info: Mapping[str, Any], keys: Sequence[str], num_envs: int) -> NDArray[np.bool_]:
    """(num_envs,) whose ``info`` lacks one of the keys that others have, as Gymnasium's masks ``_<key>`` tell."""
    missing = np.zeros(num_envs, dtype=np.bool_)
    for key in keys:
        if f"_{key}" in info:
            missing |= ~np.asarray(info[f"_{key}"], dtype=np.bool_)
        if isinstance(info.get(key), Mapping):
            missing |= unsaid(info[key], keys, num_envs)
    return missing


def checked(
    found: Any, shape: tuple[int, ...], names: tuple[str, ...], env: Any, ignored: NDArray[np.bool_] | None = None
) -> F64:
    """Costs as float64 of ``shape`` (..., m); rows that are ``ignored`` (B,) become 0."""
    expected = f"expected shape {shape} ({', '.join(names)})"
    try:
        costs = np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"cost of {env} is {found!r}; {expected}") from None
    if len(names) == 1 and costs.shape == shape[:-1]:
        costs = costs[..., None]
    if costs.shape != shape:
        raise InputError(f"cost of {env} has shape {costs.shape}; {expected}")
    if ignored is not None:
        costs[ignored] = 0.0
    if not np.isfinite(costs).all():
        index = tuple(np.argwhere(~np.isfinite(costs))[0])
        raise InputError(f"cost {names[index[-1]]!r} of {env} is {costs[index]}; expected a finite number")
    return costs
