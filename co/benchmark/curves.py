"""Gap over time: how far a solver is from the reference after t seconds, averaged over its cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optgap.co.benchmark.results import Record, gap_of, references

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def gap_curves(records: Sequence[Record]) -> dict[str, Curve]:
    """Solver -> (seconds, mean gap), a step function: the gap holds until the next time.

    A curve begins when every cell of the solver has a solution and ends with the checked costs, at the longest run.
    Solvers that left a cell without a solution have no curve.
    """
    known = references(records)
    by_solver: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    for record in records:
        history = [(seconds, gap_of(record, cost, known)) for seconds, cost, _ in record.get("incumbents", [])]
        history.append((record.get("wall_seconds", 0.0), gap_of(record, record.get("cost"), known)))
        final = history[-1][1]
        points = [(seconds, gap) for seconds, gap in history if gap is not None] if final is not None else []
        by_solver[record["solver"]].append(points)
    return {solver: _mean_steps(cells) for solver, cells in by_solver.items() if all(cells)}


def _mean_steps(cells: Sequence[Sequence[tuple[float, float]]]) -> Curve:
    first = max(min(seconds for seconds, _ in points) for points in cells)
    last = max(seconds for points in cells for seconds, _ in points)
    times = np.unique([seconds for points in cells for seconds, _ in points if seconds >= first] + [first, last])
    total = np.zeros(len(times))
    for points in cells:
        seconds, gaps = np.array(sorted(points)).T
        best = np.minimum.accumulate(gaps)
        total += best[np.searchsorted(seconds, times, side="right") - 1]
    return times, total / len(cells)
