from __future__ import annotations

import gc
import importlib
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from optgap.gbrl import grow, torch_backend, torch_predict
from optgap.gbrl.binning import Binner
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.ensemble import padded_outputs
from optgap.gbrl.errors import GBTError
from optgap.gbrl.gradients import prepare
from optgap.gbrl.histogram import Features, Histograms, fill
from optgap.gbrl.model import GBTModel
from optgap.gbrl.predict import predict
from optgap.gbrl.torch_search import add_by_bin

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported

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


@settings(max_examples=30, deadline=None)
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


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_deep_trees_on_many_rows_are_equal(growth):
    rng = np.random.default_rng(5)
    x, gradients, kinds = data(rng, 4000, 3)
    config = TreeConfig(9, growth)
    binned = Binner.fit_transform(x, categorical=kinds)
    numba = grow.grow(binned, gradients, config, np.ones(5), FREE)
    assert len(numba.value) > 100
    assert_equal(torch_backend.grow(binned, gradients, config, np.ones(5), FREE), numba)


@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-33, 1e30])
def test_gradients_of_any_size_are_equal(scale):
    rng = np.random.default_rng(6)
    x, gradients, kinds = data(rng, 300, 2)
    gradients *= np.float32(scale)
    binned = Binner.fit_transform(x, 16, categorical=kinds)
    tree = torch_backend.grow(binned, gradients, TreeConfig(), np.ones(5), FREE)
    assert_equal(tree, grow.grow(binned, gradients, TreeConfig(), np.ones(5), FREE))


@pytest.mark.parametrize("score", ["cosine", "l2"])
def test_gradients_that_are_not_finite_are_refused(score):
    gradients = np.array([[1, 2], [3, np.nan], [5, 6]], np.float32)
    with pytest.raises(GBTError, match=r"gradients: row 1 .* finite"):
        torch_backend.grow(Binner.fit_transform(np.zeros((3, 1))), gradients, TreeConfig(score=score), np.ones(1), FREE)


def test_codes_stay_on_the_device_for_as_long_as_the_host_has_them():
    codes = np.zeros((2, 3), np.uint8)
    elsewhere = torch.device("meta")
    there = torch_backend.resident_codes(codes, elsewhere)
    assert torch_backend.resident_codes(codes, elsewhere) is there
    held = len(torch_backend._resident)
    del codes
    gc.collect()
    assert len(torch_backend._resident) == held - 1


