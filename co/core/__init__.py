"""Instance, Problem, Solver, Budget, Result, the checked :func:`solve`, and the registries."""

from optgap.co.core.contracts import (
    Bounds,
    Budget,
    Incumbent,
    Instance,
    Problem,
    Result,
    Sense,
    Solver,
    Status,
)
from optgap.co.core.errors import InfeasibleError, InputError, InvalidActionError, MissingExtraError, OptgapError
from optgap.co.core.registry import PROBLEMS, SOLVERS, Registry
from optgap.co.core.solve import optimality_gap, solve

__all__ = [
    "PROBLEMS",
    "SOLVERS",
    "Bounds",
    "Budget",
    "Incumbent",
    "InfeasibleError",
    "InputError",
    "Instance",
    "InvalidActionError",
    "MissingExtraError",
    "OptgapError",
    "Problem",
    "Registry",
    "Result",
    "Sense",
    "Solver",
    "Status",
    "optimality_gap",
    "solve",
]
