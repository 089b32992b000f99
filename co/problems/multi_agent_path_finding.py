"""Multi-agent path finding: vehicles on a grid drive from their starts to their goals without a collision.

The classical problem of Stern et al., Multi-Agent Pathfinding: Definitions, Variants, and Benchmarks, SoCS 2019: time goes
in steps; in a step a vehicle moves to one of the four neighbouring free cells or waits. Two vehicles are never in one cell
(a vertex conflict) and never exchange cells in a step (a swapping or edge conflict); one may follow another closely, and
vehicles may go round in a circle. At its goal a vehicle stays. The objective is the sum of costs (flowtime), the standard one
beside the makespan: the steps until a vehicle is at its goal for good, waiting there before it leaves once more included,
summed over the vehicles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

I64 = NDArray[np.int64]

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # rows and columns; a move and the one back differ in the last bit
SHELF = (2, 4)  # rows and columns of a shelf in a warehouse; aisles are one cell wide
DRAWS = 100  # of obstacles, until the largest area of free cells holds the vehicles


@dataclass(frozen=True, kw_only=True, eq=False)
class MAPFInstance(Instance):
    """V vehicles on a grid of H rows and W columns; cell = row * W + column.

    Raises:
        InputError: a wrong shape, no vehicle, a start or goal outside the grid or blocked, two starts or goals in one cell.
    """

    blocked: NDArray[np.bool_]  # (H, W) cells that no vehicle enters
    starts: I64  # (V,) cells, all different
    goals: I64  # (V,) cells, all different

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        object.__setattr__(self, "blocked", np.array(self.blocked, dtype=np.bool_))
        if self.blocked.ndim != 2:
            raise InputError(f"{where}: blocked of shape {self.blocked.shape}; expected (rows, columns)")
        vehicles = len(np.atleast_1d(self.starts))
        for what in ("starts", "goals"):
            cells = np.array(getattr(self, what))
            if cells.shape != (vehicles,) or not vehicles or not np.issubdtype(cells.dtype, np.integer):
                raise InputError(
                    f"{where}: {what} of shape {cells.shape}, dtype {cells.dtype}; expected (V,) integers, V > 0"
                )
            object.__setattr__(self, what, cells.astype(np.int64))
            outside = np.flatnonzero((cells < 0) | (cells >= self.blocked.size))
            if len(outside):
                v = outside[0]
                raise InputError(
                    f"{where}: {what}: vehicle {v} in cell {cells[v]}; expected 0..{self.blocked.size - 1}"
                )
            inside = np.flatnonzero(self.blocked.ravel()[cells])
            if len(inside):
                v = inside[0]
                raise InputError(f"{where}: {what}: vehicle {v} in {self.say(cells[v])}, which is blocked")
            _, first, count = np.unique(cells, return_index=True, return_counts=True)
            if (count > 1).any():
                a, b = np.flatnonzero(cells == cells[first[count > 1][0]])[:2]
                raise InputError(f"{where}: {what}: vehicles {a} and {b} both in {self.say(cells[a])}")
        super().__post_init__()

    @property
    def n_vehicles(self) -> int:
        """V."""
        return len(self.starts)

    def say(self, cell: int) -> str:
        """A cell for messages."""
        row, column = divmod(int(cell), self.blocked.shape[1])
        return f"cell {cell} (row {row}, column {column})"

    @cached_property
    def neighbours(self) -> I64:
        """(H * W, 4) the cell up, down, left and right of each; -1 where that is blocked or outside, read-only."""
        rows, columns = self.blocked.shape
        cells = np.full((rows + 2, columns + 2), -1)
        cells[1:-1, 1:-1] = np.where(self.blocked, -1, np.arange(self.blocked.size).reshape(rows, columns))
        shifted = [cells[1 + r : 1 + r + rows, 1 + c : 1 + c + columns].ravel() for r, c in MOVES]
        table = np.stack(shifted, axis=1)
        table.setflags(write=False)
        return table

    @cached_property
    def distances(self) -> I64:
        """(V, H * W) steps from each cell to the vehicle's goal, were it alone; -1 where there is no way, read-only."""
        table = np.stack([steps_from(self.neighbours, goal) for goal in self.goals])
        table.setflags(write=False)
        return table

    @property
    def lower_bound(self) -> int | None:
        """Sum of the vehicles' own shortest ways; None where one of them has no way at all."""
        alone = self.distances[np.arange(self.n_vehicles), self.starts]
        return None if (alone < 0).any() else int(alone.sum())


def steps_from(neighbours: I64, cell: int) -> I64:
    """(N,) steps from ``cell`` to every cell by breadth-first search; -1 where there is no way."""
    steps = np.full(len(neighbours), -1)
    steps[cell] = 0
    front, step = np.array([cell]), 0
    while len(front):
        step += 1
        front = np.unique(neighbours[front])
        front = front[(front >= 0) & (steps[front] < 0)]
        steps[front] = step
    return steps


