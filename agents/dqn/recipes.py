"""Hyperparameters of deep Q-learning with a perceptron by environment.

Ours, found with seeds other than those of the reported figures: a replay of recent transitions, so that several steps of
one are nearly those that the present policy would take.
"""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

_STEADY: Recipe = {
    "rollout_length": 8,
    "batch_size": 2048,
    "minibatch_size": 128,
    "target_interval": 2,
    "learning_rate": 5e-4,
    "hidden_sizes": [128, 128],
    "n_steps": 3,
    "capacity": 20_000,
    "final_epsilon": 0.02,
    "checkpoint_interval": 500,
}
MLP: dict[str, Recipe] = {
    # RL Baselines3 Zoo's (Raffin 2020, hyperparams/dqn.yml): 128 gradient steps after 256 environment steps
    "cartpole": {"learning_rate": 2.3e-3, "hidden_sizes": [256, 256]},
    "acrobot": {**_STEADY, "warmup_hold": 5, "warmup_steps": 4000, "epsilon": 0.3},
}
