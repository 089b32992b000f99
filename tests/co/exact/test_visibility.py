"""Shortest paths of a disc: by hand, against an independent sampled graph, and what any shortest path obeys."""

from __future__ import annotations

import math
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from optgap.co.core import PROBLEMS, SOLVERS, Budget, Status
from optgap.co.core import solve as run
from optgap.co.exact.visibility import (
    VisibilityGraph,
    earliest_interception,
    graph_of,
    shortest_length,
    shortest_path,
    steps_of,
)
from optgap.co.problems.path_planning import PATH_PLANNING, PathPlanningInstance, distance_to_box, path_length
from optgap.co.problems.path_planning_instances import load_path_planning

F64 = NDArray[np.float64]
HALL = np.array([0.0, 0.0, 10.0, 10.0])
STEP = 0.15  # s: of brute force over times
seeds = st.integers(0, 2**32 - 1)


def _hall(
    boxes: list[list[float]], start: list[float], route: list[list[float]], **other: float
) -> PathPlanningInstance:
    fields = {"bounds": HALL, "boxes": np.reshape(boxes, (-1, 4)), "start": np.array([*start, 0.0])}
    return PathPlanningInstance(**fields, route=np.array(route), **other)


def _random_hall(seed: int, **other: float) -> PathPlanningInstance:
    """Up to 6 boxes, which may overlap, a free start and a target that need not be."""
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 8.5, (rng.integers(1, 7), 2)), rng.uniform(0.3, 4, (6, 2))
    boxes = np.hstack([corner, corner + size[: len(corner)]])
    for _ in range(50):
        start = rng.uniform(0.5, 9.5, 2)
        if all(distance_to_box(np.stack([start, start]), box)[0] > 0.3 for box in boxes):
            return _hall(boxes.tolist(), start.tolist(), rng.uniform(0.5, 9.5, (1, 2)).tolist(), **other)
    assume(False)
    raise AssertionError


def _is_free(instance: PathPlanningInstance, points: F64) -> NDArray[np.bool_]:
    """(len(points) - 1,) whether each segment is free, by the geometry of the check."""
    low, high = instance.bounds[:2] + instance.radius, instance.bounds[2:] - instance.radius
    inside = ((points >= low) & (points <= high)).all(1)
    free: NDArray[np.bool_] = inside[:-1] & inside[1:]
    for box in instance.boxes:
        free = free & (distance_to_box(points, box) >= instance.radius - 1e-9)
    return free


def _sampled(instance: PathPlanningInstance, pieces: int = 10) -> float:
    """Length of the shortest path through points just outside the corners' arcs, to points of the goal disc's border."""
    angles = (np.arange(pieces) + 0.5) * math.pi / 2 / pieces
    reach = instance.radius / math.cos(math.pi / 4 / pieces)
    nodes = [instance.start[:2]]
    for box in instance.boxes:
        for i, sx in ((0, -1), (2, 1)):
            for j, sy in ((1, -1), (3, 1)):
                nodes += [box[[i, j]] + reach * np.array([sx * math.cos(a), sy * math.sin(a)]) for a in angles]
    turns = np.linspace(0, 2 * math.pi, 240, endpoint=False)
    ends = instance.route[0] + instance.goal_radius * np.column_stack([np.cos(turns), np.sin(turns)])
    points = np.array(nodes)
    points = points[_is_free(instance, np.repeat(points, 2, axis=0))[::2]]
    ends = ends[_is_free(instance, np.repeat(ends, 2, axis=0))[::2]]
    graph = nx.Graph()
    graph.add_nodes_from(range(len(points)))
    everything = np.vstack([points, ends])
    for a in range(len(points)):
        fan = np.empty((2 * len(everything), 2))
        fan[::2], fan[1::2] = points[a], everything
        free = _is_free(instance, fan)[::2]
        for b in np.flatnonzero(free).tolist():
            to = b if b < len(points) else -1
            length = float(np.hypot(*(everything[b] - points[a])))
            if to != a and length < graph.get_edge_data(a, to, {"weight": math.inf})["weight"]:
                graph.add_edge(a, to, weight=length)
    try:
        return float(nx.dijkstra_path_length(graph, 0, -1))
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return math.inf


