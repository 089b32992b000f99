"""The natively batched portfolio environment: one numba call a step for all copies."""

from __future__ import annotations

from optgap.envs.batched import BatchedVectorEnv
from optgap.envs.portfolio.batch import PortfolioBatch
from optgap.envs.portfolio.config import PortfolioConfig


class PortfolioVectorEnv(BatchedVectorEnv):
    """Copies of :class:`optgap.envs.portfolio.env.PortfolioEnv`; see :class:`optgap.envs.batched.BatchedVectorEnv`."""

    options_class = PortfolioConfig
    batch: PortfolioBatch
