"""The orienteering problem: the path within a length limit, from a start to an end, that collects the most prize."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Sense
from optgap.co.problems.distances import NetworkInstance, as_numbers, random_coordinates, row

# length limit at nodes, of the literature (Kool et al. 2019; 4 beyond 100 as in BQ-NCO); between them interpolated
LIMITS = ((20, 2.0), (50, 3.0), (100, 4.0))
TOLERANCE = 1e-9  # relative, for sums of distances in different orders


@dataclass(frozen=True, kw_only=True, eq=False)
class OrienteeringInstance(NetworkInstance):
    """N nodes with prizes; a path starts at ``start``, ends at ``end`` (the same node for a tour), no longer than ``limit``.

    Raises:
        InputError: an end out of reach, no node within the limit, a negative prize or limit, an asymmetric matrix.
    """

    prize: NDArray[np.float64]  # (N,) >= 0; start and end are always collected
    limit: float  # of the path's length, in the unit of the distances, > 0
    start: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        super().__post_init__()
        n = self.n_nodes
        object.__setattr__(self, "prize", as_numbers(where, "prize", self.prize))
        object.__setattr__(self, "limit", float(self.limit))
        self.prize.setflags(write=False)
        if self.prize.shape != (n,):
            raise InputError(f"{where}: {n} nodes and prizes of shape {self.prize.shape}; expected one a node")
        if (self.prize < 0).any():
            at = int(np.argmax(self.prize < 0))
            raise InputError(f"{where}: prize of node {at} is {self.prize[at]:g}; expected at least 0")
        if not (0 <= self.start < n and 0 <= self.end < n):
            raise InputError(f"{where}: start {self.start}, end {self.end}; expected nodes 0..{n - 1}")
        if not np.isfinite(self.limit) or not self.limit > 0:
            raise InputError(f"{where}: limit is {self.limit:g}; expected a number above 0")
        if not self.is_symmetric:
            raise InputError(f"{where}: expected a symmetric matrix of distances")
        nodes = np.arange(n)
        detour = self.distance(self.start, nodes) + self.distance(nodes, self.end)
        if detour[self.end] > self.limit * (1 + TOLERANCE):
            raise InputError(
                f"{where}: limit {self.limit:g}: the end is {detour[self.end]:g} away; expected it in reach"
            )
        others = np.delete(detour, [self.start, self.end])
        if len(others) and others.min() > self.limit * (1 + TOLERANCE):
            raise InputError(
                f"{where}: limit {self.limit:g}: the nearest node costs {others.min():g}; expected one in reach"
            )


class Orienteering:
    """The OP. A solution is an (L,) integer array: the nodes in the order of the visit, from start to end, both included.

    Where end is start, it stands at both ends: ``[0, 5, 3, 0]``.
    """

    name = "op"
    sense: Sense = "maximize"

    def generate(
        self,
        rng: np.random.Generator,
        *,
        nodes: int = 100,
        prize: str = "distance",
        limit: float | None = None,
        distribution: str = "uniform",
        **rest: Any,
    ) -> OrienteeringInstance:
        """Nodes in the unit square, node 0 start and end, Euclidean distances; Kool et al. 2019, appendix D.

        Args:
            prize: "constant" (1 each), "uniform" ({1..100} / 100), or "distance": (1 + floor(d / d_max x 99)) / 100 with
                the distance d to the depot, the hardest of the three and the one BQ-NCO reports on.
            limit: None takes 2, 3, 4 at 20, 50, 100 nodes and beyond.

        The depot's own prize is 0.
        """
        fields = self.draw([rng], nodes=nodes, prize=prize, limit=limit, distribution=distribution)
        return OrienteeringInstance(**row(fields, 0) | rest)

    def draw(
        self,
        rngs: Sequence[np.random.Generator],
        *,
        nodes: int = 100,
        prize: str = "distance",
        limit: float | None = None,
        distribution: str = "uniform",
    ) -> dict[str, Any]:
        """Fields of the instances that :meth:`generate` makes with each of ``rngs``; see ``distances.row``.

        Raises:
            InputError: also where one of them is refused.
        """
        if nodes < 2:
            raise InputError(f"nodes is {nodes}; expected at least 2")
        coordinates = random_coordinates(rngs, nodes, distribution)
        distance = np.sqrt(((coordinates - coordinates[:, :1]) ** 2).sum(2))
        if prize == "constant":
            value = np.ones(distance.shape)
        elif prize == "uniform":
            value = np.stack([rng.integers(1, 101, nodes) for rng in rngs]) / 100
        elif prize == "distance":  # in this order the farthest is worth 1
            value = (1 + np.floor(distance / distance.max(1, keepdims=True) * 99)) / 100
        else:
            raise InputError(f"prize is {prize!r}; expected constant, uniform or distance")
        value[:, 0] = 0.0
        nearest = 2 * distance[:, 1:].min(1)
        if limit is None:
            most = np.maximum(np.interp(nodes, *np.transpose(LIMITS)), nearest * (1 + 1e-6))
        else:
            most = np.full(len(rngs), float(limit))
        fields = {"name": f"{distribution}-{nodes}", "coordinates": coordinates, "prize": value, "limit": most}
        for b in np.flatnonzero(~((nearest <= most) & (most < np.inf))).tolist():
            OrienteeringInstance(**row(fields, b))  # says what is wrong, if anything
        return fields

    def check(self, instance: OrienteeringInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless the path runs from start to end, repeats no node and keeps the limit."""
        path, name = np.asarray(solution), instance.name
        if path.ndim != 1 or len(path) < 1 or not np.issubdtype(path.dtype, np.integer):
            raise InfeasibleError(
                f"{name}: path of shape {path.shape}, dtype {path.dtype}; expected one row of integers"
            )
        if path.min() < 0 or path.max() >= instance.n_nodes:
            at = int(np.argmax((path < 0) | (path >= instance.n_nodes)))
            raise InfeasibleError(f"{name}: node {path[at]} at position {at}; expected 0..{instance.n_nodes - 1}")
        if path[0] != instance.start or path[-1] != instance.end:
            raise InfeasibleError(
                f"{name}: path from {path[0]} to {path[-1]}; expected {instance.start} to {instance.end}"
            )
        inner = path[:-1] if instance.start == instance.end and len(path) > 1 else path
        nodes, count = np.unique(inner, return_counts=True)
        if (count > 1).any():
            raise InfeasibleError(f"{name}: node {nodes[np.argmax(count)]} is visited {count.max()} times")
        length = instance.length(path)
        if length > instance.limit * (1 + TOLERANCE):
            raise InfeasibleError(f"{name}: path of length {length:.12g}; expected at most {instance.limit:.12g}")

    def cost(self, instance: OrienteeringInstance, solution: Any) -> float:
        """Sum of the prizes of the visited nodes, each once."""
        return float(instance.prize[np.unique(np.asarray(solution))].sum())


ORIENTEERING = Orienteering()
