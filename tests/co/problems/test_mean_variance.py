"""Mean-variance portfolios of few assets: cost by hand, limits, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, InfeasibleError, InputError
from optgap.co.problems.mean_variance import MEAN_VARIANCE, MeanVarianceInstance


def three(**other):
    arguments = {
        "name": "three",
        "expected": [0.1, 0.2, 0.0],
        "covariance": [[0.04, 0.01, 0.0], [0.01, 0.09, 0.0], [0.0, 0.0, 0.01]],
        "risk_aversion": 4.0,
        "cardinality": 2,
        "least": 0.1,
        "cap": 0.8,
    }
    return MeanVarianceInstance(**(arguments | other))


def test_cost_by_hand():
    variance = 0.25 * 0.04 + 2 * 0.25 * 0.01 + 0.25 * 0.09
    assert MEAN_VARIANCE.cost(three(), np.array([0.5, 0.5, 0.0])) == pytest.approx(2 * variance - 0.15)
    assert PROBLEMS.load("mean-variance") is MEAN_VARIANCE
    assert MEAN_VARIANCE.sense == "minimize"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.array([0.5, 0.5]), r"weights of shape \(2,\)"),
        (np.array([1, 0, 0]), "int64"),
        (np.array([0.5, 0.4, 0.0]), "sum to 0.9; expected 1"),
        (np.array([np.nan, 0.5, 0.5]), "sum to nan"),
        (np.array([0.5, 0.3, 0.2]), "3 assets are held; expected at most 2"),
        (np.array([0.9, 0.1, 0.0]), "asset 0 has the weight 0.9; expected 0 or 0.1 to 0.8"),
        (np.array([0.0, 0.95, 0.05]), "asset 1 has the weight 0.95"),
        (np.array([1.1, 0.0, -0.1]), "asset 0 has the weight 1.1"),
    ],
)
def test_weights_that_break_a_limit_are_refused(weights, said):
    with pytest.raises(InfeasibleError, match=f"three: .*{said}"):
        MEAN_VARIANCE.check(three(), weights)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expected": [0.1, np.inf, 0.0]}, "expected of asset 1 is not finite"),
        ({"expected": [0.1, 0.2]}, r"expected of shape \(2,\), covariance of shape \(3, 3\)"),
        ({"covariance": [[1, 1, 0], [0, 1, 0], [0, 0, 1]]}, "covariance is not symmetric"),
        ({"covariance": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]}, "covariance has the eigenvalue -1"),
        ({"covariance": [[1, 2], [2]]}, "covariance cannot be read as numbers"),
        ({"covariance": 1e-300 * np.eye(3)}, "covariances up to 1e-300, .*; expected covariances of at least 1e-15"),
        ({"expected": [1e300, 0.0, 0.0]}, "returns up to 1e.300"),
        ({"risk_aversion": 0.0}, "risk_aversion is 0.0"),
        ({"risk_aversion": "high"}, "risk_aversion is 'high'; expected a number"),
        ({"cardinality": np.nan}, "cardinality is nan; expected a whole number"),
        ({"cardinality": 0}, "cardinality is 0"),
        ({"least": 0.9}, "least is 0.9, cap is 0.8"),
        ({"cap": 0.4, "least": 0.0}, "no 2 or fewer shares from 0 to 0.4 sum to 1"),
        ({"cap": 0.65, "least": 0.55}, "no 2 or fewer shares from 0.55 to 0.65 sum to 1"),
    ],
)
def test_instances_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(InputError, match=f"instance three: .*{said}"):
        three(**changes)


def test_how_many_assets_can_be_held():
    assert list(three().sizes) == [2]
    assert list(three(cap=1.0, cardinality=9).sizes) == [1, 2, 3]
    assert list(three(least=1 / 3, cap=0.5, cardinality=3).sizes) == [2, 3]


def test_random_instances_have_a_feasible_portfolio():
    for assets, cardinality in ((1, 1), (2, 1), (5, 9), (60, 60)):
        found = MEAN_VARIANCE.generate(np.random.default_rng(0), assets=assets, cardinality=cardinality)
        assert len(found.sizes) >= 1
    with pytest.raises(InputError, match="assets is 0"):
        MEAN_VARIANCE.generate(np.random.default_rng(0), assets=0)
