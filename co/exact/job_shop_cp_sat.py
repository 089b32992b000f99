"""CP-SAT (OR-Tools, extra ``cp``) for the job shop and for the blocking job shop with swaps and down-times.

An interval an operation, a NoOverlap a machine. In the blocking job shop an interval is a hold: it ends where the job's
next one starts. Where an operation may meet down-times, one literal a *mode* (see
:class:`~optgap.co.exact.disjunctive.Mode`) fixes which start times are meant and by how much they delay its end. Domains
are the heads and tails under the warm start's makespan, and the warm start is the hint.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optgap.co.core import Budget, MissingExtraError, Result
from optgap.co.exact.disjunctive import Disjunctive
from optgap.co.exact.progress import Guard, Progress, run_interruptibly
from optgap.co.exact.shop_times import I64, completions, makespan
from optgap.co.problems.job_shop import JobShopInstance


def solve(instance: JobShopInstance, budget: Budget) -> Result:
    """The best schedule found within the budget, its bound, and the history; Ctrl-C returns the incumbent.

    The problem is that of the instance's type: :class:`BlockingJobShopInstance` or plain :class:`JobShopInstance`. The
    solution is an (N,) int64 array of start times, left-shifted for the machine orders that CP-SAT found.

    Raises:
        MissingExtraError: OR-Tools is not installed.
        InputError: too many pairs of operations share a machine.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise MissingExtraError("ortools", "cp") from None
    from optgap.co.heuristics.dispatching import best_rule_schedule

    progress = Progress()
    try:
        start = best_rule_schedule(instance)
        progress.found(start, makespan(instance, start))  # at once: on a large shop the bounds take seconds
        shop = Disjunctive(instance, start)
        progress.proved(shop.lower)
        if shop.lower < shop.upper:
            _search(cp_model, shop, start, progress, budget)
    except KeyboardInterrupt:
        pass
    return progress.result()


def _model(cp_model: Any, shop: Disjunctive, hint: I64) -> tuple[Any, list[Any]]:
    """The model and its start variables, (N,)."""
    model = cp_model.CpModel()
    makespan = model.new_int_var(shop.lower, shop.upper, "makespan")
    model.minimize(makespan)
    model.add_hint(makespan, shop.upper)
    ends = completions(shop.shop, hint)
    starts = []
    for o, (low, high) in enumerate(zip(shop.earliest.tolist(), shop.latest.tolist(), strict=True)):
        starts.append(model.new_int_var(low, high, f"s{o}"))
        model.add_hint(starts[o], int(hint[o]))
    on_machine: list[list[Any]] = [[] for _ in range(shop.instance.n_machines)]
    for o, following in enumerate(shop.shop.next.tolist()):
        modes = shop.modes[o]
        size: Any = int(shop.instance.duration[o]) + modes[0].delay  # of the processing, interruptions included
        if len(modes) > 1:
            literals = [model.new_bool_var(f"z{o}_{k}") for k in range(len(modes))]
            model.add_exactly_one(literals)
            for mode, literal in zip(modes, literals, strict=True):
                domain = cp_model.Domain(mode.low, mode.high)
                model.add_linear_expression_in_domain(starts[o], domain).only_enforce_if(literal)
                model.add_hint(literal, mode.low <= hint[o] <= mode.high)
            weights = [int(shop.instance.duration[o]) + mode.delay for mode in modes]
            size = cp_model.LinearExpr.weighted_sum(literals, weights)
        if following < 0:
            model.add(starts[o] + size <= makespan)
        else:
            model.add(starts[o] + size <= starts[following])
        if len(modes) == 1 and not (shop.shop.blocking and following >= 0):
            interval = model.new_fixed_size_interval_var(starts[o], size, f"i{o}")
        else:
            if shop.shop.blocking and following >= 0:
                end, hinted = starts[following], int(hint[following])
            else:
                end, hinted = model.new_int_var(0, shop.upper, f"e{o}"), int(ends[o])
                model.add(end == starts[o] + size)
                model.add_hint(end, hinted)
            hold = model.new_int_var(0, shop.upper, f"h{o}")
            model.add_hint(hold, hinted - int(hint[o]))
            interval = model.new_interval_var(starts[o], hold, end, f"i{o}")
        on_machine[shop.instance.machine[o]].append(interval)
    for intervals in on_machine:
        model.add_no_overlap(intervals)
    return model, starts


def _search(cp_model: Any, shop: Disjunctive, hint: I64, progress: Progress, budget: Budget) -> None:
    model, starts = _model(cp_model, shop, hint)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = budget.threads
    if budget.threads == 1:
        # the LP costs more than it prunes: ft10 is proved in 2 s without it, in 20 s with it; several workers try both
        solver.parameters.linearization_level = 0
    solver.parameters.random_seed = budget.seed % 2**31
    solver.parameters.catch_sigint_signal = False  # Python sees Ctrl-C; run_interruptibly passes it on
    guard = Guard()

    class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]  # ortools has no types here
        def on_solution_callback(self) -> None:
            with guard(self.stop_search):
                times = np.array([self.value(variable) for variable in starts], np.float64)
                shifted = shop.left_shifted(times, shop.upper)
                if shifted is None:
                    raise RuntimeError(f"{shop.instance.name}: a solution of CP-SAT orders a machine in a circle")
                progress.found(shifted, shop.makespan(shifted))

    def bound(value: float) -> None:
        with guard(solver.stop_search):
            progress.proved(value)

    solver.best_bound_callback = bound
    left = budget.seconds - progress.seconds()
    if left <= 0:
        return
    solver.parameters.max_time_in_seconds = left
    watch = Watch()
    status: list[Any] = []
    run_interruptibly(lambda: status.append(solver.solve(model, watch)), solver.stop_search, guard)
    if status[0] in (cp_model.MODEL_INVALID, cp_model.INFEASIBLE):  # a right model has the warm start as a solution
        raise RuntimeError(f"{shop.instance.name}: CP-SAT calls the model {solver.status_name(status[0])}")
    progress.proved(solver.best_objective_bound)
