"""Sinusoidal actuation: the reference that a learned one is to beat."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIPPED = Path(__file__).with_name("sinusoids.json")  # the best of the default environment, by scripts/sinusoid.py


@dataclass(frozen=True)
class Sinusoid:
    """Demanded shares of max_moment at time t: amplitude sin(2 pi frequency t + phase) + bias, cut to [-1, 1].

    It is a policy of observations alone, since they tell the time.
    """

    amplitude: float
    frequency: float
    phase: float
    bias: float
    steps: int  # of an episode
    control_step: float

    def demand(self, step: NDArray[Any]) -> NDArray[np.float64]:
        """Shares for the control steps after ``step`` ones, at whose ends the moment is there."""
        time = (np.asarray(step) + 1) * self.control_step
        wave = self.amplitude * np.sin(2 * math.pi * self.frequency * time + self.phase) + self.bias
        return np.clip(wave, -1.0, 1.0)

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Actions (B, 1) of observations (B, 22)."""
        step = np.rint((1.0 - np.asarray(observation, np.float64)[:, -1]) * self.steps)
        return self.demand(step)[:, None].astype(np.float32)


def shipped_sinusoid(objective: str, steps: int, control_step: float) -> Sinusoid | None:
    """The best sinusoid that the grid search has found for the objective in the default environment; None if unknown."""
    best = json.loads(SHIPPED.read_text())["best"].get(objective) if SHIPPED.exists() else None
    if best is None:
        return None
    return Sinusoid(best["amplitude"], best["frequency"], best["phase"], best["bias"], steps, control_step)
