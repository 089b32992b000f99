"""Batches of episodes on a periodic line whose field actuators push: what both equations share."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.batched import Observation
from optgap.envs.pde.render import frame
from optgap.envs.pde.spectral import F64, SLACK, advance, amplification, make_scheme, make_workspace, put_fields

DIVERGED = "diverged"


@dataclass(frozen=True, eq=False)
class Field:
    """Where an episode begins: ``values`` (N,) float64, the field u(x_j) at x_j = j length / N; kept as a copy.

    Raises:
        InputError: what is no row of numbers.
    """

    name: str
    values: F64

    def __post_init__(self) -> None:
        try:
            values = np.array(self.values, np.float64)
        except (TypeError, ValueError):  # no numbers, or rows of different lengths
            values = np.empty((0, 0))
        if values.ndim != 1:
            raise InputError(f"field {self.name}: values are {reprlib.repr(self.values)}; expected a row of numbers")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Line:
    """A periodic line, its equation and its actuators.

    Args:
        length: of the line; ``points``, on it, even.
        rate: linear growth rate of wave number q, per time unit.
        centres: of the actuators, as shares of the length; ``shape(r)`` is what one pushes at a distance r.
        low: amplitude of an actuator for the action -1; ``high``, for 1.
        interval: time units of a control step; ``substeps``, time steps of it.
        speed: largest absolute value of the field; one beyond has diverged.
    """

    length: float
    points: int
    rate: Callable[[F64], F64]
    centres: tuple[float, ...]
    shape: Callable[[F64], F64]
    low: float
    high: float
    interval: float
    substeps: int
    speed: float

    @property
    def x(self) -> F64:
        """(N,) places of the grid points."""
        return np.arange(self.points, dtype=np.float64) * (self.length / self.points)

    def actuators(self) -> F64:
        """(A, N) what each actuator pushes at amplitude 1: its shape around its centre, and around its images."""
        distance = self.x - self.length * np.array(self.centres)[:, None]
        pushes: F64 = np.sum([self.shape(distance + image * self.length) for image in (-1, 0, 1)], axis=0)
        return pushes

    def require_stable(self) -> None:
        """Raise :class:`InputError` unless time steps are stable at ``speed``: then none grows that the equation damps.

        Small waves on a uniform flow must not grow faster in a time step than the equation lets the fastest one grow.
        """

        def excess(substeps: int) -> tuple[float, float, bool]:
            growth, most = amplification(self.length, self.points, self.rate, self.interval / substeps, self.speed)
            return growth, most, growth > most * (1 + SLACK)

        growth, most, unstable = excess(self.substeps)
        if unstable:
            enough = self.substeps
            while excess(enough)[2]:
                enough += 1
            raise InputError(
                f"substeps is {self.substeps}: a time step of {self.interval / self.substeps:.3g} amplifies waves by "
                f"{growth:.3g} at speed {self.speed:g}; the stability limit is {most:.3g}, which takes {enough} substeps"
            )


class FieldBatch(ABC):
    """``copies`` episodes of ``steps`` control steps. A subclass draws the start, rewards and observes.

    Each is truncated after ``steps``. One whose field leaves -speed..speed is terminated: its observation is clipped, its
    reward is that of ``lost`` for each step that is left.
    """

    constants: Sequence[str] = ()
    lost: float  # reward of a step after the field has diverged

    def __init__(self, copies: int, line: Line, steps: int) -> None:
        line.require_stable()
        self.line, self.steps = line, steps
        self.scheme = make_scheme(line.length, line.points, line.rate, line.interval / line.substeps)
        self._work = make_workspace(self.scheme, line.points)
        self.shapes = self._modes_of(line.actuators())  # (A, M)
        self.instances: list[Field | None] = [None] * copies
        self.grid = np.zeros((copies, line.points))  # the field
        self.modes = self._modes_of(self.grid)
        self.budget = np.zeros((copies, 3))  # means over the last control step of u_xx^2, u_x^2, u f
        self.step_index = np.zeros(copies, np.int64)
        self.played = np.zeros((copies, steps, len(self.shapes)))
        self.reward = np.zeros(copies)
        self.done = np.zeros(copies, np.bool_)
        self.truncated = np.zeros(copies, np.bool_)
        self.reason = np.full(copies, "", f"<U{len(DIVERGED)}")

    def _modes_of(self, grid: F64) -> F64:
        """(B, M) coefficients of fields (B, N), which lose the waves that the scheme leaves out."""
        modes = np.zeros((len(grid), len(self.scheme.wave)))
        put_fields(self.scheme, np.ones(len(grid), np.bool_), self._work, grid, modes)
        return modes

    @abstractmethod
    def draw(self, rngs: Sequence[np.random.Generator]) -> F64:
        """(len(rngs), N) fields to begin with, each a function of its generator alone."""

    @abstractmethod
    def judge(self, playing: NDArray[np.bool_]) -> None:
        """Set the reward and the figures of the copies ``playing`` (B,), which have just played a step."""

    @abstractmethod
    def forget(self, which: NDArray[np.bool_]) -> None:
        """Restart the figures of the copies ``which`` (B,)."""

    @abstractmethod
    def figures(self) -> Observation:
        """Figures of the episodes so far, (B,) each, not copied."""

    @abstractmethod
    def observation(self) -> NDArray[np.float32]:
        """(B, n) what the agent sees."""

    @abstractmethod
    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""

    def target(self, steps: NDArray[np.int64]) -> F64 | None:
        """(T,) value that the field should have after each of so many ``steps``; None where there is none."""
        return None

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new start for, and restart, every copy marked in ``which`` (B,)."""
        marked = np.flatnonzero(which).tolist()
        for b, values in zip(marked, self.draw([rngs[b] for b in marked]), strict=True):
            self.instances[b] = Field("random", values)
        self.restart(which)

    def put(self, b: int, instance: Field) -> None:
        """Give copy ``b`` a field to begin with."""
        if not isinstance(instance, Field):
            raise InputError(f"instance is a {type(instance).__name__}; the environment begins with a Field")
        values, speed = instance.values, self.line.speed
        if values.shape != (self.line.points,):
            raise InputError(f"field {instance.name} has shape {values.shape}; expected ({self.line.points},)")
        resolved = values[None].copy()
        self._modes_of(resolved)
        for what, field in (("", values), (", without the waves that the grid does not resolve,", resolved)):
            if not (most := np.abs(field).max()) <= speed * (1 + 1e-9):  # NaN compares false
                raise InputError(
                    f"field {instance.name}{what} reaches {most:.4g}; expected values from {-speed:g} to {speed:g}"
                )
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies with the fields that they have."""
        for b in np.flatnonzero(which).tolist():
            instance = self.instances[b]
            assert instance is not None, "put first"
            self.grid[b] = instance.values
        put_fields(self.scheme, which, self._work, self.grid, self.modes)
        self.step_index[which] = 0
        self.reward[which] = self.budget[which] = 0
        self.done[which] = self.truncated[which] = False
        self.reason[which] = ""
        self.forget(which)

    def _advance(self, modes: F64, grid: F64, budget: F64, action: F64, skip: NDArray[np.bool_]) -> None:
        """Let fields not in ``skip`` (B,) follow the equation for a control step under ``action`` (B, A)."""
        line = self.line
        amplitudes = line.low + (line.high - line.low) / 2 * (action + 1)
        advance(self.scheme, modes, amplitudes, self.shapes, skip, line.substeps, self._work, grid, budget)

    def step(self, action: F64, skip: NDArray[np.bool_]) -> None:
        """Play a control step in every copy not in ``skip`` with ``action`` (B, A)."""
        playing = ~skip
        bad = playing & ~(np.abs(action) <= 1).all(axis=1)  # NaN compares false
        if bad.any():
            b = int(bad.argmax())
            raise InvalidActionError(
                f"action {action[b].tolist()} in copy {b}; expected {len(self.shapes)} numbers in -1..1"
            )
        copies = np.flatnonzero(playing)
        self.played[copies, self.step_index[copies]] = action[copies]
        self._advance(self.modes, self.grid, self.budget, action, skip)
        self.step_index[copies] += 1
        self.reward[skip] = 0
        lost = playing & ~(np.abs(self.grid).max(axis=1) <= self.line.speed)
        self.judge(playing & ~lost)
        self.truncated = playing & ~lost & (self.step_index == self.steps)
        self.done = lost | self.truncated
        if lost.any():
            self.grid[lost] = np.clip(np.nan_to_num(self.grid[lost], nan=0.0), -self.line.speed, self.line.speed)
            self.reward[lost] = self.lost * (self.steps - self.step_index[lost] + 1)
            self.reason[lost] = DIVERGED

    def info(self) -> Observation:
        """Figures of the episodes so far and why they ended, (B,) each, not copied."""
        return {**self.figures(), "reason": self.reason}

    def solution(self, b: int) -> F64:
        """(T, A) actions of copy ``b`` so far."""
        return self.played[b, : self.step_index[b]].copy()

    def evolve(self, start: F64, actions: Iterable[F64]) -> Iterator[F64]:
        """Fields (C, N) from ``start`` (C, N) on, before and after each of ``actions`` (C, A); no episode is touched.

        It is the same array each time, changed in place.
        """
        grid = start.copy()
        modes, budget, none = self._modes_of(grid), np.zeros((len(grid), 3)), np.zeros(len(grid), np.bool_)
        yield grid
        for action in actions:
            self._advance(modes, grid, budget, action, none)
            yield grid

    def picture(self, b: int, mode: str) -> NDArray[np.uint8]:
        """The field over line and time so far, the field now and the actions: an (H, W, 3) uint8 array."""
        instance = self.instances[b]
        assert instance is not None, "reset first"
        assert mode == "rgb_array", "the only one"
        actions = self.solution(b)
        fields = np.concatenate([grid.copy() for grid in self.evolve(instance.values[None], actions[:, None])])
        return frame(self.line, fields, actions, self.steps, self.target(np.arange(len(fields))))

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        return spaces.Box(-1, 1, (len(self.shapes),))
