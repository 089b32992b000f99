"""Solvers of the TSP and the ATSP by constructions and local search, and the polishing of any tour.

All run on one thread whatever the budget. Compiled code runs for a twentieth of a second at a time, so that the budget is
kept and Ctrl-C returns the incumbent. Compiling it, once after installation, is not charged to a budget. An insertion
that the budget cuts short has no solution.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, InputError, Result, Solver, Status
from optgap.co.heuristics import asymmetric_local_search, tour_construction, tour_local_search
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.tour_search import LOGGED, TOLERANCE, WAITING, load_tour, search_of
from optgap.co.heuristics.tour_space import LARGEST_TABLE, length_of, space_of
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import as_tour, tour_length

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

SLICE = 0.05  # seconds of compiled code between two looks at the clock


class _History:
    """The best tour so far, and when it was found."""

    def __init__(self, instance: NetworkInstance, budget: Budget) -> None:
        self._began = time.perf_counter()
        self._instance, self._seconds = instance, budget.seconds
        self._incumbents: list[Incumbent] = []
        self.tour: I8 | None = None
        self.cost, self.bound = np.inf, -np.inf

    def left(self, share: float = 1.0) -> bool:
        """Whether less than this share of the budget's seconds has passed."""
        return time.perf_counter() - self._began < share * self._seconds

    def found(self, tour: NDArray[Any]) -> None:
        """A tour; copied if it is the best so far."""
        cost = tour_length(self._instance, tour)
        if cost < self.cost:
            self.tour, self.cost = tour.astype(np.int64), cost
            bound = None if self.bound == -np.inf else self.bound
            self._incumbents.append(Incumbent(time.perf_counter() - self._began, cost, bound))

    def is_optimal(self) -> bool:
        """Whether the bound meets the cost, but for rounding."""
        return self.bound > -np.inf and self.cost <= self.bound + 1e-9 * abs(self.bound)

    def result(self) -> Result:
        """*Optimal* where the bound meets the cost, or no other tour exists."""
        n = self._instance.n_nodes
        if self.tour is None:
            return Result(None, Status.NO_SOLUTION)
        proved = self.is_optimal() or n <= 2 or (n == 3 and self._instance.is_symmetric)
        bound = None if self.bound == -np.inf else min(self.bound, self.cost)
        return Result(
            self.tour,
            Status.OPTIMAL if proved else Status.FEASIBLE,
            bound=self.cost if proved else bound,
            incumbents=tuple(self._incumbents),
        )


def _slices(total: int, left: Callable[[], bool]) -> Iterator[slice]:
    """Consecutive slices of 0..total-1, each to take about SLICE seconds, as long as there is time left; at least one."""
    done, size = 0, 16
    while done < total and (done == 0 or left()):
        began = time.perf_counter()
        yield slice(done, min(done + size, total))
        done += size
        seconds = max(time.perf_counter() - began, 1e-6)
        size = max(1, int(size * min(2.0, SLICE / seconds)))


class _LocalSearch:
    """A tour of an instance under improvement, by reversals where distances are the same both ways and else without."""

    def __init__(self, instance: NetworkInstance, seed: int) -> None:
        self.space = space_of(instance)
        self._kernels: Any = tour_local_search if instance.is_symmetric else asymmetric_local_search
        near, gap = neighbour_lists(self.space, self._kernels.NEIGHBOURS)
        self._search = search_of(near, gap)
        self._search.random[:] = random_stream(seed)
        self.near, self.tour = near, self._search.tour
        self._tolerance = 0.0

    def load(self, tour: Any) -> None:
        """Take over a tour, (N,) integers."""
        load_tour(self._search, np.asarray(tour, dtype=np.int32))
        self._tolerance = TOLERANCE * length_of(self.space, self.tour)

    def descend(self, history: _History, exchanges: int = 3) -> None:
        """Down to a local optimum of 2-opt or 3-opt, as far as the time reaches."""
        counts = self._search.counts
        options = (exchanges,) if self._kernels is tour_local_search else ()
        for part in _slices(2**62, lambda: bool(counts[WAITING]) and history.left()):
            counts[LOGGED] = 0
            self._kernels.descend(self.space, self._search, self._tolerance, *options, part.stop - part.start)
            history.found(self.tour)

    def improve(self, history: _History) -> None:
        """Descend from the incumbent, perturb and descend until the time is over or the tour known to be optimal."""
        if len(self.tour) < 4:
            return
        self.load(history.tour)
        self.descend(history)
        for part in _slices(2**62, history.left):
            if self._kernels.iterate(self.space, self._search, part.stop - part.start, self._tolerance) > 0:
                history.found(self.tour)
            if history.is_optimal():
                break


