"""Running SCIP models, whatever they are of."""

from __future__ import annotations

import pytest
from pyscipopt import Model

from optgap.co.core import Budget
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import run_scip


def test_a_process_may_run_any_number_of_nonlinear_models() -> None:
    for _ in range(70):  # SCIP's NLP solver works in 63 threads of a process, and crashes it in the next
        model = Model()
        x, y = (model.addVar(name, "I", lb=0, ub=10) for name in "xy")
        share = model.addVar("share", lb=0, ub=5)
        cost = model.addVar("cost", lb=0, obj=1.0)
        model.addCons((x - 2.5) * (x - 2.5) + (y - 3.3 * share) * (y - 3.3 * share) + (share - x) * y <= cost)
        model.addCons(x + y >= 3)
        progress = Progress(integral=False)

        def incumbent(solution: object, model: Model = model, progress: Progress = progress) -> None:
            progress.found(solution, model.getSolObjVal(solution))

        run_scip(model, progress, Budget(10), incumbent=incumbent)
        assert progress.cost == pytest.approx(0.0, abs=1e-5)
