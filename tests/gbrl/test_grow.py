from __future__ import annotations

import numpy as np
import pytest
from gbrl_growth import case_of, plain_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl.binning import Binner
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.errors import GBTError
from optgap.gbrl.grow import grow

FREE = np.zeros((0, 0), np.int8)


def data(rng, n, F=4, D=3, categorical=(1,), missing=False):
    """Rows with repeated values, codes, and gradients that depend on them."""
    x = rng.normal(size=(n, F)).astype(np.float32)
    x[:, 0] = np.round(x[:, 0])
    kinds = np.isin(np.arange(F), categorical)
    x[:, kinds] = rng.integers(4, size=(n, kinds.sum()))
    gradients = rng.normal(size=(n, D)) + np.outer(x[:, 0], [1, 0, -1][:D]) + (x[:, 1:2] == 2)
    if missing:
        x[rng.random((n, F)) < 0.2] = np.nan
    return x, gradients.astype(np.float32), kinds


def assert_same(tree, plain):
    for name in ("feature", "threshold", "nan_right", "left", "cover"):
        np.testing.assert_array_equal(tree.nodes[name], np.array(plain[name], np.float64), name)
    np.testing.assert_allclose(tree.value, plain["value"], rtol=1e-6, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    D=st.sampled_from([1, 3, 9]),
    growth=st.sampled_from(["greedy", "oblivious"]),
    score=st.sampled_from(["cosine", "l2"]),
    depth=st.integers(1, 4),
    n_bins=st.sampled_from([2, 5, 256]),
    min_leaf=st.sampled_from([1, 4]),
    missing=st.booleans(),
)
def test_the_tree_is_that_of_the_definition(seed, n, D, growth, score, depth, n_bins, min_leaf, missing):
    rng = np.random.default_rng(seed)
    x, gradients, kinds = data(rng, n, D=3, missing=missing)
    gradients = np.tile(gradients, 3)[:, :D].copy()
    config = TreeConfig(depth, growth, score, n_bins, min_leaf=min_leaf, nan_allowed=missing)
    binned = Binner.fit_transform(x, n_bins, "quantile", kinds, missing)
    weight = rng.choice([0.0, 0.5, 1.0, 1.0], 4)
    tree = grow(binned, gradients, config, weight, FREE)
    assert_same(tree, plain_tree(case_of(x, gradients, binned.binner, config, weight)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), growth=st.sampled_from(["greedy", "oblivious"]), missing=st.booleans())
def test_the_tree_under_constraints_is_that_of_the_definition(seed, growth, missing):
    rng = np.random.default_rng(seed)
    x, gradients, kinds = data(rng, 80, missing=missing)
    direction = rng.integers(-1, 2, (4, 3)).astype(np.int8)
    direction[kinds] = 0
    config = TreeConfig(3, growth, "l2", 16, min_leaf=3, nan_allowed=missing)
    binned = Binner.fit_transform(x, 16, "quantile", kinds, missing)
    tree = grow(binned, gradients, config, np.ones(4), direction)
    assert_same(tree, plain_tree(case_of(x, gradients, binned.binner, config, np.ones(4), direction)))


def test_the_root_takes_the_split_that_leaves_least_variance():
    rng = np.random.default_rng(3)
    x, gradients, _ = data(rng, 50, categorical=())
    tree = grow(Binner.fit_transform(x), gradients, TreeConfig(1), np.ones(4), FREE)

    def missed(part):
        return ((part - part.mean(axis=0, dtype=np.float64)) ** 2).sum() if len(part) else 0

    found = {
        (f, edge): missed(gradients[x[:, f] <= edge]) + missed(gradients[x[:, f] > edge])
        for f in range(4)
        for edge in x[:, f]
    }
    f, threshold = tree.nodes["feature"][0], tree.nodes["threshold"][0]
    left = x[:, f] <= threshold
    assert missed(gradients[left]) + missed(gradients[~left]) == pytest.approx(min(found.values()))
    assert tree.nodes["gain"][0] == pytest.approx(missed(gradients) - min(found.values()))
    np.testing.assert_allclose(tree.value[0], gradients[left].mean(axis=0), rtol=1e-5)


