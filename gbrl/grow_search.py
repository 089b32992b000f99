"""What the best split of each node of a level gains, feature by feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from optgap.gbrl.histogram import MAX_CODES, candidates_of, constrain, fill, take_away
from optgap.gbrl.lanes import INLINED, INNER, KERNEL


@njit(**KERNEL)
def search(s: Any, begin: Any, end: Any, first: Any, last: Any, part: Any) -> None:
    """Find the best splits of the nodes ``begin`` to ``end``, a level, by the features ``first`` to ``last``."""
    for f in range(first, last):
        if s.features.weight[f] > 0 and s.features.start[f + 1] - s.features.start[f] > 1:
            _search_feature(s, begin, end, f, part)
        else:
            s.best.gain[:, f] = -np.inf


@njit(**INNER)
def _search_feature(s: Any, begin: Any, end: Any, f: Any, part: Any) -> None:
    nodes, siblings = s.nodes, 2 if begin > 0 else 1
    if s.oblivious:
        s.by_bin[part] = 0.0
    for first in range(begin, end, siblings):
        last = first + siblings - 1
        smaller = first if nodes.end[first] - nodes.begin[first] <= nodes.end[last] - nodes.begin[last] else last
        for turn in range(siblings):
            node = smaller if turn == 0 else first + last - smaller
            base = _base(s, node, f, part)
            if nodes.derived[node]:
                take_away(s.features, f, s.one.shape[1], s.histograms, base, _base(s, smaller, f, part))
            else:
                P, left, right = s.one.shape[1], nodes.begin[node], nodes.end[node]
                fill(s.features, f, s.rows.row, s.rows.gradient, P, left, right, s.histograms, base)
        for node in range(first, last + 1):
            _search_node(s, node, begin, f, part, _base(s, node, f, part))
    if s.oblivious:
        _choose_for_level(s, f, part)


@njit(**INLINED)
def _base(s: Any, node: Any, f: Any, part: Any) -> Any:
    """The first bin of a node's histogram of a feature: among those that are kept, or one of the thread's two."""
    if s.nodes.kept[node] >= 0:
        return s.nodes.kept[node] * s.features.start[-1] + s.features.start[f]
    return len(s.histograms.counts) - (2 * part + 1 + node % 2) * MAX_CODES


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
