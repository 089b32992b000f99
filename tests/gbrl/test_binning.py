from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optgap.gbrl.binning import Binner
from optgap.gbrl.errors import GBTError

ANY_FLOAT = st.floats(width=32, allow_nan=False)
COLUMNS = arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 3)), elements=ANY_FLOAT)


@settings(max_examples=100, deadline=None)
@given(
    x=COLUMNS, other=COLUMNS, n_bins=st.sampled_from([2, 3, 17, 256]), binning=st.sampled_from(["quantile", "uniform"])
)
def test_bins_and_thresholds_agree_on_every_float(x, other, n_bins, binning):
    rows = Binner.fit_transform(x, n_bins, binning)
    binner = rows.binner
    assert (binner.n_bins <= n_bins).all()
    width = x.shape[1]
    for values in (x, np.resize(other, (len(other), width))):
        codes = binner.transform(values).codes
        for f in range(width):
            edges = binner.edges[f, : binner.n_bins[f] - 1]
            assert (np.diff(edges) > 0).all()
            for b, edge in enumerate(edges):
                np.testing.assert_array_equal(codes[f] > b, values[:, f] > edge)
    np.testing.assert_array_equal(rows.codes, binner.transform(x).codes)


@settings(max_examples=50, deadline=None)
@given(x=COLUMNS, binning=st.sampled_from(["quantile", "uniform"]))
def test_few_values_get_a_bin_each(x, binning):
    rows = Binner.fit_transform(x, 256, binning)
    for f, column in enumerate(x.T):
        np.testing.assert_array_equal(rows.codes[f], np.unique(column, return_inverse=True)[1])


def test_edges_lie_midway():
    binner = Binner.fit_transform(np.array([[0.0], [1.0], [4.0], [4.0]])).binner
    assert binner.n_bins.tolist() == [3]
    assert binner.edges[0, :4].tolist() == [0.5, 2.5, np.inf, np.inf]


