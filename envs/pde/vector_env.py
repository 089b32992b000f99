"""The natively batched environments of nonlinear waves: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv
from optgap.envs.pde.config import BurgersConfig, KuramotoSivashinskyConfig


class KuramotoSivashinskyVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.pde.env.KuramotoSivashinskyEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = KuramotoSivashinskyConfig


class BurgersVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.pde.env.BurgersEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = BurgersConfig
