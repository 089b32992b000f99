"""Hyperparameters of agents with constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters, PolicySettings, require
from optgap.agents.constrained.penalties import AdaptiveBarrier, Barrier, Multipliers, Penalty
from optgap.agents.ppo.config import ClippedSurrogate


@dataclass
class ConstrainedConfig(OnPolicyHyperparameters, PolicySettings):
    """What every agent of :class:`optgap.agents.constrained.agent.ConstrainedAgent` understands."""

    num_envs: int = 16
    gamma: float = 0.99
    normalize_reward: bool = True
    limits: list[float] | None = None
    """Limits of the mean costs of a step, one for each of the environment's ``cost_names``; null: its ``cost_limits``.
    """
    average_reward: bool = True
    """Whether the reward counts by its long-run mean per step (tasks that never end by themselves: its running mean is
    subtracted), as costs always do, or by its discounted sum."""
    cost_memory: float = 0.95
    """Share of the estimated mean costs that outlasts a rollout, at most, in [0, 1); 0: costs of the newest rollout."""

    def __post_init__(self) -> None:
        super().__post_init__()
        expected = "null or finite numbers"
        require(self, "limits", self.limits is None or all(math.isfinite(limit) for limit in self.limits), expected)
        require(self, "cost_memory", 0 <= self.cost_memory < 1, "a number in [0, 1)")


@dataclass
class ConstrainedPPOConfig(ConstrainedConfig, ClippedSurrogate):
    """PPO on which a penalty of the constraints is put."""

    epochs: int = 6
    learning_rate_schedule: str = "linear"  # the policy comes to rest, and so its costs are known ever better
    normalize_observation: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_surrogate()

    def penalty(self, count: int) -> Penalty:
        """The penalty of ``count`` constraints, as it is before the first update."""
        raise NotImplementedError


@dataclass
class IPOConfig(ConstrainedPPOConfig):
    """Interior-point policy optimization as published: t stays, and costs are those of the newest rollout."""

    cost_memory: float = 0.0
    t: float = 20.0
    """Barrier parameter: log(slack) / t joins PPO's objective, slacks being in units of the limits."""
    epsilon: float = 0.01
    """Slack, in units of the limits, below which the barrier goes on as a straight line."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("t", "epsilon"):
            require(self, name, 0 < getattr(self, name) < math.inf, "a number above 0")

    def penalty(self, count: int) -> Penalty:
        return Barrier(count, self.t, self.epsilon)


@dataclass
class CLARAConfig(IPOConfig):
    """Interior-point policy optimization whose barriers adapt (:class:`AdaptiveBarrier`)."""

    cost_memory: float = 0.95
    t: float = 10.0
    """Barrier parameter of every constraint before the first update, and at least."""
    epsilon: float = 0.005
    confidence: float = 1.0
    """Epsilon is at least so many standard errors of the estimated cost."""
    growth: float = 1.1
    """Factor of t from one update to the next where a constraint holds with margin, above 1."""
    t_max: float = 1e4
    """Largest t."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "confidence", self.confidence >= 0, "a number of at least 0")
        require(self, "growth", 1 < self.growth < math.inf, "a number above 1")
        require(self, "t_max", self.t <= self.t_max < math.inf, f"a finite number of at least t = {self.t}")

    def penalty(self, count: int) -> Penalty:
        return AdaptiveBarrier(count, self.t, self.epsilon, self.confidence, self.growth, self.t_max)


@dataclass
class PPOLagrangianConfig(ConstrainedPPOConfig):
    """PPO with dual ascent on multipliers."""

    cost_memory: float = 0.0
    initial_multiplier: float = 0.1
    """Of every constraint, per unit of its limit and standard deviation of the reward's advantage."""
    multiplier_rate: float = 0.1
    """Step size of the dual ascent: what a violation by the whole limit adds to a multiplier in an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "initial_multiplier", self.initial_multiplier >= 0, "a number of at least 0")
        require(self, "multiplier_rate", self.multiplier_rate > 0, "a number above 0")

    def penalty(self, count: int) -> Penalty:
        return Multipliers(count, self.initial_multiplier, self.multiplier_rate)
