"""Exact Shapley values of an ensemble's outputs, path-dependent: no background rows, only the trees' own covers.

The values are those of "Consistent Individualized Feature Attribution for Tree Ensembles" (Lundberg, Erion & Lee 2018,
algorithm 2; Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees"): the
worth of a set S of features is the expectation of the tree's output where a split on a feature of S follows the row and
any other split follows both branches in proportion to the training rows that took them. The sum is taken leaf by leaf.
With m different features on the path to a leaf of value v, let z_j be the product of the fractions of the branches that
belong to feature j, and A the features whose every split on the path the row agrees with. The leaf's worth of S is v
times the product of z_j outside S if S lies in A, else 0; so all features outside A receive one and the same value, and
those of A share what the coefficients of the polynomial prod_A (z_j + y) say: O(m^2) a leaf and a row.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.config import MAX_DEPTH
from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.predict import checked_rows, goes_right
from optgap.gbrl.rows import in_parallel

# The kernel that Python calls makes its own workspace, so reference counts stay on, unlike in the engine's KERNEL.
JIT: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True}
# [m - 1, s]: weight of a set of s features among the m - 1 others, s! (m - s - 1)! / m!, to the deepest path there is
WEIGHTS = np.array(
    [[1 / (m * comb(m - 1, s)) if s < m else 0.0 for s in range(MAX_DEPTH)] for m in range(1, MAX_DEPTH + 1)]
)


def shap_values(
    model: HasTrees | Ensemble, x: ArrayLike, threads: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each feature adds to each output of each row, and the outputs' expected values.

    ``values.sum(axis=1) + expected`` equals the prediction. Trees as well as outputs are summed in float64. Where no
    training row reached a split, its two branches count half each.

    Args:
        model: fitted, or its ensemble; greedy or oblivious.
        x: (n, F) rows, categorical features as integer codes; NaN is a missing value.
        threads: threads that share the rows.

    Returns:
        values (n, F, D) and expected (D,), both float64.

    Raises:
        GBTError: rows that do not fit the ensemble, or an output under Adam (no sum over trees).
    """
    ensemble = ensemble_of(model)
    ensemble.require_additive("tree SHAP")
    rows = checked_rows(ensemble, x)
    values = np.zeros((len(rows), ensemble.n_features, ensemble.n_outputs))
    largest = int(np.diff(ensemble.tree_start).max(initial=1))

    def explain(begin: int, end: int, _: int) -> NDArray[np.float64]:
        expected = ensemble.bias.astype(np.float64)
        _add_shapley(rows[begin:end], ensemble.trees, ensemble.cover, WEIGHTS, largest, values[begin:end], expected)
        return expected

    return values, in_parallel(threads, len(rows), explain)[0]


@njit(**JIT)
def _leaf_paths(
    feature: Any, left: Any, cover: Any, parent: Any, slot_feature: Any, slot_share: Any, path: Any, counts: Any
) -> None:
    """The paths to the leaves of one tree, walked from the leaf to the root.

    Args:
        feature, left, cover: the tree's own slices of the ensemble's arrays, n nodes.
        parent: (n,) workspace.
        slot_feature, slot_share: (leaves, depth) out: the different features of a leaf's path and their z_j.
        path: (leaves, depth, 3) out: node, slot of its feature, and whether the path turns right there.
        counts: (leaves, 2) out: nodes and slots of the path.
    """
    parent[0] = -1
    for node in range(len(feature)):
        if feature[node] >= 0:
            parent[left[node]] = node
            parent[left[node] + 1] = node
    for node in range(len(feature)):
        if feature[node] >= 0:
            continue
        leaf = left[node]
        steps = slots = 0
        below = node
        above = parent[below]
        while above >= 0:
            slot = 0
            while slot < slots and slot_feature[leaf, slot] != feature[above]:
                slot += 1
            if slot == slots:
                slot_feature[leaf, slot] = feature[above]
                slot_share[leaf, slot] = 1.0
                slots += 1
            total = np.float64(cover[left[above]]) + np.float64(cover[left[above] + 1])
            slot_share[leaf, slot] *= cover[below] / total if total > 0 else 0.5
            path[leaf, steps, 0] = above
            path[leaf, steps, 1] = slot
            path[leaf, steps, 2] = below - left[above]
            steps += 1
            below, above = above, parent[above]
        counts[leaf, 0] = steps
        counts[leaf, 1] = slots


