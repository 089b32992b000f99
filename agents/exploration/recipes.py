"""Hyperparameters of agents that explore, by environment. Ours, found with seeds other than those of the reported figures."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe
from optgap.agents.ppo.recipes import MLP

# Deep Sea as in DeRL (Schaefer et al. 2022, arXiv 2107.08966): A2C, 5 steps, entropy 1e-4, gamma 0.99; 16 copies for its 4.
_DEEP_SEA_A2C: Recipe = {
    "num_envs": 16,
    "rollout_length": 5,
    "learning_rate": 1e-3,
    "entropy_coefficient": 1e-4,
    "gamma": 0.99,
    "checkpoint_interval": 1000,
    "episodic": False,
    "centred": False,
}
_DEEP_SEA: Recipe = {
    "num_envs": 16,
    "rollout_length": 128,
    "epochs": 4,
    "minibatch_size": 256,
    "learning_rate": 1e-3,
    "learning_rate_schedule": "linear",  # the way that was found is lost again under a constant one
    "entropy_coefficient": 0.01,
    "gamma": 0.99,
    "checkpoint_interval": 100,
    "episodic": False,
    "normalize_observation": True,
    "centred": False,  # each cell has its own mapping of the actions: nothing is alike from place to place
}
_MAZE: Recipe = {
    "num_envs": 32,
    "rollout_length": 128,
    "epochs": 4,
    "minibatch_size": 512,
    "learning_rate": 5e-4,
    "entropy_coefficient": 0.01,
    "normalize_observation": True,
    "normalize_bonus": True,
    "checkpoint_interval": 50,
}
_MINIGRID: Recipe = {
    "num_envs": 32,
    "rollout_length": 128,
    "epochs": 4,
    "minibatch_size": 512,
    "learning_rate": 3e-4,
    "entropy_coefficient": 5e-3,
    "gamma": 0.99,
    "bonus_coefficient": 0.005,  # with ten times as much the policy is paid for never ending the episode
    "normalize_observation": True,
    "checkpoint_interval": 100,
}
_ROOMS = (
    "doorkey",
    "doorkey-8x8",
    "fetch",
    "fourrooms",
    "gotodoor",
    "keycorridor",
    "keycorridor-s3r3",
    "multiroom-n6",
    "redbluedoors",
    "unlock",
)
_AGV: Recipe = MLP["agv"] | {"clip_range": 0.2}
_AGV_RND: Recipe = {
    "extrinsic_coefficient": 5.0,
    "bonus_columns": [-6, -5],  # x and y: a lidar's novelty never ends
    "bonus_length": 0.25,
    "bonus_learning_rate": 5e-4,
    "bonus_share": 0.25,
}
_MINIGRIDS = ("minigrid", *(f"minigrid-{room}" for room in _ROOMS))

SOFE_PPO: dict[str, Recipe] = {
    "deepsea": _DEEP_SEA,
    "gridmaze": _MAZE,
    "pointmaze": _MAZE,
    "agv": _AGV,
    **dict.fromkeys(_MINIGRIDS, _MINIGRID),
    # A success in 120 steps is worth a few tenths, what ends with it must be worth less.
    "minigrid-multiroom-n6": _MINIGRID | {"bonus_coefficient": 0.001},
}
RND_PPO: dict[str, Recipe] = {
    "deepsea": {key: value for key, value in _DEEP_SEA.items() if key != "episodic"},
    "gridmaze": _MAZE,
    "pointmaze": _MAZE,
    "agv": _AGV | _AGV_RND,
    **{name: {key: value for key, value in _MINIGRID.items() if key != "bonus_coefficient"} for name in _MINIGRIDS},
}
A2C: dict[str, Recipe] = {
    "deepsea": _DEEP_SEA_A2C,
    "gridmaze": {"num_envs": 32, "rollout_length": 16, "learning_rate": 1e-3, "entropy_coefficient": 0.01},
    "pointmaze": {"num_envs": 32, "rollout_length": 16, "learning_rate": 1e-3, "entropy_coefficient": 0.01},
}
DQN: dict[str, Recipe] = {
    "deepsea": {
        "hidden_sizes": [128, 128],
        "learning_rate": 5e-4,
        "final_epsilon": 0.02,
        "episodic": False,
        "centred": False,
    },
}
