"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347), with invalid actions masked out."""

from __future__ import annotations

import numpy as np

from optgap.agents.common.on_policy import OnPolicyAgent, explained_variance
from optgap.agents.common.rollout import Batch, RolloutBuffer
from optgap.agents.ppo.config import PPOConfig
from optgap.agents.ppo.surrogate import clipped_surrogate, optimize


class PPO(OnPolicyAgent[PPOConfig]):
    """PPO with the clipped surrogate objective and GAE; arguments are those of :class:`OnPolicyAgent`."""

    config_class = PPOConfig

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        # Algorithm 1: after N environments ran for T steps, compute advantage estimates, and optimize the surrogate L
        # with K epochs and minibatch size M <= NT.
        batch = self._batch(rollout)
        return self._optimize(batch, learning_rate, rng) | {"train/explained_variance": explained_variance(batch)}

    def _optimize(self, batch: Batch, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        """Maximize equation 9 over one rollout; the mean of each figure over the gradient steps."""
        policy_loss = clipped_surrogate(self.config.normalize_advantage)
        return optimize(self.approximator, self.interface, self.config, batch, learning_rate, rng, policy_loss)
