"""Trees by their definition, grown on raw rows in plain numpy: every candidate of every node, one after the other.

Only the edges between bins are the engine's. Sums are those of gradients on the grid, so they are exact, and a gain is
computed by the very operations that the engine documents: the trees must be equal, ties included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from optgap.gbrl.binning import Binner
from optgap.gbrl.config import TreeConfig


class Node(NamedTuple):
    rows: np.ndarray  # numbers, rising
    heirs: np.ndarray  # the same, or those of the closest ancestor that has any
    low: np.ndarray  # (D,) bounds of its values, in units of the score
    high: np.ndarray


class Split(NamedTuple):
    feature: int
    threshold: float
    nan_right: bool


class Case(NamedTuple):
    x: np.ndarray
    gradients: np.ndarray
    binner: Binner
    config: TreeConfig
    weight: np.ndarray
    direction: np.ndarray | None
    units: np.ndarray  # (n, D) gradients in units of the score, on the grid
    middle: np.ndarray
    scale: np.ndarray


def case_of(
    x: np.ndarray,
    gradients: np.ndarray,
    binner: Binner,
    config: TreeConfig,
    weight: np.ndarray,
    direction: np.ndarray | None = None,
) -> Case:
    g = gradients.astype(np.float64)
    middle, scale = np.zeros(g.shape[1]), np.ones(g.shape[1])
    if config.score == "l2":
        middle = np.array([sum(column) / len(g) for column in g.T])
        scale = np.array(
            [np.sqrt(sum((v - m) ** 2 for v in column) / len(g)) for column, m in zip(g.T, middle, strict=True)]
        )
        scale[scale == 0] = 1
    units = (g - middle) / scale
    for d, column in enumerate(units.T):
        step = 2.0 ** (max(np.frexp(np.abs(column).max())[1], -100) - 24)
        units[:, d] = np.rint(column / step) * step
    return Case(x, gradients, binner, config, weight, direction, units, middle, scale)


def in_lanes(squares: np.ndarray) -> float:
    """The sum as the engine orders it: by eights, each halved thrice."""
    padded = np.zeros(-(-len(squares) // 8) * 8)
    padded[: len(squares)] = squares
    total = 0.0
    for eight in padded.reshape(-1, 8):
        four = eight[:4] + eight[4:]
        two = four[:2] + four[2:]
        total = total + (two[0] + two[1])
    return float(total)


def goes_right(case: Case, split: Split, rows: np.ndarray) -> np.ndarray:
    value = case.x[rows, split.feature]
    chosen = value == split.threshold if case.binner.is_categorical[split.feature] else value > split.threshold
    right: np.ndarray = np.where(np.isnan(value), split.nan_right, chosen)
    return right


def held_mean(units: np.ndarray, node: Node) -> np.ndarray:
    held: np.ndarray = np.clip(units.sum(axis=0) / len(units), node.low, node.high)
    return held


def terms(units: np.ndarray, node: Node) -> list[tuple[float, float]]:
    """By output: 2 S v and n v^2 of rows with sum S whose value v is their mean within the node's bounds."""
    total, n, value = units.sum(axis=0), len(units), held_mean(units, node)
    return list(zip((2 * total * value).tolist(), (n * value * value).tolist(), strict=True))


def squares_explained(units: np.ndarray, node: Node) -> float:
    whole = 0.0
    for one, two in terms(units, node):
        whole += one - two
    return whole


def gain(case: Case, node: Node, split: Split) -> float:
    """How much the squares drop when the node's rows part; -inf if they must not."""
    units, right = case.units[node.rows], goes_right(case, split, node.rows)
    n, n_right = len(units), int(right.sum())
    oblivious = case.config.growth == "oblivious"
    if n_right in (0, n):
        return 0.0 if oblivious else -np.inf
    if min(n_right, n - n_right) < case.config.min_leaf:
        return -np.inf
    if case.direction is not None:
        left_value, right_value = held_mean(units[~right], node), held_mean(units[right], node)
        if (case.direction[split.feature] * (right_value - left_value) > 0).any():
            return -np.inf

        parts = units[~right], units[right]
        if case.binner.is_categorical[split.feature]:
            parts = parts[::-1]
        total = -squares_explained(units, node)
        for one, other in zip(*(terms(part, node) for part in parts), strict=True):
            total += ((one[0] - one[1]) + other[0]) - other[1]
        return total
    one = units[right] if case.binner.is_categorical[split.feature] else units[~right]
    off = one.sum(axis=0) - len(one) * (units.sum(axis=0) / n)
    return in_lanes(off * off) * n / (float(len(one)) * (n - len(one)))


