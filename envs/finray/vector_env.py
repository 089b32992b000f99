"""The natively batched fin-ray environment: one numba call a step for all copies of the surrogate."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv
from optgap.envs.finray.config import FinRayConfig


class FinRayVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.finray.env.FinRayEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = FinRayConfig
