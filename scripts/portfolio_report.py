"""The picture of a backtest: equity, drawdown, and what each method held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawing import save_figure
from optgap.envs.portfolio.backtest import Backtest, Curve
from optgap.envs.portfolio.metrics import drawdowns
from portfolio_table import split_seed

COLUMNS = 3  # of panels of weights
POINTS = 600  # days that a panel of weights draws at most

F64 = NDArray[np.float64]


def save_report(result: Backtest, title: str, path: Path) -> None:
    """Draw all methods but the bounds, whose wealth would flatten the others; the seeds of a learned one as a band."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    groups: dict[str, list[Curve]] = {}
    for curve in result.curves:
        if curve.method not in result.bounds:
            groups.setdefault(split_seed(curve.method)[0], []).append(curve)
    held = {name: curves for name, curves in groups.items() if curves[0].weights is not None}
    rows = -(-len(held) // COLUMNS)
    figure = Figure(figsize=(11, 7 + 1.8 * rows), layout="constrained")
    grid = figure.add_gridspec(2 + rows, COLUMNS, height_ratios=[3.5, 2.2, *[1.5] * rows])
    equity = figure.add_subplot(grid[0, :])
    fall = figure.add_subplot(grid[1, :], sharex=equity)
    shades = colormaps["tab20"]
    for k, (name, curves) in enumerate(groups.items()):
        wealth = np.stack([curve.wealth for curve in curves])
        style: dict[str, Any] = {"color": shades(k % 20), "label": name, "lw": 1.0}
        if curves[0].weights is None:
            style |= {"color": "black", "ls": "--"}
        if split_seed(curves[0].method)[1] is not None:
            style |= {"lw": 2.0, "label": f"{name} ({len(curves)} seeds)"}
        for axes, values in ((equity, wealth), (fall, -np.stack([drawdowns(row) for row in wealth]))):
            axes.plot(result.dates, np.median(values, axis=0), **style)
            if len(curves) > 1:
                low, high = values.min(0), values.max(0)
                axes.fill_between(result.dates, low, high, color=style["color"], alpha=0.25, lw=0)
    equity.set(yscale="log", ylabel="wealth", title=title)
    equity.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter=NullFormatter())
    equity.legend(fontsize=7, ncols=2, loc="upper left", frameon=False)
    fall.set(ylabel="drawdown")
    for axes in (equity, fall):
        for fold in result.folds[1:]:
            axes.axvline(fold.test_begin, color="0.8", lw=0.8, zorder=0)  # type: ignore[arg-type]
    panels = []
    for k, (name, curves) in enumerate(held.items()):
        panels.append(axes := figure.add_subplot(grid[2 + k // COLUMNS, k % COLUMNS]))
        _stack(axes, result.dates[:-1], np.mean([np.asarray(curve.weights) for curve in curves], axis=0))
        axes.set_title(f"{name}, mean of {len(curves)} seeds" if len(curves) > 1 else name, fontsize=8)
        axes.tick_params(labelsize=6)
    if panels:
        handles = panels[0].collections[: len(result.period.assets)]
        figure.legend(handles, result.period.assets, ncols=10, fontsize=6, loc="outside lower center")
    save_figure(figure, path)


def _stack(axes: Any, dates: Any, weights: F64) -> None:
    """Weights of the assets (T, N + 1) stacked, cash white."""
    from matplotlib import colormaps

    every = -(-len(weights) // POINTS)
    colors = colormaps["tab20"](np.arange(weights.shape[1] - 1) % 20)
    axes.stackplot(dates[::every], weights[::every, :-1].T, colors=colors, lw=0)
    axes.set(ylim=(0, max(1.0, float(weights[:, :-1].sum(1).max()))), xlim=(dates[0], dates[-1]))
