"""The state is the sub-instance that remains (Drakulic et al. 2023): whatever led there changes nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import routing_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import PROBLEMS
from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance
from optgap.envs.registry import ENVIRONMENTS

LINE = np.array([[0, 0], [1, 2], [3, 1], [2, 4], [5, 3]], np.float64)
MATRIX = np.array([[0, 3, 5, 2, 7], [4, 0, 1, 6, 2], [2, 8, 0, 3, 4], [9, 1, 2, 0, 5], [3, 6, 4, 1, 0]], np.float64)
EXAMPLES = {
    "tsp": TSPInstance(coordinates=LINE, metric="man_2d"),
    "atsp": ATSPInstance(matrix=MATRIX, metric="explicit"),
    "cvrp": CVRPInstance(coordinates=LINE, metric="man_2d", demand=np.array([0, 2, 2, 1, 3]), capacity=5),
    "op": OrienteeringInstance(coordinates=LINE, metric="man_2d", prize=np.array([0, 2, 3, 4, 9]), limit=16),
    "kp": KnapsackInstance(value=np.array([3, 4, 5, 6, 7]), weight=np.array([1, 2, 3, 3, 5]), capacity=9),
}


class Partial:
    """A partial solution, by the actions that built it."""

    def __init__(self, actions: list[int], observation: dict[str, Any], value: float) -> None:
        self.actions, self.value = actions, value  # of the best continuation
        self.shown = tuple((key, observation[key].tobytes()) for key in sorted(observation))


def explore(problem: str, instance: Any) -> list[Partial]:
    """Every partial solution that the environment can build, with its best continuation, by brute force."""
    env = ENVIRONMENTS.load(problem)(instances=[instance]).make().unwrapped
    definition = PROBLEMS.load(problem)
    sign = -1 if definition.sense == "minimize" else 1
    found = []

    def best(actions: list[int]) -> float:
        observation, info = env.reset()
        total, done = 0.0, False
        for action in actions:
            observation, reward, done, _, info = env.step(action)
            total += reward
        if done:
            definition.check(instance, info["solution"])
            value = sign * definition.cost(instance, info["solution"])
        else:
            value = max(best([*actions, a]) for a in np.flatnonzero(observation["action_mask"]).tolist())
        found.append(Partial(actions, observation, value - total))
        return value

    best([])
    return found


def groups(problem: str, instance: Any) -> tuple[list[list[Partial]], list[list[Partial]]]:
    """Partial solutions that leave the same sub-instance; those that show the same observation."""
    by_rest, by_sight = defaultdict(list), defaultdict(list)
    for partial in explore(problem, instance):
        by_rest[routing_cases.reduced(problem, instance, partial.actions)].append(partial)
        by_sight[partial.shown].append(partial)
    return list(by_rest.values()), list(by_sight.values())


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
@settings(max_examples=40)
@given(data=st.data())
def test_the_same_rest_is_the_same_observation_and_the_same_best_continuation(problem: str, data: Any) -> None:
    instance = data.draw(routing_cases.instances(problem, most=5, exact=True))
    by_rest, by_sight = groups(problem, instance)
    for group in by_rest:
        assert len({partial.shown for partial in group}) == 1
        assert len({partial.value for partial in group}) == 1
    for group in by_sight:  # and nothing that matters is hidden
        assert len({partial.value for partial in group}) == 1


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
def test_different_partial_solutions_do_meet(problem: str) -> None:
    by_rest, by_sight = groups(problem, EXAMPLES[problem])
    assert max(map(len, by_rest)) >= 2
    assert sorted(map(len, by_rest)) == sorted(map(len, by_sight))
    for group in by_rest:
        assert len({partial.value for partial in group}) == 1


def test_what_came_before_is_no_part_of_the_state() -> None:
    env = ENVIRONMENTS.load("tsp")(instances=[EXAMPLES["tsp"]]).make().unwrapped
    seen, rest = [], []
    for first in ((1, 2, 3), (2, 1, 3)):
        env.reset()
        rewards = [env.step(node)[1] for node in first]
        seen.append({key: value.tolist() for key, value in env._observation().items()})
        rest.append((env.step(4)[1], rewards))
    assert seen[0] == seen[1]
    assert seen[0]["action_mask"] == [0, 0, 0, 0, 1]
    assert rest[0][0] == rest[1][0] == -(4 + 8)  # from (2, 4) to (5, 3), and home to (0, 0)
    assert rest[0][1] == [-3, -3, -4]
    assert rest[1][1] == [-4, -3, -3]
