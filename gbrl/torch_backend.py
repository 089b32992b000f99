"""Trees grown by tensor operations, on a GPU where there is one: the trees of :mod:`optgap.gbrl.grow`.

Level by level: histograms of the nodes' rows, the best split of each node from them, and each row's child. The histograms
come from a Triton kernel on a GPU that has Triton, else from ``index_add_``. Of two siblings the smaller is summed; the
other's histogram is their parent's minus that. Gradients are on a grid (see ``gradients.py``), so all sums are exact and
neither the device nor the order of its additions changes a tree. The leaves' values are float64 sums of gradients as they
are, in the order of the rows on a CPU, in a fixed order on a GPU; there they may differ from the CPU's by a rounding.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, fields
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.gbrl.binning import BinnedRows
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.gradients import GRID_BITS, SMALLEST_EXPONENT
from optgap.gbrl.grow import NOISE, Tree, node_fields, on_grid
from optgap.gbrl.histogram import F64
from optgap.gbrl.rows import F32
from optgap.gbrl.torch_search import NEVER, Columns, Level, Rules, Splits, add_by_bin, search

HISTOGRAM_BYTES = 1 << 28  # of a level's histograms; more than that are made and searched some features at a time

_resident: dict[int, Tensor] = {}  # codes on the GPU, by identity of the array for as long as that lives


@cache
def device() -> torch.device:
    """Where trees are grown."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def with_triton(place: torch.device) -> bool:
    """Whether histograms come from the Triton kernel."""
    return place.type == "cuda" and find_spec("triton") is not None


def resident_codes(codes: NDArray[np.uint8], place: torch.device) -> Tensor:
    """A matrix of codes on the device, where it stays for the steps on other rows of it."""
    if place.type == "cpu":
        return torch.from_numpy(codes)
    key = id(codes)
    if key not in _resident:
        _resident[key] = torch.from_numpy(codes).to(place)
        weakref.finalize(codes, _resident.pop, key, None)
    return _resident[key]


def _codes_of(binned: BinnedRows, place: torch.device) -> Tensor:
    """(F, n) codes of the rows."""
    codes, rows = resident_codes(binned.codes, place), torch.from_numpy(binned.rows).to(place)
    if len(rows) == codes.shape[1] and (rows[1:] > rows[:-1]).all():
        return codes  # all of them, in order
    return codes[:, rows]


def _on_grid(gradients: Tensor) -> Tensor:
    """(D, n) float64: gradients (n, D) as :func:`optgap.gbrl.gradients.prepare` puts them on the grid for "cosine"."""
    g = gradients.T.to(torch.float64)
    exponent = torch.frexp(g.abs().amax(dim=1, keepdim=True)).exponent.clamp(min=SMALLEST_EXPONENT)
    step = torch.ldexp(torch.ones_like(g[:, :1]), exponent - GRID_BITS)
    return (g / step).round() * step


class Summer:
    """Histograms of some rows of a batch, from the Triton kernel or from tensor operations."""

    def __init__(self, codes: Tensor, gradients: Tensor, bins: int) -> None:
        """Of rows with the bins ``codes`` (F, n), below ``bins``, and ``gradients`` (D, n) float64 on the grid."""
        self.bins, self._triton = bins, with_triton(codes.device)
        if self._triton:
            from optgap.gbrl import triton_kernels

            self._kernels: Any = triton_kernels
            self._triton = codes.shape[1] <= triton_kernels.MOST_ROWS
        if self._triton:
            self._digits, self._step = self._kernels.to_digits(gradients)
        else:
            self._values = torch.cat([gradients, torch.ones_like(gradients[:1])])

    def __call__(self, codes: Tensor, rows: Tensor, node: Tensor, nodes: int) -> Tensor:
        """(D + 1, nodes, F', bins): gradients and number of ``rows`` by ``node`` (m,) and bin of the features ``codes``."""
        if self._triton:
            node, order = node.sort(stable=True)
            sums: Tensor = self._kernels.add_by_bin(
                codes, self._digits, self._step, rows[order], node, nodes, self.bins
            )
            return sums
        return add_by_bin(codes[:, rows], self._values[:, rows], node, nodes, self.bins)


@dataclass
class Nodes:
    """The K nodes of a level on the host: as :class:`torch_search.Level` has them, and their splits."""

    rows: F64  # (K,)
    total: F64  # (K, D)
    mean: F64  # (K, D)
    low: F64  # (K, D), (0, 0) without constraints
    high: F64
    feature: NDArray[np.int32]  # (K,) -1: a leaf
    bin: NDArray[np.int32]
    nan_right: NDArray[np.bool_]
    left: NDArray[np.int32]  # (K,) number of the left child
    gain: F64

    @classmethod
    def leaves(cls, rows: F64, total: F64, mean: F64, low: F64, high: F64) -> Nodes:
        """Nodes that nothing splits yet."""
        K, none = len(rows), np.zeros(len(rows), np.int32)
        return cls(rows, total, mean, low, high, none - 1, none, np.zeros(K, np.bool_), none, np.zeros(K))


