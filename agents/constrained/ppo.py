"""PPO under constraints: CLARA (arXiv 2111.08397), IPO (arXiv 1910.09615), PPO-Lagrangian, one loop with three penalties."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optgap.agents.common.on_policy import explained_variance, standardized
from optgap.agents.common.rollout import RolloutBuffer
from optgap.agents.constrained.agent import ConstrainedAgent
from optgap.agents.constrained.config import CLARAConfig, ConstrainedPPOConfig, IPOConfig, PPOLagrangianConfig
from optgap.agents.constrained.penalties import penalty_state, restore_penalty
from optgap.agents.ppo.surrogate import optimize


class ConstrainedPPO(ConstrainedAgent[ConstrainedPPOConfig]):
    """PPO with the penalty that its configuration makes; arguments are those of :class:`OnPolicyAgent`."""

    def _stream_names(self) -> tuple[str, ...]:
        names = super()._stream_names()
        self.penalty = self.config.penalty(len(names))
        return names

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        batch = self._batch(rollout)
        if self.config.normalize_advantage:
            batch = batch._replace(advantages=standardized(batch.advantages))
        figures = self._cost_figures()
        policy_loss = self.penalty.policy_loss(self.slack, self.cost_errors / self.constraints.unit)
        for name, strength in zip(self.constraints.names, self.penalty.strengths, strict=True):
            figures[f"{self.penalty.name}/{name}"] = float(strength)
        figures |= optimize(self.approximator, self.interface, self.config, batch, learning_rate, rng, policy_loss)
        self._note_change(batch)
        return figures | {"train/explained_variance": explained_variance(batch)}

    def _statistics(self) -> dict[str, float]:
        return super()._statistics() | penalty_state(self.penalty)

    def _restore_statistics(self, statistics: Mapping[str, float]) -> None:
        super()._restore_statistics(statistics)
        restore_penalty(self.penalty, statistics)


class CLARA(ConstrainedPPO):
    """Interior-point policy optimization with adaptive barriers (Liu et al. 2021, arXiv 2111.08397)."""

    config_class = CLARAConfig


class IPO(ConstrainedPPO):
    """Interior-point policy optimization (Liu et al. 2020, arXiv 1910.09615)."""

    config_class = IPOConfig


class PPOLagrangian(ConstrainedPPO):
    """PPO with dual ascent on multipliers (Ray et al. 2019, "Benchmarking safe exploration")."""

    config_class = PPOLagrangianConfig
