"""The nodes of a tree: the root, the children of a level whose best splits are known, and the leaves' values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from optgap.gbrl.histogram import held
from optgap.gbrl.lanes import INLINED, INNER, KERNEL, LANES, add, move


@njit(**KERNEL)
def plant(s: Any) -> Any:
    """Make the root; the number of nodes."""
    rows, nodes = s.rows, s.nodes
    n, P = len(rows.row), s.one.shape[1]
    nodes.begin[0], nodes.end[0] = 0, n
    for r in range(n):
        for k in range(0, P, LANES):
            add(nodes.total, k, rows.gradient, r * P + k)
    for d in range(P):
        nodes.mean[d] = nodes.total[d] / n
    nodes.kept[0] = _take_kept(s.free) if n >= s.enough and s.max_depth > 1 else -1
    return np.intp(1)


@njit(**INLINED)
def _take_kept(free: Any) -> Any:
    """A free histogram, or -1."""
    if free[0] == 0:
        return np.int32(-1)
    free[0] -= 1
    return free[free[0] + 1]


@njit(**INLINED)
def _give_kept(free: Any, which: Any) -> None:
    free[0] += 1
    free[free[0]] = which


@njit(**KERNEL)
def advance(s: Any, begin: Any, end: Any, depth: Any) -> Any:
    """Split the nodes ``begin`` to ``end``, the level at ``depth``, where that gains something; the number of nodes."""
    best, after = s.best, end
    for node in range(begin, end):
        k = 0 if s.oblivious else node - begin
        f: Any = np.intp(-1)
        for candidate in range(best.gain.shape[1]):
            least = s.floor * s.features.weight[candidate] if f < 0 else best.gain[k, f]
            if best.gain[k, candidate] > least:
                f = candidate
        if f >= 0:
            _split(s, node, f, best.bin[k, f], best.nan_right[k, f], after, depth + 1)
            after += 2
        elif s.nodes.kept[node] >= 0:
            _give_kept(s.free, s.nodes.kept[node])
    return after


@njit(**INNER)
def _split(s: Any, node: Any, f: Any, at: Any, nan_right: Any, left: Any, depth: Any) -> None:
    """Make the nodes ``left`` and ``left + 1`` at ``depth`` the children of a node."""
    nodes, P = s.nodes, s.one.shape[1]
    nodes.feature[node], nodes.bin[node], nodes.nan_right[node], nodes.left[node] = f, at, nan_right, left
    begin, end = nodes.begin[node], nodes.end[node]
    middle = _sort_rows(s, node, f, at, nan_right, left)
    nodes.begin[left], nodes.end[left] = begin, middle
    nodes.begin[left + 1], nodes.end[left + 1] = middle, end
    n, n_left = end - begin, middle - begin
    for d in range(P):
        nodes.total[(left + 1) * P + d] = nodes.total[node * P + d] - nodes.total[left * P + d]
    square = 0.0
    for d in range(P):
        off = nodes.total[left * P + d] - n_left * nodes.mean[node * P + d]
        square += off * off
        for child in range(left, left + 2):
            rows = nodes.end[child] - nodes.begin[child]
            nodes.mean[child * P + d] = nodes.total[child * P + d] / rows if rows else nodes.mean[node * P + d]
    nodes.gain[node] = square * n / (n_left * (n - n_left)) if 0 < n_left < n else 0.0
    if len(s.features.direction):
        _bound(s, node, f, left)
    _share_kept(s, node, left, depth)


@njit(**INLINED)
def _sort_rows(s: Any, node: Any, f: Any, at: Any, nan_right: Any, left: Any) -> Any:
    """Bring the rows that go left before those that go right, both in their order; where the latter begin.

    The sum of the former is left in ``nodes.total``.
    """
    rows, codes, P = s.rows, s.features.codes[f], s.one.shape[1]
    nan, categorical = s.features.n_bins[f], s.features.is_categorical[f]
    begin, end = s.nodes.begin[node], s.nodes.end[node]
    middle, spare = begin, 0
    for r in range(begin, end):
        code = codes[rows.row[r]]
        if code == nan and s.features.nan_allowed:
            right = nan_right
        elif categorical:
            right = code == at
        else:
            right = code > at
        if right:
            rows.spare_row[spare], rows.spare_place[spare] = rows.row[r], rows.place[r]
            for k in range(0, P, LANES):
                move(rows.spare_gradient, spare * P + k, rows.gradient, r * P + k)
            spare += 1
        else:
            for k in range(0, P, LANES):
                add(s.nodes.total, left * P + k, rows.gradient, r * P + k)
                move(rows.gradient, middle * P + k, rows.gradient, r * P + k)
            rows.row[middle], rows.place[middle] = rows.row[r], rows.place[r]
            middle += 1
    for r in range(spare):
        rows.row[middle + r], rows.place[middle + r] = rows.spare_row[r], rows.spare_place[r]
        for k in range(0, P, LANES):
            move(rows.gradient, (middle + r) * P + k, rows.spare_gradient, r * P + k)
    return middle


@njit(**INLINED)
def _share_kept(s: Any, node: Any, left: Any, depth: Any) -> None:
    """Hand a node's histogram to its larger child and find one for the smaller, as far as they will be of use."""
    nodes = s.nodes
    smaller, larger = left, left + 1
    if nodes.end[smaller] - nodes.begin[smaller] > nodes.end[larger] - nodes.begin[larger]:
        smaller, larger = larger, smaller
    useful = depth < s.max_depth and nodes.end[node] - nodes.begin[node] >= s.enough
    nodes.kept[left], nodes.kept[left + 1] = -1, -1
    if nodes.kept[node] >= 0:
        if useful:
            nodes.kept[larger], nodes.derived[larger] = nodes.kept[node], True
        else:
            _give_kept(s.free, nodes.kept[node])
    for child in range(left, left + 2):
        large = nodes.end[child] - nodes.begin[child] >= s.enough
        if large and depth + 1 < s.max_depth and nodes.kept[child] < 0:
            nodes.kept[child] = _take_kept(s.free)


