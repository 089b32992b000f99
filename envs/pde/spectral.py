"""Fourier-Galerkin solver of du/dt + u du/dx = L u + f on a periodic line, L diagonal in Fourier space, f constant a step.

Time: the exponential Runge-Kutta scheme of fourth order of Cox & Matthews (2002, J. Comput. Phys. 176, eqs. 26-29), its
coefficients by contour integrals (Kassam & Trefethen 2005, SIAM J. Sci. Comput. 26, section 2). Space: the product u^2 is
taken on the grid; wave numbers k with 3 k >= N, which it would alias onto others, are left out (Orszag's 2/3 rule).

A field u(x_j), x_j = j length / N, is kept as u = sum_k a_k cos(q_k x) + b_k sin(q_k x), q_k = 2 pi k / length, k = 0..K. The
coefficients are a row of 4 P numbers: cosines of even k, sines of even k, cosines of odd k, sines of odd k, each padded with
zeros to P. Even and odd waves are symmetric and antisymmetric over half the line, cosines and sines over a quarter: four
products with matrices of a quarter of the points do the transform, half of a fast transform's additions at 64 points.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import INLINED, KERNEL

F64 = NDArray[np.float64]
# Products may be fused with sums: the same for every copy, and exact about NaN and infinity.
FUSED: dict[str, Any] = {**KERNEL, "fastmath": {"contract"}}
FUSED_INLINED: dict[str, Any] = {**INLINED, "fastmath": {"contract"}}
CONTOUR = 64  # points of a contour integral
SLACK = 1e-3  # of the amplification of a step, relative: rounding, and the error of the scheme


class Scheme(NamedTuple):
    """What does not change: transforms, and a time step's coefficients. M = 4 P, J a quarter of the points (padded)."""

    forward: F64  # (4, J, P) folded grid -> coefficients
    backward: F64  # (4, P, J) coefficients -> folded grid
    wave: F64  # (M,) q, 1 / length unit; 0 where padded
    share: (
        F64  # (M,) of the square of a coefficient in the mean square of the field: 1 for the mean, else 1/2; 0 padded
    )
    whole: F64  # (M,) exp(c), c = dt * L
    half: F64  # (M,) exp(c / 2)
    stage: F64  # (M,) dt (exp(c / 2) - 1) / c
    first: F64  # (M,) this and the following: the weights of the stages, times dt
    middle: F64  # (M,) of the second and of the third stage, each
    last: F64  # (M,)


class Workspace(NamedTuple):
    """Arrays of one field that a time step overwrites."""

    grid: F64  # (N,)
    folded: F64  # (4, J)
    flux: F64  # (M,) coefficients of u^2 / 2
    slopes: F64  # (4, M) of the stages
    stages: F64  # (2, M)
    force: F64  # (M,)


def kept_waves(points: int) -> int:
    """K, the largest wave number that the 2/3 rule keeps on ``points`` grid points."""
    return (points - 1) // 3


