"""What a run on an environment without a problem is worth: returns of whole episodes, and the learning curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from drawing import save_figure
from optgap.agents.common.contracts import Agent
from optgap.agents.common.evaluation import Choose, Episodes, play_episodes
from optgap.agents.common.metrics import read_metrics
from optgap.envs.registry import EnvironmentConfig

SEED = 20_011  # of the episodes: no training seed is derived from it
COMMON = ("episode/count", "episode/return", "episode/length")  # what every run tells of its episodes
SMOOTHED = 0.02  # share of the curve's points that one of its mean's takes in


def plain(env_config: Any) -> Any:
    """What was configured, where an agent has put its bonus's wrapper around it."""
    return getattr(env_config, "plain", env_config)


def seen_by(agent: Agent, env_config: Any) -> Any:
    """``env_config`` with the agent's own wrapper around it, if it has one."""
    own: Any = agent.env_config
    return dataclasses.replace(own, plain=plain(env_config)) if hasattr(own, "plain") else plain(env_config)


def acting(agent: Agent, deterministic: bool) -> Choose:
    """The agent's policy, with its most probable actions or with sampled ones."""
    return lambda observation, masks: agent.predict(observation, masks, deterministic=deterministic)[0]


def measure(
    agents: Mapping[str, Agent],
    env_config: EnvironmentConfig,
    episodes: int,
    check: Callable[[], None],
    own_limits: bool = True,
) -> dict[str, Episodes]:
    """Episodes of each agent, greedy and sampled, of the environment's baselines, and of random actions.

    An agent that explores may see more of the environment than ``env_config`` shows: its bonus's statistic.
    Baselines keep the environment's own limits, and are left out where others count. Sampling restores torch's generator.
    Policies under constraints on long-run means are often mixed ones: their greedy actions are another policy.
    """
    import torch

    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        for name, agent in agents.items():
            for mode in ("greedy", "sampled"):
                choose = acting(agent, mode == "greedy")
                found[f"{name}, {mode}"] = play_episodes(choose, seen_by(agent, env_config), episodes, SEED, check)
    baselines: Mapping[str, Choose] = getattr(env_config, "baselines", dict)() if own_limits else {}
    for name, policy in baselines.items():
        found[name] = play_episodes(policy, env_config, episodes, SEED, check)
    found["random actions"] = play_episodes(None, env_config, episodes, SEED, check)
    return found


def constraints_of_env(env_config: EnvironmentConfig, limits: Sequence[float] | None = None) -> dict[str, float]:
    """Constraint -> limit of its mean cost a step, the agent's ``limits`` where it has its own.

    Empty where the environment has no constraint, or nobody says limits.
    """
    env = env_config.make()
    try:
        found = [env.get_wrapper_attr(name) for name in ("cost_names", "cost_limits") if env.has_wrapper_attr(name)]
    finally:
        env.close()
    names, given = found[0] if found else (), limits if limits is not None else found[1] if len(found) > 1 else None
    return {} if given is None else dict(zip(map(str, names), map(float, given), strict=True))


