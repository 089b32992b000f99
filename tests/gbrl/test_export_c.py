from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from gbrl_trees import plain_predict, random_ensemble, random_rows, trained_model

from optgap.gbrl.errors import GBTError
from optgap.gbrl.export_c import c_header, export_c, float_literal

FLAGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99", "-O2", "-march=native"]  # fused multiplication allowed
CALLER = """
#include "policy.h"
void predict_rows(const float *x, float *out, int n);
void predict_rows(const float *x, float *out, int n) {
    for (int i = 0; i < n; i++) policy_predict(x + i * POLICY_FEATURES, out + i * POLICY_OUTPUTS);
}
int main(void) { return POLICY_TREES < 0; }
"""


def compiled_predictions(folder, ensemble, x):
    """(n, D) float32: what a program with the header says."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    export_c(ensemble, folder / "policy.h", name="policy")
    (folder / "policy.c").write_text(CALLER)
    command = ["gcc", *FLAGS, "-shared", "-fPIC", "-o", "policy.so", "policy.c"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    library = ctypes.CDLL(str(folder / "policy.so"))
    x = np.ascontiguousarray(x, np.float32)
    out = np.empty((len(x), ensemble.n_outputs), np.float32)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, out)]
    library.predict_rows(*pointers, ctypes.c_int(len(x)))
    return out


@pytest.mark.parametrize("oblivious", [False, True], ids=["greedy", "oblivious"])
@pytest.mark.parametrize("categorical", [(), (0, 2)], ids=["numeric", "categorical"])
@pytest.mark.parametrize("missing", [False, True], ids=["whole", "missing"])
def test_c_says_bit_for_bit_what_the_trees_say(tmp_path, oblivious, categorical, missing):
    rng = np.random.default_rng(7)
    ensemble = random_ensemble(rng, 30, categorical=categorical, oblivious=oblivious, missing=missing, depth=4)
    x = random_rows(rng, ensemble, 400)
    np.testing.assert_array_equal(
        compiled_predictions(tmp_path, ensemble, x).view(np.int32), plain_predict(ensemble, x).view(np.int32)
    )


@pytest.mark.parametrize("growth", ["greedy", "oblivious"])
def test_c_says_bit_for_bit_what_a_trained_model_says(tmp_path, growth):
    model, trained = trained_model(growth)
    other = np.random.default_rng(3).normal(size=(500, 5)).astype(np.float32)
    # Rows on every threshold that there is, of every feature.
    numeric = model.ensemble.threshold[(model.ensemble.feature >= 0) & (model.ensemble.feature != 1)]
    x = np.concatenate([trained, other, np.repeat(numeric[:, None], 5, axis=1)])
    said = compiled_predictions(tmp_path, model.ensemble, x)
    np.testing.assert_array_equal(said.view(np.int32), model.predict(x).view(np.int32))


@pytest.mark.parametrize("oblivious", [False, True])
def test_leaves_alone_and_no_trees_compile(tmp_path, oblivious):
    for n_trees in (0, 3):
        ensemble = random_ensemble(np.random.default_rng(1), n_trees, depth=0, oblivious=oblivious)
        x = np.zeros((2, 4), np.float32)
        folder = tmp_path / str(n_trees)
        folder.mkdir()
        np.testing.assert_array_equal(compiled_predictions(folder, ensemble, x), plain_predict(ensemble, x))


def test_an_infinite_threshold_splits_off_what_is_missing(tmp_path):
    ensemble = random_ensemble(np.random.default_rng(2), 4, categorical=())
    ensemble.threshold[:], ensemble.nan_right[:] = np.inf, True
    x = random_rows(np.random.default_rng(3), ensemble, 50)
    x[0] = np.inf
    np.testing.assert_array_equal(compiled_predictions(tmp_path, ensemble, x), plain_predict(ensemble, x))
    assert "math.h" in c_header(ensemble)


def test_a_literal_is_the_very_number():
    smallest = 1.401298464324817e-45  # the smallest subnormal
    for value in (0.0, -0.0, 1.0, 0.1, -1e-40, smallest, 3.4028234663852886e38, 8.0):
        exact = float(np.float32(value))
        assert float.fromhex(float_literal(exact).removesuffix("f")).hex() == exact.hex()
    assert float_literal(1.5) == "0x1.8p+0f"
    assert float_literal(float("-inf")) == "-INFINITY"


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "é", "x;"])
def test_a_name_that_c_does_not_take_is_refused(name):
    with pytest.raises(GBTError, match="C identifier"):
        c_header(random_ensemble(np.random.default_rng(0)), name)
