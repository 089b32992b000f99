"""Configuration of Stable-Baselines3's SAC."""

from __future__ import annotations

from dataclasses import dataclass, field

from optgap.agents.common.off_policy import OffPolicyConfig


@dataclass
class SB3SACConfig(OffPolicyConfig):
    """SAC of Stable-Baselines3, with the names of :class:`optgap.agents.sac.config.SACConfig`.

    It has one step size, knows no ``warmup_hold``, and draws a new minibatch for each of the
    ``batch_size / minibatch_size * epochs`` gradient steps of an update.

    Raises:
        InputError: a value is out of its range, or one that Stable-Baselines3 does not know.
    """

    policy: str = "MlpPolicy"
    num_envs: int = 8
    batch_size: int = 8192
    minibatch_size: int = 128
    learning_rate: float = 1e-3
    temperature: float = 1.0
    """Weight of the entropy before training (alpha)."""
    learn_temperature: bool = True
    """Whether it follows the entropy, towards minus the number of action dimensions."""
    target_rate: float = 0.005
    """Share by which the critics' targets follow at each gradient step (tau)."""
    hidden_sizes: list[int] = field(default_factory=lambda: [128, 128])

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("temperature", self.temperature > 0, "a number above 0")
        self._require("target_rate", 0 < self.target_rate <= 1, "a number in (0, 1]")
        for name in ("n_steps", "warmup_hold"):
            self._require(name, getattr(self, name) == 1, "1, Stable-Baselines3's")
