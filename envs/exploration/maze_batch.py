"""Batches of episodes in mazes, and those of ``optgap/GridMaze-v0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.batched import Observation
from optgap.envs.exploration.maze import MOVES, Maze
from optgap.envs.exploration.render import FREE, GOAL, VISITED, WALL, frame, grid_text

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class MazeState(NamedTuple):
    """B episodes of at most T steps in mazes of R rows and C columns, and what happened in the last step."""

    walls: NDArray[np.bool_]  # (B, R, C)
    start: I64  # (B, 2) row, column
    goal: I64  # (B,) number of a cell; -1 is none
    reachable: I64  # (B,) free cells
    visited: NDArray[np.bool_]  # (B, R C)
    found: I64  # (B,) cells visited
    steps: I64  # (B,)
    cell: I64  # (B,)
    position: F64  # (B, 2) x, y in cells
    path: F64  # (B, T + 1, 2) positions so far
    coverage: F64  # (B,) share of the reachable cells that are visited
    reward: F64  # (B,)
    done: NDArray[np.bool_]  # (B,)
    truncated: NDArray[np.bool_]  # (B,) whether the limit of steps ended it


@njit(cache=True, **INLINED)
def arrive(state: MazeState, b: int, row: int, column: int, x: float, y: float) -> None:
    """Note that copy ``b`` is in a cell, at x and y, after ``state.steps[b]`` steps."""
    cell = row * state.walls.shape[2] + column
    state.cell[b] = cell
    if not state.visited[b, cell]:
        state.visited[b, cell] = True
        state.found[b] += 1
        state.coverage[b] = state.found[b] / state.reachable[b]
    state.position[b, 0] = state.path[b, state.steps[b], 0] = x
    state.position[b, 1] = state.path[b, state.steps[b], 1] = y


@njit(cache=True, **INLINED)
def forget(state: MazeState, b: int) -> None:
    """Begin an episode of copy ``b``; :func:`arrive` must follow."""
    state.visited[b, :] = False
    state.found[b] = state.steps[b] = 0
    state.reward[b] = 0.0
    state.done[b] = state.truncated[b] = False


@njit(cache=True, **INLINED)
def judge(state: MazeState, b: int) -> None:
    """Fill the reward of copy ``b`` and whether its episode has ended."""
    reached = state.cell[b] == state.goal[b]
    state.reward[b] = 1.0 if reached else 0.0
    state.truncated[b] = not reached and state.steps[b] + 1 == state.path.shape[1]
    state.done[b] = reached or state.truncated[b]


@njit(cache=True, **INLINED)
def look(state: MazeState, b: int, seen: NDArray[np.uint8]) -> None:
    """Fill row ``b`` of ``seen`` (B, 6): row, column, and whether a wall is above, right, below, left."""
    row, column = divmod(state.cell[b], state.walls.shape[2])
    seen[b, 0], seen[b, 1] = row, column
    for k in range(4):
        seen[b, 2 + k] = state.walls[b, row + MOVES[k][0], column + MOVES[k][1]]


@njit(cache=True, **KERNEL)
def reset_grid(state: MazeState, seen: NDArray[np.uint8], which: NDArray[np.bool_]) -> None:
    """Bring the copies marked in ``which`` (B,) to their starts."""
    for b in range(len(which)):
        if which[b]:
            forget(state, b)
            row, column = state.start[b]
            arrive(state, b, row, column, column, row)
            look(state, b, seen)


@njit(cache=True, **KERNEL)
def step_grid(state: MazeState, seen: NDArray[np.uint8], action: I64, skip: NDArray[np.bool_]) -> int:
    """Move every copy not in ``skip`` by ``action`` (B,), a number of :data:`MOVES`; into a wall it stays.

    Returns:
        -1, or the first copy whose action is none: then no copy has moved.
    """
    for b in range(len(action)):
        if not skip[b] and not 0 <= action[b] <= 3:
            return b
    for b in range(len(action)):
        if not skip[b]:
            row, column = divmod(state.cell[b], state.walls.shape[2])
            down, right = MOVES[action[b]]
            if not state.walls[b, row + down, column + right]:
                row, column = row + down, column + right
            state.steps[b] += 1
            arrive(state, b, row, column, column, row)
            judge(state, b)
            look(state, b, seen)
    return -1


class MazeBatch:
    """``copies`` episodes in mazes of ``grid_shape`` that ``draw(rng)`` returns; a subclass moves the agent.

    Args:
        goal: whether reaching the cell farthest from the start earns 1 and ends an episode.
        max_steps: after which an episode is truncated.
    """

    constants: Sequence[str] = ()
    offset: float  # of the middle of a cell from the position that stands for it

    def __init__(
        self,
        copies: int,
        grid_shape: tuple[int, int],
        draw: Callable[[np.random.Generator], Maze],
        *,
        goal: bool,
        max_steps: int,
    ) -> None:
        self.draw, self.grid_shape, self.goal, self.max_steps = draw, grid_shape, goal, max_steps
        self.instances: list[Maze | None] = [None] * copies

        def whole(*shape: int) -> I64:
            return np.zeros((copies, *shape), np.int64)

        def real(*shape: int) -> F64:
            return np.zeros((copies, *shape))

        def flag(*shape: int) -> NDArray[np.bool_]:
            return np.zeros((copies, *shape), np.bool_)

        self.state = MazeState(
            walls=flag(*grid_shape),
            start=whole(2),
            goal=whole(),
            reachable=whole(),
            visited=flag(grid_shape[0] * grid_shape[1]),
            found=whole(),
            steps=whole(),
            cell=whole(),
            position=real(2),
            path=real(max_steps + 1, 2),
            coverage=real(),
            reward=real(),
            done=flag(),
            truncated=flag(),
        )
        self.done, self.truncated = self.state.done, self.state.truncated

    @property
    def reward(self) -> F64:
        """(B,) of the last step."""
        return self.state.reward

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a maze for, and restart, every copy marked in ``which`` (B,)."""
        for b in np.flatnonzero(which).tolist():
            instance = self.draw(rngs[b])
            if instance is not self.instances[b]:
                self.put(b, instance)
        self.restart(which)

    def put(self, b: int, instance: Maze) -> None:
        """Give copy ``b`` a maze of this batch's shape."""
        if not isinstance(instance, Maze) or instance.walls.shape != self.grid_shape:
            what = instance.walls.shape if isinstance(instance, Maze) else type(instance).__name__
            raise InputError(f"instance is {what}; expected a Maze of {self.grid_shape}")
        self.state.walls[b], self.state.start[b] = instance.walls, instance.start
        self.state.reachable[b] = instance.reachable
        self.state.goal[b] = instance.farthest if self.goal else -1
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies in the mazes they have."""
        raise NotImplementedError

    def info(self) -> Observation:
        """Where the agents are and what they have covered, not copied."""
        return {"cell": self.state.cell, "position": self.state.position, "coverage": self.state.coverage}

    def solution(self, b: int) -> F64:
        """(t + 1, 2) positions x, y of copy ``b`` so far."""
        return self.state.path[b, : self.state.steps[b] + 1].copy()

    def picture(self, b: int, mode: str) -> Any:
        """The maze, the cells visited and the path: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        instance, state = self.instances[b], self.state
        assert instance is not None, "reset first"
        kinds = np.where(state.walls[b], WALL, np.where(state.visited[b].reshape(self.grid_shape), VISITED, FREE))
        if self.goal:
            kinds.flat[state.goal[b]] = GOAL
        path = self.solution(b) + self.offset
        if mode == "ansi":
            title = f"{instance.name}: step {state.steps[b]}, coverage {state.coverage[b]:.3f}"
            return grid_text(title, kinds, path[-1])
        return frame(kinds, path[-1], path)


class GridMazeBatch(MazeBatch):
    """Episodes of an agent that moves from cell to cell."""

    offset = 0.5

    def __init__(self, copies: int, grid_shape: tuple[int, int], draw: Any, *, goal: bool, max_steps: int) -> None:
        super().__init__(copies, grid_shape, draw, goal=goal, max_steps=max_steps)
        self.seen = np.zeros((copies, 6), np.uint8)

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies in the mazes they have."""
        reset_grid(self.state, self.seen, which)

    def step(self, action: I64, skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; no copy moves where an action (B,) is none."""
        bad = step_grid(self.state, self.seen, action, skip)
        if bad >= 0:
            raise InvalidActionError(f"action {int(action[bad])} in copy {bad}; expected 0 to 3: up, right, down, left")

    def observation(self) -> NDArray[np.uint8]:
        """(B, 6) buffer, not copied: the next step overwrites it."""
        return self.seen

    def action_space(self) -> spaces.Discrete:
        """Space of one copy's action."""
        return spaces.Discrete(4)

    def observation_space(self) -> spaces.MultiDiscrete:
        """Space of one copy's observation."""
        dtype: Any = np.uint8
        return spaces.MultiDiscrete([*self.grid_shape, 2, 2, 2, 2], dtype=dtype)
