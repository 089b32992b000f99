"""What an episode of the fin ray is worth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

OBJECTIVES = ("thrust", "efficiency", "limited-thrust")


class Objective(NamedTuple):
    """J of an episode, from W, the integral of its thrust, and E, the work that the moment put in."""

    name: str  # one of OBJECTIVES
    time: float  # of a whole episode
    power_limit: float
    penalty: float
    epsilon: float

    def value(self, thrust_work: F64, effort: F64) -> F64:
        """J (B,) of W and E (B,), also of an episode that is under way; see :class:`optgap.envs.finray.env.FinRayEnv`."""
        if self.name == "efficiency":
            return thrust_work / (effort + self.epsilon)
        thrust = thrust_work / self.time
        if self.name == "thrust":
            return thrust
        return thrust - self.penalty * np.maximum(effort / self.time - self.power_limit, 0.0)
