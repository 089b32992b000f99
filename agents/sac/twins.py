"""What SAC and TD3 have in common on networks: an actor, and twin critics with targets (Fujimoto et al. 2018, section 4)."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.on_policy_config import require
from optgap.agents.common.tensors import Tree, to_tensors
from optgap.agents.nn.mlp import flat_size, flatten, mlp

F32 = NDArray[np.float32]


@dataclass
class TwinCriticSettings:
    """What the networks of :class:`ActorTwinCritics` and their gradient steps need."""

    batch_size: int = 8192
    minibatch_size: int = 128
    learning_rate: float = 1e-3
    """Step size of the critics."""
    policy_rate: float = 1e-3
    """Step size of the policy."""
    target_rate: float = 0.005
    """Share by which a network's target follows at each gradient step (tau)."""
    hidden_sizes: list[int] = field(default_factory=lambda: [128, 128])

    def check_twins(self) -> None:
        """Raise an :class:`InputError` where a value is out of its range."""
        require(self, "policy_rate", self.policy_rate > 0, "a number above 0")
        require(self, "target_rate", 0 < self.target_rate <= 1, "a number in (0, 1]")


class ActorTwinCritics(nn.Module):
    """Perceptrons over the flattened observation: an actor, two critics of (observation, action), and their targets.

    Args:
        outputs: of the actor, for each dimension of an action.
    """

    optimizer: torch.optim.Optimizer

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.spaces.Box, config: TwinCriticSettings, outputs: int
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        inputs, self.size = flat_size(observation_space), math.prod(action_space.shape)
        # A gain of 0.01 puts the first policy into the middle of the box, whatever is observed.
        self.actor = mlp([inputs, *config.hidden_sizes, outputs * self.size], nn.ReLU, output_gain=0.01)
        sizes = [inputs + self.size, *config.hidden_sizes, 1]
        self.critics = nn.ModuleList(mlp(sizes, nn.ReLU, output_gain=1.0) for _ in range(2))
        self.targets = deepcopy(self.critics).requires_grad_(False)

    def worth(self, observations: Tree, actions: F32) -> F32:
        """The lesser of the two target critics (B,)."""
        with torch.no_grad():
            features = self._features(observations)
            found = least(self.targets, features, torch.from_numpy(actions).to(features.device))
        return np.asarray(found.cpu().numpy())

    def acting_state(self) -> dict[str, Tensor]:
        """The part of ``state_dict()`` that choosing actions needs."""
        return {f"actor.{name}": tensor for name, tensor in self.actor.state_dict().items()}

    def _step_critics(self, features: Tensor, taken: Tensor, wanted: Tensor) -> Tensor:
        """A gradient step of both critics towards ``wanted`` (B,); the mean squared error before it."""
        joined = torch.cat([features, taken], dim=1)
        values = torch.stack([critic(joined).squeeze(1) for critic in self.critics])
        loss = (values - wanted).square().mean(dim=1).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach() / 2

    def _features(self, observations: Tree) -> Tensor:
        return flatten(to_tensors(observations, next(self.actor.parameters()).device), self.observation_space)


def least(critics: nn.ModuleList, features: Tensor, actions: Tensor) -> Tensor:
    """The lesser of the critics' values (B,)."""
    joined = torch.cat([features, actions], dim=1)
    return torch.stack([critic(joined).squeeze(1) for critic in critics]).amin(dim=0)


def follow(target: nn.Module, online: nn.Module, rate: float) -> None:
    """Move the target's weights by the share ``rate`` of the way to the online ones (Polyak averaging)."""
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
            slow.lerp_(fast, rate)
