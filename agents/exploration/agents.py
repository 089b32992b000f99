"""Agents that explore by a bonus: PPO, A2C and deep Q-learning, with any bonus, with or without SOFE."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optgap.agents.a2c.agent import A2C
from optgap.agents.common.collector import Collector
from optgap.agents.common.gae import generalized_advantages
from optgap.agents.common.on_policy import OnPolicyAgent
from optgap.agents.common.rollout import Batch, RolloutBuffer
from optgap.agents.common.tensors import to_tensor
from optgap.agents.dqn.agent import DQN
from optgap.agents.exploration.config import ExploringA2CConfig, ExploringDQNConfig, ExploringPPOConfig
from optgap.agents.exploration.explorer import Explorer, explored, intrinsic_advantages
from optgap.agents.nn.distributions import action_interface
from optgap.agents.ppo.agent import PPO
from optgap.envs.registry import EnvironmentConfig


class ExploringActorCritic(OnPolicyAgent[Any]):
    """What an on-policy agent does with bonuses: they join the rewards, or have a value head and advantages of their own.

    Its ``env_config`` shows the bonus's statistic where ``config.sofe`` is set; returns are the environment's own.
    """

    intrinsic = True

    def __init__(self, env_config: EnvironmentConfig, config: Any = None, seed: int = 0, device: str = "cpu") -> None:
        config = config if config is not None else self.config_class()
        played, statistic = explored(env_config, config)
        super().__init__(played, config, seed, device)
        spaces = self.observation_space, self.action_space
        self.explorer = Explorer(*spaces, self.interface, config, statistic, seed)
        self.explorer.join(self.policy, self.optimizer, self.device)
        self._figures: dict[str, float] = {}

    def _stream_names(self) -> tuple[str, ...]:
        return ("bonus",) if self.config.two_headed else ()

    def _prepare(self, rollout: RolloutBuffer) -> None:
        bonus, self._figures = self.explorer.take(rollout, self._collector, self.updates)
        if self.config.two_headed:
            rollout.streams[..., 0] = bonus
        else:
            rollout.rewards[:] = self.explorer.mixed(rollout.rewards, bonus)
            rollout.streams = rollout.streams[..., :0]
        super()._prepare(rollout)

    def _batch(self, rollout: RolloutBuffer) -> Batch:
        """As of every on-policy agent; with two heads, advantages are the sum of both kinds by their coefficients."""
        config, batch = self.config, super()._batch(rollout)
        if not config.two_headed:
            return batch
        bonus, values = rollout.streams[..., 0], rollout.stream_values[..., 0]
        if config.intrinsic_episodic:
            ends = rollout.terminated, rollout.truncated, rollout.valid
            found = generalized_advantages(bonus, values, *ends, config.intrinsic_gamma, config.gae_lambda)
        else:
            found = intrinsic_advantages(rollout, bonus, values, config.intrinsic_gamma, config.gae_lambda)
        advantages = to_tensor(self.explorer.mixed(rollout.advantages, found[0])[rollout.valid], self.device)
        own = (to_tensor(array[rollout.valid], self.device).unsqueeze(1) for array in found)
        return batch._replace(
            advantages=advantages, **dict(zip(("stream_advantages", "stream_returns"), own, strict=True))
        )

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        return super()._update(rollout, learning_rate, rng) | self._figures

    def _restart(self) -> Collector:
        self.explorer.restart()
        return super()._restart()


class ExploringPPO(ExploringActorCritic, PPO):
    """PPO with bonuses: RND-PPO (arXiv 1810.12894) and SOFE-PPO (arXiv 2310.18144) by configuration."""

    config_class: type[ExploringPPOConfig] = ExploringPPOConfig


class ExploringA2C(ExploringActorCritic, A2C):
    """A2C with bonuses."""

    config_class: type[ExploringA2CConfig] = ExploringA2CConfig


class ExploringDQN(DQN):
    """Deep Q-learning with bonuses: what is remembered is the reward with the bonus of that time, by their coefficients."""

    config_class: ClassVar[type[ExploringDQNConfig]] = ExploringDQNConfig
    intrinsic = True

    def __init__(
        self,
        env_config: EnvironmentConfig,
        config: ExploringDQNConfig | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        config = config if config is not None else self.config_class()
        played, statistic = explored(env_config, config)
        super().__init__(played, config, seed, device)
        spaces = self.observation_space, self.action_space
        self.explorer = Explorer(*spaces, action_interface(self.action_space), config, statistic, seed)
        self.explorer.join(self.policy, self.policy.optimizer, self.device)
        self._figures: dict[str, float] = {}

    def _prepare(self, rollout: RolloutBuffer) -> None:
        super()._prepare(rollout)
        bonus, self._figures = self.explorer.take(rollout, self._collector, self.updates)
        rollout.rewards[:] = self.explorer.mixed(rollout.rewards, bonus)

    def _update(self, rng: np.random.Generator) -> dict[str, float]:
        return super()._update(rng) | self._figures

    def _restart(self) -> Collector:
        self.explorer.restart()
        return super()._restart()
