"""The best sinusoidal actuation of the fin ray, by grid search: the reference that a learned one is to beat.

    python scripts/sinusoid.py
    python scripts/sinusoid.py objective=thrust out=sinusoids.json
    python scripts/sinusoid.py objective=efficiency env.max_moment=0.5 out=weaker.json confirm=true

Moments A sin(2 pi f t + phase) + bias are demanded, within the same limits of moment and rate that an agent has. All points
of a grid over A, f, phase and bias are played as copies of one batch of the surrogate, from the starts of `seeds`; then
finer grids around the best points, for each objective. What has been played is kept in `out`: the same command goes on where
it was interrupted, and another objective plays only what is new. `confirm=true` replays the best ones in the high fidelity.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import cli
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import read_text, write_text
from optgap.envs.finray.batch import draw_start
from optgap.envs.finray.coefficients import FluidCoefficients
from optgap.envs.finray.config import CONTROL_STEP, FinRayConfig
from optgap.envs.finray.objective import OBJECTIVES, Objective
from optgap.envs.finray.sinusoid import SHIPPED, Sinusoid

Point = tuple[float, float, float, float]  # amplitude and bias by max_moment, frequency, phase: as Sinusoid has them
Played = dict[Point, list[list[float]]]  # W, E, largest distance of the tip from the axis: (starts,) each

NAMES = ("amplitude", "frequency", "phase", "bias")
COPIES = 1024  # episodes at once
TOP = 3  # best points that are refined
GRID_LIMIT = 1_000_000  # points: the surrogate plays some 700 episodes a second


@dataclass
class SinusoidConfig:
    """What can be said on the command line."""

    env: Any = "finray"
    objective: str | None = None  # null: all of them
    amplitudes: int = 10  # points of the grid, up to max_moment
    frequencies: int = 19
    phases: int = 8
    biases: int = 5  # from -max_bias to max_bias
    max_frequency: float = 2.5  # oncoming speed by length of the ray
    max_bias: float = 0.4  # by max_moment
    rounds: int = 6  # of refinement, each at half the distances
    seeds: Any = field(default_factory=lambda: [0, 1])  # of the starts
    out: str = "sinusoids.json"
    confirm: bool = False
    ship: bool = False  # the best ones into the package, for the default environment: its baselines


def main(argv: list[str]) -> int:
    config = cli.parse(SinusoidConfig, argv, groups={"env": _fin_ray}, about=__doc__)
    objectives = OBJECTIVES if config.objective is None else (config.objective,)
    if not set(objectives) <= set(OBJECTIVES):
        raise InputError(f"objective={config.objective}; expected one of {', '.join(OBJECTIVES)}")
    for name in ("amplitudes", "frequencies", "phases", "biases", "rounds"):
        if getattr(config, name) < (name != "rounds"):
            raise InputError(f"{name}={getattr(config, name)}; expected at least {int(name != 'rounds')}")
    if not (0 < config.max_frequency < math.inf and 0 <= config.max_bias <= 1):
        raise InputError(
            f"max_frequency={config.max_frequency} and max_bias={config.max_bias}; expected one above 0, and 0 to 1"
        )
    points = config.amplitudes * config.frequencies * config.phases * config.biases
    if points > GRID_LIMIT:
        raise InputError(
            f"a grid of {points} points; expected at most {GRID_LIMIT}: fewer amplitudes, frequencies, ..."
        )
    seeds = cli.integers("seeds", config.seeds)
    if min(seeds) < 0:
        raise InputError(f"seeds={config.seeds}: expected integers of at least 0")
    env: FinRayConfig = config.env
    if env.fidelity != "surrogate":
        raise InputError(f"env.fidelity={env.fidelity}: expected surrogate, which is searched; confirm=true plays high")
    if config.confirm:
        dataclasses.replace(env, fidelity="high")  # refuses what could not be confirmed
    if config.ship and env != FinRayConfig(objective=env.objective):
        raise InputError(
            "ship=true: the package holds the best ones of the default environment; expected no env.* keys"
        )
    setting = _setting(env, seeds)
    path, console = Path(config.out), Console()
    played, best = _read(path, setting)
    if played:
        console.print(Text(f"resumed  {len(played)} points are in {path}"))

    steps = (1 / config.amplitudes, config.max_frequency / config.frequencies, 2 * math.pi / config.phases)
    spacing = (*steps, 2 * config.max_bias / max(config.biases - 1, 1))
    biases = np.linspace(-config.max_bias, config.max_bias, config.biases) if config.biases > 1 else np.zeros(1)
    grid = itertools.product(
        np.arange(1, config.amplitudes + 1) * steps[0],
        np.arange(1, config.frequencies + 1) * steps[1],
        np.arange(config.phases) * steps[2],
        biases,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} points"))
    try:
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("grid", total=0)
            for chunk in _play(grid, env, seeds, played, progress, task):
                played |= chunk
                _write(path, setting, played, best)
            for objective in objectives:
                value = _value_of(env.objective_of(objective), played)
                for level in range(1, config.rounds + 1):
                    top = sorted(played, key=value, reverse=True)[:TOP]
                    progress.update(task, description=f"{objective} {value(top[0]):.4f}, round {level}/{config.rounds}")
                    near = _around(top, [step / 2**level for step in spacing])
                    for chunk in _play(near, env, seeds, played, progress, task):
                        played |= chunk
                        _write(path, setting, played, best)
                winner = max(played, key=value)
                best[objective] = dict(zip(NAMES, winner, strict=True)) | {"value": value(winner)}
    except KeyboardInterrupt:
        console.print(Text(f"stopped  {len(played)} points are in {path}; the same command goes on"))
        raise
    _write(path, setting, played, best)
    console.print(_table(env, {name: best[name] for name in objectives}, played))
    if config.ship:
        write_text(SHIPPED, json.dumps({"setting": setting, "best": best}, indent=1) + "\n")
    if config.confirm:
        for objective in objectives:
            console.print(Text(_confirmed(env, objective, best[objective], seeds[0])))
    console.print(Text(f"written  {path}"))
    return 0


def _fin_ray(name: str) -> type:
    if name != "finray":
        raise InputError(f"env={name}; expected finray, the one that a sinusoid actuates")
    return FinRayConfig


def _setting(env: FinRayConfig, seeds: Sequence[int]) -> dict[str, Any]:
    """What the results depend on, as json gives it back; not the objective, which is computed from them."""
    left_out = ("objective", "power_limit", "penalty", "epsilon")
    fields = {name: value for name, value in dataclasses.asdict(env).items() if name not in left_out}
    coefficients = dataclasses.asdict(FluidCoefficients.load())
    found: dict[str, Any] = json.loads(json.dumps({"env": fields, "coefficients": coefficients, "seeds": list(seeds)}))
    return found


def _read(path: Path, setting: dict[str, Any]) -> tuple[Played, dict[str, Any]]:
    """What has been played, and the best; best ones are found anew where limits of the objective may have changed."""
    if not path.exists():
        write_text(path, "{}\n")  # whether it can be written is known before the work
        return {}, {}
    try:
        found = json.loads(read_text(path))
        if found == {}:
            found = {"setting": setting, "points": []}
        played: Played = {}
        for point, rows in found["points"]:
            amplitude, frequency, phase, bias = map(float, point)
            if np.array(rows, np.float64).shape != (3, len(setting["seeds"])) and found["setting"] == setting:
                raise ValueError("rows of another shape")
            played[amplitude, frequency, phase, bias] = rows
        best: dict[str, Any] = dict(found.get("best", {}))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise InputError(f"out={path}: is no file of this script; expected another name") from None
    if found["setting"] != setting:
        raise InputError(f"out={path}: holds another environment, coefficients or seeds; expected another name")
    return played, best


def _write(path: Path, setting: dict[str, Any], played: Played, best: dict[str, Any]) -> None:
    points = ",\n".join(json.dumps([point, found]) for point, found in played.items())
    head = json.dumps({"setting": setting, "best": best, "provenance": provenance()}, indent=1)
    write_text(path, f'{head[:-2]},\n "points": [\n{points}\n]}}\n')


def _value_of(objective: Objective, played: Played) -> Callable[[Point], float]:
    """Mean J of a point over the starts."""

    def value(point: Point) -> float:
        thrust_work, effort, _ = np.array(played[point])
        return float(objective.value(thrust_work, effort).mean())

    return value


def _around(points: Sequence[Point], spacing: Sequence[float]) -> Iterator[Point]:
    """Neighbours of the points on a grid of so small distances, within an agent's limits."""
    for point in points:
        for offsets in itertools.product((-1, 0, 1), repeat=4):
            amplitude, frequency, phase, bias = (x + o * s for x, o, s in zip(point, offsets, spacing, strict=True))
            if 0 < amplitude <= 1 and frequency > 0 and abs(bias) <= 1:
                yield amplitude, frequency, phase % (2 * math.pi), bias


