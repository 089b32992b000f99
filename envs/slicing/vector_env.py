"""The natively batched network-slicing environment: one numba call a step for all copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.envs.batched import BatchedVectorEnv
from optgap.envs.slicing.batch import SlicingBatch
from optgap.envs.slicing.config import SlicingConfig


class SlicingVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.slicing.env.SlicingEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`.

    ``info["cost"]`` is (num_envs, 2 S) float64, also at the step that ends an episode; 0 where a copy is reset.
    """

    options_class = SlicingConfig
    truncates = True
    batch: SlicingBatch

    @property
    def cost_names(self) -> tuple[str, ...]:
        """(2 S,) names of the costs."""
        return self.batch.cost_names

    @property
    def cost_limits(self) -> NDArray[np.float64]:
        """(2 S,) limits of the mean costs a step."""
        return self.batch.cost_limits
