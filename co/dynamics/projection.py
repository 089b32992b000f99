"""Euclidean projection on a capacity: the one definition that environments and policies share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import INLINED


@njit(cache=True, **INLINED)
def project_capped_simplex(point: NDArray[Any], capacity: float, out: NDArray[Any]) -> None:
    """Write the point of {x >= 0, sum x <= capacity} that is nearest to ``point`` (n,) into ``out`` (n,).

    ``point`` is finite, float32 or float64, ``capacity`` at least 0; ``out``, float32 or float64, may be ``point``.
    A point of the set (its entries, as ``out`` stores them, added up in double precision) is copied as it is. Any
    other sum stays n + 1 machine epsilons of ``out`` below the capacity, so that it holds in whatever order ``out`` is
    added up, also in single precision.

    The threshold tau of x = max(point - tau, 0) is found by Michelot's method (1986), without sorting: in at most n
    passes, in two or three as a rule.
    """
    n = point.size
    total, top = 0.0, 0.0
    for i in range(n):
        out[i] = max(point[i], 0.0)
        total += out[i]
        top = max(top, float(point[i]))
    if total <= capacity:
        return

    target = capacity * (1.0 - (n + 1) * np.finfo(out.dtype).eps)
    tau, kept = -target, n + 1  # of the entries less the largest one, which keeps large entries exact
    while True:
        above, count = 0.0, 0
        for i in range(n):
            below_top = point[i] - top
            if below_top > tau:
                above += below_top
                count += 1
        if count == kept or count == 0:
            break
        tau, kept = (above - target) / count, count

    total = 0.0
    for i in range(n):
        out[i] = max(point[i] - top - tau, 0.0)
        total += out[i]
    if total > target:  # by rounding
        for i in range(n):
            out[i] *= target / total
