"""Returns of an agent's episodes, in environments that solve no problem and so have no gap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.collector import costs_of, mask_source
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
    costs: NDArray[np.float64] | None = None  # (N, m) mean costs of a step, where the environment has costs
    figures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # name -> (N,), NaN where one has none


def play_episodes(
    choose: Choose | None,
    env_config: EnvironmentConfig,
    count: int,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> Episodes:
    """``count`` whole episodes, as many in each copy of the environment (to within one), so that short ones count no more.

    Figures of the episodes are those that the configuration names in ``figures`` (``info[name]`` at an episode's end) and
    those that its ``judge(instance, solution) -> {name: figure}`` finds, which sees what the episode played.

    Args:
        choose: what acts; None for uniformly random allowed actions. If it has a method ``begin``, that is called
            before every action with the copies (B,) whose episode has just begun.
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
        costs: list[list[NDArray[np.float64]]] = [[] for _ in range(copies)]
        figures: dict[str, list[list[float]]] = defaultdict(lambda: [[] for _ in range(copies)])
        named, judge = getattr(env_config, "figures", ()), getattr(env_config, "judge", None)
        names = cost_names(env)
        total, steps = np.zeros(copies), np.zeros(copies, np.int64)
        spent = np.zeros((copies, len(names)))
        resetting, begun = np.zeros(copies, np.bool_), np.ones(copies, np.bool_)
        begin = getattr(choose, "begin", None)
        while any(len(done) < wanted for done, wanted in zip(returns, quota, strict=True)):
            check()
            if begin is not None:
                begin(begun)
            actions = choose(observation, None if masks is None else masks())
            observation, rewards, terminated, truncated, info = env.step(actions)
            total += rewards
            steps += ~resetting
            if names:
                spent += costs_of(info, names, ~resetting)
            begun = resetting
            resetting = np.array(terminated | truncated, np.bool_)
            for copy in np.flatnonzero(resetting):
                if len(returns[copy]) < quota[copy]:
                    returns[copy].append(float(total[copy]))
                    lengths[copy].append(int(steps[copy]))
                    costs[copy].append(spent[copy] / steps[copy])
                    for name in named:
                        figures[name][copy].append(float(info[name][copy]))
                    if judge is not None:
                        judged = judge(env.unwrapped.batch.instances[copy], info["solution"][copy])  # type: ignore[attr-defined]
                        for name, figure in judged.items():
                            figures[name][copy].append(figure)
            total[resetting], steps[resetting], spent[resetting] = 0.0, 0, 0.0
    finally:
        env.close()
    means = np.array([mean for copy in costs for mean in copy]) if names else None
    return Episodes(
        np.concatenate(returns),
        np.concatenate(lengths),
        means,
        {name: np.concatenate(found) for name, found in figures.items()},
    )


def cost_names(env: Any) -> tuple[str, ...]:
    """Names of the costs of a vector environment, or of one that it holds; none where it has none."""
    for holder in (env, env.unwrapped, *getattr(env.unwrapped, "envs", [])[:1]):
        names = getattr(holder, "cost_names", None)
        if names is None and isinstance(holder, gym.Env) and holder.has_wrapper_attr("cost_names"):
            names = holder.get_wrapper_attr("cost_names")
        if names is not None:
            return tuple(str(name) for name in names)
    return ()


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
