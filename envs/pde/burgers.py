"""Batches of episodes of ``optgap/Burgers-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.envs.batched import Observation
from optgap.envs.pde.field_batch import FieldBatch, Line
from optgap.envs.pde.spectral import F64

INTERVAL = 0.5  # time units of a control step
CENTRES = (0.25, 0.75)  # of the actuators
LOW, HIGH = -0.025, 0.075  # amplitude of an actuator
SPEED = 1.0  # a field beyond has diverged; full force for an episode of 60 steps reaches 0.81
PERIOD = 30.0  # of the target, time units
LEVEL, SWING = 0.5, 0.05  # of the target
SCALE = -10.0  # reward of a mean square error of 1


def damping_rate(viscosity: float, q: F64) -> F64:
    """Of a wave exp(i q x), per time unit."""
    rate: F64 = -viscosity * q**2
    return rate


def bump(r: F64) -> F64:
    """What an actuator of amplitude 1 pushes at the distances ``r``."""
    force: F64 = np.exp(-((15 * r) ** 2))
    return force


def burgers_line(viscosity: float, points: int, substeps: int) -> Line:
    """The published line and actuators."""
    rate = partial(damping_rate, viscosity)
    return Line(1.0, points, rate, CENTRES, bump, LOW, HIGH, INTERVAL, substeps, SPEED)


class BurgersBatch(FieldBatch):
    """u_t + u u_x = viscosity u_xx + f, to follow a target that is the same everywhere."""

    lost = SCALE * (SPEED + LEVEL + SWING) ** 2

    def __init__(self, copies: int, line: Line, steps: int) -> None:
        super().__init__(copies, line, steps)
        self.square = np.zeros(copies)  # mean square error, mean over the episode so far
        self.seen = np.zeros((copies, line.points + 2), np.float32)

    def draw(self, rngs: Sequence[np.random.Generator]) -> F64:
        """A random mean of the two published fields."""
        part, x = np.array([rng.random() for rng in rngs])[:, None], self.line.x
        fields: F64 = 0.2 + part * 0.2 * np.exp(-25 * (x - 0.5) ** 2) + (1 - part) * 0.2 * np.sin(4 * np.pi * x)
        return fields

    def target(self, steps: NDArray[np.int64]) -> F64:
        """The value that the field should have after so many ``steps``."""
        values: F64 = LEVEL + SWING * np.sin(2 * np.pi * INTERVAL / PERIOD * steps)
        return values

    def judge(self, playing: NDArray[np.bool_]) -> None:
        """Reward of the mean square error."""
        n = self.step_index[playing]
        square = ((self.grid[playing] - self.target(n)[:, None]) ** 2).mean(axis=1)
        self.reward[playing] = SCALE * square
        self.square[playing] += (square - self.square[playing]) / n

    def forget(self, which: NDArray[np.bool_]) -> None:
        """Restart the figures of the copies ``which`` (B,)."""
        self.square[which] = 0

    def figures(self) -> Observation:
        """Root mean square error of the episodes so far."""
        return {"error": np.sqrt(self.square)}

    def observation(self) -> NDArray[np.float32]:
        """(B, N + 2) error, and phase of the target."""
        phase = 2 * np.pi * INTERVAL / PERIOD * self.step_index
        self.seen[:, :-2] = self.grid - self.target(self.step_index)[:, None]
        self.seen[:, -2], self.seen[:, -1] = np.sin(phase), np.cos(phase)
        return self.seen

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        high = np.ones(self.line.points + 2, np.float32)
        high[:-2] = SPEED + LEVEL + SWING
        return spaces.Box(-high, high)
