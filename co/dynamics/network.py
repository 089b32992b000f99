"""The distances of the routing problems as numba functions: a batch of instances as a structure of arrays.

No memory of N x N is needed, but for instances that are given as a matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.co.problems.distances import EARTH_RADIUS, PI, NetworkInstance

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

CODES = ("explicit", "euclidean", "euc_2d", "ceil_2d", "man_2d", "max_2d", "att", "geo")
EXPLICIT, EUCLIDEAN, EUC_2D, CEIL_2D, MAN_2D, MAX_2D, ATT, GEO = range(len(CODES))


class Network(NamedTuple):
    """B instances padded to N nodes; distances in the unit of the instance."""

    n_nodes: I64  # (B,)
    metric: I64  # (B,) index into CODES
    x: F64  # (B, N) coordinates; radians of latitude for GEO
    y: F64  # (B, N) coordinates; radians of longitude for GEO
    matrix: F64  # (B, N, N), or (B, 0, 0) as long as no copy is EXPLICIT


def empty_network(copies: int, nodes: int) -> Network:
    """Zeroed arrays without a matrix."""
    return Network(
        np.zeros(copies, np.int64),
        np.full(copies, EUCLIDEAN, np.int64),
        np.zeros((copies, nodes)),
        np.zeros((copies, nodes)),
        np.zeros((copies, 0, 0)),
    )


def put_network(network: Network, b: int, instance: NetworkInstance) -> Network:
    """Write the distances of ``instance`` into copy ``b``; the tuple that is returned has a matrix where one is needed."""
    if instance.matrix is not None:
        return put_matrices(network, np.array([b]), instance.matrix[None])
    if instance.metric not in CODES:
        raise InputError(f"instance {instance.name}: no compiled distance for metric {instance.metric!r}")
    points = instance.coordinates
    assert points is not None
    if instance.metric == "geo":
        degrees = np.trunc(points)
        points = PI * (degrees + 5.0 * (points - degrees) / 3.0) / 180.0
    put_points(network, np.array([b]), points[None])
    network.metric[b] = CODES.index(instance.metric)
    return network


def put_matrices(network: Network, copies: I64, matrices: F64) -> Network:
    """Write instances given as ``matrices`` (K, n, n) into ``copies`` (K,); the tuple that is returned has a matrix."""
    if network.matrix.shape[1] == 0:
        batch, nodes = network.x.shape
        network = network._replace(matrix=np.zeros((batch, nodes, nodes)))
    n = matrices.shape[1]
    network.matrix[copies, :n, :n] = matrices
    network.metric[copies] = EXPLICIT
    network.n_nodes[copies] = n
    return network


@njit(cache=True, **KERNEL)
def put_points(network: Network, copies: I64, points: F64) -> None:
    """Write Euclidean instances with coordinates ``points`` (K, n, 2) into ``copies`` (K,)."""
    n = points.shape[1]
    for k in range(len(copies)):
        b = copies[k]
        for j in range(n):
            network.x[b, j] = points[k, j, 0]
            network.y[b, j] = points[k, j, 1]
        network.metric[b] = EUCLIDEAN
        network.n_nodes[b] = n


@njit(cache=True, **KERNEL)
def _rounded(network: Network, b: int, i: int, j: int) -> float:
    """The metrics that are not plainly Euclidean; apart, because they are too long to be inlined."""
    metric = network.metric[b]
    if metric == EXPLICIT:
        return network.matrix[b, i, j]  # type: ignore[no-any-return]
    dx, dy = abs(network.x[b, i] - network.x[b, j]), abs(network.y[b, i] - network.y[b, j])
    if metric == MAN_2D:
        return np.floor(dx + dy + 0.5)  # type: ignore[no-any-return]
    if metric == MAX_2D:
        return max(np.floor(dx + 0.5), np.floor(dy + 0.5))  # type: ignore[no-any-return]
    if metric == ATT:
        exact = np.sqrt((dx * dx + dy * dy) / 10.0)
        rounded = np.floor(exact + 0.5)
        return rounded + 1.0 if rounded < exact else rounded  # type: ignore[no-any-return]
    if metric == GEO:
        if i == j:  # the formula says 1
            return 0.0
        q2 = np.cos(network.x[b, i] - network.x[b, j])
        q3 = np.cos(network.x[b, i] + network.x[b, j])
        cosine = 0.5 * ((1.0 + np.cos(dy)) * q2 - (1.0 - np.cos(dy)) * q3)
        return np.floor(EARTH_RADIUS * np.arccos(min(1.0, max(-1.0, cosine))) + 1.0)  # type: ignore[no-any-return]
    length = np.sqrt(dx * dx + dy * dy)
    return np.floor(length + 0.5) if metric == EUC_2D else np.ceil(length)  # type: ignore[no-any-return]


@njit(cache=True, **INLINED)
def edge(network: Network, b: int, i: int, j: int) -> float:
    """Distance from node ``i`` to node ``j``: that of ``NetworkInstance.distance``."""
    if network.metric[b] != EUCLIDEAN:
        return _rounded(network, b, i, j)  # type: ignore[no-any-return]
    dx, dy = network.x[b, i] - network.x[b, j], network.y[b, i] - network.y[b, j]
    return np.sqrt(dx * dx + dy * dy)  # type: ignore[no-any-return]