@njit(**JIT)
def _leaf_shares(share: Any, follows: Any, m: int, weights: Any, polynomial: Any, out: Any) -> None:
    """Shapley values of the m features of one path for a leaf of value 1, into ``out``."""
    absent = 1.0  # the product of z_j over the features that the row does not follow
    size = 0  # how many it follows
    polynomial[0] = 1.0
    for j in range(m):
        if not follows[j]:
            absent *= share[j]
            continue
        polynomial[size + 1] = polynomial[size]
        for s in range(size, 0, -1):
            polynomial[s] = polynomial[s] * share[j] + polynomial[s - 1]
        polynomial[0] *= share[j]
        size += 1
    outside = 0.0
    for s in range(min(size, m - 1) + 1):  # size < m here, or the sum goes unused
        outside += weights[m - 1, s] * polynomial[s]
    for j in range(m):
        if not follows[j]:
            out[j] = -absent * outside
            continue
        # The polynomial without factor j, divided from its highest power: shares are at most 1, so errors do not grow.
        coefficient = polynomial[size]
        total = weights[m - 1, size - 1] * coefficient
        for s in range(size - 1, 0, -1):
            coefficient = polynomial[s] - share[j] * coefficient
            total += weights[m - 1, s - 1] * coefficient
        out[j] = absent * (1.0 - share[j]) * total


@njit(**JIT)
def _add_shapley(x: Any, trees: Any, cover: Any, weights: Any, largest: int, values: Any, expected: Any) -> None:
    """Add every tree's Shapley values to ``values`` (n, F, D) and its expectation to ``expected`` (D,).

    Args:
        x: (n, F) float32.
        trees: the ensemble's ``trees``.
        cover: the ensemble's.
        weights: ``WEIGHTS``.
        largest: nodes of the largest tree.
    """
    n, D = len(x), len(expected)
    tree_start, leaf_start = trees.tree_start, trees.leaf_start
    feature, threshold, left, nan_right = trees.feature, trees.threshold, trees.left, trees.nan_right
    leaves, depth = (largest + 1) // 2, len(weights)
    parent = np.empty(largest, np.int64)
    right = np.empty(largest, np.bool_)
    slot_feature = np.empty((leaves, depth), np.int64)
    slot_share = np.empty((leaves, depth), np.float64)
    path = np.empty((leaves, depth, 3), np.int64)
    counts = np.empty((leaves, 2), np.int64)
    scaled = np.empty((leaves, D), np.float64)
    follows = np.empty(depth, np.bool_)
    polynomial = np.empty(depth + 1, np.float64)
    shares = np.empty(depth, np.float64)
    for tree in range(len(tree_start) - 1):
        a, b = tree_start[tree], tree_start[tree + 1]
        _leaf_paths(feature[a:b], left[a:b], cover[a:b], parent, slot_feature, slot_share, path, counts)
        first = leaf_start[tree]
        for leaf in range(leaf_start[tree + 1] - first):
            reached = 1.0
            for j in range(counts[leaf, 1]):
                reached *= slot_share[leaf, j]
            for d in range(D):
                scaled[leaf, d] = -np.float64(trees.rate[tree, d]) * np.float64(trees.value[first + leaf, d])
                expected[d] += reached * scaled[leaf, d]
        for row in range(n):
            for node in range(b - a):
                f = feature[a + node]
                if f >= 0:
                    right[node] = goes_right(
                        x[row, f], threshold[a + node], trees.is_categorical[f], nan_right[a + node]
                    )
            for leaf in range(leaf_start[tree + 1] - first):
                m = counts[leaf, 1]
                follows[:m] = True
                for step in range(counts[leaf, 0]):
                    if right[path[leaf, step, 0]] != (path[leaf, step, 2] == 1):
                        follows[path[leaf, step, 1]] = False
                _leaf_shares(slot_share[leaf], follows, m, weights, polynomial, shares)
                for j in range(m):
                    for d in range(D):
                        values[row, slot_feature[leaf, j], d] += shares[j] * scaled[leaf, d]