def rows_to_sum(seed, bins, D=3, n=200):
    """Codes (F, n), gradients (n, D) on the grid, which rows, their nodes of four, one of them without rows."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(bins, size=(3, n)).astype(np.uint8)
    gradients = np.zeros((n, padded_outputs(D)), np.float32)
    raw = (rng.normal(size=(n, D)) * 10.0 ** rng.integers(-9, 9, D)).astype(np.float32)
    raw[0] = -np.nextafter(np.float32(2), np.float32(1)) * abs(raw).max(axis=0)
    prepare(raw, False, gradients, np.empty(D), np.empty(D))
    rows = np.sort(rng.choice(n, n // 2, replace=False))
    return codes, gradients, rows, np.sort(rng.choice([0, 1, 3], n // 2))


@njit
def call_fill(features, f, rows, gradients, P, room, base):
    fill(features, f, rows, gradients, P, 0, len(rows), room, base)


def by_numba(codes, gradients, rows, node, bins):
    """(P + 1, 4, F, bins) by the kernel that fills the histograms of the numba backend."""
    (F, _), P = codes.shape, gradients.shape[1]
    kinds = np.zeros(F, np.bool_)
    start = np.arange(F + 1, dtype=np.int64) * bins
    features = Features(codes, np.full(F, bins, np.int32), start, kinds, np.ones(F), FREE, False)
    found = np.zeros((P + 1, 4, F, bins))
    for k in range(4):
        chosen = rows[node == k]
        room = Histograms(np.zeros(F * bins * P), np.zeros(F * bins, np.int32))
        of_rows = np.ascontiguousarray(gradients[chosen]).reshape(-1)
        for f in range(F):
            call_fill(features, f, chosen.astype(np.int32), of_rows, P, room, f * bins)
        found[:P, k] = room.sums.reshape(F, bins, P).transpose(2, 0, 1)
        found[P, k] = room.counts.reshape(F, bins)
    return found


@pytest.mark.parametrize("bins", [2, 20, 256])
def test_histograms_of_torch_are_those_of_numba(bins):
    codes, gradients, rows, node = rows_to_sum(bins, bins)
    ones = np.ones((len(gradients), 1), np.float32)
    values = torch.from_numpy(np.hstack([gradients, ones]).T.astype(np.float64))
    found = add_by_bin(torch.from_numpy(codes[:, rows]), values[:, rows], torch.from_numpy(node), 4, bins)
    np.testing.assert_array_equal(found.numpy(), by_numba(codes, gradients, rows, node, bins))


@pytest.fixture
def triton_kernels():
    pytest.importorskip("triton")
    return importlib.import_module("optgap.gbrl.triton_kernels")


@pytest.mark.parametrize(("bins", "D"), [(2, 1), (20, 3), (256, 5)])
def test_histograms_of_triton_are_those_of_numba(triton_kernels, bins, D, monkeypatch):
    monkeypatch.setattr(triton_kernels, "TILE", 40)  # several programs add to a node
    codes, gradients, rows, node = rows_to_sum(bins, bins, D)
    place = torch_backend.device()
    targets = torch.from_numpy(gradients[:, :D].T.astype(np.float64)).to(place)
    digits, step = triton_kernels.to_digits(targets)
    of_rows = (torch.from_numpy(each).to(place) for each in (rows, node))
    found = triton_kernels.add_by_bin(torch.from_numpy(codes).to(place), digits, step, *of_rows, 4, bins)
    expected = by_numba(codes, gradients, rows, node, bins)
    np.testing.assert_array_equal(found.cpu().numpy(), expected[[*range(D), -1]])


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_trees_from_histograms_of_triton_are_equal(triton_kernels, growth, monkeypatch):
    monkeypatch.setattr(torch_backend, "with_triton", lambda place: True)
    rng = np.random.default_rng(7)
    x, gradients, kinds = data(rng, 300, 3, missing=True)
    config = TreeConfig(3, growth, n_bins=16, nan_allowed=True)
    binned = Binner.fit_transform(x, 16, categorical=kinds, nan_allowed=True).take(np.arange(0, 300, 2))
    tree = torch_backend.grow(binned, gradients[::2].copy(), config, np.ones(5), FREE)
    assert_equal(tree, grow.grow(binned, gradients[::2].copy(), config, np.ones(5), FREE))


def models(growth, missing, optimizers, trees=12):
    """The same model grown by each backend, and its rows."""
    rng = np.random.default_rng(8)
    x, gradients, kinds = data(rng, 500, 3, missing=missing)
    tree = TreeConfig(4, growth, nan_allowed=missing, min_leaf=3)
    both = [
        GBTModel(5, 3, tree, optimizers, bias=[1.0, 2.0, 3.0], categorical=kinds, backend=backend)
        for backend in ("numba", "torch")
    ]
    for model in both:
        binned = model.bin(x)
        for _ in range(trees):
            model.step(binned, model.predict(x) - gradients)
    return *both, x


ADAM = [OptimizerConfig(0, 2, "adam", 0.05), OptimizerConfig(2, 3)]


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("optimizers", [None, ADAM])
def test_models_and_predictions_are_equal(growth, missing, optimizers, monkeypatch):
    numba, other, x = models(growth, missing, optimizers)
    if torch_backend.device().type == "cpu":
        for name, array in numba.ensemble.arrays().items():
            np.testing.assert_array_equal(array, other.ensemble.arrays()[name], name)
    x = x.copy()
    x[0], x[1, 1] = np.inf, 99  # a category that no split knows
    for entries in (torch_predict.GROUP, 1100, 1):  # trees at a time: all, two, one
        monkeypatch.setattr(torch_predict, "GROUP", entries)
        found = torch_predict.predict(numba.ensemble, torch.from_numpy(x))
        np.testing.assert_array_equal(found.numpy(), predict(numba.ensemble, x))


def test_predictions_without_trees_rows_or_features_that_fit():
    model = GBTModel(2, 1, bias=[3.0])
    assert torch_predict.predict(model.ensemble, torch.zeros(2, 2)).tolist() == [[3.0], [3.0]]
    model.step(np.zeros((3, 2)), np.ones((3, 1)))
    assert torch_predict.predict(model.ensemble, torch.zeros(0, 2)).shape == (0, 1)
    for wrong in (torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 2, dtype=torch.float64)):
        with pytest.raises(GBTError, match="expected float32"):
            torch_predict.predict(model.ensemble, wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
@pytest.mark.parametrize("score", ["cosine", "l2"])
@pytest.mark.parametrize("triton", [False, True])
def test_on_a_gpu_trees_are_the_same_each_time_and_predictions_equal(growth, score, triton, monkeypatch):
    if triton:
        pytest.importorskip("triton")
    else:
        monkeypatch.setattr(torch_backend, "with_triton", lambda place: False)
    rng = np.random.default_rng(9)
    x, gradients, kinds = data(rng, 100_000, 8, F=40, missing=True)
    config = TreeConfig(6, growth, score, nan_allowed=True)
    model = GBTModel(40, 8, config, categorical=kinds)
    binned = model.bin(x)
    trees = [torch_backend.grow(binned, gradients, config, np.ones(40), FREE) for _ in range(2)]
    np.testing.assert_array_equal(trees[0].value, trees[1].value)
    for tree in trees:
        assert_equal(tree, grow.grow(binned, gradients, config, np.ones(40), FREE))
    for _ in range(5):
        model.step(binned, model.predict(x) - gradients)
    found = torch_predict.predict(model.ensemble, torch.from_numpy(x).cuda())
    np.testing.assert_array_equal(found.cpu().numpy(), model.predict(x))
