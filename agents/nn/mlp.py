"""Multilayer perceptrons: the actor-critic of environments whose observations are plain vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import torch
from torch import Tensor, nn

from optgap.agents.nn.distributions import action_interface
from optgap.co.core import InputError


class MLPSettings(Protocol):
    """The part of a configuration that an :class:`MLPActorCritic` reads."""

    hidden_sizes: list[int]
    normalize_observation: bool


def mlp(
    sizes: Sequence[int], activation: type[nn.Module] = nn.Tanh, output_gain: float = math.sqrt(2.0)
) -> nn.Sequential:
    """Linear layers ``sizes[0] -> ... -> sizes[-1]`` with an activation between any two.

    Weights are orthogonal with gain sqrt(2), with ``output_gain`` in the last layer; biases are zero.
    """
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        linear = nn.Linear(inputs, outputs)
        last = i == len(sizes) - 2
        nn.init.orthogonal_(linear.weight, output_gain if last else math.sqrt(2.0))
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, activation()]
    return nn.Sequential(*layers)


def flat_size(space: gym.Space[Any]) -> int:
    """Width of :func:`flatten`; a space that it cannot flatten raises :class:`InputError`."""
    if isinstance(space, gym.spaces.Dict):
        return sum(flat_size(part) for part in space.spaces.values())
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary):
        return math.prod(space.shape)
    raise InputError(f"observation space {space} cannot be flattened; expected Box, Discrete, Multi* or a Dict of them")


def flatten(observation: Any, space: gym.Space[Any]) -> Tensor:
    """Observations (B, ...) of ``space`` as float vectors (B, :func:`flat_size`).

    Integers of Discrete and MultiDiscrete spaces become one-hot.
    """
    if isinstance(space, gym.spaces.Dict):
        return torch.cat([flatten(observation[key], part) for key, part in space.spaces.items()], dim=-1)
    if isinstance(space, gym.spaces.Discrete):
        return one_hot(observation - int(space.start), int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        sizes = torch.as_tensor(space.nvec.ravel(), device=observation.device)
        first = (
            sizes.cumsum(0) - sizes - torch.as_tensor(space.start.ravel().astype("int64"), device=observation.device)
        )
        hot = torch.zeros(len(observation), int(space.nvec.sum()), device=observation.device)
        return hot.scatter_(1, observation.flatten(1).long() + first, 1.0)
    tensor: Tensor = observation
    return tensor.flatten(1).float() if tensor.ndim > 1 else tensor.float().unsqueeze(1)


def one_hot(index: Tensor, size: int) -> Tensor:
    """(B,) integers -> (B, size) float."""
    return nn.functional.one_hot(index.long(), size).float()


class RunningScale(nn.Module):
    """Features (B, F) less the mean of those observed so far, over their standard deviation, held to [-10, 10].

    The moments are buffers, so that they are saved with the weights; they are merged batch by batch (Chan et al. 1979).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.count: Tensor
        self.mean: Tensor
        self.squares: Tensor
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("squares", torch.zeros(features))

    def observe(self, features: Tensor) -> None:
        """Take rows (N, F) into the moments."""
        if not len(features):
            return
        total = self.count + len(features)
        difference = features.mean(dim=0) - self.mean
        spread = features.var(dim=0, correction=0) * len(features)
        self.squares += spread + difference**2 * self.count * len(features) / total
        self.mean += difference * len(features) / total
        self.count.copy_(total)

    def forward(self, features: Tensor) -> Tensor:
        deviation = torch.where(self.count > 0, self.squares / self.count.clamp(min=1.0), 1.0).sqrt()
        return ((features - self.mean) / (deviation + 1e-4)).clamp(-10.0, 10.0)


class MLPActorCritic(nn.Module):
    """Two separate perceptrons of tanh layers over the flattened observation: distribution parameters, and value.

    ``forward(observation)`` takes a tensor (B, ...) or a dict of them and returns parameters (B, P), where P is
    ``action_interface(action_space).parameters``, and values (B,). The standard deviations of a Box action do not
    depend on the observation and begin at 1 (Schulman et al. 2017, section 6.1).

    With ``streams`` = K > 0 a third perceptron gives the values (B, K) of K further streams of rewards, third in what
    ``forward`` returns.
    """

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], config: MLPSettings, streams: int = 0
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        inputs, outputs = flat_size(observation_space), action_interface(action_space).parameters
        self.log_std: nn.Parameter | None = None
        if isinstance(action_space, gym.spaces.Box):
            outputs //= 2
            self.log_std = nn.Parameter(torch.zeros(outputs))
        # A gain of 0.01 makes the first policy nearly uniform, which keeps its early updates unbiased by the weights.
        self.actor = mlp([inputs, *config.hidden_sizes, outputs], output_gain=0.01)
        self.critic = mlp([inputs, *config.hidden_sizes, 1], output_gain=1.0)
        self.scale = RunningScale(inputs) if config.normalize_observation else None
        self.streams = mlp([inputs, *config.hidden_sizes, streams], output_gain=1.0) if streams else None

    def observe(self, observations: Any) -> None:
        """Take the observations of a rollout, tensors (N, ...), into what they are normalized by."""
        if self.scale is not None:
            self.scale.observe(self.features(observations))

    def features(self, observation: Any) -> Tensor:
        """What the perceptrons see of observations (B, ...), (B, F), before it is normalized."""
        return flatten(observation, self.observation_space)

    def forward(self, observation: Any) -> tuple[Tensor, ...]:
        features = self.features(observation)
        if self.scale is not None:
            features = self.scale(features)
        parameters = self.actor(features)
        if self.log_std is not None:
            parameters = torch.cat([parameters, self.log_std.expand_as(parameters)], dim=-1)
        values = self.critic(features).squeeze(-1)
        return (parameters, values) if self.streams is None else (parameters, values, self.streams(features))
