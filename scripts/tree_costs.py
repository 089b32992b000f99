"""What growth costs: the time of a step against rows, features, bins, depth and outputs, of a prediction against trees."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from optgap.co.formats.files import write_text
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.model import GBTModel
from tree_measures import least_seconds

BASE = {"rows": 8192, "features": 32, "bins": 256, "depth": 4, "outputs": 8}

# the axis, its points, and the slope (of the logarithms) that theory says for large values, with its reason
AXES: tuple[tuple[str, tuple[int, ...], str, str], ...] = (
    ("rows", (2048, 8192, 32768), "1", "histograms: one entry a row, feature and level"),
    ("features", (8, 32, 128), "1", "a histogram a feature"),
    ("bins", (16, 64, 256), "0 to 1", "rows do not care; the search of splits goes through all bins"),
    ("depth", (2, 4, 8), "1 to 2^d", "a level goes through the rows once; its search through 2^d nodes' bins"),
    ("outputs", (8, 16, 32), "1", "a histogram holds a sum an output (in eights)"),
    ("trees", (100, 400, 1600), "1", "prediction goes through all trees"),
)


def cost_of_growth(folder: Path, runs: int, console: Console) -> None:
    """Measure along every axis from ``BASE`` (one thread, bins reused, greedy); print, write cost.json, draw cost.png."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for header in ("against", "CPU ms", "slope", "theory", "because"):
        table.add_column(header)
    found: list[dict[str, Any]] = []
    for axis, points, theory, reason in AXES:
        times = [seconds(axis, point, runs) for point in points]
        slopes = [math.log(b / a) / math.log(q / p) for a, b, p, q in zip(times, times[1:], points, points[1:])]  # noqa: B905
        found.append({"axis": axis, "points": points, "cpu_seconds": times, "slopes": slopes, "theory": theory})
        cells = ", ".join(f"{point:,}: {1000 * time:.2f}" for point, time in zip(points, times, strict=True))
        table.add_row(axis, cells, ", ".join(f"{slope:.2f}" for slope in slopes), theory, reason)
    console.print(table)
    write_text(folder / "cost.json", json.dumps({"base": BASE, "axes": found}, indent=1) + "\n")
    draw(folder / "cost.png", found)
    console.print(Text(f"written  {folder / 'cost.json'}, {folder / 'cost.png'}"))


def seconds(axis: str, value: int, runs: int) -> float:
    """CPU seconds of a step at ``BASE`` with one size changed, or of predicting its rows with so many trees."""
    size = BASE | ({axis: value} if axis in BASE else {})
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size["rows"], size["features"])).astype(np.float32)
    gradients = (x[:, :1] + np.sin(x[:, 1:2]) + rng.normal(size=(len(x), size["outputs"]))).astype(np.float32)
    tree = TreeConfig(max_depth=size["depth"], n_bins=size["bins"])
    model = GBTModel(size["features"], size["outputs"], tree)
    binned = model.bin(x)
    if axis in BASE:
        return least_seconds(lambda: model.step(binned, gradients), runs)[1]
    few = model.bin(x[:512])
    for _ in range(value):
        model.step(few, rng.normal(size=(512, size["outputs"])).astype(np.float32))
    return least_seconds(lambda: model.predict(x), runs)[1]


def draw(path: Path, found: list[dict[str, Any]]) -> None:
    """Measured times on logarithmic axes, each beside a line of slope 1 through its last point."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    for panel, axis in zip(panels.flat, found, strict=True):
        points, times = np.array(axis["points"]), 1000 * np.array(axis["cpu_seconds"])
        panel.loglog(points, times, "o-", label="measured")
        panel.loglog(points, times[-1] * points / points[-1], "--", color="grey", label="slope 1")
        panel.set_xlabel(axis["axis"])
        panel.set_ylabel("CPU ms")
    panels.flat[0].legend()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(path, dpi=110)
    plt.close(figure)
