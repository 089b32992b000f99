"""Hyperparameters of PPO with a perceptron by environment.

Those of RL Baselines3 Zoo (Raffin 2020, ``hyperparams/ppo.yml``), except that the clip range stays constant.
"""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

_GRID: Recipe = {
    "num_envs": 8,
    "rollout_length": 128,
    "minibatch_size": 64,
    "epochs": 10,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "learning_rate": 2.5e-4,
    "normalize_reward": True,
}
_GRIDS = ("doorkey", "fetch", "fourrooms", "gotodoor", "keycorridor", "redbluedoors", "unlock")

MLP: dict[str, Recipe] = {
    "cartpole": {
        "num_envs": 8,
        "rollout_length": 32,
        "minibatch_size": 256,
        "epochs": 20,
        "gamma": 0.98,
        "gae_lambda": 0.8,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "linear",
        "checkpoint_interval": 500,
    },
    "acrobot": {
        "num_envs": 16,
        "rollout_length": 256,
        "minibatch_size": 64,
        "epochs": 4,
        "gamma": 0.99,
        "gae_lambda": 0.94,
        "normalize_observation": True,
        "normalize_reward": True,
    },
    "mountaincar": {
        "num_envs": 16,
        "rollout_length": 16,
        "minibatch_size": 64,
        "epochs": 4,
        "gamma": 0.99,
        "gae_lambda": 0.98,
        "normalize_observation": True,
        "normalize_reward": True,
        "checkpoint_interval": 500,
    },
    "lunarlander": {
        "num_envs": 16,
        "rollout_length": 1024,
        "minibatch_size": 64,
        "epochs": 4,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "entropy_coefficient": 0.01,
    },
    # An episode has thousands of steps: rollouts are short beside it, and checkpoints, which begin new ones, are rare.
    # Rewards are left as they are: by the deviation of returns, the first ones would be hundreds, and their error in the
    # value function all that the clipped gradient has room for, so that the policy forgets the way to them.
    "agv": {
        "num_envs": 64,
        "rollout_length": 128,
        "epochs": 4,
        "minibatch_size": 1024,
        "learning_rate": 5e-4,
        # What a detour costs is what the discount makes of it: with 0.995 and a step size that decays, paths stay twice
        # as much too long.
        "gamma": 0.98,
        "gae_lambda": 0.98,
        "entropy_coefficient": 1e-3,
        "hidden_sizes": [128, 128],
        "normalize_observation": True,
        "checkpoint_interval": 100,
    },
    # A trade bears on the next day, and on what the next ones cost.
    "portfolio": {
        "num_envs": 32,
        "rollout_length": 128,
        "epochs": 4,
        "minibatch_size": 512,
        "learning_rate": 3e-4,
        "learning_rate_schedule": "linear",
        "gamma": 0.9,
        "gae_lambda": 0.5,
        "normalize_observation": True,
        "normalize_reward": True,
    },
    **{f"minigrid-{name}": _GRID for name in _GRIDS},
    "minigrid": _GRID,
}
