"""Arguments of the environments of nonlinear waves, which are their training configurations too: ``env=burgers``, ..."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from optgap.co.core import InputError
from optgap.envs.arguments import require_positive, require_whole
from optgap.envs.batched import MadeById
from optgap.envs.pde.baselines import Policy, burgers_policies, kuramoto_sivashinsky_policies
from optgap.envs.pde.burgers import SPEED, BurgersBatch, burgers_line
from optgap.envs.pde.kuramoto_sivashinsky import KuramotoSivashinskyBatch, ks_line
from optgap.envs.pde.spectral import kept_waves

POINTS = (8, 1024)
MOST_SUBSTEPS, MOST_STEPS = 10_000, 1_000_000
LEAST_DAMPED = 2.0  # the finest wave of the Kuramoto-Sivashinsky equation must have at least this wave number
CELL_REYNOLDS = 2.0  # speed x distance of points / viscosity, at most: thinner shocks are not resolved


@dataclass
class FieldConfig(MadeById):
    """What both configurations share."""

    points: int
    substeps: int
    steps: int

    problem: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        require_whole("points", self.points, *POINTS)
        if self.points % 2:
            raise InputError(f"points is {self.points}; expected an even number")
        require_whole("substeps", self.substeps, 1, MOST_SUBSTEPS)
        require_whole("steps", self.steps, 1, MOST_STEPS)


@dataclass
class KuramotoSivashinskyConfig(FieldConfig):
    """``env=kuramoto-sivashinsky``; documented with the environment."""

    points: int = 64
    substeps: int = 4
    steps: int = 400
    length: float = 8 * math.pi

    id: ClassVar[str] = "optgap/KuramotoSivashinsky-v0"
    figures: ClassVar[tuple[str, ...]] = ("dissipation", "power")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("length", self.length)
        finest = 2 * math.pi * kept_waves(self.points) / self.length
        if finest < LEAST_DAMPED:
            raise InputError(
                f"points is {self.points}: the finest wave on a line of {self.length:.4g} has wave number {finest:.3g}; "
                f"the resolution limit is {LEAST_DAMPED:g} (waves below 1 grow)"
            )

    def batch(self, copies: int) -> KuramotoSivashinskyBatch:
        """``copies`` episodes."""
        return KuramotoSivashinskyBatch(copies, ks_line(self.length, self.points, self.substeps), self.steps)

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with, by name."""
        return kuramoto_sivashinsky_policies(ks_line(self.length, self.points, self.substeps))


@dataclass
class BurgersConfig(FieldConfig):
    """``env=burgers``; documented with the environment."""

    points: int = 150
    substeps: int = 12
    steps: int = 60
    viscosity: float = 0.01

    id: ClassVar[str] = "optgap/Burgers-v0"
    figures: ClassVar[tuple[str, ...]] = ("error",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("viscosity", self.viscosity)
        cell = SPEED / (self.points * self.viscosity)
        if cell > CELL_REYNOLDS:
            raise InputError(
                f"points is {self.points}: the cell Reynolds number at speed {SPEED:g} and viscosity {self.viscosity:g} is "
                f"{cell:.3g}; the limit is {CELL_REYNOLDS:g}, which takes {math.ceil(self.points * cell / CELL_REYNOLDS)} points"
                f" (of at most {POINTS[1]}) or a viscosity of {SPEED / (self.points * CELL_REYNOLDS):.3g}"
            )

    def batch(self, copies: int) -> BurgersBatch:
        """``copies`` episodes."""
        return BurgersBatch(copies, burgers_line(self.viscosity, self.points, self.substeps), self.steps)

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with, by name."""
        return burgers_policies(self.points)
