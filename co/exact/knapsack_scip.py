"""SCIP for the knapsack problem: a binary an item and one row, within tolerances tighter than SCIP's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import CLOSE_SETTINGS, objective_unit, run_scip
from optgap.co.problems.knapsack import KNAPSACK, KnapsackInstance


def solve(instance: KnapsackInstance, budget: Budget) -> Result:
    """The best items found within the budget, the bound, and the history; Ctrl-C returns the incumbent.

    Where values are no integers, optimal means: up to SCIP's tolerance, 1e-9 of the value.
    """
    integral, unit = objective_unit(instance.value)
    progress = Progress(integral=integral, unit=-unit)
    try:
        start = _greedy(instance)
        progress.found(start, -KNAPSACK.cost(instance, start) / unit)
        _run(instance, start, progress, budget)
    except KeyboardInterrupt:
        pass
    return progress.result()


def _greedy(instance: KnapsackInstance) -> NDArray[np.int64]:
    """Items by value over weight, each that still fits."""
    ratio = np.divide(instance.value, instance.weight, out=np.full(instance.n_items, np.inf), where=instance.weight > 0)
    chosen, room = [], instance.capacity
    for item in np.argsort(-ratio, kind="stable").tolist():
        if instance.weight[item] <= room:
            chosen.append(item)
            room -= instance.weight[item]
    return np.sort(np.array(chosen, np.int64))


def _run(instance: KnapsackInstance, start: NDArray[np.int64], progress: Progress, budget: Budget) -> None:
    from pyscipopt import Model, quicksum

    model = Model(instance.name)
    fits = np.flatnonzero(instance.weight <= instance.capacity)
    worth = instance.value[fits] / progress.unit
    items = [model.addVar(f"x{i}", "B", obj=c) for i, c in zip(fits.tolist(), worth.tolist(), strict=True)]
    _, scale = objective_unit(np.append(instance.weight[fits], instance.capacity))
    weight = (instance.weight[fits] / scale).tolist()
    model.addCons(quicksum(w * x for w, x in zip(weight, items, strict=True)) <= instance.capacity / scale)
    solution = model.createSol()
    for k in np.searchsorted(fits, start).tolist():
        model.setSolVal(solution, items[k], 1.0)
    model.addSol(solution)
    model.setParams(CLOSE_SETTINGS)

    def incumbent(solution: Any) -> None:
        chosen = fits[[model.getSolVal(solution, x) > 0.5 for x in items]]
        if instance.weight[chosen].sum() <= instance.capacity * (1 + 1e-9):
            progress.found(chosen, -KNAPSACK.cost(instance, chosen) / abs(progress.unit))

    run_scip(model, progress, budget, incumbent=incumbent)
