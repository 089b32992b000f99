"""Configuration of Stable-Baselines3's PPO."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.ppo.config import PPOHyperparameters


@dataclass
class SB3PPOConfig(PPOHyperparameters):
    """PPO of Stable-Baselines3, or MaskablePPO of sb3-contrib where the environment has ``action_masks``.

    ``num_envs`` copies of the single environment step one after the other in a ``DummyVecEnv``.
    """
