"""Random ensembles, and what they mean in plain Python: predictions row by row, Shapley values by their definition."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np

from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.ensemble import Ensemble
from optgap.gbrl.model import GBTModel

CODES = 4  # of a categorical feature: 0, 1, 2, 3


def random_ensemble(
    rng: np.random.Generator,
    n_trees: int = 5,
    n_features: int = 4,
    n_outputs: int = 3,
    depth: int = 3,
    categorical: tuple[int, ...] = (1,),
    oblivious: bool = False,
    missing: bool = True,
) -> Ensemble:
    """Trees of random splits; greedy ones stop at random. Covers are random and add up, some being 0."""
    is_categorical = np.isin(np.arange(n_features), categorical)
    names = ("feature", "threshold", "left", "nan_right", "cover", "gain")
    nodes: dict[str, list[Any]] = {name: [] for name in names}
    tree_start, leaf_start = [0], [0]

    def split() -> tuple[int, float, bool]:
        f = int(rng.integers(n_features))
        threshold = rng.integers(CODES) if is_categorical[f] else np.float32(rng.choice(GRID))
        return f, float(threshold), bool(missing and rng.random() < 0.5)

    for _ in range(n_trees):
        levels = [split() for _ in range(depth)]
        queue, next_node, leaves = [(0, int(rng.integers(50, 100)))], 1, 0
        while queue:
            level, cover = queue.pop(0)
            leaf = level == depth or (not oblivious and rng.random() < 0.2)
            f, threshold, nan_right = (-1, 0.0, False) if leaf else levels[level] if oblivious else split()
            row = (f, threshold, leaves if leaf else next_node, nan_right, cover, 0.0 if leaf else rng.random())
            for name, entry in zip(names, row, strict=True):
                nodes[name].append(entry)
            if leaf:
                leaves += 1
            else:
                share = int(rng.integers(cover + 1))
                queue += [(level + 1, share), (level + 1, cover - share)]
                next_node += 2
        tree_start.append(len(nodes["feature"]))
        leaf_start.append(leaf_start[-1] + leaves)
    return Ensemble(
        bias=rng.normal(size=n_outputs).astype(np.float32),
        tree_start=np.array(tree_start, np.int64),
        feature=np.array(nodes["feature"], np.int32),
        threshold=np.array(nodes["threshold"], np.float32),
        left=np.array(nodes["left"], np.int32),
        nan_right=np.array(nodes["nan_right"], np.bool_),
        cover=np.array(nodes["cover"], np.float32),
        gain=np.array(nodes["gain"], np.float32),
        leaf_start=np.array(leaf_start, np.int64),
        value=rng.normal(size=(leaf_start[-1], n_outputs)).astype(np.float32),
        rate=rng.uniform(0.01, 0.3, size=(n_trees, n_outputs)).astype(np.float32),
        is_categorical=is_categorical,
        oblivious=oblivious,
    )


def trained_model(growth: str, n_trees: int = 40) -> tuple[GBTModel, np.ndarray]:
    """A model of three outputs, and the rows (300, 5) that it was trained on: a category, gaps, values that repeat."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    x[:, 1] = rng.integers(CODES, size=300)
    x[:, 2] = np.round(x[:, 2], 1)
    x[rng.random((300, 5)) < 0.1] = np.nan
    signal = np.nan_to_num(x, nan=1.0)
    y = np.stack(
        [np.sin(2 * signal[:, 0]) + (signal[:, 1] == 2), signal[:, 2] * signal[:, 3], signal[:, 4] > 0], axis=1
    )
    tree = TreeConfig(max_depth=5, growth=growth, n_bins=64, nan_allowed=True)
    optimizers = [OptimizerConfig(0, 2, learning_rate=0.3), OptimizerConfig(2, 3, schedule="linear", schedule_trees=50)]
    model = GBTModel(5, 3, tree, optimizers, bias=y.mean(axis=0), categorical=np.arange(5) == 1)
    binned = model.bin(x)
    for _ in range(n_trees):
        model.step(binned, model.predict(x) - y)
    return model, x


GRID = np.linspace(-1, 1, 9, dtype=np.float32) / np.float32(3)  # thresholds, and values of rows that lie on them


