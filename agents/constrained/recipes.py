"""Hyperparameters of agents with constraints by environment: ours, found with seed 0 alone, and with CLARA on slicing."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

_SLICING: Recipe = {
    "policy": "optgap.agents.constrained.shares:SharesActorCritic",
    "normalize_observation": True,
    "num_envs": 16,
    # A rollout is a whole episode of all copies, because these move in step: parts of an episode cost more than others.
    "rollout_length": 100,
    "checkpoint_interval": 100,
    "minibatch_size": 200,
    "hidden_sizes": [128, 128],
    "gamma": 0.5,  # a share acts on what waits, which is gone a few decisions later
    "gae_lambda": 0.9,
}
PPO: dict[str, Recipe] = {
    "slicing": {
        **_SLICING,
        "learning_rate": 3e-3,
        "learning_rate_schedule": "linear",
        "epochs": 10,
        "target_kl": 0.05,
    },
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
LAGRANGIAN: dict[str, Recipe] = PPO | {
    "tiny-slicing": {  # more and smaller updates of the multipliers; the entropy dampens what goes to and fro
        **PPO["tiny-slicing"],
        "rollout_length": 32,
        "minibatch_size": 1024,
        "epochs": 4,
        "learning_rate": 5e-3,
        "entropy_coefficient": 0.03,
    },
}
CPO: dict[str, Recipe] = {"slicing": {**_SLICING, "max_divergence": 0.03}}
