"""The travelling salesman problem: the shortest closed tour through all nodes; symmetric and asymmetric (ATSP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Sense
from optgap.co.problems.distances import NetworkInstance, random_coordinates, row


@dataclass(frozen=True, kw_only=True, eq=False)
class TSPInstance(NetworkInstance):
    """A symmetric instance of N nodes, N >= 1.

    Raises:
        InputError: an asymmetric matrix (an ATSP instance), besides what :class:`NetworkInstance` refuses.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_symmetric:
            assert self.matrix is not None
            i, j = np.argwhere(self.matrix != self.matrix.T)[0]
            raise InputError(
                f"instance {self.name}: {self.matrix[i, j]:g} from node {i} to {j} but {self.matrix[j, i]:g} back; "
                "expected a symmetric matrix (an asymmetric one is problem=atsp)"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class ATSPInstance(NetworkInstance):
    """An instance of N nodes whose distances may differ by direction: an explicit (N, N) matrix."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matrix is None:
            raise InputError(f"instance {self.name}: expected an explicit matrix of distances")


def as_tour(instance: NetworkInstance, solution: Any) -> NDArray[np.int64]:
    """Validate a tour: a permutation of all nodes, shape (N,)."""
    tour = np.asarray(solution)
    n = instance.n_nodes
    if tour.shape != (n,) or not np.issubdtype(tour.dtype, np.integer):
        raise InfeasibleError(
            f"{instance.name}: tour of shape {tour.shape}, dtype {tour.dtype}; expected ({n},) integers"
        )
    if tour.min() < 0 or tour.max() >= n:
        at = int(np.argmax((tour < 0) | (tour >= n)))
        raise InfeasibleError(f"{instance.name}: tour: node {tour[at]} at position {at}; expected 0..{n - 1}")
    count = np.bincount(tour.astype(np.int64), minlength=n)
    if (count != 1).any():
        missing, twice = int(np.argmin(count)), int(np.argmax(count))
        raise InfeasibleError(f"{instance.name}: tour: node {twice} is visited {count[twice]} times, {missing} never")
    return tour.astype(np.int64)


def tour_length(instance: NetworkInstance, tour: NDArray[np.int64]) -> float:
    """Length of the closed tour, from the definition."""
    return float(instance.distance(tour, np.roll(tour, -1)).sum())


class TSP:
    """The symmetric TSP. A solution is an (N,) integer permutation of the nodes, the tour's order."""

    name = "tsp"
    sense: Sense = "minimize"

    def generate(
        self, rng: np.random.Generator, *, nodes: int = 100, distribution: str = "uniform", **rest: Any
    ) -> TSPInstance:
        """Nodes in the unit square, Euclidean distances; ``distribution`` is "uniform" or "clustered"."""
        return TSPInstance(**row(self.draw([rng], nodes=nodes, distribution=distribution), 0) | rest)

    def draw(
        self, rngs: Sequence[np.random.Generator], *, nodes: int = 100, distribution: str = "uniform"
    ) -> dict[str, Any]:
        """Fields of the instances that :meth:`generate` makes with each of ``rngs``; see ``distances.row``."""
        return {"name": f"{distribution}-{nodes}", "coordinates": random_coordinates(rngs, nodes, distribution)}

    def check(self, instance: TSPInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless ``solution`` visits every node exactly once."""
        as_tour(instance, solution)

    def cost(self, instance: TSPInstance, solution: Any) -> float:
        """Length of the closed tour."""
        return tour_length(instance, np.asarray(solution))


class ATSP:
    """The asymmetric TSP. A solution is an (N,) integer permutation of the nodes, the tour's order."""

    name = "atsp"
    sense: Sense = "minimize"

    def generate(self, rng: np.random.Generator, *, nodes: int = 100, **rest: Any) -> ATSPInstance:
        """Uniform [0, 1) distances lowered to their shortest paths, so that the triangle inequality holds.

        The class "tmat" of Cirasella et al. (2001), on which MatNet (2021) and BQ-NCO (2023) report.
        """
        return ATSPInstance(**row(self.draw([rng], nodes=nodes), 0) | rest)

    def draw(self, rngs: Sequence[np.random.Generator], *, nodes: int = 100) -> dict[str, Any]:
        """Fields of the instances that :meth:`generate` makes with each of ``rngs``; see ``distances.row``."""
        from optgap.co.problems.shortest_paths import shorten

        if nodes < 1:
            raise InputError(f"nodes is {nodes}; expected at least 1")
        matrices = np.empty((len(rngs), nodes, nodes))
        for rng, matrix in zip(rngs, matrices, strict=True):
            rng.random(out=matrix)
            np.fill_diagonal(matrix, 0.0)
        shorten(matrices)
        return {"name": f"uniform-{nodes}", "matrix": matrices, "metric": "explicit"}

    def check(self, instance: ATSPInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless ``solution`` visits every node exactly once."""
        as_tour(instance, solution)

    def cost(self, instance: ATSPInstance, solution: Any) -> float:
        """Length of the closed tour, each edge in the direction of travel."""
        return tour_length(instance, np.asarray(solution))


TSP_PROBLEM = TSP()
ATSP_PROBLEM = ATSP()
