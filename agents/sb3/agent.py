"""Stable-Baselines3's PPO and sb3-contrib's MaskablePPO behind the contract of an agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import torch

from optgap.agents.common.checkpoint import STATE, read_checkpoint, write_checkpoint
from optgap.agents.common.seeding import Stream, derived_seed, separate_generators
from optgap.agents.common.tensors import resolve_device
from optgap.agents.sb3.config import SB3PPOConfig
from optgap.agents.sb3.loop import SB3Agent
from optgap.co.core import InputError, MissingExtraError
from optgap.envs.registry import EnvironmentConfig


class SB3PPO(SB3Agent):
    """MaskablePPO where ``env_config.make()`` has ``action_masks()``, PPO otherwise; ``self.model`` is theirs.

    Raises:
        InputError: the device or a space cannot be used.
        MissingExtraError: stable-baselines3 or sb3-contrib is not installed.
    """

    names: ClassVar[dict[str, str]] = {
        "train/policy_gradient_loss": "train/policy_loss",
        "train/value_loss": "train/value_loss",
        "train/approx_kl": "train/approximate_kl",
        "train/clip_fraction": "train/clip_fraction",
        "train/explained_variance": "train/explained_variance",
        "train/learning_rate": "train/learning_rate",
    }

    def __init__(
        self, env_config: EnvironmentConfig, config: SB3PPOConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        try:
            from sb3_contrib import MaskablePPO
            from stable_baselines3 import PPO
            from stable_baselines3.common.monitor import Monitor
            from stable_baselines3.common.vec_env import DummyVecEnv
        except ImportError as error:
            raise MissingExtraError("sb3-contrib", "dev") from error
        super().__init__(env_config, config if config is not None else SB3PPOConfig(), seed)
        self.device = resolve_device(device)
        env = DummyVecEnv([lambda: Monitor(env_config.make())] * self.config.num_envs)
        self.masked = env.envs[0].has_wrapper_attr("action_masks")
        is_dict = isinstance(env.observation_space, gym.spaces.Dict)
        with separate_generators(self.device):
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            try:
                self.model: Any = (MaskablePPO if self.masked else PPO)(
                    "MultiInputPolicy" if is_dict else "MlpPolicy",
                    env,
                    n_steps=self.config.rollout_length,
                    batch_size=self.config.minibatch_size,
                    n_epochs=self.config.epochs,
                    gamma=self.config.gamma,
                    gae_lambda=self.config.gae_lambda,
                    clip_range=self.config.clip_range,
                    normalize_advantage=self.config.normalize_advantage,
                    ent_coef=self.config.entropy_coefficient,
                    vf_coef=self.config.value_coefficient,
                    max_grad_norm=self.config.max_grad_norm,
                    target_kl=self.config.target_kl,
                    learning_rate=lambda _: self.config.learning_rate_at(self.steps, self._total_steps),
                    policy_kwargs={"net_arch": list(self.config.hidden_sizes)},
                    device=self.device,
                )
            except (AssertionError, NotImplementedError) as error:
                raise InputError(f"{env_config} does not suit Stable-Baselines3: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        write_checkpoint(path, self, self.seed, self.model.policy, self.model.policy.optimizer)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Rebuild the model and read what :meth:`save` wrote (see :meth:`optgap.agents.ppo.agent.PPO.load`)."""
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, SB3PPOConfig):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not an SB3PPOConfig")
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        checkpoint.restore(agent, agent.model.policy, agent.model.policy.optimizer)
        agent.model.num_timesteps = agent.steps
        return agent

    def _metrics(self) -> dict[str, float]:
        metrics, logged = super()._metrics(), self.model.logger.name_to_value
        if "train/entropy_loss" in logged:
            metrics["train/entropy"] = -float(logged["train/entropy_loss"])
        return metrics
