"""Environments that are trivial to learn if, and only if, the agent is right, registered under ``optgap-test/``."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from optgap.co.core import InvalidActionError


class Identity(gym.Env):
    """Reward 1 for answering the number shown, for 16 steps. Numbers and actions begin at 2, not at 0."""

    observation_space = spaces.Discrete(4, start=2)
    action_space = spaces.Discrete(4, start=2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = float(action == self.shown)
        self.count += 1
        return self._show(), reward, False, self.count == 16, {}

    def _show(self):
        self.shown = np.int64(self.np_random.integers(2, 6))
        return self.shown


class Target(gym.Env):
    """Two actions in [-1, 1]; the best are 0.5 and minus half the number shown."""

    observation_space = spaces.Box(-1, 1, (1,), np.float64)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        reward = -float(((action - np.array([0.5, -0.5 * self.shown[0]])) ** 2).sum())
        self.count += 1
        return self._show(), reward, False, self.count == 16, {}

    def _show(self):
        self.shown = self.np_random.uniform(-1, 1, (1,))
        return self.shown.copy()


class MaskedChoice(gym.Env):
    """Three of six actions are allowed; action i earns ``VALUES[i]``. A forbidden one is an error.

    Nothing is observed, so the ranking must be learned through the masks alone. Episodes last 8 steps; the state after
    the last allows nothing.
    """

    VALUES = np.array([0.0, 1.0, 0.2, 0.8, 0.4, 0.6])
    observation_space = spaces.Dict({"nothing": spaces.Box(0, 1, (1,), np.float32)})
    action_space = spaces.Discrete(6)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        self._draw()
        return {"nothing": np.zeros(1, np.float32)}, {}

    def step(self, action):
        if not self.mask[action]:
            raise InvalidActionError(f"action {action} is forbidden")
        self.count += 1
        self._draw()
        return {"nothing": np.zeros(1, np.float32)}, float(self.VALUES[action]), self.count == 8, False, {}

    def action_masks(self):
        return self.mask

    def _draw(self):
        self.mask = np.zeros(6, np.bool_)
        if self.count < 8:
            self.mask[self.np_random.choice(6, 3, replace=False)] = True


class Corridor(gym.Env):
    """Eight cells; only the right end pays. Truncated after 40 steps."""

    observation_space = spaces.Discrete(8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell, self.count = 0, 0
        return np.int64(0), {}

    def step(self, action):
        self.cell = max(0, self.cell + (1 if action else -1))
        self.count += 1
        arrived = self.cell == 7
        return np.int64(self.cell), float(arrived), arrived, self.count == 40 and not arrived, {}


class Clock(gym.Env):
    """Reward 1 a step for five steps, then terminated, or truncated where ``endless``; the time is observed."""

    observation_space = spaces.Discrete(6)
    action_space = spaces.Discrete(2)

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.int64(0), {}

    def step(self, action):
        self.count += 1
        ended = self.count == 5
        shown = 0 if self.endless else self.count
        return np.int64(shown), 1.0, ended and not self.endless, ended and self.endless, {}


ENVIRONMENTS: dict[str, Any] = {
    "Identity": Identity,
    "Target": Target,
    "MaskedChoice": MaskedChoice,
    "Corridor": Corridor,
    "Clock": Clock,
}
for _name, _class in ENVIRONMENTS.items():
    if f"optgap-test/{_name}-v0" not in gym.registry:
        gym.register(f"optgap-test/{_name}-v0", entry_point=_class)
