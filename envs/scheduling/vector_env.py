"""The natively batched scheduling environments: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv, VectorActionMasks
from optgap.envs.scheduling.config import BlockingJobShopOptions, JobShopOptions


class JobShopVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.scheduling.env.JobShopEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = JobShopOptions


class BlockingJobShopVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.scheduling.env.BlockingJobShopEnv` over one kernel."""

    options_class = BlockingJobShopOptions
