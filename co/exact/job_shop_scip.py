"""SCIP for the job shop and for the blocking job shop with swaps and down-times: a disjunctive MILP.

Variables: a start time an operation; a binary an open pair on a machine; where an operation may meet down-times, a binary
a *mode* (see :class:`~optgap.co.exact.disjunctive.Mode`), which makes its completion an exact linear expression; the
makespan (integer). Start times lie between heads and tails under the warm start's makespan, each big-M follows from
these windows, and pairs that the windows decide have no binary. Sources: Manne 1960; Carlier and Pinson 1989.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, Result
from optgap.co.exact.disjunctive import Disjunctive
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import run_scip
from optgap.co.exact.shop_times import I64, leave, makespan
from optgap.co.problems.job_shop import JobShopInstance

HORIZON_LIMIT = 10**7  # SCIP accepts a binary of 1e-6: times a larger big-M, that is more than ten time units


def solve(instance: JobShopInstance, budget: Budget) -> Result:
    """The best schedule found within the budget, its bound, and the history; Ctrl-C returns the incumbent.

    The problem is that of the instance's type: :class:`BlockingJobShopInstance` or plain :class:`JobShopInstance`. The
    solution is an (N,) int64 array of start times, left-shifted for the machine orders that SCIP found.

    Raises:
        InputError: too many pairs for the memory, or times too large for SCIP's tolerances.
    """
    from optgap.co.heuristics.dispatching import best_rule_schedule

    progress = Progress()
    try:
        start = best_rule_schedule(instance)
        progress.found(start, makespan(instance, start))  # at once: on a large shop the bounds take seconds
        shop = Disjunctive(instance, start)
        if shop.upper > HORIZON_LIMIT:
            raise InputError(
                f"instance {instance.name}: a horizon of {shop.upper} time units; SCIP takes up to {HORIZON_LIMIT}"
            )
        progress.proved(shop.lower)
        if shop.lower < shop.upper:
            _Model(shop, progress, budget).run(start)
    except KeyboardInterrupt:
        pass
    return progress.result()


class _Model:
    """The MILP of a shop."""

    def __init__(self, shop: Disjunctive, progress: Progress, budget: Budget) -> None:
        from pyscipopt import Model

        self.shop, self.progress, self.budget = shop, progress, budget
        self.model = Model(shop.instance.name)
        self.model.hideOutput()
        self.makespan = self.model.addVar("makespan", "I", lb=shop.lower, ub=shop.upper, obj=1.0)
        self.start = [
            self.model.addVar(f"s{o}", "C", lb=int(low), ub=int(high))
            for o, (low, high) in enumerate(zip(shop.earliest, shop.latest, strict=True))
        ]
        self.modes: list[tuple[int, int, int, Any]] = []  # operation, low, high, binary
        self.pairs: list[tuple[int, Any]] = []  # index into the shop's pairs, binary

    def run(self, start: I64) -> None:
        """Build, offer the warm start, optimize."""
        end = [self._completion(o) for o in range(len(self.start))]
        leaving = list(end)
        for o, following in enumerate(self.shop.shop.next):
            if following < 0:
                self.model.addCons(self.makespan >= end[o])
                continue
            self.model.addCons(self.start[following] >= end[o])
            if self.shop.shop.blocking:
                leaving[o] = self.start[following]
        self._disjunctions(leaving)
        if self.progress.seconds() < self.budget.seconds:
            self._offer(start, self.shop.upper, None)
        run_scip(self.model, self.progress, self.budget, incumbent=self._incumbent, suggest=self._suggest)

    def _completion(self, o: int) -> Any:
        """Completion of an operation as an expression; where down-times matter, with its modes (a convex hull)."""
        modes = self.shop.modes[o]
        end = self.start[o] + int(self.shop.instance.duration[o])
        if len(modes) == 1:
            return end + modes[0].delay
        from pyscipopt import quicksum

        binaries = [self.model.addVar(f"z{o}_{k}", "B") for k in range(len(modes))]
        self.modes += [(o, mode.low, mode.high, z) for mode, z in zip(modes, binaries, strict=True)]
        self.model.addCons(quicksum(binaries) == 1)
        self.model.addCons(self.start[o] >= quicksum(mode.low * z for mode, z in zip(modes, binaries, strict=True)))
        self.model.addCons(self.start[o] <= quicksum(mode.high * z for mode, z in zip(modes, binaries, strict=True)))
        return end + quicksum(mode.delay * z for mode, z in zip(modes, binaries, strict=True))

    def _disjunctions(self, leaving: list[Any]) -> None:
        shop, s = self.shop, self.start
        latest_leave = [leave(shop.shop, shop.latest, o) for o in range(len(s))]
        for k, (a, b, order) in enumerate(zip(shop.a.tolist(), shop.b.tolist(), shop.order.tolist(), strict=True)):
            if k % 1000 == 0 and self.progress.seconds() > self.budget.seconds:
                return
            if order < 0:
                a, b = b, a
            slack = latest_leave[a] - int(shop.earliest[b])  # how far b can be ahead of a's leaving: the big-M
            if order != 0:
                if slack > 0:  # the windows alone do not keep them apart
                    self.model.addCons(s[b] >= leaving[a])
                continue
            back = latest_leave[b] - int(shop.earliest[a])
            first = self.model.addVar(f"y{a}_{b}", "B")  # a before b
            self.pairs.append((k, first))
            self.model.addCons(s[b] - leaving[a] >= slack * (first - 1))
            self.model.addCons(s[a] - leaving[b] >= -back * first)

    def _offer(self, start: I64, makespan: int, heuristic: Any) -> None:
        """Give SCIP a schedule as a solution of the model."""
        solution = self.model.createSol(heuristic)
        middle = start + np.array([leave(self.shop.shop, start, o) for o in range(len(start))])
        for variable, value in zip(self.start, start.tolist(), strict=True):
            self.model.setSolVal(solution, variable, value)
        for o, low, high, z in self.modes:
            self.model.setSolVal(solution, z, float(low <= start[o] <= high))
        for k, first in self.pairs:
            self.model.setSolVal(solution, first, float(middle[self.shop.a[k]] <= middle[self.shop.b[k]]))
        self.model.setSolVal(solution, self.makespan, makespan)
        if heuristic is None:
            self.model.addSol(solution)
        else:
            self.model.trySol(solution, printreason=False)

    def _read(self, solution: Any) -> NDArray[np.float64]:
        return np.array([self.model.getSolVal(solution, variable) for variable in self.start])

    def _incumbent(self, solution: Any) -> None:
        """SCIP's solution holds up to its tolerances: keep its machine orders, recompute integer start times."""
        shifted = self.shop.left_shifted(self._read(solution), self.shop.upper)
        if shifted is not None:
            self.progress.found(shifted, self.shop.makespan(shifted))

    def _suggest(self, heuristic: Any) -> None:
        """Two schedules that follow the LP solution; offer the better one if it improves the incumbent."""
        times = self._read(None)
        schedules = [self.shop.dispatched(times)]
        if (shifted := self.shop.left_shifted(times, int(self.progress.cost) - 1)) is not None:
            schedules.append(shifted)
        best = min(schedules, key=self.shop.makespan)
        if (makespan := self.shop.makespan(best)) < self.progress.cost:
            self._offer(best, makespan, heuristic)
