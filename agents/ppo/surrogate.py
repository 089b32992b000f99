"""The epochs of minibatches of proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347, algorithm 1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from optgap.agents.common.approximator import Approximator
from optgap.agents.common.on_policy import mean_figures, standardized
from optgap.agents.common.rollout import Batch, minibatches
from optgap.agents.nn.distributions import ActionInterface

PolicyLoss = Callable[[Batch, Tensor, Tensor], Tensor]
"""(transitions (M,), their ratios r(theta) of equation 6 (M,), these clipped (M,)) -> what the policy minimizes."""


class SurrogateSettings(Protocol):
    """The part of a configuration that :func:`optimize` reads."""

    clip_range: float
    epochs: int
    minibatch_size: int
    target_kl: float | None
    entropy_coefficient: float
    value_coefficient: float


def clipped_surrogate(normalize_advantage: bool) -> PolicyLoss:
    """Minus equation 7, with the minibatch's advantages standardized or as they are."""

    def policy_loss(part: Batch, ratio: Tensor, clipped: Tensor) -> Tensor:
        advantages = standardized(part.advantages) if normalize_advantage else part.advantages
        return -torch.min(ratio * advantages, clipped * advantages).mean()

    return policy_loss


def optimize(
    approximator: Approximator,
    interface: ActionInterface,
    settings: SurrogateSettings,
    batch: Batch,
    learning_rate: float,
    rng: np.random.Generator,
    policy_loss: PolicyLoss,
) -> dict[str, float]:
    """Maximize equation 9 over one rollout; the mean of each figure over the gradient steps."""
    figures: dict[str, list[Tensor]] = defaultdict(list)
    for _ in range(settings.epochs):
        divergence = 0.0
        for part in minibatches(batch, settings.minibatch_size, rng):
            parameters, values, streams = approximator.evaluate(part.observations)
            distribution = interface.distribution(parameters, part.masks)

            log_ratio = distribution.log_probability(part.actions) - part.log_probabilities
            ratio = log_ratio.exp()  # r(theta) of equation 6
            clipped = ratio.clamp(1.0 - settings.clip_range, 1.0 + settings.clip_range)
            aim = policy_loss(part, ratio, clipped)
            value_loss = nn.functional.mse_loss(values, part.returns)  # L^VF of equation 9
            if streams is not None and part.stream_returns is not None:
                value_loss = value_loss + (streams - part.stream_returns).square().mean(dim=0).sum()
            entropy = distribution.entropy().mean()  # S of equation 9
            loss = aim + settings.value_coefficient * value_loss - settings.entropy_coefficient * entropy

            with torch.no_grad():
                kl = (ratio - 1.0 - log_ratio).mean()  # unbiased and never negative: joschu.net/blog/kl-approx.html
                outside = ((ratio - 1.0).abs() > settings.clip_range).float().mean()
            figures["train/policy_loss"].append(aim.detach())
            figures["train/value_loss"].append(value_loss.detach())
            figures["train/entropy"].append(entropy.detach())
            figures["train/approximate_kl"].append(kl)
            figures["train/clip_fraction"].append(outside)
            if settings.target_kl is not None and (divergence := kl.item()) > 1.5 * settings.target_kl:
                break

            approximator.minimize(loss, learning_rate)
        if settings.target_kl is not None and divergence > 1.5 * settings.target_kl:
            break
    return mean_figures(figures)
