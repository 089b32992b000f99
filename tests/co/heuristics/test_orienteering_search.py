from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.heuristics.neighbour_lists import neighbour_lists
from optgap.co.heuristics.orienteering_runs import greedy_path, improve_orienteering_batch, improve_path
from optgap.co.heuristics.orienteering_search import search
from optgap.co.heuristics.path_state import load_path, refresh
from optgap.co.heuristics.random_stream import random_stream
from optgap.co.heuristics.tour_space import space_of
from optgap.co.problems.orienteering import ORIENTEERING, OrienteeringInstance


@st.composite
def instances(draw: Any, most: int = 12) -> OrienteeringInstance:
    """Nodes on a coarse grid, so that distances tie and nodes coincide; prizes of 0; the same end, or another."""
    n = draw(st.integers(2, most))
    axis = st.integers(0, 5)
    coordinates = np.array(draw(st.lists(st.tuples(axis, axis), min_size=n, max_size=n)), float)
    prize = np.array(draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 2.5, 7.0]), min_size=n, max_size=n)))
    start, end = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
    away = np.sqrt(((coordinates[:, None] - coordinates[None]) ** 2).sum(-1))
    detour = away[start] + away[end]
    others = np.delete(detour, [start, end])
    least = max(float(detour[end]), float(others.min()) if len(others) else 0.0)
    limit = max(least, draw(st.floats(0.5, 25)))
    return OrienteeringInstance(coordinates=coordinates, prize=prize, limit=limit, start=start, end=end)


def optimum(instance: OrienteeringInstance) -> float:
    """By all orders of all subsets."""
    start, end, best = instance.start, instance.end, 0.0
    inner = [c for c in range(instance.n_nodes) if c not in (start, end)]
    for k in range(len(inner) + 1):
        for order in itertools.permutations(inner, k):
            if instance.length([start, *order, end]) <= instance.limit * (1 + 1e-9):
                best = max(best, ORIENTEERING.cost(instance, np.array([start, *order, end])))
    return best


def is_full(instance: OrienteeringInstance, path: Any) -> bool:
    """Whether no node fits anywhere into the path, but for rounding."""
    left = np.setdiff1d(np.arange(instance.n_nodes), path)
    p, n = path[:-1, None], path[1:, None]
    extra = instance.distance(p, left) + instance.distance(left, n) - instance.distance(p, n)
    return bool((instance.length(path) + extra > instance.limit * (1 + 0.9e-10)).all())


def improved(instance: OrienteeringInstance, path: Any, iterations: int, seed: int = 0) -> Any:
    return improve_path(space_of(instance), instance.prize, instance.limit, path, iterations, seed)


def greedy(instance: OrienteeringInstance) -> Any:
    return greedy_path(space_of(instance), instance.prize, instance.limit, instance.start, instance.end)


@settings(max_examples=60)
@given(instance=instances(), iterations=st.sampled_from([0, 1, 40, 300]), seed=st.integers(0, 2**40))
def test_paths_are_feasible_full_and_never_worse_than_the_start(
    instance: OrienteeringInstance, iterations: int, seed: int
) -> None:
    for start in (np.array([instance.start, instance.end]), greedy(instance)):
        ORIENTEERING.check(instance, start)
        better = improved(instance, start, iterations, seed)
        ORIENTEERING.check(instance, better)
        assert ORIENTEERING.cost(instance, better) >= ORIENTEERING.cost(instance, start) - 1e-9
        assert is_full(instance, better)
        assert (improved(instance, start, iterations, seed) == better).all()


@settings(max_examples=15)
@given(instance=instances(most=7))
def test_small_instances_are_solved_to_optimality(instance: OrienteeringInstance) -> None:
    cost = ORIENTEERING.cost(instance, improved(instance, greedy(instance), 3000))
    assert cost == pytest.approx(optimum(instance), abs=1e-9)


@pytest.mark.parametrize(("nodes", "end", "limit"), [(60, 0, 3.0), (60, 7, 3.0), (400, 0, 9.0), (400, 7, 9.0)])
def test_the_kernel_keeps_its_books(nodes: int, end: int, limit: float) -> None:
    """Also where candidates (beyond 128 nodes) and positions (paths beyond 128) are restricted to near ones."""
    rng = np.random.default_rng(nodes + end)
    prize = rng.random(nodes)
    instance = OrienteeringInstance(coordinates=rng.random((nodes, 2)), prize=prize, limit=limit, end=end)
    space = space_of(instance)
    state = load_path(space, prize, greedy(instance))
    for stream in (random_stream(0), random_stream(1)):
        search(space, prize, limit, neighbour_lists(space, 30)[0], state, stream, 2000, 0.5, 0.05)
        path, best = state.path[: state.number[0]], state.best[: state.number[2]].astype(np.int64)
        kept = state.value.copy()
        ORIENTEERING.check(instance, path)
        ORIENTEERING.check(instance, best)
        assert prize[best[1:-1]].sum() == pytest.approx(kept[3], rel=1e-12)
        assert instance.length(best) == pytest.approx(kept[2], rel=1e-12)
        refresh(space, prize, state)
        np.testing.assert_allclose(state.value, kept, rtol=1e-12)
        position = np.full(nodes, -1)
        position[path[::-1]] = np.arange(len(path))[::-1]
        assert (state.position == position).all()


def test_greedy_by_hand() -> None:
    # of the two corners only one is in reach; the node on the way costs nothing
    coordinates = [[0, 0], [3, 0], [0, 3], [1.5, 0]]
    instance = OrienteeringInstance(coordinates=coordinates, prize=np.array([0, 5.0, 4.0, 2.0]), limit=6.5)
    assert greedy(instance).tolist() in ([0, 3, 1, 0], [0, 1, 3, 0])


def test_a_batch_is_its_instances_one_by_one() -> None:
    rng = np.random.default_rng(3)
    coordinates, prize, limit = rng.random((3, 20, 2)), rng.random((3, 20)), np.array([1.5, 2.0, 9.0])
    paths, lengths = improve_orienteering_batch(coordinates, prize, limit, 500, seed=5)
    assert paths.shape == (3, lengths.max())
    assert lengths[2] == 21  # every node, and node 0 again
    for b, (row, length) in enumerate(zip(paths, lengths, strict=True)):
        instance = OrienteeringInstance(coordinates=coordinates[b], prize=prize[b], limit=limit[b])
        ORIENTEERING.check(instance, row[:length])
        assert is_full(instance, row[:length])
        assert (row[length:] == -1).all()
        alone, _ = improve_orienteering_batch(coordinates[b : b + 1], prize[b : b + 1], limit[b], 500, seed=5 + b)
        assert (alone[0] == row[:length]).all()
