"""Action values as boosted trees."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.replay import parts
from optgap.agents.common.tensors import Tree
from optgap.agents.gbt.bounded import descend, keep_bounded, outputs_then_and_now
from optgap.agents.gbt.config import GBTDQNConfig
from optgap.agents.gbt.features import FeatureMap
from optgap.agents.gbt.tree_module import TreeModule, one_line
from optgap.gbrl.config import OptimizerConfig
from optgap.gbrl.model import GBTModel

F32 = NDArray[np.float32]


class TreeActionValues(TreeModule):
    """An ensemble over the features of an observation for Q of each of the A actions, fitted where it was taken.

    An :class:`optgap.agents.dqn.agent.ActionValues`. The targets are the ensembles' first trees: how many is all that
    has to be remembered. One ensemble with an output for each action, as the gbrl package has it, lets a leaf move an
    action by its share of the leaf's rows, so that one the policy has left is hardly corrected any more.
    """

    target_trees: torch.Tensor  # (A,) int64

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.spaces.Discrete, config: GBTDQNConfig
    ) -> None:
        super().__init__()
        self.config, self.features = config, FeatureMap(observation_space)
        categorical, actions = self.features.categorical, int(action_space.n)
        head = OptimizerConfig(0, 1, learning_rate=config.learning_rate)
        self.models = {
            f"action-{action}": GBTModel(len(categorical), 1, config.tree(), [head], categorical=categorical)
            for action in range(actions)
        }
        self.register_buffer("target_trees", torch.zeros(actions, dtype=torch.int64))
        self.optimizer = torch.optim.Adam([{"params": []}])

    def predict(self, observations: Tree) -> F32:
        rows = self.features.rows(observations)
        with one_line():
            return np.hstack([model.predict(rows) for model in self.models.values()])

    def pair(self, observations: Tree) -> tuple[F32, F32]:
        rows = self.features.rows(observations)
        found = [
            outputs_then_and_now(model, rows, int(trees))
            for model, trees in zip(self.models.values(), self.target_trees, strict=True)
        ]
        then, now = (np.hstack(columns) for columns in zip(*found, strict=True))
        return now, then

    def fit(self, observations: Tree, actions: NDArray[np.int64], targets: F32, rng: np.random.Generator) -> float:
        config, squares = self.config, 0.0
        self._rows = self.features.rows(observations)
        with one_line():
            for action, model in enumerate(self.models.values()):
                taken = np.flatnonzero(actions == action)
                if not len(taken):
                    continue
                # As many trees for each action, though its share of the transitions is small.
                size = -(-len(taken) * config.minibatch_size // len(targets))
                minibatches = list(parts(len(taken), size, config.epochs, rng))
                error = descend(model, model.bin(self._rows[taken]), targets[taken], minibatches)
                squares += error * len(taken)
        return squares / len(targets)

    def follow(self) -> None:
        for action, model in enumerate(self.models.values()):
            keep_bounded(model, self._rows, self.config.max_trees)
            self.target_trees[action] = model.n_trees
