"""Gradient histograms of a node's rows, and what each split of one feature would gain.

A node with n rows, gradient sum S and mean m = S / n that sends n1 rows with sum S1 to one side and n2 to the other gains
``|S1 - n1 m|^2 n / (n1 n2)``: by how much the gradients' sum of squares about their mean drops. It is the drop that the
usual ``|S1|^2 / n1 + |S2|^2 / n2 - |S|^2 / n`` states, without the cancellation.

Gradients come on a grid (see ``gradients.py``), so the float64 sums are exact: they depend neither on the order of the
rows, nor on the number of threads, nor on whether a histogram was summed or got as parent minus sibling.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.gbrl.lanes import INLINED, INNER, LANES, add, clear, contrast, gather, register, subtract

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

MAX_CODES = 256  # of a feature, that of NaN included


class Features(NamedTuple):
    """What is known of the F features of the rows that a tree is grown on."""

    codes: NDArray[np.uint8]  # (F, N) bins of all rows
    n_bins: I32  # (F,) without that of NaN
    start: NDArray[np.int64]  # (F+1,) offsets of the features' bins in a histogram
    is_categorical: NDArray[np.bool_]  # (F,)
    weight: F64  # (F,) factor of a gain; 0: never split
    direction: NDArray[np.int8]  # (F, D) whether output d must not fall (1) or rise (-1) with f; (0, 0): none is held
    nan_allowed: bool  # then NaN has the bin after the last


class Histograms(NamedTuple):
    """Sums and counts by bin: some nodes' for all features, then two a thread of 256 bins for one feature."""

    sums: F64  # (bins * P,)
    counts: I32  # (bins,)


class Candidates(NamedTuple):
    """The splits of one node by one feature, by thread.

    Entry 0 splits below all bins that hold rows of the node (or takes a category that the node has not), each other entry
    at one of these bins. The first of two has the rows with NaN on the left.
    """

    bins: I32  # (threads, 257)
    rows: I32  # (threads, 2, 257) on the left; for a category, on the right
    gain: F64  # (threads, 2, 257)


@njit(**INLINED)
def fill(
    features: Any, f: Any, rows: Any, gradients: Any, P: Any, begin: Any, end: Any, histograms: Any, base: Any
) -> None:
    """Sum the gradients of the rows ``begin`` to ``end`` by bin of feature ``f``, from bin ``base`` on."""
    sums, counts = histograms.sums, histograms.counts
    for b in range(base, base + features.start[f + 1] - features.start[f]):
        counts[b] = 0
        for k in range(0, P, LANES):
            clear(sums, b * P + k)
    codes = features.codes[f]
    # Indices are unsigned where it matters: numba need not ask whether they count from the end.
    if P == LANES:
        for r in range(begin, end):
            b = base + np.intp(codes[np.uintp(rows[np.uintp(r)])])
            counts[np.uintp(b)] += 1
            add(sums, b * LANES, gradients, r * LANES)
    else:
        for r in range(begin, end):
            b = base + np.intp(codes[np.uintp(rows[np.uintp(r)])])
            counts[np.uintp(b)] += 1
            for k in range(0, P, LANES):
                add(sums, b * P + k, gradients, r * P + k)


@njit(**INLINED)
def take_away(features: Any, f: Any, P: Any, histograms: Any, base: Any, sibling: Any) -> None:
    """Make the histogram of a node's larger child of the node's own, at ``base``, by that of the smaller child."""
    for b in range(features.start[f + 1] - features.start[f]):
        count = histograms.counts[sibling + b]
        if count:
            histograms.counts[base + b] -= count
            for k in range(0, P, LANES):
                subtract(histograms.sums, (base + b) * P + k, histograms.sums, (sibling + b) * P + k)


@njit(**INLINED)
def _gain_of_split(contrasted: Any, one: Any, n: Any, min_leaf: Any, oblivious: Any) -> Any:
    other = n - one
    if oblivious and (one == 0 or other == 0):
        return 0.0  # the node stays whole, and has nothing against it
    if one < min_leaf or other < min_leaf:
        return -np.inf
    return contrasted * np.float64(n) / (np.float64(one) * np.float64(other))


