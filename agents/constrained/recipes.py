"""Hyperparameters of PPO under constraints by environment."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

PPO: dict[str, Recipe] = {
    "tiny-slicing": {  # queues forget within a few slots, so short horizons suffice and are far less noisy
        "num_envs": 128,
        "rollout_length": 64,
        "minibatch_size": 2048,
        "epochs": 6,
        "gamma": 0.95,
        "gae_lambda": 0.6,
        "learning_rate": 1e-2,
    },
}
