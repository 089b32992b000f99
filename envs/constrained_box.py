"""Action spaces of environments with instantaneous constraints: what an action must fulfil at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.projection import Polyhedron


@dataclass(frozen=True)
class Capacity:
    """sum x <= ``total``; sum x = ``total`` if ``exact``."""

    total: float
    exact: bool = False


@dataclass(frozen=True, eq=False)
class Linear:
    """A x <= b and E x = f, of shapes (m, n), (m,), (k, n) and (k,); without A, only equations."""

    A: ArrayLike | None = None
    b: ArrayLike | None = None
    E: ArrayLike | None = None
    f: ArrayLike | None = None


class ConstrainedBox(gym.spaces.Box):
    """Vectors (n,) within bounds that fulfil linear constraints; samples are projections of a box's samples.

    Args:
        low: (n,) or a number; minus infinity where there is no bound.
        high: (n,) or a number.
        constraints: further constraints (``action_constraints``). A capacity needs finite lower bounds.
        n: number of entries, where both bounds are numbers.
        dtype: float32 or float64.
        seed: of samples.

    Raises:
        InputError: no vector fulfils all, or shapes do not fit.
    """

    def __init__(
        self,
        low: float | NDArray[np.floating[Any]],
        high: float | NDArray[np.floating[Any]],
        constraints: Capacity | Linear,
        n: int | None = None,
        dtype: type[np.floating[Any]] = np.float32,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(low, high, None if n is None else (n,), dtype, seed)
        if len(self.shape) != 1:
            raise InputError(f"constrained box: bounds have shape {self.shape}; expected (n,)")
        self.action_constraints = constraints
        if isinstance(constraints, Capacity) and not np.isfinite(self.low).all():
            raise InputError("constrained box: a capacity needs finite lower bounds")
        self.polyhedron = polyhedron_of(self.low, self.high, constraints)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` keeps the bounds and, added up in double precision, the constraints."""
        return super().contains(x) and bool(self.polyhedron.contains(np.asarray(x, dtype=self.dtype)[None])[0])

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """The vector of the set that is nearest to a sample of the box."""
        inside, _ = self.polyhedron.project(super().sample(mask, probability)[None])
        clipped: NDArray[Any] = np.clip(inside[0], self.low, self.high)
        return clipped

    def __repr__(self) -> str:
        return (
            f"ConstrainedBox({self.low_repr}, {self.high_repr}, {self.action_constraints}, {self.shape}, {self.dtype})"
        )


def polyhedron_of(low: NDArray[Any], high: NDArray[Any], constraints: Capacity | Linear) -> Polyhedron:
    """The set of the vectors (n,) between the bounds that fulfil the constraints."""
    n = len(low)
    rows, limits = [-np.eye(n)[np.isfinite(low)], np.eye(n)[np.isfinite(high)]], [-low[np.isfinite(low)]]
    limits.append(high[np.isfinite(high)])
    if isinstance(constraints, Linear):
        if constraints.A is not None:
            rows.append(np.atleast_2d(np.asarray(constraints.A, dtype=np.float64)))
            limits.append(np.ravel(np.asarray([] if constraints.b is None else constraints.b, dtype=np.float64)))
        equations: tuple[ArrayLike | None, ArrayLike | None] = (constraints.E, constraints.f)
    elif constraints.exact:
        equations = (np.ones((1, n)), [constraints.total])
    else:
        rows.append(np.ones((1, n)))
        limits.append(np.array([constraints.total]))
        equations = (None, None)
    if any(block.shape[1] != n for block in rows):
        raise InputError(f"linear constraints: A has {rows[-1].shape[1]} columns; expected {n}, one an action's entry")
    return Polyhedron(np.concatenate(rows), np.concatenate(limits), *equations)
