"""Batches of episodes of ``optgap/KuramotoSivashinsky-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.envs.batched import Observation
from optgap.envs.pde.field_batch import FieldBatch, Line
from optgap.envs.pde.spectral import F64

INTERVAL = 0.25  # time units of a control step
CENTRES = (0.0, 0.25, 0.5, 0.75)  # of the actuators, in lengths
AMPLITUDE = 0.5  # of an actuator, at most
SPEED = 20.0  # a field beyond has diverged; an episode of full force reaches 11
SPIN_UP = 50.0  # time units from noise to the start of an episode
NOISY_WAVES = 8


def growth_rate(q: F64) -> F64:
    """Of a small wave exp(i q x) on the field 0, per time unit."""
    rate: F64 = q**2 - q**4
    return rate


def bump(r: F64) -> F64:
    """What an actuator of amplitude 1 pushes at the distances ``r``: a normal density of standard deviation 1."""
    density: F64 = np.exp(-(r**2) / 2) / np.sqrt(2 * np.pi)
    return density


def ks_line(length: float, points: int, substeps: int) -> Line:
    """The published line and actuators."""
    return Line(length, points, growth_rate, CENTRES, bump, -AMPLITUDE, AMPLITUDE, INTERVAL, substeps, SPEED)


class KuramotoSivashinskyBatch(FieldBatch):
    """u_t + u u_x + u_xx + u_xxxx = f, for the least dissipation and power."""

    lost = -100.0

    def __init__(self, copies: int, line: Line, steps: int) -> None:
        super().__init__(copies, line, steps)
        self.dissipation = np.zeros(copies)  # means over the episode so far
        self.power = np.zeros(copies)

    def draw(self, rngs: Sequence[np.random.Generator]) -> F64:
        """Noise of long waves, left alone for ``SPIN_UP`` time units."""
        draws = np.array([rng.standard_normal((2, NOISY_WAVES)) for rng in rngs]).reshape(-1, 2, NOISY_WAVES)
        angle = 2 * np.pi * np.arange(1, NOISY_WAVES + 1)[:, None] * np.arange(self.line.points) / self.line.points
        noise = (draws[:, 0, :, None] * np.cos(angle) + draws[:, 1, :, None] * np.sin(angle)).sum(axis=1)
        idle = np.zeros((len(rngs), len(self.shapes)))
        *_, fields = self.evolve(noise, repeat(idle, round(SPIN_UP / INTERVAL)))
        return fields

    def judge(self, playing: NDArray[np.bool_]) -> None:
        """Reward minus dissipation and power."""
        n = self.step_index[playing]
        curvature, gradient, work = self.budget[playing].T
        power = gradient + work
        self.reward[playing] = -(curvature + power)
        self.dissipation[playing] += (curvature - self.dissipation[playing]) / n
        self.power[playing] += (power - self.power[playing]) / n

    def forget(self, which: NDArray[np.bool_]) -> None:
        """Restart the figures of the copies ``which`` (B,)."""
        self.dissipation[which] = self.power[which] = 0

    def figures(self) -> Observation:
        """Mean dissipation and power of the episodes so far."""
        return {"dissipation": self.dissipation, "power": self.power}

    def observation(self) -> NDArray[np.float32]:
        """(B, N) the field."""
        return self.grid.astype(np.float32)

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        return spaces.Box(-SPEED, SPEED, (self.line.points,))
