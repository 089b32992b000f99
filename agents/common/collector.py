"""Plays B environments for T steps at a time and fills a rollout buffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.common.tensors import Tree
from optgap.co.core import InputError

Act = Callable[[Tree, NDArray[np.bool_] | None], Decision]
"""(observations (B, ...), masks (B, A) or None) -> what to do. Called once more after step T, for its values alone."""


class Collector:
    """Holds a vector environment between updates, with what must be remembered from one step to the next.

    Episodes run on across calls of :meth:`collect`, and :meth:`reset` starts all of them anew.

    Args:
        env: autoreset mode NEXT_STEP.
        length: T.
        to_environment: actions of the policy -> actions of the environment.
        costs: names of the constraints, whose costs ``info["cost"]`` (B, m) are the rollout's further streams.
        figures: names of episodes' figures: what ``info[name]`` (B,) is at an episode's last step.
        intrinsic: after the costs there is one more stream, which holds ``info["intrinsic_reward"]`` (B,); zeros where
            the info has none, for bonuses that are computed from the rollout.

    Raises:
        InputError: the environment's autoreset mode is another, or (while playing) its costs are missing or malformed,
            or a figure is missing.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        length: int,
        to_environment: Callable[[NDArray[Any]], NDArray[Any]],
        costs: Sequence[str] = (),
        figures: Sequence[str] = (),
        intrinsic: bool = False,
    ) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value):
            raise InputError(f"vector environment {env} has autoreset mode {mode}; expected AutoresetMode.NEXT_STEP")
        self.env, self.length, self.to_environment = env, length, to_environment
        self.costs, self.figures, self.intrinsic = tuple(costs), tuple(figures), intrinsic
        self._masks = mask_source(env)
        self._observation: Tree = None
        self._resetting = np.zeros(env.num_envs, dtype=np.bool_)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)

    @property
    def observation(self) -> Tree:
        """(B, ...) what was observed last: after :meth:`collect`, what its last step led to."""
        return self._observation

    def reset(self, seed: int) -> None:
        """Start new episodes in all environments; ``seed`` determines everything that follows."""
        self._observation, _ = self.env.reset(seed=seed)
        self._resetting[:] = False
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def collect(self, act: Act) -> tuple[RolloutBuffer, dict[str, float]]:
        """T steps of all environments, and figures of them.

        They are the mean return, length and figures of the episodes that ended, ``episode/<name>``, and the mean costs
        of a step, ``cost/<name>``.
        """
        buffer = RolloutBuffer(self.length, self.env.num_envs, len(self.costs) + self.intrinsic)
        returns: list[float] = []
        lengths: list[int] = []
        figures: dict[str, list[float]] = {name: [] for name in self.figures}
        for t in range(self.length):
            masks = self._masks() if self._masks is not None else None
            decision = act(self._observation, masks)
            buffer.decide(t, self._observation, masks, decision, ~self._resetting)
            answer = self.env.step(self.to_environment(decision.actions))
            self._observation, rewards, terminated, truncated, info = answer
            buffer.outcome(t, rewards, terminated, truncated, self._streams(info))
            self._returns += rewards
            self._lengths += ~self._resetting
            ended = np.asarray(terminated | truncated, dtype=np.bool_)
            if ended.any():
                returns += self._returns[ended].tolist()
                lengths += self._lengths[ended].tolist()
                for name, found in figures.items():
                    if name not in info:
                        raise InputError(f"the vector environment's info has no {name!r}, a figure of its episodes")
                    found += np.asarray(info[name], np.float64)[ended].tolist()
                self._returns[ended] = 0.0
                self._lengths[ended] = 0
            self._resetting = ended.copy()
        last = act(self._observation, self._masks() if self._masks is not None else None)
        buffer.values[-1] = last.values
        if last.streams is not None:
            buffer.stream_values[-1] = last.streams
        statistics = {"episode/count": float(len(returns))}
        if returns:
            statistics |= {"episode/return": float(np.mean(returns)), "episode/length": float(np.mean(lengths))}
            statistics |= {f"episode/{name}": float(np.mean(found)) for name, found in figures.items()}
        if buffer.valid.any():
            means = buffer.streams[buffer.valid].mean(axis=0, dtype=np.float64)
            statistics |= {f"cost/{name}": float(mean) for name, mean in zip(self.costs, means, strict=False)}
        return buffer, statistics

    def _streams(self, info: Mapping[str, Any]) -> NDArray[np.float64] | None:
        """(B, K) further rewards of a step."""
        valid = ~self._resetting
        costs = costs_of(info, self.costs, valid) if self.costs else None
        if not self.intrinsic:
            return costs
        bonus = np.where(valid, info.get("intrinsic_reward", 0.0), 0.0)[:, None]
        return bonus if costs is None else np.concatenate([costs, bonus], axis=1)


def costs_of(info: Mapping[str, Any], names: Sequence[str], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``info["cost"]`` of one step as costs (B, m); 0 where ``valid`` (B,) is False, where the step only reset.

    Raises:
        InputError: it is missing, of another shape, or not finite.
    """
    shape, expected = (len(valid), len(names)), f"expected (num_envs, {len(names)}) numbers: {', '.join(names)}"
    if "cost" not in info:
        if valid.any():
            raise InputError(f"the vector environment's info has no 'cost'; {expected}")
        return np.zeros(shape)
    try:
        found = np.asarray(info["cost"], dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the vector environment's info['cost'] is {info['cost']!r}; {expected}") from None
    if found.shape != shape:
        raise InputError(f"the vector environment's info['cost'] has shape {found.shape}; {expected}")
    costs: NDArray[np.float64] = np.where(valid[:, None], found, 0.0)
    if not np.isfinite(costs).all():
        row, column = np.argwhere(~np.isfinite(costs))[0]
        raise InputError(
            f"cost {names[column]!r} of environment {row} is {costs[row, column]}; expected a finite number"
        )
    return costs


def mask_source(env: VectorEnv[Any, Any, Any]) -> Callable[[], NDArray[np.bool_]] | None:
    """What gives the action masks (B, A) of a vector environment; None where it has none.

    They are its own ``action_masks()``, or those of the environments that a ``SyncVectorEnv`` holds.
    """
    for level in (env, env.unwrapped):
        own = getattr(level, "action_masks", None)
        if own is not None:
            return lambda: np.asarray(own(), dtype=np.bool_)
    inner: Any = env.unwrapped
    if isinstance(inner, SyncVectorEnv) and all(single.has_wrapper_attr("action_masks") for single in inner.envs):
        return lambda: np.stack([np.asarray(masks, dtype=np.bool_) for masks in inner.call("action_masks")])
    return None


def figures_of(env_config: Any) -> tuple[str, ...]:
    """Names of the figures of an episode that ``info`` holds besides the return; none where ``env_config`` has none."""
    return tuple(getattr(env_config, "figures", ()))


def spaces_of(env_config: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Observation and action space of the single environment that ``env_config`` makes."""
    env = env_config.make()
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()
