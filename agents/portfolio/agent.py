"""PPO on portfolios, with a baseline that knows the next prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.common.on_policy import explained_variance
from optgap.agents.common.rollout import Batch, RolloutBuffer
from optgap.agents.portfolio.config import PortfolioPPOConfig
from optgap.agents.ppo.agent import PPO
from optgap.co.core import InputError
from optgap.envs.registry import EnvironmentConfig

ROWS = 4096  # observations evaluated at once


class PortfolioPPO(PPO):
    """PPO for ``optgap/Portfolio-v0`` and environments with its spaces; arguments are those of PPO.

    Most of what a day earns is what the market did, and hides what the action changed. No action moves the prices, so a
    function of the state and of the next prices is a baseline: taken off the advantage, it leaves the expected gradient
    as it is (Mao et al. 2019, arXiv 1807.02264, input-dependent baselines). Here it is the log growth that the policy's
    deterministic action would have had that day, without costs, times the coefficient of the advantages' regression on it.

    Raises:
        InputError: the settings cannot be used with the environment's.
    """

    config_class = PortfolioPPOConfig
    config: PortfolioPPOConfig

    def __init__(
        self,
        env_config: EnvironmentConfig,
        config: PortfolioPPOConfig | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        config = config if config is not None else PortfolioPPOConfig()
        features, lag = getattr(env_config, "features", ()), getattr(env_config, "lag", 0)
        if config.hindsight_baseline and ("close" not in features or lag):
            raise InputError(
                f"features are {list(features)} and lag is {lag}; the baseline reads the next prices from the feature "
                "close with lag 0: expected these, or agent.hindsight_baseline=false"
            )
        action = getattr(env_config, "action", None)
        if config.distribution == "dirichlet" and action != "weights":
            raise InputError(
                f"action is {action!r}; a Dirichlet distribution is over weights: expected env.action=weights"
            )
        super().__init__(env_config, config, seed, device)

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        batch = self._batch(rollout)
        figures = {"train/explained_variance": explained_variance(batch)}
        if self.config.hindsight_baseline:
            batch, figures["train/explained_in_hindsight"] = regressed(batch, self._growth(rollout, batch))
        return self._optimize(batch, learning_rate, rng) | figures

    def _growth(self, rollout: RolloutBuffer, batch: Batch) -> Tensor:
        """Log growth (N,) of the deterministic actions at the batch's observations, at the prices of the next ones."""
        assert self._collector is not None
        relatives = torch.from_numpy(self._relatives(rollout, self._collector.observation)).to(self.device)
        parts = []
        with torch.no_grad():
            for part in batch.observations.split(ROWS):
                actions = self.interface.distribution(self.approximator.evaluate(part).parameters, None).mode()
                parts.append(actions if self.config.distribution == "dirichlet" else actions.softmax(dim=-1))
        weights = torch.cat(parts)
        return (1.0 + (weights[:, :-1] * (relatives - 1.0)).sum(dim=-1)).log()

    def _relatives(self, rollout: RolloutBuffer, last: Any) -> NDArray[np.float32]:
        """(N, assets) by how much the prices multiplied from each of a rollout's valid observations to the next one.

        ``last`` (B, ...) is what the rollout led to. The step after an observation never is the one that only resets.
        """
        column = list(self.env_config.features).index("close")  # type: ignore[attr-defined]
        before = np.concatenate([rollout.observations[1:, :, column, -3], last[None, :, column, -3]])
        relatives: NDArray[np.float32] = 1.0 / before[rollout.valid].astype(np.float32)
        return relatives


def regressed(batch: Batch, baseline: Tensor) -> tuple[Batch, float]:
    """Advantages less their regression on ``baseline`` (N,), and the share of their variance that it accounts for."""
    advantages, centred = batch.advantages, baseline - baseline.mean()
    power = centred.square().mean()
    if not power > 0:
        return batch, 0.0
    rest = advantages - (advantages * centred).mean() / power * centred
    return batch._replace(advantages=rest), float(1.0 - rest.var() / advantages.var().clamp(min=1e-30))
