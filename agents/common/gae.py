"""Generalized advantage estimation (Schulman et al. 2016, arXiv 1506.02438)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def generalized_advantages(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    gamma: float,
    gae_lambda: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Advantages and value targets of a rollout of T steps in B environments.

    Equation 16, ``A_t = sum_l (gamma lambda)^l delta_(t+l)`` with ``delta_t = r_t + gamma V(s_(t+1)) - V(s_t)``
    (equation 11), as the backward recursion ``A_t = delta_t + gamma lambda A_(t+1)`` cut where an episode ends.

    Args:
        rewards: (T, B).
        values: (T + 1, B); row t + 1 is the value of the observation that step t returned. In autoreset mode NEXT_STEP
            that observation is the episode's own last one where step t ended it, so a truncation bootstraps from it.
        terminated: (T, B) bool; the value after a termination is 0.
        truncated: (T, B) bool; the recursion is cut but the value after it counts.
        valid: (T, B) bool, False on reset steps: they belong to no episode, and their advantage is 0.
        gamma: discount factor.
        gae_lambda: weight of longer returns, in [0, 1].

    Returns:
        advantages (T, B) and returns ``A_t + V(s_t)`` (T, B), of the dtype of ``rewards``.
    """
    advantages = np.zeros_like(rewards)
    following: NDArray[Any] = np.zeros_like(rewards[0])
    for t in range(len(rewards) - 1, -1, -1):
        delta = rewards[t] + gamma * np.where(terminated[t], 0.0, values[t + 1]) - values[t]
        running = np.where(terminated[t] | truncated[t], 0.0, following)
        following = np.where(valid[t], delta + gamma * gae_lambda * running, 0.0)
        advantages[t] = following
    return advantages, advantages + values[:-1]
