"""Asynchronous SAC and TD3."""

from __future__ import annotations

from optgap.agents.asynchronous.config import APTSACConfig, APTTD3Config
from optgap.agents.asynchronous.learner import AsynchronousAgent
from optgap.agents.sac.agent import SAC
from optgap.agents.td3.agent import TD3


class APTSAC(AsynchronousAgent, SAC):
    """Soft actor-critic, see :mod:`optgap.agents.sac.agent`, by :mod:`optgap.agents.asynchronous.learner`."""

    config_class = APTSACConfig


class APTTD3(AsynchronousAgent, TD3):
    """TD3, see :mod:`optgap.agents.td3.agent`, by :mod:`optgap.agents.asynchronous.learner`."""

    config_class = APTTD3Config