Work = Callable[[NetworkInstance, Budget, _History], None]


@functools.cache
def _warm_up(work: Work, symmetric: bool, table: bool) -> None:
    """Do the work once on a small instance of the kind, so that its kernels are compiled before a budget's clock starts."""
    rng = np.random.default_rng(0)
    if symmetric:
        small = NetworkInstance(coordinates=rng.random((9 if table else LARGEST_TABLE + 1, 2)))
    else:
        small = NetworkInstance(matrix=rng.random((9, 9)), metric="explicit")
    budget = Budget(1e-9)
    work(small, budget, _History(small, budget))


def _run(work: Work, instance: NetworkInstance, budget: Budget, compiles: Work | None = None) -> Result:
    """What ``work`` finds; on Ctrl-C what it has found, if anything. ``compiles``: work with the same kernels."""
    table = instance.matrix is not None or instance.n_nodes <= LARGEST_TABLE
    _warm_up(compiles or work, instance.is_symmetric, table)
    history = _History(instance, budget)
    try:
        work(instance, budget, history)
    except KeyboardInterrupt:
        if history.tour is None:
            raise
    return history.result()


def _solver(work: Work) -> Callable[[NetworkInstance, Budget], Result]:
    """The solver that does ``work`` within its budget."""

    @functools.wraps(work)
    def solver(instance: NetworkInstance, budget: Budget, /) -> Result:
        return _run(work, instance, budget)

    return solver


