"""Barriers and multipliers by hand: values, gradients, how they adapt."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optgap.agents.common.rollout import Batch
from optgap.agents.constrained.penalties import (
    AdaptiveBarrier,
    Barrier,
    Multipliers,
    cost_change,
    log_barrier,
    penalty_state,
    restore_penalty,
)


def part(advantages, costs) -> Batch:
    """Transitions with these advantages (M,), and advantages of costs (M, m)."""
    none = torch.empty(0)
    return Batch(none, none, None, none, none, torch.tensor(advantages), none, torch.tensor(costs), none)


def test_barrier_value_and_slope_inside_at_and_outside():
    slack = torch.tensor([2.0, 0.5, 0.1, 0.0, -0.4], requires_grad=True)
    values = log_barrier(slack, torch.tensor(0.1))
    expected = [math.log(2), math.log(0.5), math.log(0.1), math.log(0.1) - 1, math.log(0.1) - 5]
    torch.testing.assert_close(values, torch.tensor(expected))
    values.sum().backward()
    torch.testing.assert_close(slack.grad, torch.tensor([0.5, 2.0, 10.0, 10.0, 10.0]))


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(1e-3, 1))
def test_the_barrier_is_concave_and_rises(first, second, epsilon):
    ends = torch.tensor([first, second], dtype=torch.float64)
    limit = torch.tensor(epsilon, dtype=torch.float64)
    low, high = log_barrier(ends.sort().values, limit)
    assert low <= high
    assert log_barrier(ends.mean(), limit) >= (low + high) / 2 - 1e-9


def test_change_of_costs_is_that_of_the_new_policy_and_pessimistic_outside_the_clip_range():
    advantages = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]])
    for ratio, change in (
        ([1.0, 1.0, 1.0, 1.0], 0.0),
        ([1.1, 0.9, 1.0, 1.0], 0.2),
        ([0.5, 1.0, 1.0, 1.0], -0.2),  # a decrease counts down to the clip range
        ([1.5, 1.0, 1.0, 1.0], 0.5),  # an increase counts whole
        ([1.0, 1.0, 1.0, 1.5], -0.4),
    ):
        ratios = torch.tensor(ratio)
        found = cost_change(advantages, ratios, ratios.clamp(0.8, 1.2))
        torch.testing.assert_close(found, torch.tensor([change / 4]), atol=1e-6, rtol=1e-5)


def test_loss_and_gradient_of_the_barrier_by_hand():
    """One constraint with slack 0.5 and t = 4, reward advantages 1 and -1, cost advantages 2 and -2, ratios 1."""
    ratio = torch.ones(2, requires_grad=True)
    loss = Barrier(1, 4.0, 0.01).policy_loss(np.array([0.5]), np.zeros(1))
    value = loss(part([1.0, -1.0], [[2.0], [-2.0]]), ratio, ratio.clamp(0.8, 1.2))
    # weight of the cost 1 / (4 x 0.5) = 0.5, deviation of its advantage 2: divided by 1 + 1
    assert value.item() == pytest.approx(-(0.0 + math.log(0.5) / 4) / 2, rel=1e-6)
    value.backward()
    # -(A - 0.5 A_cost) / M / 2 is 0: the reward is not worth its cost, nor the cost's avoidance the reward
    torch.testing.assert_close(ratio.grad, torch.zeros(2), atol=1e-7, rtol=0)
    ratio.grad = None
    beyond = Barrier(1, 4.0, 0.25).policy_loss(np.array([-0.1]), np.zeros(1))
    beyond(part([1.0, -1.0], [[2.0], [-2.0]]), ratio, ratio.clamp(0.8, 1.2)).backward()
    # the weight of slack 0.25: 1 / (4 x 0.25) = 1, so -(1 - 2) / 2 / (1 + 2)
    torch.testing.assert_close(ratio.grad, torch.tensor([1 / 6, -1 / 6]))


def test_a_step_that_would_use_up_the_slack_is_held_back():
    """Within one update the slack shrinks as the ratio grows: the barrier's gradient grows with it."""
    batch, gradients = part([1.0, -1.0], [[0.5], [-0.5]]), []
    for change in (0.0, 0.1, 0.19):
        ratio = torch.tensor([1.0 + change, 1.0 - change], requires_grad=True)
        loss = Barrier(1, 10.0, 0.001).policy_loss(np.array([0.1]), np.zeros(1))
        loss(batch, ratio, ratio.clamp(0.8, 1.2)).backward()
        gradients.append(ratio.grad[0].item())
    assert gradients[0] < gradients[1] < gradients[2]
    assert gradients[0] < 0 < gradients[2]  # first for the reward, in the end against it


def test_constraints_add_up_and_one_without_limit_is_not_felt():
    ratio = torch.ones(2, requires_grad=True)
    batch = part([1.0, -1.0], [[2.0, 1.0, 50.0], [-2.0, -1.0, -50.0]])
    loss = Barrier(3, 4.0, 0.01).policy_loss(np.array([0.5, 0.25, 1e6]), np.zeros(3))
    loss(batch, ratio, ratio.clamp(0.8, 1.2)).backward()
    weights = 0.5 * 2 + 1.0 * 1
    torch.testing.assert_close(ratio.grad[0].item(), -(1 - weights) / 2 / (1 + weights), atol=1e-4, rtol=1e-4)


def test_adaptive_barrier_grows_rests_and_shrinks_for_each_constraint_within_bounds():
    barrier = AdaptiveBarrier(4, 8.0, 0.01, confidence=2.0, growth=2.0, t_max=16.0)
    slack, errors = np.array([0.5, 0.03, 0.15, -0.2]), np.array([0.0, 0.01, 0.05, 0.05])
    barrier.policy_loss(slack, errors)
    np.testing.assert_array_equal(barrier.strengths, [16.0, 8.0, 8.0, 8.0])
    np.testing.assert_array_equal(barrier.epsilon, [0.01, 0.02, 0.1, 0.1])
    barrier.policy_loss(slack[::-1].copy(), errors[::-1].copy())
    np.testing.assert_array_equal(barrier.strengths, [8.0, 8.0, 8.0, 16.0])
    fixed = Barrier(4, 8.0, 0.01)
    fixed.policy_loss(slack, errors)
    np.testing.assert_array_equal(fixed.strengths, np.full(4, 8.0))
    other = AdaptiveBarrier(4, 8.0, 0.01, 2.0, 2.0, 16.0)
    restore_penalty(other, penalty_state(barrier))
    np.testing.assert_array_equal(other.strengths, barrier.strengths)
    with pytest.raises(KeyError):
        restore_penalty(other, {})


def test_multipliers_ascend_the_dual_and_stay_above_zero():
    penalty = Multipliers(2, 0.5, 0.1)
    loss = penalty.policy_loss(np.array([-1.0, 20.0]), np.zeros(2))
    np.testing.assert_allclose(penalty.strengths, [0.6, 0.0])
    ratio = torch.ones(2, requires_grad=True)
    value = loss(part([1.0, 0.0], [[2.0, 7.0], [0.0, 7.0]]), ratio, ratio.clamp(0.8, 1.2))
    combined = (1.0 - 0.6 * 2.0) / 1.6
    assert value.item() == pytest.approx(-combined / 2)
    value.backward()
    torch.testing.assert_close(ratio.grad, torch.tensor([-combined / 2, 0.0]))