def test_straight_ahead() -> None:
    assert shortest_length(_hall([], [1, 1], [[9, 9]])) == pytest.approx(8 * math.sqrt(2) - 0.5)
    assert shortest_length(_hall([[4, 4, 6, 6]], [1, 1], [[9, 1]])) == pytest.approx(7.5)
    assert shortest_length(_hall([], [1, 1], [[1.3, 1.4]])) == 0.0  # there already: exactly the goal's radius


def test_round_one_corner_by_hand() -> None:
    """A box that fills the lower right: from (2, 1) left of its corner (5, 5) to (9, 6) above it."""
    path = VisibilityGraph(HALL, np.array([[5.0, 0.0, 10.0, 5.0]]), 0.3).shortest(
        np.array([2.0, 1.0]), np.array([9.0, 5.5])
    )
    first, second = math.hypot(3, 4), math.hypot(4, 0.5)  # from the ends to the corner
    # The path turns by: direction at the start minus that at the end, each off the corner's by asin(r / distance).
    begin = math.atan2(4, 3) + math.asin(0.3 / first)
    end = math.atan2(0.5, 4) - math.asin(0.3 / second)
    by_hand = math.sqrt(first**2 - 0.09) + math.sqrt(second**2 - 0.09) + 0.3 * (begin - end)
    assert path is not None
    assert path.length == pytest.approx(by_hand, abs=1e-12)
    assert path.legs[1, 7] == pytest.approx(begin - end)
    assert path_length(path.polyline(1e-8)) == pytest.approx(by_hand, abs=1e-6)


def test_over_a_box_and_between_two_by_hand() -> None:
    over = VisibilityGraph(HALL, np.array([[4.0, 0.0, 6.0, 6.0]]), 0.3).shortest(
        np.array([2.0, 2.0]), np.array([8.0, 2.0])
    )
    far = math.hypot(2, 4)
    turned = math.atan2(4, 2) + math.asin(0.3 / far)
    assert over is not None
    assert over.length == pytest.approx(2 * (math.sqrt(far**2 - 0.09) + 0.3 * turned) + 2, abs=1e-12)
    # Over the first box and under the second: by symmetry through the middle (5, 5), an inner tangent between circles.
    boxes = np.array([[2.0, 0.0, 3.0, 6.0], [7.0, 4.0, 8.0, 10.0]])
    both = VisibilityGraph(HALL, boxes, 0.3).shortest(np.array([1.0, 3.0]), np.array([9.0, 7.0]))
    first, apart = math.hypot(1, 3), math.hypot(4, 2)
    up = math.atan2(3, 1) + math.asin(0.3 / first)
    down = -math.atan2(2, 4) - math.asin(0.6 / apart)
    half = math.sqrt(first**2 - 0.09) + 0.3 * up + 1.0 - 0.3 * down
    assert both is not None
    assert both.length == pytest.approx(2 * half + math.sqrt(apart**2 - 0.36), abs=1e-12)


def test_a_goal_that_is_held_by_a_wall() -> None:
    """The target is 0.1 m from a wall, where no centre comes: the goal is a cap of its disc, entered at its border."""
    corner = 2.0 + math.sqrt(0.25 - 0.04)  # where the disc's border meets y = 0.3
    assert shortest_length(_hall([], [8.0, 0.4], [[2.0, 0.1]])) == pytest.approx(
        math.hypot(8.0 - corner, 0.1), abs=1e-9
    )
    assert shortest_length(_hall([], [8.0, 0.3], [[2.0, 0.1]])) == pytest.approx(8.0 - corner, abs=1e-9)
    steep = math.hypot(1.0, 4.0) - 0.5  # seen from above, the border is met above the wall's margin
    assert shortest_length(_hall([], [3.0, 4.1], [[2.0, 0.1]])) == pytest.approx(steep, abs=1e-9)
    beside = _hall([[3.0, 0.0, 10.0, 4.0]], [6.0, 4.3], [[3.2, 4.0]], goal_radius=0.4)  # and so along a box
    assert shortest_length(beside) == pytest.approx(6.0 - 3.2 - math.sqrt(0.16 - 0.09), abs=1e-9)


