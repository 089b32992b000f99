"""The natively batched AGV environment: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.agv.config import AGVConfig
from optgap.envs.agv.env import AGVFigures
from optgap.envs.batched import BatchedVectorEnv


class AGVVectorEnv(AGVFigures, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.agv.env.AGVEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`.

    ``info["cell"]`` is (num_envs,) int64, ``info["position"]`` (num_envs, 2), also for a copy that has just been reset.
    """

    options_class = AGVConfig
