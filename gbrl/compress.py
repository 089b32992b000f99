"""An ensemble of fewer trees that says nearly the same: its size stays bounded while learning goes on.

Three steps. Trees with the same splits are added up, which loses nothing. Of the trees that remain, those are kept whose
outputs explain the ensemble's outputs best on reference rows: orthogonal least squares (Chen, Billings & Luo 1989,
"Orthogonal least squares methods and their application to non-linear system identification"), which takes the tree that
removes most of what the trees taken so far leave unexplained; every output has its own weights, and counts by its own
variance. At last all leaf values of the kept trees are fitted together by ridge regression towards those weighted values,
so that the splits that stay take over from those that went. Splits that were grown on many rollouts carry over to new rows
better than splits grown anew on the ensemble's outputs (distillation), unless fewer than about an eighth of the trees stay.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.ensemble import NODE_FIELDS, Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.lanes import KERNEL
from optgap.gbrl.predict import checked_rows, goes_right

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

INDEPENDENT = 1e-4  # of a tree's variance that the trees taken before must leave unexplained for the tree to be taken
RIDGE = 20.0  # reference rows that a leaf's value before the last step counts for, against those in the leaf
STEPS, TOLERANCE = 100, 1e-3  # of conjugate gradients at most; how far they bring the residual down


def compress(ensemble: Ensemble, x: ArrayLike, n_trees: int) -> Ensemble:
    """At most ``n_trees`` trees whose outputs are close to those of ``ensemble`` on rows like ``x``.

    While a model learns, with a bound of N trees and the rows of the latest rollouts::

        if model.n_trees >= 2 * N:
            model.compress(rows, N)

    A cache of the model notices. Weights may be negative, so that monotone constraints do not outlive it, and the new
    leaf values are no mean gradients, so that control variates from them mean nothing. Memory for T trees and D outputs
    is 8 T (D (T + n_trees) + n) bytes.

    Args:
        ensemble: fitted trees; left as it is.
        x: (n, F) reference rows, some thousands from where the outputs matter: the latest rollouts.
        n_trees: bound on the number of trees, at least 1.

    Returns:
        a new ensemble with step sizes of 1, in the order of the trees kept. An ensemble that is small enough after equal
        trees were added up is returned without the other steps, and then predicts the same up to rounding.

    Raises:
        GBTError: no rows or rows that do not fit, ``n_trees`` below 1, or an output under Adam.
    """
    ensemble.require_additive("compression")
    rows = checked_rows(ensemble, x)
    if len(rows) == 0:
        raise GBTError("compression: no reference rows; expected at least one")
    if n_trees < 1:
        raise GBTError(f"compression to {n_trees} trees; expected at least 1")
    if ensemble.n_trees <= n_trees:
        return deepcopy(ensemble)
    merged = _merged(ensemble)
    if merged.n_trees <= n_trees:
        return merged
    leaves = _leaves(merged, rows)
    chosen, weights, missed = _chosen(merged, leaves, n_trees)
    kept = _empty(merged, merged.bias - missed.mean(axis=0))
    for tree, weight in zip(chosen, weights, strict=True):
        kept.append(_nodes(merged, tree), _values(merged, tree) * weight, np.ones(merged.n_outputs, np.float32))
    # Residuals are sums over the chosen trees' leaves, numbered anew.
    first = kept.leaf_start[:-1] - merged.leaf_start[chosen]
    change = _refit(leaves[chosen] + first[:, None].astype(np.int32), missed - missed.mean(axis=0), len(kept.value))
    kept.value[:] += change.astype(np.float32)
    kept.steps = ensemble.steps
    return kept


def _empty(ensemble: Ensemble, bias: NDArray[Any]) -> Ensemble:
    return Ensemble.empty(bias, ensemble.is_categorical, ensemble.oblivious, ensemble.adam)


def _nodes(ensemble: Ensemble, tree: int) -> dict[str, NDArray[Any]]:
    nodes = slice(ensemble.tree_start[tree], ensemble.tree_start[tree + 1])
    return {name: getattr(ensemble, name)[nodes] for name in NODE_FIELDS}


def _values(ensemble: Ensemble, tree: int) -> F64:
    """(leaves, D): what the leaves take off the outputs."""
    leaves = slice(ensemble.leaf_start[tree], ensemble.leaf_start[tree + 1])
    return np.asarray(ensemble.rate[tree].astype(np.float64) * ensemble.value[leaves])


def _merged(ensemble: Ensemble) -> Ensemble:
    """The same sum with one tree for all that have the same splits; covers and gains add up as well."""
    kinds: dict[tuple[bytes, ...], tuple[dict[str, NDArray[Any]], F64]] = {}
    for tree in range(ensemble.n_trees):
        nodes, values = _nodes(ensemble, tree), _values(ensemble, tree)
        splits = tuple(nodes[name].tobytes() for name in ("feature", "threshold", "left", "nan_right"))
        if splits in kinds:
            before, total = kinds[splits]
            sums = {name: before[name] + nodes[name] for name in ("cover", "gain")}
            nodes, values = before | sums, total + values
        kinds[splits] = nodes, values
    merged = _empty(ensemble, ensemble.bias)
    for nodes, values in kinds.values():
        merged.append(nodes, values.astype(np.float32), np.ones(ensemble.n_outputs, np.float32))
    merged.steps = ensemble.steps
    return merged


def _leaves(ensemble: Ensemble, x: NDArray[np.float32]) -> I32:
    """(T, n): the leaf of each row in each tree, numbered through all trees."""
    leaves = np.empty((ensemble.n_trees, len(x)), np.int32)
    _find_leaves(ensemble.trees, x, leaves)
    return leaves


def _chosen(ensemble: Ensemble, leaves: I32, n_trees: int) -> tuple[NDArray[np.int64], F64, F64]:
    """Orthogonal least squares: the chosen trees (k,) in order, their weights (k, D), and what they miss of it (n, D).

    It is a Cholesky decomposition of the trees' covariances, pivoted by what a tree explains of the ensemble's outputs,
    so that a choice costs one column of it.
    """
    T, n = leaves.shape
    D = ensemble.n_outputs
    covariance, explains = np.empty((D, T, T)), np.empty((D, T))
    target = np.zeros((n, D))  # what all trees take off
    for d in range(D):
        outputs = ensemble.value[:, d].astype(np.float64)[leaves]
        target[:, d] = outputs.sum(axis=0)
        outputs -= outputs.mean(axis=1, keepdims=True)
        covariance[d] = outputs @ outputs.T / n
        explains[d] = covariance[d].sum(axis=1)  # its covariance with the sum
    variances = target.var(axis=0)
    variance = np.where(variances > 0, variances, 1.0)[:, None]
    left = covariance.diagonal(axis1=1, axis2=2).copy()  # of a tree's variance
    least = INDEPENDENT * left
    factor, solution = np.zeros((D, T, n_trees)), np.zeros((D, n_trees))
    taken: list[int] = []
    for k in range(n_trees):
        free = left > least
        scores = np.where(free, explains**2 / np.where(free, left, 1.0) / variance, 0.0).sum(axis=0)
        scores[taken] = 0.0
        best = int(scores.argmax())
        if scores[best] <= 0:
            break
        taken.append(best)
        pivot = np.where(free[:, best], np.sqrt(left[:, best].clip(0)), np.inf)[:, None]  # inf: no say in that output
        known = np.einsum("dtk,dk->dt", factor[:, :, :k], factor[:, best, :k])
        column = (covariance[:, :, best] - known) / pivot
        factor[:, :, k] = column
        solution[:, k] = explains[:, best] / pivot[:, 0]
        explains -= column * solution[:, k, None]
        left -= column**2
    weights = np.zeros((len(taken), D))
    for d in range(D):
        triangle = factor[d, taken, : len(taken)]
        has_say = np.flatnonzero(triangle.diagonal() > 0)
        weights[has_say, d] = np.linalg.solve(triangle[np.ix_(has_say, has_say)].T, solution[d, has_say])
    order = np.argsort(taken)
    chosen, weights = np.array(taken, np.int64)[order], weights[order]
    for tree, weight in zip(chosen, weights, strict=True):
        target -= ensemble.value[leaves[tree]] * weight
    return chosen, weights, target


def _refit(leaves: I32, residual: F64, n_leaves: int) -> F64:
    """What to add to the leaf values (L, D) so that they explain ``residual`` (n, D): ridge regression.

    Conjugate gradients on (Z'Z + RIDGE) change = Z' residual, all outputs side by side; Z has a one where a row falls
    into a leaf.
    """
    D = residual.shape[1]
    change, gradient = np.zeros((n_leaves, D)), np.zeros((n_leaves, D))
    _scatter(leaves, residual, gradient)
    direction = gradient.copy()
    length = (gradient**2).sum(axis=0)
    enough = TOLERANCE**2 * length
    outputs, curved = np.empty_like(residual), np.empty_like(gradient)
    for _ in range(STEPS):
        if (length <= enough).all():
            break
        outputs[:] = 0.0
        _gather(leaves, direction, outputs)
        np.multiply(direction, RIDGE, out=curved)
        _scatter(leaves, outputs, curved)
        step = length / np.maximum((direction * curved).sum(axis=0), np.finfo(float).tiny)
        change += step * direction
        gradient -= step * curved
        shorter = (gradient**2).sum(axis=0)
        direction *= shorter / np.maximum(length, np.finfo(float).tiny)
        direction += gradient
        length = shorter
    return change


@njit(**KERNEL)
def _find_leaves(trees: Any, x: Any, leaves: Any) -> None:
    for tree in range(len(leaves)):
        start = trees.tree_start[tree]
        for i in range(len(x)):
            node = start
            f = np.intp(trees.feature[node])
            while f >= 0:
                right = goes_right(x[i, f], trees.threshold[node], trees.is_categorical[f], trees.nan_right[node])
                node = start + trees.left[node] + right
                f = np.intp(trees.feature[node])
            leaves[tree, i] = trees.leaf_start[tree] + trees.left[node]


@njit(**KERNEL)
def _gather(leaves: Any, values: Any, outputs: Any) -> None:
    """Add each row's leaf values, (L, D) in all, to its outputs (n, D)."""
    for k in range(len(leaves)):
        for i in range(len(outputs)):
            for d in range(outputs.shape[1]):
                outputs[i, d] += values[leaves[k, i], d]


@njit(**KERNEL)
def _scatter(leaves: Any, outputs: Any, values: Any) -> None:
    """Add each row's outputs (n, D) to the values (L, D) of its leaves."""
    for k in range(len(leaves)):
        for i in range(len(outputs)):
            for d in range(outputs.shape[1]):
                values[leaves[k, i], d] += outputs[i, d]
