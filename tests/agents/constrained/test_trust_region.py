from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]

from optgap.agents.constrained.trust_region import conjugate_gradients, trust_region_step


def test_conjugate_gradients_solve_in_as_many_steps_as_unknowns():
    rng = np.random.default_rng(0)
    factor = torch.from_numpy(rng.normal(size=(6, 6)))
    matrix, vector = factor @ factor.T + 0.1 * torch.eye(6), torch.from_numpy(rng.normal(size=6))
    found = conjugate_gradients(lambda x: matrix @ x, vector, 6)
    torch.testing.assert_close(matrix @ found, vector, atol=1e-6, rtol=0)
    assert conjugate_gradients(lambda x: matrix @ x, torch.zeros(6).double(), 6).abs().max() == 0


def problem(rng, m):
    """Gradients (1 + m, P), H (P, P), and H^-1 times each gradient (1 + m, P)."""
    P = m + 3
    factor = rng.normal(size=(P, P))
    H = factor @ factor.T + 0.1 * np.eye(P)
    gradients = rng.normal(size=(1 + m, P))
    return gradients, H, np.linalg.solve(H, gradients.T).T


@pytest.mark.parametrize("m", [0, 1, 2, 4])
def test_steps_are_optimal(m):
    rng = np.random.default_rng(m)
    for _ in range(15):
        gradients, H, natural = problem(rng, m)
        slack, radius = rng.normal(size=m) * 0.3 + 0.1, 0.5
        step = trust_region_step(gradients @ natural.T, slack, radius)
        x = step.weights @ natural
        assert x @ H @ x <= radius**2 * (1 + 1e-9)
        if not step.feasible:
            continue
        assert (gradients[1:] @ x <= slack + 1e-9).all()
        ball = {"type": "ineq", "fun": lambda x, H=H: 0.25 - x @ H @ x, "jac": lambda x, H=H: -2 * H @ x}
        half = {
            "type": "ineq",
            "fun": lambda x, g=gradients, s=slack: s - g[1:] @ x,
            "jac": lambda x, g=gradients: -g[1:],
        }
        found = minimize(
            lambda x, g=gradients: -g[0] @ x, x, jac=lambda x, g=gradients: -g[0], constraints=[ball] + [half] * (m > 0)
        )
        assert gradients[0] @ x == pytest.approx(-found.fun, abs=1e-5)
        # Multipliers: g = lambda H x + sum multiplier_i b_i, not negative, 0 for constraints that do not bind.
        assert (step.multipliers >= -1e-7).all()
        assert (np.abs(step.multipliers * (gradients[1:] @ x - slack)) < 1e-6).all()
        rest = gradients[0] - step.multipliers @ gradients[1:]
        assert rest @ x == pytest.approx(
            np.linalg.norm(np.linalg.solve(np.linalg.cholesky(H), rest)) * radius, abs=1e-4
        )


def test_without_constraints_the_step_is_the_natural_gradient():
    gradients, _, natural = problem(np.random.default_rng(5), 0)
    step = trust_region_step(gradients @ natural.T, np.zeros(0), 0.3)
    expected = natural[0] * 0.3 / np.sqrt(gradients[0] @ natural[0])
    np.testing.assert_allclose(step.weights @ natural, expected, rtol=1e-6)


def test_a_recovery_goes_straight_to_what_is_violated():
    """One constraint beyond reach: equation 14, x = -sqrt(2 delta / b H^-1 b) H^-1 b."""
    gradients, _, natural = problem(np.random.default_rng(6), 1)
    size = np.sqrt(gradients[1] @ natural[1])
    step = trust_region_step(gradients @ natural.T, np.array([-10.0]), 0.1)
    assert not step.feasible
    np.testing.assert_allclose(step.weights @ natural, -0.1 / size * natural[1], rtol=1e-6)


def test_contradicting_constraints_and_missing_gradients():
    gradients = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    step = trust_region_step(gradients @ gradients.T, np.array([-1.0, -0.5]), 0.1)
    assert not step.feasible
    np.testing.assert_allclose(step.weights @ gradients, [0.0, -0.1], atol=1e-9)  # against the worse one
    still = trust_region_step(np.zeros((2, 2)), np.array([0.5]), 0.1)
    np.testing.assert_array_equal(still.weights, 0.0)
    unmoved = trust_region_step(np.diag([1.0, 0.0]), np.array([-0.5]), 0.1)  # no step changes the cost
    np.testing.assert_allclose(unmoved.weights, [0.1, 0.0], atol=1e-6)
