"""What the engine cannot use is refused in one line that says what was expected, and the model stays what it was."""

from __future__ import annotations

import copy
import json
import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from gbrl_trees import trained_model
from safetensors.numpy import save

from optgap.gbrl import storage
from optgap.gbrl.compress import compress
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.errors import GBTError
from optgap.gbrl.export_c import c_header, export_c
from optgap.gbrl.export_onnx import export_onnx
from optgap.gbrl.importance import importances
from optgap.gbrl.model import GBTModel
from optgap.gbrl.predict import predict
from optgap.gbrl.recall import Recall
from optgap.gbrl.shap import shap_values
from optgap.gbrl.show import draw_tree, tree_text


@pytest.fixture(scope="module")
def shared():
    return trained_model("greedy", 5)


@pytest.fixture
def model(shared):
    """A fitted model that must say the same after the test as before, and still learn."""
    model, x = shared
    before, state = model.predict(x), pickle.dumps(model)
    yield model
    np.testing.assert_array_equal(model.predict(x), before)
    assert pickle.dumps(model) == state
    further = copy.deepcopy(model)
    further.step(x, further.predict(x))
    assert further.n_trees == model.n_trees + 1


@pytest.fixture
def x(shared):
    return shared[1]


def refuses(message, act):
    with pytest.raises(GBTError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


RATE = r"learning_rate is .*; expected a number from 0 to 1e\+09"


@pytest.mark.parametrize("rate", [np.nan, np.inf, -0.1, 1e10, 1e38, 1e39, 10**400, "a", None, True, [0.1]])
@pytest.mark.parametrize("name", ["learning_rate", "final_learning_rate"])
def test_step_sizes_that_lead_nowhere(rate, name):
    refuses(RATE, lambda: OptimizerConfig(0, 1, **{name: rate}))


@pytest.mark.parametrize("rate", [np.nan, 1e38, -1.0, "a", None])
def test_a_step_size_that_was_changed_is_checked_at_the_next_step(rate, model, x):
    changed = copy.deepcopy(model)
    kept = changed.optimizers[0].learning_rate
    changed.optimizers[0].learning_rate = rate
    refuses(RATE, lambda: changed.step(x, changed.predict(x)))
    changed.optimizers[0].learning_rate = kept
    assert pickle.dumps(changed.ensemble) == pickle.dumps(model.ensemble)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta1": 0.99999999}, "beta1 is .*; expected a number from 0 to 0.999999"),
        ({"beta2": "x"}, "beta2 is 'x'"),
        ({"epsilon": 1e-60}, r"epsilon is 1e-60; expected a number from 1e-30 to 1e\+30"),
        ({"epsilon": 1e60}, "epsilon is"),
        ({"stop": 1.5}, "stop is 1.5; expected an integer of at least 1"),
        ({"kind": ["adam"]}, r"kind is \['adam'\]; expected sgd or adam"),
        ({"schedule_trees": 0.5}, "schedule_trees is 0.5; expected an integer of at least 1"),
    ],
)
def test_optimizers_that_float32_cannot_follow(settings, message):
    refuses(message, lambda: OptimizerConfig(**({"start": 0, "stop": 1} | settings)))


