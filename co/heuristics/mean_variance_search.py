"""Mean-variance portfolios of few assets: the best weights of given assets, exactly, and a local search over which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result, Status
from optgap.co.problems.mean_variance import MEAN_VARIANCE, MeanVarianceInstance

F64 = NDArray[np.float64]
CLOSE = 1e-12  # relative, of costs and of their gradient
FULL_RANK = 1e-12  # of the mean variance, added to every variance
MOST_STEPS = 100  # an asset: far above what is needed, so that rounding cannot make it go round in circles


def solve(instance: MeanVarianceInstance, budget: Budget) -> Result:
    """Local search: drop, add or exchange one asset while that improves."""
    return Result(local_search(instance), Status.FEASIBLE)


def local_search(instance: MeanVarianceInstance) -> F64:
    """(N,) weights that no asset dropped, added or exchanged for another improves; the best neighbour at a time.

    It starts from the largest weights of the portfolio without a limit on their number.
    """
    n, sizes = instance.n_assets, instance.sizes
    relaxed = best_weights(instance, range(n), least=0.0)
    support = tuple(np.sort(np.argsort(-relaxed, kind="stable")[: sizes[-1]]).tolist())
    weights = best_weights(instance, support)
    cost = MEAN_VARIANCE.cost(instance, weights)
    while True:
        better = support
        best = cost - CLOSE * abs(cost)
        for neighbour in _neighbours(support, n, sizes):
            tried = best_weights(instance, neighbour)
            value = MEAN_VARIANCE.cost(instance, tried)
            if value < best:
                best, better, weights = value, neighbour, tried
        if better == support:
            return weights
        support, cost = better, best


def _neighbours(support: tuple[int, ...], n: int, sizes: range) -> Iterator[tuple[int, ...]]:
    others = [i for i in range(n) if i not in support]
    for i in support:
        left = tuple(j for j in support if j != i)
        if len(left) in sizes:
            yield left
        yield from ((*left, j) for j in others)
    if len(support) + 1 in sizes:
        yield from ((*support, j) for j in others)


def best_weights(instance: MeanVarianceInstance, support: Iterable[int], least: float | None = None) -> F64:
    """(N,) weights of least cost that hold exactly the assets ``support``, each in [least, cap].

    A primal active-set method (Nocedal and Wright, Numerical Optimization, 2006, algorithm 16.3) for limits of each weight and
    one equality: from a feasible start to the best point of the present face, or to the first limit on the way; at
    the best point of a face the limit whose multiplier says so is left. The number of assets is one of
    ``instance.sizes``, so there is a feasible start. A little is added to the variances
    (``FULL_RANK``) for covariances without full rank.
    """
    chosen = np.fromiter(support, np.int64)
    k, low, high = len(chosen), instance.least if least is None else least, instance.cap
    hessian = instance.risk_aversion * instance.covariance[np.ix_(chosen, chosen)]
    unit = float(np.trace(hessian)) / k or 1.0
    hessian, linear = hessian / unit + FULL_RANK * np.eye(k), instance.expected[chosen] / unit
    w = np.full(k, 1.0 / k)
    side = np.where(w <= low, -1, np.where(w >= high, 1, 0))  # of a weight at its limit
    for _ in range(MOST_STEPS * k):
        free = np.flatnonzero(side == 0)
        if len(free):
            system = np.ones((len(free) + 1, len(free) + 1))
            system[:-1, :-1], system[-1, -1] = hessian[np.ix_(free, free)], 0.0
            step = np.linalg.solve(system, np.append((linear - hessian @ w)[free], 0.0))[:-1]
            ends = np.where(step < 0, low, high) - w[free]
            reach = np.divide(ends, step, out=np.full(len(free), np.inf), where=step != 0)
            first = int(np.argmin(reach))
            w[free] += min(1.0, reach[first]) * step
            if reach[first] < 1:
                side[free[first]] = 1 if step[first] > 0 else -1
                w[free[first]] = high if step[first] > 0 else low
                continue
        gradient = hessian @ w - linear
        close = CLOSE * (1.0 + float(np.abs(gradient).max()))
        if len(free):
            wrong = side * (gradient - gradient[free].mean())  # above 0: better off its limit
            leaves = [int(np.argmax(wrong))]
            settled = wrong[leaves[0]] <= close
        else:  # at a corner two weights move together
            leaves = [
                int(np.argmin(np.where(side < 0, gradient, np.inf))),
                int(np.argmax(np.where(side > 0, gradient, -np.inf))),
            ]
            settled = not (side[leaves[0]] < 0 < side[leaves[1]] and gradient[leaves[1]] > gradient[leaves[0]] + close)
        if settled:
            break
        side[leaves] = 0
    weights = np.zeros(instance.n_assets)
    weights[chosen] = np.clip(w, low, high)
    return weights
