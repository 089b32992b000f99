"""Positions in [-1, 1], and symmetric matrices as observations: what the statistics of positions share."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numba import njit

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.wrappers.statistics.statistic import F32, F64

RIDGES = (1e-9, 1e9)  # beyond, what is divided by it is lost in rounding, or overflows


def checked_ridge(ridge: float) -> float:
    """``ridge``, or :class:`InputError`."""
    if not RIDGES[0] <= ridge <= RIDGES[1]:
        raise InputError(f"ridge is {ridge}; expected a number from {RIDGES[0]:g} to {RIDGES[1]:g}")
    return float(ridge)


@njit(cache=True, **KERNEL)
def scale(position: F64, bounds: F64, scaled: F64) -> int:
    """Fill ``scaled`` (B, k): positions (B, k) clipped to ``bounds`` (2, k), which become -1 and 1.

    Returns:
        -1, or a row that is not finite.
    """
    for b in range(len(position)):
        for i in range(position.shape[1]):
            if not np.isfinite(position[b, i]):
                return b
            x = 2.0 * (position[b, i] - bounds[0, i]) / (bounds[1, i] - bounds[0, i]) - 1.0
            scaled[b, i] = min(max(x, -1.0), 1.0)
    return -1


@njit(cache=True, **INLINED)
def rooted(value: float) -> float:
    """The square root, with the sign of ``value``: entries that decay as 1 / n are shown as 1 / sqrt(n)."""
    return sqrt(value) if value >= 0.0 else -sqrt(-value)


@njit(cache=True, **INLINED)
def show_symmetric(matrix: F64, factor: float, shown: F32) -> None:
    """Fill ``shown`` (n (n + 1) / 2,) with the rooted upper triangle of ``factor`` * ``matrix`` (n, n), row by row."""
    at = 0
    for i in range(len(matrix)):
        for j in range(i, len(matrix)):
            shown[at] = rooted(factor * matrix[i, j])
            at += 1
