"""What a tree's growth works on: arrays of fixed size, handed to every kernel as one tuple."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.gbrl.binning import BinnedRows
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.histogram import F64, I32, MAX_CODES, Candidates, Features, Histograms
from optgap.gbrl.rows import F32

I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

SUBTRACT_ROWS = 2  # by bin: a node with fewer rows keeps no histogram for its children, as theirs are summed as fast
KEPT_BYTES = 1 << 26  # of histograms that are kept for subtraction at most


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


def workspace(
    binned: BinnedRows,
    prepared: F32,
    D: int,
    config: TreeConfig,
    weight: F64,
    direction: NDArray[np.int8],
    threads: int,
    floor: float,
) -> Search:
    """Room for a tree on the rows ``binned``, whose gradients were ``prepared`` (n, P) and have D outputs."""
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
    places = kept * bins + 2 * threads * MAX_CODES
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
