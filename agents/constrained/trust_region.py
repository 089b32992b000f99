"""The step of constrained policy optimization: natural gradients within a trust region and linear constraints."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.co.dynamics.projection import project_polyhedron

F64 = NDArray[np.float64]


def conjugate_gradients(product: Callable[[Tensor], Tensor], vector: Tensor, iterations: int) -> Tensor:
    """About the x with H x = ``vector`` (P,), where ``product(x)`` is H x, H being symmetric and positive definite."""
    solution = torch.zeros_like(vector)
    residual, direction = vector.clone(), vector.clone()
    square = residual @ residual
    for _ in range(iterations):
        if float(square) < 1e-20:
            break
        image = product(direction)
        step = square / (direction @ image)
        solution += step * direction
        residual -= step * image
        last, square = square, residual @ residual
        direction = residual + square / last * direction
    return solution


class Step(NamedTuple):
    """A step as the sum of natural gradients times ``weights``."""

    weights: F64  # (1 + m,) of H^-1 g, H^-1 b_1, ..., H^-1 b_m
    multipliers: F64  # (m,) of the constraints, per unit of the objective
    feasible: bool  # whether it keeps all constraints, as linearized; if not, it is a recovery


def trust_region_step(gram: F64, slack: F64, radius: float) -> Step:
    """Equation 10 of Achiam et al. 2017: maximize g x, subject to b_i x <= slack_i and x H x <= radius^2.

    The optimum is a combination of the natural gradients, so that the problem has 1 + m variables u, in coordinates
    where H is the identity: maximize l_0 u, subject to l_i u <= slack_i and |u| <= radius. For a multiplier lambda of the
    last constraint, u is the projection of l_0 / lambda on the others, a quadratic program; |u| falls with lambda, which
    bisection finds.

    Where no x keeps all constraints, the step goes the full radius to the nearest point that does (equation 14, for any
    number of constraints); if no point does, against the violated constraints' gradients.

    Args:
        gram: (1 + m, 1 + m), products a_i H^-1 a_j of a = g, b_1, ..., b_m.
        slack: (m,).
        radius: above 0.
    """
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    kept = values > 1e-8 * max(values[-1], 0.0)
    if not kept.any():  # no gradient at all
        return Step(np.zeros(len(gram)), np.zeros(len(slack)), bool((slack >= 0).all()))
    roots = np.sqrt(values[kept])
    coordinates = vectors[:, kept] * roots  # row i: l_i
    objective, constraints = coordinates[0], coordinates[1:]
    lengths = np.linalg.norm(constraints, axis=1)
    moved = lengths > 1e-6 * np.linalg.norm(coordinates)  # the others do not depend on the step
    rows = np.ascontiguousarray(constraints[moved] / lengths[moved, None])
    limits = slack[moved] / lengths[moved]

    def project(point: F64) -> F64 | None:
        out, broken = np.empty((1, len(point))), np.empty(1, dtype=np.int64)
        tangent = np.empty((1, len(point), len(point)))
        project_polyhedron(point[None], rows, limits[None], 0, out, tangent, broken)
        return out[0] if broken[0] < 0 else None

    nearest = project(np.zeros(len(roots)))
    pull = np.zeros_like(objective)
    size = float(np.linalg.norm(objective))
    if nearest is None or np.linalg.norm(nearest) >= radius:
        feasible = False
        toward = np.minimum(limits, 0.0) @ rows if nearest is None else nearest
        step = toward * radius / max(float(np.linalg.norm(toward)), 1e-300)
    else:
        feasible, step = True, nearest
        low, high = -6.0, 6.0  # log10 of lambda, in units of what it is without constraints
        for _ in range(50 if size > 0.0 else 0):
            middle = (low + high) / 2
            inverse = radius / size / 10**middle
            tried = project(objective * inverse)
            if tried is None or np.linalg.norm(tried) > radius:
                low = middle
            else:
                high, step = middle, tried
                pull = objective - tried / inverse  # sum of multiplier_i l_i
    multipliers = np.zeros(len(slack))
    if pull.any():
        active = np.flatnonzero(moved)[rows @ step >= limits - 1e-9 * radius]
        if active.size:
            multipliers[active] = np.linalg.lstsq(constraints[active].T, pull, rcond=None)[0]
    return Step(vectors[:, kept] @ (step / roots), multipliers, feasible)
