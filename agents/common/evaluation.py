"""Returns of an agent's episodes, in environments that solve no problem and so have no gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.collector import mask_source
from optgap.agents.common.tensors import Tree
from optgap.envs.registry import EnvironmentConfig

Choose = Callable[[Tree, NDArray[np.bool_] | None], NDArray[Any]]
"""(observations (B, ...), masks (B, A) or None) -> actions (B, ...)."""

COPIES = 16  # environments that play at once


@dataclass(frozen=True)
class Episodes:
    """N episodes."""

    returns: NDArray[np.float64]  # (N,) undiscounted
    lengths: NDArray[np.int64]  # (N,) steps


def play_episodes(
    choose: Choose | None,
    env_config: EnvironmentConfig,
    count: int,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> Episodes:
    """``count`` whole episodes, as many in each copy of the environment (to within one), so that short ones count no more.

    Args:
        choose: what acts; None for uniformly random allowed actions.
        seed: of the environments, and of the random actions.
        check: called before every step; it may raise.
    """
    copies = min(count, COPIES)
    quota = np.full(copies, count // copies)
    quota[: count % copies] += 1
    env = env_config.make_vec(copies)
    try:
        masks = mask_source(env)
        if choose is None:
            choose = _random(env, seed)
        observation, _ = env.reset(seed=seed)
        returns: list[list[float]] = [[] for _ in range(copies)]
        lengths: list[list[int]] = [[] for _ in range(copies)]
        total, steps = np.zeros(copies), np.zeros(copies, np.int64)
        resetting = np.zeros(copies, np.bool_)
        while any(len(done) < wanted for done, wanted in zip(returns, quota, strict=True)):
            check()
            actions = choose(observation, None if masks is None else masks())
            observation, rewards, terminated, truncated, _ = env.step(actions)
            total += rewards
            steps += ~resetting
            resetting = np.array(terminated | truncated, np.bool_)
            for copy in np.flatnonzero(resetting):
                if len(returns[copy]) < quota[copy]:
                    returns[copy].append(float(total[copy]))
                    lengths[copy].append(int(steps[copy]))
            total[resetting], steps[resetting] = 0.0, 0
    finally:
        env.close()
    return Episodes(np.concatenate(returns), np.concatenate(lengths))


def _random(env: Any, seed: int) -> Choose:
    """Uniformly random allowed actions."""
    env.action_space.seed(seed)
    single = env.single_action_space
    single.seed(seed)

    def choose(observation: Tree, masks: NDArray[np.bool_] | None) -> NDArray[Any]:
        if masks is None:
            actions: NDArray[Any] = env.action_space.sample()
            return actions
        return np.stack([single.sample(mask=_allowed(single, row)) for row in masks])

    return choose


def _allowed(space: Any, mask: NDArray[np.bool_]) -> Any:
    """A mask (A,) as ``space.sample`` takes it; where nothing is allowed (after an episode's end), everything is."""
    if not mask.any():
        return None
    numbers = mask.astype(np.int8)
    return tuple(np.split(numbers, np.cumsum(space.nvec)[:-1])) if hasattr(space, "nvec") else numbers
