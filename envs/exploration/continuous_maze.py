"""Batches of episodes of ``optgap/PointMaze-v0``."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, inf, sqrt

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InvalidActionError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.exploration.maze import Maze
from optgap.envs.exploration.maze_batch import F64, MazeBatch, MazeState, arrive, forget, judge

HALF_SIDE = 0.125  # of the square body, in cells; a power of two, so that contacts are exact numbers
TOUCH = 1e-9  # cells; deeper than this is inside a wall. Rounding is about 1e-15.


@njit(cache=True, **INLINED)
def crossing(at: float, move: float, low: float, high: float) -> tuple[float, float]:
    """When a point at ``at`` that moves by ``move`` in unit time enters and leaves the interval (low, high).

    Entered already is -inf, never is inf. What touches an end has not entered.
    """
    if move > 0.0:
        gap = low - at
        return (max(gap, 0.0) / move if gap >= -TOUCH else -inf), (high - TOUCH - at) / move
    if move < 0.0:
        gap = at - high
        return (max(gap, 0.0) / -move if gap >= -TOUCH else -inf), (at - low - TOUCH) / -move
    return (-inf if low + TOUCH < at < high - TOUCH else inf), inf


@njit(cache=True, **INLINED)
def first_contact(walls: NDArray[np.bool_], x: float, y: float, dx: float, dy: float) -> tuple[float, bool, int, int]:
    """The first wall that the body meets on its way from (x, y) by (dx, dy).

    Returns:
        The part of the way up to it, 1 if there is none; whether it is met in x, not in y; its row and column.
    """
    time, in_x, corner, row, column = 1.0, False, False, -1, -1
    rows, columns = walls.shape
    top, bottom = floor(min(y, y + dy) - HALF_SIDE), floor(max(y, y + dy) + HALF_SIDE)
    first, last = floor(min(x, x + dx) - HALF_SIDE), floor(max(x, x + dx) + HALF_SIDE)
    for i in range(max(top, 0), min(bottom + 1, rows)):
        for j in range(max(first, 0), min(last + 1, columns)):
            if walls[i, j]:
                enter_x, leave_x = crossing(x, dx, j - HALF_SIDE, j + 1 + HALF_SIDE)
                enter_y, leave_y = crossing(y, dy, i - HALF_SIDE, i + 1 + HALF_SIDE)
                enter = max(enter_x, enter_y)
                # Corner on corner is a contact only if no other cell is met flat: it may be part of a straight wall.
                sooner = enter < time or (enter == time and corner and enter_x != enter_y)
                if sooner and 0.0 <= enter < leave_x and enter < leave_y:
                    time, in_x, corner, row, column = enter, enter_x > enter_y, enter_x == enter_y, i, j
    return time, in_x, row, column


@njit(cache=True, **KERNEL)
def slide(walls: NDArray[np.bool_], body: F64) -> None:
    """Move ``body`` (x, y, vx, vy) by its velocity for a step.

    Where it meets a wall it loses that component of its velocity, and the rest of the step takes it along the wall:
    two contacts stop it, so three parts make a step.
    """
    left = 1.0
    for _ in range(3):
        x, y, dx, dy = body[0], body[1], body[2] * left, body[3] * left
        time, in_x, row, column = first_contact(walls, x, y, dx, dy)
        body[0], body[1] = x + dx * time, y + dy * time
        if row < 0:
            return
        if in_x:
            body[0] = column - HALF_SIDE if dx > 0.0 else column + 1 + HALF_SIDE
            body[2] = 0.0
        else:
            body[1] = row - HALF_SIDE if dy > 0.0 else row + 1 + HALF_SIDE
            body[3] = 0.0
        left *= 1.0 - time


@njit(cache=True, **INLINED)
def sense(state: MazeState, body: F64, seen: NDArray[np.float32], b: int, max_speed: float) -> None:
    """Fill row ``b`` of ``seen`` (B, 4)."""
    seen[b, 0] = 2.0 * body[b, 0] / state.walls.shape[2] - 1.0
    seen[b, 1] = 2.0 * body[b, 1] / state.walls.shape[1] - 1.0
    seen[b, 2] = body[b, 2] / max_speed
    seen[b, 3] = body[b, 3] / max_speed


@njit(cache=True, **KERNEL)
def reset_points(
    state: MazeState, body: F64, seen: NDArray[np.float32], which: NDArray[np.bool_], max_speed: float
) -> None:
    """Bring the copies marked in ``which`` (B,) to rest in the middle of their starts."""
    for b in range(len(which)):
        if which[b]:
            forget(state, b)
            row, column = state.start[b]
            body[b, 0], body[b, 1] = column + 0.5, row + 0.5
            body[b, 2] = body[b, 3] = 0.0
            arrive(state, b, row, column, body[b, 0], body[b, 1])
            sense(state, body, seen, b, max_speed)


@njit(cache=True, **KERNEL)
def step_points(
    state: MazeState,
    body: F64,
    seen: NDArray[np.float32],
    action: F64,
    skip: NDArray[np.bool_],
    max_speed: float,
    max_acceleration: float,
) -> int:
    """Accelerate and move every copy not in ``skip`` by ``action`` (B, 2).

    Returns:
        -1, or the first copy whose action is none: then no copy has moved.
    """
    for b in range(len(action)):
        valid = -1.0 <= action[b, 0] <= 1.0 and -1.0 <= action[b, 1] <= 1.0  # NaN compares false
        if not skip[b] and not valid:
            return b
    for b in range(len(action)):
        if not skip[b]:
            vx = body[b, 2] + max_acceleration * action[b, 0]
            vy = body[b, 3] + max_acceleration * action[b, 1]
            part = min(1.0, max_speed / max(sqrt(vx * vx + vy * vy), max_speed))
            body[b, 2], body[b, 3] = vx * part, vy * part
            slide(state.walls[b], body[b])
            state.steps[b] += 1
            arrive(state, b, floor(body[b, 1]), floor(body[b, 0]), body[b, 0], body[b, 1])
            judge(state, b)
            sense(state, body, seen, b, max_speed)
    return -1


class PointMazeBatch(MazeBatch):
    """Episodes of a small square body that is accelerated; speeds in cells a step, accelerations in cells a step^2."""

    offset = 0.0

    def __init__(
        self,
        copies: int,
        grid_shape: tuple[int, int],
        draw: Callable[[np.random.Generator], Maze],
        *,
        goal: bool,
        max_steps: int,
        max_speed: float,
        max_acceleration: float,
    ) -> None:
        super().__init__(copies, grid_shape, draw, goal=goal, max_steps=max_steps)
        self.max_speed, self.max_acceleration = float(max_speed), float(max_acceleration)
        self.body = np.zeros((copies, 4))  # x, y, vx, vy
        self.seen = np.zeros((copies, 4), np.float32)

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies in the mazes they have."""
        reset_points(self.state, self.body, self.seen, which, self.max_speed)

    def step(self, action: F64, skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; no copy moves where an action (B, 2) is none."""
        bad = step_points(self.state, self.body, self.seen, action, skip, self.max_speed, self.max_acceleration)
        if bad >= 0:
            raise InvalidActionError(f"action {action[bad].tolist()} in copy {bad}; expected two numbers in -1..1")

    def observation(self) -> NDArray[np.float32]:
        """(B, 4) buffer, not copied: the next step overwrites it."""
        return self.seen

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        return spaces.Box(-1, 1, (2,))

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        return spaces.Box(-1, 1, (4,))
