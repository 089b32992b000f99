"""Hyperparameters of the policy gradient with a shared baseline."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.slim.config import SLIMConfig


@dataclass
class POMOConfig(SLIMConfig):
    """As :class:`SLIMConfig`; ``samples`` is the number of schedules whose mean is the baseline."""

    samples: int = 32
    entropy_coefficient: float = 0.01
    """Weight of the policy's entropy, estimated from the decisions taken."""
