"""TD3 (Fujimoto, van Hoof & Meger 2018, arXiv 1802.09477): twin critics, a smoothed target policy, delayed policy updates."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.box_actions import BoxActions
from optgap.agents.common.off_policy import OffPolicyAgent
from optgap.agents.common.tensors import Tree
from optgap.agents.td3.config import TD3Config

F32 = NDArray[np.float32]


class TwinDelayed(Protocol):
    """A deterministic policy and twin critics; a torch module too. Actions (B, d) are within [-1, 1]."""

    optimizer: torch.optim.Optimizer  # of its torch parameters; its state is a part of a checkpoint

    def act(self, observations: Tree) -> F32:
        """The policy's actions (B, d)."""
        ...

    def smoothed(self, observations: Tree, rng: np.random.Generator) -> F32:
        """The target policy's actions (B, d) with clipped noise."""
        ...

    def worth(self, observations: Tree, actions: F32) -> F32:
        """The lesser of the two target critics (B,)."""
        ...

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        """Gradient steps of both critics towards the targets (B,), and delayed ones of the policy and of all targets.

        Returns:
            the critics' mean squared error before each step, on average.
        """
        ...


class TD3(OffPolicyAgent):
    """Twin delayed deep deterministic policy gradient on networks with Adam; bounded Box actions.

    See :class:`optgap.agents.common.off_policy.OffPolicyAgent`. ``predict`` adds the exploration noise unless
    ``deterministic``.
    """

    config_class = TD3Config
    policy: Any

    def _update(self, rng: np.random.Generator) -> dict[str, float]:
        """Algorithm 1, many transitions at a time."""
        batch = self.replay.sample(self.config.batch_size, rng)
        actions = self.policy.smoothed(batch.next_observations, rng)  # equation 14
        worth = self.policy.worth(batch.next_observations, actions)
        targets = (batch.rewards + batch.discounts * worth).astype(np.float32)  # equation 10
        error = self.policy.fit(batch.observations, batch.actions, targets, rng)
        return {
            "train/value_loss": error,
            "train/value": float(targets.mean()),
            "train/replay": float(len(self.replay)),
        }

    def _choose(
        self, observation: Tree, masks: NDArray[np.bool_] | None, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        actions: F32 = self.policy.act(observation)
        if rng is None:
            return actions
        noise = self.config.exploration_noise * rng.standard_normal(actions.shape)
        explored: F32 = np.clip(actions + noise, -1, 1).astype(np.float32)
        return explored

    def _random(self, masks: NDArray[np.bool_] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
        return self._box.random(count, rng)

    def _require_actions(self, space: gym.Space[Any]) -> NDArray[Any]:
        self._box = BoxActions(space)
        return self._box.example()

    def _to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return self._box.to_environment(actions)
