"""Hyperparameters of PPO on portfolios."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.agents.common.on_policy_config import require
from optgap.agents.portfolio.extractors import EXTRACTORS
from optgap.agents.ppo.config import PPOConfig

DISTRIBUTIONS = ("gaussian", "dirichlet")


@dataclass
class PortfolioPPOConfig(PPOConfig):
    """PPO with a network over the assets' windows (:mod:`optgap.agents.portfolio.policies`).

    Defaults are those that learn a market without costs whose optimum is known, a
    :class:`optgap.envs.portfolio.synthetic.MarkovMarket`. There a decision bears on the next day alone, so nothing of
    later days is in its advantage. With costs it bears on the next trades' too.

    Long windows of a few thousand days tell every day from all others, so that a network learns them by heart.
    """

    policy: str = "optgap.agents.portfolio.policies:PortfolioActorCritic"
    num_envs: int = 16
    rollout_length: int = 64
    minibatch_size: int = 512
    epochs: int = 4
    gamma: float = 0.0
    gae_lambda: float = 0.5
    learning_rate: float = 6e-3
    learning_rate_schedule: str = "linear"
    entropy_coefficient: float = 0.004
    normalize_reward: bool = True
    normalize_observation: bool = True
    checkpoint_interval: int = 50
    extractor: str = "equivariant"
    """"equivariant", "attention" or "convolution": :data:`optgap.agents.portfolio.extractors.EXTRACTORS`."""
    distribution: str = "gaussian"
    """"gaussian" over logits (``env.action=softmax``) or "dirichlet" over weights (``env.action=weights``)."""
    width: int = 32
    """Of an asset's encoding (``hidden_sizes`` belongs to perceptrons and is not read)."""
    layers: int = 2
    """In which assets see each other; blocks of "convolution"."""
    log_std: float = 0.7
    """Of the logits before training. At 0.7 a sample may have almost all in one asset; at -0.7 it changes a weight by half of
    itself."""
    concentration: float = 10.0
    """Of a Dirichlet distribution before training, an asset's."""
    hindsight_baseline: bool = True
    """Take off the advantages what the market did: see :class:`optgap.agents.portfolio.agent.PortfolioPPO`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_surrogate()
        for name in ("width", "layers"):
            require(self, name, getattr(self, name) >= 1, "an integer of at least 1")
        require(self, "extractor", self.extractor in EXTRACTORS, ", ".join(EXTRACTORS))
        require(self, "distribution", self.distribution in DISTRIBUTIONS, " or ".join(DISTRIBUTIONS))
        require(self, "concentration", self.concentration > 0, "a number above 0")
