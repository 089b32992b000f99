"""Hyperparameters of deep Q-learning."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.off_policy import OffPolicyConfig


@dataclass
class DQNConfig(OffPolicyConfig):
    """Double deep Q-learning of :mod:`optgap.agents.dqn.agent`.

    Raises:
        InputError: a value is out of its range.
    """

    policy: str = "optgap.agents.dqn.network:QNetwork"
    """Import string of a torch module that is an :class:`optgap.agents.dqn.agent.ActionValues`."""
    rollout_length: int = 32
    batch_size: int = 8192
    minibatch_size: int = 64
    learning_rate: float = 2e-3
    max_grad_norm: float = 10.0
    """Gradients of a network are scaled down to this norm."""
    warmup_steps: int = 1_000
    target_interval: int = 1
    """Updates for which targets are computed with the same action values."""
    double: bool = True
    """The next action is the best by the present values, not by those that the targets are computed with."""
    epsilon: float = 1.0
    """Share of random actions after the warm-up."""
    final_epsilon: float = 0.04
    """Share of random actions after ``epsilon_steps``."""
    epsilon_steps: int = 10_000
    """Environment steps in which that share falls linearly."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("target_interval", "epsilon_steps"):
            self._require(name, getattr(self, name) >= 1, "an integer of at least 1")
        self._require("max_grad_norm", self.max_grad_norm > 0, "a number above 0")
        for name in ("epsilon", "final_epsilon"):
            self._require(name, 0 <= getattr(self, name) <= 1, "a number in [0, 1]")

    def epsilon_at(self, steps: int) -> float:
        """Share of random actions after ``steps`` environment steps."""
        done = min(1.0, steps / self.epsilon_steps)
        return self.epsilon + done * (self.final_epsilon - self.epsilon)
