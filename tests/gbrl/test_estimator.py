from __future__ import annotations

import pickle

import numpy as np
import pytest

from optgap.gbrl.errors import GBTError

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from optgap.gbrl.estimator import GBTRegressor

# Checks that do not apply, each with its reason: none. (scikit-learn itself skips that of the array API without SciPy's.)
EXCLUDED: dict[str, str] = {}


@parametrize_with_checks(
    [GBTRegressor(n_estimators=20), GBTRegressor(n_estimators=20, growth="oblivious")],
    expected_failed_checks=lambda estimator: EXCLUDED,
)
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    return X, np.stack([np.sin(2 * X[:, 0]) + X[:, 1], 100 * np.abs(X[:, 2])], axis=1)


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_it_learns_outputs_of_any_scale_together(data, growth):
    X, y = data
    fitted = GBTRegressor(growth=growth).fit(X[:300], y[:300])
    assert fitted.score(X[:300], y[:300]) > 0.95
    assert fitted.score(X[300:], y[300:]) > 0.8
    assert fitted.predict(X).shape == y.shape
    assert fitted.fit(X, y[:, 0]).predict(X).shape == (400,)


def test_without_trees_it_says_the_mean(data):
    X, y = data
    np.testing.assert_allclose(GBTRegressor(0).fit(X, y).predict(X[:1])[0], y.mean(axis=0), rtol=1e-6)


def test_a_warm_start_goes_on_where_the_first_fit_ended(data):
    X, y = data
    whole = GBTRegressor(30).fit(X, y)
    parts = GBTRegressor(10, warm_start=True).fit(X, y)
    parts.set_params(n_estimators=30).fit(X, y)
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))
    with pytest.raises(GBTError, match="at least the 30 trees"):
        parts.set_params(n_estimators=20).fit(X, y)


def test_partial_fits_are_the_trees_of_a_fit(data):
    X, y = data
    steps = GBTRegressor()
    for _ in range(5):
        steps.partial_fit(X, y)
    np.testing.assert_array_equal(steps.predict(X), GBTRegressor(5).fit(X, y).predict(X))
    with pytest.raises(GBTError, match="1 outputs; expected 2"):
        steps.partial_fit(X, y[:, 0])
    assert steps.model_.n_trees == 5


def test_steps_descend_the_gradients_of_any_loss(data):
    X, y = data
    labels = np.where(y[:, 0] > 0, 1.0, 0.0)
    classifier = GBTRegressor(learning_rate=1.0)
    outputs = np.zeros(len(X))
    for _ in range(20):  # logistic loss
        outputs = classifier.step(X, 1 / (1 + np.exp(-outputs)) - labels).predict(X)
    assert ((outputs > 0) == (labels > 0)).mean() > 0.97


def test_missing_values_and_categories_are_features_like_others():
    rng = np.random.default_rng(1)
    X = np.stack([rng.integers(6, size=300), rng.normal(size=300)], axis=1)
    X[::3, 1] = np.nan
    y = 3.0 * (X[:, 0] == 4) + np.isnan(X[:, 1])
    fitted = GBTRegressor(60, max_depth=2, categorical=[True, False]).fit(X, y)
    np.testing.assert_allclose(fitted.predict(X), y, atol=0.02)
    assert fitted.model_.ensemble.is_categorical.tolist() == [True, False]


def test_searches_clones_and_pickles_work(data):
    X, y = data
    search = GridSearchCV(GBTRegressor(5), {"max_depth": np.array([1, 3]), "learning_rate": [0.1, 0.5]}, cv=2).fit(X, y)
    assert search.best_params_ == {"learning_rate": 0.5, "max_depth": 3}
    best = search.best_estimator_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(best)).predict(X), best.predict(X))  # noqa: S301  (its own)
    assert not hasattr(clone(best), "model_")


def test_a_parameter_out_of_range_is_found_by_fit(data):
    with pytest.raises(GBTError, match="max_depth is 0"):
        GBTRegressor(max_depth=0).fit(*data)


def test_a_bad_batch_leaves_the_model_as_it_was(data):
    X, y = data
    fitted = GBTRegressor(3).fit(X, y)
    before = fitted.predict(X)
    with pytest.raises(ValueError, match="features"):
        fitted.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match="infinity"):
        fitted.partial_fit(X, np.where(y == y.max(), np.inf, y))
    np.testing.assert_array_equal(fitted.predict(X), before)
