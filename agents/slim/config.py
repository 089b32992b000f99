"""Hyperparameters of self-labelling imitation."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.co.core import InputError


@dataclass
class SLIMConfig:
    """Self-labelling improvement method (Corsini et al. 2024, arXiv 2401.11849), on the network of ``gnn-ppo``.

    Raises:
        InputError: a value is out of its range.
    """

    instances: int = 8
    """Instances an update."""
    samples: int = 64
    """Schedules sampled an instance, of which the best is imitated (beta in the paper)."""
    learning_rate: float = 1e-3
    """Step size of Adam at its peak."""
    final_learning_rate: float = 2e-5
    """Step size at the last step that ``learn`` was asked for; the descent follows a cosine."""
    warmup_updates: int = 50
    """Updates over which the step size rises from 0."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    width: int = 64
    """Of an operation's encoding."""
    layers: int = 3
    """Rounds of message passing."""
    hidden: int = 128
    """Width of the scoring and value networks."""
    checkpoint_interval: int = 50
    """Updates from one checkpoint to the next."""

    def __post_init__(self) -> None:
        for name in ("instances", "samples", "width", "layers", "hidden", "checkpoint_interval"):
            if getattr(self, name) < 1:
                raise InputError(f"{type(self).__name__}: {name} is {getattr(self, name)}; expected at least 1")
        if (
            not 0 < self.final_learning_rate <= self.learning_rate
            or not self.max_grad_norm > 0
            or self.warmup_updates < 0
        ):
            raise InputError(
                f"{type(self).__name__}: expected 0 < final_learning_rate <= learning_rate, max_grad_norm > 0, "
                "warmup_updates >= 0"
            )
