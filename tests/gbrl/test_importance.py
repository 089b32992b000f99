from __future__ import annotations

import numpy as np
import pytest
from gbrl_trees import random_ensemble, small_ensemble

from optgap.gbrl.errors import GBTError
from optgap.gbrl.importance import importances


@pytest.mark.parametrize(("kind", "figures"), [("gain", [4.5, 0.5]), ("splits", [2.0, 1.0]), ("cover", [20.0, 8.0])])
def test_figures_of_a_small_ensemble(kind, figures):
    assert importances(small_ensemble(), kind).tolist() == figures
    np.testing.assert_allclose(importances(small_ensemble(), kind, normalise=True), np.array(figures) / sum(figures))


def test_a_node_that_no_row_reached_does_not_count():
    ensemble = small_ensemble()
    ensemble.cover[5:8] = 0
    assert importances(ensemble, "splits").tolist() == [2.0, 0.0]


def test_no_splits_give_zeros():
    ensemble = random_ensemble(np.random.default_rng(0), 3, depth=0)
    assert importances(ensemble, normalise=True).tolist() == [0.0] * 4


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(GBTError, match="kind of importance is 'weight'; expected gain or splits or cover"):
        importances(small_ensemble(), "weight")
