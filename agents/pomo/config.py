"""Hyperparameters of the policy gradient with a shared baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optgap.agents.slim.config import SLIMConfig
from optgap.co.core import InputError


@dataclass
class POMOConfig(SLIMConfig):
    """As :class:`SLIMConfig`; ``samples`` is the number of schedules whose mean is the baseline."""

    samples: int = 32
    entropy_coefficient: float = 0.01
    """Weight of the policy's entropy, estimated from the decisions taken."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.entropy_coefficient < math.inf:
            raise InputError(
                f"{type(self).__name__}: entropy_coefficient is {self.entropy_coefficient}; expected 0 or more"
            )
