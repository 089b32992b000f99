"""Prioritized planning: feasible plans, the space-time search against exhaustive search, what is proved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapf_cases import CASES, optimum, random_instance

from optgap.co.core import Budget, Result, Status, solve
from optgap.co.heuristics.prioritized_planning import plan, try_orders
from optgap.co.heuristics.prioritized_planning import solve as prioritized
from optgap.co.heuristics.space_time_search import HERE, WAIT, move_between, shortest, space_of
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance
from optgap.co.problems.multi_agent_path_finding_instances import load_mapf

GRID = MAPFInstance(blocked=np.zeros((2, 3), bool), starts=np.array([0]), goals=np.array([2]))


def run(instance: MAPFInstance, seconds: float = 60, seed: int = 0) -> Result:
    return solve(prioritized, MAPF, instance, Budget(seconds, seed=seed))


def searched(forbidden: list[tuple[int, int, int]], horizon: int = 8, grid: MAPFInstance = GRID) -> list[int] | None:
    """The path of vehicle 0 around forbidden (time, cell, bits)."""
    space = space_of(grid, horizon)
    for t, cell, bits in forbidden:
        space.forbidden[t, cell] |= bits
    path = np.zeros(horizon + 1, np.int64)
    arrival = shortest(space, grid.starts[0], grid.goals[0], grid.distances[0], path)
    return None if arrival < 0 else path[: arrival + 1].tolist()


def test_the_search_by_hand():
    right = 1 << move_between(space_of(GRID, 1), 0, 1)
    assert searched([]) == [0, 1, 2]
    assert searched([(1, 1, HERE)]) == [0, 0, 1, 2]  # waiting costs 1, the way below 2
    assert searched([(t, 1, HERE) for t in range(9)]) == [0, 3, 4, 5, 2]
    assert searched([(1, 1, right)]) == [0, 0, 1, 2]  # to enter cell 1 from the left at time 1 is what is forbidden
    assert len(searched([(1, 1, right), (2, 1, right)]) or []) == 5
    late = searched([(7, 2, HERE)])  # the goal is free for good from time 8 on
    assert late is not None
    assert (len(late), late[-1], late[7] != 2) == (9, 2, True)
    assert searched([(8, 2, HERE)]) is None
    assert searched([(1, 1, HERE), (1, 0, HERE), (1, 3, HERE)]) is None  # nowhere to go at once
    assert searched([], horizon=1) is None
    assert move_between(space_of(GRID, 1), 4, 4) == WAIT


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_the_search_is_shortest_among_random_obstacles(seed):
    rng = np.random.default_rng(seed)
    instance, horizon = random_instance(seed, vehicles=1), 12
    forbidden = np.where(rng.random((horizon + 1, 16)) < 0.4, rng.integers(0, 32, (horizon + 1, 16)), 0)
    forbidden[0, instance.starts[0]] = 0
    goal = int(instance.goals[0])
    reached, arrival = {int(instance.starts[0])}, None
    for t in range(horizon + 1):
        if t > 0:
            reached = {
                after
                for cell in reached
                for k, after in enumerate([*instance.neighbours[cell].tolist(), cell])
                if after >= 0 and not forbidden[t, after] & (HERE | 1 << k)
            }
        if arrival is None and goal in reached and not (forbidden[t:, goal] & HERE).any():
            arrival = t
    marks = [(t, c, int(bits)) for (t, c), bits in np.ndenumerate(forbidden)]
    path = searched(marks, horizon, instance)
    assert (None if path is None else len(path) - 1) == arrival


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), vehicles=st.integers(1, 3))
def test_plans_are_feasible_and_never_beat_the_optimum(seed, vehicles):
    instance = random_instance(seed, vehicles=vehicles)
    result = run(instance)  # checked by solve, the bound against the cost too
    best = optimum(instance) if result.solution is not None else None
    if best is not None:
        assert instance.lower_bound <= best <= result.cost
        assert (result.status is Status.OPTIMAL) == (result.cost == instance.lower_bound)


def test_a_vehicle_goes_around_those_before_it():
    instance, _ = CASES["crossing"]  # vehicles a and b both want the middle at time 2
    space, paths = space_of(instance, 12), np.zeros((2, 13), np.int64)
    for order in ([0, 1], [1, 0]):
        cost = plan(space, instance.starts, instance.goals, instance.distances, np.array(order), paths)
        assert cost == 9
        MAPF.check(instance, paths)
        assert (paths[order[0]] == instance.goals[order[0]]).argmax() == 4  # the first drives as if alone


def test_an_order_that_fails_names_the_vehicle():
    instance, _ = CASES["a goal on the way"]  # b, at its goal for good, blocks the corridor
    space, paths = space_of(instance, 12), np.zeros((2, 13), np.int64)
    args = (space, instance.starts, instance.goals, instance.distances)
    assert plan(*args, np.array([1, 0]), paths) == -1
    assert plan(*args, np.array([0, 1]), paths) == 4


def test_the_best_of_many_orders_repeats_and_improves():
    instance = load_mapf("mapf-8x8-v10-s0")
    costs = [run(instance, seed=seed).cost for seed in (0, 0, 1)]
    assert costs[0] == costs[1]
    found = []
    try_orders(instance, 200, 0, lambda paths, cost: found.append(cost), lambda: True)
    assert found == sorted(set(found), reverse=True)
    assert len(found) > 1


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("a wall between", Status.INFEASIBLE),
        ("two that swap in a corridor", Status.NO_SOLUTION),
        ("all at their goals", Status.OPTIMAL),
        ("crossing", Status.FEASIBLE),
    ],
)
def test_only_what_is_proved_is_said(case, status):
    assert run(CASES[case][0]).status is status
