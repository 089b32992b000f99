"""Action values as a multilayer perceptron."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree, to_tensors
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.nn.mlp import flat_size, flatten, mlp


class QNetwork(nn.Module):
    """A perceptron over the flattened observation, its target (a copy), and Adam on the mean squared error.

    An :class:`optgap.agents.dqn.agent.ActionValues`.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Discrete, config: DQNConfig) -> None:
        super().__init__()
        self.observation_space, self.config = observation_space, config
        sizes = [flat_size(observation_space), *config.hidden_sizes, int(action_space.n)]
        self.online = mlp(sizes, nn.ReLU, output_gain=1.0)
        self.target = deepcopy(self.online).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=config.learning_rate)

    def predict(self, observations: Tree) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(self.online(self._features(observations)).cpu().numpy())

    def pair(self, observations: Tree) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.no_grad():
            features = self._features(observations)
            return self.online(features).cpu().numpy(), self.target(features).cpu().numpy()

    def fit(
        self,
        observations: Tree,
        actions: NDArray[np.int64],
        targets: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> float:
        config, errors = self.config, []
        features = self._features(observations)
        chosen = torch.from_numpy(actions).to(features.device)
        wanted = torch.from_numpy(targets).to(features.device)
        for rows in parts(len(targets), config.minibatch_size, config.epochs, rng):
            part = torch.from_numpy(rows).to(features.device)
            values = self.online(features[part]).gather(1, chosen[part, None]).squeeze(1)
            self.optimizer.zero_grad()
            # Not Huber's loss: at returns of a hundred it finds medians, and the few transitions that end an episode
            # (one in a hundred, and the only ones that tell good actions from bad) are its outliers.
            loss = nn.functional.mse_loss(values, wanted[part])
            loss.backward()
            nn.utils.clip_grad_norm_(self.online.parameters(), config.max_grad_norm)
            self.optimizer.step()
            errors.append(loss.detach())
        return float(torch.stack(errors).mean())

    def follow(self) -> None:
        self.target.load_state_dict(self.online.state_dict())

    def _features(self, observations: Tree) -> torch.Tensor:
        return self.flattened(to_tensors(observations, next(self.online.parameters()).device))

    def flattened(self, observations: Tree) -> torch.Tensor:
        """What the perceptron sees of observations, tensors (B, ...): (B, F)."""
        return flatten(observations, self.observation_space)
