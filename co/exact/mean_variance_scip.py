"""Mean-variance portfolios of few assets: a convex mixed-integer programme in SCIP, solved to proved optimality.

With z_i whether asset i is held, and S = D + F F' with a diagonal D that is as large as its own proportions allow:

    minimize    risk_aversion / 2 (sum_i D_ii s_i + sum_j u_j) - mu' w
    subject to  w_i^2 <= s_i z_i                                  the perspective of w_i^2, tighter than s_i >= w_i^2
                (F' w)_j^2 <= u_j
                least z_i <= w_i <= cap z_i,  sum_i w_i = 1,  fewest <= sum_i z_i <= cardinality

Sources: Frangioni and Gentile, Perspective cuts for a class of convex 0-1 mixed integer programs, Mathematical Programming 106,
2006 (perspective); Frangioni and Gentile, SDP diagonalizations and perspective cuts for a class of nonseparable MIQP,
Operations Research Letters 35, 2007 (D by an eigenvalue). The search starts from the local search's portfolio, and
of every solution that SCIP finds only the choice of assets is read: the weights are then computed exactly.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import Budget, Result
from optgap.co.core import solve as checked
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import run_scip
from optgap.co.heuristics.mean_variance_search import best_weights, local_search
from optgap.co.problems.mean_variance import MEAN_VARIANCE, MeanVarianceInstance

F64 = NDArray[np.float64]
SETTINGS = {"numerics/feastol": 1e-8}
NEGLIGIBLE = 1e-10  # of the variances


def solve_mean_variance(
    expected: ArrayLike,
    covariance: ArrayLike,
    *,
    cardinality: int,
    risk_aversion: float = 1.0,
    least: float = 0.0,
    cap: float = 1.0,
    budget: Budget | None = None,
) -> Result:
    """The portfolio of at most ``cardinality`` assets that minimizes risk_aversion / 2 w' S w - expected' w.

    Args:
        expected: (N,) returns; zeros for the minimum variance.
        covariance: (N, N) of the returns.
        least: smallest share of an asset that is held.
        cap: largest share of an asset.
        budget: 60 seconds by default.

    Returns:
        A checked result whose ``solution`` is (N,) float64 of sum 1; ``status`` says whether it is proved optimal.

    Raises:
        InputError: arguments that do not fit, limits that no portfolio keeps.
    """
    instance = MeanVarianceInstance(
        expected=cast(F64, expected),  # which makes an array of it
        covariance=cast(F64, covariance),
        cardinality=cardinality,
        risk_aversion=risk_aversion,
        least=least,
        cap=cap,
    )
    return checked(solve, MEAN_VARIANCE, instance, budget or Budget())


def solve(instance: MeanVarianceInstance, budget: Budget) -> Result:
    """The best portfolio found within the budget, the bound, and the history; Ctrl-C returns the incumbent.

    Optimal means: up to 1e-6 of the variance's part of the cost.
    """
    start = local_search(instance)
    unit = instance.risk_aversion / 2 * float(start @ instance.covariance @ start) or 1.0
    progress = Progress(integral=False, unit=unit)
    try:
        progress.found(start, MEAN_VARIANCE.cost(instance, start) / unit)
        _run(instance, progress, budget)
    except KeyboardInterrupt:
        pass
    return progress.result()


def _run(instance: MeanVarianceInstance, progress: Progress, budget: Budget) -> None:
    from pyscipopt import Model, quicksum

    model = Model(instance.name)
    model.setParams(SETTINGS)
    n, unit = instance.n_assets, progress.unit
    worth = (-instance.expected / unit).tolist()
    weights = [model.addVar(f"w{i}", lb=0.0, ub=instance.cap, obj=worth[i]) for i in range(n)]
    held = [model.addVar(f"z{i}", "B") for i in range(n)]
    model.addCons(quicksum(weights) == 1)
    model.addCons(quicksum(held) <= instance.sizes[-1])
    model.addCons(quicksum(held) >= instance.sizes[0])
    for w, z in zip(weights, held, strict=True):
        model.addCons(w <= instance.cap * z)
        if instance.least > 0:
            model.addCons(w >= instance.least * z)
    matrix = instance.risk_aversion / 2 / unit * instance.covariance
    diagonal = _diagonal(matrix)
    values, vectors = np.linalg.eigh(matrix - np.diag(diagonal))
    for j in np.flatnonzero(values > NEGLIGIBLE * np.trace(matrix)).tolist():
        along = model.addVar(f"f{j}", lb=None)
        factor = vectors[:, j] * np.sqrt(values[j])
        model.addCons(quicksum(float(a) * w for a, w in zip(factor, weights, strict=True)) == along)
        square = model.addVar(f"u{j}", lb=0.0, obj=1.0)
        model.addCons(along * along <= square)
    if diagonal.any():
        for i, (w, z) in enumerate(zip(weights, held, strict=True)):
            square = model.addVar(f"s{i}", lb=0.0, obj=1.0)  # in units that make D the identity
            model.addCons(float(diagonal[i]) * w * w <= square * z)

    def incumbent(solution: Any) -> None:
        chosen = [i for i, z in enumerate(held) if model.getSolVal(solution, z) > 0.5]
        if len(chosen) in instance.sizes:
            found = best_weights(instance, chosen)
            progress.found(found, MEAN_VARIANCE.cost(instance, found) / unit)

    run_scip(model, progress, budget, incumbent=incumbent)


def _diagonal(matrix: F64) -> F64:
    """(N,) a diagonal D, large and such that ``matrix`` - D is positive semidefinite; 0 without full rank.

    In proportion to 1 / (inverse of the matrix)_ii: the variance of an asset that the others do not explain.
    """
    values, vectors = np.linalg.eigh(matrix)
    if values[0] <= NEGLIGIBLE * values[-1]:
        return np.zeros(len(matrix))
    unexplained = 1.0 / np.square(vectors / np.sqrt(values)).sum(1)
    root = np.sqrt(unexplained)
    found: F64 = unexplained * np.linalg.eigvalsh(matrix / np.outer(root, root))[0] * (1.0 - NEGLIGIBLE)
    return found
