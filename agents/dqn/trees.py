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
from optgap.co.core import InputError
from optgap.gbrl.config import OptimizerConfig
from optgap.gbrl.model import GBTModel

F32 = NDArray[np.float32]


class TreeActionValues(TreeModule):
    """One ensemble over (observation, action) for Q, the action being a categorical feature.

    An :class:`optgap.agents.dqn.agent.ActionValues`. The target is the ensemble's first trees: how many is all that has
    to be remembered. An output for each action, as the gbrl package has it, lets a leaf move an action by its share of
    the leaf's rows, so that one the policy has left is hardly corrected any more; with an ensemble for each action, one
    that is seldom taken has too few rows to tell states apart. Here a leaf that does not ask for the action moves all of
    them, and one that does moves it by the mean of its own errors.

    Raises:
        InputError: more actions than bins.
    """

    target_trees: torch.Tensor  # () int64

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.spaces.Discrete, config: GBTDQNConfig
    ) -> None:
        super().__init__()
        self.config, self.features, self.actions = config, FeatureMap(observation_space), int(action_space.n)
        if self.actions > config.n_bins:
            raise InputError(f"{self.actions} actions; expected at most n_bins = {config.n_bins}")
        categorical = np.append(self.features.categorical, True)
        head = OptimizerConfig(0, 1, learning_rate=config.learning_rate)
        self.models = {"values": GBTModel(len(categorical), 1, config.tree(), [head], categorical=categorical)}
        self.register_buffer("target_trees", torch.zeros((), dtype=torch.int64))
        self.optimizer = torch.optim.Adam([{"params": []}])

    def predict(self, observations: Tree) -> F32:
        with one_line():
            return self.models["values"].predict(self._each_action(observations)).reshape(-1, self.actions)

    def pair(self, observations: Tree) -> tuple[F32, F32]:
        model, rows = self.models["values"], self._each_action(observations)
        then, now = outputs_then_and_now(model, rows, int(self.target_trees))
        return now.reshape(-1, self.actions), then.reshape(-1, self.actions)

    def fit(self, observations: Tree, actions: NDArray[np.int64], targets: F32, rng: np.random.Generator) -> float:
        config, model = self.config, self.models["values"]
        self._observations = observations
        rows = np.column_stack([self.features.rows(observations), actions.astype(np.float32)])
        minibatches = list(parts(len(targets), config.minibatch_size, config.epochs, rng))
        with one_line():
            return descend(model, model.bin(rows), targets, minibatches)

    def follow(self) -> None:
        model = self.models["values"]
        keep_bounded(model, self._each_action(self._observations), self.config.max_trees)
        self.target_trees.fill_(model.n_trees)

    def _each_action(self, observations: Tree) -> F32:
        """(B A, F + 1): every observation with each of the actions."""
        rows = self.features.rows(observations)
        each = np.tile(np.arange(self.actions, dtype=np.float32), len(rows))
        return np.column_stack([np.repeat(rows, self.actions, axis=0), each])
