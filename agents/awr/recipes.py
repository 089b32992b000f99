"""Hyperparameters of AWR by environment."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

TREES: dict[str, Recipe] = {
    "acrobot": {"beta": 0.1},
    "pendulum": {"gamma": 0.9, "gae_lambda": 0.9, "learning_rate": 0.005, "log_std_rate": 0.002},
}
