"""Differentiable Euclidean projections: the layers that keep an action within instantaneous constraints.

All take points (B, n), float32 or float64, and return the nearest points of a convex set, in the same dtype. Their
derivatives are exact: a projection on a polyhedron is piecewise linear, its derivative the orthogonal projection on
what is orthogonal to the active constraints; where two pieces meet, it is that of one of them. A point of the set is
returned as it is. Every other keeps inequalities as numbers, not up to a tolerance: it is moved inward by what storing
and adding up its entries may lose.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from optgap.co.core import InputError
from optgap.co.dynamics.projection import Polyhedron
from optgap.envs.constrained_box import Capacity, ConstrainedBox


def project_simplex(points: Tensor, capacity: float = 1.0) -> Tensor:
    """Projection on {x >= 0, sum x = capacity}; the sum holds up to rounding."""
    return BoxCapacity(0.0, torch.inf, capacity, exact=True)(points)  # type: ignore[no-any-return]


def project_capped_simplex(points: Tensor, capacity: float = 1.0) -> Tensor:
    """Projection on {x >= 0, sum x <= capacity}, that of :mod:`optgap.co.dynamics.projection`."""
    return BoxCapacity(0.0, torch.inf, capacity)(points)  # type: ignore[no-any-return]


class Bounds(nn.Module):
    """Projection on {low <= x <= high}; bounds are numbers or (n,)."""

    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.float64))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.float64))
        if not bool((self.low <= self.high).all()):
            raise InputError(f"bounds: low {low} exceeds high {high}")

    def forward(self, points: Tensor) -> Tensor:
        return points.clamp(self.low.to(points.dtype), self.high.to(points.dtype))


class BoxCapacity(nn.Module):
    """Projection on {low <= x <= high, sum x <= capacity}, or with sum x = capacity if ``exact``.

    x = clip(y - tau, low, high) for a threshold tau (Held, Wolfe and Crowder 1974) that lies between two neighbours
    among the 2 n numbers at which an entry meets a bound. Bisection over their sorted list finds the two; between them
    the sum is linear in tau. Computed in double precision.

    Args:
        low: finite; a number or (n,).
        high: a number or (n,); infinity where there is no bound.
        capacity: bound of the sum.
        exact: the sum equals the capacity, up to rounding.

    Raises:
        InputError: the set is empty or not described.
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, capacity: float, exact: bool = False) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.float64))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.float64))
        if not (np.isfinite(capacity) and bool(torch.isfinite(self.low).all() & (self.low <= self.high).all())):
            raise InputError("projection on a capacity: expected finite lower bounds and capacity, and low <= high")
        self.capacity, self.exact = float(capacity), exact

    def forward(self, points: Tensor) -> Tensor:
        n = points.shape[-1]
        low, high = self.low.expand(n), self.high.expand(n)
        least, most = float(low.sum()), float(high.sum())
        if least > self.capacity or (self.exact and most < self.capacity):
            raise InputError(
                f"projection on a capacity: sums of entries within the bounds are {least:g} to {most:g}; "
                f"expected the capacity {self.capacity:g} among them"
            )
        return _BoxCapacity.apply(points, low, high, self.capacity, self.exact)  # type: ignore[no-any-return]