def test_settings_of_trees_do_not_change_behind_the_models_back(model):
    with pytest.raises(AttributeError):
        model.tree.max_depth = 99
    refuses("growth is array", lambda: TreeConfig(growth=np.zeros((3, 3))))
    refuses("control_variate_decay is .*; expected a number from 1e-06", lambda: TreeConfig(control_variate_decay=1e-9))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_gradients_whose_moves_float32_cannot_hold(kind):
    x = np.eye(4, dtype=np.float32)
    model = GBTModel(4, 2, None, [OptimizerConfig(0, 2, kind, 10.0)])
    model.step(x, np.ones((4, 2)))
    before = model.predict(x)
    refuses(r"a leaf's mean is 3e\+38 at step size .*; expected at most 1e\+18", lambda: model.step(x, [[3e38, 0]] * 4))
    np.testing.assert_array_equal(model.predict(x), before)
    model.step(x, np.full((4, 2), 1e15))
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 1.5}, "n_features is 1.5; expected an integer from 1 to 16777216"),
        ({"n_features": None}, "n_features is None"),
        ({"n_features": True}, "n_features is True"),
        ({"n_features": 10**12}, "n_features is 1000000000000"),
        ({"n_outputs": "x"}, "n_outputs is 'x'"),
        ({"threads": "x"}, "threads is 'x'; expected an integer from 1 to 1024"),
        ({"threads": 0.5}, "threads is 0.5"),
        ({"tree": {"max_depth": 3}}, "tree: found dict; expected a TreeConfig"),
        ({"optimizers": OptimizerConfig(0, 1)}, "optimizers: found OptimizerConfig; expected a list"),
        ({"optimizers": [{"start": 0}]}, "optimizers: found dict; expected a list of OptimizerConfig"),
        ({"backend": ["numba"]}, "backend is .*; expected numba or torch"),
        ({"bias": [[1], [1, 2]]}, "bias: expected numbers, found list"),
        ({"categorical": [0, 2]}, "categorical: int64 of shape .2,.; expected 2 bools"),
        ({"monotone": "up"}, "monotone: expected numbers, found str"),
        ({"monotone": [0.5, 0]}, "monotone: expected -1, 0 or 1"),
        ({"monotone": [np.nan, 0]}, "monotone: expected -1, 0 or 1"),
    ],
)
def test_models_of_no_size_or_kind(arguments, message):
    refuses(message, lambda: GBTModel(**({"n_features": 2, "n_outputs": 1} | arguments)))


def test_numbers_of_numpy_are_numbers(tmp_path):
    tree = TreeConfig(max_depth=np.int64(3), min_leaf=np.int32(2))
    model = GBTModel(np.int64(2), 1, tree, [OptimizerConfig(0, 1, learning_rate=np.float32(0.5))])
    model.save(tmp_path / "model")
    assert GBTModel.load(tmp_path / "model").tree == TreeConfig(max_depth=3, min_leaf=2)


@pytest.mark.parametrize(
    "rows", [[[1, 2], [3]], [["a"] * 5], np.zeros((2, 5), complex), np.full((2, 5), "1"), object()]
)
def test_rows_that_are_no_numbers(rows, model, x):
    for act in (model.predict, model.cache, model.bin, lambda rows: model.step(rows, x[:, :3])):
        refuses("features: expected numbers, found", lambda act=act: act(rows))
    refuses("gradients: expected numbers, found", lambda: model.step(x, rows))


@pytest.mark.parametrize("kept", [-1, 301, 1.5, "a", None, True])
def test_a_cache_keeps_as_many_rows_as_it_has(kept, model, x):
    cache = model.cache(x)
    refuses("kept is .*; expected an integer from 0 to 300", lambda: cache.slide(kept, x[:3]))
    refuses(r"features: shape \(2, 9\)", lambda: cache.slide(3, np.zeros((2, 9))))
    np.testing.assert_array_equal(cache.outputs, model.predict(x))
    np.testing.assert_array_equal(cache.slide(1, x[:2]), model.predict(x[[-1, 0, 1]]))


@pytest.mark.parametrize("n_trees", [0, -2, 1.5, "x", None, True])
def test_compressions_to_no_number_of_trees(n_trees, model, x):
    refuses("n_trees of a compression is .*; expected an integer of at least 1", lambda: model.compress(x, n_trees))


def test_a_compression_on_rows_that_the_model_would_refuse():
    model = GBTModel(2, 1)
    for _ in range(3):
        model.step(np.eye(2), np.ones((2, 1)))
    refuses("row 0, feature 1: NaN, but nan_allowed is false", lambda: model.compress([[0, np.nan]], 2))
    assert model.n_trees == 3


def written(trees, path):
    export_c(trees, path)
    return path.read_text()


