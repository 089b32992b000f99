from __future__ import annotations

import numpy as np
import pytest
from gbrl_trees import random_ensemble, random_rows, small_ensemble, trained_model
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl.compress import compress
from optgap.gbrl.ensemble import Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.predict import predict


def stored(ensemble: Ensemble) -> Ensemble:
    """As a file would give it back."""
    return Ensemble(**ensemble.arrays(), oblivious=ensemble.oblivious)


def test_an_ensemble_that_is_small_enough_stays_as_it_is():
    ensemble = small_ensemble()
    copy = compress(ensemble, np.zeros((1, 2)), 2)
    assert copy is not ensemble
    for name, array in ensemble.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)


def unexplained(small: Ensemble, ensemble: Ensemble, x: np.ndarray) -> float:
    wanted = predict(ensemble, x)
    return float(((predict(small, x) - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize("oblivious", [False, True])
def test_more_trees_keep_more_of_the_outputs(oblivious):
    rng = np.random.default_rng(6)
    ensemble = random_ensemble(rng, 300, depth=2, oblivious=oblivious)
    before = ensemble.arrays()
    x, other = random_rows(rng, ensemble, 4000), random_rows(rng, ensemble, 1000)
    compressed = [compress(ensemble, x, n_trees) for n_trees in (5, 30, 250)]
    for small, n_trees in zip(compressed, (5, 30, 250), strict=True):
        stored(small).check()
        assert (small.n_trees, small.steps) == (n_trees, 300)
    errors = [unexplained(small, ensemble, other) for small in compressed]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.8 * errors[1]
    assert unexplained(compressed[-1], ensemble, x) < 0.05
    for name, array in ensemble.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_one_tree_that_splits_every_row_from_the_others_says_the_same():
    rng = np.random.default_rng(2)
    ensemble = random_ensemble(rng, 3, depth=2)
    x = random_rows(rng, ensemble, 4)
    np.testing.assert_allclose(predict(compress(ensemble, x, 1), x), predict(ensemble, x), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 80), st.booleans())
def test_outputs_of_any_row_are_near_those_of_the_reference_rows(seed, n_rows, n_trees, oblivious):
    """However few rows there are for the trees: what is fitted to a few must not explode elsewhere."""
    rng = np.random.default_rng(seed)
    ensemble = random_ensemble(rng, 100, depth=3, oblivious=oblivious)
    x = random_rows(rng, ensemble, n_rows)
    wanted = predict(ensemble, x)
    found = predict(compress(ensemble, x, n_trees), random_rows(rng, ensemble, 300))
    span = np.ptp(wanted, axis=0) + 1e-4
    assert (found >= wanted.min(axis=0) - span).all()
    assert (found <= wanted.max(axis=0) + span).all()


def test_the_same_trees_again_on_any_number_of_threads():
    rng = np.random.default_rng(3)
    ensemble = random_ensemble(rng, 40, depth=3)
    x = random_rows(rng, ensemble, 5000)  # more than a tree sees
    one, other = compress(ensemble, x, 8), compress(ensemble, x, 8, threads=2)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array)


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_a_model_goes_on_with_its_compressed_trees(growth):
    model, x = trained_model(growth)
    cache, before = model.cache(x), model.predict(x)
    model.ensemble = compress(model.ensemble, x, 20)
    assert model.n_trees == 20
    assert np.square(model.predict(x) - before).mean() < 0.15 * before.var(axis=0).mean()
    model.step(x, model.predict(x) - before)
    assert model.n_trees == 21
    np.testing.assert_array_equal(cache.update(), model.predict(x))


def test_rows_of_one_kind_need_no_splits():
    rng = np.random.default_rng(8)
    ensemble = random_ensemble(rng, 10, depth=3)
    x = np.repeat(random_rows(rng, ensemble, 1), 5, axis=0)
    np.testing.assert_allclose(predict(compress(ensemble, x, 4), x), predict(ensemble, x), atol=1e-5)


def test_what_cannot_be_compressed_is_refused():
    ensemble = random_ensemble(np.random.default_rng(0))
    x = np.zeros((3, 4))
    with pytest.raises(GBTError, match="at least 1"):
        compress(ensemble, x, 0)
    with pytest.raises(GBTError, match="no reference rows"):
        compress(ensemble, x[:0], 2)
    with pytest.raises(GBTError, match=r"expected \(rows, 4"):
        compress(ensemble, x[:, :3], 2)
    ensemble.adam[:, 0] = 0.9, 0.999, 1e-8
    with pytest.raises(GBTError, match="under Adam"):
        compress(ensemble, x, 2)
