"""Hyperparameters that all on-policy agents share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from optgap.agents.common.field_types import require_types
from optgap.co.core import InputError

WIDEST = 16_384  # units of a hidden layer: two such layers have a gibibyte of weights between them


def require(config: object, name: str, holds: bool, expected: str) -> None:
    """Raise an :class:`InputError` that names the field and its value unless the condition ``holds``."""
    if not holds:
        raise InputError(f"{type(config).__name__}: {name} is {getattr(config, name)!r}; expected {expected}")


def require_widths(config: object, sizes: list[int]) -> None:
    """Raise an :class:`InputError` where a layer of ``hidden_sizes`` has no units, or more than :data:`WIDEST`."""
    require(
        config, "hidden_sizes", all(1 <= size <= WIDEST for size in sizes), f"integers of at least 1, up to {WIDEST}"
    )


@dataclass
class OnPolicyHyperparameters:
    """What every implementation of an on-policy actor-critic understands.

    At every ``checkpoint_interval``-th update all environments are reset (which makes a resumed run equal to an
    uninterrupted one), so ``checkpoint_interval * rollout_length`` should be many times an episode's length.

    Raises:
        InputError: a value is out of its range.
    """

    num_envs: int = 8
    """Copies of the environment that play in parallel (N)."""
    rollout_length: int = 128
    """Steps of each environment between two updates (T)."""
    gamma: float = 0.99
    """Discount factor, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalized advantage estimation, in [0, 1]."""
    learning_rate: float = 3e-4
    """Step size of Adam."""
    learning_rate_schedule: str = "constant"
    """"constant", or "linear": to 0 at the last step that ``learn`` was asked for."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's entropy in the loss."""
    value_coefficient: float = 0.5
    """Weight of the value function's squared error in the loss."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalize_advantage: bool = True
    """Standardize the advantages of each gradient step's transitions."""
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers."""
    checkpoint_interval: int = 20
    """Updates from one checkpoint to the next."""

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("num_envs", "rollout_length", "checkpoint_interval"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("learning_rate", "max_grad_norm"):
            require(self, name, getattr(self, name) > 0, "a number above 0")
        for name in ("gamma", "gae_lambda"):
            require(self, name, 0 <= getattr(self, name) <= 1, "a number in [0, 1]")
        for name in ("entropy_coefficient", "value_coefficient"):
            require(self, name, getattr(self, name) >= 0, "a number of at least 0")
        require_widths(self, self.hidden_sizes)
        schedules = ("constant", "linear")
        require(self, "learning_rate_schedule", self.learning_rate_schedule in schedules, "constant or linear")

    def learning_rate_at(self, steps: int, total_steps: int) -> float:
        """Step size after ``steps`` of ``total_steps`` environment steps."""
        if self.learning_rate_schedule == "constant":
            return self.learning_rate
        return self.learning_rate * max(0.0, 1.0 - steps / total_steps)


@dataclass
class PolicySettings:
    """What the agents on :class:`optgap.agents.common.on_policy.OnPolicyAgent` understand besides."""

    policy: str = "optgap.agents.nn.mlp:MLPActorCritic"
    """Import string of a torch module: ``policy(observation_space, action_space, config)``, whose ``forward`` takes an
    observation (a tensor (B, ...) or a dict of them) and returns the parameters of the action distribution (B, P) (see
    :func:`optgap.agents.nn.distributions.action_interface`; a module with an attribute ``interface`` brings its own) and
    the values (B,). Adam moves it, unless it is an :class:`optgap.agents.common.approximator.Approximator` itself."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""
    normalize_observation: bool = False
    """Perceptrons see observations less their running mean, over their running standard deviation, in [-10, 10]."""


class OnPolicyConfig(Protocol):
    """A configuration that is both, as far as the agents' common part reads it."""

    num_envs: int
    rollout_length: int
    gamma: float
    gae_lambda: float
    learning_rate: float
    max_grad_norm: float
    checkpoint_interval: int
    policy: str
    normalize_reward: bool

    def learning_rate_at(self, steps: int, total_steps: int) -> float:
        """Step size after ``steps`` of ``total_steps`` environment steps."""
        ...
