"""Gradients made ready for the search of splits: standardised where the score asks for it, and put on a grid."""

from __future__ import annotations

from math import frexp, ldexp
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.gbrl.lanes import KERNEL

GRID_BITS = 24  # of float32: the largest gradient of an output is that many steps of its grid
SMALLEST_EXPONENT = -100  # below this, steps would be no float32


@njit(**KERNEL)
def prepare(gradients: Any, standardise: Any, out: Any, middle: Any, scale: Any) -> Any:
    """Write (g - middle) / scale of the gradients (n, D), rounded to a grid, into the float32 rows ``out`` (n, P).

    An output's grid is 2^-24 of the power of two above its largest entry: float32 holds every step, and float64 every
    sum of up to 2^29 entries, exactly.

    Returns:
        The first row with a gradient that is not finite, else -1; the sum of the squares of what was written.
    """
    (n, D), squares = gradients.shape, 0.0
    for d in range(D):
        middle[d], scale[d] = 0.0, 1.0
        if standardise:
            total = 0.0
            for i in range(n):
                total += np.float64(gradients[i, d])
            middle[d] = total / n
            square = 0.0
            for i in range(n):
                off = np.float64(gradients[i, d]) - middle[d]
                square += off * off
            if square > 0:
                scale[d] = np.sqrt(square / n)
        low, high = np.float64(gradients[0, d]), np.float64(gradients[0, d])
        for i in range(n):
            entry = np.float64(gradients[i, d])
            if not np.isfinite(entry):
                return i, squares
            low, high = min(low, entry), max(high, entry)
        largest = max(high - middle[d], middle[d] - low) / scale[d]
        step = ldexp(1.0, max(frexp(largest)[1], SMALLEST_EXPONENT) - GRID_BITS)
        for i in range(n):
            out[i, d] = np.rint((np.float64(gradients[i, d]) - middle[d]) / scale[d] / step) * step
            squares += np.float64(out[i, d]) * np.float64(out[i, d])
    for d in range(D, out.shape[1]):
        for i in range(n):
            out[i, d] = 0
    return -1, squares


def less_variance(gradients: NDArray[np.float32], control: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gradients (n, D) minus the part that a control variate (n, D) explains.

    Every output loses a (c - mean c) with a = cov(g, c) / var(c), held within -1 to 1, all over the batch: the mean
    stays, and the variance drops by the correlation's square. GBRL's control variate c is the running mean of what the
    row's earlier leaves said of its gradient.
    """
    g, c = gradients.astype(np.float64), control.astype(np.float64)
    c -= c.mean(axis=0)
    variance = (c * c).mean(axis=0)
    covariance = (c * (g - g.mean(axis=0))).mean(axis=0)
    share = np.divide(covariance, variance, out=np.zeros_like(variance), where=variance > 0)
    reduced: NDArray[np.float32] = (g - np.clip(share, -1, 1) * c).astype(np.float32)
    return reduced
