"""Hyperparameters of the soft actor-critic."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.off_policy import OffPolicyConfig
from optgap.agents.sac.twins import TwinCriticSettings


@dataclass
class SACConfig(TwinCriticSettings, OffPolicyConfig):
    """Soft actor-critic of :mod:`optgap.agents.sac.agent`.

    Raises:
        InputError: a value is out of its range.
    """

    policy: str = "optgap.agents.sac.network:NetworkActorCritic"
    """Import string of a torch module that is an :class:`optgap.agents.sac.agent.SoftActorCritic`."""
    temperature: float = 1.0
    """Weight of the entropy before training (alpha)."""
    temperature_rate: float = 1e-3
    """Step size of its logarithm, by Adam; 0 keeps it as it is."""
    target_entropy: float | None = None
    """Entropy in nats, of actions in [-1, 1], that the temperature keeps the policy at; null: minus the number of
    action dimensions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_twins()
        self._require("temperature", self.temperature > 0, "a number above 0")
        self._require("temperature_rate", self.temperature_rate >= 0, "a number of at least 0")
