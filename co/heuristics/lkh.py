"""LKH (Helsgaun 2000, 2009) for the TSP and the ATSP through elkai, extra ``lkh``.

LKH's licence allows academic and other non-commercial use alone: that is why it is an extra of its own, and why nothing in
this package needs it.

It computes with integers. Coordinates are passed as such, with their TSPLIB metric, and need no matrix; real distances are
rounded to about a millionth of the largest. It keeps the budget's seconds roughly: it counts processor seconds, and not those
of its preparation, the choice of candidate edges by subgradient ascent. Where these would exceed half of the budget, they are
the nearest in each quadrant instead. Nothing stops a run once begun: Ctrl-C takes effect when LKH returns.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from optgap.co.core import Budget, InputError, MissingExtraError, Result
from optgap.co.exact.progress import Guard, Progress, run_interruptibly
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSPInstance, tour_length

TRIALS = 10  # times the nodes: of one run, which keeps a time limit more closely than LKH's ten runs of one time each
LARGEST_MATRIX = 3_000  # nodes: it is passed as text, some 70 MB
LARGEST_PLANE = 20_000  # nodes
ASCENT = 1e-6  # processor seconds that LKH's choice of candidate edges takes, times N^2
RESOLUTION = 1e6  # what the largest of real numbers is scaled to
INTEGER_LIMIT = 5e6  # LKH counts in 32 bits, in hundredths


def solve(instance: NetworkInstance, budget: Budget) -> Result:
    """The best tour of 10 N trials of LKH, or of what the budget allows of them; never proved optimal.

    The problem is that of the instance's type: :class:`~optgap.co.problems.tsp.ATSPInstance` or symmetric. The solution is
    an (N,) int64 permutation.

    Raises:
        MissingExtraError: elkai is not installed.
        InputError: more than 3,000 nodes with a matrix, or 20,000 with coordinates.
    """
    lkh, n = _lkh(), instance.n_nodes
    limit = LARGEST_PLANE if instance.matrix is None else LARGEST_MATRIX
    if n > limit:
        given = "coordinates" if instance.matrix is None else "a matrix"
        raise InputError(f"instance {instance.name}: {n} nodes; LKH takes up to {limit} given by {given}")
    progress, tours = Progress(integral=False), [np.arange(n)]
    if n == 3:
        tours.append(np.array([0, 2, 1]))
    if n > 3:
        problem, answer = _problem(instance), []
        seconds = max(0.01, budget.seconds - progress.seconds())
        parameters = [
            "RUNS = 1",
            f"MAX_TRIALS = {TRIALS * n}",
            f"SEED = {budget.seed % 2**31}",
            f"TIME_LIMIT = {seconds}",
            *(["CANDIDATE_SET_TYPE = QUADRANT"] if instance.matrix is None and ASCENT * n**2 > 0.5 * seconds else []),
            "PROBLEM_FILE = :stdin:\n",
        ]

        def work() -> None:
            answer.append(lkh.solve_problem("\n".join(parameters), problem))

        run_interruptibly(work, lambda: None, Guard())
        tours = [np.array(answer[0], np.int64) - 1]
    for tour in tours:
        progress.found(tour, tour_length(instance, tour))
    return progress.result()


def _lkh() -> ModuleType:
    try:
        from elkai import _elkai  # its classes pass on neither a time limit nor a seed
    except ImportError:
        raise MissingExtraError("elkai", "lkh") from None
    module: ModuleType = _elkai
    return module


def _problem(instance: NetworkInstance) -> str:
    """The instance as LKH reads it, in the format of TSPLIB."""
    kind = "ATSP" if isinstance(instance, ATSPInstance) else "TSP"
    head = f"TYPE : {kind}\nDIMENSION : {instance.n_nodes}\n"
    if instance.matrix is not None:
        head += "EDGE_WEIGHT_TYPE : EXPLICIT\nEDGE_WEIGHT_FORMAT : FULL_MATRIX\nEDGE_WEIGHT_SECTION\n"
        integral = bool((instance.matrix == np.floor(instance.matrix)).all())
        rows = np.rint(instance.matrix * _scale(instance.matrix, integral)).astype(np.int64).tolist()
        return head + "\n".join(" ".join(map(str, row)) for row in rows) + "\n"
    assert instance.coordinates is not None
    points = instance.coordinates
    if instance.metric != "geo":
        points = points - points.min(0)
        points = points * _scale(points, instance.metric != "euclidean")
    metric = "EUC_2D" if instance.metric == "euclidean" else instance.metric.upper()
    lines = (f"{i} {x!r} {y!r}" for i, (x, y) in enumerate(points.tolist(), 1))
    return head + f"EDGE_WEIGHT_TYPE : {metric}\nNODE_COORD_SECTION\n" + "\n".join(lines) + "\n"


def _scale(values: Any, integral: bool) -> float:
    largest = float(values.max())
    if largest == 0 or (integral and largest <= INTEGER_LIMIT):
        return 1.0
    return RESOLUTION / largest
