"""Hyperparameters of the agents that learn with boosted trees."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.a2c.config import A2CConfig
from optgap.agents.awr.config import AWRConfig
from optgap.agents.common.on_policy_config import require
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.gbt.growth import GrowthSettings
from optgap.agents.ppo.config import PPOConfig
from optgap.agents.sac.config import SACConfig
from optgap.gbrl.config import KINDS, OptimizerConfig


@dataclass
class TreeSettings(GrowthSettings):
    """Policy and value are boosted trees (Fuhrer et al. 2024, arXiv 2407.08250): a tree a gradient step.

    Every row of a minibatch gives the gradient of its own loss at the trees' outputs, and a new tree is fitted to them;
    ``learning_rate`` is how far it moves the parameters of the action distribution.
    """

    policy: str = "optgap.agents.gbt.actor_critic:TreeActorCritic"
    learning_rate: float = 0.05
    max_grad_norm: float = 100.0
    """The gradient of a row, at the distribution's parameters and at the value, is scaled down to this norm."""
    value_rate: float = 0.01
    """How far a tree moves the value; follows the schedule of ``learning_rate``."""
    shared_trees: bool = True
    """One tree for policy and value, or a tree each (half as fast, and neither splits for the other)."""
    max_trees: int | None = None
    """At twice this number an ensemble is distilled into so many, so that acting does not slow down; null: it grows on.

    Some hundreds at least: fewer tell fewer states apart. A checkpoint then holds 8192 earlier observations too.
    """
    optimizer: str = "sgd"
    """"sgd", or "adam": moments of a row's gradients over the trees, which then cannot be explained or exported."""
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
        if self.max_trees is not None:
            require(self, "max_trees", self.max_trees >= 1, "null or an integer of at least 1")
            require(self, "max_trees", self.optimizer == "sgd", "null where the optimizer is not sgd")
        require(self, "optimizer", self.optimizer in KINDS, " or ".join(KINDS))
        self.check_growth("learning_rate", "value_rate", "log_std_rate")

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
class GBTA2CConfig(TreeSettings, A2CConfig):
    """A2C with trees, one a rollout. Fields are those of :class:`TreeSettings` and of A2C."""

    rollout_length: int = 32
    gae_lambda: float = 0.95
    learning_rate: float = 0.3
    value_rate: float = 0.2
    normalize_advantage: bool = True
    min_leaf: int = 8
    checkpoint_interval: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_trees()


@dataclass
class GBTAWRConfig(TreeSettings, AWRConfig):
    """AWR with trees. Fields are those of :class:`TreeSettings` and of AWR.

    The means of Box actions need steps that are small against the variance, because weights, not clipped ratios, decide
    how far a row pulls: a tenth of this ``learning_rate`` or less.
    """

    num_envs: int = 16
    rollout_length: int = 128
    replay_size: int = 16_000
    beta: float = 0.3
    minibatch_size: int = 1024
    gradient_steps: int = 30
    value_rate: float = 0.1
    min_leaf: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_trees()


@dataclass
class GBTDQNConfig(GrowthSettings, DQNConfig):
    """Deep Q-learning with trees: few large gradient steps, a tree each."""

    policy: str = "optgap.agents.dqn.trees:TreeActionValues"
    rollout_length: int = 16
    n_steps: int = 5
    batch_size: int = 4096
    minibatch_size: int = 2048
    epochs: int = 4
    target_interval: int = 2
    """Updates for which targets are computed with the same first trees. With 1 these are all trees at every update, so that
    the choice of an action and its worth are of one mind, and double Q-learning does nothing; larger ones are steadier."""
    min_leaf: int = 20
    learning_rate: float = 0.3
    """Share of its mean error by which a leaf moves its rows."""
    max_trees: int = 500
    """At twice this number the ensemble is compressed to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("max_trees", self.max_trees >= 1, "an integer of at least 1")
        self.check_growth("learning_rate")


@dataclass
class GBTSACConfig(GrowthSettings, SACConfig):
    """Soft actor-critic with trees: few large gradient steps, a tree each (:mod:`optgap.agents.sac.trees`)."""

    policy: str = "optgap.agents.sac.trees:TreeSoftActorCritic"
    batch_size: int = 4096
    minibatch_size: int = 2048
    epochs: int = 3
    learning_rate: float = 0.2
    """Share of its mean error by which a leaf moves the critics at its rows."""
    policy_rate: float = 0.3
    """Share of a natural step that the policy takes."""
    temperature_rate: float = 0.02
    max_depth: int = 6
    min_leaf: int = 8
    policy_batch: int = 512
    """States that a tree of the policy is fitted to."""
    policy_steps: int = 1
    """Trees that an update adds to the policy."""
    action_pairs: int = 4
    """Pairs of actions tried in each of them."""
    max_trees: int = 500
    """At twice this number an ensemble is compressed to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("policy_batch", "policy_steps", "action_pairs", "max_trees"):
            self._require(name, getattr(self, name) >= 1, "an integer of at least 1")
        self.check_growth("learning_rate", "policy_rate")
