"""Occupancy-measure programs against hand-computed values, brute force, duality and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.exact.constrained_mdp import averages, solve_constrained_mdp

# Two states; action 0 stays, action 1 changes the state. With that, any occupancy whose flows balance can be had.
MOVES = np.array([np.eye(2), np.eye(2)[::-1]])


def random_model(seed: int, states: int = 4, actions: int = 3, constraints: int = 2):
    """Every transition has a positive probability, so the model is unichain."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(states), (actions, states))
    return P, rng.normal(size=(states, actions)), rng.random((constraints, states, actions))


def deterministic(P, r, c):
    """Value and costs of every deterministic policy."""
    n, actions = r.shape
    return [averages(P, r, c, np.eye(actions)[list(choice)]) for choice in itertools.product(range(actions), repeat=n)]


def best_mixture(found, limits):
    """Largest value over mixtures of at most three points whose two costs meet the limits, without a linear program.

    An optimum of the program over mixtures is a vertex: with two limits and one normalization, at most three points.
    """
    points = np.array([[f.value, *f.costs] for f in found])
    best = points[(points[:, 1:] <= limits).all(1), 0].max(initial=-np.inf)
    for a, b in itertools.combinations(points, 2):
        for k in (1, 2):  # on the edge, where one limit holds with equality
            if a[k] != b[k] and 0 <= (w := (limits[k - 1] - b[k]) / (a[k] - b[k])) <= 1:
                mixed = w * a + (1 - w) * b
                if (mixed[1:] <= limits + 1e-12).all():
                    best = max(best, mixed[0])
    for trio in itertools.combinations(points, 3):
        system = np.vstack([np.ones(3), np.array(trio).T[1:]])
        if abs(np.linalg.det(system)) > 1e-12:
            weights = np.linalg.solve(system, [1.0, *limits])
            if (weights >= 0).all():
                best = max(best, float(weights @ [point[0] for point in trio]))
    return best


def test_one_state_is_a_mixture_of_two_actions_by_hand():
    # action 0: reward 1, cost 0.2; action 1: reward 3, cost 1. With cost at most 0.4 a quarter of action 1: reward 1.5.
    found = solve_constrained_mdp(np.ones((2, 1, 1)), [[1.0, 3.0]], [[[0.2, 1.0]]], [0.4])
    assert found.policy[0] == pytest.approx([0.75, 0.25])
    assert found.value == pytest.approx(1.5)
    assert found.costs == pytest.approx([0.4])
    assert found.multipliers == pytest.approx([2.5])  # reward by cost: (3 - 1) / (1 - 0.2)
    assert found.bound == pytest.approx(1.5)


def test_two_states_by_hand():
    # Staying in state 1 earns 1 and costs 1; all else earns and costs nothing, but moving back from it earns 0.2.
    # Let x be the occupancy of staying in 1, y that of moving back (and of moving there). max x + 0.2 y, x <= 1/2,
    # x + 2 y <= 1 (the rest stays in state 0): y = 1/4, value 0.55. A unit of limit: 1 - 0.2 / 2 = 0.9.
    r = np.array([[0.0, 0.0], [1.0, 0.2]])
    c = np.array([[[0.0, 0.0], [1.0, 0.0]]])
    found = solve_constrained_mdp(MOVES, r, c, [0.5])
    assert found.value == pytest.approx(0.55)
    assert found.occupancy == pytest.approx(np.array([[0.0, 0.25], [0.5, 0.25]]))
    assert found.policy == pytest.approx(np.array([[0.0, 1.0], [2 / 3, 1 / 3]]))
    assert found.multipliers == pytest.approx([0.9])


def test_a_limit_that_does_not_bind_has_no_price_and_infinity_is_no_limit():
    P, r, c = random_model(3)
    free = solve_constrained_mdp(P, r, c[:0], [])
    loose = solve_constrained_mdp(P, r, c, [5.0, np.inf])
    assert loose.value == pytest.approx(free.value, abs=1e-9)
    assert loose.multipliers.tolist() == [0.0, 0.0]
    assert free.costs.shape == free.multipliers.shape == (0,)
    assert free.value == pytest.approx(max(f.value for f in deterministic(P, r, c)), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_the_optimum_is_the_best_mixture_of_deterministic_policies(seed, u, v):
    P, r, c = random_model(seed, states=3, actions=2)
    found = deterministic(P, r, c)
    costs = np.array([f.costs for f in found])
    limits = costs.min(0) + np.array([u, v]) * (costs.max(0) - costs.min(0))
    expected = best_mixture(found, limits)
    if np.isinf(expected):
        with pytest.raises(InfeasibleError, match="together"):
            solve_constrained_mdp(P, r, c, limits)
    else:
        assert solve_constrained_mdp(P, r, c, limits).value == pytest.approx(expected, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.8))
