"""Neighbour lists and constructions against slow definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optgap.co.heuristics import tour_construction
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.tour_space import METRICS, Plane, distance, length_of, space_of
from optgap.co.problems.distances import METRICS as ALL_METRICS
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSP_PROBLEM, tour_length


def plane_of(monkeypatch, instance):
    monkeypatch.setattr("optgap.co.heuristics.tour_space.LARGEST_TABLE", 0)
    space = space_of(instance)
    assert isinstance(space, Plane)
    return space


def coordinates(metric, n=150, seed=0):
    points = np.random.default_rng(seed).random((n, 2)) * (60 if metric == "geo" else 1000)
    points[10:40] = points[10]  # more duplicates than the lists are long
    return np.round(points, 2)


def test_a_plane_knows_every_metric():
    assert set(METRICS) == set(ALL_METRICS)
    with pytest.raises(NotImplementedError):
        distance(np.zeros((1, 1)), 0, 0)  # for compiled code alone


@pytest.mark.parametrize("metric", METRICS)
def test_a_plane_measures_what_the_instance_measures(monkeypatch, metric):
    instance = NetworkInstance(coordinates=coordinates(metric), metric=metric)
    space = plane_of(monkeypatch, instance)
    for seed in range(5):
        tour = np.random.default_rng(seed).permutation(150).astype(np.int32)
        assert length_of(space, tour) == pytest.approx(tour_length(instance, tour), rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_tree_finds_the_nearest(monkeypatch, metric):
    instance = NetworkInstance(coordinates=coordinates(metric), metric=metric)
    D = instance.distances
    near, gap = neighbour_lists(plane_of(monkeypatch, instance), 9)
    nodes = np.arange(150)
    assert (gap == D[nodes[:, None], near]).all()
    assert (np.diff(gap, axis=1) >= 0).all()
    assert all(len({a, *row}) == 10 for a, row in enumerate(near.tolist()))
    if metric != "geo":  # there the lists are those of a flat map
        assert (gap == np.sort(D + np.diag(np.full(150, np.inf)), axis=1)[:, :9]).all()


def test_lists_of_a_matrix_are_successors():
    matrix = np.random.default_rng(0).random((30, 30))
    near, gap = neighbour_lists(matrix, 40)
    assert near.shape == (30, 29)
    assert (gap == np.sort(matrix + np.diag(np.full(30, np.inf)), axis=1)[:, :29]).all()
    assert neighbour_lists(matrix[:1, :1].copy(), 8)[0].shape == (1, 0)


@pytest.mark.parametrize("k", [0, 3, 8])
def test_nearest_neighbour_goes_to_the_nearest_node_left(k):
    matrix = np.random.default_rng(k).random((60, 60))
    near, _ = neighbour_lists(matrix, k)
    tour = tour_construction.nearest_neighbour(matrix, near, 5).tolist()
    expected, left = [5], set(range(60)) - {5}
    while left:
        expected.append(min(left, key=lambda node: matrix[expected[-1], node]))
        left.remove(expected[-1])
    assert tour == expected


def inserted(matrix, tour, node):
    """The tour with the node at its cheapest place."""
    extra = [matrix[a, node] + matrix[node, b] - matrix[a, b] for a, b in zip(tour, tour[1:] + tour[:1], strict=True)]
    at = int(np.argmin(extra)) + 1
    return [*tour[:at], node, *tour[at:]]


def begun(matrix, a, b):
    n = len(matrix)
    following, onward = np.empty(n, np.int32), np.empty(n)
    tour_construction.begin_insertion(matrix, a, b, following, onward)
    return following, onward


def from_zero(tour):
    at = list(tour).index(0)
    return [*tour[at:], *tour[:at]]


@pytest.mark.parametrize("seed", range(4))
def test_insertion_takes_the_cheapest_place(seed):
    rng = np.random.default_rng(seed)
    matrix, order = rng.random((40, 40)), rng.permutation(40).astype(np.int32)
    following, onward = begun(matrix, order[0], order[1])
    tour_construction.insert_in_order(matrix, order[2:], following, onward)
    tour = np.empty(40, np.int32)
    tour_construction.follow(following, 0, tour)
    expected = order[:2].tolist()
    for node in order[2:].tolist():
        expected = inserted(matrix, expected, node)
    assert tour.tolist() == from_zero(expected)
    assert onward.sum() == pytest.approx(length_of(matrix, tour))


@pytest.mark.parametrize("seed", range(4))
def test_farthest_insertion_takes_the_node_farthest_from_the_tour(seed):
    matrix = np.random.default_rng(seed).random((40, 40))
    following, onward = begun(matrix, 3, 7)
    away = np.minimum(matrix[3], matrix[7])
    away[[3, 7]] = -1.0
    tour_construction.insert_farthest(matrix, 20, following, onward, away)  # two calls continue one another
    tour_construction.insert_farthest(matrix, 18, following, onward, away)
    tour = np.empty(40, np.int32)
    tour_construction.follow(following, 0, tour)
    expected = [3, 7]
    while len(expected) < 40:
        node = max(set(range(40)) - set(expected), key=lambda k: min(matrix[i, k] for i in expected))
        expected = inserted(matrix, expected, node)
    assert tour.tolist() == from_zero(expected)


@pytest.mark.parametrize("seed", range(6))
def test_the_assignment_is_cheapest_and_its_prices_prove_it(seed):
    rng = np.random.default_rng(seed)
    n = 7
    matrix = np.round(rng.random((n, n)), seed % 3 + 1)  # ties too
    row_of, u, v = np.full(n, -1, np.int32), np.zeros(n), np.zeros(n)
    tour_construction.assign_rows(matrix, np.arange(4, dtype=np.int32), row_of, u, v)  # two calls continue one another
    tour_construction.assign_rows(matrix, np.arange(4, n, dtype=np.int32), row_of, u, v)
    following = tour_construction.successors(row_of)
    best = min(
        sum(matrix[i, to] for i, to in enumerate(p))
        for p in itertools.permutations(range(n))
        if all(i != to for i, to in enumerate(p))
    )
    assert sorted(following) == list(range(n))
    assert (following != np.arange(n)).all()
    assert u.sum() + v.sum() == pytest.approx(best)
    assert matrix[np.arange(n), following].sum() == pytest.approx(best)
    reduced = matrix - u[:, None] - v[None]
    assert (reduced + np.eye(n) * 9 >= -1e-12).all()


def test_patching_joins_cycles_by_the_cheapest_exchange():
    matrix = np.full((6, 6), 9.0)
    for a, b in ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)):
        matrix[a, b] = 1.0
    matrix[1, 2], matrix[3, 0] = 2.0, 2.0  # join the first two cycles for 2
    matrix[3, 4], matrix[5, 0] = 3.0, 3.0  # and then the third for 3
    following = np.array([1, 0, 3, 2, 5, 4], np.int32)
    assert tour_construction.patch(matrix, following) == 3
    assert following.tolist() == [1, 2, 3, 4, 5, 0]
    assert tour_construction.patched_tours(matrix[None])[0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_patched_tours_are_tours(n):
    rng = np.random.default_rng(n)
    matrices = np.stack([ATSP_PROBLEM.generate(rng, nodes=n).distances for _ in range(3)])
    for tour in tour_construction.patched_tours(matrices):
        assert sorted(tour) == list(range(n))
