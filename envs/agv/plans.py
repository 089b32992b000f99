"""Drawings of solutions: a path among boxes, and the plan of several vehicles on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from optgap.co.problems.multi_agent_path_finding import MAPFInstance, arrivals
from optgap.co.problems.path_planning import PathPlanningInstance, path_length
from optgap.envs.agv.render import frame

BLOCKED, FREE, PASSED = "#", " ", "."
MOST = (60, 40)  # columns and rows of a hall


def path_figure(instance: PathPlanningInstance, solution: Any) -> Any:
    """A matplotlib ``Figure`` of a path (T + 1, 2): the hall as the environment draws it at the path's end."""
    from matplotlib.figure import Figure

    path = np.asarray(solution, np.float64)
    end = (len(path) - 1) * instance.dt
    moved = path[-1] - path[max(len(path) - 2, 0)]
    places = np.vstack([instance.target_at(end), instance.others_at(end)])
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(frame(instance, path, float(np.arctan2(*moved[::-1])), places, np.zeros((0, 2))))
    axes.set_title(f"{instance.name}: {path_length(path):.6g} m", fontsize=8)
    axes.set_axis_off()
    return figure


def path_text(instance: PathPlanningInstance, solution: Any, width: int = 80) -> str:
    """The hall in characters, at most ``width`` wide: boxes, the path, its start S and the target G."""
    path, (low, high) = np.asarray(solution, np.float64), instance.bounds.reshape(2, 2)
    size = high - low
    scale = min(min(width - 2, MOST[0]) / size[0], 2 * MOST[1] / size[1])  # characters a metre; twice as high as wide
    columns, rows = (max(1, round(side * scale / tall)) for side, tall in zip(size.tolist(), (1, 2), strict=True))
    x = low[0] + (np.arange(columns) + 0.5) * size[0] / columns
    y = high[1] - (np.arange(rows) + 0.5) * size[1] / rows
    picture = np.full((rows, columns), FREE)
    for x0, y0, x1, y1 in instance.boxes:
        picture[np.ix_((y >= y0) & (y <= y1), (x >= x0) & (x <= x1))] = BLOCKED
    pieces = np.linspace(0, 1, 4 * columns)[:, None, None]
    points = (path[:-1] + pieces * np.diff(path, axis=0)).reshape(-1, 2)
    for marks, mark in (
        (points, PASSED),
        (path[:1], "S"),
        (instance.target_at((len(path) - 1) * instance.dt)[None], "G"),
    ):
        column = np.clip((marks[:, 0] - low[0]) / size[0] * columns, 0, columns - 1).astype(int)
        row = np.clip((high[1] - marks[:, 1]) / size[1] * rows, 0, rows - 1).astype(int)
        picture[row, column] = mark
    return _framed(f"{instance.name}: {path_length(path):.6g} m", picture)


def plan_figure(instance: MAPFInstance, solution: Any) -> Any:
    """A matplotlib ``Figure`` of a plan (V, T + 1): lines beside each other, a disc at each start and a square at each goal."""
    from matplotlib.figure import Figure

    paths = np.asarray(solution)
    height, width = instance.blocked.shape
    figure = Figure(figsize=(6, 6 * min(2.0, max(0.5, height / width))), layout="constrained")
    axes = figure.subplots()
    axes.imshow(instance.blocked, cmap="Greys", vmin=0, vmax=2)
    beside = np.linspace(-0.25, 0.25, len(paths)) if len(paths) > 1 else [0.0]
    for v, (path, apart) in enumerate(zip(paths, beside, strict=True)):
        row, column = np.divmod(path, width)
        axes.plot(column + apart, row + apart, color=f"C{v % 10}", linewidth=1)
        axes.plot(column[0] + apart, row[0] + apart, "o", color=f"C{v % 10}", markersize=4)
        axes.plot(column[-1] + apart, row[-1] + apart, "s", color=f"C{v % 10}", markersize=5)
    axes.set_title(_plan_title(instance, paths), fontsize=8)
    axes.set(xticks=[], yticks=[])
    return figure


def plan_text(instance: MAPFInstance, solution: Any, width: int = 80) -> str:
    """The grid in characters: cells passed, starts (a, b, ...), and goals (A, B, ...), which hide them; or its title alone.

    That is where the grid is wider than ``width``.
    """
    paths = np.asarray(solution)
    picture = np.where(instance.blocked, BLOCKED, FREE)
    if picture.shape[1] + 2 > width:
        return _plan_title(instance, paths)
    picture.flat[paths.ravel()] = PASSED
    for first, cells in (("a", instance.starts), ("A", instance.goals)):
        picture.flat[cells] = [chr(ord(first) + v % 26) for v in range(len(cells))]
    return _framed(_plan_title(instance, paths), picture)


def _plan_title(instance: MAPFInstance, paths: Any) -> str:
    times = arrivals(instance, paths)
    return f"{instance.name}: {len(times)} vehicles, {times.sum()} steps, the last arrives at {times.max()}"


def _framed(title: str, picture: Any) -> str:
    edge = "+" + "-" * picture.shape[1] + "+"
    return "\n".join([title, edge, *(f"|{''.join(row)}|" for row in picture.tolist()), edge])
