"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347), with invalid actions masked out."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor, nn

from optgap.agents.common.on_policy import OnPolicyAgent, explained_variance, mean_figures, standardized
from optgap.agents.common.rollout import Batch, RolloutBuffer, minibatches
from optgap.agents.ppo.config import PPOConfig


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
        config = self.config
        figures: dict[str, list[Tensor]] = defaultdict(list)
        for _ in range(config.epochs):
            divergence = 0.0
            for part in minibatches(batch, config.minibatch_size, rng):
                parameters, values = self.approximator.evaluate(part.observations)
                distribution = self.interface.distribution(parameters, part.masks)
                advantages = standardized(part.advantages) if config.normalize_advantage else part.advantages

                log_ratio = distribution.log_probability(part.actions) - part.log_probabilities
                ratio = log_ratio.exp()  # r(theta) of equation 6
                clipped = ratio.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
                policy_loss = -torch.min(ratio * advantages, clipped * advantages).mean()  # equation 7
                value_loss = nn.functional.mse_loss(values, part.returns)  # L^VF of equation 9
                entropy = distribution.entropy().mean()  # S of equation 9
                loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy

                with torch.no_grad():
                    kl = (ratio - 1.0 - log_ratio).mean()  # unbiased and never negative: joschu.net/blog/kl-approx.html
                    outside = ((ratio - 1.0).abs() > config.clip_range).float().mean()
                figures["train/policy_loss"].append(policy_loss.detach())
                figures["train/value_loss"].append(value_loss.detach())
                figures["train/entropy"].append(entropy.detach())
                figures["train/approximate_kl"].append(kl)
                figures["train/clip_fraction"].append(outside)
                if config.target_kl is not None and (divergence := kl.item()) > 1.5 * config.target_kl:
                    break

                self.approximator.minimize(loss, learning_rate)
            if config.target_kl is not None and divergence > 1.5 * config.target_kl:
                break
        return mean_figures(figures)
