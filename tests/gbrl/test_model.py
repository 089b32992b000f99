from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl import storage
from optgap.gbrl.binning import Binner
from optgap.gbrl.compress import compress
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.errors import GBTError
from optgap.gbrl.gradients import less_variance
from optgap.gbrl.model import BACKENDS, GBTModel
from optgap.gbrl.optimizers import step_sizes


def problem(rng, n=200, missing=False):
    """Rows (n, 4), the second feature categorical, and targets (n, 2)."""
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 1] = rng.integers(5, size=n)
    y = np.stack([np.sin(2 * x[:, 0]) + (x[:, 1] == 3), x[:, 2] * x[:, 3]], axis=1).astype(np.float32)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def model_of(tree=None, optimizers=None, **arguments):
    return GBTModel(4, 2, tree, optimizers, categorical=[False, True, False, False], **arguments)


def fit(model, x, y, trees):
    binned, cache = model.bin(x), model.cache(x)
    for _ in range(trees):
        model.step(binned, cache.outputs - y)
        cache.update()
    return cache


def leaves_of(ensemble):
    return ensemble.value[ensemble.leaf_start[-2] :]


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
@pytest.mark.parametrize("score", ["cosine", "l2"])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_it_learns_and_the_cache_says_what_predict_says(growth, score, kind):
    x, y = problem(np.random.default_rng(0), missing=True)
    tree = TreeConfig(growth=growth, score=score, nan_allowed=True)
    model = model_of(tree, [OptimizerConfig(0, 2, kind, 0.2 if kind == "sgd" else 0.05)])
    cache = fit(model, x, y, 60)
    np.testing.assert_array_equal(cache.outputs, model.predict(x))
    np.testing.assert_array_equal(cache.outputs[7], model.predict(x[7]))
    assert ((cache.outputs - y) ** 2).mean() < 0.25 * y.var()


def test_one_step_descends_by_the_learning_rate_times_the_leafs_mean():
    x = np.array([[0.0], [0.0], [1.0]])
    model = GBTModel(
        1, 2, TreeConfig(1), [OptimizerConfig(0, 1, learning_rate=0.5), OptimizerConfig(1, 2)], bias=[1, 2]
    )
    model.step(x, [[2.0, 10.0], [4.0, 20.0], [9.0, -30.0]])
    np.testing.assert_allclose(model.predict(x), [[-0.5, 0.5], [-0.5, 0.5], [-3.5, 5.0]])


def test_schedules_and_adams_correction():
    heads = [
        OptimizerConfig(0, 1, learning_rate=0.4, schedule="linear", final_learning_rate=0.2, schedule_trees=10),
        OptimizerConfig(1, 2, "adam", 0.1, beta1=0.5, beta2=0.75),
    ]
    np.testing.assert_allclose(step_sizes(heads, 0, 2), [0.4, 0.1 * 0.5 / 0.5])
    np.testing.assert_allclose(step_sizes(heads, 5, 2), [0.3, 0.1 * np.sqrt(1 - 0.75**6) / (1 - 0.5**6)])
    np.testing.assert_allclose(step_sizes(heads, 99, 2)[0], 0.2)


def test_a_minibatch_gives_the_tree_of_its_rows_alone():
    rng = np.random.default_rng(1)
    x, y = problem(rng)
    chosen = rng.choice(200, 50)
    whole, alone = model_of(), model_of()
    rollout = whole.bin(x)
    whole.step(rollout.take(chosen), y[chosen])
    alone.step(rollout.binner.transform(x[chosen]), y[chosen])
    for name, array in whole.ensemble.arrays().items():
        np.testing.assert_array_equal(array, alone.ensemble.arrays()[name], name)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), growth=st.sampled_from(["greedy", "oblivious"]))
