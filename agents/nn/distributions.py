"""Action distributions, and which of them an action space takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.constrained.projection import projection_of
from optgap.co.core import InputError


class Distribution(Protocol):
    """A batch of B action distributions."""

    def sample(self) -> Tensor:
        """Actions (B, ...), from torch's global generator."""
        ...

    def mode(self) -> Tensor:
        """The most probable actions (B, ...)."""
        ...

    def log_probability(self, actions: Tensor) -> Tensor:
        """Log-probability (density) of ``actions`` (B, ...): (B,) float32."""
        ...

    def entropy(self) -> Tensor:
        """Entropy in nats (B,) float32."""
        ...

    def divergence(self, other: Self) -> Tensor:
        """Kullback-Leibler divergence of ``other`` from this one, E[log p - log p_other], in nats (B,) float32."""
        ...


class MaskedCategorical:
    """Categorical over A actions, of which ``masks`` (B, A) bool allows some.

    A forbidden logit becomes the least finite number, not minus infinity: a row that allows nothing (the observation
    after an episode's end) stays finite and uniform, and no gradient is NaN.
    """

    def __init__(self, logits: Tensor, masks: Tensor | None = None) -> None:
        logits = logits.float()
        self.masks = masks
        if masks is not None:
            logits = logits.masked_fill(~masks, torch.finfo(logits.dtype).min)
        self.log_probabilities = torch.log_softmax(logits, dim=-1)  # (B, A)

    def sample(self) -> Tensor:
        return torch.multinomial(self.log_probabilities.exp(), 1).squeeze(-1)

    def mode(self) -> Tensor:
        return self.log_probabilities.argmax(dim=-1)

    def log_probability(self, actions: Tensor) -> Tensor:
        return self.log_probabilities.gather(-1, actions.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        terms = self.log_probabilities.exp() * self.log_probabilities
        if self.masks is not None:
            terms = terms.masked_fill(~self.masks, 0.0)
        return -terms.sum(dim=-1)

    def divergence(self, other: Self) -> Tensor:
        terms = self.log_probabilities.exp() * (self.log_probabilities - other.log_probabilities)
        if self.masks is not None:
            terms = terms.masked_fill(~self.masks, 0.0)
        return terms.sum(dim=-1)


class MultiCategorical:
    """Independent categoricals side by side: parameters and masks (B, sum(sizes)), actions (B, len(sizes))."""

    def __init__(self, parameters: Tensor, sizes: list[int], masks: Tensor | None = None) -> None:
        parts = [None] * len(sizes) if masks is None else list(masks.split(sizes, dim=-1))
        self.parts = [
            MaskedCategorical(logits, part) for logits, part in zip(parameters.split(sizes, dim=-1), parts, strict=True)
        ]

    def sample(self) -> Tensor:
        return torch.stack([part.sample() for part in self.parts], dim=-1)

    def mode(self) -> Tensor:
        return torch.stack([part.mode() for part in self.parts], dim=-1)

    def log_probability(self, actions: Tensor) -> Tensor:
        terms = [part.log_probability(actions[:, i]) for i, part in enumerate(self.parts)]
        return torch.stack(terms).sum(dim=0)

    def entropy(self) -> Tensor:
        return torch.stack([part.entropy() for part in self.parts]).sum(dim=0)

    def divergence(self, other: Self) -> Tensor:
        pairs = zip(self.parts, other.parts, strict=True)
        return torch.stack([part.divergence(its) for part, its in pairs]).sum(dim=0)


class DiagonalGaussian:
    """Normal with a diagonal covariance; ``parameters`` (B, 2 d) are the means, then the log standard deviations."""

    def __init__(self, parameters: Tensor) -> None:
        self.mean, self.log_std = parameters.float().chunk(2, dim=-1)

    def sample(self) -> Tensor:
        return self.mean + self.log_std.exp() * torch.randn_like(self.mean)

    def mode(self) -> Tensor:
        return self.mean

    def log_probability(self, actions: Tensor) -> Tensor:
        standardized = (actions - self.mean) * torch.exp(-self.log_std)
        return -(0.5 * standardized**2 + self.log_std + 0.5 * math.log(2 * math.pi)).sum(dim=-1)

    def entropy(self) -> Tensor:
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=-1)

    def divergence(self, other: Self) -> Tensor:
        wider = other.log_std - self.log_std
        apart = (self.mean - other.mean) * torch.exp(-other.log_std)
        return (wider + 0.5 * (torch.exp(-2 * wider) + apart**2 - 1)).sum(dim=-1)


