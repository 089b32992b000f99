"""Running a SCIP model within a budget: settings, incumbents, Ctrl-C, errors of plugins, release of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget
from optgap.co.exact.progress import Guard, Progress, run_interruptibly

BASE_SETTINGS = {
    "misc/catchctrlc": False,  # Python sees Ctrl-C; run_interruptibly passes it on
    "timing/clocktype": 2,  # wall clock
    # Each run has a thread of its own, and the evaluation of expressions for SCIP's NLP solver (CppAD) crashes the process in
    # the 64th thread that uses it. No model here needs that solver: nonlinear constraints are convex and cut.
    "nlp/disable": True,
}
CLOSE_SETTINGS = {  # for a constraint on sums of real numbers, which the problems' checks accept up to 1e-9
    "numerics/feastol": 1e-9,
    "numerics/dualfeastol": 1e-9,
}
TOLERANCE = 1e-6  # SCIP's own, of feasibility and integrality
MEAN = 1024.0  # of an objective's coefficients that are no integers, once scaled


def objective_unit(costs: NDArray[np.float64]) -> tuple[bool, float]:
    """Whether all costs are integers, and a power of two to divide the others by so that SCIP's absolute tolerances fit."""
    if (costs == np.floor(costs)).all():
        return True, 1.0
    return False, 2.0 ** float(np.round(np.log2(np.abs(costs).mean() / MEAN)))


def run_scip(
    model: Any,
    progress: Progress,
    budget: Budget,
    *,
    incumbent: Callable[[Any], None],
    suggest: Callable[[Any], None] | None = None,
    guard: Guard | None = None,
) -> None:
    """Optimize ``model`` for what is left of the budget, keep ``progress`` up to date, and free the model.

    Args:
        model: a pyscipopt.Model of a minimization.
        incumbent: called with each new best SCIP solution; gives what it reads to ``progress``.
        suggest: called at LP-solved nodes with the heuristic plugin; may offer SCIP a solution of its own.
        guard: that of the model's other plugins, where it has any; what it keeps is raised here.

    SCIP's tree search has one thread; ``budget.threads`` goes to the LP solver and to SCIP's concurrent parts.
    """
    from pyscipopt import SCIP_EVENTTYPE, SCIP_HEURTIMING, SCIP_RESULT, Eventhdlr, Heur

    watch = guard or Guard()
    watched = (SCIP_EVENTTYPE.BESTSOLFOUND, SCIP_EVENTTYPE.DUALBOUNDIMPROVED)

    def read_bound() -> None:
        # Between two trees (a restart, the release of the model) SCIP says that the bound equals the incumbent's cost:
        # a bound that closes the gap counts only together with the status that claims it.
        bound, cost = model.getDualbound(), progress.cost
        if model.getStatus() in ("optimal", "infeasible"):
            # SCIP's cost of its solution is a sum over values that are integral up to a tolerance
            progress.proved(cost if abs(bound - cost) <= TOLERANCE * max(1.0, abs(cost)) else bound)
        elif bound < model.getPrimalbound() - (0.5 if progress.integral else TOLERANCE * max(1.0, abs(cost))):
            progress.proved(bound)

    class Watch(Eventhdlr):
        def eventinit(self) -> None:
            for kind in watched:
                self.model.catchEvent(kind, self)

        def eventexit(self) -> None:
            for kind in watched:
                self.model.dropEvent(kind, self)

        def eventexec(self, event: Any) -> None:
            with watch(self.model.interruptSolve):
                if event.getType() == SCIP_EVENTTYPE.BESTSOLFOUND:
                    incumbent(self.model.getBestSol())
                read_bound()

    class Suggest(Heur):
        def heurexec(self, heurtiming: Any, nodeinfeasible: bool) -> dict[str, Any]:
            with watch(self.model.interruptSolve):
                if suggest is not None and not nodeinfeasible:
                    suggest(self)
            return {"result": SCIP_RESULT.DIDNOTFIND}

    model.hideOutput()
    model.setParams(BASE_SETTINGS)
    model.setParam("randomization/randomseedshift", budget.seed % 2**31)
    model.setParam("lp/threads", min(budget.threads, 64))
    model.setParam("parallel/maxnthreads", min(budget.threads, 64))
    model.includeEventhdlr(Watch(), "watch", "records incumbents and bounds")
    if suggest is not None:
        timing = SCIP_HEURTIMING.AFTERLPNODE
        model.includeHeur(
            Suggest(), "suggest", "rounds LP solutions", "Z", priority=1_000_000, timingmask=timing, freq=1
        )
    left = budget.seconds - progress.seconds()
    try:
        if left > 0:
            model.setParam("limits/time", min(left, 1e20))  # SCIP's infinity, the most it takes
            run_interruptibly(model.optimizeNogil, model.interruptSolve, watch)
            read_bound()
    except Exception:
        model.free()
        raise
    model.free()  # plugins and model refer to each other: without this the memory stays
