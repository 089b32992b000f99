"""Hyperparameters of agents with constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters, PolicySettings, require


@dataclass
class ConstrainedConfig(OnPolicyHyperparameters, PolicySettings):
    """What every agent of :class:`optgap.agents.constrained.agent.ConstrainedAgent` understands."""

    num_envs: int = 16
    gamma: float = 0.99
    normalize_reward: bool = True
    limits: list[float] | None = None
    """Limits of the mean costs of a step, one for each of the environment's ``cost_names``; null: its ``cost_limits``."""
    average_reward: bool = True
    """Whether the reward counts by its long-run mean per step (tasks that never end by themselves: its running mean is
    subtracted), as costs always do, or by its discounted sum."""
    cost_memory: float = 0.8
    """Weight in the estimated mean costs of a rollout, against that of the next one, in [0, 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expected = "null or finite numbers"
        require(self, "limits", self.limits is None or all(math.isfinite(limit) for limit in self.limits), expected)
        require(self, "cost_memory", 0 <= self.cost_memory < 1, "a number in [0, 1)")
