"""Outputs of an ensemble for rows that are a tensor, on the tensor's device.

Some trees are walked for all rows at once, a level at a time; then their leaves are added up one after the other, by the
operations of :mod:`optgap.gbrl.predict` in its order, so that the outputs are equal to the bit.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.errors import GBTError

GROUP = 1 << 22  # rows times trees that are walked at once


def predict(model: HasTrees | Ensemble, x: Tensor) -> Tensor:
    """Outputs (n, D) float32 of the rows ``x`` (n, F) float32, on their device.

    Raises:
        GBTError: not a float32 matrix of F columns.
    """
    ensemble = ensemble_of(model)
    F = ensemble.n_features
    if not isinstance(x, Tensor):
        raise GBTError(f"features: found {type(x).__name__}; expected a tensor")
    if x.dtype != torch.float32 or x.ndim != 2 or x.shape[1] != F:
        raise GBTError(f"features: {x.dtype} of shape {tuple(x.shape)}; expected float32 (rows, {F})")

    def here(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(x.device)

    feature, left = here(ensemble.feature), here(ensemble.left)
    threshold, nan_right = here(ensemble.threshold), here(ensemble.nan_right)
    is_categorical, tree_start = here(ensemble.is_categorical), here(ensemble.tree_start)
    value, rate, adam = here(ensemble.value), here(ensemble.rate), here(ensemble.adam)
    of_leaf = here(ensemble.leaf_start)
    flat, first_of_row = x.reshape(-1), torch.arange(len(x), device=x.device) * F
    out = here(ensemble.bias).repeat(len(x), 1)
    moments = [] if ensemble.additive else [torch.zeros_like(out), torch.zeros_like(out)]
    group = max(1, GROUP // max(1, len(x)))
    for begin in range(0, ensemble.n_trees, group):
        end = min(begin + group, ensemble.n_trees)
        root = tree_start[begin:end, None]
        node = root.repeat(1, len(x))
        while True:
            f = feature[node]
            splits = f >= 0
            if not splits.any():
                break
            f = f.clamp(min=0)
            entry, limit = flat[first_of_row + f], threshold[node]
            right = torch.where(is_categorical[f], entry == limit, entry > limit) | (nan_right[node] & entry.isnan())
            node = torch.where(splits, root + left[node] + right, node)
        leaf = left[node] + of_leaf[begin:end, None]
        for tree in range(begin, end):
            direction = value[leaf[tree - begin]]
            if moments:
                direction = _follow(moments, direction, adam)
            out -= rate[tree] * direction
    return out


def _follow(moments: list[Tensor], direction: Tensor, adam: Tensor) -> Tensor:
    """One step of Adam for the outputs that are under it, of SGD for the others (see ``predict._follow_moments``)."""
    beta1, beta2, epsilon = adam
    first, second = moments
    first.copy_(beta1 * first + (1 - beta1) * direction)
    second.copy_(beta2 * second + (1 - beta2) * direction * direction)
    root = second.to(torch.float64).sqrt().to(torch.float32)  # rounded as it should be; torch's own float32 root is not
    return torch.where(epsilon > 0, first / (root + epsilon), direction)