def test_training_rows_fall_into_the_leaves_that_they_were_counted_in(seed, growth):
    rng = np.random.default_rng(seed)
    x, y = problem(rng, 150, missing=True)
    x[:, 0] = rng.choice(np.float32([0.1, 0.3, 0.3000001, -np.inf, np.inf]), 150)
    model = GBTModel(4, 2, TreeConfig(5, growth, nan_allowed=True), [OptimizerConfig(0, 2, learning_rate=1.0)])
    model.step(x, y)
    cover = model.ensemble.cover[model.ensemble.feature < 0]
    values, counts = np.unique(-model.predict(x), axis=0, return_counts=True)
    expected, of_leaf = np.unique(model.ensemble.value[cover > 0], axis=0, return_inverse=True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(counts, np.bincount(of_leaf, cover[cover > 0]))


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
@pytest.mark.parametrize("score", ["cosine", "l2"])
def test_constrained_outputs_never_go_the_wrong_way(growth, score):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    noise = rng.normal(size=(400, 2))
    y = np.stack([x[:, 0] + np.sin(4 * x[:, 0]), -x[:, 1] * x[:, 2]], axis=1) + noise
    model = GBTModel(3, 2, TreeConfig(5, growth, score), monotone=[[1, 0], [0, -1], [0, 0]])
    fit(model, x, y, 40)
    assert ((model.predict(x) - y) ** 2).mean() < (y**2).mean()
    grid = np.linspace(-3, 3, 200, dtype=np.float32)
    free = model.ensemble.feature
    assert {0, 1, 2} <= set(free.tolist())
    for row in x[:50]:
        for f, output, sign in ((0, 0, 1), (1, 1, -1)):
            along = np.repeat(row[None], 200, axis=0)
            along[:, f] = grid
            assert (sign * np.diff(model.predict(along)[:, output]) >= 0).all()


def test_control_variates_keep_the_mean_and_reduce_the_variance():
    rng = np.random.default_rng(5)
    control = rng.normal(size=(500, 2)).astype(np.float32) + 3
    gradients = 0.7 * control + 0.1 * rng.normal(size=(500, 2)).astype(np.float32)
    reduced = less_variance(gradients, control)
    np.testing.assert_allclose(reduced.mean(axis=0), gradients.mean(axis=0), rtol=1e-5)
    correlation = [np.corrcoef(gradients[:, d], control[:, d])[0, 1] for d in range(2)]
    np.testing.assert_allclose(reduced.var(axis=0), gradients.var(axis=0) * (1 - np.square(correlation)), rtol=1e-3)
    np.testing.assert_allclose(
        less_variance(9 * control, control), 9 * control - (control - control.mean(axis=0)), atol=1e-4
    )
    np.testing.assert_array_equal(less_variance(gradients, np.ones_like(control)), gradients)


def test_control_variates_change_what_a_model_learns():
    x, y = problem(np.random.default_rng(0))
    with_variates, without = model_of(TreeConfig(control_variate_decay=0.9)), model_of()
    for model in (with_variates, without):
        model.step(x, y)
    np.testing.assert_array_equal(with_variates.predict(x), without.predict(x))
    for model in (with_variates, without):
        model.step(x, y)
    assert (with_variates.predict(x) != without.predict(x)).any()


def test_a_copy_a_pickle_and_a_file_go_on_alike(tmp_path):
    x, y = problem(np.random.default_rng(0))
    heads = [OptimizerConfig(0, 1, schedule="linear"), OptimizerConfig(1, 2, "adam")]
    model = model_of(TreeConfig(3, "oblivious"), heads, bias=[1, -1], feature_weights=[1, 2, 0.5, 1])
    fit(model, x, y, 5)
    model.save(tmp_path / "model")
    others = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), GBTModel.load(tmp_path / "model")]  # noqa: S301
    model.step(x, model.predict(x) - y)
    for other in others:
        assert other.n_trees == 5
        other.step(x, other.predict(x) - y)
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_constraints_survive_a_file(tmp_path):
    model = GBTModel(2, 1, monotone=[1, 0])
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(GBTModel.load(tmp_path / "model").monotone, model.monotone)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_cache_slides_over_rows(kind):
    x, y = problem(np.random.default_rng(0), 60)
    model = model_of(None, [OptimizerConfig(0, 2, kind, 0.1)])
    model.step(x, -y)
    cache = model.cache(x[:40])
    model.step(x, -y)  # which the cache has not seen yet
    np.testing.assert_array_equal(cache.slide(25, x[40:]), model.predict(x[15:]))
    model.step(x, -y)
    np.testing.assert_array_equal(cache.update(), model.predict(x[15:]))
    np.testing.assert_array_equal(cache.slide(0, x[:5]), model.predict(x[:5]))