class Dirichlet:
    """Shares (B, n) above 0 that sum to 1; ``parameters`` (B, n) are the logarithms of the concentrations.

    Where a concentration is below 1 the density has no mode, and elsewhere the mode forgets about small shares: what
    stands for it is the mean. Samples keep away from 0 by what single precision can tell, so that densities are finite.
    """

    def __init__(self, parameters: Tensor) -> None:
        self.concentration = parameters.float().exp()

    def sample(self) -> Tensor:
        least = torch.finfo(torch.float32).tiny
        reference = torch.distributions.Dirichlet(self.concentration, validate_args=False)
        shares: Tensor = reference.sample().clamp(min=least)
        return shares / shares.sum(dim=-1, keepdim=True)

    def mode(self) -> Tensor:
        return self.concentration / self.concentration.sum(dim=-1, keepdim=True)

    def log_probability(self, actions: Tensor) -> Tensor:
        least = torch.finfo(torch.float32).tiny
        return ((self.concentration - 1.0) * actions.clamp(min=least).log()).sum(dim=-1) - self._log_normalizer()

    def entropy(self) -> Tensor:
        expected = self._expected_logarithms()
        return self._log_normalizer() - ((self.concentration - 1.0) * expected).sum(dim=-1)

    def divergence(self, other: Self) -> Tensor:
        apart = (self.concentration - other.concentration) * self._expected_logarithms()
        return other._log_normalizer() - self._log_normalizer() + apart.sum(dim=-1)

    def _log_normalizer(self) -> Tensor:
        """Logarithm of the multivariate beta function."""
        return torch.lgamma(self.concentration).sum(dim=-1) - torch.lgamma(self.concentration.sum(dim=-1))

    def _expected_logarithms(self) -> Tensor:
        """E log x_i."""
        return torch.digamma(self.concentration) - torch.digamma(self.concentration.sum(dim=-1, keepdim=True))


@dataclass(frozen=True)
class ActionInterface:
    """What an action space asks of a policy."""

    parameters: int
    """Numbers that parameterize the distribution of one action."""

    distribution: Callable[[Tensor, Tensor | None], Distribution]
    """(parameters (B, P), masks (B, A) bool or None) -> the distribution."""

    to_environment: Callable[[NDArray[Any]], NDArray[Any]]
    """A distribution's actions (B, ...) -> the environment's (offsets added, bounds clipped)."""


def action_interface(space: gym.Space[Any]) -> ActionInterface:
    """The distribution that an action space takes; spaces without one raise :class:`InputError`.

    Discrete: categorical. MultiDiscrete (one axis): categoricals side by side. Box: diagonal Gaussian, clipped to the
    bounds (projected on the set, where the space is a :class:`ConstrainedBox`) on the environment's side only, so that
    its density stays exact.
    """
    if isinstance(space, gym.spaces.Discrete):
        start = int(space.start)
        return ActionInterface(int(space.n), MaskedCategorical, lambda actions: actions + start)
    if isinstance(space, gym.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        sizes = [int(size) for size in space.nvec]
        starts = space.start
        return ActionInterface(
            sum(sizes),
            lambda parameters, masks: MultiCategorical(parameters, sizes, masks),
            lambda actions: (actions + starts).astype(starts.dtype),
        )
    if isinstance(space, gym.spaces.Box) and np.issubdtype(space.dtype, np.floating):
        box = space
        inside = projection_of(box)

        def project(actions: NDArray[Any]) -> NDArray[Any]:
            points = torch.from_numpy(actions.reshape(len(actions), -1).astype(box.dtype))
            nearest: NDArray[Any] = inside(points).numpy().reshape(-1, *box.shape)
            return nearest

        return ActionInterface(2 * math.prod(box.shape), lambda parameters, _: DiagonalGaussian(parameters), project)
    raise InputError(f"action space {space} has no policy; expected Discrete, MultiDiscrete (one axis) or a float Box")
