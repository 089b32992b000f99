"""Arguments of the routing environments: what is drawn, what is read, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import routing_cases
from gymnasium.utils.env_checker import data_equivalence

from optgap.co.core import PROBLEMS, InputError, InvalidActionError
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.routing.env import TSPEnv

every_problem = pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
SIZE = {"tsp": "nodes", "atsp": "nodes", "cvrp": "customers", "op": "nodes", "kp": "items"}
TRIANGLE = TSPInstance(coordinates=np.array([[0, 0], [3, 0], [3, 4]], np.float64), name="triangle")


def environment(problem: str, **arguments: Any) -> Any:
    return ENVIRONMENTS.load(problem)(**arguments).make().unwrapped


@every_problem
def test_sizes_are_drawn_from_the_whole_range(problem: str) -> None:
    env = environment(problem, **{SIZE[problem]: (3, 5)})
    drawn = {env.reset(seed=seed)[1]["instance"] for seed in range(40)}
    assert drawn == {f"uniform-{n}" for n in (3, 4, 5)}
    assert env.batch.nodes == 5 + (problem == "cvrp")


@pytest.mark.parametrize(("problem", "size"), [("tsp", 100), ("atsp", 100), ("cvrp", 101), ("op", 100), ("kp", 200)])
def test_defaults_are_the_sizes_of_the_literature(problem: str, size: int) -> None:
    assert ENVIRONMENTS.load(problem)().size() == size
    assert ENVIRONMENTS.load(problem)(padding=np.int64(300)).size() == 300


def test_the_generator_takes_its_arguments_from_the_configuration() -> None:
    for problem, name, value in (("cvrp", "capacity", 77.0), ("kp", "capacity", 1.5), ("op", "limit", 2.5)):
        env = environment(problem, **{SIZE[problem]: 10, name: value})
        env.reset(seed=0)
        assert getattr(env.batch.instances[0], name) == value
    env = environment("op", nodes=10, prize="constant", distribution="clustered")
    _, info = env.reset(seed=0)
    assert info["instance"] == "clustered-10"
    assert env.batch.instances[0].prize.tolist() == [0.0] + [1.0] * 9


def test_a_random_knapsack_in_which_nothing_fits_is_drawn_again() -> None:
    env = environment("kp", items=1, capacity=0.05)
    for seed in range(10):
        assert env.reset(seed=seed)[0]["action_mask"].tolist() == [1]
    with pytest.raises(InputError, match="nothing to decide"):
        environment("kp", items=1, capacity=0.0).reset(seed=0)


@pytest.mark.parametrize(
    ("problem", "instance"),
    [
        ("tsp", TSPInstance(coordinates=np.zeros((1, 2)))),
        ("atsp", ATSPInstance(matrix=np.zeros((1, 1)), metric="explicit")),
        ("op", OrienteeringInstance(coordinates=np.array([[0, 0], [1, 0]]), prize=np.ones(2), limit=1, end=1)),
        ("kp", KnapsackInstance(value=np.ones(2), weight=np.array([3, 4]), capacity=2.9)),
    ],
    ids=["tsp", "atsp", "op", "kp"],
)
def test_an_instance_without_a_decision_is_refused(problem: str, instance: Any) -> None:
    with pytest.raises(InputError, match="nothing to decide"):
        environment(problem, instances=[instance]).reset()
    env = environment(problem, **{SIZE[problem]: 4})
    env.reset(seed=0)
    shown = env.action_masks()
    with pytest.raises(InputError, match="nothing to decide"):
        env.reset(options={"instance": instance})
    np.testing.assert_array_equal(env.action_masks(), shown)  # nothing has changed


def test_instances_of_another_problem_and_too_large_ones_are_refused() -> None:
    atsp = ATSPInstance(matrix=np.zeros((3, 3)), metric="explicit", name="other")
    for wrong in (atsp, None, "ft06.txt", 5, PROBLEMS.load("cvrp").generate(np.random.default_rng(0), customers=3)):
        with pytest.raises(InputError):
            environment("tsp", instances=[wrong])
        with pytest.raises(InputError):
            environment("tsp", nodes=9).reset(options={"instance": wrong})
    with pytest.raises(InputError, match="other is a ATSPInstance; the environment plays instances of tsp"):
        environment("tsp", instances=[atsp])
    with pytest.raises(InputError, match="triangle has 3 nodes; the environment holds 2"):
        environment("tsp", nodes=2).reset(options={"instance": TRIANGLE})
    with pytest.raises(InputError, match="holds 2"):
        environment("tsp", instances=TRIANGLE, padding=2).reset()


@pytest.mark.parametrize(
    ("problem", "wrong", "message"),
    [
        ("tsp", {"nodes": 1}, "nodes"),
        ("tsp", {"nodes": "100"}, "nodes"),
        ("tsp", {"nodes": 2.5}, "nodes"),
        ("tsp", {"nodes": (5, 4)}, "nodes"),
        ("tsp", {"nodes": (2, 3, 4)}, "nodes"),
        ("tsp", {"nodes": None}, "nodes"),
        ("tsp", {"nodes": 10**9}, "nodes"),
        ("tsp", {"distribution": "normal"}, "distribution"),
        ("tsp", {"instances": []}, "instances"),
        ("tsp", {"padding": 0}, "padding"),
        ("tsp", {"padding": (3, 4)}, "padding"),
        ("cvrp", {"customers": 0}, "customers"),
        ("cvrp", {"capacity": 3.0}, "capacity"),
        ("cvrp", {"nodes": 5}, "nodes.*customers"),
        ("op", {"prize": "none"}, "prize"),
        ("op", {"limit": -1.0}, "limit"),
        ("kp", {"items": 0}, "items"),
        ("kp", {"capacity": -1.0}, "capacity"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_one_line(problem: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        ENVIRONMENTS.load(problem)().make(**wrong).reset(seed=0)
    assert "\n" not in str(error.value)


def test_there_are_two_ways_to_draw() -> None:
    with pytest.raises(InputError, match=r"render_mode is 'human'; expected one of .*rgb_array.*ansi"):
        TSPEnv(render_mode="human")


def test_instances_by_name_by_path_and_by_value(tmp_path: Path) -> None:
    file = tmp_path / "square.tsp"
    lines = ["NAME: square", "TYPE: TSP", "DIMENSION: 4", "EDGE_WEIGHT_TYPE: EUC_2D", "NODE_COORD_SECTION"]
    file.write_text("\n".join([*lines, "1 0 0", "2 1 0", "3 1 1", "4 0 1", "EOF"]) + "\n")
    for given in (file, str(file), [file]):
        assert environment("tsp", instances=given).reset()[1]["instance"] == "square"
    env = environment("tsp", instances=[TRIANGLE, "uniform-5-s0"])
    assert {env.reset(seed=seed)[1]["instance"] for seed in range(20)} == {"triangle", "uniform-5-s0"}
    assert env.batch.nodes == 5


def test_a_forbidden_action_names_what_is_allowed() -> None:
    env = environment("tsp", instances=[TRIANGLE])
    env.reset()
    with pytest.raises(InvalidActionError, match=r"action 0 in copy 0 is not allowed; allowed now: \[1, 2\]$"):
        env.step(0)
    env = environment("tsp", nodes=100)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="and 79 more"):
        env.step(0)


@every_problem
def test_a_pickle_in_mid_episode_goes_on_like_the_original(problem: str) -> None:
    env = environment(problem, **{SIZE[problem]: 12})
    env.reset(seed=3)
    env.step(int(env.action_masks().argmax()))
    copies = [pickle.loads(pickle.dumps(env, protocol)) for protocol in (4, 5)]  # noqa: S301  (our own)
    for _ in range(25):
        if env.batch.done[0]:
            answers = [each.reset() for each in (env, *copies)]
        else:
            action = int(env.action_masks().argmax())
            answers = [each.step(action) for each in (env, *copies)]
        for answer in answers[1:]:
            assert data_equivalence(answers[0], answer, exact=True)
