"""Fit the fin ray's surrogate to the high fidelity, and report how far it is off on actuations it was not fitted to.

    python scripts/fit_fin_ray.py
    python scripts/fit_fin_ray.py folds=5
    python scripts/fit_fin_ray.py generate=true out=runs/anew seed=1
    python scripts/fit_fin_ray.py generate=true ship=true

Without more it fits to the recordings in the package, in about a minute. `generate=true` records them anew in the flow
(some 8 s of a core each, 45 of them), one npz an actuation in out/recordings: the same command goes on where it was
interrupted. Sinusoids, two tones, noise, steps, square waves and bang-bang signals of demanded moments; which ones are held
out is said before anything is recorded, and nothing is fitted to those. `folds=5` cross-validates on the others: models are
chosen by that. `ship=true` puts coefficients and recordings into the package. Errors go to out/errors.json and
out/errors.png.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import cli
from drawing import save_figure
from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError
from optgap.co.formats.files import write_text
from optgap.envs.finray import coefficients
from optgap.envs.finray.coefficients import FluidCoefficients
from ray_actuations import Recording, draw_actuations, joined, load, record, save
from ray_fitting import FIGURES, Series, by_family, errors, fit, moments, series, simulate

SHIPPED = Path(coefficients.__file__).parent / "data" / "recordings.npz"


@dataclass
class FitConfig:
    """What can be said on the command line."""

    generate: bool = False
    seed: int = 0  # of the actuations to generate
    evaluations: int = 900  # simulations of a fit, about, at most
    folds: int = 0  # of the cross-validation; 0: none
    out: str = "runs/fit-fin-ray"
    ship: bool = False


def main(argv: list[str]) -> int:
    config = cli.parse(FitConfig, argv, about=__doc__)
    for name, least in (("seed", 0), ("evaluations", 1), ("folds", 0)):
        if getattr(config, name) < least:
            raise InputError(f"{name}={getattr(config, name)}; expected at least {least}")
    if config.folds == 1:
        raise InputError("folds=1; expected 0, or at least 2: each is fitted to the others")
    shipped = None if config.generate else load(SHIPPED)
    held_out = [one.held_out for one in draw_actuations(config.seed)] if shipped is None else shipped.held_out
    most = int(np.count_nonzero(~np.array(held_out)))
    if config.folds > most:
        raise InputError(f"folds={config.folds}; expected at most {most}, the recordings to fit to")
    console, folder = Console(), cli.folder(config.out)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        recording = shipped or generated(folder / "recordings", config.seed, progress)
        fitted, others = recording.select(~recording.held_out), recording.select(recording.held_out)
        left = cross_validated(fitted, config, progress) if config.folds else None
        found = fit(fitted, config.evaluations, teller(progress, "fit", config.evaluations))
    tables = {"fitted": rated(found, fitted), "held out": rated(found, others)}
    if left is not None:
        tables["cross-validated"] = by_family(left, fitted.family)
    for title, rows in tables.items():
        console.print(_table(title, rows))
    values = {
        "coefficients": dataclasses.asdict(found),
        "errors": tables,
        "figures": FIGURES,
        "provenance": provenance(),
    }
    write_text(folder / "errors.json", json.dumps(values, indent=1) + "\n")
    save_figure(_figure(found, others, tables), folder / "errors.png")
    if config.ship:
        ship(recording, values)
    console.print(Text(f"written  {folder / 'errors.json'}, {folder / 'errors.png'}"))
    return 0


def generated(folder: Path, seed: int, progress: Progress) -> Recording:
    """The recordings of all actuations; those that are in the folder are not made again."""
    cli.folder(str(folder))
    actuations = draw_actuations(seed)
    paths = {actuation.name: folder / f"{actuation.name}.npz" for actuation in actuations}
    missing = [actuation for actuation in actuations if not paths[actuation.name].exists()]
    task = progress.add_task("recordings", total=len(actuations), completed=len(actuations) - len(missing))
    for actuation, recording in zip(missing, record(missing), strict=True):
        save(paths[actuation.name], recording)
        progress.advance(task)
    recordings = [load(path) for path in paths.values()]
    for actuation, recording in zip(actuations, recordings, strict=True):
        if not np.array_equal(recording.demand, actuation.demand[None]):
            raise InputError(f"{paths[actuation.name]}: holds another actuation; remove it to record it anew")
    return joined(recordings)


def cross_validated(recording: Recording, config: FitConfig, progress: Progress) -> Series:
    """Errors (N,) of each actuation by coefficients that were fitted without it; the folds mix the families."""
    fold = np.arange(len(recording.family)) % config.folds
    found: Series = {name: np.zeros(len(fold)) for name in FIGURES}
    for k in range(config.folds):
        tell = teller(progress, f"fold {k + 1}/{config.folds}", config.evaluations)
        best, left = fit(recording.select(fold != k), config.evaluations, tell), recording.select(fold == k)
        for name, values in errors(simulate(best, moments(left)), series(left)).items():
            found[name][fold == k] = values
    return found


def teller(progress: Progress, name: str, evaluations: int) -> Callable[[int, float], None]:
    """Shows how a fit goes."""
    task = progress.add_task(name, total=evaluations)

    def tell(count: int, least: float) -> None:
        progress.update(task, completed=min(count, evaluations), description=f"{name} {least:.4f}")

    return tell


def rated(found: FluidCoefficients, recording: Recording) -> dict[str, dict[str, float]]:
    """Errors by family."""
    return by_family(errors(simulate(found, moments(recording)), series(recording)), recording.family)


def ship(recording: Recording, values: dict[str, Any]) -> None:
    """Put coefficients, errors and recordings into the package."""
    kept = {name: values[name] for name in ("coefficients", "errors", "figures")}
    cli.folder(str(SHIPPED.parent))
    save(SHIPPED, recording)
    write_text(coefficients.SHIPPED, json.dumps(kept, indent=1) + "\n")


def _table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    table = Table(title=f"Relative errors: {title}", title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("family")
    for name in FIGURES:
        table.add_column(name, justify="right")
    for family, row in rows.items():
        table.add_row(family, *(f"{row[name]:.1%}" for name in FIGURES), end_section=family == "all")
    return table


def _figure(found: FluidCoefficients, held_out: Recording, tables: dict[str, dict[str, dict[str, float]]]) -> Any:
    """Errors by family, mean thrusts, and series of held-out actuations, one a family."""
    from matplotlib.figure import Figure

    names = [name for name in tables["held out"] if name != "all"]
    simulated, wanted = simulate(found, moments(held_out)), series(held_out)
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplots(3, 3)
    for panel, name in zip(panels[0], ("mean thrust", "force"), strict=False):
        for k, (title, rows) in enumerate(tables.items()):
            place = np.arange(len(rows)) + 0.27 * (k - 1)
            panel.bar(place, [100 * row[name] for row in rows.values()], width=0.25, label=title)
        panel.set_xticks(range(len(names) + 1), [*names, "all"], rotation=30)
        panel.axhline(15, color="black", lw=0.8)
        panel.set_title(f"error: {name}, %")
        panel.legend()
    means = wanted["thrust"].mean(1), simulated["thrust"].mean(1)
    panels[0, 2].plot(*means, "o")
    panels[0, 2].axline((0, 0), slope=1, color="black", lw=0.8)
    panels[0, 2].set(title="mean thrust, held out", xlabel="high fidelity", ylabel="surrogate")
    for panel, name in zip(panels[1:].flat, names, strict=False):
        first = int(np.flatnonzero(held_out.family == name)[0])
        for label, values, style in (("high fidelity", wanted, "-"), ("surrogate", simulated, "--")):
            panel.plot(values["thrust"][first], style, color="tab:blue", label=f"thrust, {label}")
            panel.plot(values["lateral"][first] / 3, style, color="tab:orange", label=f"lateral / 3, {label}")
        panel.set(title=f"{name}, held out", xlabel="control step")
    panels[1, 0].legend(fontsize="small")
    return figure


if __name__ == "__main__":
    cli.run(main)
