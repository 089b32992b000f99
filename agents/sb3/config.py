"""Configuration of Stable-Baselines3's PPO."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters
from optgap.agents.ppo.config import ClippedSurrogate


@dataclass
class SB3PPOConfig(OnPolicyHyperparameters, ClippedSurrogate):
    """PPO of Stable-Baselines3, or MaskablePPO of sb3-contrib where the environment has ``action_masks``.

    ``num_envs`` copies of the single environment step one after the other in a ``DummyVecEnv``.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_surrogate()