def test_a_large_greedy_model_fits_in_its_file_and_a_cache_follows_a_new_ensemble(tmp_path):
    x, y = problem(np.random.default_rng(0))
    model = model_of()
    cache = fit(model, x, y, 100)
    model.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 100 * 1500 + 4096
    model.ensemble = GBTModel.load(tmp_path / "model").ensemble
    fit(model, x, y, 1)
    np.testing.assert_array_equal(cache.update(), model.predict(x))


def broken_files(path):
    """Contents that are no model, by name, made from a good file."""
    good = path.read_bytes()
    arrays, settings_ = storage.read(path)
    yield "empty", b""
    for cut in (4, 100, len(good) // 2, len(good) - 1):
        yield f"cut at {cut}", good[:cut]
    yield "text", b"no model at all, but long enough to have a header"
    yield "version", good.replace(b'"version":"1"', b'"version":"2"')
    for name, values in (("left", 10**6), ("feature", 77), ("tree_start", 5)):
        changed = {key: array.copy() for key, array in arrays.items()}
        changed[name][1] = values
        storage.write(path, changed, settings_)
        yield name, path.read_bytes()
    missing = {key: array for key, array in arrays.items() if key != "value"}
    storage.write(path, missing, settings_)
    yield "missing", path.read_bytes()
    storage.write(path, arrays, {**settings_, "tree": {**settings_["tree"], "max_depth": 99}})
    yield "settings", path.read_bytes()


def test_broken_files_are_refused_in_one_line(tmp_path):
    x, y = problem(np.random.default_rng(0))
    model = model_of()
    fit(model, x, y, 3)
    path = tmp_path / "model"
    model.save(path)
    for name, contents in broken_files(path):
        (tmp_path / "broken").write_bytes(contents)
        with pytest.raises(GBTError, match=str(tmp_path / "broken")) as caught:
            GBTModel.load(tmp_path / "broken")
        assert "\n" not in str(caught.value), name
    with pytest.raises(GBTError, match="no such file"):
        GBTModel.load(tmp_path / "none")


GOOD = np.zeros((3, 4))


@pytest.mark.parametrize(
    ("x", "gradients", "message"),
    [
        (GOOD, np.full((3, 2), np.nan), "gradients: row 0"),
        (GOOD, np.array([[0, 0], [0, -np.inf], [0, 0]]), "gradients: row 1"),
        (GOOD, np.full((3, 2), 1e300), "gradients: row 0"),
        (GOOD, np.zeros((3, 3)), r"gradients: shape \(3, 3\); expected \(rows, 2\)"),
        (GOOD, np.zeros((2, 2)), "2 rows for 3 rows"),
        (np.zeros((3, 5)), np.zeros((3, 2)), r"features: shape \(3, 5\); expected \(rows, 4\)"),
        (np.zeros((0, 4)), np.zeros((0, 2)), "at least one row"),
        (np.full((3, 4), np.nan), np.zeros((3, 2)), "NaN, but nan_allowed is false"),
        (np.full((3, 4), 0.5), np.zeros((3, 2)), "not all integers"),
        (Binner.fit_transform(np.zeros((3, 5))), np.zeros((3, 2)), "binned with other features"),
        (Binner.fit_transform(np.zeros((3, 4))), np.zeros((3, 2)), "binned with other features"),
    ],
)
@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_bad_batch_is_refused_and_leaves_the_model_as_it_was(x, gradients, message, decay):
    rows, y = problem(np.random.default_rng(0))
    model = model_of(TreeConfig(control_variate_decay=decay))
    fit(model, rows, y, 3)
    before = pickle.dumps(model)
    with pytest.raises(GBTError, match=message) as caught:
        model.step(x, gradients)
    assert "\n" not in str(caught.value)
    assert pickle.dumps(model) == before
    model.step(rows, y)
    assert model.n_trees == 4


def test_rows_to_predict_are_checked_likewise():
    rows, y = problem(np.random.default_rng(0))
    model = model_of()
    fit(model, rows, y, 3)
    for x, message in ((np.zeros((3, 5)), "features"), (np.full((2, 4), np.nan), "row 0, feature 0: NaN")):
        for method in (model.predict, model.cache):
            with pytest.raises(GBTError, match=message):
                method(x)
    assert model.predict(np.zeros((0, 4))).shape == (0, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TreeConfig(max_depth=0),
        lambda: TreeConfig(max_depth=13),
        lambda: TreeConfig(n_bins=1),
        lambda: TreeConfig(n_bins=257),
        lambda: TreeConfig(growth="leafwise"),
        lambda: TreeConfig(score="gini"),
        lambda: TreeConfig(binning="kmeans"),
        lambda: TreeConfig(min_leaf=0),
        lambda: TreeConfig(control_variate_decay=1.0),
        lambda: OptimizerConfig(0, 0),
        lambda: OptimizerConfig(-1, 1),
        lambda: OptimizerConfig(0, 1, "rmsprop"),
        lambda: OptimizerConfig(0, 1, learning_rate=float("nan")),
        lambda: OptimizerConfig(0, 1, beta1=1.0),
        lambda: OptimizerConfig(0, 1, schedule="cosine"),
        lambda: GBTModel(0, 1),
        lambda: GBTModel(1, 0),
        lambda: GBTModel(1, 2, optimizers=[OptimizerConfig(0, 1)]),
        lambda: GBTModel(1, 2, optimizers=[OptimizerConfig(0, 3)]),
        lambda: GBTModel(1, 2, optimizers=[OptimizerConfig(0, 2), OptimizerConfig(1, 2)]),
        lambda: GBTModel(1, 1, backend="fpga"),
        lambda: GBTModel(1, 1, bias=[1, 2]),
        lambda: GBTModel(1, 1, bias=[np.inf]),
        lambda: GBTModel(2, 1, categorical=[True]),
        lambda: GBTModel(2, 1, feature_weights=[1, -1]),
        lambda: GBTModel(2, 1, monotone=[[2], [0]]),
        lambda: GBTModel(2, 2, monotone=[[1], [0]]),
        lambda: GBTModel(2, 1, monotone=[1, 0], categorical=[True, False]),
        lambda: GBTModel(2, 1, None, [OptimizerConfig(0, 1, "adam")], monotone=[1, 0]),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(make):
    with pytest.raises(GBTError, match="expected") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_engine_imports_no_heavy_package():
    script = (
        "import sys, numpy as np; from optgap.gbrl.model import GBTModel; m = GBTModel(2, 1);"
        "m.step(np.eye(2), np.ones((2, 1))); m.predict(np.eye(2));"
        "assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_compressed_model_goes_on_where_its_schedule_stood(tmp_path):
    x, y = problem(np.random.default_rng(0))
    head = OptimizerConfig(0, 2, learning_rate=0.4, schedule="linear", final_learning_rate=0.2, schedule_trees=10)
    model = model_of(optimizers=[head])
    fit(model, x, y, 5)
    model.compress(x, 2)
    assert (model.n_trees, model.steps) == (2, 5)
    model.save(tmp_path / "model")
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), GBTModel.load(tmp_path / "model")):  # noqa: S301
        same.step(x, y)
        assert same.steps == 6
        np.testing.assert_allclose(same.ensemble.rate[-1], 0.3)


def test_what_a_compression_would_break_is_refused():
    x, y = problem(np.random.default_rng(0))
    variates = model_of(TreeConfig(control_variate_decay=0.9))
    constrained = model_of(monotone=[1, 0, 0, 0])
    for model, message in ((variates, "control variates"), (constrained, "monotone constraints")):
        fit(model, x, y, 4)
        whole = model.ensemble
        with pytest.raises(GBTError, match=message):
            model.compress(x, 2)
        assert model.ensemble is whole
        model.ensemble = compress(whole, x, 2)
        with pytest.raises(GBTError, match=message):
            model.step(x, y)
        assert model.n_trees == 2


def test_a_backend_that_is_not_there_is_one_clear_error(monkeypatch):
    x, y = problem(np.random.default_rng(0))
    monkeypatch.setitem(BACKENDS, "torch", "optgap.gbrl.nowhere")
    model = model_of(backend="torch")
    with pytest.raises(GBTError, match=r"backend 'torch': the module optgap\.gbrl\.nowhere is not there"):
        model.step(x, y)
    assert model.n_trees == 0


@pytest.mark.parametrize("bias", [[1e300, 0.0], ["a", "b"], [np.nan, 0.0]])
def test_a_bias_that_float32_cannot_hold_is_refused(bias):
    with pytest.raises(GBTError, match=r"bias: .*expected .*numbers"):
        GBTModel(3, 2, bias=bias)
