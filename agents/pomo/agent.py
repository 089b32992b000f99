"""Policy gradient with a shared baseline (POMO, Kwon et al. 2020, arXiv 2010.16011), for shops with random disruptions.

All samples of an instance meet the same disruptions, so the mean of their makespans is a baseline that takes the luck of
the instance out of the advantage. Imitating the best sample (:mod:`optgap.agents.slim.agent`) would take it in: the best
sample is also the one that happened to dodge break-downs which no policy could foresee.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.nn.job_shop_rollout import batch_of, encode, log_probability, record
from optgap.agents.pomo.config import POMOConfig
from optgap.agents.slim.agent import SLIM
from optgap.agents.slim.config import SLIMConfig


class POMO(SLIM):
    """REINFORCE on the network and the rollouts of :class:`SLIM`; every sample counts, by its advantage."""

    config_class: type[SLIMConfig] = POMOConfig

    def _loss(self, instances: Sequence[Any], actions: NDArray[np.int64], makespan: NDArray[np.int64]) -> Tensor:
        """Minus (equation 3): mean over decisions of advantage x log-probability.

        The advantage is the mean makespan of the instance's samples minus the sample's, divided by their standard
        deviation, so that instances of all sizes weigh the same.
        """
        assert isinstance(self.config, POMOConfig)
        samples, network = makespan.shape[1], self.policy.network
        spread = makespan.std(1, keepdims=True) + 1e-6
        advantage = ((makespan.mean(1, keepdims=True) - makespan) / spread).reshape(-1)
        batch = batch_of(self.env_config, instances, samples)
        encoded = encode(network, batch, samples, self.device)
        decisions, taken, copy = record(batch, actions, self.device, samples)
        log_probabilities = log_probability(network, encoded, decisions, taken, batch.jobs)
        weight = torch.from_numpy(advantage).float().to(self.device)[copy]
        # the gradient of the entropy is that of -E[log p], with log p itself as the weight (score function)
        weight = weight - self.config.entropy_coefficient * log_probabilities.detach()
        return -(weight * log_probabilities).mean()
