"""Advantages against numbers worked out by hand, and against the definition summed term by term."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optgap.agents.common.gae import generalized_advantages


def column(*numbers, dtype=np.float64):
    return np.array(numbers, dtype=dtype).reshape(-1, 1)


def test_three_steps_by_hand():
    # delta = 1 + .5*2 - 1, 2 + .5*3 - 2, 3 + .5*4 - 3 = 1, 1.5, 2; gamma lambda = .25
    no, valid = column(0, 0, 0, dtype=bool), column(1, 1, 1, dtype=bool)
    advantages, returns = generalized_advantages(column(1, 2, 3), column(1, 2, 3, 4), no, no, valid, 0.5, 0.5)
    np.testing.assert_allclose(advantages.ravel(), [1 + 0.25 * (1.5 + 0.25 * 2), 1.5 + 0.25 * 2, 2])
    np.testing.assert_allclose(returns.ravel(), [1 + 1.5, 2 + 2, 3 + 2])


def test_termination_counts_no_value_and_truncation_does():
    rewards, values = column(1, 1), column(5, 7, 11)
    no, yes = column(0, 0, dtype=bool), column(0, 1, dtype=bool)
    valid = column(1, 1, dtype=bool)
    terminated, _ = generalized_advantages(rewards, values, yes, no, valid, 0.9, 0.5)
    truncated, _ = generalized_advantages(rewards, values, no, yes, valid, 0.9, 0.5)
    np.testing.assert_allclose(terminated[1], 1 - 7)
    early, _ = generalized_advantages(rewards, values, yes[::-1], no, valid, 0.9, 0.5)
    np.testing.assert_allclose(early.ravel(), [1 - 5, 1 + 0.9 * 11 - 7])  # with no reset step between, too
    np.testing.assert_allclose(truncated[1], 1 + 0.9 * 11 - 7)
    np.testing.assert_allclose(terminated[0], 1 + 0.9 * 7 - 5 + 0.45 * (1 - 7))


def test_nothing_crosses_a_reset_step():
    # Step 1 ends an episode with the observation worth 7; step 2 only resets; step 3 belongs to the next episode.
    rewards, values = column(0, 1, 0, 10), column(0, 0, 7, 3, 4)
    truncated, none = column(0, 1, 0, 0, dtype=bool), column(0, 0, 0, 0, dtype=bool)
    advantages, _ = generalized_advantages(rewards, values, none, truncated, column(1, 1, 0, 1, dtype=bool), 0.5, 1.0)
    np.testing.assert_allclose(advantages.ravel(), [0.5 * (1 + 0.5 * 7), 1 + 0.5 * 7, 0, 10 + 0.5 * 4 - 3])


def by_definition(rewards, values, terminated, truncated, valid, gamma, lam):
    """Equation 16 as it is written: for each step, the sum of the discounted residuals to its episode's end."""
    steps, copies = rewards.shape
    advantages = np.zeros((steps, copies))
    for b in range(copies):
        for t in range(steps):
            if not valid[t, b]:
                continue
            weight = 1.0
            for k in range(t, steps):
                following = 0.0 if terminated[k, b] else values[k + 1, b]
                advantages[t, b] += weight * (rewards[k, b] + gamma * following - values[k, b])
                weight *= gamma * lam
                if terminated[k, b] or truncated[k, b]:
                    break
    return advantages


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1))
def test_agrees_with_the_definition(seed, steps, copies, gamma, lam):
    rng = np.random.default_rng(seed)
    terminated, truncated = np.zeros((2, steps, copies), bool)
    valid = np.ones((steps, copies), bool)
    for t in range(steps):
        if t:
            valid[t] = ~(terminated[t - 1] | truncated[t - 1])
        terminated[t] = valid[t] & (rng.random(copies) < 0.2)
        truncated[t] = valid[t] & (rng.random(copies) < 0.2)  # both at once: the termination wins
    rewards = np.where(valid, rng.normal(size=(steps, copies)), 0.0)
    values = rng.normal(size=(steps + 1, copies))
    arguments = rewards, values, terminated, truncated, valid, gamma, lam
    advantages, returns = generalized_advantages(*arguments)
    np.testing.assert_allclose(advantages, by_definition(*arguments), atol=1e-10)
    np.testing.assert_allclose(returns, advantages + values[:-1])
