"""Batches of episodes of ``optgap/NetworkSlicing-v0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.dynamics.options import KERNEL
from optgap.co.dynamics.slicing import HIGHEST, SEEN, empty_cells, put_cell, reset_batch, step_batch
from optgap.co.problems.slicing import TOLERANCE, SlicingInstance
from optgap.envs.batched import Observation
from optgap.envs.constrained_box import Capacity, ConstrainedBox
from optgap.envs.slicing.render import frame, slicing_text

LARGEST = 1e6  # entry of an action that is projected


@njit(cache=True, **KERNEL)
def first_invalid(action: NDArray[np.float64], skip: NDArray[np.bool_], project: bool) -> int:
    """The first copy not in ``skip`` whose ``action`` (B, S) cannot be taken; -1 where there is none."""
    least, most = (-LARGEST, LARGEST) if project else (0.0, 1.0 + TOLERANCE)
    for b in range(len(action)):
        total, valid = 0.0, True
        for s in range(action.shape[1]):
            valid &= least <= action[b, s] <= most  # NaN compares false
            total += action[b, s]
        if not skip[b] and not (valid and (project or total <= most)):
            return b
    return -1


class SlicingBatch:
    """``copies`` episodes on instances that ``draw(rng)`` returns, one random generator a copy.

    Args:
        slices: names of the slices that every instance has.
        project: whether actions are projected on the simplex, or must be in it.
        cost_names: (2 S,) names of the costs; ``cost_limits`` (2 S,) float64, what their means may be.
    """

    constants: Sequence[str] = ()

    def __init__(
        self,
        copies: int,
        slices: tuple[str, ...],
        draw: Callable[[np.random.Generator], SlicingInstance],
        *,
        project: bool,
        cost_names: tuple[str, ...],
        cost_limits: tuple[float, ...],
    ) -> None:
        self.slices, self.draw, self.project = slices, draw, project
        self.cost_names, self.cost_limits = cost_names, np.array(cost_limits)
        self.cells, self.state = empty_cells(copies, len(slices))
        self.instances: list[SlicingInstance | None] = [None] * copies
        self.done = np.zeros(copies, np.bool_)

    @property
    def reward(self) -> NDArray[np.float64]:
        """(B,) of the last step."""
        return self.state.reward

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new instance for, and restart, every copy marked in ``which`` (B,)."""
        for b in np.flatnonzero(which).tolist():
            self.put(b, self.draw(rngs[b]))
        self.restart(which)

    def put(self, b: int, instance: SlicingInstance) -> None:
        """Give copy ``b`` an instance, which must have this batch's slices."""
        require_slices(instance, self.slices)
        self.cells, self.state = put_cell(self.cells, self.state, b, instance)
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the instances they have."""
        reset_batch(self.cells, self.state, which)
        self.done[which] = False

    def step(self, action: NDArray[np.float64], skip: NDArray[np.bool_]) -> None:
        """Play a decision in every copy not in ``skip`` with the shares ``action`` (B, S)."""
        bad = first_invalid(action, skip, self.project)
        if bad >= 0:
            expected = (
                f"numbers in -{LARGEST:g}..{LARGEST:g}"
                if self.project
                else "shares of at least 0 and at most 1 together (projected=True projects others)"
            )
            raise InvalidActionError(f"action {action[bad].tolist()} in copy {bad}; expected {expected}")
        step_batch(self.cells, self.state, action, skip, self.project, self.done)

    def observation(self) -> NDArray[np.float32]:
        """(B, S F) buffer, not copied: the next step overwrites it."""
        return self.state.seen.reshape(len(self.done), -1)

    def info(self) -> Observation:
        """Costs of the last decision, (B, 2 S), not copied."""
        return {"cost": self.state.cost}

    def solution(self, b: int) -> NDArray[np.float64]:
        """(T, S) shares of copy ``b`` so far; at the end of the episode what ``Problem.check`` takes."""
        return self.state.shares[b, : self.state.decision[b]].copy()

    def picture(self, b: int, mode: str) -> Any:
        """Shares and queues so far: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        instance = self.instances[b]
        assert instance is not None, "reset first"
        return (slicing_text if mode == "ansi" else frame)(instance, self.solution(b))

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        n = len(self.slices)
        return spaces.Box(0, 1, (n,)) if self.project else ConstrainedBox(0, 1, Capacity(1.0), n=n)

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        return spaces.Box(0, HIGHEST, (len(self.slices) * len(SEEN),))


def require_slices(instance: Any, slices: tuple[str, ...]) -> None:
    """Raise :class:`InputError` unless ``instance`` is one of network slicing with these slices."""
    name = getattr(instance, "name", "unnamed")
    if not isinstance(instance, SlicingInstance):
        raise InputError(f"instance {name} is a {type(instance).__name__}; the environment plays network slicing")
    if instance.slices != slices:
        raise InputError(f"instance {name} has slices {list(instance.slices)}; the environment holds {list(slices)}")
