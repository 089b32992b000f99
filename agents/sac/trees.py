"""Policy and twin critics as boosted trees.

Q is a function of the observation's features and the action's numbers, so any shape of it can be learned. Trees have no
derivative by the action, so the policy climbs along the natural gradient of the soft actor-critic's own objective
``J = E[min_i Q_i(s, a) - alpha log pi(a | s)]``, estimated from the critics' values at 2 k sampled actions a state: with
``u = mean + std * e`` before tanh and ``f = min_i Q_i - alpha log pi``, centred over a state's actions,

    natural gradient of J at the mean = std * E[e f],   at log std = E[(e^2 - 1) f] / 2   (Williams 1992; Amari 1998).

The noise comes in pairs e and -e. In units of alpha this is Newton's step towards ``pi = exp(Q / alpha)`` where Q is
quadratic (Khan & Lin 2017), so a rate below 1 is one that holds for rewards of any size; a state's step is cut to the
length of one standard deviation. (The gbrl package instead has trees give the coefficients of a linear, a quadratic or a
tanh function of the action, through which it differentiates: those know one hump along one direction at most.)
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree
from optgap.agents.gbt.bounded import descend, keep_bounded, outputs_then_and_now
from optgap.agents.gbt.config import GBTSACConfig
from optgap.agents.gbt.features import FeatureMap
from optgap.agents.gbt.tree_module import TreeModule, one_line
from optgap.agents.sac.squashed import LEAST_LOG_STD, MOST_LOG_STD, squashed
from optgap.gbrl.config import OptimizerConfig
from optgap.gbrl.model import GBTModel

F32 = NDArray[np.float32]
CRITICS = ("first", "second")


class TreeSoftActorCritic(TreeModule):
    """Trees for the policy's means and log standard deviations, and two ensembles over (observation, action) for Q.

    An :class:`optgap.agents.sac.agent.SoftActorCritic`. The twins see the same transitions in other minibatches. Their
    targets are their first trees: how many is all that has to be remembered.
    """

    target_trees: torch.Tensor  # (2,) int64

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.spaces.Box, config: GBTSACConfig) -> None:
        super().__init__()
        self.config, self.features = config, FeatureMap(observation_space)
        self.size = math.prod(action_space.shape)
        seen = self.features.categorical
        both = np.concatenate([seen, np.zeros(self.size, np.bool_)])
        tree = config.tree()
        parameters = OptimizerConfig(0, 2 * self.size, learning_rate=config.policy_rate)
        value = OptimizerConfig(0, 1, learning_rate=config.learning_rate)
        self.models = {"policy": GBTModel(len(seen), 2 * self.size, tree, [parameters], categorical=seen)}
        self.models |= {name: GBTModel(len(both), 1, tree, [value], categorical=both) for name in CRITICS}
        self.register_buffer("target_trees", torch.zeros(2, dtype=torch.int64))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.optimizer = torch.optim.Adam([self.log_temperature], lr=config.temperature_rate)

    def sample(self, observations: Tree, rng: np.random.Generator | None) -> tuple[F32, F32]:
        with one_line():
            parameters = self.models["policy"].predict(self.features.rows(observations))
        shape = (len(parameters), self.size)
        noise = np.zeros(shape) if rng is None else rng.standard_normal(shape)
        actions, log_densities = squashed(torch.from_numpy(parameters), torch.from_numpy(noise.astype(np.float32)))
        return actions.numpy(), log_densities.numpy()

    def worth(self, observations: Tree, actions: F32) -> F32:
        rows = np.hstack([self.features.rows(observations), actions])
        found = [
            outputs_then_and_now(self.models[name], rows, int(trees))[0]
            for name, trees in zip(CRITICS, self.target_trees, strict=True)
        ]
        least: F32 = np.hstack(found).min(axis=1)
        return least

    def fit(self, observations: Tree, actions: F32, targets: F32, rng: np.random.Generator) -> float:
        config, errors = self.config, []
        self._rows = np.hstack([self.features.rows(observations), actions])
        with one_line():
            binned = self.models["first"].bin(self._rows)
            for name in CRITICS:
                minibatches = list(parts(len(targets), config.minibatch_size, config.epochs, rng))
                errors.append(descend(self.models[name], binned, targets, minibatches))
        return float(np.mean(errors))

    def improve(self, observations: Tree, temperature: float, rng: np.random.Generator) -> float:
        config, policy = self.config, self.models["policy"]
        log_densities = []
        with one_line():
            for _ in range(config.policy_steps):
                rows = self._rows[rng.integers(len(self._rows), size=config.policy_batch), : policy.n_features]
                gradients, log_density = self._natural_gradient(rows, temperature, rng)
                policy.step(rows, -gradients)
                log_densities.append(log_density)
        return float(np.mean(log_densities))

    def follow(self) -> None:
        for name, model in self.models.items():
            keep_bounded(model, self._rows[:, : model.n_features], self.config.max_trees)
            if name in CRITICS:
                self.target_trees[CRITICS.index(name)] = model.n_trees

    def _natural_gradient(self, rows: F32, temperature: float, rng: np.random.Generator) -> tuple[F32, float]:
        """The module's docstring: (m, 2 d) in units of alpha, for states (m, F); the mean log-density."""
        m, k = len(rows), 2 * self.config.action_pairs
        parameters = np.repeat(self.models["policy"].predict(rows)[:, None], k, axis=1)
        half = rng.standard_normal((m, k // 2, self.size)).astype(np.float32)
        noise = np.concatenate([half, -half], axis=1)
        actions, log_densities = squashed(torch.from_numpy(parameters), torch.from_numpy(noise))
        pairs = np.hstack([np.repeat(rows, k, axis=0), actions.numpy().reshape(m * k, self.size)])
        values = np.hstack([self.models[name].predict(pairs) for name in CRITICS]).min(axis=1).reshape(m, k)
        gains = values / temperature - log_densities.numpy()
        gains -= gains.mean(axis=1, keepdims=True)
        at_mean = np.einsum("mkd,mk->md", noise, gains) / k
        at_log_std = np.einsum("mkd,mk->md", noise**2 - 1, gains) / (2 * k)
        steps = np.concatenate([at_mean, at_log_std], axis=1)
        steps /= np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1.0)
        log_std = parameters[:, 0, self.size :]
        steps[:, : self.size] *= np.exp(log_std.clip(LEAST_LOG_STD, MOST_LOG_STD))
        outside = np.where(steps[:, self.size :] > 0, log_std >= MOST_LOG_STD, log_std <= LEAST_LOG_STD)
        steps[:, self.size :] *= ~outside
        return steps, float(log_densities.mean())
