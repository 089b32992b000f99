"""Hyperparameters of agents that explore by bonuses, and the environment that such an agent plays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from optgap.agents.a2c.config import A2CConfig
from optgap.agents.common.on_policy_config import require
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.ppo.config import PPOConfig

STATIONARY = ("count", "first-visit", "e3b", "smax")
"""Bonuses whose sufficient statistic is finite."""
MAPPED = ("count", "first-visit")
"""Those whose statistic is a map of visits."""
COUNTED = (*STATIONARY, "knn")
"""Bonuses that the environment's wrapper gives."""
LEARNED = ("rnd", "icm", "disagreement")
"""Bonuses that a network gives."""


@dataclass(frozen=True)
class IntrinsicConfig:
    """An environment whose ``info`` has the bonus of each step; with ``sofe`` its statistic is observed.

    The reward stays the environment's own. Everything else that the plain configuration has, this one has too. It is
    made from an agent's configuration, so a checkpoint keeps the plain one alone.
    """

    plain: Any
    """The environment's configuration."""
    bonus: str
    sofe: bool
    episodic: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    statistic: Mapping[str, NDArray[Any]] | None = field(default=None, compare=False)
    """What a lifetime bonus knows when an environment is made; None: nothing."""

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """One environment."""
        from optgap.envs.wrappers.intrinsic import IntrinsicReward

        env = IntrinsicReward(self.plain.make(**overrides), **self._arguments())
        if self.statistic is not None:
            env.restore_statistic({name: np.array(array) for name, array in self.statistic.items()})
        return env

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """``num_envs`` copies, autoreset mode NEXT_STEP."""
        from optgap.envs.wrappers.intrinsic import IntrinsicRewardVector

        env = IntrinsicRewardVector(self.plain.make_vec(num_envs, **overrides), **self._arguments())
        if self.statistic is not None:
            env.restore_statistic({name: np.array(array) for name, array in self.statistic.items()})
        return env

    def _arguments(self) -> dict[str, Any]:
        named = {"bonus": self.bonus, "coefficient": 0.0, "sofe": self.sofe, "episodic": self.episodic}
        return named | dict(self.options)

    def __getattr__(self, name: str) -> Any:
        if name == "plain" or name.startswith("__"):  # asked before there is one, by copy and pickle
            raise AttributeError(name)
        return getattr(self.plain, name)


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))


TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (_whole, "an integer"),
    "float": (_finite, "a finite number"),
    "str": (lambda value: isinstance(value, str), "a name"),
    "list[int]": (lambda value: isinstance(value, list | tuple) and all(map(_whole, value)), "a list of integers"),
    "dict[str, Any]": (lambda value: isinstance(value, Mapping) and all(isinstance(k, str) for k in value),
                       "values by name"),
}  # fmt: skip
"""What the fields below may be, by their annotations."""


