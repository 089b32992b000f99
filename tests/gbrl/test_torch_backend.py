from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl import grow, torch_backend
from optgap.gbrl.binning import Binner
from optgap.gbrl.config import TreeConfig

FREE = np.zeros((0, 0), np.int8)


def data(rng, n, D, F=5, missing=False):
    """Rows with repeated values and codes, and gradients of many magnitudes that depend on them."""
    x = rng.normal(size=(n, F)).astype(np.float32)
    x[:, 0] = np.round(x[:, 0])
    x[:, 1] = rng.integers(4, size=n)
    x[:, 2] = 7.0
    gradients = rng.normal(size=(n, D)) * 10.0 ** rng.integers(-3, 3, D) + x[:, :1]
    if missing:
        x[rng.random((n, F)) < 0.2] = np.nan
    return x, gradients.astype(np.float32), np.arange(F) == 1


def assert_equal(tree, other):
    assert tree.nodes.keys() == other.nodes.keys()
    for name, field in tree.nodes.items():
        np.testing.assert_array_equal(field, other.nodes[name], name)
        assert field.dtype == other.nodes[name].dtype
    if torch_backend.device().type == "cpu":
        np.testing.assert_array_equal(tree.value, other.value)
    else:
        np.testing.assert_allclose(tree.value, other.value, rtol=1e-6, atol=1e-30)
    assert tree.value.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 200),
    D=st.sampled_from([1, 3, 8, 11]),
    growth=st.sampled_from(["greedy", "oblivious"]),
    score=st.sampled_from(["cosine", "l2"]),
    depth=st.integers(1, 6),
    n_bins=st.sampled_from([2, 16, 256]),
    min_leaf=st.sampled_from([1, 5]),
    missing=st.booleans(),
    constrained=st.booleans(),
    some_rows=st.booleans(),
    some_features=st.booleans(),
)
def test_the_tree_is_that_of_the_numba_backend(
    seed, n, D, growth, score, depth, n_bins, min_leaf, missing, constrained, some_rows, some_features
):
    rng = np.random.default_rng(seed)
    x, gradients, kinds = data(rng, n, D, missing=missing)
    config = TreeConfig(depth, growth, score, n_bins, min_leaf=min_leaf, nan_allowed=missing)
    binned = Binner.fit_transform(x, n_bins, "quantile", kinds, missing)
    if some_rows:
        binned, gradients = binned.take(rng.integers(n, size=n // 2 + 1)), gradients[: n // 2 + 1]
    direction = np.where(kinds[:, None], 0, rng.integers(-1, 2, (5, D))).astype(np.int8) if constrained else FREE
    weight = rng.choice([0.0, 0.5, 1.0, 1.0], 5)
    with pytest.MonkeyPatch.context() as patch:
        if some_features:  # at a time
            patch.setattr(torch_backend, "HISTOGRAM_BYTES", 1 << 15)
        tree = torch_backend.grow(binned, gradients, config, weight, direction)
    assert_equal(tree, grow.grow(binned, gradients, config, weight, direction))
