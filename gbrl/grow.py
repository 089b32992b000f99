"""A tree grown level by level on binned rows.

Every level has two steps. ``search`` finds, feature by feature, what the best split of each node would gain; features are
independent of one another, so threads share them out. ``advance`` takes the best feature of each node (of all nodes
together in an oblivious tree) and sorts the rows of a node by the side they go to, so that a node's rows and gradients lie
side by side. The first of equally good splits is taken: lowest feature, then NaN to the left, then lowest bin.

Of two siblings only the smaller is summed; the larger one's histogram is the parent's minus the smaller one's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.gbrl.binning import BinnedRows
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.ensemble import padded_outputs
from optgap.gbrl.errors import GBTError
from optgap.gbrl.gradients import prepare
from optgap.gbrl.histogram import (
    F64,
    I32,
    MAX_CODES,
    Candidates,
    Features,
    Histograms,
    candidates_of,
    constrain,
    fill,
    held,
    take_away,
)
from optgap.gbrl.lanes import INLINED, KERNEL, LANES, add, move
from optgap.gbrl.rows import F32, in_parallel

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

SUBTRACT_ROWS = 2  # by bin: a node with fewer rows keeps no histogram for its children, as theirs are summed as fast
KEPT_BYTES = 1 << 26  # of histograms that are kept for subtraction at most
NOISE = (
    2.0**-96
)  # of a gain, relative to rows times sum of squared gradients: float64's rounding, squared, and then some
PARALLEL_CODES = 1 << 19  # with fewer codes than this, starting threads takes longer than they save


class Rows(NamedTuple):
    """The n rows, those of a node side by side, and buffers for the rows that go right."""

    row: I32  # (n,) number in the matrix of codes
    place: I32  # (n,) number among the gradients
    gradient: F32  # (n * P,)
    spare_row: I32  # (n,)
    spare_place: I32  # (n,)
    spare_gradient: F32  # (n * P,)


class Nodes(NamedTuple):
    """The M nodes that there may be, breadth-first; the level that is being searched is at the end."""

    begin: I64  # (M,) of its rows
    end: I64  # (M,)
    kept: I32  # (M,) which of the kept histograms is its own, -1: none
    derived: Bools  # (M,) that histogram is still its parent's
    total: F64  # (M * P,) sum of its gradients
    mean: F64  # (M * P,)
    low: F64  # (M, D) bounds of its values; (0, 0) without constraints
    high: F64  # (M, D)
    feature: I32  # (M,) of its split, -1: a leaf
    bin: I32  # (M,) of its split
    nan_right: Bools  # (M,)
    left: I32  # (M,) its left child
    gain: F64  # (M,)


class Best(NamedTuple):
    """By node of the level (one for all in an oblivious tree) and feature."""

    gain: F64  # (K, F), times the feature's weight
    bin: I32  # (K, F)
    nan_right: Bools  # (K, F)


class Search(NamedTuple):
    """Everything that a tree's growth works on."""

    features: Features
    rows: Rows
    nodes: Nodes
    histograms: Histograms
    free: I32  # stack of the free kept histograms; [0] is how many there are
    candidates: Candidates
    by_bin: F64  # (threads, 2, 256) gains of a level's nodes together
    one: F64  # (threads, P) buffer
    best: Best
    max_depth: int
    min_leaf: int
    oblivious: bool
    enough: int  # rows for which a histogram is kept
    floor: float  # what rounding may feign: a split must gain more


class Tree(NamedTuple):
    """A grown tree: the fields of an ensemble's nodes, and its leaves' values."""

    nodes: dict[str, NDArray[Any]]
    value: F32  # (leaves, D) mean gradients


def grow(
    binned: BinnedRows, gradients: F32, config: TreeConfig, weight: F64, direction: NDArray[np.int8], threads: int = 1
) -> Tree:
    """Fit one tree to the gradients of some rows.

    Args:
        binned: n rows.
        gradients: (n, D) float32.
        config: of the tree.
        weight: (F,) factors of the features' gains, at least 0; 0 excludes a feature.
        direction: (F, D) monotone constraints, -1, 0 or 1; (0, 0) for none.
        threads: that share the search; the tree does not depend on it.

    Raises:
        GBTError: a gradient that is not finite.
    """
    (n, D), P = gradients.shape, padded_outputs(gradients.shape[1])
    middle, scale, prepared = np.empty(D), np.empty(D), np.empty((n, P), np.float32)
    spoilt, square = prepare(gradients, config.score == "l2", prepared, middle, scale)
    if spoilt >= 0:
        raise GBTError(f"gradients: row {spoilt} is {gradients[spoilt].tolist()}; expected finite numbers")
    search = _workspace(binned, prepared, D, config, weight, direction, threads, NOISE * n * square)
    F = len(weight)
    if threads > 1 and n * F >= PARALLEL_CODES:
        begin, end, depth = 0, _plant(search), 0
        while begin < end and depth < config.max_depth:
            level = (begin, end)
            in_parallel(threads, F, lambda first, last, part: _search(search, *level, first, last, part))  # noqa: B023
            begin, end, depth = end, _advance(search, *level, depth), depth + 1
    else:
        end = _grow(search)
    return _finished(search, end, gradients, binned, middle, scale)


