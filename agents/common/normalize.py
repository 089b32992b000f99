"""Rewards on a scale that a value function learns easily."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.rollout import RolloutBuffer


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return.

    Rewards are not centred: their sign means something. Moments are merged rollout by rollout (Chan et al. 1979).
    ``name`` begins the names of the statistics.
    """

    def __init__(self, num_envs: int, gamma: float, name: str = "reward") -> None:
        self.gamma, self.name = gamma, name
        self.count, self.mean, self.squares = 0.0, 0.0, 0.0
        self._return = np.zeros(num_envs)

    def reset(self) -> None:
        """New episodes have begun everywhere; the statistics stay."""
        self._return[:] = 0.0

    def apply(self, buffer: RolloutBuffer) -> None:
        """Take the rollout into the statistics, then scale its rewards in place."""
        self.divide(buffer.rewards, buffer.valid)

    def divide(self, rewards: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Take rewards (T, B), of which ``valid`` (T, B) count, into the statistics, then scale them in place."""
        returns: NDArray[np.float64] = np.zeros(rewards.shape)
        for t in range(len(rewards)):
            self._return = self.gamma * self._return * valid[t] + rewards[t]
            returns[t] = self._return
        sample = returns[valid]
        if sample.size:
            total = self.count + sample.size
            difference = float(sample.mean()) - self.mean
            self.squares += float(sample.var()) * sample.size + difference**2 * self.count * sample.size / total
            self.mean += difference * sample.size / total
            self.count = total
        rewards /= self.scale

    @property
    def scale(self) -> float:
        """Standard deviation of the discounted return seen so far; 1 before anything varied."""
        deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
        return deviation if deviation > 1e-8 else 1.0

    def state(self) -> dict[str, float]:
        """The statistics, as :meth:`restore` takes them."""
        moments = {"count": self.count, "mean": self.mean, "squares": self.squares}
        return {f"{self.name}_{key}": value for key, value in moments.items()}

    def restore(self, state: Mapping[str, float]) -> None:
        self.count, self.mean, self.squares = (state[f"{self.name}_{key}"] for key in ("count", "mean", "squares"))