@njit(**INLINED)
def candidates_of(
    features: Any,
    f: Any,
    histograms: Any,
    base: Any,
    n: Any,
    mean: Any,
    at: Any,
    P: Any,
    min_leaf: Any,
    oblivious: Any,
    found: Any,
    part: Any,
) -> Any:
    """Write the splits of a node of ``n`` rows, mean gradient ``mean[at:at+P]`` and histogram ``base``.

    Returns how many entries there are, and whether there are rows with NaN, so that either side is a choice for them.
    """
    sums, counts = histograms.sums, histograms.counts
    bins, rows, gain = found.bins[part], found.rows[part], found.gain[part]
    categorical, last = features.is_categorical[f], base + features.n_bins[f]
    entries = 1
    bins[0] = -1
    for b in range(features.n_bins[f]):
        bins[np.uintp(entries)] = b
        entries += counts[np.uintp(base + b)] > 0
    nan = counts[last] if features.nan_allowed else 0
    for side in range(2 if nan else 1):
        # Rows with NaN are on the left in the first round: with those below a threshold, or without a category.
        within = nan if categorical == (side == 1) else 0
        rows[side, 0] = within
        for e in range(1, entries):
            rows[side, e] = counts[np.uintp(base + bins[e])] + (within if categorical else rows[side, e - 1])
        for k in range(0, P, LANES):
            total = register(np.float64)
            if within:
                gather(total, sums, last * P + k)
            square = contrast(total, np.float64(within), mean, at + k)
            gain[side, 0] = square if k == 0 else gain[side, 0] + square
            if categorical:
                for e in range(1, entries):
                    one = register(np.float64)
                    gather(one, sums, (base + np.intp(bins[e])) * P + k)
                    if within:
                        gather(one, sums, last * P + k)
                    square = contrast(one, np.float64(rows[side, e]), mean, at + k)
                    gain[side, e] = square if k == 0 else gain[side, e] + square
            else:
                for e in range(1, entries):
                    gather(total, sums, (base + np.intp(bins[e])) * P + k)
                    square = contrast(total, np.float64(rows[side, e]), mean, at + k)
                    gain[side, e] = square if k == 0 else gain[side, e] + square
        for e in range(entries):
            gain[side, e] = _gain_of_split(gain[side, e], rows[side, e], n, min_leaf, oblivious)
    return entries, nan > 0


@njit(**INLINED)
def held(value: Any, low: Any, high: Any) -> Any:
    """``value`` within its bounds."""
    return min(max(value, low), high)


@njit(**INNER)
def constrain(
    features: Any,
    f: Any,
    histograms: Any,
    base: Any,
    n: Any,
    total: Any,
    low: Any,
    high: Any,
    found: Any,
    part: Any,
    entries: Any,
    sides: Any,
    one: Any,
) -> None:
    """Correct the gains of a node whose values must lie within ``low`` to ``high`` (D,).

    A split whose values would go the wrong way is forbidden. The others gain what is left of the drop when each side
    takes the mean of its gradients held within the bounds: with value v, n rows of sum S account for 2 S v - n v^2.
    """
    sums = histograms.sums
    P, D = len(one), features.direction.shape[1]
    categorical, last = features.is_categorical[f], base + features.n_bins[f]
    whole = 0.0
    for d in range(D):
        value = held(total[d] / n, low[d], high[d])
        whole += 2 * total[d] * value - n * value * value
    for side in range(sides):
        with_nan = sides == 2 and categorical == (side == 1)
        for e in range(entries):
            for d in range(P):
                if e == 0 or categorical:
                    one[d] = sums[last * P + d] if with_nan else 0.0
                if e > 0:
                    one[d] += sums[(base + found.bins[part, e]) * P + d]
            n1 = found.rows[part, side, e]
            n2 = n - n1
            if n1 == 0 or n2 == 0 or found.gain[part, side, e] == -np.inf:
                continue
            gain = -whole
            for d in range(D):
                other = total[d] - one[d]
                v1, v2 = held(one[d] / n1, low[d], high[d]), held(other / n2, low[d], high[d])
                # Values are descended: an output that must not fall needs a value that does not rise.
                if features.direction[f, d] * (v2 - v1) > 0:
                    gain = -np.inf
                    break
                gain += 2 * one[d] * v1 - n1 * v1 * v1 + 2 * other * v2 - n2 * v2 * v2
            found.gain[part, side, e] = gain
