"""The contracts of the ground floor: instance, problem, solver, budget, result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from optgap.co.core.errors import InputError

Sense = Literal["minimize", "maximize"]


class Bounds(NamedTuple):
    """Proved or published bounds of an instance's optimum, with the date on which they were read."""

    lower: float
    upper: float
    date: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Instance:
    """Base of every instance: a name, published bounds where there are any, and read-only arrays."""

    name: str = "unnamed"
    best_known: Bounds | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)


I = TypeVar("I", bound=Instance)  # noqa: E741  (the field's letter for an instance)
I_contra = TypeVar("I_contra", bound=Instance, contravariant=True)


class Problem(Protocol[I]):
    """A problem: how instances are made, what a feasible solution is, and what it costs.

    ``check`` and ``cost`` are written from the problem's definition and share no code with any environment or solver:
    they are the only source of a reported figure.
    """

    name: str
    sense: Sense

    def generate(self, rng: np.random.Generator, **size: Any) -> I:
        """Draw a random instance of the given size."""
        ...

    def check(self, instance: I, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless ``solution`` is feasible."""
        ...

    def cost(self, instance: I, solution: Any) -> float:
        """Objective value of a feasible solution, in the problem's own sense."""
        ...


@dataclass(frozen=True)
class Budget:
    """What a solver may spend: wall-clock seconds, threads, and the seed of its random choices."""

    seconds: float = 60.0
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise InputError(f"budget seconds is {self.seconds}; expected a number above 0")
        if self.threads < 1:
            raise InputError(f"budget threads is {self.threads}; expected at least 1")
        if self.seed < 0:
            raise InputError(f"budget seed is {self.seed}; expected at least 0")


class Status(StrEnum):
    """How a solver ended. ``OPTIMAL`` and ``INFEASIBLE`` only where proved."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    NO_SOLUTION = "no solution"
    INFEASIBLE = "infeasible"


class Incumbent(NamedTuple):
    """A point of a solver's history: seconds since its start, best cost so far, best proved bound so far (or None)."""

    seconds: float
    cost: float
    bound: float | None


@dataclass(frozen=True)
class Result:
    """What a solver answers. ``cost`` and the two times are filled in by :func:`optgap.co.core.solve`."""

    solution: Any | None
    status: Status
    cost: float | None = None
    bound: float | None = None
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    incumbents: tuple[Incumbent, ...] = field(default=())


class Solver(Protocol[I_contra]):
    """A solver is a callable. It honours the budget's seconds, threads and seed; Ctrl-C returns the incumbent."""

    def __call__(self, instance: I_contra, budget: Budget, /) -> Result: ...


SolverFactory = Callable[..., Solver[Any]]
