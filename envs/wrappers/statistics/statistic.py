"""What all statistics share: the contract, and the memory that they may take."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import DTypeLike, NDArray

from optgap.co.core import InputError
from optgap.envs.wrappers.places import Place

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """What a statistic is kept of.

    Args:
        place: of the agent.
        copies: B.
        episodic: one statistic a copy, of its episode; otherwise one of all copies and episodes.
        encoded: whether it joins the observation.
        max_mib: MiB that its arrays may take.
    """

    place: Place
    copies: int
    episodic: bool
    encoded: bool
    max_mib: float

    @property
    def rows(self) -> int:
        """R, how many statistics are kept."""
        return self.copies if self.episodic else 1

    def allocate(
        self, size: int, shown: int | None = None, /, **arrays: tuple[tuple[int, ...], DTypeLike]
    ) -> tuple[dict[str, NDArray[Any]], F32]:
        """Zeros: the arrays by name, given by their shapes after the axis R and dtypes, and the encoding.

        That is (shown, size), where shown is R unless it is given; (0, size) where nothing is encoded.

        Raises:
            InputError: they take more than ``max_mib``.
        """
        shapes = {name: ((self.rows, *shape), np.dtype(kind)) for name, (shape, kind) in arrays.items()}
        lines = self.rows if shown is None else shown
        shapes["encoding"] = ((lines if self.encoded else 0, size), np.dtype(np.float32))
        mib = sum(prod(shape) * kind.itemsize for shape, kind in shapes.values()) / 2**20
        if mib > self.max_mib:
            parts = ", ".join(f"{name} {shape} {kind}" for name, (shape, kind) in shapes.items())
            raise InputError(f"statistic takes {mib:.1f} MiB ({parts}); expected at most {self.max_mib:g} (max_mib)")
        made = {name: np.zeros(shape, kind) for name, (shape, kind) in shapes.items()}
        return made, made.pop("encoding")


class Statistic(Protocol):
    """R statistics of visited places, R being the number of copies, or 1 where all copies share one.

    Its constructor takes a :class:`Setting` and, by keyword, what is its own.
    """

    reads: ClassVar[Literal["cell", "position"]]  # (B,) int64, or (B, k) float64
    space: spaces.Box | None  # of one encoding; None where no encoding of fixed size determines the statistic
    arrays: dict[str, NDArray[Any]]  # (R, ...) the statistic itself
    encoding: F32  # (R or B, n) what observations show of it, flat, kept up to date; (0, n) where it is not encoded

    def visit(self, place: NDArray[Any], fresh: Flags, terminated: Flags, truncated: Flags, bonus: F64) -> int:
        """The bonuses for arriving at ``place``, by the statistic as it is; then the visits join it.

        Args:
            place: (B,) or (B, k), see ``reads``.
            fresh: (B,) where an episode starts there: an episodic statistic is emptied before, and the bonus is 0. Then
                it becomes the same of the next step, which only resets the copies whose episode has just ended.
            terminated: (B,) of this step.
            truncated: (B,) of this step.
            bonus: (B,) receives the bonuses.

        Returns:
            -1, or a copy whose place is not one: then nothing has changed.
        """
        ...

    def encode(self) -> None:
        """Bring ``encoding`` up to date after ``arrays`` were written to."""
        ...
