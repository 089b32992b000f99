"""Solvers of the CVRP and of orienteering by constructions and ruin and recreate, and the polishing of CVRP solutions.

All run on one thread whatever the budget. Compiled code runs for a twentieth of a second at a time, so that the budget
is kept and Ctrl-C returns the incumbent. Compiling it, once after installation, is not charged to a budget.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, Result, Status
from optgap.co.heuristics import orienteering_runs, ruin_recreate
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.orienteering_runs import PathSearch, greedy_path
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.route_construction import nearest_neighbour_routes, savings_routes
from optgap.co.heuristics.route_state import best_routes, edge_length, load_routes
from optgap.co.heuristics.tour_space import LARGEST_TABLE, space_of
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance
from optgap.co.problems.orienteering import ORIENTEERING, OrienteeringInstance

I64 = NDArray[np.int64]

SLICE = 0.05  # seconds of compiled code between two looks at the clock
POLISH_HOT = 0.2  # temperature at the start of polishing, in mean edge lengths: it keeps the solution's character


class _Clock:
    """The seconds since the start of a run, and the history of its incumbents."""

    def __init__(self, seconds: float) -> None:
        self._began, self._total = time.perf_counter(), seconds
        self.incumbents: list[Incumbent] = []

    def share(self) -> float:
        """The share of the seconds that has passed, at most 1."""
        return min(1.0, (time.perf_counter() - self._began) / self._total)

    def found(self, cost: float) -> None:
        """Note an incumbent."""
        self.incumbents.append(Incumbent(time.perf_counter() - self._began, cost, None))

    def slices(self, begin: float, end: float) -> Iterator[tuple[int, float, float]]:
        """Between two shares of the time: iterations that take about SLICE seconds, at least once.

        The other two figures, of 0 to 1, are where of this stretch the slice begins and, by the speed so far, ends.
        """
        iterations, now, width = 16, begin, max(end - begin, 1e-9)
        while True:
            reach = min(end, now + SLICE / self._total)
            yield iterations, min(1.0, (now - begin) / width), min(1.0, max(0.0, reach - begin) / width)
            spent, now = self.share() - now, self.share()
            if now >= end:
                return
            wanted = min(SLICE / self._total, end - now)
            iterations = max(1, int(iterations * min(4.0, wanted / max(spent, 1e-9))))


def _cooled(hot: float, cold: float, progress: float) -> float:
    return hot * (cold / hot) ** progress  # type: ignore[no-any-return]


@functools.cache
def _warm_up(work: Callable[..., Any], problem: Any, table: bool) -> None:
    """Run a solver once on a small instance of the kind, so that its kernels are compiled before the clock starts."""
    size = 8 if table else LARGEST_TABLE + 1
    name = "customers" if problem is CVRP_PROBLEM else "nodes"
    work(problem.generate(np.random.default_rng(0), **{name: size}), Budget(1e-3), _Clock(1e-3))


def _solver(problem: Any) -> Callable[[Callable[..., I64]], Callable[[Any, Budget], Result]]:
    """Make a solver of a function from (instance, budget, clock) to a solution."""

    def decorate(work: Callable[..., I64]) -> Callable[[Any, Budget], Result]:
        @functools.wraps(work)
        def solver(instance: Any, budget: Budget, /) -> Result:
            _warm_up(work, problem, instance.matrix is not None or instance.n_nodes <= LARGEST_TABLE)
            clock = _Clock(budget.seconds)
            solution = work(instance, budget, clock)
            if not clock.incumbents:
                clock.found(float(problem.cost(instance, solution)))
            return Result(solution, Status.FEASIBLE, incumbents=tuple(clock.incumbents))

        return solver

    return decorate


@_solver(CVRP_PROBLEM)
def nearest_neighbour(instance: CVRPInstance, budget: Budget, clock: _Clock) -> I64:
    """Drive to the nearest customer that still fits, to the depot where none does; O(N^2) time."""
    return nearest_neighbour_routes(space_of(instance), instance.demand, instance.capacity)


@_solver(CVRP_PROBLEM)
def savings(instance: CVRPInstance, budget: Budget, clock: _Clock) -> I64:
    """The parallel savings algorithm; beyond 2,000 customers among the 100 nearest of each."""
    return savings_routes(space_of(instance), instance.demand, instance.capacity)


def _improve(instance: CVRPInstance, solution: Any, seed: int, clock: _Clock, hot: float) -> I64:
    """Ruin and recreate from ``solution`` until the time is over."""
    space = space_of(instance)
    state, stream = load_routes(space, instance.demand, solution), random_stream(seed)
    clock.found(float(state.cost[1]))
    try:
        near, _ = neighbour_lists(space, ruin_recreate.NEAREST)
        unit = edge_length(state)
        hot, cold = hot * unit, ruin_recreate.COLD * unit
        for iterations, begin, end in clock.slices(clock.share(), 1.0):
            before = float(state.cost[1])
            args = space, instance.demand, instance.capacity, near, state, stream, iterations
            ruin_recreate.search(*args, _cooled(hot, cold, begin), _cooled(hot, cold, end))
            if state.cost[1] < before:
                clock.found(float(state.cost[1]))
    except KeyboardInterrupt:
        pass  # the state stands between two slices
    return best_routes(state)


def _iterate(instance: CVRPInstance, budget: Budget, clock: _Clock) -> I64:
    """Slack induction by string removals from the savings solution, until the seconds are over."""
    start = savings_routes(space_of(instance), instance.demand, instance.capacity)
    return _improve(instance, start, budget.seed, clock, ruin_recreate.HOT)


iterated = _solver(CVRP_PROBLEM)(_iterate)


def polish(instance: CVRPInstance, solution: Any, seconds: float, seed: int = 0) -> I64:
    """A solution no longer than ``solution`` by ruin and recreate from it, not hot, for ``seconds``; Ctrl-C ends it.

    Raises:
        InfeasibleError: ``solution`` is not feasible.
    """
    CVRP_PROBLEM.check(instance, solution)
    _warm_up(_iterate, CVRP_PROBLEM, instance.matrix is not None or instance.n_nodes <= LARGEST_TABLE)
    polished = _improve(instance, solution, seed, _Clock(seconds), POLISH_HOT)
    better = CVRP_PROBLEM.cost(instance, polished) < CVRP_PROBLEM.cost(instance, solution)
    return polished if better else np.array(solution, dtype=np.int64)


@_solver(ORIENTEERING)
def orienteering_greedy(instance: OrienteeringInstance, budget: Budget, clock: _Clock) -> I64:
    """The best of six paths that grow by the node of the most prize, from a unit of extra length to prize alone."""
    start, end = instance.start, instance.end
    return greedy_path(space_of(instance), instance.prize, instance.limit, start, end, lambda: clock.share() < 1.0)


@_solver(ORIENTEERING)
def orienteering_ils(instance: OrienteeringInstance, budget: Budget, clock: _Clock) -> I64:
    """Ruin and recreate with 2-opt, from many starts and then from the best of them, until the seconds are over."""
    space, ends = space_of(instance), instance.prize[np.unique([instance.start, instance.end])].sum()
    start, end = instance.start, instance.end
    path = greedy_path(space, instance.prize, instance.limit, start, end, lambda: clock.share() < 0.2)
    search = PathSearch(space, instance.prize, instance.limit, path, budget.seed)
    clock.found(search.value + ends)
    try:
        hot, cold, begin = orienteering_runs.HOT, orienteering_runs.COLD, clock.share()
        runs = orienteering_runs.STARTS
        for run in range(runs + 1):
            if run > 0 and clock.share() >= 1.0:
                break
            state = search.start(run if run < runs else 0)
            since = begin if run == 0 else clock.share()
            until = 1.0 if run == runs else begin + (1.0 - begin) * orienteering_runs.EXPLORED * (run + 1) / runs
            for iterations, first, last in clock.slices(since, until):
                before = search.value
                search.run(state, iterations, _cooled(hot, cold, first), _cooled(hot, cold, last))
                if search.value > before:
                    clock.found(search.value + ends)
    except KeyboardInterrupt:
        pass  # the search stands between two slices
    return search.finish()
