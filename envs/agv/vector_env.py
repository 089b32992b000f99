"""The natively batched AGV environment: one numba call a step for all copies."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from optgap.envs.agv.batch import COST_LIMITS, COST_NAMES, AGVBatch
from optgap.envs.agv.config import AGVConfig
from optgap.envs.batched import BatchedVectorEnv


class AGVVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.agv.env.AGVEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`.

    ``info["cell"]`` is (num_envs,) int64, ``info["position"]`` (num_envs, 2), also for a copy that has just been reset.
    """

    options_class = AGVConfig
    batch: AGVBatch
    cost_names: ClassVar[tuple[str, ...]] = COST_NAMES

    @property
    def cost_limits(self) -> NDArray[np.float64]:
        """(2,) limits of the mean costs a step."""
        return np.array(COST_LIMITS)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(rows, columns) of the visit table."""
        return self.batch.grid_shape
