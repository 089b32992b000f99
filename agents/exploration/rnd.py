"""Bonuses that are learned, and the first of them: random network distillation (Burda et al. 2019, arXiv 1810.12894)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from optgap.agents.nn.distributions import ActionInterface
from optgap.agents.nn.mlp import RunningScale, flat_size, mlp
from optgap.co.core import InputError

CLIP = 5.0  # of normalized observations (section 2.4)


class Transitions(NamedTuple):
    """N steps; none is one that only resets."""

    observations: Tensor  # (N, F) float32, flattened
    actions: Tensor  # (N, ...) as the policy means them
    next_observations: Tensor  # (N, F)

    def select(self, rows: Tensor) -> Transitions:
        """Those at ``rows`` (M,)."""
        return Transitions(*(part[rows] for part in self))


class BonusSettings(Protocol):
    """The part of a configuration that a learned bonus reads."""

    bonus_hidden_sizes: list[int]
    bonus_features: int
    bonus_length: float
    bonus_columns: list[int]


class LearnedBonus(nn.Module):
    """A bonus that networks give, on observations less their running mean, over their running standard deviation.

    Args:
        observations: space of observations.
        actions: space of actions.
        interface: of the policy's actions.
        config: widths.
    """

    def __init__(
        self, observations: gym.Space[Any], actions: gym.Space[Any], interface: ActionInterface, config: BonusSettings
    ) -> None:
        super().__init__()
        size = flat_size(observations)
        if any(not -size <= column < size for column in config.bonus_columns):
            raise InputError(f"bonus_columns is {config.bonus_columns}; expected numbers from {-size} to {size - 1}")
        self.columns = [column % size for column in config.bonus_columns]
        self.inputs, self.outputs = len(self.columns) or size, config.bonus_features
        self.hidden, self.interface = list(config.bonus_hidden_sizes), interface
        self.length = config.bonus_length
        self.scale = RunningScale(self.inputs)
        self.build(actions)

    def build(self, actions: gym.Space[Any]) -> None:
        """Make the networks."""
        raise NotImplementedError

    def seen(self, flat: Tensor) -> Tensor:
        """The part (N, F) of flattened observations (N, size) that the bonus depends on."""
        return flat[:, self.columns] if self.columns else flat

    def observe(self, seen: Transitions) -> None:
        """Take a rollout into the running moments, before its bonuses are computed."""
        self.scale.observe(seen.next_observations)

    def bonus(self, seen: Transitions) -> Tensor:
        """(N,) at least 0, without a gradient."""
        raise NotImplementedError

    def loss(self, seen: Transitions, rng: np.random.Generator) -> Tensor:
        """What the networks minimize, ()."""
        raise NotImplementedError

    def scaled(self, features: Tensor) -> Tensor:
        normalized: Tensor = self.scale(features)
        return normalized.clamp(-CLIP, CLIP)


class Waves(nn.Module):
    """Random cosines of normalized observations (N, F), (N, size), of mean square 1.

    Two observations whose distance is ``length`` times that of two independent ones, sqrt(2 F), differ by about a
    radian in each.
    """

    def __init__(self, inputs: int, size: int, length: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(inputs, size) / (length * math.sqrt(2.0 * inputs)))
        self.phases = nn.Parameter(2.0 * math.pi * torch.rand(size))

    def forward(self, features: Tensor) -> Tensor:
        return math.sqrt(2.0) * torch.cos(features @ self.directions + self.phases)


class RND(LearnedBonus):
    """The error of a network that learns to predict the outputs of a fixed random one: large where it learned little.

    Both see the observation that a step led to. The paper's networks see images. Of vectors of a few numbers, a network
    of rectifiers is an almost linear function, known everywhere once it is known somewhere (without biases: on a whole
    ray once it is known at a point), so the target's hidden units here are waves.
    """

    def build(self, actions: gym.Space[Any]) -> None:
        waves = Waves(self.inputs, self.hidden[0], self.length)
        self.target = nn.Sequential(waves, mlp([self.hidden[0], self.outputs], output_gain=1.0)).requires_grad_(False)
        self.predictor = mlp([self.inputs, *self.hidden, *self.hidden[-1:], self.outputs], nn.ReLU)

    def bonus(self, seen: Transitions) -> Tensor:
        with torch.no_grad():
            return self._errors(seen)

    def loss(self, seen: Transitions, rng: np.random.Generator) -> Tensor:
        return self._errors(seen).mean()

    def _errors(self, seen: Transitions) -> Tensor:
        """(N,) ||f^(s') - f(s')||^2 (section 2.2), a mean over the outputs."""
        features = self.scaled(seen.next_observations)
        errors: Tensor = (self.predictor(features) - self.target(features)).square().mean(dim=1)
        return errors
