from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import SOLVERS, Budget
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.route_construction import nearest_neighbour_routes, savings_routes
from optgap.co.heuristics.route_state import best_routes, edge_length, load_routes, refresh
from optgap.co.heuristics.ruin_recreate import NEAREST, improve_route_batch, improve_routes, search
from optgap.co.heuristics.tour_space import space_of
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes, split_routes


def improved(instance: CVRPInstance, solution: Any, iterations: int, seed: int = 0) -> Any:
    return improve_routes(space_of(instance), instance.demand, instance.capacity, solution, iterations, seed)


def optimum(instance: CVRPInstance) -> float:
    """By all partitions into routes, each in its best order."""

    @cache
    def tour(route: frozenset[int]) -> float:
        if instance.demand[list(route)].sum() > instance.capacity * (1 + 1e-9):
            return np.inf
        return min(instance.length([0, *order, 0]) for order in itertools.permutations(route) if order[0] <= order[-1])

    @cache
    def rest(left: frozenset[int]) -> float:
        if not left:
            return 0.0
        first, others = min(left), sorted(left - {min(left)})
        parts = (frozenset(p) | {first} for k in range(len(left)) for p in itertools.combinations(others, k))
        return min(tour(part) + rest(left - part) for part in parts)

    return rest(frozenset(range(1, instance.n_nodes)))


@st.composite
def instances(draw: Any, most: int = 12) -> CVRPInstance:
    """Nodes on a coarse grid, so that distances tie and nodes coincide; demands of 0 and of the whole capacity."""
    n = draw(st.integers(2, most + 1))
    axis = st.integers(0, 5)
    coordinates = draw(st.lists(st.tuples(axis, axis), min_size=n, max_size=n))
    capacity = draw(st.sampled_from([1.0, 3.0, 10.0, 0.7]))
    share = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0])
    demand = [0.0, *(capacity * s for s in draw(st.lists(share, min_size=n - 1, max_size=n - 1)))]
    metric = draw(st.sampled_from(["euclidean", "euc_2d"]))
    return CVRPInstance(coordinates=np.array(coordinates), demand=np.array(demand), capacity=capacity, metric=metric)


@settings(max_examples=60)
@given(instance=instances(), iterations=st.sampled_from([0, 1, 30, 300]), seed=st.integers(0, 2**40))
def test_solutions_are_feasible_and_never_worse_than_the_start(
    instance: CVRPInstance, iterations: int, seed: int
) -> None:
    space = space_of(instance)
    for start in (
        join_routes([[c] for c in range(1, instance.n_nodes)]),
        savings_routes(space, instance.demand, instance.capacity),
        nearest_neighbour_routes(space, instance.demand, instance.capacity),
    ):
        CVRP_PROBLEM.check(instance, start)
        better = improved(instance, start, iterations, seed)
        CVRP_PROBLEM.check(instance, better)
        assert CVRP_PROBLEM.cost(instance, better) <= CVRP_PROBLEM.cost(instance, start) + 1e-9
        assert (improved(instance, start, iterations, seed) == better).all()


@settings(max_examples=15)
@given(instance=instances(most=6))
def test_small_instances_are_solved_to_optimality(instance: CVRPInstance) -> None:
    start = savings_routes(space_of(instance), instance.demand, instance.capacity)
    cost = CVRP_PROBLEM.cost(instance, improved(instance, start, 3000))
    assert cost == pytest.approx(optimum(instance), abs=1e-9)


@pytest.mark.parametrize("customers", [30, 150])
def test_the_kernel_keeps_its_books(customers: int) -> None:
    instance = CVRP_PROBLEM.generate(np.random.default_rng(1), customers=customers)
    demand, space = instance.demand / 7, space_of(instance)  # sums of demands round
    instance = CVRPInstance(coordinates=instance.coordinates, demand=demand, capacity=instance.capacity / 7)
    state = load_routes(space, demand, savings_routes(space, demand, instance.capacity))
    near, unit = neighbour_lists(space, NEAREST)[0], edge_length(state)
    for stream in (random_stream(0), random_stream(1)):
        search(space, demand, instance.capacity, near, state, stream, 3000, unit, 0.1 * unit)
        kept, loads, edges = state.cost.copy(), state.load.copy(), state.edge.copy()
        assert CVRP_PROBLEM.cost(instance, best_routes(state)) == pytest.approx(kept[1], rel=1e-12)
        refresh(space, demand, state)
        assert state.cost[0] == pytest.approx(kept[0], rel=1e-12)
        np.testing.assert_allclose(loads, state.load, atol=1e-12)
        np.testing.assert_allclose(edges, state.edge, atol=1e-12)
        used = state.active[: state.counters[0]]
        assert sorted(used) == np.flatnonzero(state.size).tolist()
        assert state.size.sum() == customers
        for r in used:  # the lists run both ways and agree with what is kept of each route
            forth = [int(state.first[r])]
            while state.next[forth[-1]] > 0:
                forth.append(int(state.next[forth[-1]]))
            back = [int(state.last[r])]
            while state.previous[back[-1]] > 0:
                back.append(int(state.previous[back[-1]]))
            assert forth == back[::-1]
            assert len(forth) == state.size[r]
            assert (state.route[forth] == r).all()


