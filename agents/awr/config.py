"""Hyperparameters of advantage-weighted regression."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import OnPolicyHyperparameters, PolicySettings, require


@dataclass
class AWRConfig(OnPolicyHyperparameters, PolicySettings):
    """AWR of :mod:`optgap.agents.awr.agent`. Symbols are those of Peng et al. 2019 (arXiv 1910.00177).

    ``gae_lambda`` is the lambda of TD(lambda). The replay begins anew where the environments do, at every
    ``checkpoint_interval``-th update, so that no file has to hold it.
    """

    num_envs: int = 8
    rollout_length: int = 256
    learning_rate: float = 1e-3
    checkpoint_interval: int = 50
    replay_size: int = 50_000
    """Transitions of the newest rollouts that an update learns from, at least one rollout (D)."""
    beta: float = 1.0
    """Temperature: the smaller, the more the best actions alone are imitated; in standard deviations of the advantage
    where ``normalize_advantage`` is set."""
    weight_max: float = 20.0
    """No transition weighs more."""
    minibatch_size: int = 256
    """At most so many transitions in a gradient step."""
    gradient_steps: int = 200
    """Gradient steps of an update, on minibatches of the replay in random order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("replay_size", "minibatch_size", "gradient_steps"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        for name in ("beta", "weight_max"):
            require(self, name, getattr(self, name) > 0, "a number above 0")
