"""Drawings for the report as SVG text: gap curves, Gantt charts, maps of routes. Colours follow the page's scheme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.benchmark.curves import Curve
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from tables import label

COLOURS = ("#3b7dd8", "#e08a1e", "#2a9d74", "#c4578f", "#8a63d2", "#b0812b", "#4fa8c9", "#d1495b")
DOTS = 3000  # nodes up to which a map shows each
DASHES = ("", "7 4", "2 3", "10 3 2 3")  # the colours return with the next of these


def line_style(index: int) -> tuple[str, str]:
    """(colour, dash pattern) of the curve ``index``."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def gap_chart(curves: Mapping[str, Curve], styles: Mapping[str, int], width: int = 920, height: int = 400) -> str:
    """Mean gap over time, a step function a solver; a dot where its last run ended. Seconds on a logarithmic axis.

    Args:
        styles: solver -> index of its line style.
    """
    if not curves:
        return ""
    left, right, top, bottom = 56, 16, 12, 44
    first = min(float(seconds[0]) for seconds, _ in curves.values())
    last = max(float(seconds[-1]) for seconds, _ in curves.values())
    low = math.floor(math.log10(max(first, 1e-4)))
    high = max(math.ceil(math.log10(max(last, 1e-4))), low + 1)
    most = max(max(float(gaps.max()) for _, gaps in curves.values()), 0.01) * 1.05

    def x(seconds: float) -> float:
        share = (math.log10(max(seconds, 10**low)) - low) / (high - low)
        return left + share * (width - left - right)

    def y(gap: float) -> float:
        return top + (1 - max(gap, 0.0) / most) * (height - top - bottom)

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="Mean gap over time">']
    for gap in _ticks(most):
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(gap):.1f}" y2="{y(gap):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y(gap) + 4:.1f}" text-anchor="end">{100 * gap:.3g}%</text>'
        )
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - bottom}"/>')
        mark = f"{10.0**power:g} s" if power >= 0 else f"{10.0 ** (power + 3):g} ms"
        parts.append(f'<text class="tick" x="{at:.1f}" y="{height - bottom + 18}" text-anchor="middle">{mark}</text>')
    parts.append(
        f'<text class="axis" x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">time</text>'
    )
    middle = (top + height - bottom) / 2
    parts.append(
        f'<text class="axis" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">mean gap</text>'
    )
    for solver, (seconds, gaps) in curves.items():
        colour, dash = line_style(styles[solver])
        points = [f"M{x(float(seconds[0])):.1f} {y(float(gaps[0])):.1f}"]
        for time, gap in zip(seconds[1:].tolist(), gaps[1:].tolist(), strict=True):
            points.append(f"H{x(time):.1f}V{y(gap):.1f}")
        points.append(f"H{width - right}")
        title = f"<title>{escape(label(solver))}: {100 * gaps[-1]:.2f}% after {seconds[-1]:.3g} s</title>"
        end = f'cx="{x(float(seconds[-1])):.1f}" cy="{y(float(gaps[-1])):.1f}"'
        parts.append(
            f'<g class="curve" data-solver="{escape(solver)}" stroke="{colour}" fill="{colour}">{title}'
            f'<path d="{"".join(points)}" fill="none" stroke-dasharray="{dash}"/><circle {end} r="3.5"/></g>'
        )
    return "".join([*parts, "</svg>"])


def gantt(instance: JobShopInstance, start: NDArray[np.int64], width: int = 920) -> str:
    """A row a machine, a colour a job; hatched while a job blocks its machine, grey while the machine is down."""
    from optgap.envs.scheduling.render import bars

    left, top, bottom = 40, 4, 24
    row = 22 if instance.n_machines <= 12 else 14
    height = top + bottom + row * instance.n_machines
    drawn = bars(instance, start)
    horizon = max(max(bar[4] for bar in drawn), 1)
    scale = (width - left - 8) / horizon
    parts = [f'<svg class="gantt" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(instance.name)}">']
    for machine in range(instance.n_machines):
        y = top + machine * row
        parts.append(f'<rect class="lane" x="{left}" y="{y + 1}" width="{horizon * scale:.1f}" height="{row - 2}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + row / 2 + 4}" text-anchor="end">M{machine}</text>')
    for job, machine, begin, done, held in drawn:
        y, at, length = top + machine * row + 2, left + begin * scale, (done - begin) * scale
        colour = f"hsl({job * 137.508 % 360:.0f} 52% 62%)"
        tip = f"<title>job {job}, machine {machine}: {begin} to {done}</title>"
        if held > done:
            blocked = f'x="{left + done * scale:.1f}" y="{y + row / 4:.1f}" width="{(held - done) * scale:.1f}"'
            parts.append(f'<rect class="held" {blocked} height="{row / 2 - 4:.1f}" fill="{colour}"/>')
        if length <= 0:
            continue
        parts.append(f'<rect x="{at:.1f}" y="{y}" width="{length:.1f}" height="{row - 4}" fill="{colour}">{tip}</rect>')
        if length > 7 * len(str(job)) + 4 and row > 16:
            middle = f'x="{at + length / 2:.1f}" y="{y + row / 2 + 2:.1f}"'
            parts.append(f'<text class="job" {middle} text-anchor="middle">{job}</text>')
    if isinstance(instance, BlockingJobShopInstance):
        for machine in range(instance.n_machines):
            for begin, end in zip(*instance.windows(machine), strict=True):
                if begin < horizon:
                    span = f'x="{left + begin * scale:.1f}" width="{(min(end, horizon) - begin) * scale:.1f}"'
                    parts.append(f'<rect class="down" {span} y="{top + machine * row}" height="{row}"/>')
    for tick in _ticks(horizon):
        at = left + tick * scale
        parts.append(f'<text class="tick" x="{at:.1f}" y="{height - 8}" text-anchor="middle">{tick:g}</text>')
    return "".join([*parts, "</svg>"])


def route_map(instance: Any, solution: NDArray[np.int64], width: int = 560) -> str:
    """A line a route, the nodes as dots (up to a few thousand), start and end as squares."""
    from optgap.envs.routing.render import paths

    margin, points = 8, instance.positions
    low, extent = points.min(0), float(np.ptp(points, axis=0).max()) or 1.0
    at = margin + (points - low) / extent * (width - 2 * margin)
    height = float(at[:, 1].max()) + margin
    at[:, 1] = height - at[:, 1]
    parts = [f'<svg viewBox="0 0 {width} {height:.0f}" style="max-width:{width}px" role="img"']
    parts.append(f' aria-label="{escape(instance.name)}">')
    for index, path in enumerate(paths(instance, solution)):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at[path].tolist())
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[index % len(COLOURS)]}"/>')
    for x, y in at.tolist() if len(at) <= DOTS else []:
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.6" fill="currentColor"/>')
    for node in {getattr(instance, "start", 0), getattr(instance, "end", 0)}:
        x, y = at[node].tolist()
        parts.append(f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="currentColor"/>')
    return "".join([*parts, "</svg>"])


# problem -> (instance, solution) -> SVG
SOLUTIONS: dict[str, Any] = {
    **dict.fromkeys(("job-shop", "blocking-job-shop"), gantt),
    **dict.fromkeys(("tsp", "cvrp", "op"), route_map),
}


def _ticks(most: float, count: int = 6) -> Sequence[float]:
    """Round numbers from 0 up to ``most``."""
    raw = most / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [index * step for index in range(int(most / step + 1e-9) + 1)]
