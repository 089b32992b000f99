"""Deterministic policy and twin critics as multilayer perceptrons, all with targets."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree
from optgap.agents.sac.twins import ActorTwinCritics, follow
from optgap.agents.td3.config import TD3Config

F32 = NDArray[np.float32]


class NetworkTwinDelayed(ActorTwinCritics):
    """Perceptrons over the flattened observation; the actor's output goes through tanh.

    An :class:`optgap.agents.td3.agent.TwinDelayed`.
    """

    gradient_steps: Tensor  # () int64, of the critics so far: the delay counts on from one update to the next

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Box, config: TD3Config) -> None:
        super().__init__(observation_space, action_space, config, outputs=1)
        self.config = config
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.register_buffer("gradient_steps", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam(
            [
                {"params": list(self.critics.parameters()), "lr": config.learning_rate},
                {"params": list(self.actor.parameters()), "lr": config.policy_rate},
            ]
        )

    def act(self, observations: Tree) -> F32:
        with torch.no_grad():
            actions = torch.tanh(self.actor(self._features(observations)))
        return np.asarray(actions.cpu().numpy())

    def smoothed(self, observations: Tree, rng: np.random.Generator) -> F32:
        config = self.config
        with torch.no_grad():
            actions = torch.tanh(self.target_actor(self._features(observations))).cpu().numpy()
        noise = config.target_noise * rng.standard_normal(actions.shape)
        clipped = np.clip(noise, -config.target_noise_clip, config.target_noise_clip)
        return np.clip(actions + clipped, -1, 1).astype(np.float32)

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        config, errors = self.config, []
        features = self._features(observations)
        taken, wanted = (torch.from_numpy(array).to(features.device) for array in (actions, targets))
        for rows in parts(len(targets), config.minibatch_size, config.epochs, rng):
            part = torch.from_numpy(rows).to(features.device)
            errors.append(self._step_critics(features[part], taken[part], wanted[part]))
            self.gradient_steps += 1
            if int(self.gradient_steps) % config.policy_delay == 0:
                self._step_actor(features[part])
                follow(self.targets, self.critics, config.target_rate)
                follow(self.target_actor, self.actor, config.target_rate)
        return float(torch.stack(errors).mean())

    def _step_actor(self, features: Tensor) -> None:
        """A gradient step of the actor up the first critic (the deterministic policy gradient)."""
        self.critics.requires_grad_(False)
        joined = torch.cat([features, torch.tanh(self.actor(features))], dim=1)
        self.optimizer.zero_grad()
        (-self.critics[0](joined).mean()).backward()
        self.optimizer.step()
        self.critics.requires_grad_(True)
