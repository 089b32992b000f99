from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from gbrl_trees import random_ensemble, random_rows, small_ensemble, trained_model

from optgap.gbrl.compress import RIDGE, _chosen, _leaves, _refit, compress
from optgap.gbrl.ensemble import NODE_FIELDS, Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.predict import predict


def repeated(ensemble: Ensemble, times: int, rng: np.random.Generator) -> Ensemble:
    """Every tree ``times`` times, with other values each time."""
    out = Ensemble.empty(ensemble.bias, ensemble.is_categorical, ensemble.oblivious, ensemble.adam)
    for _ in range(times):
        for tree in range(ensemble.n_trees):
            nodes = slice(*ensemble.tree_start[tree : tree + 2])
            value = ensemble.value[slice(*ensemble.leaf_start[tree : tree + 2])]
            fields = {name: getattr(ensemble, name)[nodes] for name in NODE_FIELDS}
            out.append(fields, rng.normal(size=value.shape).astype(np.float32), ensemble.rate[tree])
    return out


def stored(ensemble: Ensemble) -> Ensemble:
    """As a file would give it back."""
    return Ensemble(**ensemble.arrays(), oblivious=ensemble.oblivious)


@pytest.mark.parametrize("oblivious", [False, True])
def test_trees_with_the_same_splits_add_up_to_one(oblivious):
    rng = np.random.default_rng(0)
    ensemble = repeated(random_ensemble(rng, 5, depth=4, oblivious=oblivious), 6, rng)
    x = random_rows(rng, ensemble, 100)
    small = compress(ensemble, x[:1], 5)
    stored(small).check()
    assert small.n_trees == 5
    np.testing.assert_allclose(predict(small, x), predict(ensemble, x), atol=2e-5)
    np.testing.assert_allclose(small.cover.sum(), ensemble.cover.sum())


def test_an_ensemble_that_is_small_enough_stays_as_it_is():
    ensemble = small_ensemble()
    copy = compress(ensemble, np.zeros((1, 2)), 2)
    assert copy is not ensemble
    for name, array in ensemble.arrays().items():
        np.testing.assert_array_equal(copy.arrays()[name], array)


@pytest.mark.parametrize("oblivious", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_each_tree_taken_is_the_one_that_explains_most_beside_those_before(oblivious, n_outputs):
    rng = np.random.default_rng(4)
    ensemble = random_ensemble(rng, 9, n_outputs=n_outputs, oblivious=oblivious)
    x = random_rows(rng, ensemble, 200)
    leaves = _leaves(ensemble, x)
    outputs = ensemble.value[leaves].astype(float)  # (T, n, D)
    outputs -= outputs.mean(axis=1, keepdims=True)
    total = outputs.sum(axis=0)

    def unexplained(trees):
        fits = [np.linalg.lstsq(outputs[trees, :, d].T, total[:, d], rcond=None)[0] for d in range(n_outputs)]
        left = [total[:, d] - outputs[trees, :, d].T @ fit for d, fit in enumerate(fits)]
        return sum((r**2).sum() / (total[:, d] ** 2).sum() for d, r in enumerate(left)), fits

    taken: list[int] = []
    for k in range(4):
        taken.append(min(set(range(9)) - set(taken), key=lambda tree: unexplained([*taken, tree])[0]))
        chosen, weights, missed = _chosen(ensemble, leaves, k + 1)
        assert chosen.tolist() == sorted(taken)
        np.testing.assert_allclose(weights.T, unexplained(sorted(taken))[1], atol=1e-8)
        relative = (missed.var(axis=0) / total.var(axis=0)).sum()
        np.testing.assert_allclose(relative, unexplained(taken)[0], rtol=1e-6)


def test_leaf_values_are_those_of_ridge_regression():
    rng = np.random.default_rng(5)
    ensemble = random_ensemble(rng, 4, depth=3)
    leaves = _leaves(ensemble, random_rows(rng, ensemble, 300))
    residual = rng.normal(size=(300, 3)) * (1, 10, 0)
    L = len(ensemble.value)
    Z = np.zeros((300, L))
    for tree in leaves:
        Z[np.arange(300), tree] += 1
    exact = np.linalg.solve(Z.T @ Z + RIDGE * np.eye(L), Z.T @ residual)
    difference = abs(_refit(leaves, residual, L) - exact)
    assert (difference <= 1e-3 * abs(exact).max(axis=0)).all()


@pytest.mark.parametrize("oblivious", [False, True])
def test_more_trees_keep_more_of_the_outputs(oblivious):
    rng = np.random.default_rng(6)
    ensemble = random_ensemble(rng, 60, depth=4, oblivious=oblivious)
    before = ensemble.arrays()
    x, other = random_rows(rng, ensemble, 2000), random_rows(rng, ensemble, 1000)
    wanted = predict(ensemble, other)
    errors = []
    for n_trees in (5, 15, 30, 45):
        small = compress(ensemble, x, n_trees)
        stored(small).check()
        assert small.n_trees == n_trees
        errors.append(float(((predict(small, other) - wanted) ** 2).mean() / wanted.var()))
    assert all(after < 0.8 * earlier for earlier, after in pairwise(errors))
    assert errors[-1] < 0.05
    for name, array in ensemble.arrays().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_a_model_goes_on_with_its_compressed_trees(growth):
    model, x = trained_model(growth)
    cache, before = model.cache(x), model.predict(x)
    model.ensemble = compress(model.ensemble, x, 20)
    assert model.n_trees == 20
    assert (np.abs(model.predict(x) - before) < 0.2 * before.std(axis=0)).mean() > 0.95
    model.step(x, model.predict(x) - before)
    assert model.n_trees == 21
    np.testing.assert_array_equal(cache.update(), model.predict(x))


def test_outputs_that_never_change_and_trees_without_splits_are_kept():
    rng = np.random.default_rng(7)
    ensemble = random_ensemble(rng, 12, depth=3)
    ensemble.value[:, 1] = 0
    x = random_rows(rng, ensemble, 500)
    small = compress(ensemble, x, 6)
    np.testing.assert_allclose(predict(small, x)[:, 1], ensemble.bias[1], atol=1e-6)
    leaves_alone = repeated(random_ensemble(rng, 3, depth=0), 4, rng)
    np.testing.assert_allclose(predict(compress(leaves_alone, x, 1), x), predict(leaves_alone, x), atol=1e-5)


def test_trees_that_say_nothing_on_the_rows_are_not_needed():
    rng = np.random.default_rng(8)
    ensemble = random_ensemble(rng, 10, depth=3)
    x = np.repeat(random_rows(rng, ensemble, 1), 5, axis=0)  # one row: every tree is constant
    small = compress(ensemble, x, 4)
    assert small.n_trees <= 4
    np.testing.assert_allclose(predict(small, x), predict(ensemble, x), atol=1e-5)


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
