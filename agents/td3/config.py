"""Hyperparameters of TD3."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.off_policy import OffPolicyConfig
from optgap.agents.sac.twins import TwinCriticSettings


@dataclass
class TD3Config(TwinCriticSettings, OffPolicyConfig):
    """TD3 of :mod:`optgap.agents.td3.agent`. Noise is that of actions in [-1, 1].

    Raises:
        InputError: a value is out of its range.
    """

    policy: str = "optgap.agents.td3.network:NetworkTwinDelayed"
    """Import string of a torch module that is an :class:`optgap.agents.td3.agent.TwinDelayed`."""
    exploration_noise: float = 0.1
    """Standard deviation of the normal noise on actions while training (sigma)."""
    target_noise: float = 0.2
    """Standard deviation of the normal noise on the target policy's actions (sigma~)."""
    target_noise_clip: float = 0.5
    """What that noise is cut to, in both directions (c)."""
    policy_delay: int = 2
    """Gradient steps of the critics to one of the policy and of all targets (d)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_twins()
        for name in ("exploration_noise", "target_noise", "target_noise_clip"):
            self._require(name, getattr(self, name) >= 0, "a number of at least 0")
        self._require("policy_delay", self.policy_delay >= 1, "an integer of at least 1")
