"""Agents on environments over several training seeds: returns with their spread, and learning curves with a band.

    python scripts/benchmark_agents.py envs=cartpole,acrobot agents=gbt-ppo,ppo seeds=0,1,2 total_steps=300000
    python scripts/benchmark_agents.py envs=minigrid-doorkey agents=gbt-ppo,ppo seeds=0,1,2,3,4 total_steps=1000000 jobs=2

    python scripts/benchmark_agents.py envs=deepsea:size=10,deepsea:size=20 agents=sofe-a2c,sofe-a2c:sofe=false threshold=0.9

A name may have settings of its own, name:field=value+field=value; further arguments of `train.py` (agent.epochs=4) go to
all runs. Each is a process of its own, under out/seed-<seed>/. The same command goes on where it was interrupted: ended
runs are read, begun ones resumed. A run's figure is the mean over the last `episodes` training episodes (sampled
actions) of their return, or of what `figure` names (success, coverage); the table gives mean, 95% interval (Student's t)
and standard deviation over seeds, and with `threshold` the environment steps after which that mean first reached it.
Episodes count from when each copy of the environment has had time for the longest one (where it has a limit): until then
only short ones have ended, and where success ends an episode, successes alone.
out/agents.json and out/agents.md hold the tables, out/<env>.png the curves.
Where episodes have figures, or constraints on mean costs, a second table has the final policies, greedy and sampled, and
the environment's baselines, on the same `evaluation` episodes, beside the limits.
"""

from __future__ import annotations

import json
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
from drawing import save_figure
from final_policies import baseline_rows, excess_curve, policies_markdown, policies_table, policy_rows
from optgap.agents.common.contracts import AGENTS
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from optgap.envs.registry import ENVIRONMENTS
from returns import constraints_of_env, figure_text
from training_cells import Cell, settled, split_settings

OWN = ("envs", "agents", "seeds", "total_steps", "jobs", "episodes", "figure", "threshold", "evaluation", "out")
POINTS = 200  # of a curve
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # 97.5% of Student's t, 1 to 9 degrees


