"""The 0-1 knapsack problem: the most valuable set of items within the capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense
from optgap.co.problems.distances import as_numbers, row

# capacity at items, of the literature (Kwon et al. 2020, BQ-NCO 2023); between them interpolated
CAPACITIES = ((50, 12.5), (100, 25.0), (1000, 25.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class KnapsackInstance(Instance):
    """N items, N >= 1. An item heavier than the capacity is allowed and cannot be chosen."""

    value: NDArray[np.float64]  # (N,) >= 0
    weight: NDArray[np.float64]  # (N,) >= 0, in the unit of the capacity
    capacity: float  # >= 0

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        for name in ("value", "weight"):
            array = as_numbers(where, name, getattr(self, name))
            object.__setattr__(self, name, array)
            if array.ndim != 1 or (array < 0).any():
                raise InputError(f"{where}: {name}: expected one row of numbers, at least 0")
        object.__setattr__(self, "capacity", float(self.capacity))
        if len(self.value) < 1 or len(self.value) != len(self.weight):
            raise InputError(
                f"{where}: {len(self.value)} values and {len(self.weight)} weights; expected as many, 1 or more"
            )
        if not np.isfinite(self.capacity) or self.capacity < 0:
            raise InputError(f"{where}: capacity is {self.capacity:g}; expected at least 0")
        super().__post_init__()

    @property
    def n_items(self) -> int:
        """N."""
        return len(self.value)


class Knapsack:
    """The knapsack problem. A solution is a (K,) integer array of the chosen items, in any order."""

    name = "kp"
    sense: Sense = "maximize"

    def generate(
        self, rng: np.random.Generator, *, items: int = 200, capacity: float | None = None, **rest: Any
    ) -> KnapsackInstance:
        """Values and weights U[0, 1); ``capacity`` None takes 12.5 at 50 items and 25 from 100 on (a quarter below 50)."""
        return KnapsackInstance(**row(self.draw([rng], items=items, capacity=capacity), 0) | rest)

    def draw(
        self, rngs: Sequence[np.random.Generator], *, items: int = 200, capacity: float | None = None
    ) -> dict[str, Any]:
        """Fields of the instances that :meth:`generate` makes with each of ``rngs``; see ``distances.row``."""
        if items < 1:
            raise InputError(f"items is {items}; expected at least 1")
        if capacity is None:
            capacity = items / 4 if items < 50 else float(np.interp(items, *np.transpose(CAPACITIES)))
        if not 0 <= capacity < np.inf:
            raise InputError(f"capacity is {capacity:g}; expected a number, at least 0")
        both = np.empty((len(rngs), 2, items))
        for rng, each in zip(rngs, both, strict=True):
            rng.random(out=each)
        return {
            "name": f"uniform-{items}",
            "value": both[:, 0],
            "weight": both[:, 1],
            "capacity": float(capacity),
        }

    def check(self, instance: KnapsackInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless the items are different ones and fit."""
        chosen, name = np.asarray(solution), instance.name
        if chosen.ndim != 1 or (len(chosen) and not np.issubdtype(chosen.dtype, np.integer)):
            raise InfeasibleError(
                f"{name}: items of shape {chosen.shape}, dtype {chosen.dtype}; expected one row of integers"
            )
        if len(chosen) == 0:
            return
        if chosen.min() < 0 or chosen.max() >= instance.n_items:
            raise InfeasibleError(f"{name}: items {chosen.min()} to {chosen.max()}; expected 0..{instance.n_items - 1}")
        item, count = np.unique(chosen, return_counts=True)
        if (count > 1).any():
            raise InfeasibleError(f"{name}: item {item[np.argmax(count)]} is chosen {count.max()} times")
        weight = float(instance.weight[chosen].sum())
        if weight > instance.capacity * (1 + 1e-9):
            raise InfeasibleError(f"{name}: the items weigh {weight:.12g}; expected at most {instance.capacity:.12g}")

    def cost(self, instance: KnapsackInstance, solution: Any) -> float:
        """Sum of the values of the chosen items."""
        return float(instance.value[np.asarray(solution, dtype=np.int64)].sum())


KNAPSACK = Knapsack()
