"""Asynchronous against synchronous training where a step of the environment takes its time: wall times and their ratio.

    python scripts/benchmark_asynchronous.py seconds=0.005,0.05 actors=1,2,4,8 total_steps=2000
    python scripts/benchmark_asynchronous.py seconds=0.5 actors=1,4,16 target=-300 total_steps=20000 out=runs/scaling

Every step sleeps `seconds`, give or take `jitter`; actors that sleep share a core. Both sides take the same steps and
the same gradient steps (8 * update_ratio after every 8 steps), with one copy of the environment an actor and one on the
synchronous side. A time counts from the first rollout that arrived (what starting takes is told beside it) to
total_steps, or to where the mean return of the last 10 episodes reaches `target`. The same command goes on where it was
interrupted. out/results.jsonl holds the runs, out/asynchronous.json and .md the table, out/asynchronous.png the ratios.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

import cli
from drawing import save_figure
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import read_text, write_text
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.wrappers.slow import SlowConfig

EPISODES = 10  # whose mean return is compared with the target
ROLLOUT, MINIBATCH = 8, 128


@dataclass
class AsynchronousConfig:
    """What can be said on the command line."""

    env: str = "pendulum"
    agent: str = "sac"  # or td3
    engine: str = "processes"  # or ray
    seconds: Any = field(default_factory=lambda: [0.005, 0.05, 0.5])  # of a step
    jitter: float = 0.3
    actors: Any = field(default_factory=lambda: [1, 2, 4, 8, 16])
    seeds: Any = field(default_factory=lambda: [0])
    total_steps: int = 2000
    target: float | None = None  # return at which a run ends
    update_ratio: float = 1.0  # gradient steps to an environment step
    hidden: int = 64  # width of the two hidden layers
    warmup_steps: int = 400
    threads: int = 1
    out: str = "runs/asynchronous"


@dataclass(frozen=True)
class Cell:
    """One run; no actors: synchronous."""

    env: str
    agent: str
    engine: str
    seconds: float
    jitter: float
    actors: int
    seed: int
    total_steps: int
    target: float | None
    update_ratio: float
    hidden: int
    warmup_steps: int


def main(argv: list[str]) -> int:
    config = cli.parse(AsynchronousConfig, argv, about=__doc__)
    cli.limit_threads(config.threads)
    if config.agent not in ("sac", "td3"):
        raise InputError(f"agent is {config.agent!r}; expected sac or td3")
    if not (ROLLOUT * config.update_ratio).is_integer() or config.update_ratio <= 0:
        raise InputError(f"update_ratio is {config.update_ratio}; expected a multiple of 1/{ROLLOUT}")
    try:
        durations = [float(item) for item in cli.as_list(str(config.seconds).strip("[]"))]
    except ValueError:
        raise InputError(f"seconds={config.seconds}: expected numbers, for instance seconds=0.005,0.05") from None
    if not durations:
        raise InputError("no number is named in seconds; expected for instance seconds=0.005,0.05")
    actors, seeds = cli.integers("actors", config.actors), cli.integers("seeds", config.seeds)
    for name, least, numbers in (("actors", 1, actors), ("seeds", 0, seeds), ("total_steps", 1, [config.total_steps])):
        if min(numbers) < least:
            raise InputError(f"{name}={getattr(config, name)}: expected at least {least}")
    if config.target is not None and not math.isfinite(config.target):
        raise InputError(f"target is {config.target}; expected a finite number, or null")
    common = config.total_steps, config.target, config.update_ratio, config.hidden, config.warmup_steps
    cells = [
        Cell(config.env, config.agent, config.engine, seconds, config.jitter, count, seed, *common)
        for seconds in durations
        for seed in seeds
        for count in (0, *actors)
    ]
    for cell in cells:  # all of them, before the first is run
        plan(cell)
    folder, console = cli.folder(config.out), Console(highlight=False)
    file = folder / "results.jsonl"
    done = read(file)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with cli.interruptible() as check, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=len(cells))
        for cell in cells:
            key = json.dumps(asdict(cell))
            if key not in done:
                check()
                said = f"{1000 * cell.seconds:g} ms, {f'{cell.actors} actors' if cell.actors else 'synchronous'}"

                def tell(steps: int, said: str = said) -> None:
                    check()
                    progress.update(task, description=f"{said}, {steps:,} of {config.total_steps:,} steps")

                done[key] = {"cell": asdict(cell), **measure(cell, tell)}
                write_text(file, "".join(json.dumps(line) + "\n" for line in done.values()))
            progress.advance(task)
    rows = table(cells, done)
    data = {"settings": asdict(config), "provenance": provenance(), "rows": rows}
    write_text(folder / "asynchronous.json", json.dumps(data, indent=1) + "\n")
    text = markdown(rows)
    write_text(folder / "asynchronous.md", text)
    save_figure(figure(rows), folder / "asynchronous.png")
    console.print(Text(text))
    console.print(Text(f"written  {folder / 'asynchronous.png'}, asynchronous.json and asynchronous.md"))
    return 0


def plan(cell: Cell) -> tuple[SlowConfig, Any, Any]:
    """The environment, the agent's class and its configuration.

    Raises:
        InputError: one of them cannot be.
    """
    from optgap.agents.asynchronous.agents import APTSAC, APTTD3
    from optgap.agents.sac.agent import SAC
    from optgap.agents.td3.agent import TD3

    synchronous, asynchronous = {"sac": (SAC, APTSAC), "td3": (TD3, APTTD3)}[cell.agent]
    agent_class: Any = asynchronous if cell.actors else synchronous
    per_update = gradient_steps(cell)
    settings: dict[str, Any] = {"rollout_length": ROLLOUT, "minibatch_size": MINIBATCH}
    settings |= {"batch_size": per_update * MINIBATCH, "hidden_sizes": [cell.hidden] * 2}
    settings["warmup_steps"] = cell.warmup_steps
    if cell.actors:
        settings |= {"engine": cell.engine, "actors": cell.actors, "queue": 2 * cell.actors}
        settings["update_ratio"] = cell.update_ratio
    else:
        settings["num_envs"] = 1
    env_config = SlowConfig(ENVIRONMENTS.load(cell.env)(), cell.seconds, cell.jitter)
    return env_config, agent_class, agent_class.config_class(**settings)


def gradient_steps(cell: Cell) -> int:
    """Of an update."""
    return round(ROLLOUT * cell.update_ratio)


def measure(cell: Cell, tell: Any) -> dict[str, Any]:
    """Train once; seconds, steps and other figures of the run."""
    env_config, agent_class, settings = plan(cell)
    agent = agent_class(env_config, settings, cell.seed)
    begun = time.perf_counter()
    first: list[tuple[float, int]] = []
    returns: list[float] = []
    ages: list[float] = []

    def watch(agent: Any, metrics: dict[str, float]) -> bool:
        if not first:
            first.append((time.perf_counter(), agent.steps))
        if metrics.get("episode/count"):
            returns.extend([metrics["episode/return"]] * int(metrics["episode/count"]))
        if "actors/staleness_mean" in metrics:
            ages.append(metrics["actors/staleness_mean"])
        tell(agent.steps)
        reached = len(returns) >= EPISODES and cell.target is not None and np.mean(returns[-EPISODES:]) >= cell.target
        return not reached

    agent.learn(cell.total_steps, watch)
    (arrived, steps), ended = first[0], time.perf_counter()
    return {
        # The first rollout's own time is not seen on the asynchronous side, so it counts on neither.
        "seconds": ended - arrived,
        "starting": arrived - begun,
        "steps": agent.steps - steps,
        "gradient_steps": (agent.updates - -(-cell.warmup_steps // ROLLOUT)) * gradient_steps(cell),
        "return": float(np.mean(returns[-EPISODES:])) if returns else None,
        "staleness": float(np.mean(ages)) if ages else 0.0,
        "reached": cell.target is None or agent.steps < cell.total_steps,
    }


def table(cells: Sequence[Cell], done: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a step time and number of actors; means over seeds."""
    rows: list[dict[str, Any]] = []
    for seconds, actors in dict.fromkeys((cell.seconds, cell.actors) for cell in cells):
        runs = [done[json.dumps(asdict(cell))] for cell in cells if (cell.seconds, cell.actors) == (seconds, actors)]
        row: dict[str, Any] = {"step_seconds": seconds, "actors": actors}
        row |= {key: float(np.mean([run[key] for run in runs])) for key in ("seconds", "starting", "staleness")}
        row["steps_per_second"] = float(np.mean([run["steps"] / run["seconds"] for run in runs]))
        row["gradient_steps_per_second"] = float(np.mean([run["gradient_steps"] / run["seconds"] for run in runs]))
        found = [run["return"] for run in runs if run["return"] is not None]
        row |= {"return": float(np.mean(found)) if found else None, "reached": sum(run["reached"] for run in runs)}
        base = next((other for other in rows if other["step_seconds"] == seconds and not other["actors"]), row)
        row["ratio"] = base["seconds"] / row["seconds"]
        rows.append(row)
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table, as Markdown."""
    lines = [
        "| step | actors | wall time | ratio | steps/s | gradient steps/s | policy age | return |",
        "|--:" * 8 + "|",
    ]
    for row in rows:
        cells = [f"{1000 * row['step_seconds']:g} ms", str(row["actors"]) if row["actors"] else "synchronous"]
        cells += [f"{row['seconds']:.1f} s", f"{row['ratio']:.2f}", f"{row['steps_per_second']:.1f}"]
        cells += [f"{row['gradient_steps_per_second']:.1f}", f"{row['staleness']:.1f}"]
        lines.append("| " + " | ".join([*cells, "" if row["return"] is None else f"{row['return']:.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def figure(rows: Sequence[dict[str, Any]]) -> Any:
    """Ratios by actors, a line a step time, beside the linear one."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6, 4.5), layout="constrained")
    axes = drawn.subplots()
    most = max(row["actors"] for row in rows)
    axes.plot([1, most], [1, most], color="0.7", linestyle="--", label="linear")
    for seconds in dict.fromkeys(row["step_seconds"] for row in rows):
        points = [(row["actors"], row["ratio"]) for row in rows if row["step_seconds"] == seconds and row["actors"]]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{1000 * seconds:g} ms a step")
    axes.set(xscale="log", yscale="log", xlabel="actors", ylabel="synchronous wall time / asynchronous")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.legend(frameon=False)
    return drawn


def read(file: Path) -> dict[str, dict[str, Any]]:
    """The runs that have ended, by their cells."""
    if not file.exists():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(read_text(file).splitlines(), start=1):
        try:
            line = json.loads(text)
            found[json.dumps(line["cell"])] = line
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file}:{number}: expected a json object with 'cell'; remove it to begin anew") from None
    return found


if __name__ == "__main__":
    cli.run(main)
