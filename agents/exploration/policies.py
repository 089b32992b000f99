"""Perceptrons for observations that hold the statistic of a bonus."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from optgap.agents.dqn.network import QNetwork
from optgap.agents.nn.mlp import MLPActorCritic, flat_size, flatten

STATISTIC = "statistic"  # what SOFE's wrapper adds to the observation


class StatisticScale(nn.Module):
    """Flattens observations (B, ...), the statistic's D entries divided by sqrt(D).

    A map of visits has hundreds of entries that change together. As they are, they are most of what a perceptron sees
    and learns from, beside the few that say where the agent is: with them Deep Sea takes longer, or is never solved.
    Divided, all of them together are as long as one number in [-1, 1].
    """

    gain: Tensor

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        super().__init__()
        self.space = observation_space
        gain = torch.ones(flat_size(observation_space))
        if isinstance(observation_space, gym.spaces.Dict):
            first = 0
            for key, part in observation_space.spaces.items():
                size = flat_size(part)
                if key == STATISTIC:
                    gain[first : first + size] = 1.0 / math.sqrt(size)
                first += size
        self.register_buffer("gain", gain, persistent=False)

    def forward(self, observation: Any) -> Tensor:
        return flatten(observation, self.space) * self.gain


class StatisticActorCritic(MLPActorCritic):
    """:class:`optgap.agents.nn.mlp.MLPActorCritic` over :class:`StatisticScale`."""

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], config: Any, streams: int = 0
    ) -> None:
        super().__init__(observation_space, action_space, config, streams)
        self.flat = StatisticScale(observation_space)

    def features(self, observation: Any) -> Tensor:
        flat: Tensor = self.flat(observation)
        return flat


class StatisticQNetwork(QNetwork):
    """:class:`optgap.agents.dqn.network.QNetwork` over :class:`StatisticScale`."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Discrete, config: Any) -> None:
        super().__init__(observation_space, action_space, config)
        self.flat = StatisticScale(observation_space)

    def flattened(self, observations: Any) -> Tensor:
        flat: Tensor = self.flat(observations)
        return flat
