"""Orienteering, whole runs: the greedy construction, and the search of :mod:`orienteering_search` from many starts.

Which corners of the plane a good path visits is decided early and hardly ever revised by a search of single paths, so
most of the iterations go to short runs from different starts, the rest to the best of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.orienteering_search import complete, search
from optgap.co.heuristics.path_state import BEST_PRIZE, BEST_SIZE, PRIZE, SIZE, PathState, load_path
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.tour_space import space_of
from optgap.co.problems.orienteering import OrienteeringInstance

F8 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

PULLS = (0.03, 0.01, 0.1, 0.3, 1.0, 0.0)  # of the constructions, in limits, the best on average first; 0: prize a unit
NEAREST = 30  # neighbours of a node
HOT, COLD = 0.5, 0.1  # temperatures at the start and at the end of a run, in mean prizes of the visited nodes
STARTS = 12  # short runs
START_NOISE = 1.0  # of their constructions: prizes count between half and one and a half
EXPLORED = 0.7  # of the iterations go to them
_NO_LISTS = np.empty((0, 0), np.int32)


def _construct(space: Any, prize: F8, limit: float, path: Any, pull: float, stream: U64 | None = None) -> PathState:
    """What grows from ``path``; with noise where there is a stream."""
    state = load_path(space, prize, path)
    noise, stream = (0.0, random_stream(0)) if stream is None else (START_NOISE, stream)
    complete(space, prize, limit, state, _NO_LISTS, pull * limit, noise, stream)
    return state


def greedy_path(
    space: Any, prize: F8, limit: float, start: int = 0, end: int = 0, in_time: Callable[[], bool] = lambda: True
) -> I64:
    """The best of the paths that grow from the direct one by the highest prize / (extra length + pull); (L,) nodes.

    Args:
        space: of :func:`optgap.co.heuristics.tour_space.space_of`.
        prize: (N,).
        in_time: asked after each path whether there is time for another.
    """
    best = _construct(space, prize, limit, [start, end], PULLS[0])
    for pull in PULLS[1:]:
        if not in_time():
            break
        state = _construct(space, prize, limit, [start, end], pull)
        if state.value[PRIZE] > best.value[PRIZE]:
            best = state
    return best.path[: best.number[SIZE]].astype(np.int64)


def _best_of(state: PathState) -> I64:
    return state.best[: state.number[BEST_SIZE]].astype(np.int64)


class PathSearch:
    """A search on one instance that goes on from run to run and holds the best path.

    Args:
        path: feasible, from start to end; nodes are added to it until none fits.
    """

    def __init__(self, space: Any, prize: F8, limit: float, path: Any, seed: int) -> None:
        self.space, self.prize, self.limit, self.stream = space, prize, limit, random_stream(seed)
        state = _construct(space, prize, limit, path, 0.0)
        self.path: I64 = state.path[: state.number[SIZE]].astype(np.int64)
        self.value = float(state.value[PRIZE])
        self.near = neighbour_lists(space, NEAREST)[0]

    def start(self, number: int) -> PathState:
        """The state from which the short run ``number`` begins: the held path, then the constructions in turn."""
        if number == 0:
            return load_path(self.space, self.prize, self.path)
        ends = [self.path[0], self.path[-1]]
        return _construct(self.space, self.prize, self.limit, ends, PULLS[number % len(PULLS)], self.stream)

    def run(self, state: PathState, iterations: int, hot: float, cold: float) -> PathState:
        """Search from ``state`` between two temperatures, in mean prizes, and hold what is better."""
        unit = float(state.value[PRIZE]) / max(int(state.number[SIZE]) - 2, 1) or 1.0
        args = self.space, self.prize, self.limit, self.near, state, self.stream
        search(*args, iterations, hot * unit, cold * unit)
        if state.value[BEST_PRIZE] > self.value:
            self.path, self.value = _best_of(state), float(state.value[BEST_PRIZE])
        return state

    def finish(self) -> I64:
        """The best path, completed: no node fits anywhere any more."""
        state = _construct(self.space, self.prize, self.limit, self.path, 0.0)
        return state.path[: state.number[SIZE]].astype(np.int64)


def _schedule(iterations: int) -> Iterator[tuple[int, int]]:
    """(number of the start, iterations) of the short runs and, as -1, of the long one."""
    short = int(iterations * EXPLORED) // STARTS
    if short > 0:
        yield from ((number, short) for number in range(STARTS))
    yield -1, iterations - short * STARTS


def improve_path(space: Any, prize: F8, limit: float, path: Any, iterations: int, seed: int = 0) -> I64:
    """A path at least as good as ``path`` after so many iterations, to which no node can be added.

    Args:
        space: of :func:`optgap.co.heuristics.tour_space.space_of`.
        prize: (N,).
        path: feasible, from start to end.
    """
    held = PathSearch(space, prize, limit, path, seed)
    if len(prize) > 2 and iterations > 0:
        for number, share in _schedule(iterations):
            held.run(held.start(max(number, 0)), share, HOT, COLD)
    return held.finish()


def improve_orienteering_batch(
    coordinates: F8, prize: F8, limit: Any, iterations: int, seed: int = 0
) -> tuple[I64, I64]:
    """Near-optimal paths of B Euclidean instances that start and end at node 0; no node fits into a path any more.

    Args:
        coordinates: (B, N, 2).
        prize: (B, N).
        limit: (B,) or one number.
        seed: instance b takes the stream of ``seed + b``.

    Returns:
        (B, L) int64 paths padded by -1, and their (B,) numbers of nodes.
    """
    limits, found = np.broadcast_to(limit, len(coordinates)), []
    for b, points in enumerate(coordinates):
        instance = OrienteeringInstance(coordinates=points, prize=prize[b], limit=limits[b])
        space = space_of(instance)
        start = greedy_path(space, instance.prize, instance.limit)
        found.append(improve_path(space, instance.prize, instance.limit, start, iterations, seed + b))
    lengths = np.array([len(path) for path in found], np.int64)
    paths = np.full((len(found), lengths.max()), -1, np.int64)
    for b, path in enumerate(found):
        paths[b, : len(path)] = path
    return paths, lengths
