"""Remembered rows: the same outputs as without memory, whatever happens to the model in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.errors import GBTError
from optgap.gbrl.model import GBTModel
from optgap.gbrl.recall import Recall


def model_and_rows(kind: str, seed: int) -> tuple[GBTModel, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    heads = [OptimizerConfig(0, 2, kind, 0.3), OptimizerConfig(2, 3, "sgd", 0.1)]
    model = GBTModel(4, 3, TreeConfig(max_depth=3), heads, categorical=np.ones(4, np.bool_))
    return model, rng.integers(0, 3, (60, 4)).astype(np.float32), rng


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(["step", "predict", "predict", "compress"]), min_size=4, max_size=14),
    st.sampled_from(["sgd", "adam"]),
    st.sampled_from([20, 70, 1000]),
    st.integers(0, 2**31),
)
def test_outputs_equal_those_without_memory(acts, kind, most_rows, seed):
    model, rows, rng = model_and_rows(kind, seed)
    recall = Recall(model, most_rows)
    for act in acts:
        if act == "step":
            model.step(rows, rng.normal(size=(60, 3)).astype(np.float32))
        elif act == "compress" and kind == "sgd" and model.n_trees > 1:
            model.compress(rows, max(1, model.n_trees // 2))
        else:
            x = rows[rng.integers(0, 60, rng.integers(1, 40))]  # some of them twice
            np.testing.assert_array_equal(recall.predict(x), model.predict(x))


def test_rows_that_do_not_fit_are_refused_and_nothing_is_lost():
    model, rows, rng = model_and_rows("sgd", 0)
    model.step(rows, rng.normal(size=(60, 3)).astype(np.float32))
    recall = Recall(model)
    before = recall.predict(rows)
    model.step(rows, rng.normal(size=(60, 3)).astype(np.float32))
    missing = np.vstack([rows[:2], np.full((1, 4), np.nan, np.float32)])
    with pytest.raises(GBTError, match="NaN, but nan_allowed is false"):
        recall.predict(missing)
    with pytest.raises(GBTError, match="shape"):
        recall.predict(rows[:, :3])
    assert (recall.predict(rows) != before).any()
    np.testing.assert_array_equal(recall.predict(rows), model.predict(rows))
