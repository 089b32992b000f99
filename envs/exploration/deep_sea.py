"""Batches of episodes of ``optgap/DeepSea-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError, Instance, InvalidActionError
from optgap.co.dynamics.options import KERNEL
from optgap.envs.batched import Observation
from optgap.envs.exploration.render import FREE, GOAL, VISITED, frame, grid_text

MOVE_COST = 0.01  # of N moves right together
SIZES = (2, 100)

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class DeepSea(Instance):
    """Which action moves right, cell by cell; read-only."""

    right: NDArray[np.int8]  # (N, N) 0 or 1

    def __post_init__(self) -> None:
        right = np.array(self.right)
        if right.ndim != 2 or right.shape[0] != right.shape[1] or not SIZES[0] <= len(right) <= SIZES[1]:
            raise InputError(
                f"instance {self.name}: right of shape {right.shape}; expected (N, N), N in {SIZES[0]}..{SIZES[1]}"
            )
        if not np.isin(right, (0, 1)).all():
            raise InputError(f"instance {self.name}: right holds {np.unique(right).tolist()}; expected actions 0 and 1")
        object.__setattr__(self, "right", right.astype(np.int8))
        super().__post_init__()


def deep_sea(size: int, mapping_seed: int | None) -> DeepSea:
    """A sea of N = ``size`` rows; ``mapping_seed`` draws the action that moves right, None makes it 1 everywhere."""
    if mapping_seed is None:
        return DeepSea(name=f"deepsea-{size}", right=np.ones((size, size), np.int8))
    right = np.random.default_rng(mapping_seed).integers(0, 2, (size, size), np.int8)
    return DeepSea(name=f"deepsea-{size}-m{mapping_seed}", right=right)


class DeepSeaState(NamedTuple):
    """State of B dives in seas of N rows, and what happened in the last step."""

    right: NDArray[np.int8]  # (B, N, N) the action that moves right
    row: I64  # (B,) N at the end
    column: I64  # (B,)
    path: I64  # (B, N) cells, one a row
    cell: I64  # (B,) the last one that the diver was in
    position: F64  # (B, 2) its column and row
    reward: F64  # (B,)
    success: F64  # (B,) 1 if the treasure was reached


@njit(cache=True, **KERNEL)
def enter(state: DeepSeaState, b: int, row: int, column: int) -> None:
    """Put the diver of copy ``b`` into a cell."""
    cell = row * state.right.shape[1] + column
    state.row[b], state.column[b] = row, column
    state.path[b, row] = state.cell[b] = cell
    state.position[b, 0], state.position[b, 1] = column, row


@njit(cache=True, **KERNEL)
def reset_deep_sea(state: DeepSeaState, which: NDArray[np.bool_]) -> None:
    """Bring the copies marked in ``which`` (B,) to the top left corner."""
    for b in range(len(which)):
        if which[b]:
            state.reward[b] = state.success[b] = 0.0
            enter(state, b, 0, 0)


@njit(cache=True, **KERNEL)
def step_deep_sea(state: DeepSeaState, action: I64, skip: NDArray[np.bool_], done: NDArray[np.bool_]) -> int:
    """Take ``action`` (B,) in every copy not in ``skip``, and fill ``done`` (B,).

    Returns:
        -1, or the first copy whose action is none: then no copy has moved.
    """
    for b in range(len(action)):
        if not skip[b] and not 0 <= action[b] <= 1:
            return b
    size = state.right.shape[1]
    for b in range(len(action)):
        if not skip[b]:
            row, column = state.row[b], state.column[b]
            reward = 0.0
            if action[b] == state.right[b, row, column]:
                if column == size - 1:
                    reward = state.success[b] = 1.0
                reward -= MOVE_COST / size
                column = min(column + 1, size - 1)
            else:
                column = max(column - 1, 0)
            state.reward[b] = reward
            if row + 1 < size:
                enter(state, b, row + 1, column)
            else:
                state.row[b] = size
                done[b] = True
    return -1


class DeepSeaBatch:
    """``copies`` dives in ``sea``, or in others of its size that :meth:`put` gives."""

    constants: Sequence[str] = ()

    def __init__(self, copies: int, sea: DeepSea) -> None:
        size = len(sea.right)
        self.sea, self.grid_shape, self.max_steps = sea, (size, size), size
        self.instances: list[DeepSea | None] = [None] * copies
        self.done = np.zeros(copies, np.bool_)
        self.state = DeepSeaState(
            right=np.zeros((copies, size, size), np.int8),
            row=np.zeros(copies, np.int64),
            column=np.zeros(copies, np.int64),
            path=np.zeros((copies, size), np.int64),
            cell=np.zeros(copies, np.int64),
            position=np.zeros((copies, 2)),
            reward=np.zeros(copies),
            success=np.zeros(copies),
        )

    @property
    def reward(self) -> F64:
        """(B,) of the last step."""
        return self.state.reward

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Restart every copy marked in ``which`` (B,) in the sea of this batch."""
        for b in np.flatnonzero(which).tolist():
            if self.instances[b] is not self.sea:
                self.put(b, self.sea)
        self.restart(which)

    def put(self, b: int, instance: DeepSea) -> None:
        """Give copy ``b`` a sea of this batch's size."""
        if not isinstance(instance, DeepSea) or instance.right.shape != self.grid_shape:
            what = getattr(instance, "right", np.empty(0)).shape if isinstance(instance, DeepSea) else type(instance)
            raise InputError(f"instance is {what}; expected a DeepSea of {self.grid_shape}")
        self.state.right[b] = instance.right
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies in the seas they have."""
        reset_deep_sea(self.state, which)
        self.done[which] = False

    def step(self, action: I64, skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; no copy moves where an action (B,) is none."""
        bad = step_deep_sea(self.state, action, skip, self.done)
        if bad >= 0:
            raise InvalidActionError(f"action {int(action[bad])} in copy {bad}; expected 0 or 1")

    def observation(self) -> I64:
        """(B,) buffer of the cells, not copied: the next step overwrites it."""
        return self.state.cell

    def info(self) -> Observation:
        """Where the divers are, and whether they have reached the treasure; not copied."""
        return {"cell": self.state.cell, "position": self.state.position, "success": self.state.success}

    def solution(self, b: int) -> I64:
        """Cells of copy ``b`` so far, one a row."""
        return self.state.path[b, : self.state.row[b] + 1].copy()

    def picture(self, b: int, mode: str) -> Any:
        """The cells passed: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        kinds = np.full(self.grid_shape, FREE)
        kinds[-1, -1] = GOAL
        kinds.flat[self.solution(b)] = VISITED
        instance = self.instances[b]
        assert instance is not None, "reset first"
        row, size = int(self.state.row[b]), self.grid_shape[0]
        place = self.state.position[b] + 0.5
        if mode == "ansi":
            return grid_text(
                f"{instance.name}: row {row} of {size}, treasure {self.state.success[b]:.0f}", kinds, place
            )
        return frame(kinds, place)

    def action_space(self) -> spaces.Discrete:
        """Space of one copy's action."""
        return spaces.Discrete(2)

    def observation_space(self) -> spaces.Discrete:
        """Space of one copy's observation."""
        return spaces.Discrete(self.grid_shape[0] ** 2)
