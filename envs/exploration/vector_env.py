"""The natively batched exploration environments: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv
from optgap.envs.exploration.config import DeepSeaConfig, GridMazeConfig, PointMazeConfig
from optgap.envs.exploration.env import OnGrid


class DeepSeaVectorEnv(OnGrid, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.exploration.env.DeepSeaEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = DeepSeaConfig


class GridMazeVectorEnv(OnGrid, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.exploration.env.GridMazeEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = GridMazeConfig


class PointMazeVectorEnv(OnGrid, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.exploration.env.PointMazeEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = PointMazeConfig
