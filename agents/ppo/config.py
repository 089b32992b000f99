"""Hyperparameters of proximal policy optimization."""

from __future__ import annotations

from dataclasses import dataclass, field

from optgap.co.core import InputError


@dataclass
class PPOHyperparameters:
    """What every implementation of PPO understands. Symbols are those of Schulman et al. 2017 (arXiv 1707.06347).

    At every ``checkpoint_interval``-th update all environments are reset (which makes a resumed run equal to an
    uninterrupted one), so ``checkpoint_interval * rollout_length`` should be many times an episode's length.

    Raises:
        InputError: a value is out of its range.
    """

    num_envs: int = 8
    """Copies of the environment that play in parallel (N)."""
    rollout_length: int = 128
    """Steps of each environment between two updates (T)."""
    gamma: float = 0.99
    """Discount factor, in [0, 1]."""
    gae_lambda: float = 0.95
    """Lambda of generalized advantage estimation, in [0, 1]."""
    clip_range: float = 0.2
    """Epsilon of equation 7."""
    epochs: int = 10
    """Passes over a rollout (K)."""
    minibatch_size: int = 256
    """At most so many transitions in a gradient step (M)."""
    learning_rate: float = 3e-4
    """Step size of Adam."""
    learning_rate_schedule: str = "constant"
    """"constant", or "linear": to 0 at the last step that ``learn`` was asked for."""
    entropy_coefficient: float = 0.0
    """c2 of equation 9."""
    value_coefficient: float = 0.5
    """c1 of equation 9."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalize_advantage: bool = True
    """Standardize the advantages of each minibatch."""
    target_kl: float | None = None
    """An update ends early once the approximate KL divergence from the acting policy exceeds 1.5 times this."""
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers."""
    checkpoint_interval: int = 20
    """Updates from one checkpoint to the next."""

    def __post_init__(self) -> None:
        for name in ("num_envs", "rollout_length", "epochs", "minibatch_size", "checkpoint_interval"):
            self._require(name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("clip_range", "learning_rate", "max_grad_norm"):
            self._require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("gamma", "gae_lambda"):
            self._require(name, 0 <= getattr(self, name) <= 1, "a number in [0, 1]")
        for name in ("entropy_coefficient", "value_coefficient"):
            self._require(name, getattr(self, name) >= 0, "a number of at least 0")
        self._require("target_kl", self.target_kl is None or self.target_kl > 0, "null or a number above 0")
        self._require("hidden_sizes", all(size >= 1 for size in self.hidden_sizes), "integers of at least 1")
        schedules = ("constant", "linear")
        self._require("learning_rate_schedule", self.learning_rate_schedule in schedules, "constant or linear")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"{type(self).__name__}: {name} is {getattr(self, name)!r}; expected {expected}")

    def learning_rate_at(self, steps: int, total_steps: int) -> float:
        """Step size after ``steps`` of ``total_steps`` environment steps."""
        if self.learning_rate_schedule == "constant":
            return self.learning_rate
        return self.learning_rate * max(0.0, 1.0 - steps / total_steps)


@dataclass
class PPOConfig(PPOHyperparameters):
    """PPO of :mod:`optgap.agents.ppo.agent`."""

    policy: str = "optgap.agents.nn.mlp:MLPActorCritic"
    """Import string of a torch module: ``policy(observation_space, action_space, config)``, whose ``forward`` takes an
    observation (a tensor (B, ...) or a dict of them) and returns the parameters of the action distribution (B, P) (see
    :func:`optgap.agents.nn.distributions.action_interface`) and the values (B,). Adam moves it, unless it is an
    :class:`optgap.agents.common.approximator.Approximator` itself."""
    normalize_reward: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""


@dataclass
class GraphPPOConfig(PPOConfig):
    """PPO with message passing over the job shop's graph of operations.

    The return is minus the makespan, so nothing is discounted, and rewards are scaled because makespans are hundreds.
    """

    policy: str = "optgap.agents.nn.job_shop:JobShopActorCritic"
    num_envs: int = 64
    rollout_length: int = 64
    gamma: float = 1.0
    gae_lambda: float = 0.98
    epochs: int = 4
    minibatch_size: int = 2048  # every minibatch encodes each of its instances once, so few large ones are cheapest
    learning_rate: float = 1e-3
    entropy_coefficient: float = 0.01
    normalize_reward: bool = True
    checkpoint_interval: int = 25
    width: int = 32
    """Of an operation's encoding."""
    layers: int = 2
    """Rounds of message passing."""
    hidden: int = 128
    """Width of the scoring and value networks (``hidden_sizes`` belongs to perceptrons and is not read)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "layers", "hidden"):
            self._require(name, getattr(self, name) >= 1, "an integer of at least 1")
