"""Advantage actor-critic: the synchronous form of A3C (Mnih et al. 2016, arXiv 1602.01783)."""

from __future__ import annotations

import numpy as np
from torch import nn

from optgap.agents.a2c.config import A2CConfig
from optgap.agents.common.on_policy import OnPolicyAgent, explained_variance, standardized
from optgap.agents.common.rollout import RolloutBuffer


class A2C(OnPolicyAgent[A2CConfig]):
    """A2C; arguments are those of :class:`OnPolicyAgent`.

    Where the paper's workers send their gradients at different times, its N environments play in step and their
    gradients are averaged; Adam takes the place of RMSProp.
    """

    config_class = A2CConfig

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        """One step against the gradients that algorithm S3 of the paper accumulates over a rollout."""
        config, batch = self.config, self._batch(rollout)
        parameters, values, streams = self.approximator.evaluate(batch.observations)
        distribution = self.interface.distribution(parameters, batch.masks)
        advantages = standardized(batch.advantages) if config.normalize_advantage else batch.advantages  # R - V(s)

        policy_loss = -(advantages * distribution.log_probability(batch.actions)).mean()
        value_loss = nn.functional.mse_loss(values, batch.returns)  # (R - V(s))^2
        if streams is not None and batch.stream_returns is not None:
            value_loss = value_loss + (streams - batch.stream_returns).square().mean(dim=0).sum()
        entropy = distribution.entropy().mean()  # H of section 4
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
        self.approximator.minimize(loss, learning_rate)
        return {
            "train/policy_loss": policy_loss.item(),
            "train/value_loss": value_loss.item(),
            "train/entropy": entropy.item(),
            "train/explained_variance": explained_variance(batch),
        }
