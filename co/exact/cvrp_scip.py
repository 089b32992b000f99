"""SCIP for the CVRP: the two-index formulation with rounded capacity inequalities, separated.

Variables: how often the edge between two nodes is driven (0 or 1; up to 2 at the depot, whose edge driven twice is a route
of one customer), and the number of routes. Customers have degree 2, the depot twice the number of routes, and every set S
of customers is left by at least 2 k(S) edges (:mod:`~optgap.co.exact.rounded_capacity`), which forbids both subtours and
overloaded routes. Sources: Laporte, Nobert and Desrochers 1985; Lysgaard, Letchford and Eglese 2004.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, Result
from optgap.co.exact.lazy_rows import Row, include_lazy_rows
from optgap.co.exact.progress import Guard, Progress
from optgap.co.exact.rounded_capacity import vehicles, violated_sets
from optgap.co.exact.scip_run import objective_unit, run_scip
from optgap.co.exact.subtours import F8, I64
from optgap.co.exact.warm_start import warm_up
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes

LARGEST = 1_500  # nodes: about a million variables
ROUNDS = 20  # cuts a round, at most: the most violated
WARM_UP = 2_000  # iterations a customer of ruin and recreate for the first incumbent, at most


def solve(instance: CVRPInstance, budget: Budget) -> Result:
    """The best routes found within the budget, their bound, and the history; Ctrl-C returns the incumbent.

    Raises:
        InputError: more than 1,500 nodes.
    """
    if instance.n_nodes > LARGEST:
        raise InputError(f"instance {instance.name}: {instance.n_nodes} nodes; SCIP's model takes up to {LARGEST}")
    integral, unit = objective_unit(instance.distances)
    progress = Progress(integral=integral, unit=unit)
    try:
        progress.proved(_degree_bound(instance) / unit)
        start = _warm_start(instance, progress, budget)
        if progress.bound < progress.cost:
            _Model(instance, progress, budget).run(start)
    except KeyboardInterrupt:
        pass
    return progress.result()


def _degree_bound(instance: CVRPInstance) -> float:
    """Half of the cheapest edges that give each node its degree; at once, where SCIP may never come to a bound."""
    depot = instance.distances[0, 1:]
    between = instance.distances[1:, 1:].copy()
    np.fill_diagonal(between, np.inf)
    at_customers = np.partition(np.column_stack([between, depot, depot]), 1, axis=1)[:, :2]  # a depot edge counts twice
    leaving = 2 * vehicles(instance.demand.sum() / instance.capacity)
    at_depot = np.sort(np.repeat(depot, 2))[:leaving]
    return 0.5 * float(at_customers.sum() + at_depot.sum())


def _warm_start(instance: CVRPInstance, progress: Progress, budget: Budget) -> I64:
    """Savings, then ruin and recreate."""
    from optgap.co.heuristics.route_construction import savings_routes
    from optgap.co.heuristics.ruin_recreate import improve_routes
    from optgap.co.heuristics.tour_space import space_of

    space = space_of(instance)
    start = savings_routes(space, instance.demand, instance.capacity)
    progress.found(start, CVRP_PROBLEM.cost(instance, start) / progress.unit)

    def improve(iterations: int) -> None:
        found = improve_routes(space, instance.demand, instance.capacity, start, iterations, budget.seed)
        progress.found(found, CVRP_PROBLEM.cost(instance, found) / progress.unit)

    warm_up(progress, budget, improve, WARM_UP * instance.n_customers)
    best: I64 = progress.solution
    return best


class _Model:
    """The integer program over all edges."""

    def __init__(self, instance: CVRPInstance, progress: Progress, budget: Budget) -> None:
        self.instance, self.progress, self.budget = instance, progress, budget
        self.share = instance.demand / instance.capacity
        self.tails, self.heads = np.triu_indices(instance.n_nodes, 1)
        self.edges: list[Any] = []

    def run(self, start: I64) -> None:
        """Build, offer the warm start, optimize; nothing where the time is up before."""
        from pyscipopt import SCIP_PARAMSETTING, Model, quicksum

        n, unit = self.instance.n_nodes, self.progress.unit
        model = self.model = Model(self.instance.name)
        at: list[list[Any]] = [[] for _ in range(n)]
        for i in range(n - 1):
            costs = (self.instance.distances[i, i + 1 :] / unit).tolist()
            for j, cost in enumerate(costs, i + 1):
                x = model.addVar(f"x{i}_{j}", "B" if i else "I", lb=0, ub=1 if i else 2, obj=cost)
                at[i].append(x)
                at[j].append(x)
                self.edges.append(x)
            if self.progress.seconds() > self.budget.seconds:
                model.free()
                return
        self.routes = model.addVar("routes", "I", lb=vehicles(self.share.sum()), ub=n - 1)
        for i, incident in enumerate(at):
            model.addCons(quicksum(incident) == (2 if i else 2 * self.routes))
        guard = Guard()
        include_lazy_rows(model, self.edges, self._separate, guard)
        model.setHeuristics(SCIP_PARAMSETTING.OFF)  # they rarely beat ruin and recreate, and take half of the time
        self._offer(start)
        run_scip(model, self.progress, self.budget, incumbent=self._incumbent, guard=guard)

    def _support(self, values: F8) -> F8:
        n = self.instance.n_nodes
        weight = np.zeros((n, n))
        weight[self.tails, self.heads] = weight[self.heads, self.tails] = np.maximum(values, 0.0)
        return weight

    def _separate(self, values: F8, integral: bool) -> list[Row]:
        weight = self._support(np.round(values) if integral else values)
        return [self._row(mask) for mask in violated_sets(weight, self.share, fractional=not integral)[:ROUNDS]]

    def _row(self, inside: NDArray[np.bool_]) -> Row:
        """The inequality of a set, in its form with the fewest coefficients: by the degrees they say the same.

        x(E(S)) <= |S| - k, or of the other customers T: x(E(T)) + (x(0:T) - x(0:S)) / 2 <= |T| - k.
        """
        need = vehicles(self.share[inside].sum())
        others = ~inside
        others[0] = False
        small = inside.sum() <= others.sum()
        within = inside if small else others
        coefficients = np.zeros(len(self.tails))
        coefficients[within[self.tails] & within[self.heads]] = -1.0
        if not small:
            depot = self.tails == 0
            coefficients[depot & others[self.heads]] = -0.5
            coefficients[depot & inside[self.heads]] = 0.5
        columns = np.flatnonzero(coefficients)
        return Row(columns, coefficients[columns], float(need - within.sum()))

    def _offer(self, start: I64) -> None:
        solution = self.model.createSol()
        flat = np.concatenate([[0], start, [0]])
        count: dict[tuple[int, int], int] = {}
        for a, b in zip(flat[:-1].tolist(), flat[1:].tolist(), strict=True):
            if a != b:
                count[min(a, b), max(a, b)] = count.get((min(a, b), max(a, b)), 0) + 1
        routes = 0
        for i, j, x in zip(self.tails.tolist(), self.heads.tolist(), self.edges, strict=True):
            self.model.setSolVal(solution, x, count.get((i, j), 0))
            routes += count.get((i, j), 0) if i == 0 else 0
        self.model.setSolVal(solution, self.routes, routes // 2)
        self.model.addSol(solution)

    def _incumbent(self, solution: Any) -> None:
        values = np.array([self.model.getSolVal(solution, x) for x in self.edges])
        found = join_routes(read_routes(self._support(np.round(values))))
        self.progress.found(found, CVRP_PROBLEM.cost(self.instance, found) / self.progress.unit)


def read_routes(weight: F8) -> list[list[int]]:
    """The routes whose edges an (N, N) integral support graph, depot first, holds."""
    left = weight.copy()
    routes = []
    while left[0].sum() > 0:
        at, route = 0, []
        while True:
            following = int(np.argmax(left[at] > 0.5)) if at == 0 else int(np.argmax(left[at, 1:] > 0.5)) + 1
            if at > 0 and left[at, following] < 0.5:
                following = 0
            left[at, following] -= 1
            left[following, at] -= 1
            at = following
            if at == 0:
                break
            route.append(at)
        routes.append(route)
    return routes
