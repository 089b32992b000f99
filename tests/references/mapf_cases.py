"""Small cases of multi-agent path finding, and their optimum by exhaustive search over all vehicles at once."""

from __future__ import annotations

import heapq
from itertools import product
from typing import Any

import numpy as np

from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance


def drawn(text: str, name: str = "drawn") -> MAPFInstance:
    """An instance from a drawing: ``#`` blocked, ``.`` free, ``a`` a start, ``A`` that vehicle's goal.

    Where a start or goal shares its cell with one of another vehicle, two drawings stand beside each other: the starts,
    a space, the goals.
    """
    rows = [line.split() for line in text.split("\n") if line.strip()]
    left, right = (["".join(row[side]) for row in rows] for side in (0, -1))
    starts = {c: k for k, c in enumerate("".join(left)) if c.islower()}
    goals = {c.lower(): k for k, c in enumerate("".join(right)) if c.isupper()}
    assert sorted(starts) == sorted(goals)
    return MAPFInstance(
        name=name,
        blocked=np.array([[c == "#" for c in line] for line in left]),
        starts=np.array([starts[v] for v in sorted(starts)]),
        goals=np.array([goals[v] for v in sorted(goals)]),
    )


CASES: dict[str, tuple[MAPFInstance, int | None]] = {  # with the optimum, None where there is no solution
    # They meet head on: one steps aside and back (2), and the other waits once until the bay is taken.
    "corridor with a bay": (drawn("##.##   ##.##\na...b   B...A"), 11),
    # Both want the middle at time 2: one waits.
    "crossing": (drawn("##a##\n##.##\nb...B\n##.##\n##A##"), 9),
    # The vehicle that stands at its goal steps aside and back (2) while the other drives past (2).
    "a goal on the way": (drawn("#.#   #.#\nab.   .BA"), 4),
    "two that swap in a corridor": (drawn("ab BA"), None),
    "four that turn in a full square": (drawn("ab   CA\ncd   DB"), 4),
    "four that swap along the diagonals of a full square": (drawn("ab   DC\ncd   BA"), 8),
    "two that swap in a full square, two that stay": (drawn("ab   BA\ncd   CD"), None),
    "three that must change their order in a square with one free cell": (drawn("ab   BA\nc.   C."), None),
    "a wall between": (drawn("a#A"), None),
    "all at their goals": (drawn("ab AB"), 0),
}


def optimum(instance: MAPFInstance) -> int | None:
    """Least sum of costs by Dijkstra's algorithm over the cells of all vehicles and which of them have stopped for good.

    A vehicle that is not at its goal for good pays 1 a step. Independent of every solver; for a handful of cells.
    """
    rows, columns = instance.blocked.shape
    free = {(r, c) for r in range(rows) for c in range(columns) if not instance.blocked[r, c]}
    goals = [divmod(int(g), columns) for g in instance.goals]
    start = tuple(divmod(int(s), columns) for s in instance.starts)
    first = (start, (False,) * len(start))
    best, queue = {first: 0}, [(0, first)]
    while queue:
        cost, state = heapq.heappop(queue)
        cells, stopped = state
        if cost > best[state]:
            continue
        if all(stopped):
            return cost
        follow: list[tuple[int, Any]] = []
        for v, cell in enumerate(cells):  # a vehicle at its goal may stop, at once and for nothing
            if not stopped[v] and cell == goals[v]:
                follow.append((cost, (cells, (*stopped[:v], True, *stopped[v + 1 :]))))
        options = [
            [(r, c)] if still else [p for p in ((r, c), (r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)) if p in free]
            for (r, c), still in zip(cells, stopped, strict=True)
        ]
        for after in product(*options):
            moves = dict(zip(cells, after, strict=True))
            if len(set(after)) == len(after) and not any(a != b and moves.get(b) == a for a, b in moves.items()):
                follow.append((cost + stopped.count(False), (after, stopped)))
        for price, successor in follow:
            if price < best.get(successor, price + 1):
                best[successor] = price
                heapq.heappush(queue, (price, successor))
    return None


def random_instance(
    seed: int, rows: int = 4, columns: int = 4, vehicles: int = 3, obstacles: float = 0.25
) -> MAPFInstance:
    """A random instance, as :meth:`MAPF.generate` draws it."""
    size: dict[str, Any] = {"rows": rows, "columns": columns, "vehicles": vehicles, "obstacles": obstacles}
    return MAPF.generate(np.random.default_rng(seed), **size, name=f"random-s{seed}")
