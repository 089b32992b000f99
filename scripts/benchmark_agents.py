"""Agents on environments over several training seeds: returns with their spread, and learning curves with a band.

    python scripts/benchmark_agents.py envs=cartpole,acrobot agents=gbt-ppo,ppo seeds=0,1,2 total_steps=300000
    python scripts/benchmark_agents.py envs=minigrid-doorkey agents=gbt-ppo,ppo seeds=0,1,2,3,4 total_steps=1000000 jobs=2

Every cell is a run of `train.py` in a process of its own, under out/seed-<seed>/<env>/<agent>/; further arguments of
`train.py` (agent.epochs=4) go to all of them. The same command goes on where it was interrupted: ended runs are read,
begun ones resumed. A run's return is the mean over the last `episodes` training episodes (sampled actions); the table
gives mean and standard deviation over seeds. out/agents.json and out/agents.md hold the table, out/<env>.png the curves.
Where an environment has constraints on mean costs, a second table has the final policies, greedy and sampled, and the
environment's baselines, on the same `evaluation` episodes, beside the limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import cli
from constraint_rows import baseline_rows, constraint_markdown, constraint_table, excess_curve, policy_rows
from drawing import save_figure
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.metrics import read_metrics
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from optgap.envs.registry import ENVIRONMENTS
from returns import constraints_of_env

TRAIN = Path(__file__).with_name("train.py")
OWN = ("envs", "agents", "seeds", "total_steps", "jobs", "episodes", "evaluation", "out")
POINTS = 200  # of a curve


@dataclass
class AgentsConfig:
    """What can be said on the command line."""

    envs: Any = "cartpole"
    agents: Any = "gbt-ppo,ppo"
    seeds: Any = field(default_factory=lambda: [0, 1, 2])
    total_steps: int = 100_000  # of each run
    jobs: int = 1  # runs at a time
    episodes: int = 100  # the last ones of a run that count
    evaluation: int = 100  # episodes of a final policy, where there are constraints
    out: str = "runs/agents"

    def __post_init__(self) -> None:
        for name in ("total_steps", "jobs", "episodes", "evaluation"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 1")


@dataclass(frozen=True)
class Cell:
    """One run: what it trains, with which seed, and where it lies."""

    env: str
    agent: str
    seed: int
    out: Path

    def folder(self) -> Path | None:
        """The run's folder; None before it began."""
        found = sorted((self.out / self.env / self.agent).glob("*/metrics.jsonl"))
        return found[-1].parent if found else None

    def steps(self) -> int:
        """Environment steps that it has taken."""
        folder = self.folder()
        lines = read_metrics(folder) if folder is not None else []
        return int(lines[-1]["steps"]) if lines else 0

    def train(self, total_steps: int, more: Sequence[str]) -> str | None:
        """Run it to its end; the last line of its errors where it fails."""
        if self.steps() >= total_steps:
            return None
        folder = self.folder()
        end = [f"total_steps={total_steps}", "final_seconds=0", "final_episodes=0"]
        begin = [f"env={self.env}", f"agent={self.agent}", f"seed={self.seed}", f"out={self.out}", "device=cpu", *more]
        arguments = [*begin, *end] if folder is None else [f"resume={folder}", *end]
        limits = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        done = subprocess.run(
            [sys.executable, str(TRAIN), *arguments],
            env=os.environ | limits,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and self.steps() >= total_steps:
            return None
        return (done.stderr.strip().splitlines() or [f"ended early, exit code {done.returncode}"])[-1]

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Steps, mean return and number of the episodes that ended in each update in which any did."""
        folder = self.folder()
        lines = [line for line in read_metrics(folder) if line.get("episode/return") is not None] if folder else []
        columns = ([line[key] for line in lines] for key in ("steps", "episode/return", "episode/count"))
        steps, returns, counts = (np.array(column, np.float64) for column in columns)
        return steps, returns, counts


def main(argv: list[str]) -> int:
    own = [item for item in argv if item.lstrip("+").partition("=")[0] in (*OWN, "--help", "-h")]
    more = [item for item in argv if item not in own]
    config = cli.parse(AgentsConfig, own, about=__doc__)
    envs, agents = cli.as_list(config.envs), cli.as_list(config.agents)
    for name in envs:
        ENVIRONMENTS.load(name)
    for name in agents:
        AGENTS.load(name)
    seeds = cli.integers("seeds", config.seeds)
    console, out = Console(highlight=False), cli.folder(config.out)
    cells = [Cell(env, agent, seed, out / f"seed-{seed}") for seed, env, agent in product(seeds, envs, agents)]
    failed = run_all(cells, config, more, console)
    rows = [row for env, agent in product(envs, agents) if (row := figures(cells, env, agent, config.episodes))]
    played = {env: environment_of(cells, env) for env in envs}
    constraints = {env: {} if found is None else constraints_of_env(*found) for env, found in played.items()}
    constrained = {
        env: constrained_rows(cells, env, agents, constraints[env], config, found)
        for env, found in played.items()
        if found is not None and constraints[env]
    }
    settings = {"total_steps": config.total_steps, "episodes": config.episodes, "arguments": more}
    write_text(
        out / "agents.json",
        json.dumps({"provenance": provenance(), **settings, "rows": rows, "constraints": constrained}, indent=1) + "\n",
    )
    tables = [markdown(rows), *(constraint_markdown(found, constraints[env]) for env, found in constrained.items())]
    write_text(out / "agents.md", "\n".join(tables))
    for env in envs:
        draw(cells, env, agents, out / f"{env}.png", constraints[env])
    console.print(table(rows))
    for env, found in constrained.items():
        console.print(constraint_table(found, constraints[env], f"{env}: {config.evaluation} episodes"))
    console.print(Text(f"written  {out / 'agents.json'}, agents.md and a curve an environment"))
    return 1 if failed else 0


def run_all(cells: Sequence[Cell], config: AgentsConfig, more: Sequence[str], console: Console) -> int:
    """Train all cells, ``jobs`` at a time; how many failed."""
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(config.jobs) as pool:
        task = progress.add_task("runs", total=len(cells))

        running = {pool.submit(cell.train, config.total_steps, more): cell for cell in cells}
        try:
            for future in as_completed(running):
                cell, error = running[future], future.result()
                progress.advance(task)
                name = f"{cell.env} {cell.agent} seed {cell.seed}"
                if error is not None:
                    failed += 1
                    progress.console.print(Text(f"failed   {name}: {error}"), style="red")
                else:
                    found = last(cell, config.episodes)
                    said = "no episode ended in a whole rollout" if np.isnan(found) else f"{found:.4g}"
                    progress.console.print(Text(f"ended    {name}: {said}"))
        except KeyboardInterrupt:  # the runs at work were interrupted too, and save; the others shall not begin
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def last(cell: Cell, episodes: int) -> float:
    """Mean return of the last training episodes, in whole updates; NaN where none ended."""
    _, returns, counts = cell.curve()
    if not len(returns):
        return float("nan")
    behind = np.cumsum(counts[::-1])[::-1] - counts  # episodes that ended after each update
    part = behind < episodes
    return float(np.average(returns[part], weights=counts[part]))


def figures(cells: Sequence[Cell], env: str, agent: str, episodes: int) -> dict[str, Any] | None:
    """Returns over seeds of one agent on one environment."""
    runs = [cell for cell in cells if (cell.env, cell.agent) == (env, agent) and cell.steps()]
    if not runs:
        return None
    values = np.array([last(cell, episodes) for cell in runs])
    return {
        "env": env,
        "agent": agent,
        "seeds": [cell.seed for cell in runs],
        "returns": values.tolist(),
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "steps": min(cell.steps() for cell in runs),
    }


def environment_of(cells: Sequence[Cell], env: str) -> tuple[Any, list[float] | None] | None:
    """What the runs play, as they were told, and their agent's own limits; None where none has begun."""
    from naming import find_agent

    for cell in cells:
        folder = cell.folder()
        if cell.env == env and folder is not None and cell.steps():
            agent = find_agent(str(folder))
            return agent.env_config, getattr(agent.config, "limits", None)
    return None


def constrained_rows(
    cells: Sequence[Cell],
    env: str,
    agents: Sequence[str],
    limits: Mapping[str, float],
    config: AgentsConfig,
    played: tuple[Any, list[float] | None],
) -> list[dict[str, Any]]:
    """Final policies and baselines of one environment, beside its limits."""
    rows = []
    for agent in agents:
        runs = [cell.folder() for cell in cells if (cell.env, cell.agent) == (env, agent) and cell.steps()]
        folders = [folder for folder in runs if folder is not None]
        rows += policy_rows(agent, folders, limits, config.evaluation) if folders else []
    env_config, own = played
    return [*rows, *(baseline_rows(env_config, limits, config.evaluation) if own is None else [])]


HEADERS = ("env", "agent", "seeds", "steps", "mean return", "std", "least", "most")


def texts(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = (row["mean"], row["std"], min(row["returns"]), max(row["returns"]))
    return row["env"], row["agent"], str(len(row["seeds"])), f"{row['steps']:,}", *(f"{value:.4g}" for value in numbers)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, name in enumerate(HEADERS):
        shown.add_column(name, justify="left" if i < 2 else "right")
    for row in rows:
        shown.add_row(*texts(row))
    return shown


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [HEADERS, ("---",) * len(HEADERS), *(texts(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(cells: Sequence[Cell], env: str, agents: Sequence[str], path: Path, limits: Mapping[str, float]) -> None:
    """Mean curves over seeds, with a band of one standard deviation; violations below, where there are constraints."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6 if limits else 3.5), layout="constrained")
    panels = figure.subplots(2 if limits else 1, squeeze=False, sharex=True)[:, 0]
    for number, agent in enumerate(agents):
        mine = [cell for cell in cells if (cell.env, cell.agent) == (env, agent)]
        curves = [cell.curve() for cell in mine]
        draw_band(panels[0], [(s, running_mean(r, c)) for s, r, c in curves if len(s)], f"C{number}", agent)
        if limits:
            folders = [folder for cell in mine if (folder := cell.folder()) is not None]
            draw_band(panels[1], [excess_curve(folder, limits) for folder in folders], f"C{number}", agent)
    panels[0].set(ylabel="return of the training episodes", title=env)
    if limits:
        panels[1].set(ylabel="excess over the limits, by the limits", yscale="symlog")
    panels[-1].set(xlabel="environment steps")
    if panels[0].lines:
        panels[0].legend(frameon=False)
    save_figure(figure, path)


def draw_band(
    axes: Any, curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], color: str, label: str
) -> None:
    """The mean of (steps, values) over runs, where all have values, and one standard deviation beside it."""
    curves = [curve for curve in curves if len(curve[0])]
    if not curves:
        return
    grid = np.linspace(max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves), POINTS)
    values = np.stack([np.interp(grid, steps, found) for steps, found in curves])
    mean, spread = values.mean(0), values.std(0)
    axes.plot(grid, mean, color=color, label=f"{label} ({len(curves)} seeds)")
    axes.fill_between(grid, mean - spread, mean + spread, color=color, alpha=0.2, linewidth=0)


def running_mean(returns: NDArray[np.float64], counts: NDArray[np.float64], share: float = 0.05) -> NDArray[np.float64]:
    """Means over the episodes of a window that ends at each update."""
    width = max(1, round(len(returns) * share))
    sums, weights = (np.concatenate([np.zeros(width), np.cumsum(values)]) for values in (returns * counts, counts))
    mean: NDArray[np.float64] = (sums[width:] - sums[:-width]) / (weights[width:] - weights[:-width])
    return mean


if __name__ == "__main__":
    cli.run(main)
