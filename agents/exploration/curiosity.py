"""Bonuses of forward models: curiosity (Pathak et al. 2017) and disagreement (Pathak et al. 2019), as references."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from optgap.agents.exploration.rnd import LearnedBonus, Transitions
from optgap.agents.nn.mlp import flat_size, flatten, mlp

BETA = 0.2  # of equation 7 of Pathak et al. 2017
MEMBERS = 5  # of the ensemble


class ForwardBonus(LearnedBonus):
    """Features of observations phi, and models phi(s), a -> phi(s')."""

    def build(self, actions: gym.Space[Any]) -> None:
        self.actions = _from_zero(actions)
        self.encoder = mlp([self.inputs, *self.hidden, self.outputs], nn.ReLU)

    def model(self) -> nn.Sequential:
        """A model with new weights."""
        return mlp([self.outputs + flat_size(self.actions), *self.hidden, self.outputs], nn.ReLU, 1.0)

    def encoded(self, seen: Transitions) -> tuple[Tensor, Tensor]:
        """phi(s) and phi(s'), (N, F) each."""
        return self.encoder(self.scaled(seen.observations)), self.encoder(self.scaled(seen.next_observations))

    def inputs_of(self, features: Tensor, actions: Tensor) -> Tensor:
        """What a model takes."""
        return torch.cat([features, flatten(actions, self.actions)], dim=1)


class ICM(ForwardBonus):
    """The intrinsic curiosity module (arXiv 1705.05363): error of a forward model, in features that tell actions.

    The inverse model's loss is minus the log-probability of the action under the policy's kind of distribution, so
    that actions of every space will do.
    """

    def build(self, actions: gym.Space[Any]) -> None:
        super().build(actions)
        self.inverse = mlp([2 * self.outputs, *self.hidden, self.interface.parameters], nn.ReLU, 0.01)
        self.forward_model = self.model()

    def bonus(self, seen: Transitions) -> Tensor:
        with torch.no_grad():
            return self._forward_errors(seen.actions, *self.encoded(seen))

    def loss(self, seen: Transitions, rng: np.random.Generator) -> Tensor:
        # Equation 7; features are learned by the inverse model alone (equations 3 and 5).
        before, after = self.encoded(seen)
        forward_loss = self._forward_errors(seen.actions, before.detach(), after.detach()).mean()
        return (1.0 - BETA) * self._inverse_loss(seen.actions, before, after) + BETA * forward_loss

    def inverse_loss(self, seen: Transitions) -> Tensor:
        """() mean of -log g(a | s, s') (equation 3)."""
        return self._inverse_loss(seen.actions, *self.encoded(seen))

    def _inverse_loss(self, actions: Tensor, before: Tensor, after: Tensor) -> Tensor:
        guessed = self.interface.distribution(self.inverse(torch.cat([before, after], dim=1)), None)
        return -guessed.log_probability(actions).mean()

    def _forward_errors(self, actions: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """(N,) half the squared error (equations 5 and 6)."""
        errors: Tensor = 0.5 * (self.forward_model(self.inputs_of(before, actions)) - after).square().sum(dim=1)
        return errors


class Disagreement(ForwardBonus):
    """Variance of the predictions of an ensemble of forward models (arXiv 1906.04161, equation 1), in random features.

    Each member learns from a random half of every minibatch of its own.
    """

    def build(self, actions: gym.Space[Any]) -> None:
        super().build(actions)
        self.encoder.requires_grad_(False)
        self.members = nn.ModuleList([self.model() for _ in range(MEMBERS)])

    def bonus(self, seen: Transitions) -> Tensor:
        with torch.no_grad():
            return self._predictions(seen).var(dim=0, correction=0).mean(dim=1)

    def loss(self, seen: Transitions, rng: np.random.Generator) -> Tensor:
        errors = (self._predictions(seen) - self.encoded(seen)[1]).square().mean(dim=2)  # (E, N)
        taken = torch.from_numpy(rng.random(errors.shape) < 0.5).to(errors.device)
        return (errors * taken).sum() / taken.sum().clamp(min=1)

    def _predictions(self, seen: Transitions) -> Tensor:
        """(E, N, F)."""
        inputs = self.inputs_of(self.encoder(self.scaled(seen.observations)), seen.actions)
        return torch.stack([member(inputs) for member in self.members])


def _from_zero(space: gym.Space[Any]) -> gym.Space[Any]:
    """The space of a policy's actions, which count from 0."""
    if isinstance(space, gym.spaces.Discrete):
        return gym.spaces.Discrete(int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        return gym.spaces.MultiDiscrete(space.nvec)
    return space
