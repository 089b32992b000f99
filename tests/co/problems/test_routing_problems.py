"""TSP, ATSP, CVRP, OP: feasibility and cost against definitions written again, every way to be infeasible, generators."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance, join_routes, split_routes
from optgap.co.problems.distances import row
from optgap.co.problems.knapsack import KNAPSACK
from optgap.co.problems.orienteering import ORIENTEERING, OrienteeringInstance
from optgap.co.problems.tsp import ATSP_PROBLEM, TSP_PROBLEM, ATSPInstance, TSPInstance

SQUARE = [(0, 0), (0, 3), (4, 3), (4, 0)]
SEEDS = st.integers(0, 2**32)


def tsp(points=SQUARE, **more):
    return TSPInstance(name="t", coordinates=points, **more)


def cvrp(demand=(0, 2, 3, 4), capacity=5, **more):
    return CVRPInstance(name="c", coordinates=SQUARE, demand=demand, capacity=capacity, **more)


def op(limit=12.0, start=0, end=0, prize=(0, 1, 2, 4)):
    return OrienteeringInstance(name="o", coordinates=SQUARE, prize=prize, limit=limit, start=start, end=end)


# TSP and ATSP


def test_tours_around_a_square():
    assert TSP_PROBLEM.cost(tsp(), [0, 1, 2, 3]) == 14
    assert TSP_PROBLEM.cost(tsp(), [0, 2, 1, 3]) == 5 + 4 + 5 + 4
    assert TSP_PROBLEM.cost(tsp([(0, 0), (3, 4)]), [1, 0]) == 10
    assert TSP_PROBLEM.cost(tsp([(7, 7)]), [0]) == 0


def test_an_asymmetric_tour_is_measured_in_its_direction():
    instance = ATSPInstance(matrix=[[0, 1, 10], [10, 0, 1], [1, 10, 0]], metric="explicit")
    assert ATSP_PROBLEM.cost(instance, np.array([0, 1, 2])) == 3
    assert ATSP_PROBLEM.cost(instance, np.array([0, 2, 1])) == 30


@given(seed=SEEDS, nodes=st.integers(1, 7))
def test_a_tour_costs_the_sum_of_its_edges(seed, nodes):
    rng = np.random.default_rng(seed)
    for problem in (TSP_PROBLEM, ATSP_PROBLEM):
        instance = problem.generate(rng, nodes=nodes)
        tour = rng.permutation(nodes)
        problem.check(instance, tour)
        expected = math.fsum(instance.distances[a, b] for a, b in itertools.pairwise([*tour, tour[0]]))
        assert problem.cost(instance, tour) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tour", "said"),
    [
        ([0, 1, 2], "t: tour of shape (3,), dtype int64; expected (4,) integers"),
        ([0.0, 1.0, 2.0, 3.0], "dtype float64; expected (4,) integers"),
        ([[0, 1, 2, 3]], "tour of shape (1, 4)"),
        ([0, 1, 2, 4], "t: tour: node 4 at position 3; expected 0..3"),
        ([0, -1, 2, 3], "node -1 at position 1; expected 0..3"),
        ([0, 1, 2, 1], "t: tour: node 1 is visited 2 times, 3 never"),
        (np.array([0, 1, 2, 1], np.uint64), "node 1 is visited 2 times, 3 never"),
        (None, "dtype object; expected (4,) integers"),
    ],
)
def test_what_is_no_tour(tour, said):
    with pytest.raises(InfeasibleError) as raised:
        TSP_PROBLEM.check(tsp(), tour)
    assert said in str(raised.value)
    with pytest.raises(InfeasibleError):
        ATSP_PROBLEM.check(ATSPInstance(matrix=np.ones((4, 4)), metric="explicit"), tour)


def test_an_asymmetric_matrix_is_no_tsp():
    with pytest.raises(InputError, match="1 from node 0 to 1 but 2 back; expected a symmetric matrix"):
        TSPInstance(matrix=[[0, 1], [2, 0]], metric="explicit")
    with pytest.raises(InputError, match="expected an explicit matrix"):
        ATSPInstance(coordinates=SQUARE)


@given(seed=SEEDS)
def test_no_detour_is_shorter_in_a_random_atsp(seed):
    matrix = ATSP_PROBLEM.generate(np.random.default_rng(seed), nodes=9).distances
    assert (matrix[:, :, None] + matrix[None] >= matrix[:, None, :] - 1e-12).all()
    assert not np.array_equal(matrix, matrix.T)


# CVRP


def test_routes_of_a_square():
    # 0-1-0 is 3 + 3, 0-2-0 is 5 + 5, 0-3-0 is 4 + 4, 0-1-2-0 is 3 + 4 + 5
    for solution in ([1, 2, 0, 3], [0, 1, 2, 0, 3, 0], [0, 0, 3, 0, 0, 2, 1]):
        CVRP_PROBLEM.check(cvrp(), solution)
        assert CVRP_PROBLEM.cost(cvrp(), solution) == 12 + 8
    assert CVRP_PROBLEM.cost(cvrp(), [1, 0, 2, 0, 3]) == 6 + 10 + 8


def test_routes_are_split_and_joined():
    assert [route.tolist() for route in split_routes([0, 3, 1, 0, 0, 2])] == [[3, 1], [2]]
    assert join_routes([[3, 1], [2]]).tolist() == [0, 3, 1, 0, 2, 0]
    assert split_routes([0, 0]) == []


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([1, 2, 3], "c: route 1 carries 9; expected at most 5"),
        ([1, 0, 2, 3], "c: route 2 carries 7; expected at most 5"),
        ([1, 0, 3], "c: customer 2 is served 0 times; expected once"),
        ([1, 0, 3, 0, 2, 0, 3], "c: customer 3 is served 2 times; expected once"),
        ([1, 4], "c: node 4 at position 1; expected 0..3"),
        ([1, -2], "c: node -2 at position 1; expected 0..3"),
        ([[1, 2], [3, 0]], "routes of shape (2, 2)"),
        ([1.0, 2.0, 0.0, 3.0], "dtype float64; expected one row of integers"),
        ([], "expected one row of integers"),
    ],
)
def test_what_are_no_routes(routes, said):
    with pytest.raises(InfeasibleError) as raised:
        CVRP_PROBLEM.check(cvrp(), routes)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"demand": [0, 2, 3, 6]}, "demand of node 3 is 6; expected 0 to the capacity 5"),
        ({"demand": [0, 2, 3, -1]}, "demand of node 3 is -1; expected 0 to the capacity 5"),
        ({"demand": [1, 2, 3, 4]}, "the depot, node 0, has demand 1; expected 0"),
        ({"demand": [0, 2, 3]}, "4 nodes and demands of shape (3,)"),
        ({"demand": [0, 2, 3, math.nan]}, "demand[3] is nan; expected a finite number"),
        ({"capacity": 0}, "capacity is 0; expected a number above 0"),
        ({"capacity": math.inf}, "capacity is inf; expected a number above 0"),
    ],
)
def test_what_is_no_cvrp(change, said):
    with pytest.raises(InputError) as raised:
        cvrp(**change)
    assert said in str(raised.value)


def test_one_customer_is_served_there_and_back():
    instance = CVRPInstance(coordinates=[(0, 0), (3, 4)], demand=[0, 1], capacity=1)
    CVRP_PROBLEM.check(instance, [1])
    assert CVRP_PROBLEM.cost(instance, [1]) == 10


# OP


def test_paths_through_a_square():
    tour = np.array([0, 3, 2, 0])  # 4 + 3 + 5
    ORIENTEERING.check(op(), tour)
    assert ORIENTEERING.cost(op(), tour) == 6
    ORIENTEERING.check(op(limit=14), [0, 1, 2, 3, 0])
    assert ORIENTEERING.cost(op(limit=14), [0, 1, 2, 3, 0]) == 7
    path = op(limit=7, start=1, end=3, prize=[5, 1, 2, 4])
    ORIENTEERING.check(path, [1, 2, 3])
    assert ORIENTEERING.cost(path, [1, 2, 3]) == 7
    assert ORIENTEERING.cost(path, [1, 0, 3]) == 10


def test_staying_at_home_is_a_tour():
    for solution in ([0], [0, 0]):
        ORIENTEERING.check(op(), solution)
        assert ORIENTEERING.cost(op(prize=[3, 1, 1, 1]), solution) == 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ([0, 1, 2, 3, 0], "o: path of length 14; expected at most 12"),
        ([1, 0], "o: path from 1 to 0; expected 0 to 0"),
        ([0, 1], "o: path from 0 to 1; expected 0 to 0"),
        ([0, 1, 1, 0], "o: node 1 is visited 2 times"),
        ([0, 1, 0, 3, 0], "o: node 0 is visited 2 times"),
        ([0, 4, 0], "o: node 4 at position 1; expected 0..3"),
        ([0, -1, 0], "o: node -1 at position 1; expected 0..3"),
        ([], "path of shape (0,)"),
        ([[0, 0]], "path of shape (1, 2)"),
        ([0.0, 0.0], "dtype float64; expected one row of integers"),
    ],
)
def test_what_is_no_path(path, said):
    with pytest.raises(InfeasibleError) as raised:
        ORIENTEERING.check(op(), path)
    assert said in str(raised.value)


def test_a_path_does_not_return():
    with pytest.raises(InfeasibleError, match="node 1 is visited 2 times"):
        ORIENTEERING.check(op(limit=14, start=1, end=3), [1, 0, 1, 3])
    with pytest.raises(InfeasibleError, match="path from 1 to 1; expected 1 to 3"):
        ORIENTEERING.check(op(start=1, end=3), [1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limit": 5.9}, "limit 5.9: the nearest node costs 6; expected one in reach"),
        ({"limit": 4.9, "end": 2}, "limit 4.9: the end is 5 away; expected it in reach"),
        ({"limit": 0}, "limit is 0; expected a number above 0"),
        ({"limit": math.nan}, "limit is nan; expected a number above 0"),
        ({"prize": [0, 1, -2, 4]}, "prize of node 2 is -2; expected at least 0"),
        ({"prize": [0, 1]}, "4 nodes and prizes of shape (2,)"),
        ({"start": 4}, "start 4, end 0; expected nodes 0..3"),
    ],
)
def test_what_is_no_orienteering(change, said):
    with pytest.raises(InputError) as raised:
        op(**change)
    assert said in str(raised.value)


# generators


@given(seed=SEEDS, distribution=st.sampled_from(["uniform", "clustered"]))
def test_random_instances_are_those_of_the_literature(seed, distribution):
    more = {"distribution": distribution}
    rng = np.random.default_rng
    assert TSP_PROBLEM.generate(rng(seed), nodes=5, **more).n_nodes == 5
    routes = CVRP_PROBLEM.generate(rng(seed), customers=50, **more)
    assert (routes.n_nodes, routes.n_customers, routes.capacity) == (51, 50, 40)
    assert set(routes.demand[1:]) <= set(range(1, 10))
    prizes = ORIENTEERING.generate(rng(seed), nodes=50, **more)
    far = prizes.distance(0, np.arange(50))
    assert prizes.limit == 3
    assert prizes.prize[np.argmax(far)] == 1
    assert prizes.prize[0] == 0
    assert (prizes.prize[1:] >= 0.01).all()
    again = ORIENTEERING.generate(rng(seed), nodes=50, **more)
    assert np.array_equal(prizes.coordinates, again.coordinates)


@pytest.mark.parametrize(
    ("problem", "more"),
    [
        (TSP_PROBLEM, {"nodes": 7}),
        (TSP_PROBLEM, {"nodes": 7, "distribution": "clustered"}),
        (ATSP_PROBLEM, {"nodes": 7}),
        (CVRP_PROBLEM, {"customers": 7}),
        (CVRP_PROBLEM, {"customers": 7, "capacity": 20, "distribution": "clustered"}),
        (ORIENTEERING, {"nodes": 4}),  # so few that a limit is lifted now and then
        (ORIENTEERING, {"nodes": 7, "prize": "uniform", "limit": 3}),
        (ORIENTEERING, {"nodes": 7, "prize": "constant", "distribution": "clustered"}),
        (KNAPSACK, {"items": 7}),
        (KNAPSACK, {"items": 7, "capacity": 3}),
    ],
)
def test_many_are_drawn_as_one_is(problem, more):
    ours, theirs = ([np.random.default_rng(seed) for seed in range(30)] for _ in range(2))
    fields = problem.draw(ours, **more)
    for b, rng in enumerate(theirs):
        one = problem.generate(rng, **more)
        for name, value in row(fields, b).items():
            np.testing.assert_array_equal(getattr(one, name), value)
        assert ours[b].random() == rng.random()  # and the generator stands where it stood


def test_one_refused_instance_refuses_the_batch():
    drawn = [ORIENTEERING.draw([np.random.default_rng(s)], nodes=3, limit=9)["coordinates"][0] for s in range(40)]
    reach = [2 * float(np.hypot(*(points[1:] - points[0]).T).min()) for points in drawn]
    far = int(np.argmax(reach))
    others = [np.random.default_rng(s) for s in range(40) if s != far]
    limit = (sorted(reach)[-1] + sorted(reach)[-2]) / 2  # all but one can reach a node
    assert len(ORIENTEERING.draw(others, nodes=3, limit=limit)["prize"]) == 39
    with pytest.raises(InputError, match="the nearest node costs"):
        ORIENTEERING.draw([np.random.default_rng(s) for s in range(40)], nodes=3, limit=limit)


@pytest.mark.parametrize(
    ("problem", "arguments", "said"),
    [
        (TSP_PROBLEM, {"nodes": 0}, "nodes is 0; expected at least 1"),
        (ATSP_PROBLEM, {"nodes": 0}, "nodes is 0; expected at least 1"),
        (CVRP_PROBLEM, {"customers": 0}, "customers is 0; expected at least 1"),
        (CVRP_PROBLEM, {"capacity": 8}, "capacity is 8; expected at least 9"),
        (CVRP_PROBLEM, {"capacity": np.inf}, "capacity is inf"),
        (KNAPSACK, {"capacity": np.nan}, "capacity is nan"),
        (ORIENTEERING, {"limit": np.inf}, "limit is inf"),
        (ORIENTEERING, {"nodes": 1}, "nodes is 1; expected at least 2"),
        (ORIENTEERING, {"prize": "gold"}, "prize is 'gold'; expected constant, uniform or distance"),
    ],
)
def test_generators_refuse_nonsense(problem, arguments, said):
    with pytest.raises(InputError, match=said):
        problem.generate(np.random.default_rng(0), **arguments)


def test_other_prizes_and_a_small_instance_whose_limit_is_lifted():
    rng = np.random.default_rng(1)
    assert set(ORIENTEERING.generate(rng, nodes=20, prize="constant").prize[1:]) == {1}
    uniform = ORIENTEERING.generate(rng, nodes=100, prize="uniform")
    assert ((uniform.prize[1:] * 100 % 1).round(9) % 1 == 0).all()
    assert uniform.limit == 4
    assert ORIENTEERING.generate(rng, nodes=20, limit=2.5).limit == 2.5
    for seed in range(50):  # two nodes, far apart: the limit reaches the other one
        pair = ORIENTEERING.generate(np.random.default_rng(seed), nodes=2)
        ORIENTEERING.check(pair, [0, 1, 0])
