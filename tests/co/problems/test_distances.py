"""Distances: TSPLIB's rounding rules by hand, planar positions, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optgap.co.core import InputError
from optgap.co.problems.distances import METRICS, NetworkInstance, random_coordinates


def network(*points, metric="euclidean"):
    return NetworkInstance(coordinates=points, metric=metric)


@pytest.mark.parametrize(
    ("metric", "a", "b", "expected"),
    [
        ("euclidean", (0, 0), (3, 4), 5.0),
        ("euclidean", (0, 0), (1, 1), math.sqrt(2)),
        ("euc_2d", (0, 0), (1, 1), 1),  # 1.41
        ("euc_2d", (0, 0), (1.5, 0), 2),  # halves go up
        ("euc_2d", (-2.5, 0), (0, 0), 3),
        ("ceil_2d", (0, 0), (1, 1), 2),
        ("ceil_2d", (0, 0), (3, 4), 5),
        ("man_2d", (0, 0), (1.2, -1.2), 2),  # 2.4: rounded after the sum
        ("max_2d", (0, 0), (1.4, -2.6), 3),
        ("att", (0, 0), (10, 0), 4),  # sqrt(10) = 3.16, rounded to 3, which is less: 4
        ("att", (0, 0), (1, 3), 1),  # exactly 1
        ("att", (0, 0), (8, 4), 3),  # sqrt(8) = 2.83, rounded to 3
        ("geo", (0, 0), (0, 90), 10020),  # 6378.388 x 3.141592 / 2 = 10019.15, plus 1, cut off
        ("geo", (0, 0), (0.30, 0), 56),  # 30 minutes are half a degree: 55.66, plus 1, cut off
        ("geo", (-0.15, 0), (0.15, 0), 56),  # minutes of a negative degree count downwards
        ("geo", (89.30, 0), (89.30, 180), 112),  # over the pole: one degree, 111.32
    ],
)
def test_a_distance_by_hand(metric, a, b, expected):
    instance = network(a, b, metric=metric)
    assert instance.distance(0, 1) == instance.distance(1, 0) == pytest.approx(expected, rel=1e-15)
    assert instance.distance(0, 0) == 0
    assert instance.distances.tolist() == [[0, instance.distance(0, 1)], [instance.distance(0, 1), 0]]


def test_two_nodes_in_one_place():
    places = [(10.3, 20), (10.3, 20)]
    assert {metric: float(network(*places, metric=metric).distance(0, 1)) for metric in METRICS} == {
        "euclidean": 0, "euc_2d": 0, "ceil_2d": 0, "man_2d": 0, "max_2d": 0, "att": 0, "geo": 1
    }  # fmt: skip


POINTS = arrays(np.float64, st.tuples(st.integers(1, 8), st.just(2)), elements=st.floats(-180, 180, width=32))


@given(points=POINTS, metric=st.sampled_from(sorted(METRICS)))
def test_the_matrix_is_symmetric_with_a_zero_diagonal_and_agrees_with_single_distances(points, metric):
    instance = NetworkInstance(coordinates=points, metric=metric)
    table = instance.distances
    assert np.array_equal(table, table.T)
    assert not table.diagonal().any()
    assert (table >= 0).all()
    nodes = np.arange(len(points))
    assert np.array_equal(instance.distance(nodes[:, None], nodes), table)
    assert instance.length(nodes) == pytest.approx(sum(table[i, i + 1] for i in nodes[:-1]))


@given(points=POINTS)
def test_positions_of_a_euclidean_matrix_keep_its_distances(points):
    table = NetworkInstance(coordinates=points).distances
    places = NetworkInstance(matrix=table, metric="explicit").positions
    assert places.shape == points.shape
    assert not places.flags.writeable
    assert np.allclose(NetworkInstance(coordinates=places).distances, table, atol=1e-4)


def test_positions_of_an_asymmetric_matrix_are_those_of_its_mean():
    matrix = np.array([[0, 2, 4], [4, 0, 5], [4, 5, 0]])
    places = NetworkInstance(matrix=matrix, metric="explicit").positions
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(3)
    assert np.linalg.norm(places[1] - places[2]) == pytest.approx(5)
    assert np.array_equal(places, NetworkInstance(matrix=matrix.copy(), metric="explicit").positions)


def test_positions_of_the_sphere_are_degrees_with_the_longitude_shrunk():
    places = network((59.30, 10.15), (60.30, 11.45), metric="geo").positions
    shrink = math.cos(math.radians(60))
    assert places == pytest.approx(np.array([[10.25 * shrink, 59.5], [11.75 * shrink, 60.5]]))


def test_positions_are_the_coordinates_where_there_are_some():
    matrix = [[0, 9], [9, 0]]
    instance = NetworkInstance(matrix=matrix, metric="explicit", coordinates=[(0, 1), (2, 3)])
    assert instance.positions.tolist() == [[0, 1], [2, 3]]
    assert instance.distance(0, 1) == 9


def test_the_diagonal_of_a_matrix_means_nothing_and_the_caller_keeps_its_array():
    matrix = np.array([[9999.0, 1.0], [2.0, -1.0]])
    instance = NetworkInstance(matrix=matrix, metric="explicit")
    assert instance.distances.tolist() == [[0, 1], [2, 0]]
    assert matrix[0, 0] == 9999
    assert matrix.flags.writeable
    assert not instance.distances.flags.writeable
    assert not instance.is_symmetric


def test_no_matrix_for_many_nodes():
    instance = NetworkInstance(name="big", coordinates=np.zeros((20_001, 2)))
    with pytest.raises(InputError, match="instance big: 20001 nodes; a matrix of distances holds at most 20000"):
        _ = instance.distances


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({}, "neither coordinates nor a matrix"),
        ({"coordinates": [(0, 0)], "metric": "great-circle"}, "metric 'great-circle'; expected explicit or one of euc"),
        ({"coordinates": [(0, 0)], "metric": "explicit"}, "metric 'explicit'; expected a matrix with 'explicit'"),
        ({"matrix": [[0]]}, "metric 'euclidean'; expected a matrix with 'explicit', and none otherwise"),
        ({"coordinates": [0, 0]}, "coordinates of shape (2,); expected (nodes, 2)"),
        ({"coordinates": [(0, 0, 0)]}, "coordinates of shape (1, 3); expected (nodes, 2)"),
        ({"coordinates": np.zeros((0, 2))}, "0 nodes; expected at least 1"),
        ({"coordinates": [(0, 0), (math.nan, 0)]}, "coordinates[1, 0] is nan; expected a finite number"),
        ({"coordinates": [(0, 0), (0, 1e200)]}, "coordinates[1, 1] is 1e+200; expected a finite number up to 1e+15"),
        ({"coordinates": "somewhere"}, "coordinates is no array of numbers"),
        ({"matrix": [[0, 1]], "metric": "explicit"}, "matrix of shape (1, 2); expected (nodes, nodes)"),
        ({"matrix": [[0, -1], [1, 0]], "metric": "explicit"}, "distance -1 from node 0 to 1; expected at least 0"),
        ({"matrix": [[0]], "coordinates": [(0, 0)] * 2, "metric": "explicit"}, "2 coordinates and 1 rows of distances"),
    ],
)
def test_what_is_refused(given_, said):
    with pytest.raises(InputError) as raised:
        NetworkInstance(name="n", **given_)
    assert str(raised.value).startswith("instance n: ")
    assert said in str(raised.value)


@pytest.mark.parametrize("distribution", ["uniform", "clustered"])
def test_random_coordinates_are_in_the_unit_square_and_repeat_with_the_seed(distribution):
    drawn = random_coordinates([np.random.default_rng(3)], 500, distribution)[0]
    assert drawn.shape == (500, 2)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert np.array_equal(drawn, random_coordinates([np.random.default_rng(3)], 500, distribution)[0])


def test_clusters_are_denser_than_a_uniform_square():
    def nearest(distribution):
        table = NetworkInstance(
            coordinates=random_coordinates([np.random.default_rng(0)], 300, distribution)[0]
        ).distances
        return np.sort(table, axis=1)[:, 1].mean()

    assert nearest("clustered") < 0.6 * nearest("uniform")


@pytest.mark.parametrize(("nodes", "distribution"), [(0, "uniform"), (5, "spiral")])
def test_random_coordinates_refuse_nonsense(nodes, distribution):
    with pytest.raises(InputError, match="expected"):
        random_coordinates([np.random.default_rng(0)], nodes, distribution)
