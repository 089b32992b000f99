"""Distances inside compiled tour heuristics, from a matrix or from coordinates.

A *space* is what these kernels measure in: an (N, N) float64 matrix, or a :class:`Plane`. Both hold the metric of the
instance exactly, rounding rules included, so that a heuristic optimizes what is reported.

Numba does not notice a change of this file in what it keeps on disk of its callers: after one, empty their caches
(``__pycache__/*.nb*``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.problems.distances import EARTH_RADIUS, PI, NetworkInstance

F8 = NDArray[np.float64]
I4 = NDArray[np.int32]

LARGEST_TABLE = 2_000  # nodes up to which a matrix (32 MB) beats computing each distance from coordinates
METRICS = ("euclidean", "euc_2d", "ceil_2d", "man_2d", "max_2d", "att", "geo")


class Plane(NamedTuple):
    """Nodes given by coordinates: distances are computed when asked for, O(N) memory."""

    x: F8  # (N,) for "geo" the latitude in radians
    y: F8  # (N,) for "geo" the longitude in radians
    metric: int  # index into METRICS


def _plane_distance(space: Any, a: int, b: int) -> float:
    dx, dy = space.x[a] - space.x[b], space.y[a] - space.y[b]
    metric = space.metric
    if metric == 0:
        return np.sqrt(dx * dx + dy * dy)  # type: ignore[no-any-return]
    if metric == 1:
        return np.floor(np.sqrt(dx * dx + dy * dy) + 0.5)  # type: ignore[no-any-return]
    if metric == 2:
        return np.ceil(np.sqrt(dx * dx + dy * dy))  # type: ignore[no-any-return]
    if metric == 3:
        return np.floor(abs(dx) + abs(dy) + 0.5)  # type: ignore[no-any-return]
    if metric == 4:
        return max(np.floor(abs(dx) + 0.5), np.floor(abs(dy) + 0.5))  # type: ignore[no-any-return]
    if metric == 5:
        exact = np.sqrt((dx * dx + dy * dy) / 10.0)
        rounded = np.floor(exact + 0.5)
        return rounded + 1.0 if rounded < exact else rounded  # type: ignore[no-any-return]
    if a == b:
        return 0.0  # the formula says 1
    q1, q2, q3 = np.cos(dy), np.cos(dx), np.cos(space.x[a] + space.x[b])
    cosine = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3)
    return np.floor(EARTH_RADIUS * np.arccos(min(1.0, max(-1.0, cosine))) + 1.0)  # type: ignore[no-any-return]


def _matrix_distance(space: Any, a: int, b: int) -> float:
    return space[a, b]  # type: ignore[no-any-return]


def distance(space: Any, a: Any, b: Any) -> float:
    """Distance from node ``a`` to node ``b``; called from numba alone."""
    raise NotImplementedError


@overload(distance)
def _distance(space: Any, a: int, b: int) -> Any:
    return _matrix_distance if isinstance(space, types.Array) else _plane_distance


def space_of(instance: NetworkInstance) -> Any:
    """The space of an instance: its matrix where it has one or is small, else its plane."""
    if instance.matrix is not None or instance.n_nodes <= LARGEST_TABLE:
        return instance.distances
    coordinates = instance.coordinates
    assert coordinates is not None
    if instance.metric == "geo":
        degrees = np.trunc(coordinates)
        coordinates = PI * (degrees + 5.0 * (coordinates - degrees) / 3.0) / 180.0
    x, y = (np.ascontiguousarray(coordinates[:, i]) for i in (0, 1))
    return Plane(x, y, METRICS.index(instance.metric))


@njit(cache=True, nogil=True, **KERNEL)
def length_of(space: Any, tour: I4) -> float:
    """Length of the closed tour."""
    total = distance(space, tour[-1], tour[0])
    for i in range(len(tour) - 1):
        total += distance(space, tour[i], tour[i + 1])
    return total
