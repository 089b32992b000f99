"""The single routing and selection environments."""

from __future__ import annotations

from optgap.envs.batched import BatchedEnv
from optgap.envs.routing.config import ATSPConfig, TSPConfig


class TSPEnv(BatchedEnv):
    """The travelling salesman problem.

    ## Version history
    v0: first version.
    """

    options_class = TSPConfig


class ATSPEnv(BatchedEnv):
    """The asymmetric travelling salesman problem.

    ## Version history
    v0: first version.
    """

    options_class = ATSPConfig
