"""Hyperparameters of the soft actor-critic."""

from __future__ import annotations

from dataclasses import dataclass, field

from optgap.agents.common.off_policy import OffPolicyConfig


@dataclass
class SACConfig(OffPolicyConfig):
    """Soft actor-critic of :mod:`optgap.agents.sac.agent`.

    Raises:
        InputError: a value is out of its range.
    """

    policy: str = "optgap.agents.sac.network:NetworkActorCritic"
    """Import string of a torch module that is an :class:`optgap.agents.sac.agent.SoftActorCritic`."""
    batch_size: int = 8192
    minibatch_size: int = 128
    learning_rate: float = 1e-3
    """Step size of the critics."""
    policy_rate: float = 1e-3
    """Step size of the policy."""
    temperature: float = 1.0
    """Weight of the entropy before training (alpha)."""
    temperature_rate: float = 1e-3
    """Step size of its logarithm, by Adam; 0 keeps it as it is."""
    target_entropy: float | None = None
    """Entropy in nats, of actions in [-1, 1], that the temperature keeps the policy at; null: minus the number of
    action dimensions."""
    target_rate: float = 0.005
    """Share by which a network's target follows at each gradient step (tau)."""
    hidden_sizes: list[int] = field(default_factory=lambda: [128, 128])

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("policy_rate", "temperature"):
            self._require(name, getattr(self, name) > 0, "a number above 0")
        self._require("temperature_rate", self.temperature_rate >= 0, "a number of at least 0")
        self._require("target_rate", 0 < self.target_rate <= 1, "a number in (0, 1]")
