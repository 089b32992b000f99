"""A constrained task whose optimum is known, registered as ``optgap-test/Budget-v0``, single and batched."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from optgap.envs.constrained_box import Capacity, ConstrainedBox

LENGTH, EARNED = 50, np.array([1.0, 0.5])


class Budget(gym.Env):
    """Two offers, drawn with equal probability whatever is done: taking one earns 1 or 0.5 and costs about 1.

    At a mean cost of at most ``limit`` (in [0, 1]) the best policy takes the first offer with probability
    min(1, 2 limit) and the second with probability max(0, 2 limit - 1), which earns min(limit, 0.5) +
    max(0, limit - 0.5) / 2 a step. A second constraint, that not more than 0.9 of the offers are left, never binds
    where the limit is above 0.1. Truncated after 50 steps.
    """

    observation_space = spaces.Discrete(2)
    action_space = spaces.Discrete(2)
    cost_names = ("spent", "left")

    def __init__(self, limit: float = 0.6) -> None:
        self.cost_limits = np.array([limit, 0.9])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, action):
        reward = float(action) * EARNED[self.shown]
        cost = np.array([float(action) * self.np_random.uniform(0.5, 1.5), 1.0 - action])
        self.count += 1
        return self._show(), reward, False, self.count == LENGTH, {"cost": cost}

    def _show(self):
        self.shown = int(self.np_random.integers(2))
        return np.int64(self.shown)


class BudgetBatch(gym.vector.VectorEnv):
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, limit: float = 0.6) -> None:
        self.num_envs, self.single_observation_space, self.single_action_space = num_envs, *(spaces.Discrete(2),) * 2

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, actions):
        playing = float(self.count < LENGTH)  # the step after the last one only resets
        self.count = (self.count + 1) * int(playing)
        rewards = playing * actions * EARNED[self.shown]
        costs = playing * np.stack([actions * self.np_random.uniform(0.5, 1.5, self.num_envs), 1.0 - actions], 1)
        ended = np.full(self.num_envs, self.count == LENGTH)
        return self._show(), rewards, np.zeros_like(ended), ended, {"cost": costs}

    def _show(self):
        self.shown = self.np_random.integers(0, 2, self.num_envs)
        return self.shown


if "optgap-test/Budget-v0" not in gym.registry:
    gym.register("optgap-test/Budget-v0", entry_point=Budget, vector_entry_point=BudgetBatch)


class Shares(gym.Env):
    """Three shares of at most 1 in all; the best are 0.5 + z/2, 0.5 - z/2 and 0 of the number z shown. 16 steps.

    The cost is the first share: 0.5 on average, at the best actions.
    """

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = ConstrainedBox(0.0, 1.0, Capacity(1.0), n=3)
    cost_names = ("first",)
    cost_limits = np.array([0.5])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        z = float(self.shown[0])
        reward = -float(((action - np.array([0.5 + z / 2, 0.5 - z / 2, 0.0])) ** 2).sum())
        self.count += 1
        return self._show(), reward, False, self.count == 16, {"cost": np.array([float(action[0])])}

    def _show(self):
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown.copy()


if "optgap-test/Shares-v0" not in gym.registry:
    gym.register("optgap-test/Shares-v0", entry_point=Shares)
