"""The kernels against the problems' own distances, and against episodes computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.dynamics.knapsack import kp_choose, kp_reset
from optgap.co.dynamics.network import CODES, Network, edge, empty_network, put_network
from optgap.co.dynamics.routing import (
    SLACK,
    Loads,
    Prizes,
    cvrp_reset,
    cvrp_visit,
    empty_state,
    first_forbidden,
    fitting,
    op_reset,
    op_visit,
    tsp_reset,
    tsp_visit,
)
from optgap.co.problems.distances import METRICS, NetworkInstance

SQUARE = np.array([[0, 0], [3, 0], [3, 4], [0, 4]], np.float64)


def network_of(*instances: NetworkInstance) -> Network:
    network = empty_network(len(instances), max(instance.n_nodes for instance in instances))
    for b, instance in enumerate(instances):
        network = put_network(network, b, instance)
    return network


def euclidean(points: Any) -> NetworkInstance:
    return NetworkInstance(coordinates=points)


def test_every_metric_is_compiled() -> None:
    assert set(CODES) == {"explicit", *METRICS}


@pytest.mark.parametrize("metric", METRICS)
@given(points=st.lists(st.tuples(st.floats(-89, 89), st.floats(-179, 179)), min_size=2, max_size=6))
def test_distances_are_those_of_the_instance(metric: str, points: list[tuple[float, float]]) -> None:
    instance = NetworkInstance(coordinates=np.array([*points, points[0]]), metric=metric)
    network = network_of(instance)
    n = instance.n_nodes
    found = [[edge(network, 0, i, j) for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(found, instance.distances, rtol=1e-15)


def test_a_matrix_joins_coordinates_in_one_batch() -> None:
    matrix = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], np.float64)
    explicit = NetworkInstance(matrix=matrix, metric="explicit")
    assert network_of(euclidean(SQUARE)).matrix.size == 0  # no memory of N x N
    network = network_of(euclidean(SQUARE), explicit, euclidean(2 * SQUARE))
    assert [edge(network, b, 0, 2) for b in range(3)] == [5, 2, 10]
    assert edge(network, 1, 2, 1) == 6
    network = put_network(network, 1, euclidean(3 * SQUARE))  # and a copy changes from one kind to the other
    assert edge(network, 1, 0, 2) == 15


def test_forbidden_actions_are_found_outside_the_skipped_copies() -> None:
    mask = np.array([[1, 0], [0, 1], [0, 0]], np.int8)
    skip = np.array([False, False, True])
    for action, bad in ([0, 1, 7], -1), ([1, 1, 0], 0), ([0, 0, 0], 1), ([0, 2, 0], 1), ([-1, 1, 0], 0):
        assert first_forbidden(mask, np.array(action), skip) == bad


@given(data=st.data())
def test_what_fits_is_what_is_left_and_fits(data: Any) -> None:
    sizes = np.array(data.draw(st.lists(st.floats(0, 10), min_size=1, max_size=9)))
    n = len(sizes)
    loads = Loads(sizes[None], sizes.max(keepdims=True), np.array([data.draw(st.floats(0, 50))]))
    state = empty_state(1, n, n, n)
    state.load[0] = data.draw(st.floats(0, 50))
    state.left[0] = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    expected = state.left[0] & (state.load[0] + sizes <= loads.capacity[0] * SLACK)
    assert fitting(loads, state, 0) == expected.sum()
    assert state.mask[0].tolist() == expected.tolist()


def test_a_tour_by_hand() -> None:
    network, state = network_of(euclidean(SQUARE)), empty_state(1, 4, 4, 4)
    tsp_reset(network, state, 0)
    assert state.mask[0].tolist() == [0, 1, 1, 1]
    assert [tsp_visit(network, state, 0, j) for j in (2, 1, 3)] == [5, 4, 5 + 4]
    assert (state.order[0].tolist(), state.length[0], state.n_left[0]) == ([0, 2, 1, 3], 18, 0)
    assert not state.mask.any()


def test_routes_by_hand() -> None:
    network, state = network_of(euclidean(SQUARE)), empty_state(1, 4, 8, 8)
    loads = Loads(np.array([[0.0, 2.0, 3.0, 1.0]]), np.array([3.0]), np.array([4.0]))
    cvrp_reset(network, loads, state, 0)
    assert state.mask[0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]
    assert cvrp_visit(network, loads, state, 0, 2, False) == 5
    assert state.mask[0].tolist() == [
        0,
        0,
        0,
        1,
        0,
        1,
        0,
        1,
    ]  # 1 is left in the vehicle: node 3, or by way of the depot
    assert cvrp_visit(network, loads, state, 0, 1, True) == 5 + 3
    assert state.load[0] == 2
    assert cvrp_visit(network, loads, state, 0, 3, False) == 5 + 4
    assert (state.order[0, : state.entries[0]].tolist(), state.length[0]) == ([0, 2, 0, 1, 3, 0], 22)
    assert not state.mask.any()


def test_prizes_by_hand() -> None:
    network, state = network_of(euclidean(SQUARE)), empty_state(1, 4, 4, 5)
    prizes = Prizes(
        prize=np.array([[1.0, 5.0, 7.0, 2.0]]),
        home=np.array([[4.0, 5.0, 3.0, 0.0]]),  # to node 3
        limit=np.array([9.9]),
        start=np.array([0]),
        end=np.array([3]),
    )
    op_reset(network, prizes, state, 0)
    assert state.mask[0].tolist() == [0, 1, 1, 0]  # 3 + 5 and 5 + 3
    assert op_visit(network, prizes, state, 0, 2) == 7 + 1 + 2  # with start and end: node 1 is out of reach, 5 + 4 + 5
    assert (state.order[0, : state.entries[0]].tolist(), state.length[0]) == ([0, 2, 3], 8)
    prizes.limit[0] = 10.0
    op_reset(network, prizes, state, 0)
    assert op_visit(network, prizes, state, 0, 1) == 5 + 1
    assert state.mask[0].tolist() == [0, 0, 1, 0]  # 3 + 4 + 3 is the limit
    assert op_visit(network, prizes, state, 0, 2) == 7 + 2
    assert (state.order[0, : state.entries[0]].tolist(), state.length[0], state.gain[0]) == ([0, 1, 2, 3], 10, 15)
    assert not state.mask.any()


def test_items_by_hand() -> None:
    state = empty_state(1, 4, 4, 4)
    loads, value = (
        Loads(np.array([[2.0, 3.0, 6.0, 0.0]]), np.array([6.0]), np.array([5.0])),
        np.array([[7.0, 1.0, 9.0, 0.0]]),
    )
    kp_reset(np.array([3]), loads, state, 0)
    assert state.mask[0].tolist() == [1, 1, 0, 0]  # item 2 is too heavy, 3 is padding
    assert kp_choose(loads, value, state, 0, 1) == 1
    assert state.mask[0].tolist() == [1, 0, 0, 0]
    assert kp_choose(loads, value, state, 0, 0) == 7
    assert (state.order[0, : state.entries[0]].tolist(), state.load[0], state.gain[0]) == ([1, 0], 5, 8)
    assert not state.mask.any()
