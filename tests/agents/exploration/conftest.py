"""A chain whose agent says where it is, registered as ``optgap-test/Chain-v0``; its rewards are dyadic, so sums are exact."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Chain(gym.Env):
    """``length`` cells; going right, action 1, costs 1/64, and the last cell pays 1 and ends the episode.

    Truncated after ``length + 2`` steps. Action 0 goes left.
    """

    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 6, paid: bool = True) -> None:
        self.length, self.paid = length, paid
        self.observation_space = spaces.Discrete(length)
        self.grid_shape = (1, length)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell, self.count = 0, 0
        return np.int64(0), self._info()

    def step(self, action):
        self.cell = max(0, self.cell + (1 if action else -1))
        self.count += 1
        arrived = self.cell == self.length - 1
        reward = (float(arrived) - action / 64.0) * self.paid
        return np.int64(self.cell), reward, arrived, self.count == self.length + 2 and not arrived, self._info()

    def _info(self):
        position = np.array([self.cell, 0.0])
        return {"cell": self.cell, "position": position, "furthest": float(self.cell)}


if "optgap-test/Chain-v0" not in gym.registry:
    gym.register("optgap-test/Chain-v0", entry_point=Chain)
