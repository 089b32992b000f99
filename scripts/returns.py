"""What a run on an environment without a problem is worth: returns of whole episodes, and the learning curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from drawing import save_figure
from optgap.agents.common.contracts import Agent
from optgap.agents.common.evaluation import Choose, Episodes, play_episodes
from optgap.agents.common.metrics import read_metrics
from optgap.envs.registry import EnvironmentConfig

SEED = 20_011  # of the episodes: no training seed is derived from it
SMOOTHED = 0.02  # share of the curve's points that one of its mean's takes in


def acting(agent: Agent, deterministic: bool) -> Choose:
    """The agent's policy, with its most probable actions or with sampled ones."""
    return lambda observation, masks: agent.predict(observation, masks, deterministic=deterministic)[0]


def measure(
    agents: Mapping[str, Agent], env_config: EnvironmentConfig, episodes: int, check: Callable[[], None]
) -> dict[str, Episodes]:
    """Episodes of each agent, greedy and sampled, and of random actions; sampling restores torch's generator."""
    import torch

    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        for name, agent in agents.items():
            for mode in ("greedy", "sampled"):
                choose = acting(agent, mode == "greedy")
                found[f"{name}, {mode}"] = play_episodes(choose, env_config, episodes, SEED, check)
    found["random actions"] = play_episodes(None, env_config, episodes, SEED, check)
    return found


def returns_table(found: Mapping[str, Episodes], title: str) -> Table:
    """A row a policy."""
    table = Table(
        title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    table.add_column("policy", overflow="fold", min_width=12)
    for name in ("mean return", "std", "least", "most", "steps"):
        table.add_column(f"  {name}", justify="right")
    for name, episodes in found.items():
        values = episodes.returns
        figures = (values.mean(), values.std(), values.min(), values.max(), episodes.lengths.mean())
        table.add_row(name, *(f"{figure:.4g}" for figure in figures))
    return table


def threshold(env_config: EnvironmentConfig) -> float | None:
    """The mean return at which Gymnasium calls the environment solved; None where it names none."""
    env = env_config.make()
    try:
        found: Any = env.spec.reward_threshold if env.spec is not None else None
        return None if found is None else float(found)
    finally:
        env.close()


def draw_curve(folder: Path, solved: float | None) -> Path | None:
    """Write ``curve.png`` into a run folder: returns of the training episodes; None where none has ended."""
    lines = [line for line in read_metrics(folder) if line.get("episode/return") is not None]
    if not lines:
        return None
    from matplotlib.figure import Figure

    steps = np.array([line["steps"] for line in lines])
    returns = np.array([line["episode/return"] for line in lines])
    width = max(1, round(len(returns) * SMOOTHED))
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    mean = (sums[width:] - sums[:-width]) / width
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, returns, color="0.8", linewidth=0.8)
    axes.plot(steps[width - 1 :], mean, color="tab:blue")
    if solved is not None:
        axes.axhline(solved, color="tab:green", linestyle="--", linewidth=1)
    axes.set(xlabel="environment steps", ylabel="return of the training episodes")
    path = folder / "curve.png"
    save_figure(figure, path)
    return path
