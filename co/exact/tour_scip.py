"""SCIP for the TSP and the ATSP: a binary an edge (arc), degree equalities, subtours separated by a constraint handler.

Three steps, and the bound holds for the complete graph at each. A tour by local search; the subtour relaxation over all
edges (:mod:`~optgap.co.exact.tour_lp`), whose reduced costs prove that most edges are in no tour shorter than that one;
SCIP over the edges that are left, the tour's own among them, with the relaxation's tight rows as a start. Subtours are
separated at every node: on integral and on fractional LP solutions, by components and by minimum cuts.

Sources: Dantzig, Fulkerson and Johnson 1954; Padberg and Rinaldi 1991.
"""

from __future__ import annotations

import contextlib
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, Result
from optgap.co.exact.lazy_rows import Row, include_lazy_rows
from optgap.co.exact.progress import Guard, Progress
from optgap.co.exact.scip_run import objective_unit, run_scip
from optgap.co.exact.subtours import F8, I64
from optgap.co.exact.tour_lp import SubtourLP, subtours
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSPInstance, tour_length

LARGEST = 2_000  # nodes: beyond, a single LP may take longer than a budget
LARGEST_MODEL = 50_000  # edges left: with more, the relaxation's bound is the answer
LOOK = 64, 500  # nodes searched, perturbations: between two looks at the clock
PATIENCE = 20  # perturbations a node that bring nothing, at least, before the local search ends


def solve(instance: NetworkInstance, budget: Budget) -> Result:
    """The best tour found within the budget, its bound, and the history; Ctrl-C returns the incumbent.

    The problem is that of the instance's type: :class:`~optgap.co.problems.tsp.ATSPInstance` or symmetric. The solution
    is an (N,) int64 permutation. Where all distances are integers, so is the bound. Where the tour and the relaxation leave
    more than 50,000 edges, which happens from about 1,000 nodes on, the search ends with the relaxation's bound.

    Raises:
        InputError: more than 2,000 nodes.
    """
    if instance.n_nodes > LARGEST:
        raise InputError(f"instance {instance.name}: {instance.n_nodes} nodes; SCIP takes up to {LARGEST} for a tour")
    integral, unit = objective_unit(instance.distances)
    search = _Search(instance, instance.distances / unit, Progress(integral=integral, unit=unit), budget)
    with contextlib.suppress(KeyboardInterrupt):
        search.run()
    return search.progress.result()


class _Search:
    """The three steps; ``costs`` (N, N) are the distances in the progress's unit."""

    def __init__(self, instance: NetworkInstance, costs: F8, progress: Progress, budget: Budget) -> None:
        self.instance, self.costs, self.progress, self.budget = instance, costs, progress, budget
        self.n, self.directed = len(costs), isinstance(instance, ATSPInstance)

    def run(self) -> None:
        """All steps, each as far as time and need go."""
        if self.n <= 3:
            for rest in permutations(range(1, self.n)):
                self.found(np.array([0, *rest]))
            self.progress.proved(self.progress.cost)
            return
        far = self.costs + np.diag(np.full(self.n, np.inf))
        if self.directed:
            self.progress.proved(max(far.min(0).sum(), far.min(1).sum()))
        else:
            self.progress.proved(np.partition(far, 1)[:, :2].sum() / 2)
        tour = self.local_search()
        lp = SubtourLP(self.costs, tour, directed=self.directed)
        if not self.relax(lp) or self.progress.bound >= self.progress.cost:
            return
        # A dropped edge is in no tour shorter than the incumbent: what SCIP proves without it, up to the incumbent's cost,
        # holds for the complete graph.
        limit = self.progress.cost - (1.0 - 1e-6 if self.progress.integral else 0.0)
        kept = lp.bound + lp.reduced <= limit + 1e-9 * self.progress.cost
        after = np.roll(tour, -1)
        kept[(tour, after) if self.directed else (np.minimum(tour, after), np.maximum(tour, after))] = True
        tails, heads = np.nonzero(kept)
        if len(tails) > LARGEST_MODEL or self.progress.seconds() >= self.budget.seconds:
            return
        _Model(self, tails, heads, lp.tight()).run(tour)

    def found(self, tour: Any) -> None:
        """Give a tour to the progress."""
        tour = np.asarray(tour, np.int64)
        self.progress.found(tour, tour_length(self.instance, tour) / self.progress.unit)

    def local_search(self) -> I64:
        """Iterated 3-opt until half of its perturbations have brought nothing, or a tenth of the budget is spent."""
        from optgap.co.heuristics import asymmetric_local_search, tour_local_search
        from optgap.co.heuristics.neighbour_lists import neighbour_lists
        from optgap.co.heuristics.random_stream import random_stream
        from optgap.co.heuristics.tour_construction import nearest_neighbour
        from optgap.co.heuristics.tour_search import LOGGED, TOLERANCE, WAITING, load_tour, search_of

        kernels: Any = asymmetric_local_search if self.directed else tour_local_search
        exchanges = () if self.directed else (3,)
        near, gap = neighbour_lists(self.costs, kernels.NEIGHBOURS)
        state, tolerance = search_of(near, gap), TOLERANCE * float(gap.mean())
        state.random[:] = random_stream(self.budget.seed)
        load_tour(state, nearest_neighbour(self.costs, near, 0))
        self.found(state.tour)
        deadline = self.progress.seconds() + 0.1 * self.budget.seconds
        while state.counts[WAITING] and self.progress.seconds() < deadline:
            state.counts[LOGGED] = 0
            kernels.descend(self.costs, state, tolerance, *exchanges, LOOK[0])
        self.found(state.tour)
        improved, done = 0, 0
        while done <= 2 * improved + PATIENCE * self.n and self.progress.seconds() < deadline:
            before = self.progress.cost
            kernels.iterate(self.costs, state, LOOK[1], tolerance)
            self.found(state.tour)
            done += LOOK[1]
            if self.progress.cost < before - tolerance:  # less is rounding, of the sum of an equal tour
                improved = done
        return state.tour.astype(np.int64)

    def relax(self, lp: SubtourLP) -> bool:
        """Solve the relaxation over all edges; False where the time was up before."""
        dual = True
        while self.progress.seconds() < self.budget.seconds:
            lp.solve(dual=dual)
            dual = True
            if lp.separate():
                continue
            more = lp.price()
            self.progress.proved(min(lp.bound, self.progress.cost))
            if not more:
                return True
            dual = False  # new columns leave the solution feasible
        return False