@_solver
def nearest_neighbour(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """The nearest-neighbour tour from node ``seed`` (modulo N)."""
    space = space_of(instance)
    near, _ = neighbour_lists(space, tour_local_search.NEIGHBOURS)
    history.found(tour_construction.nearest_neighbour(space, near, budget.seed % instance.n_nodes))


@_solver
def random_insertion(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """All nodes in random order, each inserted where it lengthens the tour least; O(N^2) time."""
    space, n = space_of(instance), instance.n_nodes
    order = np.random.default_rng(budget.seed).permutation(n).astype(np.int32)
    following, onward, tour = np.empty(n, np.int32), np.empty(n), np.empty(n, np.int32)
    tour_construction.begin_insertion(space, order[0], order[min(1, n - 1)], following, onward)
    for part in _slices(n - 2, history.left):
        tour_construction.insert_in_order(space, order[2:][part], following, onward)
    if (following >= 0).all():
        tour_construction.follow(following, 0, tour)
        history.found(tour)


@_solver
def farthest_insertion(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """Always the node farthest from the tour, inserted where it lengthens the tour least; O(N^2) time."""
    space, n = space_of(instance), instance.n_nodes
    nodes = np.arange(n)
    a = int(np.argmax(instance.distance(0, nodes)))
    b = int(np.argmax(instance.distance(a, nodes)))
    if a == b:  # all nodes in one place
        a, b = 0, n - 1
    following, onward, tour = np.empty(n, np.int32), np.empty(n), np.empty(n, np.int32)
    tour_construction.begin_insertion(space, a, b, following, onward)
    away = np.minimum(instance.distance(a, nodes), instance.distance(b, nodes))
    away[[a, b]] = -1.0
    for part in _slices(n - 2, history.left):
        tour_construction.insert_farthest(space, part.stop - part.start, following, onward, away)
    if (following >= 0).all():
        tour_construction.follow(following, 0, tour)
        history.found(tour)


def _patch(instance: NetworkInstance, history: _History, share: float) -> None:
    """Patching, and the assignment's bound, unless they take more than this share of the seconds."""
    matrix, n = instance.distances, instance.n_nodes
    if n < 2:
        return history.found(np.zeros(1, np.int32))
    row_of, u, v, rows = np.full(n, -1, np.int32), np.zeros(n), np.zeros(n), np.arange(n, dtype=np.int32)
    for part in _slices(n, lambda: history.left(share)):
        tour_construction.assign_rows(matrix, rows[part], row_of, u, v)
    if (row_of >= 0).all():
        following, tour = tour_construction.successors(row_of), np.empty(n, np.int32)
        history.bound = float(u.sum() + v.sum())
        tour_construction.patch(matrix, following)
        tour_construction.follow(following, 0, tour)
        history.found(tour)
    return None


@_solver
def patching(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """The cheapest assignment of successors, a lower bound, its cycles joined by the cheapest exchanges (Karp 1979)."""
    _patch(instance, history, 1.0)


def _descend(instance: NetworkInstance, budget: Budget, history: _History, exchanges: int) -> None:
    search = _LocalSearch(instance, budget.seed)
    tour = tour_construction.nearest_neighbour(search.space, search.near, budget.seed % instance.n_nodes)
    history.found(tour)
    search.load(tour)
    search.descend(history, exchanges)


@_solver
def two_opt(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """From nearest neighbour to a tour that no 2-opt move along the neighbour lists improves.

    Raises:
        InputError: distances that differ by direction.
    """
    if not instance.is_symmetric:
        raise InputError(f"instance {instance.name}: its distances differ by direction; 2-opt expects a symmetric one")
    _descend(instance, budget, history, 2)


@_solver
def three_opt(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """From nearest neighbour to a tour that no sequential 3-opt move along the neighbour lists improves."""
    _descend(instance, budget, history, 3)


def _iterate(instance: NetworkInstance, budget: Budget, history: _History) -> None:
    """Iterated 3-opt until the seconds are over: from nearest neighbour, for an ATSP from patching where that is better."""
    search = _LocalSearch(instance, budget.seed)
    history.found(tour_construction.nearest_neighbour(search.space, search.near, budget.seed % instance.n_nodes))
    if not instance.is_symmetric:
        _patch(instance, history, 0.5)
    search.improve(history)


iterated = _solver(_iterate)


def polish(instance: NetworkInstance, solution: Any, seconds: float, seed: int = 0) -> I8:
    """A tour no longer than ``solution``, (N,) int64, by iterated 3-opt from it for ``seconds``; Ctrl-C ends it early.

    Raises:
        InfeasibleError: ``solution`` is not a tour.
    """
    given = as_tour(instance, solution)

    def work(instance: NetworkInstance, budget: Budget, history: _History) -> None:
        history.found(given)
        _LocalSearch(instance, budget.seed).improve(history)

    tour = _run(work, instance, Budget(seconds, seed=seed), compiles=_iterate).solution
    assert isinstance(tour, np.ndarray)
    return tour


@dataclass(frozen=True)
class Polished:
    """A solver of the TSP or the ATSP whose tour is polished.

    The solver gets all but ``share`` of the budget's seconds; polishing gets what is then left of them.
    """

    solver: Solver[Any]
    share: float = 0.5

    def __call__(self, instance: NetworkInstance, budget: Budget, /) -> Result:
        """The polished result; its history ends with the polished tour."""
        began = time.perf_counter()
        result = self.solver(instance, replace(budget, seconds=budget.seconds * (1 - self.share)))
        left = budget.seconds - (time.perf_counter() - began)
        if result.solution is None or result.status == Status.OPTIMAL or left <= 0:
            return result
        tour = polish(instance, result.solution, left, budget.seed)
        last = Incumbent(time.perf_counter() - began, tour_length(instance, tour), result.bound)
        return replace(result, solution=tour, incumbents=(*result.incumbents, last))
