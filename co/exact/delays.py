"""How late a vehicle may arrive in multi-agent path finding, for solvers whose models end at a horizon.

The argument (Surynek et al., Efficient SAT Approach to Multi-Agent Path Finding Under the Sum of Costs Objective, ECAI 2016):
with d(v) the vehicle's own shortest way, D the sum of them and a delay of k, a solution in which some vehicle arrives later
than d(v) + k costs more than D + k, because the others take at least their own ways. So a model in which each vehicle arrives
by d(v) + k decides all solutions that cost up to D + k, and its bound, up to D + k + 1, is one of the problem. With an incumbent
of cost D + k nothing is lost by this k. Without one, k doubles until there is a solution.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from optgap.co.core import Budget, Result, Status
from optgap.co.exact.joint_search import is_small, joint_search
from optgap.co.exact.progress import Progress
from optgap.co.heuristics.prioritized_planning import try_orders, warm_up
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance

ORDERS = 10_000  # of prioritized planning for the first incumbent, at most
SHARE = 0.05  # of the budget, at most, for them


class CappedProgress(Progress):
    """The progress of models that leave dear solutions out: a model's bound counts up to ``cap`` alone."""

    cap = 0.0

    def proved(self, bound: float) -> None:
        """A bound of the model; above all numbers where it has no solution."""
        super().proved(min(bound, self.cap))


def solve_by_delays(instance: MAPFInstance, budget: Budget, search: Callable[[CappedProgress, int], None]) -> Result:
    """Plan by priorities, then call ``search(progress, delay)`` until the problem is decided or the budget is spent.

    A search decides, or improves on within the budget, the model in which each vehicle v arrives by d(v) + ``delay`` at the
    least; it gives the progress what it finds, and proves infinity where the model has no (better) solution. Ctrl-C returns
    the incumbent.

    Infeasible is said where a vehicle has no way to its goal, and where the vehicles cannot pass each other as a search over
    all of them at once finds: for up to four million combinations of their cells. Beyond that such a case ends with the
    budget and no solution.
    """
    progress, lower = CappedProgress(), instance.lower_bound
    if lower is None:
        return Result(None, Status.INFEASIBLE)
    warm_up()
    with contextlib.suppress(KeyboardInterrupt):
        progress.cap = lower
        progress.proved(lower)
        limit = SHARE * budget.seconds
        try_orders(instance, ORDERS, budget.seed, progress.found, lambda: progress.seconds() < limit)
        if progress.solution is None and is_small(instance):
            paths = joint_search(instance)
            if paths is None:
                return Result(None, Status.INFEASIBLE)
            progress.found(paths, int(MAPF.cost(instance, paths)))
        delay = 1
        while progress.bound < progress.cost and progress.seconds() < budget.seconds:
            if progress.solution is not None:
                delay = int(progress.cost - lower)
            progress.cap = lower + delay + 1
            search(progress, delay)
            delay *= 2
    return progress.result()
