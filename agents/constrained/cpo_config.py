"""Hyperparameters of constrained policy optimization."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import require
from optgap.agents.constrained.config import ConstrainedConfig


@dataclass
class CPOConfig(ConstrainedConfig):
    """CPO of :mod:`optgap.agents.constrained.cpo`.

    ``learning_rate`` is that of the value functions; ``entropy_coefficient`` and ``value_coefficient`` are not read.
    """

    rollout_length: int = 256
    cost_memory: float = 0.0
    learning_rate: float = 1e-3
    max_divergence: float = 0.01
    """Delta: mean KL divergence of an update's policy from the one before, at most."""
    conjugate_iterations: int = 10
    """Of the conjugate gradients that invert the Fisher matrix."""
    damping: float = 0.01
    """What is added to the Fisher matrix's diagonal."""
    line_search_steps: int = 15
    """Steps tried in an update, each shorter than the one before by the factor ``line_search_factor``."""
    line_search_factor: float = 0.7
    """Above 0 and below 1."""
    value_epochs: int = 10
    """Passes over a rollout that fit the value functions."""
    minibatch_size: int = 256
    """At most so many transitions in a gradient step of the value functions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("conjugate_iterations", "line_search_steps", "value_epochs", "minibatch_size"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        require(self, "max_divergence", self.max_divergence > 0, "a number above 0")
        require(self, "damping", self.damping >= 0, "a number of at least 0")
        require(self, "line_search_factor", 0 < self.line_search_factor < 1, "a number above 0 and below 1")
