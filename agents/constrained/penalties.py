"""How constraints enter PPO's loss: as logarithmic barriers (IPO, CLARA), or as multipliers (PPO-Lagrangian)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from optgap.agents.common.rollout import Batch
from optgap.agents.constrained.constraints import F64
from optgap.agents.ppo.surrogate import PolicyLoss


class Penalty(Protocol):
    """What a rollout's constraints are worth. Slacks (m,) are limits less costs in units of the limits."""

    name: str  # of its strengths among the metrics and in a checkpoint
    strengths: F64  # (m,), its state

    def policy_loss(self, slack: F64, errors: F64) -> PolicyLoss:
        """What the policy minimizes in this update.

        Args:
            slack: (m,) of the acting policy, as estimated.
            errors: (m,) standard errors of that.
        """
        ...


def penalty_state(penalty: Penalty) -> dict[str, float]:
    """The penalty's state as :func:`restore_penalty` takes it."""
    return {f"{penalty.name}_{i}": float(strength) for i, strength in enumerate(penalty.strengths)}


def restore_penalty(penalty: Penalty, state: Mapping[str, float]) -> None:
    """Put back what :func:`penalty_state` gave; a missing name is a KeyError."""
    penalty.strengths = np.array([state[f"{penalty.name}_{i}"] for i in range(len(penalty.strengths))])


class Barrier:
    """Interior-point policy optimization (Liu et al. 2020, arXiv 1910.09615): maximize L + sum_i log(slack_i) / t_i.

    The slack in the logarithm is that of the policy being optimized: the acting policy's less E[ratio A_i]. Below
    ``epsilon`` the logarithm goes on as its tangent, so that a policy that starts outside is led back, with the weight
    that the barrier has at ``epsilon``.

    Args:
        count: m.
        t: every t_i: the larger, the later the barrier is felt.
        epsilon: the slack, in units of the limits, where the tangent begins.
    """

    name = "barrier_t"

    def __init__(self, count: int, t: float, epsilon: float) -> None:
        self.strengths: F64 = np.full(count, t)
        self.epsilon: F64 = np.full(count, epsilon)

    def policy_loss(self, slack: F64, errors: F64) -> PolicyLoss:
        self.adapt(slack, errors)
        slacks, epsilon, t = (torch.from_numpy(array).float() for array in (slack, self.epsilon, self.strengths))

        def policy_loss(part: Batch, ratio: Tensor, clipped: Tensor) -> Tensor:
            surrogate = torch.min(ratio * part.advantages, clipped * part.advantages).mean()
            assert part.stream_advantages is not None
            left = slacks.to(ratio.device) - cost_change(part.stream_advantages, ratio, clipped)
            limit, shares = epsilon.to(ratio.device), 1.0 / t.to(ratio.device)
            barrier = (shares * log_barrier(left, limit)).sum()
            # The gradient is divided by the sum of the parts' weights, so that its size is that of PPO's.
            weights = shares / torch.maximum(left, limit).detach() * part.stream_advantages.std(dim=0, correction=0)
            return -(surrogate + barrier) / (1.0 + weights.sum())

        return policy_loss

    def adapt(self, slack: F64, errors: F64) -> None:
        """The published method keeps t."""


class AdaptiveBarrier(Barrier):
    """A barrier whose t_i grow while their constraints hold with margin, and shrink while they do not.

    The margin is what the estimate is good for, epsilon_i = max(epsilon, confidence x standard error): t_i grows by the
    factor ``growth`` where the slack is above twice that, and shrinks by it where the slack is below, down to what it
    was at first. In between it rests: there the weight 1 / (t_i slack_i) of the cost is the constraint's multiplier. The
    t_i of a constraint that does not bind grows to ``t_max``, where it is no longer felt.
    """

    def __init__(self, count: int, t: float, epsilon: float, confidence: float, growth: float, t_max: float) -> None:
        super().__init__(count, t, epsilon)
        self.least, self.confidence, self.growth, self.t, self.t_max = epsilon, confidence, growth, t, t_max

    def adapt(self, slack: F64, errors: F64) -> None:
        self.epsilon = np.maximum(self.least, self.confidence * errors)
        power = np.where(slack > 2.0 * self.epsilon, 1.0, np.where(slack < self.epsilon, -1.0, 0.0))
        self.strengths = np.clip(self.strengths * self.growth**power, self.t, self.t_max)


class Multipliers:
    """Dual ascent (Ray et al. 2019, "Benchmarking safe exploration"): lambda_i <- max(0, lambda_i - rate x slack_i).

    The policy ascends the clipped surrogate of (A - sum_i lambda_i A_i) / (1 + sum_i lambda_i).
    """

    name = "multiplier"

    def __init__(self, count: int, initial: float, rate: float) -> None:
        self.strengths: F64 = np.full(count, initial)
        self.rate = rate

    def policy_loss(self, slack: F64, errors: F64) -> PolicyLoss:
        self.strengths = np.maximum(0.0, self.strengths - self.rate * slack)
        multipliers = torch.from_numpy(self.strengths).float()

        def policy_loss(part: Batch, ratio: Tensor, clipped: Tensor) -> Tensor:
            assert part.stream_advantages is not None
            weights = multipliers.to(ratio.device)
            advantages = (part.advantages - part.stream_advantages @ weights) / (1.0 + weights.sum())
            return -torch.min(ratio * advantages, clipped * advantages).mean()

        return policy_loss


def cost_change(advantages: Tensor, ratio: Tensor, clipped: Tensor) -> Tensor:
    """E[ratio A_i] - E[A_i], by how much the new policy's mean costs exceed the acting one's; (m,).

    Clipped like PPO's surrogate, pessimistically: a decrease counts only as far as the clip range.

    Args:
        advantages: (M, m) of the costs.
        ratio: (M,) new over acting policy's probability.
        clipped: (M,) the same within the clip range.
    """
    worst = torch.maximum(ratio.unsqueeze(1) * advantages, clipped.unsqueeze(1) * advantages)
    return (worst - advantages).mean(dim=0)


def log_barrier(slack: Tensor, epsilon: Tensor) -> Tensor:
    """log(slack) where ``slack`` is at least ``epsilon`` > 0, below it the tangent there; elementwise."""
    inside = torch.maximum(slack, epsilon)
    return inside.log() + (slack - inside) / epsilon
