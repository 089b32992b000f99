"""Hyperparameters of asynchronous SAC and TD3 by environment; provisional."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

_LARGE: Recipe = {"hidden_sizes": [256, 256], "capacity": 1_000_000}
# The public demonstration of the scheme (arXiv 2401.11349) has a fixed temperature of 0.2, and bursts of 50 updates.
_DEMONSTRATION: Recipe = {**_LARGE, "gamma": 0.977, "batch_size": 6400, "learning_rate": 1e-3, "policy_rate": 1e-3}

SAC: dict[str, Recipe] = {
    "pendulum": {"hidden_sizes": [128, 128], "learning_rate": 1e-3, "warmup_steps": 1000},
    "finray": {**_LARGE, "learning_rate": 5e-4, "policy_rate": 5e-4, "temperature": 0.2, "warmup_steps": 5000},
    "kuramoto-sivashinsky": {**_DEMONSTRATION, "temperature": 0.2, "temperature_rate": 0.0},
    "burgers": {**_DEMONSTRATION, "temperature": 0.2, "temperature_rate": 0.0},
}
TD3: dict[str, Recipe] = {
    "pendulum": {"hidden_sizes": [128, 128], "learning_rate": 1e-3, "warmup_steps": 1000, "warmup_hold": 4},
    "finray": {**_LARGE, "learning_rate": 5e-4, "policy_rate": 5e-4, "warmup_steps": 5000, "warmup_hold": 5},
    "kuramoto-sivashinsky": {**_DEMONSTRATION, "warmup_hold": 2},
    "burgers": {**_DEMONSTRATION, "warmup_hold": 2},
}