def random_rows(rng: np.random.Generator, ensemble: Ensemble, n: int, missing: bool = True) -> np.ndarray:
    """(n, F) float32: codes, values on and off the thresholds, NaN."""
    F = ensemble.n_features
    x = np.where(rng.random((n, F)) < 0.5, rng.choice(GRID, (n, F)), rng.normal(size=(n, F)).astype(np.float32))
    x = np.where(ensemble.is_categorical, rng.integers(CODES, size=(n, F)), x)
    return np.where(missing & (rng.random((n, F)) < 0.15), np.nan, x).astype(np.float32)


def goes_right(ensemble: Ensemble, node: int, x: np.ndarray) -> bool:
    """Whether row ``x`` turns right at ``node``, numbered through all trees."""
    f = ensemble.feature[node]
    if np.isnan(x[f]):
        return bool(ensemble.nan_right[node])
    return bool(x[f] == ensemble.threshold[node] if ensemble.is_categorical[f] else x[f] > ensemble.threshold[node])


def plain_predict(ensemble: Ensemble, x: np.ndarray) -> np.ndarray:
    """(n, D) float32, tree by tree in float32."""
    out = np.repeat(ensemble.bias[None], len(x), axis=0)
    for i, row in enumerate(x):
        for tree in range(ensemble.n_trees):
            start = node = ensemble.tree_start[tree]
            while ensemble.feature[node] >= 0:
                node = start + ensemble.left[node] + goes_right(ensemble, node, row)
            out[i] -= ensemble.rate[tree] * ensemble.value[ensemble.leaf_start[tree] + ensemble.left[node]]
    return out


def subset_worth(ensemble: Ensemble, x: np.ndarray, known: set[int]) -> Any:
    """(D,): the expected outputs of row ``x`` where only the features ``known`` are: Lundberg et al. 2018, algorithm 1."""

    def descend(tree: int, node: int) -> Any:
        start, f = ensemble.tree_start[tree], ensemble.feature[node]
        if f < 0:
            leaf = ensemble.leaf_start[tree] + ensemble.left[node]
            return -ensemble.rate[tree].astype(float) * ensemble.value[leaf]
        left = start + ensemble.left[node]
        if f in known:
            return descend(tree, left + goes_right(ensemble, node, x))
        covers = ensemble.cover[left : left + 2].astype(float)
        shares = covers / covers.sum() if covers.sum() > 0 else np.array([0.5, 0.5])
        return shares[0] * descend(tree, left) + shares[1] * descend(tree, left + 1)

    return ensemble.bias.astype(float) + sum(descend(t, ensemble.tree_start[t]) for t in range(ensemble.n_trees))


def plain_shapley(ensemble: Ensemble, x: np.ndarray) -> np.ndarray:
    """(F, D): Shapley values of row ``x`` by their definition, over all subsets of the features."""
    F = ensemble.n_features
    worth = {
        subset: subset_worth(ensemble, x, set(subset))
        for size in range(F + 1)
        for subset in combinations(range(F), size)
    }
    out = np.zeros((F, ensemble.n_outputs))
    for f in range(F):
        for subset in worth:
            if f not in subset:
                weight = factorial(len(subset)) * factorial(F - len(subset) - 1) / factorial(F)
                out[f] += weight * (worth[tuple(sorted((*subset, f)))] - worth[subset])
    return out


def small_ensemble() -> Ensemble:
    """Two trees known by heart, on (speed, colour): a stump, and one that asks speed, then colour; two outputs."""
    return Ensemble(
        bias=np.array([1.0, 0.0], np.float32),
        tree_start=np.array([0, 3, 8]),
        feature=np.array([0, -1, -1, 0, -1, 1, -1, -1], np.int32),
        threshold=np.array([0.5, 0, 0, -1.0, 0, 2, 0, 0], np.float32),
        left=np.array([1, 0, 1, 1, 0, 3, 1, 2], np.int32),
        nan_right=np.array([True, False, False, False, False, False, False, False]),
        cover=np.array([10, 4, 6, 10, 2, 8, 5, 3], np.float32),
        gain=np.array([3.0, 0, 0, 1.5, 0, 0.5, 0, 0], np.float32),
        leaf_start=np.array([0, 2, 5]),
        value=np.array([[1, 0], [-1, 2], [0, 0], [4, 0], [0, -4]], np.float32),
        rate=np.array([[0.5, 0.25], [0.5, 0.25]], np.float32),
        is_categorical=np.array([False, True]),
        oblivious=False,
    )