@dataclass
class AgentsConfig:
    """What can be said on the command line."""

    envs: Any = "cartpole"
    agents: Any = "gbt-ppo,ppo"
    seeds: Any = field(default_factory=lambda: [0, 1, 2])
    total_steps: int = 100_000  # of each run
    jobs: int = 1  # runs at a time
    episodes: int = 100  # the last ones of a run that count
    figure: str = "return"  # of an episode, or one that the environment names
    threshold: float | None = None  # of the figure: after how many steps is it reached?
    evaluation: int = 100  # episodes of a final policy, where they have figures or constraints; 0: none
    out: str = "runs/agents"

    def __post_init__(self) -> None:
        for name in ("total_steps", "jobs", "episodes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.evaluation < 0:
            raise InputError(f"evaluation is {self.evaluation}; expected at least 0")


def main(argv: list[str]) -> int:
    own = [item for item in argv if item.lstrip("+").partition("=")[0] in (*OWN, "--help", "-h")]
    more = [item for item in argv if item not in own]
    config = cli.parse(AgentsConfig, own, about=__doc__)
    envs, agents = cli.as_list(config.envs), cli.as_list(config.agents)
    for registry, names in ((ENVIRONMENTS, envs), (AGENTS, agents)):
        for name in names:
            registry.load(split_settings(name)[0])
    for env in envs:
        told = ("return", "length", *getattr(ENVIRONMENTS.load(split_settings(env)[0]), "figures", ()))
        if config.figure not in told:
            raise InputError(f"figure is {config.figure!r}; expected of {env}'s: {', '.join(told)}")
    seeds = cli.integers("seeds", config.seeds)
    console, out = Console(highlight=False), cli.folder(config.out)
    cells = [Cell(env, agent, seed, out) for seed, env, agent in product(seeds, envs, agents)]
    failed = run_all(cells, config, more, console)
    rows = [row for env, agent in product(envs, agents) if (row := figures(cells, env, agent, config))]
    played = {env: environment_of(cells, env) for env in envs}
    limits = {env: {} if found is None else constraints_of_env(*found) for env, found in played.items()}
    policies = {
        env: final_rows(cells, env, agents, limits[env], config, found)
        for env, found in played.items()
        if found is not None and config.evaluation and (limits[env] or has_figures(found[0]))
    }
    settings = {"total_steps": config.total_steps, "episodes": config.episodes, "arguments": more}
    settings |= {"figure": config.figure, "threshold": config.threshold}
    data = known({"provenance": provenance(), **settings, "rows": rows, "policies": policies})
    write_text(out / "agents.json", json.dumps(data, indent=1, allow_nan=False) + "\n")
    tables = [markdown(rows, config), *(policies_markdown(found, limits[env]) for env, found in policies.items())]
    write_text(out / "agents.md", "\n".join(tables))
    for env in envs:
        draw(cells, env, agents, picture(out, env), limits[env], config.figure)
    console.print(table(rows, config))
    for env, found in policies.items():
        console.print(policies_table(found, limits[env], f"{env}: {config.evaluation} episodes"))
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
                    found = cell.last(config.episodes, config.figure)
                    folder = cell.folder()
                    since = f" before {settled(folder):,} steps" if folder is not None else ""
                    said = f"no episode counts{since}" if np.isnan(found) else f"{found:.4g}"
                    progress.console.print(Text(f"ended    {name}: {said}"))
        except KeyboardInterrupt:  # the runs at work were interrupted too, and save; the others shall not begin
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def figures(cells: Sequence[Cell], env: str, agent: str, config: AgentsConfig) -> dict[str, Any] | None:
    """The figure over seeds of one agent on one environment."""
    runs = [cell for cell in cells if (cell.env, cell.agent) == (env, agent) and cell.steps()]
    if not runs:
        return None
    values = np.array([cell.last(config.episodes, config.figure) for cell in runs])
    row = {
        "env": env,
        "agent": agent,
        "seeds": [cell.seed for cell in runs],
        f"{config.figure}s": values.tolist(),
        "mean": float(values.mean()),
        "interval": half_interval(values),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "steps": min(cell.steps() for cell in runs),
    }
    if config.threshold is not None:
        reached = [cell.reached(config.threshold, config.episodes, config.figure) for cell in runs]
        row["reached"] = [int(steps) if np.isfinite(steps) else None for steps in reached]
    return row


def known(data: Any) -> Any:
    """``data`` with None, json's null, for numbers that are not finite: json has none."""
    if isinstance(data, Mapping):
        return {key: known(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [known(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data


def half_interval(values: NDArray[np.float64]) -> float | None:
    """Half the width of the 95% confidence interval of the mean of n values; None for a single one."""
    free = len(values) - 1
    if free < 1:
        return None
    # beyond the table, the expansion of the quantile in 1 / degrees of freedom (Abramowitz and Stegun 26.7.5)
    quantile = T_QUANTILES[free - 1] if free <= len(T_QUANTILES) else 1.96 + 2.372 / free + 2.82 / free**2
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def has_figures(env_config: Any) -> bool:
    """Whether episodes have figures besides their return."""
    return bool(getattr(env_config, "figures", ())) or hasattr(env_config, "judge")


def environment_of(cells: Sequence[Cell], env: str) -> tuple[Any, list[float] | None] | None:
    """What the runs play, as they were told, and their agent's own limits; None where none has begun."""
    from naming import find_agent

    for cell in cells:
        folder = cell.folder()
        if cell.env == env and folder is not None and cell.steps():
            agent = find_agent(str(folder))
            return agent.env_config, getattr(agent.config, "limits", None)
    return None


def final_rows(
    cells: Sequence[Cell],
    env: str,
    agents: Sequence[str],
    limits: Mapping[str, float],
    config: AgentsConfig,
    played: tuple[Any, list[float] | None],
) -> list[dict[str, Any]]:
    """Final policies and baselines of one environment."""
    rows = []
    for agent in agents:
        runs = [cell.folder() for cell in cells if (cell.env, cell.agent) == (env, agent) and cell.steps()]
        folders = [folder for folder in runs if folder is not None]
        rows += policy_rows(agent, folders, limits, config.evaluation) if folders else []
    env_config, own = played
    return [*rows, *(baseline_rows(env_config, limits, config.evaluation) if own is None else [])]


def headers(config: AgentsConfig) -> tuple[str, ...]:
    reached = () if config.threshold is None else (f"median to {config.threshold:g}",)
    return "env", "agent", "seeds", "steps", config.figure, "95% +-", "std", *reached


def texts(row: dict[str, Any]) -> tuple[str, ...]:
    interval = "" if row["interval"] is None else figure_text(row["interval"], 3)
    reached: tuple[str, ...] = ()
    if "reached" in row:
        found = sorted(steps for steps in row["reached"] if steps is not None)
        half = len(row["reached"]) // 2
        median = f"{found[half]:,}" if half < len(found) else "never"  # of all seeds, the upper one of an even number
        reached = (f"{median} ({len(found)}/{len(row['reached'])})",)
    start = (row["env"], row["agent"], str(len(row["seeds"])), f"{row['steps']:,}", figure_text(row["mean"]))
    return *start, interval, figure_text(row["std"], 3), *reached


def table(rows: Sequence[dict[str, Any]], config: AgentsConfig) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for i, name in enumerate(headers(config)):
        shown.add_column(name, justify="left" if i < 2 else "right", overflow="fold", min_width=8 if i < 2 else 4)
    for row in rows:
        shown.add_row(*texts(row))
    return shown


def markdown(rows: Sequence[dict[str, Any]], config: AgentsConfig) -> str:
    names = headers(config)
    lines = [names, ("---",) * len(names), *(texts(row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def picture(out: Path, env: str) -> Path:
    """Where an environment's curves go; its settings may hold a path, as of a map."""
    return out / f"{env.replace('/', '-')}.png"


def draw(
    cells: Sequence[Cell], env: str, agents: Sequence[str], path: Path, limits: Mapping[str, float], name: str
) -> None:
    """Mean curves over seeds, with a band of one standard deviation; violations below, where there are constraints."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6 if limits else 3.5), layout="constrained")
    panels = figure.subplots(2 if limits else 1, squeeze=False, sharex=True)[:, 0]
    for number, agent in enumerate(agents):
        mine = [cell for cell in cells if (cell.env, cell.agent) == (env, agent)]
        curves = [cell.curve(name) for cell in mine]
        draw_band(panels[0], [(s, running_mean(r, c)) for s, r, c in curves if len(s)], f"C{number}", agent)
        if limits:
            folders = [folder for cell in mine if (folder := cell.folder()) is not None]
            draw_band(panels[1], [excess_curve(folder, limits) for folder in folders], f"C{number}", agent)
    panels[0].set(ylabel=f"{name} of the training episodes", title=env)
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
