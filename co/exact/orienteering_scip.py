"""SCIP for the orienteering problem: binaries for edges and nodes, one row for the length, connectivity separated.

A visited node has degree 2, and every set S of nodes without the start is left by at least 2 y(v) edges for each v in it:
x(E(S)) <= y(S) - y(v), the generalised subtour elimination constraint, separated exactly by minimum cuts. A path whose end
is another node than its start is a tour through an edge between the two that is always there. Source: Fischetti, Salazar
Gonzalez and Toth 1998.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, Result
from optgap.co.exact.lazy_rows import Row, include_lazy_rows
from optgap.co.exact.progress import Guard, Progress
from optgap.co.exact.scip_run import CLOSE_SETTINGS, objective_unit, run_scip
from optgap.co.exact.subtours import F8, I64, components, minimum_cuts
from optgap.co.exact.warm_start import warm_up
from optgap.co.problems.orienteering import ORIENTEERING, TOLERANCE, OrienteeringInstance

LARGEST = 1_500  # nodes: about a million variables
WARM_UP = 2_000  # iterations a node of ruin and recreate for the first incumbent, at most
VIOLATION = 1e-4


def solve(instance: OrienteeringInstance, budget: Budget) -> Result:
    """The best path found within the budget, its bound, and the history; Ctrl-C returns the incumbent.

    Raises:
        InputError: more than 1,500 nodes.
    """
    if instance.n_nodes > LARGEST:
        raise InputError(f"instance {instance.name}: {instance.n_nodes} nodes; SCIP's model takes up to {LARGEST}")
    integral, unit = objective_unit(instance.prize)
    progress = Progress(integral=integral, unit=-unit)
    with contextlib.suppress(KeyboardInterrupt):
        _Model(instance, progress, budget).run()
    return progress.result()


class _Model:
    """The model over the nodes in reach (``nodes``, the start first) and the edges that a path within the limit can hold."""

    def __init__(self, instance: OrienteeringInstance, progress: Progress, budget: Budget) -> None:
        self.instance, self.progress, self.budget = instance, progress, budget
        start, end, most = instance.start, instance.end, instance.limit * (1 + TOLERANCE)
        self.closed = start == end
        there, back = instance.distances[start], instance.distances[end]
        reach = there + back <= most
        reach[[start, end]] = False
        self.nodes = np.concatenate([[start] if self.closed else [start, end], np.flatnonzero(reach)])
        progress.proved(ORIENTEERING.cost(instance, self.nodes) / progress.unit)  # no path collects more
        self.found(np.array([start, end]))
        self.alone = (
            -1
        )  # the best node to visit alone, there and back: a tour over one edge twice, which no edge here says
        if self.closed and reach.any():
            self.alone = int(np.argmax(np.where(reach, instance.prize, -1.0)))
            self.found(np.array([start, self.alone, start]))
        tails, heads = np.triu_indices(len(self.nodes), 1)
        a, b = self.nodes[tails], self.nodes[heads]
        between = instance.distances[a, b]
        within = np.minimum(there[a] + back[b], there[b] + back[a]) + between <= most
        self.tails, self.heads, self.lengths = tails[within], heads[within], between[within]

    def found(self, path: I64) -> None:
        """Give a path to the progress if it keeps the limit."""
        if self.instance.length(path) <= self.instance.limit * (1 + TOLERANCE):
            self.progress.found(path, ORIENTEERING.cost(self.instance, path) / self.progress.unit)

    def run(self) -> None:
        """Warm start, build, optimize."""
        from pyscipopt import SCIP_PARAMSETTING, Model, quicksum

        if self.progress.bound >= self.progress.cost:
            return
        path = self._warm_start()
        model = self.model = Model(self.instance.name)
        model.hideOutput()
        prize = self.instance.prize[self.nodes] / self.progress.unit
        self.edges = [model.addVar(f"x{e}", "B") for e in range(len(self.tails))]
        self.visits = [model.addVar(f"y{v}", "B", obj=p if v else 0.0) for v, p in enumerate(prize.tolist())]
        model.addObjoffset(float(prize[0]))
        at: list[list[Any]] = [[] for _ in self.nodes]
        for i, j, x in zip(self.tails.tolist(), self.heads.tolist(), self.edges, strict=True):
            at[i].append(x)
            at[j].append(x)
        for v, incident in enumerate(at):
            through = 2 * self.visits[v] if self.closed or v > 1 else 1
            model.addCons(quicksum(incident) == through)
        _, scale = objective_unit(np.append(self.lengths, self.instance.limit))
        lengths = (self.lengths / scale).tolist()
        model.addCons(quicksum(c * x for c, x in zip(lengths, self.edges, strict=True)) <= self.instance.limit / scale)
        self.single: Any = None
        if not self.closed:
            for v in (0, 1):
                model.chgVarLb(self.visits[v], 1.0)
        elif self.alone >= 0:
            self.single = model.addVar("alone", "B", obj=self.instance.prize[self.alone] / self.progress.unit)
            model.addCons(self.single + self.visits[0] <= 1)
        guard = Guard()
        include_lazy_rows(model, [*self.edges, *self.visits], self._separate, guard)
        model.setParams(CLOSE_SETTINGS)
        model.setHeuristics(SCIP_PARAMSETTING.OFF)  # they rarely beat ruin and recreate, and take half of the time
        for y in self.visits:
            model.chgVarBranchPriority(y, 1)  # whether a node is visited decides more than an edge
        self._offer(path)
        run_scip(model, self.progress, self.budget, incumbent=self._incumbent, guard=guard)

    def _warm_start(self) -> I64:
        """Greedy insertion, then ruin and recreate."""
        from optgap.co.heuristics.orienteering_runs import greedy_path, improve_path
        from optgap.co.heuristics.tour_space import space_of

        instance = self.instance
        space = space_of(instance)
        path = greedy_path(space, instance.prize, instance.limit, instance.start, instance.end)
        self.found(path)

        def improve(iterations: int) -> None:
            nonlocal path
            path = improve_path(space, instance.prize, instance.limit, path, iterations, self.budget.seed)
            self.found(path)

        warm_up(self.progress, self.budget, improve, WARM_UP * instance.n_nodes)
        return path

    def _separate(self, values: F8, integral: bool) -> list[Row]:
        m, n = len(self.edges), len(self.nodes)
        edge, visit = values[:m], np.maximum(values[m:], 0.0)
        tails, heads = self.tails, self.heads
        if not self.closed:
            tails, heads, edge = np.append(tails, 0), np.append(heads, 1), np.append(edge, 1.0)
        if integral:
            labels = components(n, tails, heads, edge, above=0.5)
            sets = [np.flatnonzero(labels == k) for k in range(1, int(labels.max()) + 1)]
            sets = [nodes for nodes in sets if len(nodes) > 1]
        else:
            cuts = minimum_cuts(n, tails, heads, edge, 0, 2.0 * visit, tolerance=VIOLATION)
            sets = [cut.nodes for cut in cuts if len(cut.nodes) > 1]
        return [self._row(nodes, visit) for nodes in sets]

    def _row(self, nodes: I64, visit: F8) -> Row:
        """y(S) - y(v) - x(E(S)) >= 0 for the node v of S that is visited most."""
        inside = np.zeros(len(self.nodes), np.bool_)
        inside[nodes] = True
        within = np.flatnonzero(inside[self.tails] & inside[self.heads])
        others = np.delete(nodes, np.argmax(visit[nodes]))
        columns = np.concatenate([within, len(self.edges) + others])
        return Row(columns, np.concatenate([np.full(len(within), -1.0), np.ones(len(others))]), 0.0)

    def _offer(self, path: NDArray[Any]) -> None:
        if len(np.unique(path)) < 3:
            return
        position = np.full(self.instance.n_nodes, -1)
        position[self.nodes] = np.arange(len(self.nodes))
        where = position[path]
        used = np.zeros((len(self.nodes), len(self.nodes)), np.bool_)
        used[where[:-1], where[1:]] = used[where[1:], where[:-1]] = True
        solution = self.model.createSol()
        for e in np.flatnonzero(used[self.tails, self.heads]).tolist():
            self.model.setSolVal(solution, self.edges[e], 1.0)
        for v in np.unique(where).tolist():
            self.model.setSolVal(solution, self.visits[v], 1.0)
        self.model.addSol(solution)

    def _incumbent(self, solution: Any) -> None:
        links: list[list[int]] = [[] for _ in self.nodes]
        for i, j, x in zip(self.tails.tolist(), self.heads.tolist(), self.edges, strict=True):
            if self.model.getSolVal(solution, x) > 0.5:
                links[i].append(j)
                links[j].append(i)
        path, last = [0], -1
        goal = 0 if self.closed else 1
        while links[0] and (len(path) == 1 or path[-1] != goal):
            here = path[-1]
            path.append(next(j for j in links[here] if j != last))
            last = here
        if len(path) > 1:
            self.found(self.nodes[path])
