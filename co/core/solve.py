"""The one place where a solver's answer becomes a figure: run, check, recompute the cost."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from optgap.co.core.contracts import Budget, Instance, Problem, Result, Solver, Status


def solve(solver: Solver[Any], problem: Problem[Any], instance: Instance, budget: Budget) -> Result:
    """Run ``solver`` on ``instance`` within ``budget`` and return its result, checked.

    The solution is passed to ``problem.check`` and its cost recomputed by ``problem.cost``: a solver's own figure is
    never reported. Times are measured here (wall clock; process CPU time, children excluded).

    Raises:
        InfeasibleError: the solver returned a solution that breaks a constraint.
        RuntimeError: the solver claimed a bound that its own solution contradicts.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    result = solver(instance, budget)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cost = None
    if result.solution is not None:
        problem.check(instance, result.solution)
        cost = float(problem.cost(instance, result.solution))
        if result.bound is not None:
            slack = cost - result.bound if problem.sense == "minimize" else result.bound - cost
            if not slack >= -1e-6 * max(1.0, abs(cost)):  # nor is NaN a bound
                raise RuntimeError(f"{instance.name}: bound {result.bound} contradicts the checked cost {cost}")
    elif result.status in (Status.OPTIMAL, Status.FEASIBLE):
        raise RuntimeError(f"{instance.name}: status {result.status} without a solution")
    return dataclasses.replace(result, cost=cost, wall_seconds=wall, cpu_seconds=cpu)


def optimality_gap(cost: float, reference: float, sense: str = "minimize") -> float:
    """Relative distance of ``cost`` from ``reference`` (a best-known cost or a bound): 0.1 is 10% worse."""
    if reference == 0:
        return 0.0 if cost == 0 else float("inf")
    return (cost - reference if sense == "minimize" else reference - cost) / abs(reference)
