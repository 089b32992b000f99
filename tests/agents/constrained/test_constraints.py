"""Constraints of an environment, and the estimates of mean costs with their standard errors."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from optgap.agents.constrained.constraints import LOOSE, Constraints, CostFilter, constraints_of
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

BUDGET = GymConfig("optgap-test/Budget-v0", {"limit": 0.3})


class Nameless:
    """A configuration of an environment with these attributes."""

    def __init__(self, **attributes) -> None:
        self.attributes = attributes

    def make(self) -> gym.Env:
        env = gym.Env()
        vars(env).update(self.attributes)
        return env


def test_names_and_limits_come_from_within_the_wrappers_and_limits_can_be_replaced():
    found = constraints_of(BUDGET)
    assert found.names == ("spent", "left")
    np.testing.assert_array_equal(found.limits, [0.3, 0.9])
    np.testing.assert_array_equal(constraints_of(BUDGET, [0.5, 0]).limits, [0.5, 0.0])


def test_slack_is_in_units_of_the_limits():
    constraints = Constraints(("a", "b", "c", "d"), np.array([0.5, 0.0, -2.0, np.inf]))
    np.testing.assert_array_equal(constraints.unit, [0.5, 1.0, 2.0, 1.0])
    np.testing.assert_allclose(constraints.slack(np.array([0.6, 0.1, -3.0, 5.0])), [-0.2, -0.1, 0.5, LOOSE])


@pytest.mark.parametrize(
    ("config", "limits", "message"),
    [
        (GymConfig("CartPole-v1"), None, "has no cost_names; expected an environment with constraints"),
        (Nameless(cost_names=()), None, r"has no constraint \(cost_names is empty\)"),
        (Nameless(cost_names=("a", "b")), None, r"has no cost_limits; set limits \(one for each of a, b\)"),
        (BUDGET, [0.5], r"limits are \[0.5\]; expected a number for each of spent, left"),
        (BUDGET, [0.5, float("nan")], r"limits are \[0.5, nan\]; expected a number for each of spent, left"),
    ],
)
def test_constraints_that_cannot_be_used(config, limits, message):
    with pytest.raises(InputError, match=message):
        constraints_of(config, limits)


def test_estimates_by_hand():
    means = CostFilter(1, 0.9)
    np.testing.assert_array_equal(means.mean, [0.0])
    valid = np.array([[1, 1], [1, 0]], bool)
    means.measure(np.array([[[1.0], [4.0]], [[3.0], [99.0]]]), valid)  # copies' sums: 4 of two steps, 4 of one
    assert means.mean == pytest.approx([8 / 3])
    # sums less steps x mean: 4 - 16/3 and 4 - 8/3; their squares' sum, times 2 / (2 - 1), is (3 x error)^2
    noise = 2 * 2 * (4 / 3) ** 2 / 9
    assert means.error**2 == pytest.approx([noise])

    means.drift(np.array([-0.5]))
    assert means.error**2 == pytest.approx([noise + 0.25])
    means.measure(np.array([[[1.0], [2.0]], [[1.0], [2.0]]]), np.ones((2, 2), bool))  # 1.5, error^2 = 2 x 2 x 1^2 / 16
    gain = (noise + 0.25) / (noise + 0.25 + 0.25)
    assert means.mean == pytest.approx([8 / 3 + gain * (1.5 - 8 / 3)])
    assert means.error**2 == pytest.approx([(noise + 0.25) * (1 - gain)])  # of two independent estimates, weighted

    other = CostFilter(1, 0.9)
    other.restore(means.state())
    assert (other.mean, other.error) == (means.mean, means.error)
    means.measure(np.zeros((2, 2, 1)), np.zeros((2, 2), bool))  # nothing but resets says nothing
    assert means.mean == other.mean


def test_the_newest_rollout_always_counts():
    means, valid = CostFilter(2, 0.75), np.ones((1, 4), bool)
    means.measure(np.zeros((1, 4, 2)), valid)  # a rollout without any cost is no proof that there is none
    means.measure(np.stack([np.full((1, 4), 8.0), np.zeros((1, 4))], -1), valid)
    np.testing.assert_allclose(means.mean, [2.0, 0.0])
    newest = CostFilter(1, 0.0)
    for cost in (3.0, 5.0):
        newest.measure(np.full((1, 4, 1), cost), valid)
        assert newest.mean == [cost]


def test_the_standard_error_is_the_spread_of_the_estimates():
    """Costs whose copies are correlated in time: errors from single steps would be too small."""
    rng, found, errors = np.random.default_rng(0), [], []
    for _ in range(400):
        means = CostFilter(1, 0.95)
        for _ in range(6):
            means.measure(rng.normal(size=(1, 64, 1)) + 0.1 * rng.normal(size=(20, 64, 1)), np.ones((20, 64), bool))
        found.append(means.mean[0])
        errors.append(means.error[0])
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.15)


def test_a_policy_that_moves_is_followed():
    rng = np.random.default_rng(0)
    means, cost = CostFilter(2, 0.95), 0.0
    for _ in range(50):  # the first mean's change is foreseen, the second's is not
        samples = np.stack([rng.normal(cost, 0.5, (10, 100)), rng.normal(cost, 0.5, (10, 100))], -1)
        means.measure(samples, np.ones((10, 100), bool))
        means.drift(np.array([0.01, 0.0]))
        cost += 0.01
    followed, missed = cost - 0.01 - means.mean
    assert abs(followed) < 2.0 * means.error[0] < 0.05
    assert missed > 0.1
