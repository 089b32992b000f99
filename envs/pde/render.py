"""Pictures of a field: over line and time, now, and the actions that pushed it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def field_figure(
    line: Any, fields: NDArray[np.float64], actions: NDArray[np.float64], steps: int, target: NDArray[np.float64] | None
) -> Any:
    """A matplotlib ``Figure`` of the ``fields`` (T + 1, N) of an episode of ``steps`` control steps.

    Args:
        line: a :class:`optgap.envs.pde.field_batch.Line`.
        actions: (T, A), -1..1.
        target: (T + 1,) values the field should have had, None for no target.
    """
    from matplotlib.figure import Figure

    end = steps * line.interval
    figure = Figure(figsize=(8, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    over_time = np.full((steps + 1, line.points), np.nan)
    over_time[: len(fields)] = fields
    if target is None:
        high = max(4.0, float(np.abs(fields).max()))
        low = -high
    else:
        low, high = min(0.0, float(fields.min())), max(0.8, float(fields.max()))
    image = left.imshow(
        over_time,
        aspect="auto",
        origin="lower",
        extent=(0, line.length, 0, end),
        cmap="viridis" if target is not None else "RdBu_r",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    left.set(xlabel="x", ylabel="time")
    figure.colorbar(image, ax=left, orientation="horizontal", label="u")
    right.plot(line.x, fields[-1], label="u")
    if target is not None:
        right.axhline(target[-1], color="black", linestyle="--", label="target")
    right.set(xlabel="x", xlim=(0, line.length), ylim=(low, high))
    now = actions[-1] if len(actions) else np.zeros(len(line.centres))
    pushes = right.twinx()
    pushes.bar(np.array(line.centres) * line.length, now, 0.05 * line.length, alpha=0.3, color="tab:red")
    pushes.set(ylabel="action", ylim=(-1.5, 1.5))
    right.legend(loc="upper right", fontsize=8)
    right.set_title(f"time {(len(fields) - 1) * line.interval:g} of {end:g}", fontsize=9)
    return figure


def frame(
    line: Any, fields: NDArray[np.float64], actions: NDArray[np.float64], steps: int, target: NDArray[np.float64] | None
) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 image, of one size over an episode."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(field_figure(line, fields, actions, steps, target))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