class _BoxCapacity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, low: Tensor, high: Tensor, capacity: float, exact: bool) -> Tensor:
        n, eps = points.shape[1], torch.finfo(points.dtype).eps
        low_stored, high_stored = low.to(points.dtype), high.to(points.dtype)
        clipped = points.clamp(low_stored, high_stored)
        total = clipped.sum(dim=1, dtype=torch.float64)
        rounding = (n + 1) * eps * (abs(capacity) + 2.0 * float(low.abs().sum()))
        target = capacity if exact else max(capacity - rounding, float(low.sum()))
        within = (total - capacity).abs() <= rounding if exact else total <= capacity
        within &= torch.isfinite(total)

        entries, free = _threshold(points.double() - low, high - low, target - float(low.sum()))
        found = (entries + low).to(points.dtype).clamp(low_stored, high_stored)
        within, inner = within[:, None], (points > low_stored) & (points < high_stored)
        ctx.save_for_backward(torch.where(within, inner, free), within.expand_as(free) if not exact else None)
        return torch.where(within, clipped, found)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        free, within = ctx.saved_tensors
        gradient = gradients[0] * free
        mean = gradient.sum(dim=1, keepdim=True) / free.sum(dim=1, keepdim=True).clamp(min=1)
        shared = gradient - mean * free  # the sum is held: what all free entries share does not move them
        return (shared if within is None else torch.where(within, gradient, shared)), None, None, None, None


def _threshold(points: Tensor, width: Tensor, total: float) -> tuple[Tensor, Tensor]:
    """Entries clip(points - tau, 0, width) that add up to ``total`` (B, n), and which are strictly between (B, n)."""
    width = width.clamp(max=total)  # no entry exceeds the total
    points = points - points.amax(dim=1, keepdim=True)  # a threshold far from 0 would cost digits
    kinks = torch.cat([points - width, points], dim=1).sort(dim=1).values  # (B, 2 n)
    # The sum falls from that of the widths at the first kink to 0 at the last one. Invariant: sum(lower) >= total, and
    # sum(upper) <= total.
    lower = torch.zeros(len(points), 1, dtype=torch.int64, device=points.device)
    upper = torch.full_like(lower, kinks.shape[1] - 1)
    for _ in range(kinks.shape[1].bit_length()):
        middle = (lower + upper) // 2
        above = _clip(points - kinks.gather(1, middle), width).sum(dim=1, keepdim=True) >= total
        lower, upper = torch.where(above, middle, lower), torch.where(above, upper, middle)
    start, end = kinks.gather(1, lower), kinks.gather(1, upper)
    inside = (points - width < end) & (points > start) & (points - width <= start) & (points >= end)
    at_start = _clip(points - start, width)
    slope = inside.sum(dim=1, keepdim=True)
    surplus = at_start.sum(dim=1, keepdim=True) - total
    entries = _clip(at_start - surplus / slope.clamp(min=1) * inside, width)
    return entries, (entries > 0) & (entries < width)


def _clip(points: Tensor, width: Tensor) -> Tensor:
    return torch.minimum(points.clamp(min=0.0), width)


class PolyhedronProjection(nn.Module):
    """Projection on any :class:`optgap.co.dynamics.projection.Polyhedron` {A x <= b, E x = f}; computed on the CPU."""

    def __init__(self, polyhedron: Polyhedron) -> None:
        super().__init__()
        self.polyhedron = polyhedron

    def forward(self, points: Tensor) -> Tensor:
        return _Polyhedron.apply(points, self.polyhedron)  # type: ignore[no-any-return]


class _Polyhedron(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, polyhedron: Polyhedron) -> Tensor:
        nearest, tangents = polyhedron.project(points.detach().cpu().numpy())
        ctx.save_for_backward(torch.from_numpy(tangents).to(points))
        return torch.from_numpy(nearest).to(points.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (tangents,) = ctx.saved_tensors  # symmetric
        return torch.einsum("bij,bj->bi", tangents, gradients[0]), None


def projection_of(space: gym.spaces.Box) -> nn.Module:
    """The projection on an action space: its bounds, and the constraints of a :class:`ConstrainedBox`.

    Points and results are (B, n), where n is the number of the space's entries.
    """
    if not isinstance(space, ConstrainedBox):
        return Bounds(space.low.ravel(), space.high.ravel())
    constraints = space.action_constraints
    if isinstance(constraints, Capacity):
        return BoxCapacity(space.low, space.high, constraints.total, constraints.exact)
    return PolyhedronProjection(space.polyhedron)
