"""Arguments of ``optgap/NetworkSlicing-v0``, which are its training configuration ``env=slicing`` too."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from optgap.co.core import InputError
from optgap.co.problems.slicing import SlicingInstance
from optgap.co.problems.slicing_instances import load_slicing
from optgap.co.problems.slicing_traces import Cell
from optgap.co.problems.slicing_traffic import cost_limits, cost_names
from optgap.envs.batched import MadeById
from optgap.envs.slicing.baselines import Policy, rule_policies
from optgap.envs.slicing.batch import SlicingBatch, require_slices


@dataclass(frozen=True)
class Replay:
    """Draws one of the given instances, uniformly."""

    given: list[SlicingInstance]

    def __call__(self, rng: np.random.Generator) -> SlicingInstance:
        return self.given[int(rng.integers(len(self.given))) if len(self.given) > 1 else 0]


@dataclass
class SlicingConfig(Cell, MadeById):
    """``env=slicing``; documented with the environment."""

    projected: bool = True
    limits: Any = None
    instances: Any = None

    problem: ClassVar[str | None] = None  # its value is a long-run mean under constraints: no gap of single instances
    id: ClassVar[str] = "optgap/NetworkSlicing-v0"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instances is not None:
            single = isinstance(self.instances, str | Path) or not isinstance(self.instances, Iterable)
            given = [self.instances] if single else list(self.instances)
            self.instances = [str(i) if isinstance(i, Path) else i for i in given]
            if not self.instances:
                raise InputError("instances is empty; expected at least one instance, name or path")
        if self.limits is not None:
            self.limits = [self.limits] if isinstance(self.limits, Real) else list(self.limits)
            if not all(isinstance(x, Real) and math.isfinite(x) for x in self.limits):
                raise InputError(f"limits are {self.limits}; expected finite numbers")
        if self.instances is None:
            self._limits(self.slices)

    def _limits(self, slices: tuple[str, ...]) -> tuple[float, ...]:
        if self.limits is None:
            return cost_limits(slices)
        if len(self.limits) != 2 * len(slices):
            names = ", ".join(cost_names(slices))
            raise InputError(f"limits are {self.limits}; expected {2 * len(slices)} numbers: {names}")
        return tuple(float(x) for x in self.limits)

    def loaded(self) -> list[SlicingInstance] | None:
        """The given instances, names and paths read; all have the same slices."""
        if self.instances is None:
            return None
        found = [load_slicing(i) if isinstance(i, str) else i for i in self.instances]
        for instance in found:
            require_slices(instance, getattr(found[0], "slices", ()))
        return found

    def batch(self, copies: int) -> SlicingBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        given = self.loaded()
        slices = self.slices if given is None else given[0].slices
        return SlicingBatch(
            copies,
            slices,
            self.draw if given is None else Replay(given),
            project=bool(self.projected),
            cost_names=cost_names(slices),
            cost_limits=self._limits(slices),
        )

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with, by name."""
        given = self.loaded()
        return rule_policies(self._limits(self.slices if given is None else given[0].slices))
