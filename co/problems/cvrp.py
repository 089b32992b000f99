"""The capacitated vehicle routing problem: routes from one depot serve every customer within the capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Sense
from optgap.co.problems.distances import NetworkInstance, as_numbers, random_coordinates, row

# capacity at customers, of the literature (Nazari et al. 2018, Kool et al. 2019, Luo et al. 2023); between them interpolated
CAPACITIES = ((10, 20), (20, 30), (50, 40), (100, 50), (200, 80), (500, 100), (1000, 250))


@dataclass(frozen=True, kw_only=True, eq=False)
class CVRPInstance(NetworkInstance):
    """C customers, numbered 1 to C, and the depot, node 0: N = C + 1 nodes, symmetric distances. Routes are not limited.

    Raises:
        InputError: a demand above the capacity, a negative demand, a depot with a demand, an asymmetric matrix.
    """

    demand: NDArray[np.float64]  # (N,) >= 0 and <= capacity; demand[0] = 0
    capacity: float  # of each vehicle, in the unit of the demands, > 0

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        super().__post_init__()
        object.__setattr__(self, "demand", as_numbers(where, "demand", self.demand))
        object.__setattr__(self, "capacity", float(self.capacity))
        self.demand.setflags(write=False)
        if self.demand.shape != (self.n_nodes,) or self.n_nodes < 2:
            raise InputError(
                f"{where}: {self.n_nodes} nodes and demands of shape {self.demand.shape}; expected one a node, 2 or more"
            )
        if not np.isfinite(self.capacity) or not self.capacity > 0:
            raise InputError(f"{where}: capacity is {self.capacity:g}; expected a number above 0")
        bad = ~((self.demand >= 0) & (self.demand <= self.capacity))
        if bad.any():
            at = int(np.argmax(bad))
            raise InputError(
                f"{where}: demand of node {at} is {self.demand[at]:g}; expected 0 to the capacity {self.capacity:g}"
            )
        if self.demand[0] != 0:
            raise InputError(f"{where}: the depot, node 0, has demand {self.demand[0]:g}; expected 0")
        if not self.is_symmetric:
            raise InputError(f"{where}: expected a symmetric matrix of distances")

    @property
    def n_customers(self) -> int:
        """C."""
        return self.n_nodes - 1


def split_routes(solution: Any) -> list[NDArray[np.int64]]:
    """The routes of a solution, each the (K,) customers between two visits of the depot; empty ones are left out."""
    flat = np.asarray(solution, dtype=np.int64)
    parts = np.split(flat, np.flatnonzero(flat == 0))
    return [route for part in parts if len(route := part[part != 0])]


def join_routes(routes: Any) -> NDArray[np.int64]:
    """The solution array of a sequence of routes: ``[[3, 1], [2]]`` becomes ``[0, 3, 1, 0, 2, 0]``."""
    flat = [0]
    for route in routes:
        flat += [*(int(customer) for customer in route), 0]
    return np.array(flat, np.int64)


class CVRP:
    """The CVRP. A solution is one integer array of customers with a 0, the depot, between two routes.

    Leading, trailing and repeated zeros mean nothing: ``[0, 3, 1, 0, 2, 0]`` is the routes 3, 1 and 2.
    """

    name = "cvrp"
    sense: Sense = "minimize"

    def generate(
        self,
        rng: np.random.Generator,
        *,
        customers: int = 100,
        capacity: float | None = None,
        distribution: str = "uniform",
        **rest: Any,
    ) -> CVRPInstance:
        """Depot and customers in the unit square, Euclidean distances, demands U{1..9}.

        Args:
            capacity: None takes the literature's: 30, 40, 50, 80, 100, 250 at 20, 50, 100, 200, 500, 1000 customers.
            distribution: "uniform" or "clustered".
        """
        fields = self.draw([rng], customers=customers, capacity=capacity, distribution=distribution)
        return CVRPInstance(**row(fields, 0) | rest)

    def draw(
        self,
        rngs: Sequence[np.random.Generator],
        *,
        customers: int = 100,
        capacity: float | None = None,
        distribution: str = "uniform",
    ) -> dict[str, Any]:
        """Fields of the instances that :meth:`generate` makes with each of ``rngs``; see ``distances.row``."""
        if customers < 1:
            raise InputError(f"customers is {customers}; expected at least 1")
        if capacity is None:
            capacity = float(np.floor(np.interp(customers, *np.transpose(CAPACITIES))))
        if not 9 <= capacity < np.inf:
            raise InputError(f"capacity is {capacity:g}; expected at least 9, the largest demand")
        demand = np.zeros((len(rngs), customers + 1))
        for rng, each in zip(rngs, demand, strict=True):
            each[1:] = rng.integers(1, 10, customers)
        return {
            "name": f"{distribution}-{customers}",
            "coordinates": random_coordinates(rngs, customers + 1, distribution),
            "demand": demand,
            "capacity": float(capacity),
        }

    def check(self, instance: CVRPInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless every customer is served once and no route exceeds the capacity."""
        flat = np.asarray(solution)
        if flat.ndim != 1 or not np.issubdtype(flat.dtype, np.integer):
            raise InfeasibleError(
                f"{instance.name}: routes of shape {flat.shape}, dtype {flat.dtype}; expected one row of integers"
            )
        if len(flat) and (flat.min() < 0 or flat.max() >= instance.n_nodes):
            at = int(np.argmax((flat < 0) | (flat >= instance.n_nodes)))
            raise InfeasibleError(
                f"{instance.name}: node {flat[at]} at position {at}; expected 0..{instance.n_nodes - 1}"
            )
        count = np.bincount(flat.astype(np.int64), minlength=instance.n_nodes)[1:]
        if (count != 1).any():
            at = int(np.argmax(count != 1))
            raise InfeasibleError(f"{instance.name}: customer {at + 1} is served {count[at]} times; expected once")
        for number, route in enumerate(split_routes(flat), 1):
            load = float(instance.demand[route].sum())
            if load > instance.capacity * (1 + 1e-9):
                raise InfeasibleError(
                    f"{instance.name}: route {number} carries {load:g}; expected at most {instance.capacity:g}"
                )

    def cost(self, instance: CVRPInstance, solution: Any) -> float:
        """Total length of all routes, from the depot and back."""
        return sum(instance.length(np.concatenate([[0], route, [0]])) for route in split_routes(solution))


CVRP_PROBLEM = CVRP()
