"""Hyperparameters of TD3 by environment; provisional."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

# The policy acts for its own sake, so its noise has to explore: held for some steps in the warm-up.
BY_ENVIRONMENT: dict[str, Recipe] = {
    "pendulum": {"rollout_length": 8, "batch_size": 4096, "hidden_sizes": [256, 256], "warmup_hold": 4},
    "finray": {"gamma": 0.99, "hidden_sizes": [256, 256], "warmup_steps": 5000, "warmup_hold": 5},
    "kuramoto-sivashinsky": {"gamma": 0.977, "hidden_sizes": [256, 256], "warmup_steps": 2000, "warmup_hold": 2},
    "burgers": {"gamma": 0.977, "hidden_sizes": [256, 256], "warmup_steps": 1000, "warmup_hold": 2},
}