@dataclass
class Exploration:
    """What agents that explore by a bonus add to others.

    Raises:
        InputError: a value is out of its range, or the bonus has no finite statistic that could be observed.
    """

    bonus: str = "count"
    """"none"; of visits: "count", "first-visit", "e3b", "smax", "knn"; of networks: "rnd", "icm", "disagreement"."""
    sofe: bool = False
    """Observe the bonus's sufficient statistic (Castanyer et al. 2024, arXiv 2310.18144)."""
    centred: bool = True
    """Turn a map of visits so that the agent is in its middle: what is beside it then stands in the same entries everywhere."""
    episodic: bool = True
    """Whether the statistic of visits begins anew in each episode, or is one over all copies and episodes."""
    bonus_options: dict[str, Any] = field(default_factory=dict)
    """Parameters of a bonus of visits, by name: "ridge" and "features" of "e3b", "neighbours" and "memory" of "knn"."""
    bonus_coefficient: float = 1.0
    """Weight of the bonus."""
    extrinsic_coefficient: float = 1.0
    """Weight of the environment's reward."""
    normalize_bonus: bool = False
    """Divide bonuses by the running standard deviation of their discounted sum (arXiv 1810.12894, section 2.4)."""
    intrinsic_gamma: float = 0.99
    """Discount factor of bonuses where they have a value head of their own, and of :attr:`normalize_bonus`."""
    bonus_hidden_sizes: list[int] = field(default_factory=lambda: [128, 128])
    """Widths of the hidden layers of a bonus that is learned."""
    bonus_features: int = 64
    """Outputs of its random or learned features."""
    bonus_length: float = 0.5
    """RND: on which the target varies, in units of the distance of two independent observations: the less, the more
    local is what is known."""
    bonus_columns: list[int] = field(default_factory=list)
    """Columns of the flattened observation that a learned bonus sees, from the end where below 0; empty: all. Where an
    observation says much that is new everywhere (a lidar, say), those that say where the agent is."""
    bonus_learning_rate: float = 1e-3
    """Its step size."""
    bonus_epochs: int = 4
    """Its passes over the part of a rollout that it learns from."""
    bonus_share: float = 0.25
    """That part, in (0, 1]: bonuses of many copies would vanish too fast if all of it were learned from."""
    bonus_minibatch_size: int = 256
    """At most so many transitions in one of its gradient steps."""

    def check_exploration(self) -> None:
        """Raise an :class:`InputError` where a value is out of its range."""
        for each in (*fields(Exploration), *fields(TwoHeads)):
            if hasattr(self, each.name):
                fits, expected = TYPES[str(each.type)]
                require(self, each.name, fits(getattr(self, each.name)), expected)
        known = ("none", *COUNTED, *LEARNED)
        require(self, "bonus", self.bonus in known, f"one of {', '.join(known)}")
        require(self, "sofe", not self.sofe or self.bonus in STATIONARY, f"false with bonus {self.bonus!r}, which has no "
                f"finite statistic; {', '.join(STATIONARY)} have")  # fmt: skip
        own = self.bonus in COUNTED and self.bonus_options.keys().isdisjoint(
            ("bonus", "coefficient", "sofe", "episodic")
        )
        expected = f"parameters of bonus {self.bonus!r} itself, and none unless it is one of visits"
        require(self, "bonus_options", own or not self.bonus_options, expected)
        for name in ("bonus_coefficient", "extrinsic_coefficient"):
            require(self, name, 0 <= getattr(self, name) < math.inf, "a number of at least 0")
        require(self, "intrinsic_gamma", 0 <= self.intrinsic_gamma <= 1, "a number in [0, 1]")
        sizes = self.bonus_hidden_sizes
        require(self, "bonus_hidden_sizes", bool(sizes) and min(sizes) >= 1, "one or more integers of at least 1")
        for name in ("bonus_features", "bonus_epochs", "bonus_minibatch_size"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("bonus_learning_rate", "bonus_length"):
            require(self, name, getattr(self, name) > 0, "a number above 0")
        require(self, "bonus_share", 0 < self.bonus_share <= 1, "a number in (0, 1]")
        columns = self.bonus_columns
        require(self, "bonus_columns", len(set(columns)) == len(columns), "different integers")


@dataclass
class TwoHeads:
    """How an actor-critic combines rewards and bonuses."""

    two_headed: bool = False
    """Give bonuses a value head, a discount factor and advantages of their own, and add up advantages (arXiv
    1810.12894, section 2.3); otherwise rewards and bonuses are added up."""
    intrinsic_episodic: bool = True
    """Whether the value of bonuses ends with an episode, or goes on into the next one. With two heads alone."""


@dataclass
class ExploringPPOConfig(PPOConfig, Exploration, TwoHeads):
    """PPO that explores by a bonus."""

    policy: str = "optgap.agents.exploration.policies:StatisticActorCritic"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_exploration()


@dataclass
class RNDPPOConfig(ExploringPPOConfig):
    """Random network distillation as published (Burda et al. 2019, arXiv 1810.12894, table 4), on perceptrons."""

    bonus: str = "rnd"
    two_headed: bool = True
    intrinsic_episodic: bool = False
    gamma: float = 0.999
    intrinsic_gamma: float = 0.99
    extrinsic_coefficient: float = 2.0
    bonus_coefficient: float = 1.0
    normalize_bonus: bool = True
    num_envs: int = 32
    epochs: int = 4
    minibatch_size: int = 1024
    clip_range: float = 0.1
    learning_rate: float = 1e-4
    entropy_coefficient: float = 0.001
    normalize_observation: bool = True
    bonus_share: float = 1.0  # the paper's for 32 copies; 0.25 for 128


@dataclass
class SOFEPPOConfig(ExploringPPOConfig):
    """PPO that sees its own visits (Castanyer et al. 2024, arXiv 2310.18144)."""

    bonus: str = "count"
    sofe: bool = True


@dataclass
class ExploringA2CConfig(A2CConfig, Exploration, TwoHeads):
    """A2C that explores by a bonus."""

    policy: str = "optgap.agents.exploration.policies:StatisticActorCritic"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_exploration()


@dataclass
class SOFEA2CConfig(ExploringA2CConfig):
    """A2C that sees its own visits."""

    bonus: str = "count"
    sofe: bool = True


@dataclass
class DeRLA2CConfig(ExploringA2CConfig):
    """Decoupled reinforcement learning with the settings that its authors found best on Deep Sea."""

    bonus: str = "count"
    episodic: bool = False
    num_envs: int = 4
    rollout_length: int = 5
    learning_rate: float = 1e-3
    entropy_coefficient: float = 1e-4
    checkpoint_interval: int = 2500
    exploiter_entropy_coefficient: float = 1e-6
    """Weight of the exploiter's entropy in its loss."""
    importance_clip: float = 1.0
    """Largest importance weight of the exploiter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "two_headed", not self.two_headed, "false: the explorer learns from sums of rewards and bonuses")
        require(self, "importance_clip", self.importance_clip > 0, "a number above 0")
        require(
            self, "exploiter_entropy_coefficient", self.exploiter_entropy_coefficient >= 0, "a number of at least 0"
        )


@dataclass
class ExploringDQNConfig(DQNConfig, Exploration):
    """Deep Q-learning that explores by a bonus. What is remembered is the reward with the bonus of that time."""

    policy: str = "optgap.agents.exploration.policies:StatisticQNetwork"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_exploration()


@dataclass
class SOFEDQNConfig(ExploringDQNConfig):
    """Deep Q-learning that sees its own visits."""

    bonus: str = "count"
    sofe: bool = True
