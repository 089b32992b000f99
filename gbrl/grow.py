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

from optgap.gbrl.binning import BinnedRows, Binner
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.ensemble import padded_outputs
from optgap.gbrl.errors import GBTError
from optgap.gbrl.gradients import prepare
from optgap.gbrl.grow_search import search
from optgap.gbrl.grow_split import advance, leaf_values, plant
from optgap.gbrl.grow_workspace import Search, workspace
from optgap.gbrl.histogram import F64
from optgap.gbrl.lanes import KERNEL
from optgap.gbrl.rows import F32, in_parallel

NOISE = (
    2.0**-96
)  # of a gain, relative to rows times sum of squared gradients: float64's rounding, squared, and then some
PARALLEL_CODES = 1 << 19  # with fewer codes than this, starting threads takes longer than they save


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
    prepared, middle, scale, floor = on_grid(gradients, config.score)
    room = workspace(binned, prepared, gradients.shape[1], config, weight, direction, threads, floor)
    F = len(weight)
    if threads > 1 and len(binned) * F >= PARALLEL_CODES:
        begin, end, depth = 0, plant(room), 0
        while begin < end and depth < config.max_depth:
            level = (begin, end)
            in_parallel(threads, F, lambda first, last, part: search(room, *level, first, last, part))  # noqa: B023
            begin, end, depth = end, advance(room, *level, depth), depth + 1
    else:
        end = _grow(room)
    return _finished(room, end, gradients, binned, middle, scale)


def on_grid(gradients: F32, score: str) -> tuple[F32, F64, F64, float]:
    """The gradients (n, D) in units of the score, padded to (n, P); their middles and scales; the least gain of a split.

    Raises:
        GBTError: one is not finite.
    """
    n, D = gradients.shape
    middle, scale, prepared = np.empty(D), np.empty(D), np.empty((n, padded_outputs(D)), np.float32)
    spoilt, square = prepare(gradients, score == "l2", prepared, middle, scale)
    if spoilt >= 0:
        raise GBTError(f"gradients: row {spoilt} is {gradients[spoilt].tolist()}; expected finite numbers")
    return prepared, middle, scale, NOISE * n * square


def node_fields(
    binner: Binner,
    feature: NDArray[Any],
    bins: NDArray[Any],
    nan_right: NDArray[np.bool_],
    left: NDArray[Any],
    rows: NDArray[Any],
    gain: F64,
) -> dict[str, NDArray[Any]]:
    """The fields of an ensemble's nodes, breadth-first, from what was noted of each; only ``rows`` counts for a leaf."""
    leaf = feature < 0
    return {
        "feature": feature,
        "threshold": np.where(leaf, np.float32(0), binner.edges[np.maximum(feature, 0), np.where(leaf, 0, bins)]),
        "left": np.where(leaf, np.cumsum(leaf) - 1, left).astype(np.int32),
        "nan_right": nan_right & ~leaf,
        "cover": rows.astype(np.float32),
        "gain": np.where(leaf, 0, np.minimum(gain, np.finfo(np.float32).max)).astype(np.float32),
    }


def _finished(s: Search, end: int, gradients: F32, binned: BinnedRows, middle: F64, scale: F64) -> Tree:
    nodes = s.nodes
    feature, rows = nodes.feature[:end], nodes.end[:end] - nodes.begin[:end]
    fields = node_fields(
        binned.binner, feature, nodes.bin[:end], nodes.nan_right[:end], nodes.left[:end], rows, nodes.gain[:end]
    )
    value = np.empty((int((feature < 0).sum()), gradients.shape[1]), np.float32)
    leaf_values(s, end, gradients, middle, scale, value)  # which lets empty leaves have their ancestor's rows
    return Tree(fields, value)


@njit(**KERNEL)
def _grow(s: Any) -> Any:
    """All levels by one thread; the number of nodes."""
    zero = np.intp(0)  # numba would compile what is called once for the literal and once for any integer
    begin, end, depth = zero, plant(s), zero
    while begin < end and depth < s.max_depth:
        search(s, begin, end, zero, len(s.features.weight), zero)
        begin, end, depth = end, advance(s, begin, end, depth), depth + 1
    return end
