"""Hyperparameters of asynchronous SAC and TD3."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.asynchronous.engine import ENGINES
from optgap.agents.common.field_types import require_types
from optgap.agents.common.on_policy_config import require
from optgap.agents.sac.config import SACConfig
from optgap.agents.td3.config import TD3Config
from optgap.co.core import InputError

ACTORS_LIMIT = 1024  # each is a process, and all of them are started before the first update


@dataclass
class AsynchronousSettings:
    """Who plays, and when the learner updates; see :mod:`optgap.agents.asynchronous.learner`."""

    engine: str = "processes"
    """``processes`` of this machine, or ``ray``."""
    address: str | None = None
    """Of a Ray cluster, ``host:port``, ``ray://host:port`` or ``auto``; null: Ray is started on this machine."""
    actors: int = 4
    """Processes that play."""
    envs_per_actor: int = 1
    """Copies of the environment that each of them steps as one batch."""
    num_envs: int = 0
    """The same as ``envs_per_actor``, from which it is taken."""
    update_ratio: float = 1.0
    """Gradient steps of the critics to one environment step; where the learner cannot keep up, actors wait."""
    queue: int = 16
    """Rollouts that may wait for the learner."""
    publish_interval: int = 1
    """Updates from one publication of the policy to the next."""
    heartbeat_seconds: float = 60.0
    """An actor that does not finish a step of its environments in that time is taken for hung and started anew."""
    batch_size: int = 1024

    def check_asynchronous(self) -> None:
        """Raise an :class:`InputError` where a value is out of its range."""
        require_types(self)
        require(self, "actors", self.actors <= ACTORS_LIMIT, f"at most {ACTORS_LIMIT}")
        for name in ("actors", "envs_per_actor", "queue", "publish_interval"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("update_ratio", "heartbeat_seconds"):
            require(self, name, getattr(self, name) > 0, "a number above 0")
        require(self, "num_envs", self.num_envs in (0, self.envs_per_actor), "nothing; envs_per_actor says it")
        self.num_envs = self.envs_per_actor
        if self.engine not in ENGINES:
            raise InputError(f"{type(self).__name__}: engine is {self.engine!r}; expected {' or '.join(ENGINES)}")
        taken = self.address is None or self.engine == "ray"
        require(self, "address", taken, f"null with engine={self.engine}, which knows no address")


@dataclass
class APTSACConfig(AsynchronousSettings, SACConfig):
    """Asynchronous soft actor-critic.

    Raises:
        InputError: a value is out of its range.
    """

    def __post_init__(self) -> None:
        self.check_asynchronous()
        super().__post_init__()


@dataclass
class APTTD3Config(AsynchronousSettings, TD3Config):
    """Asynchronous TD3.

    Raises:
        InputError: a value is out of its range.
    """

    def __post_init__(self) -> None:
        self.check_asynchronous()
        super().__post_init__()