def candidates(case: Case, f: int, rows: np.ndarray) -> Iterator[Split]:
    """Splits by a feature in the order in which the first of equals wins."""
    value = case.x[rows, f]
    missing = np.isnan(value).any()
    oblivious = case.config.growth == "oblivious"
    for nan_right in (False, True) if missing or (oblivious and case.binner.nan_allowed) else (False,):
        bins = case.binner.edges[f, : case.binner.n_bins[f]]
        for b, edge in enumerate(bins):
            if not oblivious:  # at bins that hold rows
                below = bins[b - 1] if b else -np.inf
                held = (
                    value == edge if case.binner.is_categorical[f] else (value <= edge) & ((value > below) | (b == 0))
                )
                if not held.any():
                    continue
            yield Split(f, float(edge), nan_right)


def children(case: Case, node: Node, split: Split) -> list[Node]:
    right = goes_right(case, split, node.rows)
    low, high = [node.low.copy(), node.low.copy()], [node.high.copy(), node.high.copy()]
    if case.direction is not None:
        if 0 < right.sum() < len(right):
            values = [held_mean(case.units[node.rows[side]], node) for side in (~right, right)]
        else:
            values = [held_mean(case.units[node.heirs], node)] * 2
        for d, way in enumerate(case.direction[split.feature]):
            if way:
                upper = 0 if way > 0 else 1  # the smaller the gradient, the higher the output
                low[upper][d] = high[1 - upper][d] = (values[0][d] + values[1][d]) / 2
    parts = [node.rows[~right], node.rows[right]]
    return [
        Node(part, part if len(part) else node.heirs, *bounds) for part, *bounds in zip(parts, low, high, strict=True)
    ]


def best_split(case: Case, nodes: list[Node]) -> Split | None:
    """The best split of a node, or of all nodes of a level together."""
    everywhere = np.concatenate([node.rows for node in nodes])
    found, best = None, 0.0
    for f, weight in enumerate(case.weight):
        if weight == 0:
            continue
        of_feature, top = None, -np.inf
        for split in candidates(case, f, everywhere):
            total = 0.0
            for node in nodes:
                if len(node.rows):
                    total += gain(case, node, split)
            if total > top:
                of_feature, top = split, total
        if top * weight > best:
            found, best = of_feature, top * weight
    return found


def without_example(case: Case, node: Node, split: Split) -> Split:
    """Where NaN goes if the node's rows have none in the feature: with most of them."""
    if not case.binner.nan_allowed or np.isnan(case.x[node.rows, split.feature]).any():
        return split
    right = goes_right(case, split, node.rows)
    return split._replace(nan_right=bool(2 * right.sum() > len(right)))


def plain_tree(case: Case) -> dict[str, Any]:
    """The fields of a tree's nodes, and its leaves' values."""
    D = case.gradients.shape[1]
    everything = np.arange(len(case.x))
    free = np.full(D, -np.inf), np.full(D, np.inf)
    nodes, level = [Node(everything, everything, *free)], [0]
    splits: dict[int, tuple[Split, int]] = {}
    for _ in range(case.config.max_depth):
        following: list[int] = []
        shared = best_split(case, [nodes[k] for k in level]) if level and case.config.growth == "oblivious" else None
        for k in level:
            split = shared
            if case.config.growth == "greedy":
                split = best_split(case, [nodes[k]])
                split = split and without_example(case, nodes[k], split)
            if split:
                splits[k] = split, len(nodes)
                following += [len(nodes), len(nodes) + 1]
                nodes += children(case, nodes[k], split)
        level = following
    leaves = [k for k in range(len(nodes)) if k not in splits]
    values = []
    for k in leaves:
        mean = case.gradients[nodes[k].heirs].astype(np.float64).sum(axis=0) / len(nodes[k].heirs)
        values.append(np.clip(mean, case.middle + case.scale * nodes[k].low, case.middle + case.scale * nodes[k].high))
    return {
        "feature": [splits[k][0].feature if k in splits else -1 for k in range(len(nodes))],
        "threshold": [splits[k][0].threshold if k in splits else 0 for k in range(len(nodes))],
        "nan_right": [splits[k][0].nan_right if k in splits else False for k in range(len(nodes))],
        "left": [splits[k][1] if k in splits else leaves.index(k) for k in range(len(nodes))],
        "cover": [len(node.rows) for node in nodes],
        "value": np.array(values),
    }
