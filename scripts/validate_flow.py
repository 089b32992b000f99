"""The flow solver of the fin ray against published figures: a cylinder, a flapping filament; and refining the grid.

    python scripts/validate_flow.py out=runs/flow
    python scripts/validate_flow.py only=cylinder cylinder=10,16

Cylinder at Re 100 (drag coefficient 1.3 to 1.4, lift amplitude 0.32 to 0.34, Strouhal number 0.16 to 0.17), a domain of
35 x 20 diameters, free stream above and below (a length of 25 takes 12% off the lift). Filament in a uniform flow of Re 200,
mass ratio 1.5, bending stiffness 0.0015, Froude number 0.5, pinned, at 18 degrees at first (Huang, Shin & Sung, J. Comput.
Phys. 226 (2007) 2206: tip amplitude 0.35, Strouhal number 0.30; Lee & Choi, J. Comput. Phys. 280 (2015) 529: 0.38, 0.31), a
domain of 8 x 8 lengths. Fin ray under a sinusoidal base moment, and held by none, on finer and finer grids, at half the
lattice velocity and in a larger domain.

Each case is kept in out/flow.json as soon as it is done and is not run again while its settings and the solver's constants
are the same; out/flow.png draws them. One thread; some 6 minutes for all.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import cli
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import read_text, write_text
from optgap.envs.finray import immersed_boundary, lattice_boltzmann
from optgap.envs.finray.chain import Ray
from optgap.envs.finray.config import FinRayConfig
from optgap.envs.finray.high_fidelity import HighFidelity, HighFidelityConfig
from optgap.envs.finray.immersed_boundary import advance_fixed, circle
from optgap.envs.finray.lattice_boltzmann import Flow, Lattice

F64 = NDArray[np.float64]
Figures = dict[str, Any]
Case = Callable[..., Iterator[float | Figures]]  # yields the share done, and the figures at last


@dataclass
class ValidateConfig:
    """What can be said on the command line."""

    only: str = ""  # cases whose name holds this text
    cylinder: str = "10,16,20"  # cells a diameter
    filament: str = "24,32,48"  # cells a length
    ray: str = "24,32,48,64,96"  # cells a length
    out: str = "runs/flow"


def main(argv: list[str]) -> int:
    config = cli.parse(ValidateConfig, argv, about=__doc__)
    cases = planned(config)
    if not cases:
        raise InputError(f"only={config.only}: no such case; known: cylinder, filament, ray, held")
    console, folder = Console(), cli.folder(config.out)
    path = folder / "flow.json"
    found = kept(path)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        for name, (case, settings) in cases.items():
            asked = settings | constants()
            if found.get(name, {}).get("settings") == asked:
                continue
            bar, began = progress.add_task(name, total=1.0), time.process_time()
            figures: Figures = {}
            for step in case(**settings):
                if isinstance(step, dict):
                    figures = step
                else:
                    progress.update(bar, completed=step)
            seconds = time.process_time() - began
            progress.update(bar, completed=1.0)
            found[name] = {"settings": asked, **figures, "cpu_seconds": seconds}
            write_text(path, json.dumps({"provenance": provenance(), "cases": found}, indent=1) + "\n")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("case")
    table.add_column("figures")
    for name, values in found.items():
        table.add_row(
            name, "  ".join(f"{key} {value:.4g}" for key, value in values.items() if isinstance(value, float))
        )
    console.print(table)
    draw(folder / "flow.png", found)
    console.print(Text(f"written  {path}, {folder / 'flow.png'}"))
    return 0


def planned(config: ValidateConfig) -> dict[str, tuple[Case, dict[str, Any]]]:
    """The cases by name: what runs them, with which settings; the coarse ones first.

    Raises:
        InputError: a grid of them would be unstable; before anything has been run.
    """
    cases: dict[str, tuple[Case, dict[str, Any]]] = {}
    for cells in cli.integers("cylinder", config.cylinder):
        cases[f"cylinder-{cells}"] = (cylinder, {"cells": cells, "length": 35, "velocity": 0.06, "duration": 120.0})
    for cells in cli.integers("filament", config.filament):
        cases[f"filament-{cells}"] = (filament, {"cells": cells, "velocity": 0.04, "duration": 40.0})
    rays = cli.integers("ray", config.ray)
    for name, moment in (("held", 0.0), ("ray", FinRayConfig().max_moment)):  # some of the best strokes
        settings = {"velocity": 0.05, "size": 1.0, "moment": moment, "frequency": 0.75}
        cases |= {f"{name}-{cells}": (fin_ray, {"cells": cells, **settings}) for cells in rays}
        if 48 in rays:
            cases[f"{name}-48-slower"] = (fin_ray, {"cells": 48, **settings, "velocity": 0.025})
            cases[f"{name}-48-wider"] = (fin_ray, {"cells": 48, **settings, "size": 2.0})
    asked = {name: case for name, case in cases.items() if config.only in name}
    for name, (case, settings) in asked.items():
        try:
            GRIDS[case](
                **{key: value for key, value in settings.items() if key in ("cells", "length", "velocity", "size")}
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return asked


def constants() -> dict[str, float]:
    """Those of the solver that results hang on."""
    flow, body = lattice_boltzmann, immersed_boundary
    return {
        "odd_rate": flow.ODD_RATE,
        "outlet_share": flow.OUTLET_SHARE,
        "gain": body.GAIN,
        "kept": body.KEPT,
        "retraction": body.RETRACTION,
    }


def kept(path: Path) -> dict[str, Any]:
    """The cases of an earlier run."""
    if not path.exists():
        return {}
    try:
        found = dict(json.loads(read_text(path))["cases"])
        if not all(isinstance(values["settings"], dict) for values in found.values()):
            raise TypeError
        return found
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected a JSON object with 'cases'; remove it to begin anew") from None


def cylinder(cells: int, length: int, velocity: float, duration: float) -> Iterator[float | Figures]:
    """Flow around a cylinder of ``cells`` diameter at Re 100 for ``duration`` diameters over speed; the last third counts."""
    flow = Flow(cylinder_grid(cells, length, velocity))
    width, height = flow.lattice.width, flow.lattice.height
    x, y = np.arange(1, width + 1) / cells - 10, (np.arange(1, height + 1) - (height + 1) / 2) / cells
    flow.reset(velocity, 0.5 * velocity * np.exp(-((x[None] - 1.5) ** 2) - y[:, None] ** 2))  # sheds soon
    body = circle(flow, (10.0 * cells, (height + 1) / 2), cells)
    total, forces = round(duration * cells / velocity), []
    for done in range(0, total, 1000):
        forces.append(advance_fixed(flow, body, min(1000, total - done)))
        yield done / total
    coefficients = 2 * np.concatenate(forces) / (velocity**2 * cells)
    drag, lift = coefficients[2 * total // 3 :].T
    rises = crossings(lift)
    whole = slice(int(rises[0]), int(rises[-1]))
    frequency = (len(rises) - 1) / (rises[-1] - rises[0])
    yield {
        "drag": float(drag[whole].mean()),
        "lift": float(np.ptp(lift[whole]) / 2),
        "strouhal": float(frequency * cells / velocity),
        "periods": len(rises) - 1,
    }


def filament(cells: int, velocity: float, duration: float) -> Iterator[float | Figures]:
    """The filament of Huang, Shin & Sung (2007), section 4.2; the last half counts. A domain of 8 x 8 lengths."""
    config = filament_grid(cells, velocity)
    simulation = HighFidelity(config)
    simulation.reset(0.1 * math.pi)
    total = round(duration / config.control_step)
    tip, drag = np.zeros(total), np.zeros(total)
    for k in range(total):
        step = simulation.advance(0.0)
        if step.reason:
            raise InputError(f"filament of {cells} cells: {step.reason}")
        tip[k], drag[k] = simulation.nodes()[-1, 1], -step.thrust
        yield k / total
    late = tip[total // 2 :]
    rises = crossings(late)
    yield {
        "amplitude": float(np.ptp(late) / 2),
        "strouhal": float((len(rises) - 1) / (rises[-1] - rises[0]) / config.control_step),
        "drag": float(drag[total // 2 :].mean()),
        "tip": np.round(tip, 4).tolist(),
    }


def fin_ray(cells: int, velocity: float, size: float, moment: float, frequency: float) -> Iterator[float | Figures]:
    """The ray for 8 time units under ``moment`` times a sine of ``frequency``; the last 4 count.

    Args:
        size: of the domain, by the usual one.
    """
    config = fin_ray_grid(cells, velocity, size)
    simulation = HighFidelity(config)
    simulation.reset()
    total, half = 160, 80
    rows, tip = np.zeros((total, 3)), np.zeros(total)
    for k in range(total):
        begin, end = (moment * math.sin(2 * math.pi * frequency * config.control_step * t) for t in (k, k + 1))
        step = simulation.advance(begin, end)
        if step.reason:
            raise InputError(f"fin ray of {cells} cells: {step.reason}")
        rows[k], tip[k] = step[:3], simulation.nodes()[-1, 1]
        yield k / total
    thrust, lateral, power = rows[half:].T
    yield {
        "thrust": float(thrust.mean()),
        "lateral_rms": float(np.sqrt((lateral**2).mean())),
        "power": float(power.mean()),
        "amplitude": float(np.ptp(tip[half:]) / 2),
    }


def cylinder_grid(cells: int, length: int, velocity: float) -> Lattice:
    """That of :func:`cylinder`."""
    return Lattice(length * cells, 20 * cells, velocity, velocity * cells / 100)


def filament_grid(cells: int, velocity: float) -> HighFidelityConfig:
    """That of :func:`filament`."""
    ray = Ray(mass=1.5, stiffness=0.0015, gravity_x=0.5)
    return HighFidelityConfig(cells, 200.0, velocity, upstream=2.0, downstream=6.0, height=8.0, settling=0.0, ray=ray)


def fin_ray_grid(cells: int, velocity: float, size: float) -> HighFidelityConfig:
    """That of :func:`fin_ray`."""
    return HighFidelityConfig(
        cells, 500.0, velocity, upstream=2.0 * size, downstream=4.0 * size, height=4.0 * size, ray=FinRayConfig().ray
    )


GRIDS: dict[Case, Callable[..., Lattice | HighFidelityConfig]] = {
    cylinder: cylinder_grid,
    filament: filament_grid,
    fin_ray: fin_ray_grid,
}


def crossings(signal: F64) -> F64:
    """Where the signal less its mean rises through zero, between samples.

    Raises:
        InputError: fewer than twice.
    """
    signal = signal - signal.mean()
    before = np.flatnonzero((signal[:-1] < 0) & (signal[1:] >= 0))
    if len(before) < 2:
        raise InputError("the flow does not oscillate: fewer than two periods were seen")
    return np.asarray(before - signal[before] / (signal[before + 1] - signal[before]), np.float64)


def draw(path: Path, found: dict[str, Any]) -> None:
    """Figures against the grid, with what was published as bands and lines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for panel, family, key, low, high, label in (
        (panels[0, 0], "cylinder", "drag", 1.3, 1.4, "cylinder: drag coefficient"),
        (panels[0, 1], "cylinder", "strouhal", 0.16, 0.17, "cylinder: Strouhal number"),
        (panels[0, 2], "filament", "amplitude", 0.35, 0.38, "filament: tip amplitude / L"),
        (panels[1, 0], "filament", "strouhal", 0.30, 0.31, "filament: Strouhal number"),
    ):
        panel.axhspan(low, high, color="tab:green", alpha=0.2, label="published")
        panel.plot(*series(found, family, key), "o-", label="measured")
        panel.set_title(label)
        panel.set_xlabel("cells")
        panel.legend()
    for family, name in (("held", "held straight"), ("ray", "sinusoidal moment")):
        cells, thrust = series(found, family, "thrust")
        panels[1, 1].plot([1 / c for c in cells], thrust, "o-", label=name)
    panels[1, 1].set_title("fin ray: thrust")
    panels[1, 1].set_xlabel("1 / cells")
    panels[1, 1].set_xlim(left=0)
    panels[1, 1].legend()
    for name, values in found.items():
        if name.startswith("filament"):
            panels[1, 2].plot(0.05 * np.arange(1, len(values["tip"]) + 1), values["tip"], label=name, lw=0.8)
    panels[1, 2].set_title("filament: tip")
    panels[1, 2].set_xlabel("time")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty legends where only some cases were run
        figure.savefig(path, dpi=110)
    plt.close(figure)


def series(found: dict[str, Any], family: str, key: str) -> tuple[list[int], list[float]]:
    """Cells and the figure, of the cases of a family that differ in the grid alone."""
    pairs = [(name.split("-"), values[key]) for name, values in found.items() if name.startswith(f"{family}-")]
    points = sorted((int(parts[1]), value) for parts, value in pairs if len(parts) == 2)
    return [cells for cells, _ in points], [value for _, value in points]


if __name__ == "__main__":
    cli.run(main)
