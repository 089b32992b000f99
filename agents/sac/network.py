"""Policy and twin critics as multilayer perceptrons."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree
from optgap.agents.sac.config import SACConfig
from optgap.agents.sac.squashed import squashed
from optgap.agents.sac.twins import ActorTwinCritics, follow, least

F32 = NDArray[np.float32]


class NetworkActorCritic(ActorTwinCritics):
    """Perceptrons over the flattened observation; the critics' targets follow them step by step.

    An :class:`optgap.agents.sac.agent.SoftActorCritic`. The policy's gradient goes through the critics (equation 10 of
    arXiv 1812.05905).
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Box, config: SACConfig) -> None:
        super().__init__(observation_space, action_space, config, outputs=2)
        self.config = config
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

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        config, errors = self.config, []
        features = self._features(observations)
        taken, wanted = (torch.from_numpy(array).to(features.device) for array in (actions, targets))
        for rows in parts(len(targets), config.minibatch_size, config.epochs, rng):
            part = torch.from_numpy(rows).to(features.device)
            errors.append(self._step_critics(features[part], taken[part], wanted[part]))
            follow(self.targets, self.critics, config.target_rate)
        return float(torch.stack(errors).mean())

    def improve(self, observations: Tree, temperature: float, rng: np.random.Generator) -> float:
        config, seen = self.config, []
        features = self._features(observations)
        self.critics.requires_grad_(False)
        for rows in parts(len(features), config.minibatch_size, config.epochs, rng):
            part = features[torch.from_numpy(rows).to(features.device)]
            actions, log_densities = self._act(part, rng)
            loss = (temperature * log_densities - least(self.critics, part, actions)).mean()
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
