"""Hyperparameters of the advantage actor-critic."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters, PolicySettings


@dataclass
class A2CConfig(OnPolicyHyperparameters, PolicySettings):
    """A2C of :mod:`optgap.agents.a2c.agent`: many short rollouts, one gradient step on each.

    With ``gae_lambda`` 1 the returns are those of n steps, as in the paper; below 1 they are weighted averages over n.
    """

    num_envs: int = 16
    rollout_length: int = 8
    gae_lambda: float = 1.0
    learning_rate: float = 3e-3
    normalize_advantage: bool = False
    checkpoint_interval: int = 500