def readers(x, folder):
    """What reads the trees of a model, by name."""
    return {
        "compress": lambda trees: compress(trees, x, 2).value,
        "predict": lambda trees: predict(trees, x),
        "shap": lambda trees: shap_values(trees, x[:5])[0],
        "importances": importances,
        "text": lambda trees: tree_text(trees, 0),
        "drawing": lambda trees: [text.get_text() for text in draw_tree(trees, 0).texts],
        "c": c_header,
        "c file": lambda trees: written(trees, folder / "x.h"),
        "onnx": lambda trees: pytest.importorskip("onnx") and export_onnx(trees).SerializeToString(),
    }


READERS = readers(np.zeros((1, 1)), Path())


@pytest.mark.parametrize("name", READERS)
def test_what_reads_trees_takes_a_model_or_its_ensemble(name, model, x, tmp_path):
    read = readers(x, tmp_path)[name]
    np.testing.assert_array_equal(read(model), read(model.ensemble))
    for other in (None, 3, x, "trees"):
        found = type(other).__name__
        refuses(f"trees: found {found}; expected a GBTModel or its ensemble", lambda other=other: read(other))


@pytest.mark.parametrize("tree", [5, -6, 0.5, "first", None])
def test_trees_that_are_not_there(tree, model):
    refuses("tree is .*; expected an integer from -5 to 4", lambda: tree_text(model, tree))


def test_arguments_of_what_reads_trees(model, x, tmp_path):
    refuses("feature_names is 'abcde'; expected 5 names", lambda: tree_text(model, 0, "abcde"))
    refuses("feature_names is 3; expected 5 names", lambda: draw_tree(model, 0, 3))
    refuses("kind of importance is .*; expected gain or splits or cover", lambda: importances(model, ["gain"]))
    refuses("name of the C header: 3; expected a C identifier", lambda: c_header(model, 3))
    refuses("threads is 'x'", lambda: shap_values(model, x, threads="x"))
    refuses("threads is 0;", lambda: predict(model, x, threads=0))
    refuses("recall: found Ensemble; expected a GBTModel", lambda: Recall(model.ensemble))
    refuses("most_rows is 0; expected an integer of at least 1", lambda: Recall(model, 0))
    refuses("holds no tree", lambda: tree_text(GBTModel(1, 1), 0))


def test_files_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    writers = [model.save, lambda path: export_c(model, path), lambda path: export_onnx(model, path)]
    for write in writers[: 3 if find_spec("onnx") else 2]:
        places = [(tmp_path / "none" / "m", "No such file or directory"), (tmp_path / "file" / "m", "Not a directory")]
        for path, reason in [*places, (tmp_path, "Is a directory")]:
            refuses(rf"{path}: cannot be written \({reason}\)", lambda write=write, path=path: write(path))
        for path in (3, "", b"x", "a\0b"):
            refuses("path .*: cannot be written", lambda write=write, path=path: write(path))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_paths_that_are_no_files(tmp_path):
    refuses(f"{tmp_path}: a folder; expected a file", lambda: GBTModel.load(tmp_path))
    for path in (None, 3, b"x", "a\0b"):
        refuses("path .*: (cut short or no model|no such file)", lambda path=path: GBTModel.load(path))


def changed(model, folder, arrays=None, drop=(), settings=None):
    """Load a file whose arrays and settings were changed."""
    model.save(folder / "good")
    good, found = storage.read(folder / "good")
    good = {name: array for name, array in good.items() if name not in drop}
    storage.write(folder / "bad", good | (arrays or {}), settings(found) if settings else found)
    return GBTModel.load(folder / "bad")


