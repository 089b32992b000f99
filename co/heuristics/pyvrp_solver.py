"""PyVRP on the CVRP: iterated local search by the package ``pyvrp`` (extra ``vrp``), on distances scaled to integers.

Source: Wouda, Lan and Kool, PyVRP: A High-Performance VRP Solver Package, INFORMS Journal on Computing 36(4), 2024.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, InputError, MissingExtraError, Result, Status
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes

LARGEST = 10_001  # nodes: PyVRP's matrices take 16 bytes a pair
FAR = 1e6  # what the largest distance becomes where distances are no integers
FINE = 1e6  # what the capacity becomes where demands are not decimal
LARGEST_INTEGER = 1e9  # integers up to this are taken as they are: no sum, and no product with a penalty, overflows

I64 = NDArray[np.int64]


def solve(instance: CVRPInstance, budget: Budget) -> Result:
    """The best routes that PyVRP finds within the budget, on one thread, and the history; Ctrl-C returns the incumbent.

    PyVRP computes with integers. Integral distances stay as they are; others are rounded at a millionth of the largest, and
    the history says what the routes cost in the instance's own distances. Demands are decimal (then exact) or rounded up.

    Raises:
        MissingExtraError: pyvrp is not installed.
        InputError: more than 10,001 nodes.
    """
    try:
        from pyvrp import IteratedLocalSearchParams, PenaltyParams, SolveParams
        from pyvrp import solve as search
        from pyvrp.exceptions import PenaltyBoundWarning
        from pyvrp.IteratedLocalSearch import IteratedLocalSearchCallbacks
    except ImportError:
        raise MissingExtraError("pyvrp", "vrp") from None

    begin = time.perf_counter()
    if instance.n_nodes > LARGEST:
        raise InputError(f"instance {instance.name}: {instance.n_nodes} nodes; PyVRP takes up to {LARGEST} here")
    found: list[I64] = []
    history: list[Incumbent] = []

    class Watch(IteratedLocalSearchCallbacks):
        def on_start(self, ils: Any) -> None:
            self.on_best(ils.initial_solution)

        def on_best(self, best: Any) -> None:
            if not best.is_feasible():
                return
            solution = join_routes([visit.idx + 1 for visit in route if visit.is_client()] for route in best.routes())
            cost = CVRP_PROBLEM.cost(instance, solution)
            if not history or cost < history[-1].cost:
                found.append(solution)
                history.append(Incumbent(time.perf_counter() - begin, cost, None))

    def over(best_cost: int) -> bool:
        return time.perf_counter() - begin > budget.seconds

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PenaltyBoundWarning)  # a penalty at its bound is no news for a benchmark
            data, largest_penalty = _data(instance)
            params = SolveParams(
                ils=IteratedLocalSearchParams(callbacks=Watch()), penalty=PenaltyParams(max_penalty=largest_penalty)
            )
            search(data, over, seed=budget.seed % 2**32, collect_stats=False, params=params)
    except KeyboardInterrupt:
        pass
    if not found:
        return Result(None, Status.NO_SOLUTION)
    return Result(found[-1], Status.FEASIBLE, incumbents=tuple(history))


def _data(instance: CVRPInstance) -> tuple[Any, float]:
    """The instance in PyVRP's terms: a location a node, a depot at the first, a client at each other.

    And the most that a unit of overload may cost. PyVRP's own limit fits distances of thousands and demands of tens; with
    longer ones overload would pay.
    """
    from pyvrp import Client, Depot, Location, PenaltyParams, ProblemData, VehicleType

    n = instance.n_nodes
    demand, capacity = _integer_demand(instance)
    distance: Any = _integer_distance(instance)  # its stubs take no array of numpy's own types
    at = np.zeros((n, 2)) if instance.coordinates is None else instance.coordinates
    data = ProblemData(
        locations=[Location(x, y) for x, y in at.tolist()],
        clients=[Client(location=i, delivery=[demand[i]]) for i in range(1, n)],
        depots=[Depot(location=0)],
        vehicle_types=[VehicleType(num_available=n - 1, capacity=[capacity])],
        distance_matrices=[distance],
        duration_matrices=[distance * 0],
    )
    typical = max(1.0, sum(demand) / n)
    return data, max(PenaltyParams().max_penalty, 100.0 * float(distance.max()) / typical)


def _integer_distance(instance: CVRPInstance) -> I64:
    """(N, N) rounded distances, in a unit of which the largest has enough."""
    n = instance.n_nodes
    nodes = np.arange(n)
    largest, integral = 0.0, True
    for i in range(n):  # a row at a time: the whole matrix in float would be as large again
        row = instance.distance(i, nodes)
        largest, integral = max(largest, float(row.max())), integral and bool((row == np.floor(row)).all())
    scale = 1.0 if largest == 0 or (integral and largest <= LARGEST_INTEGER) else FAR / largest
    table = np.empty((n, n), np.int64)
    for i in range(n):
        table[i] = np.rint(scale * instance.distance(i, nodes))
    np.fill_diagonal(table, 0)
    return table


def _integer_demand(instance: CVRPInstance) -> tuple[list[int], int]:
    """Demands and capacity as integers: exact if a power of ten makes all demands so, else rounded to the safe side."""
    for scale in 10.0 ** np.arange(7):
        scaled = instance.demand * scale
        whole = np.rint(scaled)
        if np.allclose(scaled, whole, rtol=1e-12, atol=1e-9) and instance.capacity * scale < LARGEST_INTEGER:
            return [int(d) for d in whole], int(instance.capacity * scale * (1 + 1e-12))
    fine = FINE / instance.capacity
    return [int(d) for d in np.ceil(instance.demand * fine * (1 - 1e-12))], int(FINE)