def test_duality(seed, at):
    """Complementary slackness, a bound that meets the value, and multipliers that are the derivatives by the limits."""
    P, r, c = random_model(seed, states=6, actions=3)
    some = averages(P, r, c, np.random.default_rng(seed).dirichlet(np.ones(3), 6)).costs
    free = solve_constrained_mdp(P, r, c, [np.inf] * 2).costs
    limits = np.minimum(free, some) + at * np.abs(free - some) + np.maximum(some - free, 0)  # met by `some`
    found = solve_constrained_mdp(P, r, c, limits)
    assert (found.costs <= limits + 1e-8).all()
    assert (found.multipliers >= 0).all()
    assert (found.multipliers * (limits - found.costs)).sum() == pytest.approx(0.0, abs=1e-7)
    assert found.value <= found.bound + 1e-9
    assert found.bound == pytest.approx(found.value, abs=1e-7)
    # a concave function of the limits lies below its tangent
    for k, step in itertools.product((0, 1), (0.01, 0.1)):
        moved = limits + step * np.eye(2)[k]
        assert solve_constrained_mdp(P, r, c, moved).value <= found.value + step * found.multipliers[k] + 1e-7
    randomized = (found.policy.max(1) < 1 - 1e-7) & (found.occupancy.sum(1) > 1e-7)
    assert randomized.sum() <= 2


def test_a_long_simulation_earns_the_value():
    P, r, c = random_model(11, states=5)
    free = solve_constrained_mdp(P, r, c, [np.inf, np.inf])
    found = solve_constrained_mdp(P, r, c, [free.costs[0] - 0.08, np.inf])
    rng = np.random.default_rng(0)
    copies, steps = 2000, 500
    state = rng.choice(5, copies, p=found.occupancy.sum(1))
    reward, cost = 0.0, 0.0
    for _ in range(steps):
        action = (rng.random((copies, 1)) > np.cumsum(found.policy[state], 1)[:, :-1]).sum(1)
        reward += r[state, action].mean() / steps
        cost += c[0, state, action].mean() / steps
        state = (rng.random((copies, 1)) > np.cumsum(P[action, state], 1)[:, :-1]).sum(1)
    assert reward == pytest.approx(found.value, abs=4e-3)  # a million steps: four standard errors
    assert cost == pytest.approx(found.costs[0], abs=2e-3)


def test_limits_that_no_policy_meets_are_named():
    P, r, c = random_model(5)
    least = [-solve_constrained_mdp(P, -c[k], c, [np.inf] * 2).value for k in (0, 1)]
    with pytest.raises(InfeasibleError, match="delay is at least") as error:
        solve_constrained_mdp(P, r, c, [least[0] - 0.01, 1.0], ["delay", "drops"])
    assert "drops" not in str(error.value)
    with pytest.raises(InfeasibleError, match=r"delay is at least .* drops is at least"):
        solve_constrained_mdp(P, r, c, [least[0] - 0.01, least[1] - 0.01], ["delay", "drops"])


def test_of_limits_that_cannot_be_met_together_a_smallest_set_is_named():
    # One state, an action an entry: "a" and "b" exclude each other, "c" costs nothing.
    costs = np.array([[[0.0, 1.0]], [[1.0, 0.0]], [[0.0, 0.0]]])
    with pytest.raises(
        InfeasibleError, match=r"together.*: with b at most 0\.4, a is at least 0\.6 \(limit 0\.5\)"
    ) as error:
        solve_constrained_mdp(np.ones((2, 1, 1)), [[0.0, 0.0]], costs, [0.5, 0.4, 0.1], ["a", "b", "c"])
    assert "c is" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_that_is_never_visited_has_the_uniform_policy():
    P = np.array([[[0.0, 1.0], [0.0, 1.0]]] * 2)
    found = solve_constrained_mdp(P, [[9.0, 9.0], [1.0, 0.0]], np.zeros((0, 2, 2)), [])
    assert found.value == 1.0
    assert found.policy.tolist() == [[0.5, 0.5], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda P, r, c, limits: (P[:, :2], r, c, limits), "shapes"),
        (lambda P, r, c, limits: (P, r, c, limits[:1]), "shapes"),
        (lambda P, r, c, limits: (P * 1.01, r, c, limits), "distribution"),
        (lambda P, r, c, limits: (P, r * np.nan, c, limits), "finite"),
        (lambda P, r, c, limits: (P, r, c, limits * np.nan), "finite"),
    ],
)
def test_a_model_that_is_none_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        solve_constrained_mdp(*change(*random_model(0), np.ones(2)))


def test_several_recurrent_classes_are_refused():
    with pytest.raises(InputError, match="unichain"):
        averages(MOVES, np.zeros((2, 2)), np.zeros((0, 2, 2)), [[1.0, 0.0], [1.0, 0.0]])
