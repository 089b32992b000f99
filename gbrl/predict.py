"""Outputs of an ensemble for raw rows: of many rows at a time, of one, and by some of its trees.

Rows go in blocks that stay in the processor's first cache, and every tree of the ensemble is walked for a block before the
next block; a few rows go one by one, by a kernel whose arguments are handed over quickly. The outputs are float32 sums in
the order of the trees (see :class:`Ensemble`), so that they do not depend on how many rows are predicted together, how
many threads do it, or whether the trees were added up in several calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.ensemble import Ensemble, HasTrees, Trees, ensemble_of
from optgap.gbrl.lanes import INLINED, INNER, KERNEL, LANES, descend, move, register
from optgap.gbrl.rows import F32, as_rows, in_parallel

BLOCK_VALUES = 4096  # feature values of a block of rows: 16 KiB
BLOCK_ROWS = 256  # at most
FEW_ROWS = 4  # below this, a row at a time
NO_MOMENTS = np.zeros((0, LANES), np.float32)


class Outputs(NamedTuple):
    """What trees have made of n rows so far; P columns, of which the first D count."""

    out: F32  # (n, P)
    first: F32  # (n, P) Adam's first moments; no rows if no output is under Adam
    second: F32  # (n, P) Adam's second moments, likewise


def checked_rows(ensemble: Ensemble, x: ArrayLike) -> F32:
    """``x`` as contiguous float32 (n, F); GBTError unless it is a matrix of the ensemble's number of features."""
    return as_rows(x, ensemble.n_features, "features")


def initial_outputs(ensemble: Ensemble, rows: int) -> Outputs:
    """The outputs before the first tree: the biases, no moments."""
    out = ensemble.padded_bias.repeat(rows, 0)
    if ensemble.additive:
        return Outputs(out, NO_MOMENTS, NO_MOMENTS)
    return Outputs(out, np.zeros_like(out), np.zeros_like(out))


def add_trees(ensemble: Ensemble, x: F32, outputs: Outputs, first: int, last: int, threads: int = 1) -> bool:
    """Let the trees ``first`` to ``last - 1`` change the outputs of the rows ``x`` (n, F); whether ``x`` is without NaN.

    A category that no split names goes left at every split, as any category that a split does not name.
    """
    return _walk(ensemble.trees, ensemble.oblivious, x, outputs, first, last, threads)


def running_means(ensemble: Ensemble, x: F32, decay: float, threads: int = 1) -> F32:
    """(n, D): the mean of each row's leaf values, weighted by ``decay`` to the power of the trees fitted since.

    Trees whose weight float32 would round away are left out, so that the time does not grow with the ensemble.
    """
    outputs = initial_outputs(ensemble, len(x))
    outputs = Outputs(outputs.out, np.zeros_like(outputs.out), np.zeros_like(outputs.out))
    trees = min(ensemble.n_trees, int(np.ceil(-24 / np.log2(decay))))
    adam = np.zeros_like(ensemble.trees.adam)
    adam[0], adam[2] = decay, 1  # Adam's first moment is that sum
    first = ensemble.n_trees - trees
    _walk(ensemble.trees._replace(adam=adam), ensemble.oblivious, x, outputs, first, ensemble.n_trees, threads)
    return outputs.first[:, : ensemble.n_outputs] / np.float32(1 - decay**trees)


