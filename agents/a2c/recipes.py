"""Hyperparameters of A2C by environment."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

# As published with GBRL (arXiv 2407.08250), in its authors' training scripts; not measured here.
_PUBLISHED: Recipe = {"gae_lambda": 1.0, "min_leaf": 1, "checkpoint_interval": 1000}
_GRID: Recipe = _PUBLISHED | {
    "num_envs": 128,
    "rollout_length": 10,
    "gae_lambda": 0.95,
    "learning_rate": 0.349,
    "value_rate": 0.04,
}
_GRIDS = ("doorkey", "fetch", "fourrooms", "gotodoor", "keycorridor", "redbluedoors", "unlock")

TREES: dict[str, Recipe] = {
    "acrobot": {"learning_rate": 1.0},
    "mountaincar": _PUBLISHED | {"rollout_length": 8, "learning_rate": 0.64, "value_rate": 0.033},
    "lunarlander": _PUBLISHED
    | {
        "num_envs": 32,
        "rollout_length": 5,
        "gamma": 0.995,
        "learning_rate": 0.16,
        "value_rate": 0.042,
        "entropy_coefficient": 1e-5,
    },
    **{f"minigrid-{name}": _GRID for name in _GRIDS},
    "minigrid": _GRID,
}
