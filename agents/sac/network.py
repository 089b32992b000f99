"""Policy and twin critics as multilayer perceptrons."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree, to_tensors
from optgap.agents.nn.mlp import flat_size, flatten, mlp
from optgap.agents.sac.config import SACConfig
from optgap.agents.sac.squashed import squashed

F32 = NDArray[np.float32]


class NetworkActorCritic(nn.Module):
    """Perceptrons over the flattened observation; the critics' targets follow them step by step.

    An :class:`optgap.agents.sac.agent.SoftActorCritic`. The policy's gradient goes through the critics (equation 10 of
    arXiv 1812.05905).
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Box, config: SACConfig) -> None:
        super().__init__()
        self.observation_space, self.config = observation_space, config
        inputs, size = flat_size(observation_space), math.prod(action_space.shape)
        self.size = size
        self.actor = mlp([inputs, *config.hidden_sizes, 2 * size], nn.ReLU, output_gain=0.01)
        sizes = [inputs + size, *config.hidden_sizes, 1]
        self.critics = nn.ModuleList(mlp(sizes, nn.ReLU, output_gain=1.0) for _ in range(2))
        self.targets = deepcopy(self.critics).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.optimizer = torch.optim.Adam(
            [
                {"params": list(self.critics.parameters()), "lr": config.learning_rate},
                {"params": list(self.actor.parameters()), "lr": config.policy_rate},
                {"params": [self.log_temperature], "lr": config.temperature_rate},
            ]
        )

    def sample(self, observations: Tree, rng: np.random.Generator | None) -> tuple[F32, F32]:
        with torch.no_grad():
            actions, log_densities = self._act(self._features(observations), rng)
        return actions.cpu().numpy(), log_densities.cpu().numpy()

    def worth(self, observations: Tree, actions: F32) -> F32:
        with torch.no_grad():
            features = self._features(observations)
            found = _least(self.targets, features, torch.from_numpy(actions).to(features.device))
        return np.asarray(found.cpu().numpy())

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        config, errors = self.config, []
        features = self._features(observations)
        taken, wanted = (torch.from_numpy(array).to(features.device) for array in (actions, targets))
        for rows in parts(len(targets), config.minibatch_size, config.epochs, rng):
            part = torch.from_numpy(rows).to(features.device)
            joined = torch.cat([features[part], taken[part]], dim=1)
            values = torch.stack([critic(joined).squeeze(1) for critic in self.critics])
            loss = (values - wanted[part]).square().mean(dim=1).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            errors.append(loss.detach() / 2)
            with torch.no_grad():
                for target, critic in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                    target.lerp_(critic, config.target_rate)
        return float(torch.stack(errors).mean())

    def improve(self, observations: Tree, temperature: float, rng: np.random.Generator) -> float:
        config, seen = self.config, []
        features = self._features(observations)
        self.critics.requires_grad_(False)
        for rows in parts(len(features), config.minibatch_size, config.epochs, rng):
            part = features[torch.from_numpy(rows).to(features.device)]
            actions, log_densities = self._act(part, rng)
            loss = (temperature * log_densities - _least(self.critics, part, actions)).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            seen.append(log_densities.detach().mean())
        self.critics.requires_grad_(True)
        return float(torch.stack(seen).mean())

    def follow(self) -> None:
        """Nothing: the targets have followed at every step."""

    def _act(self, features: Tensor, rng: np.random.Generator | None) -> tuple[Tensor, Tensor]:
        shape = (len(features), self.size)
        noise = np.zeros(shape) if rng is None else rng.standard_normal(shape)
        return squashed(self.actor(features), torch.from_numpy(noise.astype(np.float32)).to(features.device))

    def _features(self, observations: Tree) -> Tensor:
        return flatten(to_tensors(observations, self.log_temperature.device), self.observation_space)


def _least(critics: nn.ModuleList, features: Tensor, actions: Tensor) -> Tensor:
    """The lesser of the critics' values (B,)."""
    joined = torch.cat([features, actions], dim=1)
    return torch.stack([critic(joined).squeeze(1) for critic in critics]).amin(dim=0)