@njit(**INLINED)
def _bound(s: Any, node: Any, f: Any, left: Any) -> None:
    """Give the children a node's bounds and, where the split's feature is constrained, one between their values."""
    nodes, P = s.nodes, s.one.shape[1]
    for d in range(nodes.low.shape[1]):
        low, high = nodes.low[node, d], nodes.high[node, d]
        for child in range(left, left + 2):
            nodes.low[child, d], nodes.high[child, d] = low, high
        direction = s.features.direction[f, d]
        if direction == 0:
            continue
        between = held(nodes.mean[node * P + d], low, high)
        if 0 < nodes.end[left] - nodes.begin[left] < nodes.end[node] - nodes.begin[node]:
            one = held(nodes.mean[left * P + d], low, high)
            between = (one + held(nodes.mean[(left + 1) * P + d], low, high)) / 2
        # Values are descended: an output that must not fall with the feature has the larger values on the left.
        upper = left if direction > 0 else left + 1
        nodes.low[upper, d], nodes.high[left + left + 1 - upper, d] = between, between


@njit(**KERNEL)
def leaf_values(s: Any, end: Any, gradients: Any, middle: Any, scale: Any, value: Any) -> None:
    """Write the mean gradients of the leaves, held within their bounds; an empty leaf takes those of its ancestor."""
    nodes, place, D, leaf = s.nodes, s.rows.place, value.shape[1], 0
    for node in range(end):
        if nodes.feature[node] >= 0:
            for child in range(nodes.left[node], nodes.left[node] + 2):
                if nodes.begin[child] == nodes.end[child]:  # its parent's rows, which came before its own number
                    nodes.begin[child], nodes.end[child] = nodes.begin[node], nodes.end[node]
            continue
        begin, n = nodes.begin[node], nodes.end[node] - nodes.begin[node]
        for d in range(D):
            total = 0.0
            for r in range(begin, begin + n):
                total += np.float64(gradients[place[r], d])
            mean = total / n
            if len(s.features.direction):
                mean = held(mean, middle[d] + scale[d] * nodes.low[node, d], middle[d] + scale[d] * nodes.high[node, d])
            value[leaf, d] = mean
        leaf += 1
