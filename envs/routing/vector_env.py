"""The natively batched routing and selection environments: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv, VectorActionMasks
from optgap.envs.routing.config import ATSPConfig, CVRPConfig, KnapsackConfig, OrienteeringConfig, TSPConfig


class TSPVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.routing.env.TSPEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = TSPConfig


class ATSPVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.routing.env.ATSPEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = ATSPConfig


class CVRPVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.routing.env.CVRPEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = CVRPConfig


class OrienteeringVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.routing.env.OrienteeringEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = OrienteeringConfig


class KnapsackVectorEnv(VectorActionMasks, BatchedVectorEnv):
    """Copies of :class:`optgap.envs.routing.env.KnapsackEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = KnapsackConfig
