"""Mazes: walls and corridors on a grid, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError, Instance

SIZES = (11, 41)  # rows and columns, walls included
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows, columns: up, right, down, left


@dataclass(frozen=True, kw_only=True, eq=False)
class Maze(Instance):
    """A grid of walls and free cells, walled in; read-only."""

    walls: NDArray[np.bool_]  # (R, C)
    start: tuple[int, int] = (1, 1)  # row, column of a free cell

    def __post_init__(self) -> None:
        walls = np.array(self.walls, np.bool_)
        object.__setattr__(self, "walls", walls)
        if walls.ndim != 2 or min(walls.shape) < 3:
            raise InputError(f"instance {self.name}: walls of shape {walls.shape}; expected (rows, columns), 3 or more")
        if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
            raise InputError(f"instance {self.name}: there is a gap in the outer wall")
        row, column = self.start
        if not (0 <= row < walls.shape[0] and 0 <= column < walls.shape[1]) or walls[row, column]:
            raise InputError(f"instance {self.name}: start {self.start} is not a free cell")
        super().__post_init__()

    @cached_property
    def distances(self) -> NDArray[np.int64]:
        """(R, C) fewest moves from the start; -1 where no way leads."""
        found = np.full(self.walls.shape, -1)
        found[self.start] = 0
        walls, line = self.walls.tolist(), [self.start]
        for row, column in line:  # grows while it is read: breadth first
            for i, j in ((row + i, column + j) for i, j in MOVES):
                if not walls[i][j] and found[i, j] < 0:
                    found[i, j] = found[row, column] + 1
                    line.append((i, j))
        found.setflags(write=False)
        return found

    @property
    def reachable(self) -> int:
        """Free cells that the start is joined with, itself included."""
        return int((self.distances >= 0).sum())

    @property
    def farthest(self) -> int:
        """Number (row * columns + column) of the first of the cells farthest from the start."""
        return int(self.distances.argmax())


def free_cells(size: int, loops: float) -> int:
    """Free cells of every maze that :func:`generate_maze` draws of this size."""
    rooms = (size - 1) // 2
    return 2 * rooms * rooms - 1 + round(loops * (rooms - 1) ** 2)


def generate_maze(rng: np.random.Generator, size: int, loops: float, name: str = "unnamed") -> Maze:
    """A maze by depth-first search with backtracking over the rooms, the cells of odd row and column.

    Args:
        size: rows and columns, walls included; odd.
        loops: share of the inner walls left by the search that are opened; 0 is a perfect maze, in which one way
            leads from any cell to any other; 1 has all the walls between rooms open.
    """
    rooms = (size - 1) // 2
    walls = np.ones((size, size), np.bool_)
    walls[1::2, 1::2] = False
    order = rng.random((rooms, rooms, 4)).argsort(axis=2).tolist()  # in which a room tries its neighbours
    seen = [[False] * rooms for _ in range(rooms)]
    seen[0][0], stack = True, [(0, 0)]
    while stack:
        row, column = stack[-1]
        if not order[row][column]:
            stack.pop()
            continue
        down, right = MOVES[order[row][column].pop()]
        i, j = row + down, column + right
        if 0 <= i < rooms and 0 <= j < rooms and not seen[i][j]:
            seen[i][j] = True
            walls[2 * row + 1 + down, 2 * column + 1 + right] = False
            stack.append((i, j))
    rows, columns = np.indices(walls.shape)
    between = walls & ((rows + columns) % 2 == 1)
    between[[0, -1]] = between[:, [0, -1]] = False
    standing = np.flatnonzero(between)
    walls.flat[rng.choice(standing, round(loops * len(standing)), replace=False)] = False
    return Maze(name=name, walls=walls)


@dataclass(frozen=True)
class MazeSource:
    """Draws the maze of an episode: always the one of ``seed``, or another each time where that is None."""

    size: int
    loops: float
    seed: int | None

    @cached_property
    def _fixed(self) -> Maze:
        loops = f"-l{self.loops:g}" if self.loops else ""
        name = f"maze-{self.size}{loops}-s{self.seed}"
        return generate_maze(np.random.default_rng(self.seed), self.size, self.loops, name)

    def __call__(self, rng: np.random.Generator) -> Maze:
        return self._fixed if self.seed is not None else generate_maze(rng, self.size, self.loops, f"maze-{self.size}")
