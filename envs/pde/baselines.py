"""Policies that need no training, to stand beside trained ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.envs.pde.burgers import CENTRES, HIGH, LOW, PERIOD, SWING, bump
from optgap.envs.pde.field_batch import Line
from optgap.envs.pde.spectral import F64

Policy = Callable[[NDArray[Any], Any], NDArray[Any]]
"""(observations (B, ...), masks or None) -> actions (B, ...)."""


class ConstantPolicy:
    """The same action (A,) always."""

    def __init__(self, action: NDArray[np.float32]) -> None:
        self._action = action

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, A)."""
        return np.tile(self._action, (len(observation), 1))


class ProportionalBurgers:
    """Pushes the mean field towards the target of ``optgap/Burgers-v0``: feedforward and a proportional part.

    The mean of the field grows by the mean force alone. The feedforward is what the target's own rise takes, and the error
    of the mean is to be removed in ``time``; both actuators push alike, as far as they can.
    """

    def __init__(self, points: int, time: float = 1.0) -> None:
        x = np.arange(points) / points
        self._strength = len(CENTRES) * bump(x - 0.5).mean()  # mean force of all actuators at amplitude 1
        self._time = time

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, 2)."""
        rise = SWING * 2 * np.pi / PERIOD * observation[:, -1]
        amplitude = (rise - observation[:, :-2].mean(axis=1) / self._time) / self._strength
        action = np.clip(2 * (amplitude - LOW) / (HIGH - LOW) - 1, -1, 1)
        return np.repeat(action[:, None], len(CENTRES), axis=1).astype(np.float32)


class FlowRegulator:
    """Steers the Kuramoto-Sivashinsky equation to a uniform flow, u = ``flow``, as if it were linear about it.

    Actuators at quarters of the line cannot push sin(2 pi 2 x / L), which grows, but a flow turns it into the cosine, which
    they can. The discrete linear-quadratic regulator of the longest ``waves`` waves, exact for a control step: it weighs
    u_xx^2 + u_x^2, the square of the mean's error, and ``effort`` x the squares of the actions, which are clipped to -1..1.

    Attributes:
        gain: (A, 2 waves + 1) action = -gain @ (mean - flow, real and imaginary part of each wave in turn).
        radius: spectral radius of the regulated linear system for a control step: below 1 is stable.
    """

    def __init__(self, line: Line, flow: float = 1.0, effort: float = 0.1) -> None:
        self.flow = flow
        self.waves = round(2 * line.length / (2 * np.pi))  # q up to 2: all that grow, and as many that are damped
        q = 2 * np.pi * np.arange(self.waves + 1, dtype=np.float64) / line.length
        rate = line.rate(q) - 1j * q * flow
        turn = np.exp(rate * line.interval)
        still = np.abs(rate) < 1e-12
        held = np.where(still, line.interval, (turn - 1) / np.where(still, 1, rate))
        push = held * np.fft.rfft(line.high * line.actuators(), axis=1)[:, : self.waves + 1] / line.points
        n = 2 * self.waves + 1
        a, b, weight = np.zeros((n, n)), np.zeros((n, len(push))), np.ones(n)
        a[0, 0], b[0] = 1.0, push[:, 0].real
        for k in range(1, self.waves + 1):
            at = slice(2 * k - 1, 2 * k + 1)
            a[at, at] = [[turn[k].real, -turn[k].imag], [turn[k].imag, turn[k].real]]
            b[at] = [push[:, k].real, push[:, k].imag]
            weight[at] = 2 * (q[k] ** 2 + q[k] ** 4)
        self.gain = regulator(a, b, np.diag(weight), effort * np.eye(len(push)))
        self.radius = float(np.abs(np.linalg.eigvals(a - b @ self.gain)).max())

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, A)."""
        waves = np.fft.rfft(observation.astype(np.float64), axis=1)[:, : self.waves + 1] / observation.shape[1]
        state = np.stack([waves.real, waves.imag], axis=2).reshape(len(waves), -1)
        state = np.delete(state, 1, axis=1)  # the mean has no imaginary part
        state[:, 0] -= self.flow
        return np.clip(-state @ self.gain.T, -1, 1).astype(np.float32)


def regulator(a: F64, b: F64, weight: F64, effort: F64, sweeps: int = 5000) -> F64:
    """Gain (m, n) of the discrete linear-quadratic regulator of x' = a x + b u, by value iteration from ``weight``."""
    value: NDArray[Any] = weight
    for _ in range(sweeps):
        gain: F64 = np.linalg.solve(effort + b.T @ value @ b, b.T @ value @ a)
        later = weight + a.T @ value @ (a - b @ gain)
        if np.abs(later - value).max() <= 1e-10 * np.abs(later).max():
            break
        value = later
    return gain


def kuramoto_sivashinsky_policies(line: Line) -> dict[str, Policy]:
    """No force, and the regulator where it is stable."""
    policies: dict[str, Policy] = {"zero": ConstantPolicy(np.zeros(len(line.centres), np.float32))}
    regulated = FlowRegulator(line)
    if regulated.radius < 1:
        policies["lqr"] = regulated
    return policies


def burgers_policies(points: int) -> dict[str, Policy]:
    """No force, and the proportional rule."""
    idle = np.full(len(CENTRES), 2 * (0 - LOW) / (HIGH - LOW) - 1, np.float32)
    return {"zero": ConstantPolicy(idle), "proportional": ProportionalBurgers(points)}