def test_a_tree_by_hand():
    x = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    tree = grow(
        Binner.fit_transform(x), np.array([[1.0], [1.0], [5.0], [9.0]], np.float32), TreeConfig(2), np.ones(1), FREE
    )
    # Squares about the mean of 4: 9 + 9 + 1 + 25 = 44; parted at 1.5: 0 + 8, at 2.5: 32/3 + 0, at 0.5: 0 + 32.
    assert tree.nodes["feature"].tolist() == [0, -1, 0, -1, -1]
    assert tree.nodes["threshold"].tolist() == [1.5, 0, 2.5, 0, 0]
    assert tree.nodes["left"].tolist() == [1, 0, 3, 1, 2]
    assert tree.nodes["gain"].tolist() == [36, 0, 8, 0, 0]
    assert tree.nodes["cover"].tolist() == [4, 2, 2, 1, 1]
    assert tree.value[:, 0].tolist() == [1, 5, 9]


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_equal_gradients_are_not_split_and_tiny_differences_are(growth):
    x = np.arange(1000, dtype=np.float32)[:, None]
    gradients = np.full((1000, 2), 1234.567, np.float32)
    config = TreeConfig(growth=growth)
    assert grow(Binner.fit_transform(x), gradients, config, np.ones(1), FREE).nodes["feature"].tolist() == [-1]
    gradients[0] = np.nextafter(gradients[0], np.float32(np.inf))
    tree = grow(Binner.fit_transform(x, 1000 // 4), gradients, config, np.ones(1), FREE)
    assert tree.nodes["feature"][0] == 0


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
@pytest.mark.parametrize("score", ["cosine", "l2"])
def test_the_tree_depends_neither_on_threads_nor_on_kept_histograms(growth, score, monkeypatch):
    rng = np.random.default_rng(0)
    x, gradients, kinds = data(rng, 6000, F=100)
    gradients *= np.float32(10) ** rng.integers(-6, 6, (6000, 1)).astype(np.float32)  # sums that rounding would change
    binned = Binner.fit_transform(x, 64, categorical=kinds)
    config = TreeConfig(6, growth, score)
    trees = [grow(binned, gradients, config, np.ones(100), FREE, threads) for threads in (1, 2, 3)]
    monkeypatch.setattr("optgap.gbrl.grow_workspace.KEPT_BYTES", 0)
    trees.append(grow(binned, gradients, config, np.ones(100), FREE))
    for tree in trees[1:]:
        np.testing.assert_array_equal(tree.value, trees[0].value)
        for name, field in tree.nodes.items():
            np.testing.assert_array_equal(field, trees[0].nodes[name], name)


def test_a_greedy_tree_of_depth_ten_and_twelve():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5000, 6)).astype(np.float32)
    gradients = np.stack([np.sin(3 * x[:, 0]) * x[:, 1], x[:, 2] ** 2], axis=1).astype(np.float32)
    binned = Binner.fit_transform(x)
    errors = []
    for depth in (4, 10, 12):
        tree = grow(binned, gradients, TreeConfig(depth), np.ones(6), FREE)
        assert tree.nodes["cover"][0] == 5000
        assert tree.nodes["cover"][tree.nodes["feature"] < 0].sum() == 5000
        errors.append(tree.nodes["gain"].sum())
    assert errors[0] < errors[1] < errors[2] <= ((gradients - gradients.mean(axis=0)) ** 2).sum() * 1.0001


def test_an_excluded_feature_is_never_split():
    rng = np.random.default_rng(2)
    x, gradients, kinds = data(rng, 300)
    tree = grow(Binner.fit_transform(x, categorical=kinds), gradients, TreeConfig(6), np.array([0.0, 1, 1, 1]), FREE)
    assert 0 not in tree.nodes["feature"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_are_refused(bad):
    x = np.zeros((3, 1), np.float32)
    gradients = np.array([[1, 2], [3, bad], [5, 6]], np.float32)
    with pytest.raises(GBTError, match=r"gradients: row 1 .* finite"):
        grow(Binner.fit_transform(x), gradients, TreeConfig(), np.ones(1), FREE)