def _play(
    points: Iterable[Sequence[float]],
    env: FinRayConfig,
    seeds: Sequence[int],
    played: Played,
    progress: Progress,
    task: TaskID,
) -> Iterator[Played]:
    """Play the points that have not been played, some at a time."""
    rounded = ((float(a), float(f), float(p), float(b)) for a, f, p, b in np.round([*points], 9).tolist())
    todo = [point for point in dict.fromkeys(rounded) if point not in played]
    progress.update(task, completed=0, total=len(todo))
    many = max(COPIES // len(seeds), 1)
    for begin in range(0, len(todo), many):
        chunk = todo[begin : begin + many]
        yield dict(zip(chunk, _rollouts(chunk, env, seeds), strict=True))
        progress.advance(task, len(chunk))


def _rollouts(points: Sequence[Point], env: FinRayConfig, seeds: Sequence[int]) -> list[list[list[float]]]:
    """W, E and largest distance of the tip, from the start of each seed, for each point."""
    copies = len(points) * len(seeds)
    batch = env.batch(copies)
    waves = [Sinusoid(*point, env.steps, CONTROL_STEP) for point in points for _ in seeds]
    actions = np.array([wave.demand(np.arange(env.steps)) for wave in waves])
    for b in range(copies):
        batch.put(b, draw_start(np.random.default_rng(seeds[b % len(seeds)]), batch.bend))
    batch.restart(np.ones(copies, np.bool_))
    for step in range(env.steps):
        batch.step(actions[:, step, None], batch.done.copy())
    distance = np.abs(batch.tips[..., 1]).max(1)
    found = np.stack([batch.thrust_work, batch.effort, distance]).reshape(3, len(points), len(seeds))
    rows: list[list[list[float]]] = found.transpose(1, 0, 2).tolist()
    return rows


def _table(env: FinRayConfig, best: dict[str, dict[str, float]], played: Played) -> Table:
    table = Table(
        title="Best sinusoids: means over the starts", title_justify="left", header_style="bold", box=SIMPLE_HEAD
    )
    table.padding = (0, 1, 0, 0)
    for name in ("objective", "J", "A", "f", "phase", "bias", "thrust", "power", "efficiency", "tip"):
        table.add_column(name, justify="left" if name == "objective" else "right")
    for objective, found in best.items():
        point = (found["amplitude"], found["frequency"], found["phase"], found["bias"])
        thrust_work, effort, distance = np.array(played[point])
        time = env.objective_of(objective).time
        efficiency = env.objective_of("efficiency").value(thrust_work, effort).mean()
        moments = (
            found["amplitude"] * env.max_moment,
            found["frequency"],
            found["phase"],
            found["bias"] * env.max_moment,
        )
        figures = (thrust_work.mean() / time, effort.mean() / time, efficiency, distance.max())
        table.add_row(objective, f"{found['value']:.4f}", *(f"{x:.3f}" for x in (*moments, *figures)))
    return table


def _confirmed(env: FinRayConfig, objective: str, best: dict[str, float], seed: int) -> str:
    """The return of the same actuation in the high fidelity."""
    point = (best["amplitude"], best["frequency"], best["phase"], best["bias"])
    wave = Sinusoid(*point, env.steps, CONTROL_STEP)
    single = dataclasses.replace(env, fidelity="high", objective=objective).make()
    seen, info = single.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        seen, reward, terminated, truncated, info = single.step(wave(seen[None])[0])
        total, over = total + float(reward), terminated or truncated
    end = f"  ended early: {info['reason']}" if info["reason"] else ""
    return f"high     {objective} {total:.4f}  (surrogate {best['value']:.4f}, seed {seed}){end}"


if __name__ == "__main__":
    cli.run(main)
