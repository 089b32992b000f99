"""Maps and knapsacks: what is drawn where, of partial and of complete solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import routing_cases

from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.routing.render import frame, paths, problem_of, route, route_text, summary

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float64)
TSP = TSPInstance(coordinates=SQUARE, name="square")
CVRP = CVRPInstance(coordinates=SQUARE, demand=np.array([0, 1, 1, 1]), capacity=2, name="square")
OP = OrienteeringInstance(coordinates=SQUARE, prize=np.array([1, 2, 3, 4]), limit=30, end=3, name="square")
KP = KnapsackInstance(value=np.array([2, 8, 1]), weight=np.array([1, 3, 2]), capacity=4, name="bag")
ATSP = ATSPInstance(matrix=1 - np.eye(4), metric="explicit", name="all-one")


def test_paths_close_when_they_are_complete() -> None:
    def drawn(instance: Any, solution: Any) -> list[list[int]]:
        return [path.tolist() for path in paths(instance, np.array(solution))]

    assert drawn(TSP, [0, 2]) == [[0, 2]]
    assert drawn(TSP, [0, 2, 1, 3]) == [[0, 2, 1, 3, 0]]
    assert drawn(CVRP, [0, 2, 0, 1]) == [[0, 2, 0], [0, 1]]  # the second vehicle is under way
    assert drawn(CVRP, [0, 2, 0, 1, 3, 0]) == drawn(CVRP, [2, 0, 1, 3]) == [[0, 2, 0], [0, 1, 3, 0]]
    assert drawn(CVRP, [0]) == []
    assert drawn(OP, [0, 1, 3]) == [[0, 1, 3]]


def test_problems_are_told_apart() -> None:
    assert [problem_of(instance) for instance in (TSP, ATSP, CVRP, OP, KP)] == list(routing_cases.PROBLEMS)


def test_the_summary_says_what_the_solution_costs() -> None:
    assert summary(TSP, np.array([0, 1, 2, 3])) == "square: 4 of 4 nodes, length 40"
    assert summary(TSP, np.array([0, 1])) == "square: 2 of 4 nodes, length 10"
    assert summary(ATSP, np.array([0, 1, 2, 3])) == "all-one: 4 of 4 nodes, length 4"
    assert summary(CVRP, np.array([0, 1, 0, 3])) == "square: 3 of 4 nodes, 2 routes, length 30"
    assert summary(CVRP, np.array([0])) == "square: 1 of 4 nodes, 0 routes, length 0"
    assert summary(OP, np.array([0, 1, 2, 3])) == "square: 4 of 4 nodes, length 30 of 30, prize 10"
    assert summary(KP, np.array([1])) == "bag: 1 of 3 items, weight 3 of 4, value 8"
    assert summary(KP, np.zeros(0, np.int64)) == "bag: 0 of 3 items, weight 0 of 4, value 0"


def test_a_line_a_route_and_a_mark_a_node() -> None:
    axes = route(CVRP, np.array([0, 2, 0, 1, 3, 0])).axes[0]
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert lines == [SQUARE[[0, 2, 0]].tolist(), SQUARE[[0, 1, 3, 0]].tolist()]
    nodes, depot = axes.collections
    np.testing.assert_array_equal(nodes.get_offsets(), SQUARE)
    np.testing.assert_array_equal(depot.get_offsets(), SQUARE[:1])
    assert "length" in axes.get_title()
    ends = route(OP, np.array([0, 1, 3])).axes[0].collections[-1]
    np.testing.assert_array_equal(ends.get_offsets(), SQUARE[[0, 3]])
    chosen = route(KP, np.array([0, 1])).axes[0].collections[-1]
    np.testing.assert_array_equal(chosen.get_offsets(), [[1, 2], [3, 8]])


def test_text_is_a_map() -> None:
    assert route_text(TSP, np.array([0, 1, 2]), width=9).splitlines() == [
        "square: 3 of 4 nodes, length 20",
        "+       o",
        "        .",
        "        .",
        "#.......o",
    ]
    assert route_text(KP, np.array([0, 1]), width=12).splitlines()[1:] == ["|==========|", "0 1"]
    assert route_text(KP, np.array([2]), width=12).splitlines()[1:] == ["|=====     |", "2"]


@pytest.mark.parametrize("points", [np.zeros((3, 2)), np.array([[0, 0], [5, 0], [9, 0]]), np.array([[1, 1], [1, 9]])])
def test_text_of_flat_maps_keeps_its_width(points: Any) -> None:
    lines = route_text(TSPInstance(coordinates=points), np.array([0]), width=40).splitlines()
    assert max(map(len, lines[1:])) <= 40
    assert sum(line.count("#") for line in lines) == 1


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
def test_frames_of_an_episode_have_one_size_and_differ(problem: str) -> None:
    size = {"cvrp": "customers", "kp": "items"}.get(problem, "nodes")
    env = ENVIRONMENTS.load(problem)(**{size: 4}).make(render_mode="rgb_array")
    env.reset(seed=0)
    frames, done = [env.render()], False
    while not done:
        _, _, done, _, _ = env.step(env.unwrapped.action_masks().argmax())
        frames.append(env.render())
    assert {(drawn.shape, drawn.dtype) for drawn in frames} == {((700, 700, 3), np.dtype(np.uint8))}
    assert all((a != b).any() for a, b in zip(frames[:-1], frames[1:], strict=True))


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
def test_text_of_an_episode(problem: str) -> None:
    size = {"cvrp": "customers", "kp": "items"}.get(problem, "nodes")
    env = ENVIRONMENTS.load(problem)(**{size: 5}).make(render_mode="ansi")
    env.reset(seed=0)
    before = env.render()
    env.step(env.unwrapped.action_masks().argmax())
    assert before != env.render()
    plain = ENVIRONMENTS.load(problem)(**{size: 5}).make().unwrapped
    plain.reset(seed=0)
    assert plain.render() is None


def test_a_frame_shows_what_is_drawn() -> None:
    empty, full = frame(TSP, np.array([0])), frame(TSP, np.array([0, 1, 2, 3]))
    assert ((full.astype(int) - empty.astype(int)) != 0).mean() > 0.005
