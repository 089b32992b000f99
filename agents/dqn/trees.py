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
    """One ensemble over the features of an observation whose outputs are Q of the A actions.

    An :class:`optgap.agents.dqn.agent.ActionValues`. The target is the ensemble's first trees: how many is all that
    has to be remembered. The error of a row's action is the gradient at that output, and zero at the others.
    """

    target_trees: torch.Tensor  # () int64

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.spaces.Discrete, config: GBTDQNConfig
    ) -> None:
        super().__init__()
        self.config, self.features = config, FeatureMap(observation_space)
        categorical, actions = self.features.categorical, int(action_space.n)
        head = OptimizerConfig(0, actions, learning_rate=config.learning_rate)
        self.models = {"values": GBTModel(len(categorical), actions, config.tree(), [head], categorical=categorical)}
        self.register_buffer("target_trees", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam([{"params": []}])

    def predict(self, observations: Tree) -> F32:
        with one_line():
            return self.models["values"].predict(self.features.rows(observations))

    def pair(self, observations: Tree) -> tuple[F32, F32]:
        then, now = outputs_then_and_now(
            self.models["values"], self.features.rows(observations), int(self.target_trees)
        )
        return now, then

    def fit(self, observations: Tree, actions: NDArray[np.int64], targets: F32, rng: np.random.Generator) -> float:
        config, model = self.config, self.models["values"]
        self._rows = self.features.rows(observations)
        minibatches = list(parts(len(targets), config.minibatch_size, config.epochs, rng))
        with one_line():
            return descend(model, model.bin(self._rows), targets, actions, minibatches)

    def follow(self) -> None:
        model = self.models["values"]
        keep_bounded(model, self._rows, self.config.max_trees)
        self.target_trees.fill_(model.n_trees)