def grow(
    binned: BinnedRows, gradients: F32, config: TreeConfig, weight: F64, direction: NDArray[np.int8], threads: int = 1
) -> Tree:
    """Fit one tree to the gradients (n, D) of some rows: see :func:`optgap.gbrl.grow.grow`.

    ``threads`` changes nothing: torch has its own setting for a CPU.

    Raises:
        GBTError: a gradient that is not finite.
    """
    place, binner, (n, D) = device(), binned.binner, gradients.shape
    raw = torch.from_numpy(gradients).to(place)
    if config.score == "cosine" and raw.isfinite().all():
        middle, scale, targets = np.zeros(D), np.ones(D), _on_grid(raw)
        floor = NOISE * n * float((targets * targets).sum())
    else:  # what gradients are standardised by depends on the order of the sum: there is one for all backends
        prepared, middle, scale, floor = on_grid(gradients, config.score)
        targets = torch.from_numpy(prepared[:, :D]).to(place).T.to(torch.float64)
    targets = targets.contiguous()
    of_features = binner.n_bins.astype(np.int64), binner.is_categorical, weight, direction.astype(np.float64)
    features = Columns(_codes_of(binned, place), *(torch.from_numpy(each).to(place) for each in of_features))
    summer = Summer(features.codes, targets, int(binner.n_bins.max()) + binner.nan_allowed)
    rules = Rules(config.growth == "oblivious", config.min_leaf, binner.nan_allowed)
    total = targets.sum(dim=1).cpu().numpy()[None]
    bound = np.full((1, D) if len(direction) else (0, 0), np.inf)
    levels = [Nodes.leaves(np.array([float(n)]), total, total / n, -bound, bound)]
    begin, node = 0, torch.zeros(n, dtype=torch.int64, device=place)
    sums: Tensor | None = None
    for _ in range(config.max_depth):
        level = levels[-1]
        splits, sums = _search_level(features, summer, node - begin, levels, sums, rules)
        left = _choose(splits, features.weight, floor, level)
        children = _split(level, left, begin, direction)
        if len(children.rows) == 0:
            break
        node = _descend(features, node, begin, level, rules.nan_allowed)
        levels.append(children)
        begin += len(level.rows)
    tree = Nodes(*(np.concatenate([getattr(level, field.name) for level in levels]) for field in fields(Nodes)))
    value = _leaf_means(raw, node, tree)
    if len(direction):
        leaf = tree.feature < 0
        value = np.minimum(np.maximum(value, middle + scale * tree.low[leaf]), middle + scale * tree.high[leaf])
    nodes = node_fields(binner, tree.feature, tree.bin, tree.nan_right, tree.left, tree.rows, tree.gain)
    return Tree(nodes, value.astype(np.float32))


