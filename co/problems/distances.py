"""Distances between the nodes of a routing instance: from coordinates by a metric, or given as a matrix.

TSPLIB's rounding rules (Reinelt 1991 and the TSPLIB 95 manual, section 2) are part of an instance, so that a reported
gap is the official one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError, Instance

F8 = NDArray[np.float64]
LARGEST_MATRIX = 20_000  # nodes: 3.2 GB of float64
LARGEST_NUMBER = 1e15  # of a coordinate or a distance: sums stay exact to 1, squares finite
EARTH_RADIUS = 6378.388  # km, of the manual
PI = 3.141592  # of the manual; the published optima rest on its digits


def _nint(x: F8) -> F8:
    return np.floor(x + 0.5)


def _euclidean(a: F8, b: F8) -> F8:
    exact: F8 = np.sqrt(((a - b) ** 2).sum(-1))
    return exact


def _att(a: F8, b: F8) -> F8:
    exact = np.sqrt(((a - b) ** 2).sum(-1) / 10.0)
    rounded = _nint(exact)
    return np.where(rounded < exact, rounded + 1.0, rounded)


def _degrees(x: F8) -> F8:
    """From degrees.minutes: 30.45 is 30 degrees and 45 minutes."""
    whole = np.trunc(x)  # the manual says nint; the published optima need the truncation of its C code
    return whole + 5.0 * (x - whole) / 3.0


def _geo(a: F8, b: F8) -> F8:
    (lat_a, lon_a), (lat_b, lon_b) = (np.moveaxis(PI * _degrees(x) / 180.0, -1, 0) for x in (a, b))
    q1, q2, q3 = np.cos(lon_a - lon_b), np.cos(lat_a - lat_b), np.cos(lat_a + lat_b)
    arc = np.arccos(np.clip(0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3), -1.0, 1.0))
    length: F8 = np.floor(EARTH_RADIUS * arc + 1.0)
    return length


METRICS: dict[str, Callable[[F8, F8], F8]] = {
    "euclidean": _euclidean,
    "euc_2d": lambda a, b: _nint(_euclidean(a, b)),
    "ceil_2d": lambda a, b: np.ceil(_euclidean(a, b)),
    "man_2d": lambda a, b: _nint(np.abs(a - b).sum(-1)),
    "max_2d": lambda a, b: _nint(np.abs(a - b)).max(-1),
    "att": _att,
    "geo": _geo,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkInstance(Instance):
    """N nodes with a distance between any two: ``coordinates`` and ``metric``, or ``matrix`` (metric "explicit").

    With an explicit matrix, ``coordinates`` may hold positions for drawing.

    Raises:
        InputError: neither or a wrong shape of both, an unknown metric, a number that is not finite, a negative distance.
    """

    coordinates: F8 | None = None  # (N, 2) x and y; degrees.minutes of latitude and longitude for "geo"
    matrix: F8 | None = None  # (N, N) distance from row to column, or None; the diagonal is 0
    metric: str = "euclidean"  # "explicit", or a key of METRICS: euclidean, euc_2d, ceil_2d, man_2d, max_2d, att, geo

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        if self.metric != "explicit" and self.metric not in METRICS:
            raise InputError(f"{where}: metric {self.metric!r}; expected explicit or one of {', '.join(METRICS)}")
        if (self.matrix is None) != (self.metric != "explicit"):
            raise InputError(f"{where}: metric {self.metric!r}; expected a matrix with 'explicit', and none otherwise")
        if self.coordinates is not None:
            object.__setattr__(self, "coordinates", as_numbers(where, "coordinates", self.coordinates))
            if self.coordinates.ndim != 2 or self.coordinates.shape[1] != 2:
                raise InputError(f"{where}: coordinates of shape {self.coordinates.shape}; expected (nodes, 2)")
        elif self.matrix is None:
            raise InputError(f"{where}: neither coordinates nor a matrix of distances")
        if self.matrix is not None:
            matrix = as_numbers(where, "matrix", self.matrix)
            if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
                raise InputError(f"{where}: matrix of shape {matrix.shape}; expected (nodes, nodes)")
            if self.coordinates is not None and len(self.coordinates) != len(matrix):
                raise InputError(f"{where}: {len(self.coordinates)} coordinates and {len(matrix)} rows of distances")
            np.fill_diagonal(matrix, 0.0)
            if (matrix < 0).any():
                i, j = np.argwhere(matrix < 0)[0]
                raise InputError(f"{where}: distance {matrix[i, j]:g} from node {i} to {j}; expected at least 0")
            object.__setattr__(self, "matrix", matrix)
        if self.n_nodes < 1:
            raise InputError(f"{where}: 0 nodes; expected at least 1")
        super().__post_init__()

    @property
    def n_nodes(self) -> int:
        """N."""
        if self.matrix is not None:
            return len(self.matrix)
        assert self.coordinates is not None
        return len(self.coordinates)

    def distance(self, a: Any, b: Any) -> F8:
        """Distances from nodes ``a`` to nodes ``b``, integer arrays of shapes that broadcast."""
        if self.matrix is not None:
            return np.asarray(self.matrix[a, b])
        assert self.coordinates is not None
        a, b = np.asarray(a), np.asarray(b)
        length = METRICS[self.metric](self.coordinates[a], self.coordinates[b])
        if self.metric == "geo":  # its formula says 1 for two nodes in one place, and also for a node and itself
            length = np.where(a == b, 0.0, length)
        return length

    @cached_property
    def distances(self) -> F8:
        """(N, N) matrix of all distances, read-only, computed once.

        Raises:
            InputError: more than 20,000 nodes; use :meth:`distance`, which needs no matrix.
        """
        if self.matrix is not None:
            return self.matrix
        n = self.n_nodes
        if n > LARGEST_MATRIX:
            raise InputError(f"instance {self.name}: {n} nodes; a matrix of distances holds at most {LARGEST_MATRIX}")
        table = np.empty((n, n))
        nodes = np.arange(n)
        for i in range(n):
            table[i] = self.distance(i, nodes)
        table.setflags(write=False)
        return table

    @cached_property
    def positions(self) -> F8:
        """(N, 2) planar positions in no particular unit, read-only, for drawing and for networks, computed once.

        The coordinates where there are some ("geo": degrees, x is the longitude shrunk by the cosine of the mean
        latitude); otherwise the best planar fit to the matrix, symmetrised: classical multidimensional scaling
        (Torgerson 1952), whose time grows with N^3.
        """
        if self.coordinates is None:
            assert self.matrix is not None
            positions = _planar_fit((self.matrix + self.matrix.T) / 2)
        elif self.metric == "geo":
            latitude, longitude = _degrees(self.coordinates).T
            shrink = np.cos(np.radians(latitude.mean()))
            positions = np.stack([longitude * shrink, latitude], axis=1)
        else:
            positions = self.coordinates
        positions.setflags(write=False)
        return positions

    @property
    def is_symmetric(self) -> bool:
        """Whether every distance is the same both ways."""
        return self.matrix is None or bool(np.array_equal(self.matrix, self.matrix.T))

    def length(self, nodes: Any) -> float:
        """Length of the path through ``nodes`` in their order, (K,) integers."""
        path = np.asarray(nodes)
        return float(self.distance(path[:-1], path[1:]).sum()) if len(path) > 1 else 0.0


def _planar_fit(matrix: F8) -> F8:
    """(N, 2) the two leading coordinates of classical scaling, each with its largest entry positive."""
    n = len(matrix)
    squared = matrix**2
    mean = squared.mean(0)
    product = -0.5 * (squared - mean - mean[:, None] + squared.mean())
    values, vectors = np.linalg.eigh(product)  # ascending
    fit = np.zeros((n, 2))
    for axis in range(min(2, n)):
        vector = vectors[:, -1 - axis]
        sign = np.sign(vector[np.argmax(np.abs(vector))])
        fit[:, axis] = sign * vector * np.sqrt(max(values[-1 - axis], 0.0))
    return fit


def as_numbers(where: str, what: str, value: Any) -> F8:
    """A float64 copy of ``value``.

    Raises:
        InputError: not an array of finite numbers up to 1e15 in size; ``where`` and ``what`` begin the message.
    """
    try:
        array = np.array(value, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InputError(f"{where}: {what} is no array of numbers") from None
    good = np.abs(array) <= LARGEST_NUMBER  # nor is NaN
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(f"{where}: {what}{list(at)} is {array[at]}; expected a finite number up to {LARGEST_NUMBER:g}")
    return array


def random_coordinates(rngs: Sequence[np.random.Generator], nodes: int, distribution: str) -> F8:
    """(B, nodes, 2) float64 in the unit square, a row from each of the B generators.

    Args:
        distribution: "uniform", or "clustered": normal clouds around 3 to 8 uniform centres, standard deviations from
            0.02 to 0.08, points outside drawn anew.

    Raises:
        InputError: no node, or another distribution.
    """
    if nodes < 1:
        raise InputError(f"nodes is {nodes}; expected at least 1")
    if distribution not in ("uniform", "clustered"):
        raise InputError(f"distribution is {distribution!r}; expected uniform or clustered")
    if distribution == "clustered":
        return np.stack([_clustered(rng, nodes) for rng in rngs])
    found = np.empty((len(rngs), nodes, 2))
    for rng, row in zip(rngs, found, strict=True):
        rng.random(out=row)
    return found


def _clustered(rng: np.random.Generator, nodes: int) -> F8:
    count = int(rng.integers(3, 9))
    centre, spread = rng.uniform(0.1, 0.9, (count, 2)), rng.uniform(0.02, 0.08, count)
    found = np.empty((0, 2))
    while len(found) < nodes:
        which = rng.integers(count, size=nodes)
        drawn = centre[which] + rng.normal(size=(nodes, 2)) * spread[which, None]
        found = np.concatenate([found, drawn[((drawn >= 0) & (drawn <= 1)).all(1)]])
    return found[:nodes]


def row(fields: dict[str, Any], b: int) -> dict[str, Any]:
    """Fields of instance ``b`` from those of a batch: arrays have a row an instance, all else is common to all."""
    return {name: value[b] if isinstance(value, np.ndarray) else value for name, value in fields.items()}
