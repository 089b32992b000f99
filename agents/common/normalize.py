"""Rewards on a scale that a value function learns easily."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.rollout import RolloutBuffer


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return.

    Rewards are not centred: their sign means something. Moments are merged rollout by rollout (Chan et al. 1979).
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0
        self._return = np.zeros(num_envs)

    def reset(self) -> None:
        """New episodes have begun everywhere; the statistics stay."""
        self._return[:] = 0.0

    def apply(self, buffer: RolloutBuffer) -> None:
        """Take the rollout into the statistics, then scale its rewards in place."""
        returns: NDArray[np.float64] = np.zeros(buffer.rewards.shape)
        for t in range(buffer.length):
            self._return = self.gamma * self._return * buffer.valid[t] + buffer.rewards[t]
            returns[t] = self._return
        sample = returns[buffer.valid]
        if sample.size:
            total = self.count + sample.size
            difference = float(sample.mean()) - self.mean
            self.squares += float(sample.var()) * sample.size + difference**2 * self.count * sample.size / total
            self.mean += difference * sample.size / total
            self.count = total
        buffer.rewards /= self.scale

    @property
    def scale(self) -> float:
        """Standard deviation of the discounted return seen so far; 1 before anything varied."""
        deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
        return deviation if deviation > 1e-8 else 1.0

    def state(self) -> dict[str, float]:
        """The statistics, as :meth:`restore` takes them."""
        return {"reward_count": self.count, "reward_mean": self.mean, "reward_squares": self.squares}

    def restore(self, state: dict[str, float]) -> None:
        self.count, self.mean, self.squares = state["reward_count"], state["reward_mean"], state["reward_squares"]