def _search_level(
    features: Columns, summer: Summer, slot: Tensor, levels: list[Nodes], parents: Tensor | None, rules: Rules
) -> tuple[Splits, Tensor | None]:
    """The best splits of the last level's nodes by feature, and its histograms, if they all fit.

    ``slot`` (n,) is each row's node within the level, negative for rows in leaves above; ``parents`` the histograms of
    the level before.
    """
    nodes, place, (F, _) = levels[-1], slot.device, features.codes.shape
    K, D = nodes.total.shape
    level = Level(
        *(torch.from_numpy(a).to(place) for a in (nodes.rows, nodes.total, nodes.mean, nodes.low, nodes.high))
    )
    width = max(1, HISTOGRAM_BYTES // (8 * (D + 1) * K * summer.bins))
    if width >= F and parents is not None:
        split = torch.from_numpy(np.flatnonzero(levels[-2].feature >= 0)).to(place)
        left_is_smaller = level.rows[::2] <= level.rows[1::2]
        smaller = torch.stack([left_is_smaller, ~left_is_smaller], dim=1).flatten()
        rows = ((slot >= 0) & smaller[slot.clamp(min=0)]).nonzero()[:, 0]
        small = summer(features.codes, rows, slot[rows] // 2, K // 2)
        large, first = parents[:, split] - small, left_is_smaller[:, None, None]
        pairs = [torch.where(first, small, large), torch.where(first, large, small)]
        sums = torch.stack(pairs, dim=2).flatten(1, 2)
        return search(sums, features, level, rules), sums
    rows = (slot >= 0).nonzero()[:, 0]
    found = []
    for f in range(0, F, width):
        part = features.part(f, min(f + width, F))
        sums = summer(part.codes, rows, slot[rows], K)
        found.append(search(sums, part, level, rules))
    return Splits(*(torch.cat(parts, dim=-1) for parts in zip(*found, strict=True))), sums if width >= F else None


def _choose(splits: Splits, weight: Tensor, floor: float, level: Nodes) -> F64:
    """Note each node's best split in the level; (D + 1, K) sums and numbers of the rows that go left.

    The first of equally good features is taken, and the first taken at all must gain more than ``floor``.
    """
    K, (_, F) = len(level.rows), splits.gain.shape
    large = splits.gain > floor * weight
    later = torch.arange(F, device=weight.device) >= large.to(torch.int8).argmax(dim=1, keepdim=True)
    best = torch.where(later, splits.gain, NEVER).argmax(dim=1, keepdim=True).expand(K, 1)
    feature = torch.where(large.any(dim=1, keepdim=True), best, -1)
    of_best = [splits.bin.expand(K, F).gather(1, best), splits.nan_right.gather(1, best)]
    left = splits.left.gather(2, best.expand(len(splits.left), K, 1))[..., 0]
    table = torch.cat([torch.cat([feature, *of_best], dim=1).T.to(torch.float64), left]).cpu().numpy()
    level.feature, level.bin = table[0].astype(np.int32), table[1].astype(np.int32)
    level.nan_right = table[2] > 0
    return table[3:]


def _split(level: Nodes, left: F64, begin: int, direction: NDArray[np.int8]) -> Nodes:
    """The children of a level whose first node is number ``begin``; notes where they are and the gains."""
    split = np.flatnonzero(level.feature >= 0)
    level.left[split] = begin + len(level.rows) + 2 * np.arange(len(split))
    n, total, mean = level.rows[split], level.total[split], level.mean[split]
    n1, one = left[-1, split], left[:-1, split].T
    square = np.zeros(len(split))
    for d in range(total.shape[1]):
        off = one[:, d] - n1 * mean[:, d]
        square += off * off
    both = (n1 > 0) & (n1 < n)
    np.divide(square * n, n1 * (n - n1), out=square, where=both)
    level.gain[split] = np.where(both, square, 0)

    def pairs(of_left: F64, of_right: F64) -> F64:
        return np.stack([of_left, of_right], axis=1).reshape(-1, *of_left.shape[1:])

    rows, sums = pairs(n1, n - n1), pairs(one, total - one)
    means = pairs(mean, mean)
    np.divide(sums, rows[:, None], out=means, where=rows[:, None] > 0)
    low, high = level.low, level.high
    if len(direction):
        of_split = direction[level.feature[split]]
        low, high = low[split], high[split]
        held = np.minimum(np.maximum(means.reshape(-1, 2, means.shape[1]), low[:, None]), high[:, None])
        middle = np.where(both[:, None], (held[:, 0] + held[:, 1]) / 2, np.minimum(np.maximum(mean, low), high))
        # Values are descended: an output that must not fall with the feature has the larger values on the left.
        low, high = (
            pairs(np.where(of_split > 0, middle, low), np.where(of_split < 0, middle, low)),
            pairs(np.where(of_split < 0, middle, high), np.where(of_split > 0, middle, high)),
        )
    return Nodes.leaves(rows, sums, means, low, high)


def _descend(features: Columns, node: Tensor, begin: int, level: Nodes, nan_allowed: bool) -> Tensor:
    """Each row's node after the splits of a level whose first node is number ``begin``."""
    place, slot = node.device, (node - begin).clamp(min=0)
    f, at, left, nan_right = (
        torch.from_numpy(a).to(place)[slot].to(torch.int64)
        for a in (level.feature, level.bin, level.left, level.nan_right)
    )
    splits = (node >= begin) & (f >= 0)
    f = f.clamp(min=0)
    code = features.codes.gather(0, f[None])[0].to(torch.int64)
    right = torch.where(features.is_categorical[f], code == at, code > at)
    if nan_allowed:
        right = torch.where(code == features.n_bins[f], nan_right > 0, right)
    return torch.where(splits, left + right, node)


def _leaf_means(gradients: Tensor, node: Tensor, tree: Nodes) -> F64:
    """(leaves, D): the mean gradient of each leaf's rows; an empty leaf's, of its closest ancestor with rows."""
    ordered = gradients[node.argsort(stable=True)].to(torch.float64).T.contiguous()
    rows = tree.rows[tree.feature < 0].astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(rows)])
    means, width = np.zeros((len(rows), len(ordered))), 1
    empty = np.ones(len(rows), np.bool_)
    while empty.any():  # ancestors have twice as many leaves each time: only a complete tree has empty leaves
        ends = torch.from_numpy(bounds[::width]).to(node.device)
        sums = [torch.segment_reduce(of_output, "sum", offsets=ends) for of_output in ordered]
        number = np.diff(bounds[::width])
        found = torch.stack(sums, dim=1).cpu().numpy() / np.maximum(number, 1)[:, None]
        new = empty & (np.repeat(number, width) > 0)
        means[new] = np.repeat(found, width, axis=0)[new]
        empty &= ~new
        width *= 2
    return means
