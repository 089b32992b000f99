from __future__ import annotations

import numpy as np
import pytest
from gbrl_trees import plain_predict, random_ensemble, random_rows

from optgap.gbrl.ensemble import Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.predict import add_trees, checked_rows, initial_outputs, predict, running_means


def bits(outputs):
    return np.ascontiguousarray(outputs).view(np.int32)


@pytest.mark.parametrize("oblivious", [False, True], ids=["greedy", "oblivious"])
@pytest.mark.parametrize("categorical", [(), (0, 2)], ids=["numeric", "categorical"])
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "missing"])
@pytest.mark.parametrize("n_outputs", [1, 3, 8, 11])
def test_outputs_are_bit_for_bit_those_of_the_definition(oblivious, categorical, missing, n_outputs):
    rng = np.random.default_rng(n_outputs)
    ensemble = random_ensemble(rng, 12, 5, n_outputs, 5, categorical, oblivious, missing)
    x = random_rows(rng, ensemble, 300, missing)
    x[3], x[4] = np.inf, -np.inf
    expected = bits(plain_predict(ensemble, x))
    np.testing.assert_array_equal(bits(predict(ensemble, x)), expected)
    np.testing.assert_array_equal(bits(predict(ensemble, x, threads=3)), expected)
    for rows in (1, 2, 5):  # by other kernels than many rows
        np.testing.assert_array_equal(bits(predict(ensemble, x[:rows])), expected[:rows])


@pytest.mark.parametrize("adam", [False, True])
def test_trees_may_be_added_in_several_calls(adam):
    rng = np.random.default_rng(0)
    ensemble = random_ensemble(rng, 9)
    if adam:
        arrays = ensemble.arrays() | {"adam": np.array([[0.9, 0, 0.5], [0.99, 0, 0.8], [1e-8, 0, 1e-3]])}
        ensemble = Ensemble(**arrays, oblivious=False)
    x = random_rows(rng, ensemble, 40)
    outputs = initial_outputs(ensemble, 40)
    for first, last in ((0, 2), (2, 3), (3, 9)):
        add_trees(ensemble, x, outputs, first, last)
    np.testing.assert_array_equal(bits(outputs.out[:, :3]), bits(predict(ensemble, x)))
    for rows in (1, 3):  # by other kernels than many rows
        np.testing.assert_array_equal(bits(predict(ensemble, x[7 : 7 + rows])), bits(outputs.out[7 : 7 + rows, :3]))


def test_adam_runs_its_moments_along_the_trees():
    rng = np.random.default_rng(1)
    ensemble = random_ensemble(rng, 30)
    beta1, beta2, epsilon = 0.8, 0.95, 1e-4
    constants = np.zeros((3, 3))
    constants[:, 1] = beta1, beta2, epsilon
    ensemble = Ensemble(**(ensemble.arrays() | {"adam": constants}), oblivious=False)
    x = random_rows(rng, ensemble, 20)
    out = np.repeat(ensemble.bias[None].astype(np.float64), 20, axis=0)
    first = second = np.zeros(20)
    for tree in range(30):
        start, nodes = ensemble.leaf_start[tree], slice(*ensemble.tree_start[tree : tree + 2])
        alone = Ensemble(
            **(
                ensemble.arrays()
                | {name: getattr(ensemble, name)[nodes] for name in ("feature", "threshold", "left", "nan_right")}
                | {name: getattr(ensemble, name)[nodes] for name in ("cover", "gain")}
                | {
                    "tree_start": [0, nodes.stop - nodes.start],
                    "leaf_start": [0, ensemble.leaf_start[tree + 1] - start],
                }
                | {"value": ensemble.value[start : ensemble.leaf_start[tree + 1]], "rate": -np.ones((1, 3))}
                | {"adam": np.zeros((3, 3)), "bias": np.zeros(3)}
            ),
            oblivious=False,
        )
        direction = plain_predict(alone, x).astype(np.float64)
        first = beta1 * first + (1 - beta1) * direction[:, 1]
        second = beta2 * second + (1 - beta2) * direction[:, 1] ** 2
        direction[:, 1] = first / (np.sqrt(second) + epsilon)
        out -= ensemble.rate[tree] * direction
    np.testing.assert_allclose(predict(ensemble, x), out, rtol=1e-4, atol=1e-5)
    assert not ensemble.additive
    with pytest.raises(GBTError, match=r"export: outputs \[1\] are under Adam"):
        ensemble.require_additive("export")


def test_no_trees_leave_the_bias_and_no_rows_no_outputs():
    ensemble = random_ensemble(np.random.default_rng(0), n_trees=0)
    np.testing.assert_array_equal(predict(ensemble, np.zeros((2, 4))), [ensemble.bias] * 2)
    assert predict(ensemble, np.zeros((0, 4))).shape == (0, 3)


def test_a_category_that_no_split_names_goes_left():
    rng = np.random.default_rng(5)
    ensemble = random_ensemble(rng, 10, categorical=(0, 1, 2, 3), missing=False)
    x = np.full((1, 4), 99, np.float32)
    expected = ensemble.bias.copy()
    for tree in range(10):
        start = node = ensemble.tree_start[tree]
        while ensemble.feature[node] >= 0:
            node = start + ensemble.left[node]
        expected -= ensemble.rate[tree] * ensemble.value[ensemble.leaf_start[tree] + ensemble.left[node]]
    np.testing.assert_array_equal(predict(ensemble, x)[0], expected)


@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_running_means_weigh_leaves_by_age(decay):
    rng = np.random.default_rng(2)
    ensemble = random_ensemble(rng, 40)
    x = random_rows(rng, ensemble, 10)
    ensemble._data["rate"][:, :3] = -1
    outputs, total, weights = initial_outputs(ensemble, 10), np.zeros((10, 3)), 0.0
    for tree in range(40):
        before = outputs.out.astype(np.float64)
        add_trees(ensemble, x, outputs, tree, tree + 1)
        total, weights = decay * total + (outputs.out - before)[:, :3], decay * weights + 1
    np.testing.assert_allclose(running_means(ensemble, x, decay), total / weights, atol=1e-5)


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros(4), [["a"] * 4]])
def test_rows_that_do_not_fit_are_refused(x):
    with pytest.raises(GBTError, match="features"):
        checked_rows(random_ensemble(np.random.default_rng(0)), x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tree_start": [0, 5]}, "tree_start|rate"),
        ({"left": 99}, "left points astray"),
        ({"left": 0}, "left points astray"),
        ({"left": 3}, "left points astray"),
        ({"feature": 4}, "feature out of range"),
        ({"threshold": np.nan}, "threshold is NaN"),
    ],
)
def test_arrays_that_would_lead_astray_are_noticed(change, message):
    ensemble = random_ensemble(np.random.default_rng(3), oblivious=True)
    ensemble.check()
    arrays = ensemble.arrays()
    for name, value in change.items():
        if name == "tree_start":
            arrays[name] = np.array(value)
        else:
            arrays[name][0] = value
    with pytest.raises(GBTError, match=message):
        Ensemble(**arrays, oblivious=True).check()
