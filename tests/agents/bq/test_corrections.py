"""Corrections: the continuations of a policy's own partial solutions are optimal by enumeration, and the pool is renewed."""

from __future__ import annotations

from typing import Any

import bq_cases
import numpy as np
import pytest
from bq_cases import right, subinstances

from optgap.agents.bq.agent import BQ
from optgap.agents.bq.config import BQConfig
from optgap.agents.bq.corrections import Corrections
from optgap.agents.bq.decoding import play
from optgap.agents.bq.labels import RenewedPool, task_of
from optgap.co.core import InputError
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, split_routes
from optgap.co.problems.orienteering import ORIENTEERING as OP_PROBLEM
from optgap.envs.registry import ENVIRONMENTS


@pytest.mark.parametrize("problem", ["tsp", "atsp"])
def test_a_correction_is_an_optimal_continuation(problem: str) -> None:
    policy, instances = bq_cases.policy_of(problem), bq_cases.instances_of(problem, 6, 7)
    task = policy.task
    _, solutions = play(policy.network, task, task.start(instances, bq_cases.CPU))
    seen = [check(problem, task, instances, solutions, labels) for labels in correct(task, instances, solutions, 5)]
    assert seen == [5, 4, 3, 2, 1]  # nodes left


def correct(task: Any, instances: Any, solutions: Any, states: int) -> list[Any]:
    return list(task.correct(instances, solutions, states, 10.0, np.random.default_rng(0)))


def check(problem: str, task: Any, instances: Any, solutions: Any, labels: Any) -> int:
    path = labels["path"]
    steps = 8 - path.shape[1]
    for row, (instance, tour) in enumerate(zip(instances, solutions, strict=True)):
        ends = [tour[steps], tour[0]]
        if problem == "tsp":
            np.testing.assert_allclose(path[row, [0, -1]], instance.positions[ends], rtol=1e-6)
        else:
            assert path[row, -1, 0] == pytest.approx(instance.distances[ends[1], ends[0]])
    reduced, targets = subinstances(task, labels, 0.5, 0)
    for row in range(len(reduced.features)):
        values, targeted = bq_cases.best_values(problem, reduced, row), right(targets, row)
        assert len(values) == 6 - steps
        assert targeted
        assert targeted <= {choice for choice, value in values.items() if value > max(values.values()) - 1e-4}
    return 6 - steps


def test_a_correction_of_the_orienteering_problem_ends_a_path_anew() -> None:
    policy, instances = bq_cases.policy_of("op"), bq_cases.instances_of("op", 8, 8)
    task = policy.task
    _, solutions = play(policy.network, task, task.start(instances, bq_cases.CPU))
    (labels,) = correct(task, instances, solutions, 9)
    assert len(labels["walked"]) == sum(max(len(path) - 2, 0) for path in solutions) > 8
    reduced, targets = subinstances(task, labels, 0.5, 0)
    ended = missed = 0
    for row, walked in enumerate(labels["walked"]):
        path = labels["path"][row][labels["path"][row] >= 0]
        (index,) = (i for i, instance in enumerate(instances) if np.array_equal(instance.positions, labels["xy"][row]))
        OP_PROBLEM.check(instances[index], path)
        own = solutions[index]
        assert (path[: walked + 1] == own[: walked + 1]).all()
        values, targeted = bq_cases.best_values("op", reduced, row), right(targets, row)
        missed += not targeted <= {choice for choice, value in values.items() if value > max(values.values()) - 1e-4}
        assert bool(targeted) == bool(values)  # the origin may be the last node
        ended += not values
    assert ended
    assert missed <= 0.1 * len(labels["walked"])  # a search is not an enumeration


def test_a_correction_of_the_cvrp_is_a_smaller_instance() -> None:
    """What is left when a vehicle comes back, solved to the optimum by enumeration."""
    policy, instances = bq_cases.policy_of("cvrp"), bq_cases.instances_of("cvrp", 8, 6, capacity=14)
    task = policy.task
    _, solutions = play(policy.network, task, task.start(instances, bq_cases.CPU))
    every = [
        (instance, np.append(0, np.concatenate(routes[begin:])))
        for instance, routes in zip(instances, map(split_routes, solutions), strict=True)
        for begin in range(1, len(routes))
    ]
    left = {tuple(sorted(map(tuple, instance.positions[nodes].astype(np.float32)))) for instance, nodes in every}
    count = 0
    for labels in correct(task, instances, solutions, 9):
        for xy, demand, order, route in zip(*(labels[k] for k in ("xy", "demand", "order", "route")), strict=True):
            assert tuple(sorted(map(tuple, xy))) in left
            small = CVRPInstance(coordinates=xy.astype(float), demand=np.round(demand * 14.0), capacity=14)
            mine = np.concatenate([[0, *order[route == r]] for r in range(route.max() + 1)] + [[0]])
            cost = CVRP_PROBLEM.cost(small, mine)
            assert cost == pytest.approx(CVRP_PROBLEM.cost(small, bq_cases.optimum("cvrp", small)), rel=1e-5)
            count += 1
    assert count == sum(len(nodes) > 2 for _, nodes in every) > 8


def test_the_pool_follows_from_seed_weights_and_the_number_of_updates() -> None:
    env: Any = ENVIRONMENTS.load("tsp")(nodes=8)
    config = BQConfig(size="tiny", own_interval=2, checkpoint_interval=4, own_instances=3, own_states=5)
    agent = BQ(env, config)

    def pool(*numbers: int) -> dict[Any, Any]:
        own = Corrections(env, task_of("tsp"), config)
        for updates in numbers:
            own.grow(agent.policy, 0, updates)
        return {key: group["path"][: own.pool._count[key]] for key, group in own.pool._groups.items()}

    def equal(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
        return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)

    def count(held: dict[Any, Any]) -> int:
        return sum(len(paths) for paths in held.values())

    assert equal(pool(0, 1, 2, 3, 4, 5), pool(4))  # as after a break at update 4
    assert equal(pool(0, 1, 2), pool(0, 2))
    assert not equal(pool(4), pool(0))
    assert count(pool(4)) == 2 * 3 * 5  # an epoch begins with twice as many
    assert count(pool(4, 5, 6)) == 3 * 3 * 5


def test_a_pool_begins_anew_where_a_run_may_be_resumed() -> None:
    pool = RenewedPool(interval=10, epoch=30, first=4)
    due = {updates: pool.due(updates) for updates in range(61)}
    assert {updates: times for updates, times in due.items() if times} == {
        0: 4,
        10: 1,
        20: 1,
        30: 4,
        40: 1,
        50: 1,
        60: 4,
    }
    assert RenewedPool(10, 30, 4).due(17) == 4  # the first call, wherever it comes


def test_checkpoints_fall_where_the_pool_is_empty() -> None:
    with pytest.raises(InputError, match="multiple of own_interval"):
        BQConfig(checkpoint_interval=30, own_interval=20)
    assert BQConfig(checkpoint_interval=30, own_interval=20, own_share=0.0).own_share == 0
