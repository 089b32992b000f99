"""What agents with constraints have in common: costs as further streams, and running means of what they are."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch

from optgap.agents.common.collector import Collector
from optgap.agents.common.normalize import RewardScale
from optgap.agents.common.on_policy import OnPolicyAgent
from optgap.agents.common.rollout import Batch, RolloutBuffer
from optgap.agents.constrained.config import ConstrainedConfig
from optgap.agents.constrained.constraints import F64, CostFilter, constraints_of

Config = TypeVar("Config", bound=ConstrainedConfig)

PATIENCE = 100  # updates in a row above a limit before a warning


class ConstrainedAgent(OnPolicyAgent[Config]):
    """Maximize the reward while the mean cost of a step stays below its limit, for every constraint.

    The environment has ``cost_names`` (and ``cost_limits``, unless the configuration has limits), its vector
    environment gives ``info["cost"]`` (num_envs, m).

    The criterion is the long-run average per step. To it belongs the advantage of costs less their mean, so running
    means (of the reward too, where ``average_reward`` is set) are subtracted before advantages are estimated, which
    also keeps values small where gamma is near 1. J(pi') - J(pi) is then about E[ratio A] over the steps of pi.
    """

    def _stream_names(self) -> tuple[str, ...]:
        config = self.config
        self.constraints = constraints_of(self.env_config, config.limits)
        count = len(self.constraints.names)
        self.means = CostFilter(1 + count, config.cost_memory)  # of the reward, then of the costs
        self.stream_scales = [RewardScale(config.num_envs, config.gamma, f"stream_{i}") for i in range(count)]
        self.newest = np.zeros(count)  # mean costs of the newest rollout alone
        self.violated_for = np.zeros(count, np.int64)  # updates in a row
        return self.constraints.names

    @property
    def costs(self) -> F64:
        """(m,) estimated mean costs of a step of the present policy."""
        return self.means.mean[1:]

    @property
    def cost_errors(self) -> F64:
        """(m,) their standard errors."""
        return self.means.error[1:]

    @property
    def slack(self) -> F64:
        """(m,) how far the estimated costs are below their limits, in units of these; negative: violated."""
        return self.constraints.slack(self.costs)

    def _prepare(self, rollout: RolloutBuffer) -> None:
        samples = np.concatenate([rollout.rewards[..., None], rollout.streams], axis=-1, dtype=np.float64)
        self.newest = self.means.measure(samples, rollout.valid)[1:]
        valid, means = rollout.valid, self.means.mean.astype(np.float32)
        if self.config.average_reward:
            rollout.rewards -= means[0] * valid
        rollout.streams -= means[1:] * valid[..., None]
        for i, scale in enumerate(self.stream_scales):
            scale.divide(rollout.streams[..., i], valid)
        super()._prepare(rollout)

    def _batch(self, rollout: RolloutBuffer) -> Batch:
        """As of every on-policy agent; ``stream_advantages`` have mean 0 and are in units of the limits."""
        batch = super()._batch(rollout)
        assert batch.stream_advantages is not None
        scales = np.array([scale.scale for scale in self.stream_scales]) / self.constraints.unit
        advantages = batch.stream_advantages * torch.from_numpy(scales).float().to(self.device)
        return batch._replace(stream_advantages=advantages - advantages.mean(dim=0))

    def _note_change(self, batch: Batch) -> None:
        """Tell the estimates by how much about the update has changed the costs, E[ratio A_i]."""
        with torch.no_grad():
            outputs = self.approximator.evaluate(batch.observations)
            distribution = self.interface.distribution(outputs.parameters, batch.masks)
            ratio = (distribution.log_probability(batch.actions) - batch.log_probabilities).exp()
            assert batch.stream_advantages is not None
            change = (ratio.unsqueeze(1) * batch.stream_advantages).mean(dim=0).cpu().numpy() * self.constraints.unit
        self.means.drift(np.concatenate([[0.0], change]))

    def _cost_figures(self) -> dict[str, float]:
        """Estimated costs, and by how much the rollout's own were beyond the limits.

        Warns once of a constraint that is not met for a long time.
        """
        slack, errors = self.slack, self.cost_errors / self.constraints.unit
        self.violated_for = np.where(slack + 2.0 * errors < 0.0, self.violated_for + 1, 0)
        figures = {}
        for i, name in enumerate(self.constraints.names):
            figures[f"cost_estimate/{name}"] = float(self.costs[i])
            figures[f"violation/{name}"] = float(max(0.0, self.newest[i] - self.constraints.limits[i]))
            if self.violated_for[i] == PATIENCE:
                warnings.warn(
                    f"constraint {name!r} has not been met for {PATIENCE} updates: mean cost {self.costs[i]:.4g}, "
                    f"limit {self.constraints.limits[i]:.4g}; perhaps no policy can meet all limits",
                    stacklevel=2,
                )
        return figures

    def _statistics(self) -> dict[str, float]:
        figures = super()._statistics() | self.means.state()
        for scale in self.stream_scales:
            figures |= scale.state()
        return figures | {f"violated_for_{i}": float(count) for i, count in enumerate(self.violated_for)}

    def _restore_statistics(self, statistics: Mapping[str, float]) -> None:
        super()._restore_statistics(statistics)
        self.means.restore(statistics)
        for scale in self.stream_scales:
            scale.restore(statistics)
        self.violated_for = np.array([int(statistics[f"violated_for_{i}"]) for i in range(len(self.violated_for))])

    def _restart(self) -> Collector:
        for scale in self.stream_scales:
            scale.reset()
        return super()._restart()