def _workspace(
    binned: BinnedRows,
    prepared: F32,
    D: int,
    config: TreeConfig,
    weight: F64,
    direction: NDArray[np.int8],
    threads: int,
    floor: float,
) -> Search:
    (n, P), F, binner, depth = prepared.shape, len(weight), binned.binner, config.max_depth
    oblivious = config.growth == "oblivious"
    start = np.zeros(F + 1, np.int64)
    np.cumsum(binner.n_bins + np.int32(binner.nan_allowed), out=start[1:])
    features = Features(
        binned.codes, binner.n_bins, start, binner.is_categorical, weight, direction, binner.nan_allowed
    )
    rows = Rows(
        binned.rows.copy(),
        np.arange(n, dtype=np.int32),
        prepared.reshape(-1),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n * P, np.float32),
    )
    widest = 1 << (depth - 1) if oblivious else min(1 << (depth - 1), n)  # nodes of a level that is searched
    M = (2 << depth) - 1 if oblivious else min((2 << depth) - 1, 2 * n - 1)
    bounds = (M, D) if len(direction) else (0, 0)
    nodes = Nodes(
        np.empty(M, np.int64),
        np.empty(M, np.int64),
        np.empty(M, np.int32),
        np.zeros(M, np.bool_),
        np.zeros(M * P),
        np.zeros(M * P),
        np.full(bounds, -np.inf),
        np.full(bounds, np.inf),
        np.full(M, -1, np.int32),
        np.empty(M, np.int32),
        np.zeros(M, np.bool_),
        np.zeros(M, np.int32),
        np.zeros(M),
    )
    bins = int(start[-1])
    enough = SUBTRACT_ROWS * bins // F + 1
    kept = min(1 << depth >> 2, n // enough, KEPT_BYTES // (bins * (8 * P + 4)))
    places = kept * bins + threads * MAX_CODES
    free = np.arange(kept, -1, -1, dtype=np.int32)  # [0] is the count, then kept - 1 down to 0
    candidates = Candidates(
        np.empty((threads, MAX_CODES + 1), np.int32),
        np.empty((threads, 2, MAX_CODES + 1), np.int32),
        np.empty((threads, 2, MAX_CODES + 1)),
    )
    K = 1 if oblivious else widest
    return Search(
        features,
        rows,
        nodes,
        Histograms(np.empty(places * P), np.empty(places, np.int32)),
        free,
        candidates,
        np.empty((threads, 2, MAX_CODES)),
        np.empty((threads, P)),
        Best(np.empty((K, F)), np.empty((K, F), np.int32), np.empty((K, F), np.bool_)),
        depth,
        config.min_leaf,
        oblivious,
        enough,
        floor,
    )


def _finished(s: Search, end: int, gradients: F32, binned: BinnedRows, middle: F64, scale: F64) -> Tree:
    nodes, binner = s.nodes, binned.binner
    feature, bins = nodes.feature[:end], nodes.bin[:end]
    leaf = feature < 0
    left = np.where(leaf, np.cumsum(leaf) - 1, nodes.left[:end]).astype(np.int32)
    fields = {
        "feature": feature,
        "threshold": np.where(leaf, np.float32(0), binner.edges[np.maximum(feature, 0), np.where(leaf, 0, bins)]),
        "left": left,
        "nan_right": nodes.nan_right[:end] & ~leaf,
        "cover": (nodes.end[:end] - nodes.begin[:end]).astype(np.float32),
        "gain": np.where(leaf, 0, nodes.gain[:end]).astype(np.float32),
    }
    value = np.empty((int(leaf.sum()), gradients.shape[1]), np.float32)
    _leaf_values(s, end, gradients, middle, scale, value)  # which lets empty leaves have their ancestor's rows
    return Tree(fields, value)


@njit(**KERNEL)
def _grow(s: Any) -> Any:
    """All levels by one thread; the number of nodes."""
    begin, end, depth = 0, _plant(s), 0
    while begin < end and depth < s.max_depth:
        _search(s, begin, end, 0, len(s.features.weight), 0)
        begin, end, depth = end, _advance(s, begin, end, depth), depth + 1
    return end


@njit(**KERNEL)
def _plant(s: Any) -> Any:
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
    return 1


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
def _search(s: Any, begin: Any, end: Any, first: Any, last: Any, part: Any) -> None:
    """Find the best splits of the nodes ``begin`` to ``end``, a level, by the features ``first`` to ``last``."""
    for f in range(first, last):
        if s.features.weight[f] > 0 and s.features.start[f + 1] - s.features.start[f] > 1:
            _search_feature(s, begin, end, f, part)
        else:
            s.best.gain[:, f] = -np.inf


@njit(**KERNEL)
def _search_feature(s: Any, begin: Any, end: Any, f: Any, part: Any) -> None:
    nodes, siblings = s.nodes, 2 if begin > 0 else 1
    if s.oblivious:
        s.by_bin[part] = 0.0
    for first in range(begin, end, siblings):
        smaller_first = (
            nodes.end[first] - nodes.begin[first] <= nodes.end[first + siblings - 1] - nodes.begin[first + siblings - 1]
        )
        base = 0
        for turn in range(siblings):
            node = first + (turn if smaller_first else 1 - turn)
            if turn == 1 and nodes.derived[node]:
                sibling, base = base, nodes.kept[node] * s.features.start[-1] + s.features.start[f]
                take_away(s.features, f, s.one.shape[1], s.histograms, base, sibling)
            else:
                base = _summed(s, node, f, part)
            _search_node(s, node, begin, f, part, base)
    if s.oblivious:
        _choose_for_level(s, f, part)


@njit(**INLINED)
def _summed(s: Any, node: Any, f: Any, part: Any) -> Any:
    """Sum a node's histogram of a feature; its first bin."""
    bins = s.features.start[-1]
    if s.nodes.kept[node] >= 0:
        base = s.nodes.kept[node] * bins + s.features.start[f]
    else:
        base = len(s.histograms.counts) - (part + 1) * MAX_CODES
    begin, end, P = s.nodes.begin[node], s.nodes.end[node], s.one.shape[1]
    fill(s.features, f, s.rows.row, s.rows.gradient, P, begin, end, s.histograms, base)
    return base


@njit(**INLINED)
def _search_node(s: Any, node: Any, level: Any, f: Any, part: Any, base: Any) -> None:
    """Note the best split of a node by a feature, or add the gains of all its splits to the level's."""
    n, P = s.nodes.end[node] - s.nodes.begin[node], s.one.shape[1]
    if s.oblivious and n == 0:
        return
    if not s.oblivious and n < 2 * s.min_leaf:
        s.best.gain[node - level, f] = -np.inf
        return
    found = s.candidates
    entries, missing = candidates_of(
        s.features, f, s.histograms, base, n, s.nodes.mean, node * P, P, s.min_leaf, s.oblivious, found, part
    )
    sides = 2 if missing else 1
    if len(s.features.direction):
        total = s.nodes.total[node * P : node * P + P]
        low, high = s.nodes.low[node], s.nodes.high[node]
        constrain(s.features, f, s.histograms, base, n, total, low, high, found, part, entries, sides, s.one[part])
    if s.oblivious:
        for side in range(2 if s.features.nan_allowed else 1):
            of_side = found.gain[part, side if missing else 0]
            _add_by_bin(s.by_bin[part, side], of_side, found.bins[part], entries, s.features, f)
        return
    best, at, right = -np.inf, 0, 0
    for side in range(sides):
        for e in range(1, entries):
            if found.gain[part, side, e] > best:
                best, at, right = found.gain[part, side, e], e, side
    s.best.gain[node - level, f] = best * s.features.weight[f]
    s.best.bin[node - level, f] = found.bins[part, at]
    if s.features.nan_allowed and not missing:  # without an example, NaN goes where most rows go
        one = found.rows[part, 0, at]
        s.best.nan_right[node - level, f] = 2 * one > n if s.features.is_categorical[f] else 2 * one < n
    else:
        s.best.nan_right[node - level, f] = right == 1


@njit(**INLINED)
def _add_by_bin(by_bin: Any, gain: Any, bins: Any, entries: Any, features: Any, f: Any) -> None:
    """Add a node's gains to those of its level; at a bin without its rows, that of the bin below, or of entry 0."""
    e, below = 1, gain[0]
    for b in range(features.n_bins[f]):
        here = below
        if e < entries and bins[e] == b:
            here = gain[e]
            e += 1
            if not features.is_categorical[f]:
                below = here
        by_bin[b] += here


@njit(**INLINED)
def _choose_for_level(s: Any, f: Any, part: Any) -> None:
    best, at, right = -np.inf, 0, 0
    for side in range(2 if s.features.nan_allowed else 1):
        for b in range(s.features.n_bins[f]):
            if s.by_bin[part, side, b] > best:
                best, at, right = s.by_bin[part, side, b], b, side
    s.best.gain[0, f], s.best.bin[0, f] = best * s.features.weight[f], at
    s.best.nan_right[0, f] = right == 1


@njit(**KERNEL)
def _advance(s: Any, begin: Any, end: Any, depth: Any) -> Any:
    """Split the nodes ``begin`` to ``end``, the level at ``depth``, where that gains something; the number of nodes."""
    best, after = s.best, end
    for node in range(begin, end):
        k = 0 if s.oblivious else node - begin
        f = -1
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


@njit(**KERNEL)
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
            nodes.mean[child * P + d] = nodes.total[child * P + d] / max(nodes.end[child] - nodes.begin[child], 1)
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
def _leaf_values(s: Any, end: Any, gradients: Any, middle: Any, scale: Any, value: Any) -> None:
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