def test_passages_of_the_vehicle_s_width() -> None:
    gap = [[0.0, 4.0, 4.7, 6.0], [5.3, 4.0, 10.0, 6.0]]
    assert shortest_length(_hall(gap, [5.0, 1.0], [[5.0, 9.0]])) == pytest.approx(7.5)
    gap[1][0] -= 1e-3
    assert shortest_length(_hall(gap, [5.0, 1.0], [[5.0, 9.0]])) == math.inf
    assert run(
        SOLVERS.load("path-planning/visibility-graph"), PATH_PLANNING, _hall(gap, [5, 1], [[5, 9]]), Budget()
    ).status is (Status.INFEASIBLE)
    # Two boxes that touch are one: their common corner is none.
    whole = _hall([[4.0, 0.0, 6.0, 6.0]], [2, 2], [[8, 2]])
    parts = _hall([[4.0, 0.0, 5.0, 6.0], [5.0, 0.0, 6.0, 6.0]], [2, 2], [[8, 2]])
    assert shortest_length(parts) == pytest.approx(shortest_length(whole), abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_no_shorter_path_is_found_by_sampling(seed: int) -> None:
    """The exact path is feasible by the check's own geometry, and never longer than a path among sampled points."""
    instance = _random_hall(seed)
    sampled, path = _sampled(instance), shortest_path(instance)
    if path is None:
        assert sampled == math.inf
        return
    close = path.polyline(4e-7)
    PATH_PLANNING.check(instance, close)
    assert path_length(close) == pytest.approx(path.length, abs=1e-4)
    assert path.length <= sampled + 1e-9
    if math.isfinite(sampled):
        assert sampled <= path.length + 0.06


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_lengths_are_a_metric(seed: int) -> None:
    instance = _random_hall(seed)
    graph, a, rng = graph_of(instance), instance.start[:2], np.random.default_rng(seed + 1)
    b, c = rng.uniform(0.4, 9.6, (2, 2))
    assume(graph.is_clear(b, b) and graph.is_clear(c, c))

    def length(start: F64, end: F64) -> float:
        path = graph.shortest(start, end)
        return math.inf if path is None else path.length

    ab = length(a, b)
    assert length(b, a) == pytest.approx(ab, abs=1e-8)
    assert ab >= np.hypot(*(a - b)) - 1e-9
    assert ab <= length(a, c) + length(c, b) + 1e-8
    nearer = graph.shortest(a, b, 0.5)
    if math.isfinite(ab):
        assert nearer is not None
        assert nearer.length <= max(0.0, ab - 0.5) + 1e-8


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_a_polyline_as_goal_is_the_nearest_of_its_points(seed: int) -> None:
    instance = _random_hall(seed)
    graph, rng = graph_of(instance), np.random.default_rng(seed + 1)
    route = rng.uniform(0.5, 9.5, (3, 2))
    path = graph.shortest(instance.start, route, 0.5)
    places = np.vstack([a + (b - a) * np.linspace(0, 1, 60)[:, None] for a, b in pairwise(route)])
    found = [graph.shortest(instance.start, place, 0.5) for place in places]
    least = min((one.length for one in found if one is not None), default=math.inf)
    length = math.inf if path is None else path.length
    assert length <= least + 1e-8
    # Places are up to 0.08 m from the sampled ones; a goal behind a corner may be reached from few of them.
    assert math.isinf(length) or math.isinf(least) or length >= least - 0.5
    if path is not None:
        end = path.legs[-1, 2:4]
        assert min(np.hypot(*(np.vstack([places, route]) - end).T)) <= 0.5 + 0.04


def _brute_interception(instance: PathPlanningInstance, step: float, horizon: float) -> list[tuple[float, float]]:
    """(t, length to the goal disc of that time) of all multiples of ``step`` at which the vehicle can be there."""
    graph, found = graph_of(instance), []
    for t in np.arange(0.0, horizon, step).tolist():
        path = graph.shortest(instance.start, instance.target_at(t), instance.goal_radius)
        if path is not None and path.length <= instance.max_speed * t + 1e-9:
            found.append((t, path.length))
    return found


@pytest.mark.parametrize("name", ["simple-dynamic-s0", "simple-dynamic-s3", "complex-dynamic-s1"])
def test_interception_against_all_times(name: str) -> None:
    instance = load_path_planning(name)
    seconds, length = earliest_interception(instance)
    assert length == pytest.approx(seconds * instance.max_speed)
    brute = _brute_interception(instance, STEP, seconds + 6)
    assert seconds <= brute[0][0] + 1e-6
    assert seconds >= brute[0][0] - STEP
    # At the earliest time there is no time to spare; later, the target may be nearer.
    for horizon in (0.0, seconds + 2, seconds + 5.9):
        until = max(seconds, horizon)
        least = min(value for t, value in brute if t <= until + STEP)
        exact = shortest_length(instance, horizon)
        assert exact <= min([value for t, value in brute if t <= until], default=math.inf) + 1e-6
        assert exact >= least - instance.target_speed * STEP - 1e-6
    assert shortest_length(instance) <= shortest_length(instance, seconds + 5.9) + 1e-9


def test_a_target_that_comes_and_one_that_flees_by_hand() -> None:
    """In an empty hall along a line: closing speeds 1 + 0.5 and 1 - 0.5, 6 m less the goal's 0.5 m apart."""
    route = [[8.0, 5.0], [2.0, 5.0]]
    comes = _hall([], [2.0, 5.0], route, target_speed=0.5)
    assert earliest_interception(comes) == pytest.approx((5.5 / 1.5, 5.5 / 1.5), abs=1e-6)
    assert shortest_length(comes, horizon=6.0) == pytest.approx(2.5, abs=1e-6)  # it is at x = 5 by then
    assert shortest_length(comes) == 0.0  # wait for it
    flees = _hall([], [2.0, 5.0], [[4.0, 5.0], [9.5, 5.0]], target_speed=0.5)
    assert earliest_interception(flees) == pytest.approx((3.0, 3.0), abs=1e-6)
    assert shortest_length(flees, horizon=10.0) == pytest.approx(3.0, abs=1e-6)
    assert shortest_length(flees) == pytest.approx(1.5, abs=1e-6)  # it comes back


@pytest.mark.parametrize(
    "name", ["simple-static-s0", "simple-dynamic-s0", "complex-static-s0", "complex-dynamic-s0", "warehouse-s0"]
)
def test_the_solver_s_answer_is_checked(name: str) -> None:
    instance: PathPlanningInstance = load_path_planning(name)
    result = run(SOLVERS.load("path-planning/visibility-graph"), PROBLEMS.load("path-planning"), instance, Budget())
    assert result.cost is not None
    assert result.bound == shortest_length(instance)
    assert result.bound <= result.cost <= result.bound * 1.001
    assert result.status is (Status.FEASIBLE if instance.moves else Status.OPTIMAL)


def test_steps_keep_the_line() -> None:
    steps = steps_of(np.array([[0.0, 0.0], [0.6, 0.0], [0.6, 0.5]]), 0.2)
    np.testing.assert_allclose(steps[:4], [[0, 0], [0.2, 0], [0.4, 0], [0.6, 0]], atol=1e-12)
    np.testing.assert_allclose(np.diff(steps[3:, 1]), 0.5 / 3)
