"""Episodes of the routing environments against the problems' definitions, over all metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import routing_cases
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import PROBLEMS
from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance
from optgap.envs.registry import ENVIRONMENTS

every_problem = pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
FIGURE = {"tsp": "length", "atsp": "length", "cvrp": "length", "op": "prize", "kp": "value"}


def environment(problem: str, **arguments: Any) -> Any:
    return ENVIRONMENTS.load(problem)(**arguments).make().unwrapped


def play(env: Any, seed: int = 0, **reset: Any) -> tuple[list[float], list[int], list[dict[str, Any]], dict[str, Any]]:
    """Rewards, actions, observations and last information of an episode of random actions."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(**reset)
    rewards, actions, observations, done = [], [], [observation], False
    while not done:
        action = int(rng.choice(np.flatnonzero(env.action_masks())))
        observation, reward, done, _, info = env.step(action)
        rewards.append(reward)
        actions.append(action)
        observations.append(observation)
    return rewards, actions, observations, info


@every_problem
@settings(max_examples=80)
@given(data=st.data(), seed=st.integers(0, 99))
def test_what_is_allowed_what_it_costs_and_what_comes_out(problem: str, data: Any, seed: int) -> None:
    instance = data.draw(routing_cases.instances(problem))
    definition = PROBLEMS.load(problem)
    env = environment(problem, instances=[instance])
    rewards, actions, observations, info = play(env, seed)
    for k, observation in enumerate(observations):
        mask = set(np.flatnonzero(observation["action_mask"]).tolist())
        assert mask == routing_cases.allowed(problem, instance, actions[:k])
        assert observation in env.observation_space
    definition.check(instance, info["solution"])
    cost = definition.cost(instance, info["solution"])
    sign = -1 if definition.sense == "minimize" else 1
    assert sum(rewards) == pytest.approx(sign * cost, rel=1e-12, abs=1e-12)
    assert info[FIGURE[problem]] == pytest.approx(cost, rel=1e-12, abs=1e-12)
    if problem == "op":
        assert info["length"] == pytest.approx(instance.length(info["solution"]), rel=1e-12)
    elif problem == "kp":
        assert info["weight"] == pytest.approx(instance.weight[info["solution"]].sum(), rel=1e-12)


@every_problem
@settings(max_examples=30)
@given(data=st.data())
def test_a_solution_says_which_actions_build_it(problem: str, data: Any) -> None:
    instance = data.draw(routing_cases.instances(problem))
    env = environment(problem, instances=[instance], padding=12)
    *_, info = play(env)
    again, shuffled = info["solution"], info["solution"]
    if problem in ("tsp", "atsp"):
        shuffled = np.roll(again, 1)  # a tour begins anywhere
    if problem == "cvrp":
        shuffled = np.concatenate([[0], again, [0, 0]])  # and repeated zeros mean nothing
    env.reset()
    for action in env.batch.actions(instance, shuffled):
        *_, info = env.step(action)
    np.testing.assert_array_equal(info["solution"], again)


@every_problem
def test_padding_is_zero_and_changes_nothing(problem: str) -> None:
    size = {"cvrp": "customers", "kp": "items"}.get(problem, "nodes")
    instance = PROBLEMS.load(problem).generate(np.random.default_rng(1), **{size: 6})
    tight = environment(problem, instances=[instance])
    n = tight.batch.nodes
    wide = environment(problem, **{size: 10}, padding=n + 7)
    play(wide, seed=5)  # a larger one leaves nothing behind
    narrow_play, wide_play = (play(env, options={"instance": instance}) for env in (tight, wide))
    for a, b in zip(narrow_play[2], wide_play[2], strict=True):
        for key, value in a.items():
            shown = b[key]
            if key == "action_mask" and problem == "cvrp":
                value, shown = value.reshape(2, n), shown.reshape(2, n + 7)
                np.testing.assert_array_equal(shown[:, :n], value)
                assert not shown[:, n:].any()
            elif key in ("origin", "destination", "budget", "capacity"):
                np.testing.assert_array_equal(shown, value)
            elif key == "distances":
                np.testing.assert_array_equal(shown[:n, :n], value)
                assert not shown[n:].any()
                assert not shown[:, n:].any()
            else:
                np.testing.assert_array_equal(shown[:n], value)
                assert not shown[n:].any()


@every_problem
def test_a_reset_in_mid_episode_leaves_nothing_behind(problem: str) -> None:
    size = {"cvrp": "customers", "kp": "items"}.get(problem, "nodes")
    fresh, used = (environment(problem, **{size: (4, 9)}) for _ in range(2))
    for seed in range(6):
        used.reset(seed=100 + seed)
        used.step(int(np.flatnonzero(used.action_masks())[0]))
        assert data_equivalence(used.reset(seed=seed), fresh.reset(seed=seed), exact=True)


# what is shown