def test_savings_by_hand() -> None:
    # customers on a line: 1 and 2 to the right, 3 to the left; 1-2 save 2, 1-3 and 2-3 nothing
    instance = CVRPInstance(coordinates=[[0, 0], [1, 0], [2, 0], [-1, 0]], demand=np.array([0, 1, 1, 1]), capacity=3)
    routes = split_routes(savings_routes(space_of(instance), instance.demand, instance.capacity))
    assert sorted(sorted(route.tolist()) for route in routes) == [[1, 2], [3]]


def test_nearest_neighbour_by_hand() -> None:
    # from 1 at 1.0 the nearest is 2, which no longer fits; 3 does, and then 2 has a route of its own
    instance = CVRPInstance(coordinates=[[0, 0], [1, 0], [2, 0], [4, 0]], demand=np.array([0, 2, 2, 1]), capacity=3)
    solution = nearest_neighbour_routes(space_of(instance), instance.demand, instance.capacity)
    assert solution.tolist() == [0, 1, 3, 0, 2, 0]


def test_savings_with_neighbour_lists_lose_little(monkeypatch: pytest.MonkeyPatch) -> None:
    from optgap.co.heuristics import route_construction

    instance = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=300)
    space = space_of(instance)
    every = CVRP_PROBLEM.cost(instance, savings_routes(space, instance.demand, instance.capacity))
    monkeypatch.setattr(route_construction, "ALL_PAIRS", 100)
    solution = savings_routes(space, instance.demand, instance.capacity)
    CVRP_PROBLEM.check(instance, solution)
    assert CVRP_PROBLEM.cost(instance, solution) < 1.03 * every


def test_a_batch_is_its_instances_one_by_one() -> None:
    rng = np.random.default_rng(3)
    coordinates, demand = rng.random((3, 16, 2)), rng.integers(1, 10, (3, 16)).astype(float)
    demand[:, 0] = 0
    capacity = np.array([12.0, 20.0, 90.0])
    solutions = improve_route_batch(coordinates, demand, capacity, 500, seed=5)
    for b, row in enumerate(solutions):
        instance = CVRPInstance(coordinates=coordinates[b], demand=demand[b], capacity=capacity[b])
        CVRP_PROBLEM.check(instance, row)
        alone = improve_route_batch(coordinates[b : b + 1], demand[b : b + 1], capacity[b], 500, seed=5 + b)[0]
        assert (alone == row[: len(alone)]).all()
        assert not row[len(alone) :].any()


def test_near_optimal_on_a_hundred_customers() -> None:
    """Within 2% of 14.41139, the best that this search in 2 s and PyVRP 0.14 in 12 s find alike, in 20,000 iterations."""
    instance = CVRP_PROBLEM.generate(np.random.default_rng(1001), customers=100)
    solution = improve_route_batch(instance.coordinates[None], instance.demand[None], instance.capacity, 20_000)[0]
    assert 14.4113 < CVRP_PROBLEM.cost(instance, solution) < 14.41139 * 1.02


@pytest.mark.parametrize("name", ["nearest-neighbour", "savings", "ruin-recreate"])
def test_ruled_by_the_registry(name: str) -> None:
    instance = CVRPInstance(coordinates=[[0, 0], [3, 4]], demand=np.array([0, 2]), capacity=2)
    result = SOLVERS.load(f"cvrp/{name}")(instance, Budget(seconds=0.05))
    assert CVRP_PROBLEM.cost(instance, result.solution) == 10
