"""The ellipse of the features of visited positions: bonus "e3b" (Henaff et al. 2022, arXiv 2210.05805)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numba import njit

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.wrappers.statistics.positions import checked_ridge, scale, show_symmetric
from optgap.envs.wrappers.statistics.statistic import F32, F64, Flags, Setting

WIDTH = 0.25  # of the bumps whose kernel the random features approximate, in halves of the bounds


class Ellipse:
    """C^-1 of C = ridge I + sum phi phi^T over the visits, kept by the Sherman-Morrison formula.

    The bonus is phi^T C^-1 phi (equation 3 of E3B). phi is made from the position, its bounds scaled to [-1, 1]: a 1 and
    the position, d = k + 1, or, where ``features`` is positive, d = ``features`` random Fourier features (Rahimi and
    Recht 2007) of a Gaussian kernel, which tell apart what lies further apart than an eighth of the bounds.

    The encoding (d (d + 1) / 2,) is the upper triangle of ridge * C^-1, row by row, in [-1, 1], of each entry x
    sign(x) sqrt(|x|), so that it decays as 1 / sqrt(visits).

    Args:
        ridge: of C.
        features: how many random ones; 0 for a 1 and the position.
    """

    reads: ClassVar[Literal["cell", "position"]] = "position"

    def __init__(self, setting: Setting, ridge: float = 0.1, features: int = 0) -> None:
        if features < 0:
            raise InputError(f"features is {features}; expected at least 0")
        self.bounds, self.episodic, self.ridge = setting.place.bounds(), setting.episodic, checked_ridge(ridge)
        k = self.bounds.shape[1]
        d = features or k + 1
        size = d * (d + 1) // 2
        self.arrays, self.encoding = setting.allocate(size, inverse=((d, d), np.float64))
        self.space = spaces.Box(-1.0, 1.0, (size,))
        rng = np.random.default_rng(0)  # the features of all environments and processes are the same
        self.frequencies = rng.normal(0.0, 1.0 / WIDTH, (features, k))
        self.phases = rng.uniform(0.0, 2.0 * np.pi, features)
        self.arrays["inverse"][:] = np.eye(d) / self.ridge
        self.scratch = (np.zeros((setting.copies, k)), np.zeros((setting.copies, d)), np.zeros((setting.copies, d)))
        self.encode()

    def visit(self, place: F64, fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        """See :class:`optgap.envs.wrappers.statistics.statistic.Statistic`."""
        bad: int = visit(
            place,
            self.bounds,
            fresh,
            terminated,
            truncated,
            self.episodic,
            self.ridge,
            self.frequencies,
            self.phases,
            self.arrays["inverse"],
            self.encoding,
            self.scratch,
            bonus,
        )
        return bad

    def encode(self) -> None:
        """Bring ``encoding`` up to date after ``arrays`` were written to."""
        encode(self.arrays["inverse"], self.ridge, self.encoding)


@njit(cache=True, **INLINED)
def _features(x: F64, frequencies: F64, phases: F64, phi: F64) -> None:
    """Fill ``phi`` (d,) from a scaled position (k,)."""
    d = len(frequencies)
    if d == 0:
        phi[0] = 1.0
        for i in range(len(x)):
            phi[1 + i] = x[i]
    for j in range(d):
        angle = phases[j]
        for i in range(len(x)):
            angle += frequencies[j, i] * x[i]
        phi[j] = np.sqrt(2.0 / d) * np.cos(angle)


@njit(cache=True, **KERNEL)
def _quadratic(inverse: F64, phi: F64, u: F64) -> float:
    """phi^T C^-1 phi, and ``u`` = C^-1 phi."""
    total = 0.0
    for i in range(len(phi)):
        u[i] = 0.0
        for j in range(len(phi)):
            u[i] += inverse[i, j] * phi[j]
        total += phi[i] * u[i]
    return max(total, 0.0)


@njit(cache=True, **KERNEL)
def encode(inverse: F64, ridge: float, encoding: F32) -> None:
    """Fill ``encoding`` (R or 0, n) from ``inverse`` (R, d, d)."""
    for row in range(len(encoding)):
        show_symmetric(inverse[row], ridge, encoding[row])


@njit(cache=True, **KERNEL)
def visit(
    position: F64,
    bounds: F64,
    fresh: Flags,
    terminated: Flags,
    truncated: Flags,
    episodic: bool,
    ridge: float,
    frequencies: F64,
    phases: F64,
    inverse: F64,
    encoding: F32,
    scratch: tuple[Any, Any, Any],
    bonus: F64,
) -> int:
    """See :meth:`optgap.envs.wrappers.statistics.statistic.Statistic.visit`."""
    x, phi, u = scratch
    bad: int = scale(position, bounds, x)
    if bad >= 0:
        return bad
    for b in range(len(position)):  # all copies that share a statistic see it as it was before the step
        _features(x[b], frequencies, phases, phi[b])
        bonus[b] = 0.0 if fresh[b] else _quadratic(inverse[b if episodic else 0], phi[b], u[b])
    for b in range(len(position)):
        C = inverse[b if episodic else 0]
        if episodic and fresh[b]:
            for i in range(len(C)):
                for j in range(len(C)):
                    C[i, j] = 1.0 / ridge if i == j else 0.0
        total = bonus[b]
        if fresh[b] or not episodic:
            total = _quadratic(C, phi[b], u[b])
        for i in range(len(C)):
            for j in range(len(C)):
                C[i, j] -= u[b, i] * u[b, j] / (1.0 + total)
        if episodic and len(encoding) > 0:
            show_symmetric(C, ridge, encoding[b])
        fresh[b] = terminated[b] or truncated[b]
    if not episodic:
        encode(inverse, ridge, encoding)
    return -1