def test_the_observation_of_a_tour() -> None:
    points = np.array([[2, 1], [2, 5], [10, 3]], np.float64)
    env = environment("tsp", instances=[TSPInstance(coordinates=points)], padding=4)
    observation, _ = env.reset()
    # the wider axis, 8 units, is scaled to 1
    np.testing.assert_array_equal(observation["nodes"], np.array([[0, 0], [0, 0.5], [1, 0.25], [0, 0]], np.float32))
    assert (observation["origin"], observation["destination"]) == (0, 0)
    assert observation["action_mask"].tolist() == [0, 1, 1, 0]
    observation, *_ = env.step(2)
    assert observation["origin"] == 2
    assert observation["action_mask"].tolist() == [0, 1, 0, 0]
    one_place = environment("tsp", instances=[TSPInstance(coordinates=np.ones((3, 2)))])
    assert not one_place.reset()[0]["nodes"].any()


def test_a_matrix_and_the_globe_are_laid_out_in_the_plane() -> None:
    points = np.array([[0, 0], [3, 0], [3, 4]], np.float64)
    planar = TSPInstance(coordinates=points)
    given = environment("tsp", instances=[TSPInstance(matrix=np.array(planar.distances), metric="explicit")])
    shown = given.reset()[0]["nodes"]
    ratio = np.linalg.norm(shown[0] - shown[2]) / np.linalg.norm(shown[1] - shown[0])
    assert ratio == pytest.approx(5 / 3, rel=1e-5)
    globe = TSPInstance(coordinates=np.array([[60.0, 10.0], [60.0, 12.0], [61.0, 10.0]]), metric="geo")
    shown = environment("tsp", instances=[globe]).reset()[0]["nodes"]
    width, height = np.linalg.norm(shown[1] - shown[0]), np.linalg.norm(shown[2] - shown[0])
    assert width / height == pytest.approx(1.0, abs=0.05)  # a degree of longitude is half as long at 60 degrees north


def test_the_observation_of_a_matrix() -> None:
    matrix = np.array([[0, 4, 2], [8, 0, 1], [3, 5, 0]], np.float64)
    env = environment("atsp", instances=[ATSPInstance(matrix=matrix, metric="explicit")])
    np.testing.assert_array_equal(env.reset()[0]["distances"], (matrix / 8).astype(np.float32))


def test_the_observation_of_a_vehicle() -> None:
    points = np.array([[0, 0], [1, 0], [0, 1]], np.float64)
    instance = CVRPInstance(coordinates=points, demand=np.array([0, 3, 6]), capacity=8)
    env = environment("cvrp", instances=[instance])
    observation, _ = env.reset()
    np.testing.assert_allclose(observation["demand"], [0, 0.375, 0.75])
    assert observation["capacity"].tolist() == [1.0]
    observation, *_ = env.step(1)
    assert observation["capacity"].tolist() == [0.625]
    assert np.flatnonzero(observation["action_mask"]).tolist() == [5]  # customer 2 by way of the depot
    observation, *_, info = env.step(5)
    assert observation["capacity"].tolist() == [0.25]
    assert info["solution"].tolist() == [0, 1, 0, 2, 0]


@pytest.mark.parametrize("metric", ["euclidean", "att"])
def test_the_observation_of_a_budget_is_in_the_unit_of_the_nodes(metric: str) -> None:
    points = np.array([[0, 0], [1000, 0], [2000, 0]], np.float64)
    instance = OrienteeringInstance(
        coordinates=points, prize=np.array([0, 1, 4]), limit=5000 if metric == "euclidean" else 1582, metric=metric
    )
    env = environment("op", instances=[instance])
    observation, _ = env.reset()
    np.testing.assert_allclose(observation["prize"], [0, 0.25, 1])
    np.testing.assert_allclose(observation["budget"], [2.5], rtol=2e-3)  # 2000 units of the plane are 1
    observation, *_ = env.step(1)
    np.testing.assert_allclose(observation["budget"], [2.0], rtol=2e-3)
    generous = OrienteeringInstance(coordinates=points, prize=np.ones(3), limit=1e12)
    assert env.reset(options={"instance": generous})[0]["budget"].tolist() == [6.0]


def test_the_observation_of_a_knapsack() -> None:
    instance = KnapsackInstance(value=np.array([2, 8, 1]), weight=np.array([1, 3, 100]), capacity=4)
    env = environment("kp", instances=[instance])
    observation, _ = env.reset()
    assert observation["items"].tolist() == [[0.25, 0.25], [1, 0.75], [0.125, 2]]  # too heavy is too heavy
    assert observation["action_mask"].tolist() == [1, 1, 0]
    observation, reward, *_ = env.step(1)
    assert (observation["capacity"].tolist(), reward) == ([0.25], 8)
    nothing_weighs = KnapsackInstance(value=np.zeros(2), weight=np.array([0, 1]), capacity=0)
    observation, _ = env.reset(options={"instance": nothing_weighs})
    assert observation["action_mask"].tolist() == [1, 0, 0]
    assert observation["capacity"].tolist() == [0]


@pytest.mark.parametrize("problem", ["tsp", "cvrp", "op", "kp"])
def test_ten_thousand_nodes_need_no_matrix(problem: str) -> None:
    size = {"cvrp": "customers", "kp": "items"}.get(problem, "nodes")
    env = environment(problem, **{size: 10_000})
    env.reset(seed=0)
    done = False
    for _ in range(20):
        if not done:
            _, _, done, _, _ = env.step(int(env.action_masks().argmax()))
    arrays = [array for field in vars(env.batch).values() for array in (field if isinstance(field, tuple) else [field])]
    assert sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)) < 3e6
