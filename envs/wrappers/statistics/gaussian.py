"""The Gaussian fitted to the visited positions: bonus "smax" (the state entropy of SOFE, arXiv 2310.18144, section 4.2)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.envs.wrappers.statistics.positions import checked_ridge, scale, show_symmetric
from optgap.envs.wrappers.statistics.statistic import F32, F64, Flags, Setting


class Gaussian:
    """Number n, mean and scatter S (sum of (x - mean) (x - mean)^T) of the visited positions, their bounds scaled to [-1, 1].

    The bonus is -log p(x) under the Gaussian of that mean and of covariance (S + ridge I) / n, which has a density from
    the first visit on. It may be negative where visits crowd.

    The encoding (1 + k + k (k + 1) / 2,) is 1 / sqrt(n), the mean, and the upper triangle of the covariance divided by
    1 + ridge, of each entry x sign(x) sqrt(|x|) (so standard deviations on the diagonal); all in [-1, 1]. n is part of it
    because the next visit moves the fit by 1 / n.

    Args:
        ridge: see above.
    """

    reads: ClassVar[Literal["cell", "position"]] = "position"

    def __init__(self, setting: Setting, ridge: float = 0.1) -> None:
        self.bounds, self.episodic, self.ridge = setting.place.bounds(), setting.episodic, checked_ridge(ridge)
        k = self.bounds.shape[1]
        size = 1 + k + k * (k + 1) // 2
        self.arrays, self.encoding = setting.allocate(
            size, n=((), np.int64), mean=((k,), np.float64), scatter=((k, k), np.float64)
        )
        self.space = spaces.Box(-1.0, 1.0, (size,))
        self.scratch = (np.zeros((setting.copies, k)), np.zeros((k, k)), np.zeros(k))
        self.encode()

    def visit(self, place: F64, fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        """See :class:`optgap.envs.wrappers.statistics.statistic.Statistic`."""
        n, mean, scatter = self.arrays["n"], self.arrays["mean"], self.arrays["scatter"]
        bad: int = visit(
            place,
            self.bounds,
            fresh,
            terminated,
            truncated,
            self.episodic,
            self.ridge,
            n,
            mean,
            scatter,
            self.encoding,
            self.scratch,
            bonus,
        )
        return bad

    def encode(self) -> None:
        """Bring ``encoding`` up to date after ``arrays`` were written to."""
        for row in range(len(self.encoding)):
            encode(
                self.arrays["n"],
                self.arrays["mean"],
                self.arrays["scatter"],
                self.ridge,
                self.encoding,
                row,
                self.scratch,
            )


@njit(cache=True, **KERNEL)
def encode(n: NDArray[np.int64], mean: F64, scatter: F64, ridge: float, encoding: F32, row: int, scratch: Any) -> None:
    """Fill ``encoding`` (R, 1 + k + k (k + 1) / 2) of statistic ``row``; before the first visit as after one of the middle."""
    k, covariance, count = mean.shape[1], scratch[1], max(n[row], 1)
    encoding[row, 0] = 1.0 / np.sqrt(count)
    for i in range(k):
        encoding[row, 1 + i] = mean[row, i]
        for j in range(k):
            covariance[i, j] = (scatter[row, i, j] + (ridge if i == j else 0.0)) / count
    show_symmetric(covariance, 1.0 / (1.0 + ridge), encoding[row, 1 + k :])


@njit(cache=True, **KERNEL)
def surprise(x: F64, n: int, mean: F64, scatter: F64, ridge: float, L: F64, z: F64) -> float:
    """-log p(x) of a position (k,); ``L`` (k, k) and ``z`` (k,) are overwritten: Cholesky factor, L^-1 (x - mean)."""
    k, total = len(x), 0.0
    for i in range(k):
        for j in range(i + 1):
            entry = (scatter[i, j] + (ridge if i == j else 0.0)) / n
            for h in range(j):
                entry -= L[i, h] * L[j, h]
            L[i, j] = np.sqrt(entry) if i == j else entry / L[j, j]
        z[i] = x[i] - mean[i]
        for h in range(i):
            z[i] -= L[i, h] * z[h]
        z[i] /= L[i, i]
        total += 0.5 * z[i] * z[i] + np.log(L[i, i]) + 0.5 * np.log(2.0 * np.pi)
    return total


@njit(cache=True, **KERNEL)
def visit(
    position: F64,
    bounds: F64,
    fresh: Flags,
    terminated: Flags,
    truncated: Flags,
    episodic: bool,
    ridge: float,
    n: NDArray[np.int64],
    mean: F64,
    scatter: F64,
    encoding: F32,
    scratch: tuple[Any, Any, Any],
    bonus: F64,
) -> int:
    """See :meth:`optgap.envs.wrappers.statistics.statistic.Statistic.visit`."""
    x, L, z = scratch
    bad: int = scale(position, bounds, x)
    if bad >= 0:
        return bad
    for b in range(len(position)):  # all copies that share a statistic see it as it was before the step
        row = b if episodic else 0
        bonus[b] = 0.0 if fresh[b] else surprise(x[b], n[row], mean[row], scatter[row], ridge, L, z)
    for b in range(len(position)):
        row = b if episodic else 0
        if episodic and fresh[b]:
            n[row] = 0
            mean[row] = 0.0
            scatter[row] = 0.0
        n[row] += 1
        for i in range(x.shape[1]):
            z[i] = x[b, i] - mean[row, i]
            mean[row, i] += z[i] / n[row]
        for i in range(x.shape[1]):  # Welford 1962
            for j in range(x.shape[1]):
                scatter[row, i, j] += z[i] * z[j] * (n[row] - 1) / n[row]
        if episodic and len(encoding) > 0:
            encode(n, mean, scatter, ridge, encoding, row, scratch)
        fresh[b] = terminated[b] or truncated[b]
    if not episodic and len(encoding) > 0:
        encode(n, mean, scatter, ridge, encoding, 0, scratch)
    return -1
