"""OR-Tools' routing library, extra ``cp``, for the TSP, the ATSP and the CVRP: guided local search on one thread.

A first solution (cheapest arc for tours, savings for routes), then guided local search (Voudouris and Tsang 1999) until the
budget's seconds are over. It computes with integers: real distances are rounded to about a ten-millionth of the largest,
and costs are reported in the instance's own metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, MissingExtraError, Result
from optgap.co.exact.progress import Guard, Progress, run_interruptibly
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes
from optgap.co.problems.distances import F8, NetworkInstance
from optgap.co.problems.tsp import tour_length

LARGEST = 5_000  # nodes: the matrix goes through Python integers, a gigabyte
RESOLUTION = 1e7  # what the largest of real numbers is scaled to
INTEGER_LIMIT = 2**40  # up to which integers are taken as they are
SHORTEST = 0.1  # seconds of search, where importing the library has used up the budget

I64 = NDArray[np.int64]


def solve_tour(instance: NetworkInstance, budget: Budget) -> Result:
    """The best tour found within the budget, (N,) int64, and the history; Ctrl-C returns the incumbent.

    Raises:
        MissingExtraError: OR-Tools is not installed.
        InputError: more than 5,000 nodes.
    """
    progress = Progress(integral=False)

    def found(routes: list[list[int]]) -> None:
        tour = np.array([0, *routes[0]])
        progress.found(tour, tour_length(instance, tour))

    if instance.n_nodes == 1:
        found([[]])
    else:
        _search(instance, 1, None, "PATH_CHEAPEST_ARC", found, progress, budget)
    return progress.result()


def solve_cvrp(instance: CVRPInstance, budget: Budget) -> Result:
    """The best routes found within the budget, as :class:`~optgap.co.problems.cvrp.CVRP` has them; see :func:`solve_tour`.

    The vehicles are a fifth and three more than first-fit decreasing needs: enough for any demands, and far fewer than the
    customers. Demands that are no integers are rounded up to a millionth of the capacity.
    """
    progress = Progress(integral=False)

    def found(routes: list[list[int]]) -> None:
        solution = join_routes(route for route in routes if route)
        progress.found(solution, CVRP_PROBLEM.cost(instance, solution))

    demand, capacity = _whole_demands(instance)
    vehicles = min(instance.n_customers, int(1.2 * _first_fit(demand, capacity)) + 3)
    _search(instance, vehicles, (demand, capacity), "SAVINGS", found, progress, budget)
    return progress.result()


def _whole_demands(instance: CVRPInstance) -> tuple[I64, int]:
    if (instance.demand == np.floor(instance.demand)).all() and instance.capacity < INTEGER_LIMIT:
        return instance.demand.astype(np.int64), int(instance.capacity)
    scale = 1e6 / instance.capacity
    return np.minimum(np.ceil(instance.demand * scale), 1e6).astype(np.int64), 10**6


def _first_fit(demand: I64, capacity: int) -> int:
    """Vehicles that first-fit decreasing needs: no less than some solution needs."""
    room = np.zeros(0, np.int64)
    for load in np.sort(demand)[::-1].tolist():
        fits = np.flatnonzero(room >= load)
        if len(fits):
            room[fits[0]] -= load
        else:
            room = np.append(room, capacity - load)
    return len(room)


def _whole_distances(distances: F8) -> I64:
    largest = float(distances.max())
    if largest == 0 or (largest <= INTEGER_LIMIT and (distances == np.floor(distances)).all()):
        return distances.astype(np.int64)
    return np.rint(distances * (RESOLUTION / largest)).astype(np.int64)


def _search(
    instance: NetworkInstance,
    vehicles: int,
    loads: tuple[I64, int] | None,
    first: str,
    found: Callable[[list[list[int]]], None],
    progress: Progress,
    budget: Budget,
) -> None:
    """Build the model and search; ``found`` gets the routes without the depot, node 0, of each new best solution."""
    try:
        from ortools.constraint_solver import pywrapcp, routing_enums_pb2
    except ImportError:
        raise MissingExtraError("ortools", "cp") from None
    if instance.n_nodes > LARGEST:
        raise InputError(
            f"instance {instance.name}: {instance.n_nodes} nodes; OR-Tools takes up to {LARGEST} for routes"
        )
    manager = pywrapcp.RoutingIndexManager(instance.n_nodes, vehicles, 0)
    routing = pywrapcp.RoutingModel(manager)
    guard, best = Guard(), [2**63]
    matrix = _whole_distances(instance.distances).tolist()
    routing.SetArcCostEvaluatorOfAllVehicles(routing.RegisterTransitMatrix(matrix))
    if loads is not None:
        demand, capacity = loads
        load = routing.RegisterUnaryTransitVector(demand.tolist())
        routing.AddDimension(load, 0, capacity, True, "load")

    def routes() -> list[list[int]]:
        answer = []
        for vehicle in range(vehicles):
            index, route = routing.NextVar(routing.Start(vehicle)).Value(), []
            while not routing.IsEnd(index):
                route.append(manager.IndexToNode(index))
                index = routing.NextVar(index).Value()
            answer.append(route)
        return answer

    def at_solution() -> None:
        with guard(routing.CancelSearch):
            if (cost := routing.CostVar().Value()) < best[0]:
                best[0] = cost
                found(routes())

    routing.AddAtSolutionCallback(at_solution)
    parameters: Any = pywrapcp.DefaultRoutingSearchParameters()
    parameters.first_solution_strategy = getattr(routing_enums_pb2.FirstSolutionStrategy, first)
    parameters.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    left = max(SHORTEST, min(budget.seconds - progress.seconds(), 1e9))
    parameters.time_limit.FromMilliseconds(int(1000 * left))
    run_interruptibly(lambda: routing.SolveWithParameters(parameters), routing.CancelSearch, guard)
