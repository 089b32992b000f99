"""Hyperparameters of proximal policy optimization."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters, PolicySettings, require


@dataclass
class ClippedSurrogate:
    """What PPO adds to other on-policy agents. Symbols are those of Schulman et al. 2017 (arXiv 1707.06347)."""

    clip_range: float = 0.2
    """Epsilon of equation 7."""
    epochs: int = 10
    """Passes over a rollout (K)."""
    minibatch_size: int = 256
    """At most so many transitions in a gradient step (M)."""
    target_kl: float | None = None
    """An update ends early once the approximate KL divergence from the acting policy exceeds 1.5 times this."""

    def check_surrogate(self) -> None:
        """Raise an :class:`InputError` where a value is out of its range."""
        for name in ("epochs", "minibatch_size"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        require(self, "clip_range", self.clip_range > 0, "a number above 0")
        require(self, "target_kl", self.target_kl is None or self.target_kl > 0, "null or a number above 0")


@dataclass
class PPOConfig(OnPolicyHyperparameters, ClippedSurrogate, PolicySettings):
    """PPO of :mod:`optgap.agents.ppo.agent`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_surrogate()


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
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
