"""Histograms of a level's nodes as tensors, and the best split of each node: ``histogram.py`` over all bins at once.

Every gain is computed by the operations of the numba kernels, in their order, on sums that are exact: equal to the bit.
A bin without rows of a node needs no care: its split is that of the bin below, by the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from optgap.gbrl.lanes import LANES

NEVER = -float("inf")


class Columns(NamedTuple):
    """Features of the rows, and what is known of them."""

    codes: Tensor  # (F, n) uint8
    n_bins: Tensor  # (F,) int64, without that of NaN
    is_categorical: Tensor  # (F,) bool
    weight: Tensor  # (F,) float64; 0: never split
    direction: Tensor  # (F, D) float64 of -1, 0 and 1; (0, 0) without constraints

    def part(self, first: int, last: int) -> Columns:
        """Those of the features ``first`` to ``last - 1``."""
        return Columns(*(column[first:last] for column in self))


class Level(NamedTuple):
    """K nodes that are searched, in float64."""

    rows: Tensor  # (K,)
    total: Tensor  # (K, D) sum of the gradients
    mean: Tensor  # (K, D)
    low: Tensor  # (K, D) bounds of the values; (0, 0) without constraints
    high: Tensor  # (K, D)


class Rules(NamedTuple):
    """What a split must keep to."""

    oblivious: bool
    min_leaf: int
    nan_allowed: bool


class Splits(NamedTuple):
    """The best split by feature, of each node or (K = 1) of all nodes of an oblivious level together."""

    gain: Tensor  # (K, F) float64, times the feature's weight
    bin: Tensor  # (K, F) int64
    nan_right: Tensor  # (nodes, F) bool
    left: Tensor  # (D + 1, nodes, F) float64: sums, then number, of the rows that go left


def add_by_bin(codes: Tensor, values: Tensor, node: Tensor, nodes: int, bins: int) -> Tensor:
    """Sum rows' values by node, feature and bin.

    Args:
        codes: (F, m) uint8, below ``bins``.
        values: (C, m).
        node: (m,) int64, below ``nodes``.

    Returns:
        (C, nodes, F, bins), of the values' dtype.
    """
    features = len(codes)
    sums = values.new_zeros(len(values), nodes * features * bins)
    first = node * (features * bins)
    for f in range(features):
        place = first + codes[f] + f * bins
        for of_column, column in zip(sums, values, strict=True):
            of_column.index_add_(0, place, column)
    return sums.view(len(values), nodes, features, bins)


def search(sums: Tensor, features: Columns, level: Level, rules: Rules) -> Splits:
    """The best splits of the nodes whose histograms are ``sums`` (D + 1, K, F, bins), the last of them the counts."""
    bins, categorical = sums.shape[-1], features.is_categorical[:, None]
    if rules.nan_allowed:
        last = features.n_bins[:, None].expand(*sums.shape[:3], 1)
        missing = sums.gather(3, last)
    else:
        missing = sums.new_zeros(*sums.shape[:3], 1)
    chosen = torch.where(categorical, sums, sums.cumsum(3))
    gains = torch.stack(
        [
            _gains(chosen + torch.where(categorical == bool(side), missing, 0.0), features, level, rules)
            for side in range(1 + rules.nan_allowed)  # rows with NaN go left, then right
        ],
        dim=2,
    )
    of_feature = torch.arange(bins, device=sums.device) < features.n_bins[:, None]  # (F, bins)
    if rules.oblivious:
        together = torch.zeros_like(gains[0])
        for of_node in gains:  # one after the other: this sum is not exact
            together += of_node
        gains = torch.where(of_feature[:, None], together, NEVER)[None]
    else:
        held = of_feature & (sums[-1] > 0)
        sides = torch.stack([held, held & (missing[-1] > 0)][: 1 + rules.nan_allowed], dim=2)
        large = level.rows[:, None, None, None] >= 2 * rules.min_leaf
        gains = torch.where(sides & large, gains, NEVER)
    gain, at = gains.flatten(2).max(dim=2)  # the first of equal ones
    side, at = at >= bins, at % bins
    codes = features.n_bins + int(rules.nan_allowed)
    gain = torch.where((features.weight > 0) & (codes > 1), gain * features.weight, NEVER)
    kinds = features.is_categorical
    one = chosen.gather(3, at.expand(sums.shape[1:3])[None, :, :, None].expand(*sums.shape[:3], 1))[..., 0]
    of_missing, n = missing[-1, :, :, 0], level.rows[:, None]
    nan_right = side.expand(sums.shape[1:3])
    if rules.nan_allowed and not rules.oblivious:  # without an example, NaN goes where most rows go
        most = torch.where(kinds, 2 * one[-1] > n, 2 * one[-1] < n)
        nan_right = torch.where(of_missing > 0, nan_right, most)
    one = one + torch.where(kinds == nan_right, missing[..., 0], 0.0)
    everything = torch.cat([level.total.T, level.rows[None]])[:, :, None]
    return Splits(gain, at, nan_right, torch.where(kinds, everything - one, one))


def _gains(one: Tensor, features: Columns, level: Level, rules: Rules) -> Tensor:
    """(K, F, bins): what splits gain whose one side has the sums and counts ``one`` (D + 1, K, F, bins)."""
    n1, n = one[-1], level.rows[:, None, None]
    n2 = n - n1

    def square(d: int) -> Tensor:
        off = one[d] - n1 * level.mean[:, d, None, None]
        return off * off

    gain = sum_in_lanes(square, len(one) - 1) * n / (n1 * n2)
    empty = (n1 == 0) | (n2 == 0)
    gain = torch.where((n1 < rules.min_leaf) | (n2 < rules.min_leaf), NEVER, gain)
    if len(features.direction):
        gain = torch.where(empty, gain, _held_gains(gain, one, features, level))
    return torch.where(empty, 0.0 if rules.oblivious else NEVER, gain)


def sum_in_lanes(term: Callable[[int], Tensor], entries: int) -> Tensor:
    """``term(0) + term(1) + ...`` in the order of :mod:`optgap.gbrl.lanes`: by eights, each halved thrice."""
    total: Tensor | None = None
    for first in range(0, entries, LANES):
        lanes = [term(d) for d in range(first, min(first + LANES, entries))]
        for width in (4, 2, 1):
            pairs = range(min(width, len(lanes)))
            lanes = [lanes[k] + lanes[k + width] if k + width < len(lanes) else lanes[k] for k in pairs]
        total = lanes[0] if total is None else total + lanes[0]
    assert total is not None
    return total


def _held_gains(gain: Tensor, one: Tensor, features: Columns, level: Level) -> Tensor:
    """The gains under constraints (see ``histogram.constrain``)."""
    n1, n = one[-1], level.rows[:, None, None]
    n2 = n - n1
    low, high, direction = level.low, level.high, features.direction
    whole = torch.zeros_like(level.rows)
    for d in range(len(one) - 1):
        total = level.total[:, d]
        value = (total / level.rows).clamp(low[:, d], high[:, d])
        whole = whole + (2 * total * value - level.rows * value * value)
    held, wrong = -whole[:, None, None], torch.zeros_like(gain, dtype=torch.bool)
    for d in range(len(one) - 1):
        least, most, total = (bound[:, d, None, None] for bound in (low, high, level.total))
        other = total - one[d]
        v1, v2 = (one[d] / n1).clamp(least, most), (other / n2).clamp(least, most)
        wrong |= direction[:, d, None] * (v2 - v1) > 0
        held = held + (2 * one[d] * v1 - n1 * v1 * v1 + 2 * other * v2 - n2 * v2 * v2)
    return torch.where(wrong | (gain == NEVER), NEVER, held)
