"""Hyperparameters of the agents that learn with boosted trees."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import require
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.gbt.growth import GrowthSettings
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.errors import GBTError


@dataclass
class TreeSettings:
    """Policy and value are boosted trees (Fuhrer et al. 2024, arXiv 2407.08250): a tree a gradient step.

    Every row of a minibatch gives the gradient of its own loss at the trees' outputs, and a new tree is fitted to them;
    ``learning_rate`` is how far it moves the parameters of the action distribution. ``hidden_sizes`` belongs to
    perceptrons and is not read.
    """

    policy: str = "optgap.agents.gbt.actor_critic:TreeActorCritic"
    learning_rate: float = 0.05
    max_grad_norm: float = 100.0
    """The gradient of a row, at the distribution's parameters and at the value, is scaled down to this norm."""
    value_rate: float = 0.01
    """How far a tree moves the value; follows the schedule of ``learning_rate``."""
    shared_trees: bool = True
    """One tree for policy and value, or a tree each (half as fast, and neither splits for the other)."""
    optimizer: str = "sgd"
    """"sgd", or "adam": moments of a row's gradients over the trees, which then cannot be explained or exported."""
    max_depth: int = 4
    """Splits from the root to a leaf, 1 to 12."""
    growth: str = "greedy"
    """"greedy", or "oblivious": all nodes of a level split alike."""
    score: str = "cosine"
    """What a split gains: "cosine" (gradients as they are) or "l2" (every output counts alike)."""
    n_bins: int = 256
    """Candidates of a split on a numeric feature, 2 to 256."""
    binning: str = "quantile"
    """Where they lie: "quantile" or "uniform"."""
    min_leaf: int = 1
    """Rows that a leaf holds at least."""
    nan_allowed: bool = False
    """Whether observations may hold NaN (missing numbers); where they go is learned."""
    predicted_std: bool = False
    """Box actions: the trees give the log standard deviations too; otherwise they are the same for every observation."""
    log_std: float = 0.0
    """Box actions: the log standard deviation before training."""
    log_std_rate: float = 3e-3
    """Box actions: step size of the log standard deviations, by Adam, or of the trees that predict them."""

    def check_trees(self) -> None:
        """Raise an :class:`InputError` where a value is out of its range."""
        for name in ("value_rate", "log_std_rate"):
            require(self, name, getattr(self, name) > 0, "a number above 0")
        try:
            self.tree()
            self.head(0, 1, self.learning_rate)
        except GBTError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None

    def tree(self) -> TreeConfig:
        """How a tree is grown."""
        names = ("max_depth", "growth", "score", "n_bins", "binning", "min_leaf", "nan_allowed")
        return TreeConfig(**{name: getattr(self, name) for name in names})

    def head(self, start: int, stop: int, rate: float) -> OptimizerConfig:
        """How the outputs ``start:stop`` follow the trees."""
        return OptimizerConfig(start, stop, self.optimizer, rate)


@dataclass
class GBTPPOConfig(TreeSettings, PPOConfig):
    """PPO with trees. Fields are those of :class:`TreeSettings` and of PPO."""

    num_envs: int = 16
    rollout_length: int = 256
    minibatch_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_trees()


@dataclass
class GBTDQNConfig(GrowthSettings, DQNConfig):
    """Deep Q-learning with trees: few large gradient steps, a tree each."""

    policy: str = "optgap.agents.dqn.trees:TreeActionValues"
    batch_size: int = 4096
    minibatch_size: int = 2048
    epochs: int = 4
    learning_rate: float = 0.3
    """Share of its mean error by which a leaf moves its rows."""
    max_trees: int = 500
    """At twice this number the ensemble is compressed to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("max_trees", self.max_trees >= 1, "an integer of at least 1")
        self.tree()