def test_infinities_and_neighbours_are_told_apart():
    one = np.float32(1)
    values = np.array([-np.inf, -3e38, one, np.nextafter(one, np.float32(2)), 3e38, np.inf], np.float32)
    assert Binner.fit_transform(values[:, None]).codes[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_quantile_bins_hold_equally_many_rows_and_uniform_ones_are_equally_wide():
    x = np.random.default_rng(0).normal(size=(2560, 1)).astype(np.float32) ** 3
    counts = np.bincount(Binner.fit_transform(x, 256).codes[0])
    assert counts.tolist() == [10] * 256
    binner = Binner.fit_transform(x, 10, "uniform").binner
    expected = np.linspace(x.min(), x.max(), 11)[1:-1]
    np.testing.assert_allclose(binner.edges[0, :9], expected, rtol=1e-5)


def test_a_frequent_value_keeps_a_bin_of_its_own():
    x = np.concatenate([np.zeros(900), np.arange(1, 101)])[:, None]
    rows = Binner.fit_transform(x, 20)
    assert (rows.codes[0, :900] == 0).all()
    assert (rows.codes[0, 900:] > 0).all()


def test_nan_has_the_bin_after_the_last():
    x = np.array([[1.0], [np.nan], [2.0], [np.nan]], np.float32)
    rows = Binner.fit_transform(x, nan_allowed=True)
    assert rows.codes[0].tolist() == [0, 2, 1, 2]
    everything = np.random.default_rng(0).normal(size=(5000, 1)).astype(np.float32)
    everything[7] = np.nan
    rows = Binner.fit_transform(everything, nan_allowed=True)
    assert rows.binner.n_bins.tolist() == [255]
    assert rows.codes[0, 7] == 255
    nothing = Binner.fit_transform(np.full((3, 1), np.nan), nan_allowed=True)
    assert nothing.codes[0].tolist() == [1, 1, 1]


def test_categories_are_their_rank_among_the_codes_seen():
    x = np.array([[7.0, -1.5], [-3.0, 0.0], [7.0, 2.0], [100.0, 1.0]])
    rows = Binner.fit_transform(x, 2, categorical=[True, False])
    assert rows.binner.edges[0, :4].tolist() == [-3, 7, 100, np.inf]
    assert rows.codes[0].tolist() == [1, 0, 1, 2]


def test_256_categories_are_told_apart():
    x = np.random.default_rng(0).permutation(256)[:, None] * 3
    rows = Binner.fit_transform(x, categorical=[True])
    np.testing.assert_array_equal(rows.codes[0], x[:, 0] // 3)
    with pytest.raises(GBTError, match="category 766 was not there"):
        rows.binner.transform([[0], [766]])


def test_threads_and_many_features_change_nothing():
    x = np.random.default_rng(0).normal(size=(500, 53)).astype(np.float32)
    one, three = Binner.fit_transform(x), Binner.fit_transform(x, threads=3)
    np.testing.assert_array_equal(one.codes, three.codes)
    np.testing.assert_array_equal(one.codes, one.binner.transform(x, threads=2).codes)


def test_take_chooses_among_the_rows_without_copying_codes():
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    rows = Binner.fit_transform(x)
    half = rows.take([8, 2, 2, 5])
    assert half.codes is rows.codes
    np.testing.assert_array_equal(half.x, x[[8, 2, 2, 5]])
    np.testing.assert_array_equal(half.take([3, 0]).x, x[[5, 8]])
    np.testing.assert_array_equal(rows.take(x[:, 0] > 9).x, x[5:])
    for wrong in ([10], [-1], [0.5], [True], [[0]], 3, "x", [[0], [1, 2]]):
        with pytest.raises(GBTError, match="take: rows must be"):
            rows.take(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((0, 2))}, r"shape \(0, 2\); expected at least one row"),
        ({"x": np.zeros(3)}, r"shape \(3,\)"),
        ({"x": [["a"]]}, "expected numbers"),
        ({"x": [[1.0, np.nan]]}, "row 0, feature 1: NaN, but nan_allowed is false"),
        ({"x": [[1.0]], "n_bins": 1}, "n_bins is .*; expected an integer from 2 to 256"),
        ({"x": [[1.0]], "n_bins": 257}, "n_bins is .*; expected an integer from 2 to 256"),
        ({"x": [[1.0]], "binning": "kmeans"}, "quantile or uniform"),
        ({"x": [[1.5]], "categorical": [True]}, "feature 0: not all integers"),
        ({"x": [[1e9]], "categorical": [True]}, "feature 0: not all integers"),
        ({"x": np.arange(300)[:, None], "categorical": [True]}, "feature 0: more than 256 categories"),
        ({"x": [[1.0]], "categorical": [True, False]}, r"categorical: bool of shape \(2,\); expected 1 bools"),
        ({"x": [[1.0]], "n_bins": 2.5}, "n_bins is 2.5; expected an integer from 2 to 256"),
        ({"x": [[1.0]], "threads": "x"}, "threads is 'x'; expected an integer from 1 to 1024"),
        ({"x": [[1.0, 2.0]], "categorical": [0, 2]}, "expected 2 bools"),
        ({"x": [[1.0], [1.0, 2.0]]}, "features: expected numbers, found list"),
        ({"x": [[1.0j]]}, "features: expected numbers, found list"),
    ],
)
def test_what_cannot_be_binned_is_refused_in_one_line(arguments, message):
    with pytest.raises(GBTError, match=message) as caught:
        Binner.fit_transform(**arguments)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_the_bins_are_refused():
    binner = Binner.fit_transform([[0.0, 1.0], [1.0, 2.0]], categorical=[True, False]).binner
    for x, message in (([[0.0]], "expected .rows, 2"), ([[2.0, 0.0]], "category 2 was not"), ([[0, np.nan]], "NaN")):
        with pytest.raises(GBTError, match=message):
            binner.transform(x)
