"""Gantt charts of complete and partial schedules, down-times and blocking drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance

SYMBOLS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def bars(instance: JobShopInstance, start: NDArray[np.int64]) -> list[tuple[int, int, int, int, int]]:
    """(job, machine, start, end of processing, end of hold) of every operation with ``start`` >= 0, time units.

    The end of the hold differs from the end of processing where a job blocks its machine (no buffers).
    """
    blocking = isinstance(instance, BlockingJobShopInstance)
    found = []
    for j in range(instance.n_jobs):
        first, last = int(instance.job_ptr[j]), int(instance.job_ptr[j + 1])
        for o in range(first, last):
            if start[o] < 0:
                break
            begin = int(start[o])
            end = (
                instance.completion(o, begin)
                if isinstance(instance, BlockingJobShopInstance)
                else begin + int(instance.duration[o])
            )
            held = int(start[o + 1]) if blocking and o + 1 < last and start[o + 1] >= 0 else end
            found.append((j, int(instance.machine[o]), begin, end, max(held, end)))
    return found


def gantt(
    instance: JobShopInstance, start: NDArray[np.int64], title: str | None = None, horizon: int | None = None
) -> Any:
    """A matplotlib ``Figure``: a row a machine, a colour a job, hatched while a job blocks, grey while a machine is down.

    Args:
        start: (N,) int64 start times, -1 where not started.
        horizon: right end of the time axis; by default the makespan.
    """
    import matplotlib
    from matplotlib.figure import Figure

    colours = matplotlib.colormaps["tab20"].resampled(max(instance.n_jobs, 1))
    figure = Figure(figsize=(10, 0.45 * instance.n_machines + 1.6), layout="constrained")
    axes = figure.add_subplot()
    drawn = bars(instance, start)
    end = max([b[4] for b in drawn], default=0)
    right = max(horizon or 0, end, 1)
    for job, machine, begin, done, held in drawn:
        axes.barh(machine, done - begin, left=begin, height=0.8, color=colours(job), edgecolor="black", linewidth=0.4)
        if held > done:
            axes.barh(
                machine,
                held - done,
                left=done,
                height=0.8,
                color="white",
                edgecolor=colours(job),
                hatch="////",
                linewidth=0,
            )
        if done - begin > 0.018 * right:
            axes.text((begin + done) / 2, machine, str(job), ha="center", va="center", fontsize=7)
    if isinstance(instance, BlockingJobShopInstance):
        for m in range(instance.n_machines):
            for a, b in zip(*instance.windows(m), strict=True):
                if a < right:
                    axes.barh(m, min(b, right) - a, left=a, height=1.0, color="black", alpha=0.25, linewidth=0)
    axes.set(xlim=(0, right), ylim=(instance.n_machines - 0.4, -0.6), xlabel="time", ylabel="machine")
    axes.set_yticks(range(instance.n_machines))
    axes.set_title(title or f"{instance.name}: makespan {end}")
    return figure


def gantt_frame(instance: JobShopInstance, start: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The chart as an (H, W, 3) uint8 image; the time axis reaches a fixed horizon, so that frames of an episode align."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    done = bool((start >= 0).all())
    horizon = None if done else int(1.5 * instance.lower_bound())
    canvas = FigureCanvasAgg(gantt(instance, start, horizon=horizon))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def gantt_text(instance: JobShopInstance, start: NDArray[np.int64], width: int = 80) -> str:
    """The chart in characters: a line a machine; a job's symbol while processed, ``-`` blocked, ``#`` down, ``.`` idle."""
    drawn = bars(instance, start)
    end = max([b[4] for b in drawn], default=0)
    scale = max(end, 1) / width
    rows = [["."] * width for _ in range(instance.n_machines)]

    def fill(machine: int, begin: float, finish: float, symbol: str) -> None:
        for x in range(int(begin / scale), min(width, max(int(begin / scale) + 1, round(finish / scale)))):
            rows[machine][x] = symbol

    for job, machine, begin, done, held in drawn:
        if done > begin:
            fill(machine, begin, done, SYMBOLS[job % len(SYMBOLS)])
        if held > done:
            fill(machine, done, held, "-")
    if isinstance(instance, BlockingJobShopInstance):
        for m in range(instance.n_machines):
            for a, b in zip(*instance.windows(m), strict=True):
                if a < end:
                    fill(m, a, min(b, end), "#")
    margin = len(str(instance.n_machines - 1))
    lines = [f"{instance.name}: {int((start >= 0).sum())} of {instance.n_operations} operations, makespan {end}"]
    lines += [f"M{m:<{margin}} |{''.join(row)}|" for m, row in enumerate(rows)]
    return "\n".join([*lines, f"{'':{margin + 2}}0{end:>{width}}"])
