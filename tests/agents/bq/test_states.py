"""States and decoding: solutions that pass the problem's check, the masks of the environments, and their scores."""

from __future__ import annotations

from typing import Any

import bq_cases
import numpy as np
import pytest
import routing_cases
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.agents.bq.decoding import play
from optgap.agents.bq.labels import TASKS, task_of
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import State
from optgap.agents.nn.bq import Reduced
from optgap.co.core import PROBLEMS
from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.envs.registry import ENVIRONMENTS

pytestmark = pytest.mark.usefixtures("exact")


def batched(observation: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.array(value))[None] for key, value in observation.items()}


def as_actions(values: torch.Tensor, node: torch.Tensor, actions: int, count: int) -> torch.Tensor:
    """(B, n, A) values of tokens at the environment's actions, (B, count); elsewhere -inf."""
    index = node[:, :, None] + count // actions * torch.arange(actions)
    full = torch.full((len(values), count), -torch.inf)
    return full.scatter_reduce(1, index.flatten(1), values.flatten(1), "amax")


@pytest.mark.parametrize("problem", TASKS)
@pytest.mark.parametrize("nearest", [None, 4])
def test_every_policy_plays_solutions_that_pass_the_check(problem: str, nearest: int | None) -> None:
    policy, instances = bq_cases.policy_of(problem), bq_cases.instances_of(problem, 5, 14)
    state = policy.task.start(instances, bq_cases.CPU).select(torch.arange(5).repeat_interleave(3))
    heat = torch.tensor([0.0, 1.0, 30.0]).repeat(5)
    generator = torch.Generator().manual_seed(0)
    costs, solutions = play(policy.network, policy.task, state, nearest=nearest, temperature=heat, generator=generator)
    for row, solution in enumerate(solutions):
        instance = instances[row // 3]
        policy.problem.check(instance, solution)
        assert costs[row] == pytest.approx(policy.problem.cost(instance, solution), rel=1e-5)
    greedy = policy.play_instances(instances) if nearest is None else solutions[::3]
    for one, other in zip(greedy, solutions[::3], strict=True):
        np.testing.assert_array_equal(one, other)  # whatever stands beside it


@pytest.mark.parametrize("problem", TASKS)
def test_selected_rows_go_their_own_ways(problem: str) -> None:
    policy, instances = bq_cases.policy_of(problem), bq_cases.instances_of(problem, 2, 8)
    state = policy.task.start(instances, bq_cases.CPU)
    before, node = state.reduced(None)
    other = state.select(torch.tensor([1, 0, 1]))
    seen, nodes = other.reduced(None)
    token = seen.allowed[:, :, 0].int().argmax(1)
    torch.testing.assert_close(seen.features[[1, 0]], before.features)
    other.step(nodes.gather(1, token[:, None])[:, 0], torch.zeros(3, dtype=torch.int64))
    again, still = state.reduced(None)
    assert torch.equal(again.features, before.features)  # the first has not moved
    assert torch.equal(still, node)
    assert torch.equal(other.left[0], other.left[2])
    assert int(other.left[0].sum()) == int(state.left[1].sum()) - 1


def compare(policy: BQPolicy, instance: Any, rng: np.random.Generator, scores: bool) -> None:
    """Play random actions in the environment and in the state: they agree on what is allowed and, if asked, on scores."""
    problem = policy.problem.name
    env = ENVIRONMENTS.load(problem)().make(instances=[instance])
    observation, info = env.reset(seed=0)
    state: State = policy.task.start([instance], bq_cases.CPU)
    over = False
    while not over:
        assert bool(state.alive())
        seen = batched(observation)
        mask, actions = seen["action_mask"].bool(), policy.task.actions
        reduced, node = state.reduced(None)
        allowed = torch.where(reduced.allowed, 0.0, -torch.inf)
        assert torch.equal(as_actions(allowed, node, actions, mask.shape[1]).isfinite(), mask)
        logits = policy.action_logits(seen)
        assert torch.equal(logits.isfinite(), mask)
        if scores:
            with torch.no_grad():
                found = policy.network(reduced).actions
            torch.testing.assert_close(as_actions(found, node, actions, mask.shape[1]), logits, atol=2e-3, rtol=0)
        action = int(rng.choice(np.flatnonzero(mask[0].numpy())))
        count = mask.shape[1] // actions
        state.step(torch.tensor([action % count]), torch.tensor([action // count]))
        observation, _, over, _, info = env.step(action)
    assert not bool(state.alive())
    mine, theirs = state.solutions()[0], np.asarray(info["solution"])
    np.testing.assert_array_equal(mine, np.sort(theirs) if problem == "kp" else theirs)
    policy.problem.check(instance, mine)
    if getattr(instance, "metric", "euclidean") == "euclidean" or problem in ("op", "kp"):
        assert float(state.costs()) == pytest.approx(policy.problem.cost(instance, mine), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("problem", TASKS)
def test_it_sees_the_environment_as_it_sees_instances(problem: str) -> None:
    policy, rng = bq_cases.policy_of(problem), np.random.default_rng(1)
    for instance in bq_cases.instances_of(problem, 3, 12):
        compare(policy, instance, rng, scores=True)


@pytest.mark.parametrize("problem", TASKS)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_allowed_is_what_the_environment_allows(problem: str, data: Any) -> None:
    instance = data.draw(routing_cases.instances(problem, most=7))
    compare(bq_cases.policy_of(problem), instance, np.random.default_rng(data.draw(st.integers(0, 99))), scores=False)


def test_units_are_the_instances_own() -> None:
    """Degrees and kilometres; thousands; sums of decimals that fill a capacity to the last digit but one."""
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 20, (9, 2))
    globe = OrienteeringInstance(coordinates=points, metric="geo", prize=rng.integers(1, 9, 9), limit=2500.0, end=3)
    compare(bq_cases.policy_of("op"), globe, rng, scores=True)
    value, weight = rng.integers(1, 1000, 9), rng.integers(1, 50, 9)
    items = KnapsackInstance(value=value, weight=weight, capacity=90)
    compare(bq_cases.policy_of("kp"), items, rng, scores=True)
    heavy = KnapsackInstance(value=value, weight=np.where(np.arange(9) % 2, weight, 10 * weight), capacity=30)
    compare(bq_cases.policy_of("kp"), heavy, rng, scores=True)
    tenths = KnapsackInstance(value=[3, 2, 1], weight=[0.1, 0.2, 0.3], capacity=0.6)  # 0.1 + 0.2 + 0.3 > 0.6
    assert bq_cases.policy_of("kp").play_copies(None, tenths, 1, True, 1.0, torch.Generator())[0] == 6
    shares = CVRPInstance(coordinates=rng.random((4, 2)), demand=[0, 0.1, 0.2, 0.3], capacity=0.6)
    one_route = np.array([0, 1, 2, 3, 0])
    state = task_of("cvrp").start([shares], bq_cases.CPU)
    for customer in one_route[1:-1]:
        reduced, node = state.reduced(None)
        assert bool(reduced.allowed[0, (node[0] == customer).nonzero()[-1], 0])
        state.step(torch.tensor([customer]), torch.tensor([0]))
    np.testing.assert_array_equal(state.solutions()[0], one_route)


def test_a_vehicle_never_loads_a_millionth_too_much() -> None:
    """Within single precision the three demands fill the vehicle; the check sees that they do not fit."""
    instance = CVRPInstance(
        coordinates=np.random.default_rng(0).random((4, 2)), demand=[0, 0.3, 0.3, 0.4 + 2e-7], capacity=1.0
    )
    compare(bq_cases.policy_of("cvrp"), instance, np.random.default_rng(0), scores=False)
    policy = bq_cases.policy_of("cvrp")
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        solution = policy.play_copies(None, instance, 1, False, 100.0, generator)[1]
        policy.problem.check(instance, solution)


@pytest.mark.parametrize("problem", TASKS)
def test_only_the_nearest_are_looked_at(problem: str) -> None:
    task, instances = task_of(problem), bq_cases.instances_of(problem, 4, 12)
    reduced, node = task.start(instances, bq_cases.CPU).reduced(3)
    ends = 2 if task.edges else 0
    assert node.shape[1] == ends + 3
    every: Reduced = task.start(instances, bq_cases.CPU).reduced(None)[0]
    allowed = reduced.allowed[:, :, 0].sum(1)
    assert torch.equal(allowed, every.allowed[:, :, 0].sum(1).clamp(max=3))
    if problem == "kp":
        return
    for row, instance in enumerate(instances):
        far = instance.distances[0].copy()
        may = [j for j in range(1, len(far)) if problem != "op" or far[j] + far[j] <= instance.limit]
        expected = sorted(may, key=lambda j: far[j])[:3]
        assert sorted(node[row, 2 : 2 + int(allowed[row])].tolist()) == sorted(expected)


def test_a_cropped_knapsack_keeps_the_densest_and_knows_where_the_rest_breaks() -> None:
    """By density 2, 8, 6, 4, 10; the capacity breaks the item of density 6."""
    instance = KnapsackInstance(value=[2, 8, 6, 4, 10], weight=[1.0] * 5, capacity=2.5)
    reduced, node = task_of("kp").start([instance], bq_cases.CPU).reduced(2)
    assert sorted(node[0].tolist()) == [1, 4]
    beyond = {int(item): float(x) for item, x in zip(node[0], reduced.features[0, :, 4], strict=True)}
    assert beyond == pytest.approx({1: 4 * np.log(8 / 6), 4: 4 * np.log(10 / 6)})


def test_copies_are_as_good_as_their_best() -> None:
    policy, (instance,) = bq_cases.policy_of("op"), bq_cases.instances_of("op", 1, 10)
    problem = PROBLEMS.load("op")
    best = -np.inf
    for copies in (1, 4, 64):
        cost, solution = policy.play_copies(None, instance, copies, False, 5.0, torch.Generator().manual_seed(0))
        problem.check(instance, solution)
        assert cost == pytest.approx(problem.cost(instance, solution))
        best = max(best, cost)
    assert cost == best  # the most copies, the largest prize
