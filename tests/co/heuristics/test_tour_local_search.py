"""The local searches against slow definitions: exact differences, complete neighbourhoods, optima by enumeration."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.heuristics import asymmetric_local_search, tour_local_search
from optgap.co.heuristics.asymmetric_local_search import improve_asymmetric_tours
from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.tour_local_search import improve_tours
from optgap.co.heuristics.tour_search import LOGGED, MANY, WAITING, load_tour, search_of

TOLERANCE = 1e-9


def matrix_of(points):
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))


def length(matrix, tour):
    return matrix[tour, np.roll(tour, -1)].sum()


def shortest(matrix):
    n = len(matrix)
    tours = np.array([(0, *rest) for rest in itertools.permutations(range(1, n))])
    return matrix[tours, np.roll(tours, -1, axis=1)].sum(1).min()


def optimal_by(kernels, matrix, seed, log=None, iterations=0):
    """A tour from a random one by ``descend`` and ``iterate``, what each said that it gained, and the first tour."""
    rng = np.random.default_rng(seed)
    s = search_of(*neighbour_lists(matrix, kernels.NEIGHBOURS))
    if log is not None:
        s = s._replace(log=np.empty((log, 3), np.int32))
    s.random[:] = random_stream(seed)
    start = rng.permutation(len(matrix)).astype(np.int32)
    load_tour(s, start)
    options = (3,) if kernels is tour_local_search else ()
    gain = 0.0
    while s.counts[WAITING]:
        s.counts[LOGGED] = 0
        gain += kernels.descend(matrix, s, TOLERANCE, *options, MANY)
    gain += kernels.iterate(matrix, s, iterations, TOLERANCE)
    assert (s.position[s.tour] == np.arange(len(matrix))).all()
    return start, s.tour.copy(), gain


def exchanges(tour, reversals):
    """All tours that differ from ``tour`` by the exchange of at most three edges."""
    n = len(tour)
    for shift in range(n):
        t = np.roll(tour, -shift)
        for i, j in itertools.combinations(range(1, n), 2):
            a, b, c = t[:i], t[i:j], t[j:]
            yield np.concatenate([a, c, b])
            if reversals:
                yield np.concatenate([a, b[::-1], c])
                yield np.concatenate([a, b[::-1], c[::-1]])
                yield np.concatenate([a, c, b[::-1]])
                yield np.concatenate([a, c[::-1], b])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kernels", [tour_local_search, asymmetric_local_search])
def test_a_local_optimum_with_full_lists_has_no_better_tour_within_three_edges(kernels, seed):
    rng = np.random.default_rng(seed)
    n = kernels.NEIGHBOURS + 1  # so that the lists hold all nodes
    symmetric = kernels is tour_local_search
    matrix = matrix_of(rng.random((n, 2))) if symmetric else rng.random((n, n))
    _, tour, _ = optimal_by(kernels, matrix, seed)
    assert sorted(tour) == list(range(n))
    best = min(length(matrix, other) for other in exchanges(tour, symmetric))
    assert best >= length(matrix, tour) - 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_a_local_optimum_has_no_better_2_opt_or_or_opt_move_along_its_lists(seed):
    matrix = matrix_of(np.random.default_rng(seed).random((70, 2)))
    near, _ = neighbour_lists(matrix, tour_local_search.NEIGHBOURS)
    _, tour, _ = optimal_by(tour_local_search, matrix, seed)
    n, now = len(tour), length(matrix, tour)
    for t in (tour, tour[::-1]):  # both directions
        at = np.argsort(t)
        for b in range(n):
            for c in near[b]:
                u = np.roll(t, -at[b])  # u[0] is b; its edge from u[-1] goes, b-c comes
                k = int(np.flatnonzero(u == c)[0])
                if matrix[u[-1], b] <= matrix[b, c] or k in (1, n - 1):
                    continue
                assert length(matrix, np.concatenate([u[:k][::-1], u[k:]])) >= now - 1e-8  # 2-opt
                for m in (1, 2, 3):  # or-opt: b and what follows it, put before or behind c
                    if m < k < n - 2:
                        segment, rest = u[:m], u[m:]
                        where = k - m
                        behind = np.concatenate([rest[: where + 1], segment, rest[where + 1 :]])
                        before = np.concatenate([rest[:where], segment[::-1], rest[where:]])
                        # found from b alone where all partial gains are positive
                        if (
                            matrix[u[-1], b] - matrix[b, c] + matrix[c, rest[where + 1]]
                            > matrix[rest[where + 1], segment[-1]]
                            and segment[-1] in near[rest[where + 1]]
                        ):
                            assert length(matrix, behind) >= now - 1e-8
                        if (
                            matrix[u[-1], b] - matrix[b, c] + matrix[c, rest[where - 1]]
                            > matrix[rest[where - 1], segment[-1]]
                            and segment[-1] in near[rest[where - 1]]
                        ):
                            assert length(matrix, before) >= now - 1e-8


@settings(max_examples=60)
@given(st.integers(4, 60), st.integers(0, 10**6), st.booleans(), st.sampled_from([12, 20, 4096]))
def test_the_gains_add_up_to_what_the_tour_became_shorter(n, seed, symmetric, log):
    rng = np.random.default_rng(seed)
    matrix = matrix_of(np.round(rng.random((n, 2)), rng.integers(1, 9))) if symmetric else rng.random((n, n))
    kernels = tour_local_search if symmetric else asymmetric_local_search
    start, tour, gain = optimal_by(kernels, matrix, seed, log, iterations=30)
    assert sorted(tour) == list(range(n))
    assert gain >= 0
    assert length(matrix, start) - gain == pytest.approx(length(matrix, tour), abs=1e-9)


@pytest.mark.parametrize("n", range(1, 9))
def test_tiny_tours_become_optimal_with_and_without_duplicates(n):
    rng = np.random.default_rng(n)
    points = rng.random((12, n, 2))
    points[:3] = np.round(points[:3], 1)
    points[3] = 0.5
    given_tours = np.array([rng.permutation(n) for _ in points])
    tours, lengths = improve_tours(points, given_tours, 200, 1, True)
    matrices = rng.random((12, n, n)) * (1 - np.eye(n))
    asymmetric, lengths_asymmetric = improve_asymmetric_tours(matrices, given_tours, 200, 1)
    for b in range(12):
        assert sorted(tours[b]) == sorted(asymmetric[b]) == list(range(n))
        assert lengths[b] == pytest.approx(shortest(matrix_of(points[b])))
        optimum = shortest(matrices[b])
        assert lengths_asymmetric[b] == pytest.approx(optimum, rel=1e-9 if n <= 6 else 0.1)
        assert lengths_asymmetric[b] == pytest.approx(length(matrices[b], asymmetric[b]))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7])
def test_paths_between_fixed_ends_are_the_shortest(n):
    rng = np.random.default_rng(n)
    points = rng.random((20, n, 2))
    given_paths = np.array([rng.permutation(n) for _ in points])
    paths, lengths = improve_tours(points, given_paths, 200, 1, False)
    for b in range(20):
        matrix, (first, *inner, last) = matrix_of(points[b]), given_paths[b]
        every = np.array([(first, *middle, last) for middle in itertools.permutations(inner)])
        assert (paths[b, [0, -1]] == [first, last]).all()
        assert sorted(paths[b]) == list(range(n))
        assert lengths[b] == pytest.approx(matrix[paths[b, :-1], paths[b, 1:]].sum())
        assert lengths[b] == pytest.approx(matrix[every[:, :-1], every[:, 1:]].sum(1).min())


def test_many_nodes_in_few_places_end():
    points = np.repeat(np.array([[0.1, 0.2], [0.7, 0.3], [0.4, 0.9]]), 30, axis=0)
    tours, lengths = improve_tours(points[None], np.random.default_rng(0).permutation(90)[None], 500, 0, True)
    assert sorted(tours[0]) == list(range(90))
    assert lengths[0] == pytest.approx(shortest(matrix_of(points[[0, 30, 60]])))


def test_equal_seeds_give_equal_tours_and_a_row_does_not_depend_on_its_batch():
    points = np.random.default_rng(0).random((3, 50, 2))
    start = np.tile(np.arange(50), (3, 1))
    first, _ = improve_tours(points, start, 50, 7, True)
    again, _ = improve_tours(points, start, 50, 7, True)
    assert (first == again).all()
    assert (improve_tours(points[:1], start[:1], 50, 7, True)[0] == first[:1]).all()
    assert any((improve_tours(points, start, 1, seed, True)[0] != first).any() for seed in range(8, 12))


def test_more_iterations_are_never_worse():
    points = np.random.default_rng(3).random((4, 80, 2))
    start = np.tile(np.arange(80), (4, 1))
    matrices = np.random.default_rng(3).random((4, 80, 80))
    for improve, of in ((partial(improve_tours, closed=True), points), (improve_asymmetric_tours, matrices)):
        lengths = np.array([improve(of, start, iterations, 0)[1] for iterations in (0, 10, 100, 1000)])
        assert (np.diff(lengths, axis=0) <= 1e-9).all()
        assert (lengths[-1] < lengths[0]).all()
