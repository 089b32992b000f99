"""Plays B environments for T steps at a time and fills a rollout buffer."""

from __future__ import annotations

from collections.abc import Callable
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

    Raises:
        InputError: the environment's autoreset mode is not NEXT_STEP.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], length: int, to_environment: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.NEXT_STEP.value):
            raise InputError(f"vector environment {env} has autoreset mode {mode}; expected AutoresetMode.NEXT_STEP")
        self.env, self.length, self.to_environment = env, length, to_environment
        self._masks = mask_source(env)
        self._observation: Tree = None
        self._resetting = np.zeros(env.num_envs, dtype=np.bool_)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)

    def reset(self, seed: int) -> None:
        """Start new episodes in all environments; ``seed`` determines everything that follows."""
        self._observation, _ = self.env.reset(seed=seed)
        self._resetting[:] = False
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def collect(self, act: Act) -> tuple[RolloutBuffer, dict[str, float]]:
        """T steps of all environments, and the mean return and length of the episodes that ended in them."""
        buffer = RolloutBuffer(self.length, self.env.num_envs)
        returns: list[float] = []
        lengths: list[int] = []
        for t in range(self.length):
            masks = self._masks() if self._masks is not None else None
            decision = act(self._observation, masks)
            buffer.decide(t, self._observation, masks, decision, ~self._resetting)
            self._observation, rewards, terminated, truncated, _ = self.env.step(self.to_environment(decision.actions))
            buffer.outcome(t, rewards, terminated, truncated)
            self._returns += rewards
            self._lengths += ~self._resetting
            ended = np.asarray(terminated | truncated, dtype=np.bool_)
            if ended.any():
                returns += self._returns[ended].tolist()
                lengths += self._lengths[ended].tolist()
                self._returns[ended] = 0.0
                self._lengths[ended] = 0
            self._resetting = ended.copy()
        buffer.values[-1] = act(self._observation, self._masks() if self._masks is not None else None).values
        statistics = {"episode/count": float(len(returns))}
        if returns:
            statistics |= {"episode/return": float(np.mean(returns)), "episode/length": float(np.mean(lengths))}
        return buffer, statistics


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


def spaces_of(env_config: Any) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Observation and action space of the single environment that ``env_config`` makes."""
    env = env_config.make()
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()
