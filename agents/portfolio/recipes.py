"""Hyperparameters on portfolios of stocks with costs: ours, found on days before 2012 with seeds not reported."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

# What is random in an action is traded, and so paid for, every day: less of it than where trades are free.
PPO: dict[str, Recipe] = {
    "portfolio": {
        "num_envs": 32,
        "rollout_length": 128,
        "gamma": 0.9,
        "learning_rate": 1e-3,
        "entropy_coefficient": 0.0,
        "log_std": -2.0,
    },
}

SB3_PPO: dict[str, Recipe] = {
    "portfolio": {"rollout_length": 256, "gamma": 0.9, "gae_lambda": 0.5, "learning_rate": 3e-4, "epochs": 4},
}

# An observation of 20 stocks has 8 KiB, so the replay is small; rewards are hundredths.
SB3_SAC: dict[str, Recipe] = {
    "portfolio": {
        "capacity": 20_000,
        "gamma": 0.9,
        "batch_size": 2048,
        "minibatch_size": 256,
        "learning_rate": 3e-4,
        "temperature": 0.001,
    },
}
