from __future__ import annotations

import numpy as np
import pytest
from gbrl_trees import plain_predict, plain_shapley, random_ensemble, random_rows, subset_worth, trained_model
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl.errors import GBTError
from optgap.gbrl.shap import shap_values


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), oblivious=st.booleans(), depth=st.integers(0, 4), categorical=st.booleans())
def test_values_are_those_of_the_definition_over_all_subsets(seed, oblivious, depth, categorical):
    rng = np.random.default_rng(seed)
    ensemble = random_ensemble(rng, 2, depth=depth, oblivious=oblivious, categorical=(1, 3) if categorical else ())
    x = random_rows(rng, ensemble, 3)
    values, expected = shap_values(ensemble, x)
    np.testing.assert_allclose(expected, subset_worth(ensemble, x[0], set()), atol=1e-12)
    for row, of_row in zip(x, values, strict=True):
        np.testing.assert_allclose(of_row, plain_shapley(ensemble, row), atol=1e-12)


@pytest.mark.parametrize("oblivious", [False, True])
@pytest.mark.parametrize("depth", [1, 6, 10])
def test_values_and_expectation_add_up_to_the_prediction(depth, oblivious):
    rng = np.random.default_rng(depth)
    ensemble = random_ensemble(rng, 6, n_features=12, depth=depth, oblivious=oblivious, categorical=(0, 5))
    x = random_rows(rng, ensemble, 20)
    values, expected = shap_values(ensemble, x)
    assert values.shape == (20, 12, 3)
    np.testing.assert_allclose(values.sum(axis=1) + expected, plain_predict(ensemble, x), atol=1e-5)


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_a_trained_model_is_explained(growth):
    model, x = trained_model(growth)
    values, expected = shap_values(model.ensemble, x)
    predicted = model.predict(x)
    np.testing.assert_allclose(values.sum(axis=1) + expected, predicted, atol=1e-5)
    # Each tree's covers are the rows themselves, so the expectation is the mean of the predictions.
    np.testing.assert_allclose(expected, predicted.mean(axis=0), atol=1e-5)
    strongest = np.abs(values).mean(axis=0).argmax(axis=0)
    assert strongest.tolist() in ([0, 2, 4], [0, 3, 4])  # what each output was made of


def test_a_feature_that_no_tree_splits_gets_exactly_nothing():
    rng = np.random.default_rng(0)
    ensemble = random_ensemble(rng, 4, n_features=5)
    unused = np.setdiff1d(np.arange(5), ensemble.feature)
    ensemble.feature[ensemble.feature == 2] = 3
    values, _ = shap_values(ensemble, random_rows(rng, ensemble, 10))
    assert (values[:, [2, *unused]] == 0).all()


def test_no_trees_leave_the_bias():
    ensemble = random_ensemble(np.random.default_rng(0), n_trees=0)
    values, expected = shap_values(ensemble, np.zeros((2, 4), np.float32))
    assert (values == 0).all()
    np.testing.assert_array_equal(expected, ensemble.bias.astype(float))


def test_threads_change_nothing():
    rng = np.random.default_rng(3)
    ensemble = random_ensemble(rng, 5)
    x = random_rows(rng, ensemble, 11)
    np.testing.assert_array_equal(shap_values(ensemble, x, threads=3)[0], shap_values(ensemble, x)[0])


def test_rows_of_another_width_are_refused():
    ensemble = random_ensemble(np.random.default_rng(0))
    with pytest.raises(GBTError, match="4"):
        shap_values(ensemble, np.zeros((2, 3), np.float32))


def test_outputs_under_adam_have_no_shapley_values():
    ensemble = random_ensemble(np.random.default_rng(0))
    ensemble.adam[:, 1] = 0.9, 0.999, 1e-8
    with pytest.raises(GBTError, match=r"outputs \[1\] are under Adam"):
        shap_values(ensemble, np.zeros((2, 4), np.float32))