@pytest.mark.parametrize("name", ["value", "rate", "bias", "cover", "gain", "threshold", "adam", "feature_weights"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_files_with_numbers_that_are_none(name, number, model, tmp_path):
    array = getattr(model, name, None) if name == "feature_weights" else getattr(model.ensemble, name)
    array = array.copy()
    array.flat[0] = number
    if (name, number) == ("threshold", np.inf):  # a split of missing values alone
        changed(model, tmp_path, {name: array})
        return
    refuses(
        f"{tmp_path / 'bad'}: contents that do not fit together .*{name}",
        lambda: changed(model, tmp_path, {name: array}),
    )


def test_files_with_arrays_of_another_kind(model, tmp_path):
    for name, array in model.ensemble.arrays().items():
        refuses(f"{name} is missing", lambda name=name: changed(model, tmp_path, drop=(name,)))
        for other in (np.full(array.shape, 0.5), np.zeros((2, 2, 2), array.dtype)):
            refuses(
                rf"{name} is .* of shape .*; expected \w+ in {array.ndim} dimensions",
                lambda name=name, other=other: changed(model, tmp_path, {name: other}),
            )
    refuses("'monotone' is missing", lambda: changed(model, tmp_path, drop=("monotone",)))
    refuses("more is not expected", lambda: changed(model, tmp_path, {"more": np.zeros(3)}))
    for name in ("value", "rate"):
        narrow = np.ascontiguousarray(getattr(model.ensemble, name)[:, :1])
        refuses(
            f"{name} has 1 columns; expected 3",
            lambda name=name, narrow=narrow: changed(model, tmp_path, {name: narrow}),
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: "hello", "settings 'hello'; expected names and values"),
        (lambda found: [1], r"settings \[1\]; expected names and values"),
        (lambda found: {name: found[name] for name in found if name != "tree"}, "'tree' is missing"),
        (lambda found: {name: found[name] for name in found if name != "backend"}, "'backend' is missing"),
        (lambda found: found | {"more": 1}, r"settings \['more'\] are not expected"),
        (lambda found: found | {"tree": 3}, "must be a mapping, not int"),
        (lambda found: found | {"tree": found["tree"] | {"more": 1}}, "unexpected keyword argument 'more'"),
        (lambda found: found | {"tree": found["tree"] | {"max_depth": "4"}}, "max_depth is '4'"),
        (lambda found: found | {"optimizers": "abc"}, "must be a mapping, not str"),
        (lambda found: found | {"optimizers": []}, "output 0 belongs to 0 of them"),
        (lambda found: found | {"optimizers": [found["optimizers"][0] | {"learning_rate": float("nan")}]}, RATE),
        (lambda found: found | {"optimizers": [o | {"kind": "adam"} for o in found["optimizers"]]}, "other optimizers"),
        (lambda found: found | {"threads": "x"}, "threads is 'x'"),
        (lambda found: found | {"backend": ["numba"]}, r"backend is \['numba'\]"),
    ],
)
def test_files_with_odd_settings(change, message, model, tmp_path):
    refuses(message, lambda: changed(model, tmp_path, settings=change))


@pytest.mark.parametrize("text", ["{{{", "[" * 100_000, None])
def test_files_whose_settings_are_no_json(text, model, tmp_path):
    header = {"format": storage.FORMAT, "version": storage.VERSION} | ({} if text is None else {"settings": text})
    (tmp_path / "bad").write_bytes(save(model.ensemble.arrays(), header))
    refuses(f"{tmp_path / 'bad'}: cut short or no model", lambda: GBTModel.load(tmp_path / "bad"))


def test_a_file_cut_short_anywhere(model, tmp_path):
    model.save(tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    for cut in np.linspace(0, len(good) - 1, 12).astype(int):
        (tmp_path / "bad").write_bytes(good[:cut])
        refuses(f"{tmp_path / 'bad'}: cut short or no model", lambda: GBTModel.load(tmp_path / "bad"))
    (tmp_path / "bad").write_bytes(good)
    np.testing.assert_array_equal(
        GBTModel.load(tmp_path / "bad").predict(np.zeros((1, 5))), model.predict(np.zeros((1, 5)))
    )


def test_an_oblivious_file_has_one_split_a_level(tmp_path):
    model, _ = trained_model("oblivious", 3)
    assert changed(model, tmp_path).n_trees == 3
    for name in ("feature", "threshold", "nan_right"):
        array = getattr(model.ensemble, name).copy()
        array[2] = array[2] == 0  # of the second level
        message = f"{name} differs within a level of an oblivious tree"
        refuses(message, lambda name=name, array=array: changed(model, tmp_path, {name: array}))


def test_settings_of_a_file_are_json_that_anyone_can_read(model, tmp_path):
    model.save(tmp_path / "good")
    _, settings = storage.read(tmp_path / "good")
    assert json.loads(json.dumps(settings)) == settings
    assert settings["tree"]["growth"] == "greedy"
