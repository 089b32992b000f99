from __future__ import annotations

import numpy as np
import pytest
from gbrl_trees import plain_predict, random_ensemble, random_rows, trained_model

from optgap.gbrl.errors import GBTError
from optgap.gbrl.export_onnx import export_onnx


def onnxruntime_predictions(path, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


@pytest.mark.parametrize("oblivious", [False, True], ids=["greedy", "oblivious"])
@pytest.mark.parametrize("categorical", [(), (0, 2), (0, 1, 2, 3)], ids=["numeric", "mixed", "categorical"])
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "missing"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_onnxruntime_says_what_the_trees_say(tmp_path, oblivious, categorical, missing, n_outputs):
    pytest.importorskip("onnx")
    rng = np.random.default_rng(11)
    ensemble = random_ensemble(
        rng, 25, n_outputs=n_outputs, categorical=categorical, oblivious=oblivious, missing=missing, depth=4
    )
    x = random_rows(rng, ensemble, 200)
    export_onnx(ensemble, tmp_path / "trees.onnx")
    y = onnxruntime_predictions(tmp_path / "trees.onnx", x)
    np.testing.assert_allclose(y, plain_predict(ensemble, x), atol=2e-6)
    one = onnxruntime_predictions(tmp_path / "trees.onnx", x[:1])  # a path of its own in the runtime
    np.testing.assert_allclose(one, plain_predict(ensemble, x[:1]), atol=2e-6)


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_onnxruntime_says_what_a_trained_model_says(tmp_path, growth):
    pytest.importorskip("onnx")
    model, x = trained_model(growth)
    export_onnx(model.ensemble, tmp_path / "trees.onnx")
    np.testing.assert_allclose(onnxruntime_predictions(tmp_path / "trees.onnx", x), model.predict(x), atol=2e-6)


def test_trees_of_a_leaf_alone(tmp_path):
    pytest.importorskip("onnx")
    ensemble = random_ensemble(np.random.default_rng(1), 3, depth=0)
    export_onnx(ensemble, tmp_path / "trees.onnx")
    x = np.zeros((2, 4), np.float32)
    y = onnxruntime_predictions(tmp_path / "trees.onnx", x)
    np.testing.assert_allclose(y, plain_predict(ensemble, x), atol=1e-6)


def test_no_trees_are_refused():
    pytest.importorskip("onnx")
    with pytest.raises(GBTError, match="at least one"):
        export_onnx(random_ensemble(np.random.default_rng(1), 0))