def layout(points: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(M,) wave numbers of a row of coefficients, and (M,) which are not padding."""
    half = 4 * ceil((kept_waves(points) // 2 + 1) / 4)
    k = np.stack([2 * np.arange(half) + parity for parity in (0, 0, 1, 1)])
    kept = k <= kept_waves(points)
    kept[1, 0] = False  # sin(0 x)
    return k.reshape(-1), kept.reshape(-1)


def time_step(c: F64, dt: float) -> dict[str, F64]:
    """Coefficients of one step of ``dt`` for the linear rates ``c / dt`` (M,): the last six fields of :class:`Scheme`."""
    around = np.exp(1j * np.pi * (np.arange(CONTOUR) + 0.5) / CONTOUR)  # its mirror image adds the conjugate
    z = c[:, None] + around

    def mean(values: NDArray[np.complex128]) -> F64:
        found: F64 = dt * values.mean(axis=1).real
        return found

    e = np.exp(z)
    return {
        "whole": np.exp(c),
        "half": np.exp(c / 2),
        "stage": mean((np.exp(z / 2) - 1) / z),
        "first": mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
        "middle": mean(2 * (2 + z + e * (-2 + z)) / z**3),
        "last": mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
    }


def make_scheme(length: float, points: int, rate: Callable[[F64], F64], dt: float) -> Scheme:
    """The scheme of ``points`` (even) on a line of ``length`` with linear growth rates ``rate(q)``, for steps of ``dt``."""
    k, kept = layout(points)
    half = len(k) // 4
    quarter = points // 4 + 1
    angle = 2 * np.pi * np.arange(4 * ceil(quarter / 4))[:, None] * k / points  # (J, M)
    angle[quarter:] = 0.0
    waves = np.where(np.arange(len(k)) // half % 2 == 0, np.cos(angle), np.sin(angle)) * kept
    waves[quarter:] = 0.0
    by_kind = waves.reshape(-1, 4, half).transpose(1, 0, 2)  # (4, J, P)
    norm = np.where(k == 0, 1.0, 2.0).reshape(4, 1, half) / points
    q = np.where(kept, 2 * np.pi * k / length, 0.0)
    return Scheme(
        forward=np.ascontiguousarray(by_kind * norm),
        backward=np.ascontiguousarray(by_kind.transpose(0, 2, 1)),
        wave=q,
        share=np.where(kept, np.where(k == 0, 1.0, 0.5), 0.0),
        **time_step(dt * np.where(kept, rate(q), 0.0), dt),
    )


def make_workspace(scheme: Scheme, points: int) -> Workspace:
    """Arrays for :func:`advance`."""
    m = len(scheme.wave)
    return Workspace(
        np.zeros(points),
        np.zeros(scheme.forward.shape[:2]),
        np.zeros(m),
        np.zeros((4, m)),
        np.zeros((2, m)),
        np.zeros(m),
    )


def amplification(
    length: float, points: int, rate: Callable[[F64], F64], dt: float, speed: float
) -> tuple[float, float]:
    """The largest growth in a step of ``dt`` of small waves on a uniform flow of ``speed``, and that of the equation itself.

    A scheme whose growth is larger than the equation's is numerically unstable at this speed.
    """
    q = 2 * np.pi * np.arange(kept_waves(points) + 1, dtype=np.float64) / length
    s = time_step(dt * rate(q), dt)
    slope = -1j * q * speed
    a = s["half"] + s["stage"] * slope
    b = s["half"] + s["stage"] * slope * a
    c = s["half"] * a + s["stage"] * slope * (2 * b - 1)
    growth = s["whole"] + slope * (s["first"] + s["middle"] * (a + b) + s["last"] * c)
    return float(np.abs(growth).max()), float(max(1.0, s["whole"].max()))


@njit(cache=True, **FUSED_INLINED)
def multiply(x: F64, matrix: F64, out: F64) -> None:
    """``out`` (n,) = ``x`` (m,) @ ``matrix`` (m, n); m is a multiple of 4."""
    m, n = matrix.shape
    for j in range(n):
        out[j] = 0.0
    for i in range(0, m, 4):
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(n):
            out[j] += x0 * matrix[i, j] + x1 * matrix[i + 1, j] + (x2 * matrix[i + 2, j] + x3 * matrix[i + 3, j])


@njit(cache=True, **FUSED)
def to_grid(scheme: Scheme, modes: F64, folded: F64, grid: F64) -> None:
    """The field ``grid`` (N,) of coefficients ``modes`` (M,)."""
    half, p = len(grid) // 2, scheme.backward.shape[1]
    for i in range(4):
        multiply(modes[i * p : (i + 1) * p], scheme.backward[i], folded[i])
    even, odd = folded[0, 0], folded[2, 0]
    grid[0], grid[half] = even + odd, even - odd
    for j in range(1, (half + 1) // 2):
        even, odd = folded[0, j] + folded[1, j], folded[2, j] + folded[3, j]
        grid[j], grid[j + half] = even + odd, even - odd
        even, odd = folded[0, j] - folded[1, j], folded[3, j] - folded[2, j]
        grid[half - j], grid[2 * half - j] = even + odd, even - odd
    if half % 2 == 0:
        even, odd = folded[0, half // 2], folded[3, half // 2]
        grid[half // 2], grid[half // 2 + half] = even + odd, even - odd


@njit(cache=True, **FUSED)
def to_modes(scheme: Scheme, grid: F64, folded: F64, modes: F64) -> None:
    """The coefficients ``modes`` (M,) of a field ``grid`` (N,); what the grid holds beyond K is left out."""
    half, p = len(grid) // 2, scheme.backward.shape[1]
    folded[0, 0], folded[1, 0] = grid[0] + grid[half], 0.0
    folded[2, 0], folded[3, 0] = grid[0] - grid[half], 0.0
    for j in range(1, (half + 1) // 2):
        even, odd = grid[j] + grid[j + half], grid[j] - grid[j + half]
        mirrored, opposite = grid[half - j] + grid[2 * half - j], grid[half - j] - grid[2 * half - j]
        folded[0, j], folded[1, j] = even + mirrored, even - mirrored
        folded[2, j], folded[3, j] = odd - opposite, odd + opposite
    if half % 2 == 0:
        j = half // 2
        folded[0, j], folded[1, j] = grid[j] + grid[j + half], 0.0
        folded[2, j], folded[3, j] = 0.0, grid[j] - grid[j + half]
    for i in range(4):
        multiply(folded[i], scheme.forward[i], modes[i * p : (i + 1) * p])


@njit(cache=True, **FUSED_INLINED)
def slope_of(scheme: Scheme, modes: F64, force: F64, work: Workspace, out: F64) -> None:
    """``out`` (M,) = f - (u^2 / 2)_x."""
    to_grid(scheme, modes, work.folded, work.grid)
    for j in range(len(work.grid)):
        work.grid[j] = 0.5 * work.grid[j] * work.grid[j]
    to_modes(scheme, work.grid, work.folded, work.flux)
    p = scheme.backward.shape[1]
    for base in (0, 2 * p):
        for i in range(base, base + p):
            out[i] = force[i] - scheme.wave[i] * work.flux[i + p]
            out[i + p] = force[i + p] + scheme.wave[i + p] * work.flux[i]


@njit(cache=True, **FUSED_INLINED)
def time_stepped(scheme: Scheme, modes: F64, force: F64, work: Workspace) -> None:
    """Advance ``modes`` (M,) by one step under the force ``force`` (M,)."""
    n0, n1, n2, n3 = work.slopes[0], work.slopes[1], work.slopes[2], work.slopes[3]
    a, b = work.stages[0], work.stages[1]
    slope_of(scheme, modes, force, work, n0)
    for i in range(len(modes)):
        a[i] = scheme.half[i] * modes[i] + scheme.stage[i] * n0[i]
    slope_of(scheme, a, force, work, n1)
    for i in range(len(modes)):
        b[i] = scheme.half[i] * modes[i] + scheme.stage[i] * n1[i]
    slope_of(scheme, b, force, work, n2)
    for i in range(len(modes)):
        b[i] = scheme.half[i] * a[i] + scheme.stage[i] * (2.0 * n2[i] - n0[i])
    slope_of(scheme, b, force, work, n3)
    for i in range(len(modes)):
        later = scheme.middle[i] * (n1[i] + n2[i]) + scheme.last[i] * n3[i]
        modes[i] = scheme.whole[i] * modes[i] + (scheme.first[i] * n0[i] + later)


@njit(cache=True, **FUSED_INLINED)
def add_budget(scheme: Scheme, modes: F64, force: F64, weight: float, budget: F64) -> None:
    """Add ``weight`` x the means over the line of u_xx^2, u_x^2 and u f to ``budget`` (3,)."""
    curvature = gradient = power = 0.0
    for i in range(len(modes)):
        q2 = scheme.wave[i] * scheme.wave[i]
        squares = scheme.share[i] * modes[i] * modes[i] * q2
        gradient += squares
        curvature += squares * q2
        power += scheme.share[i] * modes[i] * force[i]
    budget[0] += weight * curvature
    budget[1] += weight * gradient
    budget[2] += weight * power


@njit(cache=True, **FUSED)
def advance(
    scheme: Scheme,
    modes: F64,
    amplitudes: F64,
    shapes: F64,
    skip: NDArray[np.bool_],
    steps: int,
    work: Workspace,
    grid: F64,
    budget: F64,
) -> None:
    """Advance the fields not in ``skip`` (B,) by ``steps`` time steps under constant forces.

    Args:
        modes: (B, M) coefficients, changed.
        amplitudes: (B, A) of the forces ``shapes`` (A, M), coefficients.
        grid: (B, N), is made the fields at the end.
        budget: (B, 3), is made the means over time (trapezoidal rule) and the line of u_xx^2, u_x^2 and u f.
    """
    force = work.force
    for b in range(len(modes)):
        if not skip[b]:
            for i in range(len(force)):
                force[i] = 0.0
            for a in range(len(shapes)):
                for i in range(len(force)):
                    force[i] += amplitudes[b, a] * shapes[a, i]
            for i in range(3):
                budget[b, i] = 0.0
            for step in range(steps):
                add_budget(scheme, modes[b], force, (0.5 if step == 0 else 1.0) / steps, budget[b])
                time_stepped(scheme, modes[b], force, work)
            add_budget(scheme, modes[b], force, 0.5 / steps, budget[b])
            to_grid(scheme, modes[b], work.folded, grid[b])


@njit(cache=True, **FUSED)
def put_fields(scheme: Scheme, which: NDArray[np.bool_], work: Workspace, grid: F64, modes: F64) -> None:
    """Coefficients (B, M) of the fields ``grid`` (B, N) marked in ``which`` (B,); the fields lose what they leave out."""
    for b in range(len(which)):
        if which[b]:
            to_modes(scheme, grid[b], work.folded, modes[b])
            to_grid(scheme, modes[b], work.folded, grid[b])
