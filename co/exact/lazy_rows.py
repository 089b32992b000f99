"""A SCIP constraint that is given by its separation: rows too many to list, added where a solution violates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.co.exact.progress import Guard

# What SCIP may not do with rows that it does not see: reductions that keep only some optimum, and symmetry
LAZY_SETTINGS = {"misc/allowstrongdualreds": False, "misc/allowweakdualreds": False, "misc/usesymmetry": 0}


class Row(NamedTuple):
    """``coefficients @ x[columns] >= lower``, violated by the values it was separated from."""

    columns: NDArray[np.int64]  # (K,) indices of the variables
    coefficients: NDArray[np.float64]  # (K,)
    lower: float


def include_lazy_rows(
    model: Any, variables: Sequence[Any], separate: Callable[[NDArray[np.float64], bool], list[Row]], guard: Guard
) -> None:
    """Let ``separate(values, integral)`` decide what is feasible and cut off what is not.

    Args:
        variables: the M variables that the rows are about; all must be locked in both directions by other constraints.
        separate: called with the (M,) values of a solution; returns violated rows, valid for the whole problem.
            With ``integral`` True the values are integral up to SCIP's tolerance, and the search must be exact: none means
            that the solution is feasible.
        guard: keeps what ``separate`` raises; the model is interrupted then.
    """
    from pyscipopt import SCIP_RESULT, Conshdlr

    class LazyRows(Conshdlr):
        def consinitsol(self, constraints: Any) -> None:
            self.columns = [self.model.getTransformedVar(variable) for variable in variables]

        def values(self, solution: Any) -> NDArray[np.float64]:
            read = self.model.getSolVal
            return np.array([read(solution, variable) for variable in variables])

        def add(self, integral: bool, otherwise: Any) -> dict[str, Any]:
            with guard(self.model.interruptSolve):
                rows = separate(self.values(None), integral)
                for row in rows:
                    scip_row = self.model.createEmptyRowUnspec("lazy", lhs=row.lower, rhs=None, local=False)
                    self.model.cacheRowExtensions(scip_row)
                    for column, coefficient in zip(row.columns.tolist(), row.coefficients.tolist(), strict=True):
                        self.model.addVarToRow(scip_row, self.columns[column], coefficient)
                    self.model.flushRowExtensions(scip_row)
                    infeasible = self.model.addCut(scip_row, forcecut=integral)
                    if not infeasible:
                        self.model.addPoolCut(scip_row)
                    self.model.releaseRow(scip_row)
                    if infeasible:
                        return {"result": SCIP_RESULT.CUTOFF}
                if rows:
                    return {"result": SCIP_RESULT.SEPARATED}
            return {"result": otherwise}

        def conssepalp(self, constraints: Any, nusefulconss: int) -> dict[str, Any]:
            return self.add(False, SCIP_RESULT.DIDNOTFIND)

        def consenfolp(self, constraints: Any, nusefulconss: int, solinfeasible: bool) -> dict[str, Any]:
            return self.add(True, SCIP_RESULT.FEASIBLE)

        def consenfops(
            self, constraints: Any, nusefulconss: int, solinfeasible: bool, objinfeasible: bool
        ) -> dict[str, Any]:
            with guard(self.model.interruptSolve):
                if separate(self.values(None), True):
                    return {"result": SCIP_RESULT.SOLVELP}
            return {"result": SCIP_RESULT.FEASIBLE}

        def conscheck(
            self,
            constraints: Any,
            solution: Any,
            checkintegrality: bool,
            checklprows: bool,
            printreason: bool,
            completely: bool,
        ) -> dict[str, Any]:
            with guard(self.model.interruptSolve):
                values = self.values(solution)
                whole = np.abs(values - np.round(values)).max(initial=0.0) < 1e-5
                if whole and not separate(values, True):
                    return {"result": SCIP_RESULT.FEASIBLE}
            return {"result": SCIP_RESULT.INFEASIBLE}

        def conslock(self, constraint: Any, locktype: Any, nlockspos: int, nlocksneg: int) -> None:
            pass  # the other constraints lock the variables both ways

    model.setParams(LAZY_SETTINGS)
    model.includeConshdlr(
        LazyRows(),
        "lazy",
        "rows by separation",
        enfopriority=-1,  # after integrality
        chckpriority=-1,
        sepapriority=1,
        sepafreq=1,
        propfreq=-1,
        eagerfreq=-1,
        needscons=False,
    )
