"""Policy and value as boosted trees: every gradient step fits one tree to the gradients of its rows' losses."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.approximator import Outputs
from optgap.agents.common.tensors import Tree, map_tree
from optgap.agents.gbt.bounded import keep_bounded, remember
from optgap.agents.gbt.config import TreeSettings
from optgap.agents.gbt.features import FeatureMap
from optgap.agents.gbt.tree_module import TreeModule, one_line
from optgap.agents.nn.distributions import action_interface
from optgap.gbrl.config import OptimizerConfig
from optgap.gbrl.model import Cache, GBTModel
from optgap.gbrl.recall import Recall

SAMPLE = 8192  # rows of earlier updates that a bounded ensemble is held to


class TreeActorCritic(TreeModule):
    """Trees over the features of an observation (:class:`FeatureMap`): distribution parameters (B, P), then the value.

    An :class:`optgap.agents.common.approximator.Approximator`. A loss that is a mean over M rows, ``1/M sum_i l_i``, has
    at the outputs of row i the gradient ``1/M dl_i/dtheta_i``; M times that is what the tree is fitted to, and a leaf
    moves its rows by minus the learning rate times their mean gradient (arXiv 2407.08250, section 3). The rows of an
    update are binned once, and a new tree alone is added to their outputs.

    The trees give all P parameters, or the means of a Box action alone, whose log standard deviations are then a
    parameter of their own that Adam moves.
    """

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any], config: TreeSettings) -> None:
        super().__init__()
        self.config = config
        self.features = FeatureMap(observation_space)
        parameters = action_interface(action_space).parameters
        box = isinstance(action_space, gym.spaces.Box)
        means = parameters // 2 if box else parameters
        self.log_std: nn.Parameter | None = None
        bias = np.zeros(parameters + 1, np.float32)
        heads = [config.head(0, means, config.learning_rate)]
        if box and config.predicted_std:
            bias[means:parameters] = config.log_std
            heads.append(config.head(means, parameters, config.log_std_rate))
        elif box:
            self.log_std = nn.Parameter(torch.full((means,), config.log_std))
            parameters, bias = means, bias[means:]
        value = config.head(parameters, parameters + 1, config.value_rate)
        if config.shared_trees:
            self.models = {"trees": self._model([*heads, value], bias)}
        else:
            alone = config.head(0, 1, config.value_rate)
            self.models = {"policy": self._model(heads, bias[:-1]), "value": self._model([alone], bias[-1:])}
        self._caches: list[Cache] = []
        # Few categories come again, and then only new trees are walked; numbers hardly ever do.
        recalls = bool(self.features.categorical.all())
        self._predictors = [Recall(model) if recalls else model for model in self.models.values()]
        self._rates = {name: [head.learning_rate for head in model.optimizers] for name, model in self.models.items()}
        self.place: Tensor
        self.sample: Tensor
        self.came: Tensor
        self.register_buffer("place", torch.empty(0), persistent=False)  # is where the module is
        if config.max_trees is not None:
            self.register_buffer("sample", torch.zeros(SAMPLE, self.features.n_features))  # of the rows of all updates
            self.register_buffer("came", torch.zeros((), dtype=torch.int64))  # that it is a sample of
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            [{"params": list(self.parameters())}], lr=config.log_std_rate, eps=1e-5
        )

    def predict(self, observations: Tree) -> Outputs:
        rows = self.features.rows(observations)
        with one_line():
            found = [predictor.predict(rows) for predictor in self._predictors]
        with torch.no_grad():
            return self._outputs(torch.from_numpy(np.hstack(found)).to(self.place.device))

    def hold(self, observations: Tree, kept: int = 0) -> Tree:
        rows = self.features.rows(map_tree(lambda tensor: tensor.cpu(), observations))
        with one_line():
            self._rows = next(iter(self.models.values())).bin(rows)  # features are binned alike for every model
            if kept:
                for cache in self._caches:
                    cache.slide(kept, rows[kept:])
            else:
                self._caches = [model.cache(self._rows) for model in self.models.values()]
        return torch.arange(len(rows), device=self.place.device)

    def observe(self, observations: Tree) -> None:
        """Keep the number of trees bounded, after an update on ``observations``: what acts next is what will be updated."""
        if self.config.max_trees is None:
            return
        rows = self.features.rows(map_tree(lambda tensor: tensor.cpu(), observations))
        sample, came = self.sample.cpu().numpy(), int(self.came)
        if any(model.n_trees >= 2 * self.config.max_trees for model in self.models.values()):
            reference = np.concatenate([sample[:came], rows])
            with one_line():
                for model in self.models.values():
                    keep_bounded(model, reference, self.config.max_trees)
        remember(sample, rows, came)
        self.sample.copy_(torch.from_numpy(sample))
        self.came += len(rows)

    def evaluate(self, held: Tree) -> Outputs:
        self._chosen = held.cpu().numpy()
        found = np.hstack([cache.outputs[self._chosen] for cache in self._caches])
        self._leaf = torch.from_numpy(found).to(self.place.device).requires_grad_()
        return self._outputs(self._leaf)

    def minimize(self, loss: Tensor, learning_rate: float) -> None:
        share = learning_rate / self.config.learning_rate
        loss.backward()
        assert self._leaf.grad is not None, "minimize follows evaluate"
        gradients = (self._leaf.grad * len(self._leaf)).cpu().numpy()
        for part in (gradients[:, :-1], gradients[:, -1:]):
            norms = np.linalg.norm(part, axis=1, keepdims=True)
            part *= self.config.max_grad_norm / np.maximum(norms, self.config.max_grad_norm)
        batch, first = self._rows.take(self._chosen), 0
        with one_line():
            for (name, model), cache in zip(self.models.items(), self._caches, strict=True):
                last = first + model.n_outputs
                for head, rate in zip(model.optimizers, self._rates[name], strict=True):
                    head.learning_rate = share * rate
                model.step(batch, gradients[:, first:last])
                cache.update()
                first = last
        if self.log_std is not None:  # a step of an optimizer that moves nothing takes as long as half a tree
            for group in self.optimizer.param_groups:
                group["lr"] = share * self.config.log_std_rate
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _outputs(self, outputs: Tensor) -> Outputs:
        parameters, values = outputs[:, :-1], outputs[:, -1]
        if self.log_std is not None:
            parameters = torch.cat([parameters, self.log_std.expand_as(parameters)], dim=-1)
        return Outputs(parameters, values)

    def _model(self, heads: list[OptimizerConfig], bias: NDArray[np.float32]) -> GBTModel:
        categorical = self.features.categorical
        return GBTModel(len(categorical), len(bias), self.config.tree(), heads, bias=bias, categorical=categorical)
