"""SCIP for multi-agent path finding: a flow of each vehicle through a time-expanded network, conflicts as rows.

Variables: a binary for a vehicle and an arc from a cell at a time to a neighbour or to itself a step later, which costs 1; and
a binary for the time from which a vehicle is at its goal for good, at no cost. Rows: a vehicle's flow is conserved; of all that
bring a vehicle to a cell at a time, or let it stand there for good, at most one is chosen (vertex conflict); likewise of all
that use an edge during a step in either direction, or wait at one of its ends (edge conflict; with the waiting a clique, and so
tighter than the two directions alone). Sources: Yu and LaValle, Optimal Multirobot Path Planning on Graphs, IEEE Transactions
on Robotics 32(5), 2016, for the network; Lam et al., Branch-and-Cut-and-Price for Multi-Agent Pathfinding, IJCAI 2019.

The horizon is that of :mod:`optgap.co.exact.delays`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result
from optgap.co.exact.delays import solve_by_delays
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import run_scip
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance, arrivals, steps_from

I64 = NDArray[np.int64]


def solve(instance: MAPFInstance, budget: Budget) -> Result:
    """The best paths found within the budget, their bound, and the history; Ctrl-C returns the incumbent.

    When infeasible is said: see :func:`~optgap.co.exact.delays.solve_by_delays`.

    Raises:
        InputError: too large a grid.
    """
    return solve_by_delays(instance, budget, lambda progress, delay: _Model(instance, progress, budget, delay).run())


class _Model:
    """The MILP in which each vehicle arrives by its own shortest way's time plus ``delay``."""

    def __init__(self, instance: MAPFInstance, progress: Progress, budget: Budget, delay: int) -> None:
        from pyscipopt import Model

        self.instance, self.progress, self.budget = instance, progress, budget
        self.latest = instance.distances[np.arange(instance.n_vehicles), instance.starts] + delay
        self.model = Model(instance.name)
        self.model.hideOutput()
        self.arcs: dict[tuple[int, int, int, int], Any] = {}  # vehicle, time, cell, cell a step later
        self.ends: dict[tuple[int, int], Any] = {}  # vehicle, time from which it is at its goal for good

    def run(self) -> None:
        """Build, offer the incumbent, optimize."""
        from pyscipopt import SCIP_PARAMSETTING

        for v in range(self.instance.n_vehicles):
            if self._is_late():
                break
            self._flow(v)
        self._conflicts()
        if self.progress.solution is not None and not self._is_late():
            self._offer(self.progress.solution)
        # The rows are tight and the first plan is good: all of this takes more time than it saves.
        self.model.setPresolve(SCIP_PARAMSETTING.FAST)
        self.model.setHeuristics(SCIP_PARAMSETTING.OFF)
        self.model.setSeparating(SCIP_PARAMSETTING.OFF)
        run_scip(self.model, self.progress, self.budget, incumbent=self._incumbent)

    def _is_late(self) -> bool:
        """The budget is spent, so that the model, built or not, is not looked at."""
        return self.progress.seconds() > self.budget.seconds

    def _flow(self, v: int) -> None:
        """The arcs that vehicle ``v`` can use between its start and an arrival in time, and the conservation of its flow."""
        from pyscipopt import quicksum

        instance, model, latest = self.instance, self.model, int(self.latest[v])
        start, goal, to_goal = int(instance.starts[v]), int(instance.goals[v]), instance.distances[v]
        neighbours = instance.neighbours.tolist()
        from_start = steps_from(instance.neighbours, start)
        between = np.flatnonzero((from_start >= 0) & (from_start + to_goal <= latest))
        into: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for t in range(latest + 1):
            for cell in between[(from_start[between] <= t) & (to_goal[between] <= latest - t)].tolist():
                out = []
                for after in (cell, *neighbours[cell]):
                    if after >= 0 and to_goal[after] <= latest - t - 1:
                        arc = model.addVar(f"x{v}_{t}_{cell}_{after}", "B", obj=1.0)
                        self.arcs[v, t, cell, after] = arc
                        into[t + 1, after].append(arc)
                        out.append(arc)
                if cell == goal:
                    self.ends[v, t] = model.addVar(f"y{v}_{t}", "B")
                    out.append(self.ends[v, t])
                model.addCons(quicksum(out) - quicksum(into[t, cell]) == int(t == 0))

    def _conflicts(self) -> None:
        """At most one vehicle in a cell, and on an edge or at its one end; rows that SCIP adds where they are broken."""
        from pyscipopt import quicksum

        final = int(self.latest.max())
        vertex: dict[Any, list[tuple[int, Any]]] = defaultdict(list)
        edge: dict[Any, list[tuple[int, Any]]] = defaultdict(list)
        neighbours = [[cell for cell in row if cell >= 0] for row in self.instance.neighbours.tolist()]
        for (v, t, cell, after), arc in self.arcs.items():
            vertex[t + 1, after].append((v, arc))
            if cell == after:
                for other in neighbours[cell]:
                    edge[t, cell, other].append((v, arc))
            else:
                edge[t, cell, after].append((v, arc))
                edge[t, after, cell].append((v, arc))
        for (v, end), variable in self.ends.items():
            goal = int(self.instance.goals[v])
            for t in range(end, final):
                vertex[t + 1, goal].append((v, variable))
                for other in neighbours[goal]:
                    edge[t, goal, other].append((v, variable))
        for k, row in enumerate((*vertex.values(), *edge.values())):
            if k % 1000 == 0 and self._is_late():
                return
            if len({v for v, _ in row}) > 1:
                self.model.addCons(quicksum(variable for _, variable in row) <= 1, initial=False)

    def _offer(self, paths: I64) -> None:
        """Give SCIP the incumbent as a solution of the model."""
        solution = self.model.createSol()
        for v, end in enumerate(arrivals(self.instance, paths).tolist()):
            for t, (cell, after) in enumerate(
                zip(paths[v, :end].tolist(), paths[v, 1 : end + 1].tolist(), strict=True)
            ):
                self.model.setSolVal(solution, self.arcs[v, t, cell, after], 1.0)
            self.model.setSolVal(solution, self.ends[v, end], 1.0)
        self.model.addSol(solution)

    def _incumbent(self, solution: Any) -> None:
        paths = np.repeat(self.instance.goals[:, None], int(self.latest.max()) + 1, axis=1)
        paths[:, 0] = self.instance.starts
        for (v, t, _, after), arc in self.arcs.items():
            if self.model.getSolVal(solution, arc) > 0.5:
                paths[v, t + 1] = after
        self.progress.found(paths, int(MAPF.cost(self.instance, paths)))
