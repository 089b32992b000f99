"""Maps of routes and pictures of knapsacks, complete and partial ones, and the same in characters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import PROBLEMS
from optgap.co.problems.cvrp import CVRPInstance, split_routes
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance

NUMBERED = 60  # nodes up to which each carries its number
TITLES = {"tsp": "length", "atsp": "length", "cvrp": "length", "op": "prize", "kp": "value"}


def paths(instance: NetworkInstance, solution: Any) -> list[NDArray[np.int64]]:
    """The lines to draw, (K,) nodes each: one a route, closed where the solution is complete."""
    order = np.asarray(solution, dtype=np.int64)
    if isinstance(instance, CVRPInstance):
        routes = [np.concatenate([[0], route]) for route in split_routes(order)]
        open_end = bool(len(order)) and order[-1] != 0 and len(order[order != 0]) < instance.n_customers
        last = len(routes) - 1 if open_end else len(routes)  # the route under way has not returned
        return [route if k == last else np.append(route, 0) for k, route in enumerate(routes)]
    if not isinstance(instance, OrienteeringInstance) and len(order) == instance.n_nodes:
        order = np.append(order, order[0])
    return [order]


def figure_of(instance: Any, solution: Any) -> tuple[str, float]:
    """(what it is called, how much of it) the solution so far has."""
    problem = problem_of(instance)
    if problem == "kp" or problem == "op":
        return TITLES[problem], PROBLEMS.load(problem).cost(instance, solution)
    return TITLES[problem], sum(instance.length(path) for path in paths(instance, solution))


def problem_of(instance: Any) -> str:
    """The name of the problem of an instance of this folder."""
    kinds = {CVRPInstance: "cvrp", OrienteeringInstance: "op", KnapsackInstance: "kp", ATSPInstance: "atsp"}
    return next((name for kind, name in kinds.items() if isinstance(instance, kind)), "tsp")


def summary(instance: Any, solution: Any) -> str:
    """One line: the name, how far the solution is, and what it costs or is worth."""
    name, amount = figure_of(instance, solution)
    if isinstance(instance, KnapsackInstance):
        chosen = np.asarray(solution, dtype=np.int64)
        size = f"{len(chosen)} of {instance.n_items} items, weight {instance.weight[chosen].sum():.6g}"
        return f"{instance.name}: {size} of {instance.capacity:.6g}, {name} {amount:.6g}"
    lines = paths(instance, solution)
    seen = len(np.unique(np.concatenate(lines))) if lines else 1
    text = f"{instance.name}: {seen} of {instance.n_nodes} nodes"
    if isinstance(instance, CVRPInstance):
        text += f", {len(lines)} routes"
    if isinstance(instance, OrienteeringInstance):
        text += f", length {instance.length(lines[0]):.6g} of {instance.limit:.6g}"
    return f"{text}, {name} {amount:.6g}"


def route(instance: Any, solution: Any, title: str | None = None) -> Any:
    """A matplotlib ``Figure`` of a solution, which may be a partial one.

    A map of the positions for the routing problems: a colour a route, squares for depots and ends, the area of a node its
    demand or prize. Items by weight and value for the knapsack, the chosen ones filled.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title or summary(instance, solution), fontsize=9)
    if isinstance(instance, KnapsackInstance):
        _draw_items(axes, instance, np.asarray(solution, dtype=np.int64))
    else:
        _draw_map(axes, instance, solution)
    return figure


def _draw_items(axes: Any, instance: KnapsackInstance, chosen: NDArray[np.int64]) -> None:
    axes.scatter(instance.weight, instance.value, s=22, facecolors="none", edgecolors="0.5", linewidths=0.8)
    axes.scatter(instance.weight[chosen], instance.value[chosen], s=22, color="tab:blue")
    axes.set(xlabel="weight", ylabel="value")


def _draw_map(axes: Any, instance: NetworkInstance, solution: Any) -> None:
    import matplotlib

    colours = matplotlib.colormaps["tab10"]
    points, n = instance.positions, instance.n_nodes
    lines = paths(instance, solution)
    for k, path in enumerate(lines):
        if isinstance(instance, ATSPInstance):
            steps = points[path[1:]] - points[path[:-1]]
            axes.quiver(
                *points[path[:-1]].T, *steps.T, angles="xy", scale_units="xy", scale=1, width=0.003, color=colours(k)
            )
        else:
            axes.plot(*points[path].T, color=colours(k % 10), linewidth=1.2, zorder=1)
    amount = getattr(instance, "demand", getattr(instance, "prize", np.ones(n)))
    area = (4 + 40 * amount / (amount.max() or 1.0)) * min(1.0, 200 / n)
    seen = np.zeros(n, np.bool_)
    seen[np.concatenate(lines) if lines else []] = True
    axes.scatter(*points.T, s=area, c=np.where(seen, "black", "0.65"), linewidths=0, zorder=2)
    marked = sorted({getattr(instance, "start", 0), getattr(instance, "end", 0)})
    axes.scatter(*points[marked].T, s=60, marker="s", color="tab:red", zorder=3)
    if n <= NUMBERED:
        for j in range(n):
            axes.annotate(str(j), points[j], xytext=(3, 3), textcoords="offset points", fontsize=6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])


def frame(instance: Any, solution: Any) -> NDArray[np.uint8]:
    """The figure as an (H, W, 3) uint8 image, of one size over an episode."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(route(instance, solution))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def route_text(instance: Any, solution: Any, width: int = 80) -> str:
    """The solution in characters, ``width`` wide.

    A map for the routing problems: ``.`` along the routes, ``o`` a visited node, ``+`` one not visited, ``#`` the depot
    or the ends. A bar of the capacity and the chosen items for the knapsack.
    """
    if isinstance(instance, KnapsackInstance):
        chosen = np.asarray(solution, dtype=np.int64)
        share = instance.weight[chosen].sum() / (instance.capacity or 1.0)
        filled = min(width - 2, round(float(share) * (width - 2)))
        items = " ".join(map(str, chosen.tolist()))
        return f"{summary(instance, solution)}\n|{'=' * filled}{' ' * (width - 2 - filled)}|\n{items}"
    points, lines = instance.positions, paths(instance, solution)
    low, extent = points.min(0), float(np.ptp(points, axis=0).max()) or 1.0
    height = max(2, round(width * float(np.ptp(points[:, 1])) / extent / 2))  # a character is twice as high as wide
    across = max(2, round(width * float(np.ptp(points[:, 0])) / extent))
    unit = np.maximum(np.ptp(points, axis=0), extent * 1e-9)
    cell = np.round((points - low) / unit * (across - 1, height - 1)).astype(int)
    cell[:, 1] = height - 1 - cell[:, 1]
    canvas = np.full((height, across), " ")
    for path in lines:
        for a, b in zip(cell[path[:-1]], cell[path[1:]], strict=True):
            steps = int(np.abs(b - a).max()) + 1
            x, y = (np.round(np.linspace(a[axis], b[axis], steps)).astype(int) for axis in (0, 1))
            canvas[y, x] = "."
    seen = np.unique(np.concatenate(lines)) if lines else np.zeros(0, np.int64)
    for nodes, symbol in ((np.arange(instance.n_nodes), "+"), (seen, "o")):
        canvas[cell[nodes, 1], cell[nodes, 0]] = symbol
    ends = [getattr(instance, "start", 0), getattr(instance, "end", 0)]
    canvas[cell[ends, 1], cell[ends, 0]] = "#"
    return "\n".join([summary(instance, solution), *("".join(row).rstrip() for row in canvas)])