def _walk(trees: Trees, oblivious: bool, x: F32, outputs: Outputs, first: int, last: int, threads: int) -> bool:
    n, F = x.shape
    if n < FEW_ROWS:
        return bool(_add_to_few(oblivious, x, first, last, *outputs, *trees))
    block = max(1, min(n, BLOCK_ROWS, BLOCK_VALUES // F))

    def work(begin: int, end: int, _: int) -> bool:
        here = Outputs(*(part[begin:end] for part in outputs))
        columns, leaves = np.empty((F, block) if oblivious else (0, 0), np.float32), np.empty(block, np.int32)
        return bool(_add_to_many(trees, oblivious, x[begin:end], here, first, last, columns, leaves))

    return all(in_parallel(threads if n >= 2 * FEW_ROWS else 1, n, work))


def predict(model: HasTrees | Ensemble, x: ArrayLike, threads: int = 1) -> NDArray[np.float32]:
    """Outputs (n, D) float32 of the rows ``x`` (n, F), NaN being a missing value.

    Raises:
        GBTError: not a matrix of F columns.
    """
    ensemble = ensemble_of(model)
    rows = checked_rows(ensemble, x)
    outputs = initial_outputs(ensemble, len(rows))
    add_trees(ensemble, rows, outputs, 0, ensemble.n_trees, threads)
    return np.ascontiguousarray(outputs.out[:, : ensemble.n_outputs])


@njit(**INLINED)
def goes_right(value: Any, threshold: Any, categorical: Any, nan_right: Any) -> Any:
    """Whether a row turns right at a split."""
    if categorical:
        right = value == threshold
    else:
        right = value > threshold
    return right | (nan_right & (value != value))


@njit(**KERNEL)
def _add_to_few(
    oblivious: Any,
    x: Any,
    begin: Any,
    end: Any,
    out: Any,
    first: Any,
    second: Any,
    tree_start: Any,
    feature: Any,
    threshold: Any,
    left: Any,
    nan_right: Any,
    leaf_start: Any,
    value: Any,
    rate: Any,
    is_categorical: Any,
    adam: Any,
) -> Any:
    """Let the trees ``begin`` to ``end`` change the outputs; whether ``x`` is without NaN.

    Fields stand for :class:`Outputs` and :class:`Trees`: numba takes arrays in a sixth of the time that it takes a tuple.
    """
    outputs = Outputs(out, first, second)
    trees = Trees(tree_start, feature, threshold, left, nan_right, leaf_start, value, rate, is_categorical, adam)
    numeric, whole = _numeric(is_categorical), True
    for i in range(len(x)):
        missing = 0
        for f in range(x.shape[1]):
            missing += np.isnan(x[i, f])
        whole &= missing == 0
        if numeric and missing == 0:  # a split is one comparison
            _add_to_one(trees, oblivious, True, x[i], outputs, i, begin, end)
        else:
            _add_to_one(trees, oblivious, False, x[i], outputs, i, begin, end)
    return whole


@njit(**INLINED)
def _numeric(is_categorical: Any) -> Any:
    numeric = True
    for f in range(len(is_categorical)):
        numeric &= not is_categorical[f]
    return numeric


@njit(**INLINED)
def _add_to_one(trees: Any, oblivious: Any, plain: Any, row: Any, outputs: Any, i: Any, begin: Any, end: Any) -> None:
    out, rate, value = outputs.out.reshape(-1), trees.rate.reshape(-1), trees.value.reshape(-1)
    P = outputs.out.shape[1]
    if P == LANES and not len(outputs.first):
        total = register(np.float32)
        move(total, 0, out, P * i)
        for tree in range(np.uintp(begin), np.uintp(end)):
            leaf = trees.leaf_start[tree] + _leaf_of_one(trees, tree, oblivious, plain, row)
            descend(total, 0, rate, LANES * tree, value, LANES * leaf)
        move(out, P * i, total, 0)
        return
    for tree in range(np.uintp(begin), np.uintp(end)):
        leaf = trees.leaf_start[tree] + _leaf_of_one(trees, tree, oblivious, plain, row)
        if len(outputs.first):
            _follow_moments(outputs, i, trees, tree, leaf)
        else:
            for k in range(0, P, LANES):
                descend(out, P * i + k, rate, P * tree + k, value, P * leaf + k)


@njit(**INLINED)
def _leaf_of_one(trees: Any, tree: Any, oblivious: Any, plain: Any, row: Any) -> Any:
    """The number of a row's leaf within a tree."""
    root = np.uintp(trees.tree_start[tree])
    feature, threshold, left = trees.feature, trees.threshold, trees.left
    node, leaf = root, np.intp(0)
    while feature[node] >= 0:
        f = np.uintp(feature[node])  # unsigned: numba need not ask whether it counts from the end
        if plain:
            right = row[f] > threshold[node]
        else:
            right = goes_right(row[f], threshold[node], trees.is_categorical[f], trees.nan_right[node])
        if oblivious:
            # Any node of a level tells its split, so that no turn waits for the one before it.
            leaf = 2 * leaf + right
            node = node + node - root + np.uintp(1)
        else:
            node = root + np.uintp(left[node]) + np.uintp(right)
    return leaf if oblivious else np.intp(left[node])


@njit(**KERNEL)
def _add_to_many(
    trees: Any, oblivious: Any, x: Any, outputs: Any, first: Any, last: Any, columns: Any, leaves: Any
) -> Any:
    """Let the trees ``first`` to ``last`` change the outputs; whether ``x`` is without NaN."""
    n, block = len(x), len(leaves)
    out, rate, value = outputs.out.reshape(-1), trees.rate.reshape(-1), trees.value.reshape(-1)
    P = outputs.out.shape[1]
    numeric, whole = _numeric(trees.is_categorical), True
    for begin in range(0, n, block):
        rows = x[begin : begin + block]
        missing = 0
        for i in range(len(rows)):
            for f in range(rows.shape[1]):
                missing += np.isnan(rows[i, f])
        whole &= missing == 0
        plain = numeric and missing == 0  # a split is one comparison
        if oblivious:
            _transpose(rows, columns)
        for tree in range(first, last):
            if oblivious:
                _oblivious_leaves(trees, tree, plain, columns, len(rows), leaves)
            else:
                _greedy_leaves(trees, tree, plain, rows, leaves)
            start = trees.leaf_start[tree]
            if len(outputs.first):
                for i in range(len(rows)):
                    _follow_moments(outputs, begin + i, trees, tree, start + leaves[i])
            else:
                for i in range(len(rows)):
                    leaf = P * (start + leaves[i])
                    for k in range(0, P, LANES):
                        descend(out, P * (begin + i) + k, rate, P * tree + k, value, leaf + k)
    return whole


@njit(**INLINED)
def _greedy_leaves(trees: Any, tree: Any, plain: Any, rows: Any, leaves: Any) -> None:
    """The leaves of rows, a level of turns at a time, without a branch that depends on the row."""
    root = np.uintp(trees.tree_start[tree])
    feature, threshold, left = trees.feature, trees.threshold, trees.left
    leaves[: len(rows)] = root
    begin, end = trees.tree_start[tree], trees.tree_start[tree] + 1  # of the level's nodes
    while True:
        splits = 0
        for of_level in range(begin, end):
            splits += feature[of_level] >= 0
        if splits == 0:
            break
        begin, end = end, end + 2 * splits
        for i in range(len(rows)):
            node = np.uintp(leaves[i])
            f = np.uintp(max(feature[node], 0))
            if plain:
                right = rows[i, f] > threshold[node]
            else:
                right = goes_right(rows[i, f], threshold[node], trees.is_categorical[f], trees.nan_right[node])
            leaves[i] = root + np.uintp(left[node]) + np.uintp(right) if feature[node] >= 0 else node
    for i in range(len(rows)):
        leaves[i] = left[np.uintp(leaves[i])]


@njit(**INLINED)
def _oblivious_leaves(trees: Any, tree: Any, plain: Any, columns: Any, rows: Any, leaves: Any) -> None:
    """The same where a level has one split: the turns, as bits, are the number of the leaf."""
    root = np.intp(trees.tree_start[tree])
    leaves[:rows] = 0
    node = root
    while trees.feature[node] >= 0:
        f = np.intp(trees.feature[node])
        threshold, nan_right, categorical = trees.threshold[node], trees.nan_right[node], trees.is_categorical[f]
        column = columns[f]
        if plain:
            for i in range(rows):
                leaves[i] = 2 * leaves[i] + (column[i] > threshold)
        else:
            for i in range(rows):
                leaves[i] = 2 * leaves[i] + goes_right(column[i], threshold, categorical, nan_right)
        node = 2 * node - root + 1


@njit(**INNER)
def _transpose(rows: Any, columns: Any) -> None:
    for i in range(len(rows)):
        for f in range(rows.shape[1]):
            columns[f, i] = rows[i, f]


@njit(**INLINED)
def _follow_moments(outputs: Any, row: Any, trees: Any, tree: Any, leaf: Any) -> None:
    """One step of Adam for the outputs that are under it (Kingma & Ba 2015, algorithm 1), of SGD for the others."""
    for d in range(outputs.out.shape[1]):
        direction = trees.value[leaf, d]
        if trees.adam[2, d] > 0:
            beta1, beta2 = trees.adam[0, d], trees.adam[1, d]
            first = beta1 * outputs.first[row, d] + (np.float32(1) - beta1) * direction
            second = beta2 * outputs.second[row, d] + (np.float32(1) - beta2) * direction * direction
            outputs.first[row, d], outputs.second[row, d] = first, second
            direction = first / (np.sqrt(second) + trees.adam[2, d])
        outputs.out[row, d] -= trees.rate[tree, d] * direction
