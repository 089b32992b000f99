"""Euclidean projections on a capacity and on linear constraints: those of environments and of policies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED

EPSILON = float(np.finfo(np.float64).eps)


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


@njit(cache=True, error_model="numpy")
def project_polyhedron(
    points: NDArray[np.float64],
    rows: NDArray[np.float64],
    limits: NDArray[np.float64],
    n_equal: int,
    out: NDArray[np.float64],
    tangent: NDArray[np.float64],
    broken: NDArray[np.int64],
) -> None:
    """Write the points of {rows x <= limits, with "=" in the first n_equal} that are nearest to ``points`` into ``out``.

    The dual active-set method of Goldfarb and Idnani (1983) for the identity as Hessian: it takes the most violated
    row into the active ones, moves along what is orthogonal to these, and drops a row whose multiplier becomes 0.

    Args:
        points: (B, n), finite.
        rows: (m, n), each of Euclidean length 1.
        limits: (B, m).
        n_equal: the first so many rows hold with equality.
        out: (B, n).
        tangent: (B, n, n); becomes the derivative of ``out`` by ``points``: the orthogonal projection on what is
            orthogonal to the active rows.
        broken: (B,); becomes -1, or a row that no point can meet together with others: the set is empty.
    """
    (m, n) = rows.shape
    basis, factor = np.zeros((n, n)), np.zeros((n, n))  # active rows = factor^T basis, basis orthonormal
    along, weights, direction = np.zeros(n), np.zeros(n), np.zeros(n)
    active, multipliers = np.zeros(n, dtype=np.int64), np.zeros(n)
    signs = np.ones(m)
    member = np.zeros(m, dtype=np.bool_)
    for i in range(len(points)):
        x = out[i]
        x[:] = points[i]
        member[:] = False
        signs[:] = 1.0
        k, equal = 0, 0
        broken[i] = -1
        scale = np.abs(x).max()
        dependence = 1e4 * n * EPSILON * (scale + np.abs(limits[i]).sum())
        for _ in range(50 * (m + n)):  # rounding could make it go round in circles
            p, excess = -1, 0.0
            if equal < n_equal:
                p = equal
                equal += 1
                excess = rows[p] @ x - limits[i, p]
                if excess < 0.0:
                    signs[p], excess = -1.0, -excess
            else:
                for row in range(n_equal, m):
                    if not member[row]:
                        over = rows[row] @ x - limits[i, row]
                        if over > excess and over > n * EPSILON * (scale + abs(limits[i, row])):
                            p, excess = row, over
            if p < 0 or broken[i] >= 0:
                break
            added = 0.0  # the multiplier of p
            while True:
                length = _resolve(rows[p], signs[p], basis, factor, k, along, weights, direction)
                step, blocking = np.inf, -1
                for j in range(k):
                    if active[j] >= n_equal and weights[j] > 0.0 and multipliers[j] < step * weights[j]:
                        step, blocking = multipliers[j] / weights[j], j
                free = length > 1e-10 and k < n
                full = max(0.0, excess) / length**2 if free else np.inf
                if not free and excess <= dependence:
                    member[p] = True  # it follows from the active ones
                    break
                if not free and blocking < 0:
                    broken[i] = p
                    break
                step = min(step, full)
                for j in range(k):
                    multipliers[j] -= step * weights[j]
                added += step
                if free:
                    x -= step * direction
                    excess = signs[p] * (rows[p] @ x - limits[i, p])
                if step == full:
                    active[k], multipliers[k] = p, added
                    member[p] = True
                    basis[k] = direction / length
                    factor[:k, k] = along[:k]
                    factor[k, k] = length
                    k += 1
                    break
                member[active[blocking]] = False
                k -= 1
                for j in range(blocking, k):
                    active[j], multipliers[j] = active[j + 1], multipliers[j + 1]
                for j in range(blocking, k):
                    length = _resolve(rows[active[j]], signs[active[j]], basis, factor, j, along, weights, direction)
                    basis[j] = direction / length
                    factor[:j, j] = along[:j]
                    factor[j, j] = length
        for row in range(n):
            for column in range(n):
                tangent[i, row, column] = 1.0 if row == column else 0.0
        for j in range(k):
            for row in range(n):
                for column in range(n):
                    tangent[i, row, column] -= basis[j, row] * basis[j, column]


@njit(cache=True, **INLINED)
def _resolve(
    row: NDArray[np.float64],
    sign: float,
    basis: NDArray[np.float64],
    factor: NDArray[np.float64],
    k: int,
    along: NDArray[np.float64],
    weights: NDArray[np.float64],
    direction: NDArray[np.float64],
) -> float:
    """Split ``sign * row`` into a combination of the k active rows and what is orthogonal to them.

    Fills ``along`` (k,), its coordinates in the basis, ``weights`` (k,), those in the active rows, and ``direction``
    (n,), the rest, whose length is returned. Orthogonalized twice, which is enough (Kahan, in Parlett 1980).
    """
    n = row.size
    for c in range(n):
        direction[c] = sign * row[c]
    along[:k] = 0.0
    for _ in range(2):
        for j in range(k):
            inner = 0.0
            for c in range(n):
                inner += basis[j, c] * direction[c]
            along[j] += inner
            for c in range(n):
                direction[c] -= inner * basis[j, c]
    for j in range(k - 1, -1, -1):
        total = along[j]
        for later in range(j + 1, k):
            total -= factor[j, later] * weights[later]
        weights[j] = total / factor[j, j]
    square = 0.0
    for c in range(n):
        square += direction[c] ** 2
    return np.sqrt(square)  # type: ignore[no-any-return]


class Polyhedron:
    """The set {A x <= b, E x = f} of vectors x (n,), and the projection on it.

    Args:
        A: (m, n).
        b: (m,).
        E: (k, n).
        f: (k,).

    Raises:
        InputError: shapes do not fit, a number is not finite, a row is zero, or the set is empty.
    """

    def __init__(self, A: ArrayLike, b: ArrayLike, E: ArrayLike | None = None, f: ArrayLike | None = None) -> None:
        A = np.atleast_2d(np.asarray(A, dtype=np.float64))
        n = A.shape[1]
        E = np.zeros((0, n)) if E is None else np.atleast_2d(np.asarray(E, dtype=np.float64))
        b, f = np.ravel(np.asarray(b, dtype=np.float64)), np.ravel(np.asarray([] if f is None else f, dtype=np.float64))
        if A.shape != (len(b), n) or E.shape != (len(f), n):
            raise InputError(
                f"linear constraints: A {A.shape}, b {b.shape}, E {E.shape}, f {f.shape}; "
                "expected (m, n), (m,), (k, n), (k,)"
            )
        rows, limits = np.concatenate([E, A]), np.concatenate([f, b])
        lengths = np.linalg.norm(rows, axis=1)
        if not (np.isfinite(lengths).all() and np.isfinite(limits).all() and (lengths > 0).all()):
            raise InputError("linear constraints: a row is zero or a number is not finite")
        self.n, self.n_equal = n, len(f)
        self.rows, self.limits = rows / lengths[:, None], limits / lengths
        self._given = rows, limits
        single = (rows != 0).sum(axis=1) == 1
        single[: self.n_equal] = False
        # Bounds x_i >= low and x_i <= high hold by clipping, so they need no margin.
        self._bounds = [single & (rows.sum(axis=1) == sign) for sign in (-1.0, 1.0)]
        *_, broken = self._solve(np.zeros((1, n)), self.limits[None])
        if broken[0] >= 0:
            kind, number = ("E", broken[0]) if broken[0] < self.n_equal else ("A", broken[0] - self.n_equal)
            raise InputError(f"linear constraints: row {number} of {kind} contradicts others, so no point meets all")

    def contains(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether A x <= b, computed in double precision, and E x = f up to rounding: (B, n) -> (B,)."""
        rows, limits = self._given
        values = points.astype(np.float64)
        excess = values @ rows.T - limits
        close = np.abs(excess[:, : self.n_equal]) <= self._rounding(values, points.dtype)[:, : self.n_equal]
        inside: NDArray[np.bool_] = close.all(axis=1) & (excess[:, self.n_equal :] <= 0.0).all(axis=1)
        return inside

    def project(self, points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The nearest points to (B, n), of the same dtype, and the derivative of each by its point (B, n, n).

        Where a point as stored leaves the set by rounding, the one that is nearest to it in a set smaller by n + 1
        machine epsilons takes its place, unless that set is empty.
        """
        given = points.astype(np.float64)
        solved, tangents, _ = self._solve(given, np.tile(self.limits, (len(given), 1)))
        nearest = solved.astype(points.dtype)
        outside = ~self.contains(nearest)
        if outside.any():
            lengths = np.linalg.norm(self._given[0], axis=1)
            margins = self._rounding(solved[outside], points.dtype) / lengths
            margins[:, : self.n_equal] = 0.0
            margins[:, self._bounds[0] | self._bounds[1]] = 0.0
            moved, _, broken = self._solve(solved[outside], self.limits - margins)
            nearest[outside] = self._clip(np.where((broken < 0)[:, None], moved.astype(points.dtype), nearest[outside]))
        same = self.contains(points)
        nearest[same] = points[same]
        return nearest, tangents

    def _clip(self, points: NDArray[Any]) -> NDArray[Any]:
        """Points (B, n) within the bounds, which are rounded inward to the dtype of the points."""
        rows, limits = self._given
        low, high = np.full(self.n, -np.inf), np.full(self.n, np.inf)
        for bound, side, update in zip((low, high), self._bounds, (np.maximum, np.minimum), strict=True):
            update.at(bound, np.abs(rows[side]).argmax(axis=1), limits[side] * rows[side].sum(axis=1))
        least, most = low.astype(points.dtype), high.astype(points.dtype)
        least = np.where(least < low, np.nextafter(least, np.inf, dtype=points.dtype), least)
        most = np.where(most > high, np.nextafter(most, -np.inf, dtype=points.dtype), most)
        clipped: NDArray[Any] = np.clip(points, least, most)
        return clipped

    def _rounding(self, values: NDArray[np.float64], dtype: Any) -> NDArray[np.float64]:
        """What the rows of these values (B, n) may lose when they are stored and added up as ``dtype``: (B, m)."""
        rows, limits = self._given
        size = np.abs(values).max(axis=1, initial=0.0)[:, None] * np.linalg.norm(rows, axis=1) + np.abs(limits)
        loss: NDArray[np.float64] = (self.n + 1) * (float(np.finfo(dtype).eps) + 4 * EPSILON) * size
        return loss

    def _solve(
        self, points: NDArray[np.float64], limits: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        out, tangents = np.empty_like(points), np.empty((len(points), self.n, self.n))
        broken = np.empty(len(points), dtype=np.int64)
        project_polyhedron(points, self.rows, limits, self.n_equal, out, tangents, broken)
        return out, tangents, broken