def returns_table(found: Mapping[str, Episodes], title: str, limits: Mapping[str, float] | None = None) -> Table:
    """A row a policy: with the means of the episodes' figures, and of costs where there are constraints, too high ones marked."""
    table = Table(
        title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    limits = limits or {}
    table.add_column("policy", overflow="fold", min_width=12)
    extra = list(dict.fromkeys(name for episodes in found.values() for name in episodes.figures))
    names = ("mean return", "std") if limits or extra else ("mean return", "std", "least", "most", "steps")
    shown = [name.replace("_", " ") for name in extra]
    for name in (*names, *shown, *(f"[{i + 1}]" for i in range(len(limits)))):
        table.add_column(Text(f"  {name}"), justify="right")
    for name, episodes in found.items():
        values = episodes.returns
        figures = [values.mean(), values.std(), values.min(), values.max(), episodes.lengths.mean()]
        cells = [Text(f"{figure:.4g}") for figure in figures[: len(names)]]
        cells += [
            Text(figure_text(mean_of(episodes.figures[name]), 3) if name in episodes.figures else "") for name in extra
        ]
        if limits:
            assert episodes.costs is not None
            means = np.average(episodes.costs, axis=0, weights=episodes.lengths)
            cells += [
                Text(f"{mean:.3g}!", style="red") if mean > limit else Text(f"{mean:.3g} ", style="green")
                for mean, limit in zip(means, limits.values(), strict=True)
            ]
        table.add_row(name, *cells)
    if limits:
        legend = ", ".join(f"[{i + 1}] {name} <= {limit:.4g}" for i, (name, limit) in enumerate(limits.items()))
        table.caption = Text(f"{legend}; ! is above its limit in these episodes", justify="left")
        table.caption_justify = "left"
    return table


def figure_text(value: float, digits: int = 4) -> str:
    """A figure with so many significant digits; a dash for one that nothing has, NaN."""
    return "-" if np.isnan(value) else f"{value:.{digits}g}"


def mean_of(figures: NDArray[np.float64]) -> float:
    """The mean over the episodes (N,) that have the figure; NaN where none has."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if len(known) else float("nan")


def threshold(env_config: EnvironmentConfig) -> float | None:
    """The mean return at which Gymnasium calls the environment solved; None where it names none."""
    env = env_config.make()
    try:
        found: Any = env.spec.reward_threshold if env.spec is not None else None
        return None if found is None else float(found)
    finally:
        env.close()


def longest_episode(env_config: Any) -> int:
    """Steps after which every episode has ended, as the environment says it; 0 where it does not."""
    env = plain(env_config).make()
    try:
        limit: Any = env.spec.max_episode_steps if env.spec is not None else None
        return int(limit or getattr(env.unwrapped, "max_steps", 0))
    finally:
        env.close()


def draw_curve(folder: Path, solved: float | None, limits: Mapping[str, float] | None = None) -> Path | None:
    """Write ``curve.png`` into a run folder: returns and figures of the training episodes, and costs by their limits.

    None where no episode has ended.
    """
    every = read_metrics(folder)
    lines = [line for line in every if line.get("episode/return") is not None]
    if not lines:
        return None
    from matplotlib.figure import Figure

    named = [key for key in lines[-1] if key.startswith("episode/") and key not in COMMON]
    panels = 1 + bool(named) + bool(limits)
    figure = Figure(figsize=(6, 0.5 + 3.0 * panels), layout="constrained")
    axes, *below = figure.subplots(panels, squeeze=False, sharex=True)[:, 0]
    steps, returns = (np.array([line[key] for line in lines]) for key in ("steps", "episode/return"))
    axes.plot(steps, returns, color="0.8", linewidth=0.8)
    axes.plot(*smoothed(steps, returns), color="tab:blue")
    if solved is not None:
        axes.axhline(solved, color="tab:green", linestyle="--", linewidth=1)
    axes.set(ylabel="return of the training episodes")
    for key in named:
        values = np.array([line.get(key, np.nan) for line in lines], np.float64)
        below[0].plot(*smoothed(steps, values), label=key.partition("/")[2].replace("_", " "))
        below[0].legend(frameon=False, fontsize="small")
    for panel in below[bool(named) :]:
        steps = np.array([line["steps"] for line in every])
        for name, limit in (limits or {}).items():
            costs = np.array([line.get(f"cost/{name}", np.nan) for line in every], np.float64)
            panel.plot(*smoothed(steps, costs / (abs(limit) or 1.0)), label=name, linewidth=1)
        panel.axhline(1.0, color="black", linestyle="--", linewidth=1)
        panel.set(ylabel="mean cost by its limit", yscale="symlog")
        panel.legend(frameon=False, fontsize="small")
    figure.axes[-1].set(xlabel="environment steps")
    path = folder / "curve.png"
    save_figure(figure, path)
    return path


def smoothed(steps: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Running means over :data:`SMOOTHED` of the curve."""
    width = max(1, round(len(values) * SMOOTHED))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    return steps[width - 1 :], (sums[width:] - sums[:-width]) / width