class _Model:
    """The integer program over the edges that are left: ``tails`` and ``heads`` (M,), and sets (K, N) to begin with."""

    def __init__(self, search: _Search, tails: I64, heads: I64, masks: NDArray[np.bool_]) -> None:
        from pyscipopt import SCIP_PARAMSETTING, Model, quicksum

        self.search, self.tails, self.heads = search, tails, heads
        self.n, self.directed = search.n, search.directed
        self.model = Model(search.instance.name)
        self.model.setPresolve(SCIP_PARAMSETTING.OFF)  # it finds nothing that the reduced costs have not: measured
        costs = search.costs[tails, heads].tolist()
        self.edges = [self.model.addVar(f"x{e}", "B", obj=cost) for e, cost in enumerate(costs)]
        ends: list[list[list[Any]]] = [[[] for _ in range(self.n)] for _ in range(2)]
        for x, i, j in zip(self.edges, tails.tolist(), heads.tolist(), strict=True):
            ends[0][i].append(x)
            ends[1 if self.directed else 0][j].append(x)
        for side in ends if self.directed else ends[:1]:
            for incident in side:
                self.model.addCons(quicksum(incident) == (1 if self.directed else 2))
        for mask in masks:
            inside = [self.edges[e] for e in np.flatnonzero(mask[tails] & mask[heads])]
            self.model.addCons(quicksum(inside) <= int(mask.sum()) - 1)

    def run(self, tour: I64) -> None:
        """Offer the tour, optimize."""
        guard = Guard()
        include_lazy_rows(self.model, self.edges, self._separate, guard)
        solution = self.model.createSol()
        after = np.roll(tour, -1)
        used = np.zeros((self.n, self.n), np.bool_)
        used[tour, after] = True
        if not self.directed:
            used |= used.T
        for e in np.flatnonzero(used[self.tails, self.heads]).tolist():
            self.model.setSolVal(solution, self.edges[e], 1.0)
        self.model.addSol(solution)
        search = self.search
        run_scip(self.model, search.progress, search.budget, incumbent=self._incumbent, guard=guard)

    def _separate(self, values: F8, integral: bool) -> list[Row]:
        """Violated subtour rows; of integral values with these degrees the components are all there can be."""
        rows = []
        for mask in subtours(self.n, self.tails, self.heads, values, directed=self.directed):
            columns = np.flatnonzero(mask[self.tails] & mask[self.heads])
            rows.append(Row(columns, np.full(len(columns), -1.0), 1.0 - float(mask.sum())))
        return rows

    def _incumbent(self, solution: Any) -> None:
        on = np.array([self.model.getSolVal(solution, x) for x in self.edges]) > 0.5
        tails, heads = self.tails[on].tolist(), self.heads[on].tolist()
        links: list[list[int]] = [[] for _ in range(self.n)]
        for i, j in zip(tails, heads, strict=True):
            links[i].append(j)
            if not self.directed:
                links[j].append(i)
        tour, last = [0], -1
        while len(tour) < self.n:
            here = tour[-1]
            tour.append(next(j for j in links[here] if j != last))
            last = here
        self.search.found(tour)