class MultiAgentPathFinding:
    """The problem. A solution is a (V, T + 1) integer array: the cell of each vehicle at times 0 to T."""

    name = "mapf"
    sense: Sense = "minimize"

    def generate(
        self,
        rng: np.random.Generator,
        *,
        rows: int = 8,
        columns: int = 8,
        vehicles: int = 4,
        layout: str = "random",
        obstacles: float = 0.2,
        **rest: Any,
    ) -> MAPFInstance:
        """Random starts and goals in one connected area.

        Args:
            layout: "random", a share ``obstacles`` of the cells being blocked, as in the benchmark's maps "random-32-32-20"
                (free cells outside the largest connected area are blocked too); or "warehouse", shelves of 2 x 4 cells
                between aisles of one cell, as in its maps "warehouse-...-2-1".

        Raises:
            InputError: an unknown layout, a size below 1, or too few free cells for the vehicles.
        """
        if min(rows, columns, vehicles) < 1:
            raise InputError(f"rows, columns and vehicles are {rows}, {columns} and {vehicles}; expected at least 1")
        if not 0 <= obstacles < 1:
            raise InputError(f"obstacles is {obstacles}; expected a share from 0 to below 1")
        if layout not in ("random", "warehouse"):
            raise InputError(f"layout is {layout!r}; expected random or warehouse")
        for _ in range(DRAWS):
            if layout == "warehouse":
                tall, wide = SHELF
                shelf = np.arange(rows) % (tall + 1) > 0, np.arange(columns) % (wide + 1) > 0
                blocked = shelf[0][:, None] & shelf[1]
            else:
                blocked = np.zeros(rows * columns, np.bool_)
                blocked[rng.permutation(rows * columns)[: round(obstacles * rows * columns)]] = True
                blocked = _largest_area(blocked.reshape(rows, columns))
            free = np.flatnonzero(~blocked)
            if len(free) >= vehicles:
                starts, goals = (rng.permutation(free)[:vehicles] for _ in range(2))
                fields: dict[str, Any] = {"name": f"{layout}-{rows}x{columns}-v{vehicles}"} | rest
                return MAPFInstance(blocked=blocked, starts=starts, goals=goals, **fields)
        raise InputError(f"{vehicles} vehicles do not fit into the free cells of {rows} x {columns}; expected fewer")

    def check(self, instance: MAPFInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless every vehicle drives from its start to its goal and none collide."""
        paths = np.asarray(solution)
        vehicles, name = instance.n_vehicles, instance.name
        if (
            paths.ndim != 2
            or len(paths) != vehicles
            or not paths.shape[1]
            or not np.issubdtype(paths.dtype, np.integer)
        ):
            raise InfeasibleError(
                f"{name}: paths of shape {paths.shape}, dtype {paths.dtype}; expected ({vehicles}, times) integers"
            )
        _first(instance, "is in {}, outside the grid", (paths < 0) | (paths >= instance.blocked.size), paths)
        _first(instance, "is in {}, which is blocked", instance.blocked.ravel()[paths], paths)
        for v, (at, start) in enumerate(zip(paths[:, 0], instance.starts, strict=True)):
            if at != start:
                raise InfeasibleError(
                    f"{name}: vehicle {v} begins in {instance.say(at)}; expected {instance.say(start)}"
                )
        row, column = np.divmod(paths, instance.blocked.shape[1])
        far = np.abs(np.diff(row)) + np.abs(np.diff(column)) > 1
        _first(instance, "leaves {} for {}, no neighbour", far, paths[:, :-1], paths[:, 1:])
        for t in range(paths.shape[1]):
            cells, count = np.unique(paths[:, t], return_counts=True)
            if (count > 1).any():
                cell = cells[count > 1][0]
                a, b = np.flatnonzero(paths[:, t] == cell)[:2]
                raise InfeasibleError(
                    f"{name}: vertex conflict: vehicles {a} and {b} in {instance.say(cell)} at time {t}"
                )
            if t == 0:
                continue
            before = {cell: v for v, cell in enumerate(paths[:, t - 1].tolist())}
            for a, cell in enumerate(paths[:, t].tolist()):
                b = before.get(cell, a)
                if a < b and paths[b, t] == paths[a, t - 1]:
                    raise InfeasibleError(
                        f"{name}: edge conflict: vehicles {a} and {b} swap {instance.say(paths[a, t - 1])} "
                        f"and {instance.say(cell)} from time {t - 1} to {t}"
                    )
        for v, (at, goal) in enumerate(zip(paths[:, -1], instance.goals, strict=True)):
            if at != goal:
                raise InfeasibleError(
                    f"{name}: vehicle {v} ends in {instance.say(at)} at time {paths.shape[1] - 1}; "
                    f"expected its goal, {instance.say(goal)}"
                )

    def cost(self, instance: MAPFInstance, solution: Any) -> float:
        """Sum of costs: steps until each vehicle is at its goal for good."""
        return float(arrivals(instance, solution).sum())


def arrivals(instance: MAPFInstance, paths: Any) -> I64:
    """(V,) the time from which on each vehicle of feasible ``paths`` (V, T + 1) is at its goal for good."""
    away = np.asarray(paths) != instance.goals[:, None]
    times = np.arange(1, away.shape[1] + 1)
    return np.asarray((away * times).max(1))


def _first(instance: MAPFInstance, said: str, wrong: NDArray[np.bool_], *cells: NDArray[Any]) -> None:
    """Raise for the first vehicle and time, (V, T) each, at which something is wrong."""
    if wrong.any():
        v, t = np.argwhere(wrong)[0]
        what = said.format(*(instance.say(cell[v, t]) for cell in cells))
        raise InfeasibleError(f"{instance.name}: vehicle {v} {what}, at time {t}")


def _largest_area(blocked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All cells blocked but those of the largest connected free area; of two equal ones that with the lowest cell."""
    free = np.flatnonzero(~blocked)
    if not len(free):
        return blocked
    grid = MAPFInstance(blocked=blocked, starts=free[:1], goals=free[:1])
    open_cells, best = ~blocked.ravel(), np.zeros(blocked.size, np.bool_)
    while open_cells.any():
        area = steps_from(grid.neighbours, int(np.argmax(open_cells))) >= 0
        best = area if area.sum() > best.sum() else best
        open_cells &= ~area
    return ~best.reshape(blocked.shape)


MAPF = MultiAgentPathFinding()
