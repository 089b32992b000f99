"""Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905): twin critics, a squashed Gaussian, a learned temperature."""

from __future__ import annotations

import math
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from optgap.agents.common.box_actions import BoxActions
from optgap.agents.common.off_policy import OffPolicyAgent
from optgap.agents.common.tensors import Tree
from optgap.agents.sac.config import SACConfig

F32 = NDArray[np.float32]


class SoftActorCritic(Protocol):
    """Policy and twin critics, as networks or as trees; a torch module too. Actions (B, d) are within [-1, 1]."""

    optimizer: torch.optim.Optimizer  # of its torch parameters; its state is a part of a checkpoint
    log_temperature: nn.Parameter  # () log alpha

    def sample(self, observations: Tree, rng: np.random.Generator | None) -> tuple[F32, F32]:
        """Actions (B, d) and their log-densities (B,); without ``rng`` the middle of the distribution."""
        ...

    def worth(self, observations: Tree, actions: F32) -> F32:
        """The lesser of the two target critics (B,)."""
        ...

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        """Gradient steps that move both critics towards the targets (B,); the mean squared error before or meanwhile."""
        ...

    def improve(self, observations: Tree, temperature: float, rng: np.random.Generator) -> float:
        """Gradient steps of the policy up ``E[min_i Q_i - alpha log pi]``; the mean log-density of its actions."""
        ...

    def follow(self) -> None:
        """After an update: let the targets follow."""
        ...


class SAC(OffPolicyAgent):
    """Soft actor-critic on networks with Adam or on boosted trees; bounded Box actions.

    See :class:`optgap.agents.common.off_policy.OffPolicyAgent`.
    """

    config_class = SACConfig
    policy: Any

    def _update(self, rng: np.random.Generator) -> dict[str, float]:
        """Algorithm 1, many transitions at a time."""
        config, temperature = self.config, math.exp(self.policy.log_temperature.item())
        batch = self.replay.sample(config.batch_size, rng)
        actions, log_densities = self.policy.sample(batch.next_observations, rng)
        worth = self.policy.worth(batch.next_observations, actions)
        targets = soft_targets(batch.rewards, batch.discounts, worth, log_densities, temperature)  # equation 8
        error = self.policy.fit(batch.observations, batch.actions, targets, rng)  # equation 5
        log_density = self.policy.improve(batch.observations, temperature, rng)  # equation 7
        if config.temperature_rate > 0:
            self._adjust(log_density)  # equation 18
        self.policy.follow()
        figures = {"train/value_loss": error, "train/value": float(targets.mean()), "train/entropy": -log_density}
        return figures | {"train/temperature": temperature, "train/replay": float(len(self.replay))}

    def _adjust(self, log_density: float) -> None:
        """One step of the temperature: up where the entropy is below its target, down where it is above."""
        wanted = self.config.target_entropy
        missing = log_density + (-float(self._box.size) if wanted is None else wanted)
        self.policy.optimizer.zero_grad()
        (-self.policy.log_temperature * missing).backward()
        self.policy.optimizer.step()

    def _choose(
        self, observation: Tree, masks: NDArray[np.bool_] | None, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        actions: F32 = self.policy.sample(observation, rng)[0]
        return actions

    def _random(self, masks: NDArray[np.bool_] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
        return self._box.random(count, rng)

    def _require_actions(self, space: gym.Space[Any]) -> NDArray[Any]:
        self._box = BoxActions(space)
        return self._box.example()

    def _to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return self._box.to_environment(actions)


def soft_targets(rewards: F32, discounts: F32, worth: F32, log_densities: F32, temperature: float) -> F32:
    """What Q(s, a) should be: ``r + gamma (min_i Q'_i(s', a') - alpha log pi(a' | s'))``, (N,) each."""
    found: F32 = (rewards + discounts * (worth - temperature * log_densities)).astype(np.float32)
    return found
