"""SCIP on TSP and ATSP: enumeration, dynamic programming, published optima, and how it stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, Result, Status, solve
from optgap.co.exact.tour_lp import SubtourLP
from optgap.co.formats.tsplib import read_tsplib
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.tsp import ATSP_PROBLEM, TSP_PROBLEM, ATSPInstance, TSPInstance, tour_length

F8 = NDArray[np.float64]


def run(instance: NetworkInstance, seconds: float = 60.0, solver: str = "scip", seed: int = 0) -> Result:
    problem = "atsp" if isinstance(instance, ATSPInstance) else "tsp"
    return solve(SOLVERS.load(f"{problem}/{solver}"), PROBLEMS.load(problem), instance, Budget(seconds, seed=seed))


def instance_of(matrix: Any) -> NetworkInstance:
    matrix = np.asarray(matrix, np.float64)
    kind = TSPInstance if (matrix == matrix.T).all() else ATSPInstance
    return kind(matrix=matrix, metric="explicit")


def optimum_by_dynamic_programming(distances: F8) -> float:
    """Held and Karp 1962: least[S, j] is the shortest way from node n - 1 through the set S that ends in j."""
    n = len(distances) - 1
    least = np.full((1 << n, n), np.inf)
    least[1 << np.arange(n), np.arange(n)] = distances[n, :n]
    for chosen in range(1, 1 << n):
        for j in range(n):
            if not chosen >> j & 1:
                onward = float((least[chosen] + distances[:n, j]).min())
                least[chosen | 1 << j, j] = min(least[chosen | 1 << j, j], onward)
    return float((least[-1] + distances[:n, n]).min())


@settings(max_examples=40)
@given(st.integers(1, 8), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_the_optimum_is_that_of_all_permutations(n: int, symmetric: bool, integral: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 20, (n, n)).astype(np.float64) if integral else rng.random((n, n))
    matrix = matrix + matrix.T if symmetric else matrix
    np.fill_diagonal(matrix, 0.0)
    best = min(sum(matrix[a, b] for a, b in zip(p, (*p[1:], p[0]), strict=True)) for p in permutations(range(n)))
    result = run(instance_of(matrix))
    assert result.status == Status.OPTIMAL
    assert result.cost == pytest.approx(best)
    assert result.bound == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", [TSP_PROBLEM, ATSP_PROBLEM])
def test_the_optimum_is_that_of_dynamic_programming(problem: Any, seed: int) -> None:
    instance = problem.generate(np.random.default_rng(seed), nodes=12)
    result = run(instance)
    assert result.status == Status.OPTIMAL
    assert result.cost == pytest.approx(optimum_by_dynamic_programming(instance.distances))


@pytest.mark.parametrize(("problem", "nodes"), [(TSP_PROBLEM, 30), (TSP_PROBLEM, 60), (ATSP_PROBLEM, 45)])
def test_the_optimum_is_what_lkh_finds(problem: Any, nodes: int) -> None:
    pytest.importorskip("elkai")
    instance = problem.generate(np.random.default_rng(nodes), nodes=nodes)
    result = run(instance)
    assert result.status == Status.OPTIMAL
    assert result.cost == pytest.approx(run(instance, 5.0, "lkh").cost, rel=1e-6)


@pytest.mark.parametrize(
    ("file", "optimum"),
    [("tsp/berlin52.tsp", 7542), ("tsp/att48.tsp", 10628), ("tsp/burma14.tsp", 3323), ("atsp/ftv33.atsp", 1286),
     ("atsp/br17.atsp", 39), ("atsp/ft53.atsp", 6905)],
)  # fmt: skip
def test_published_optima_of_tsplib(data_folder: Path, file: str, optimum: int) -> None:
    result = run(read_tsplib(data_folder / file))
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, optimum, optimum)


def test_nodes_in_one_place_and_distances_of_nothing() -> None:
    assert run(TSPInstance(coordinates=np.zeros((6, 2)))).cost == 0
    points = np.repeat(np.random.default_rng(0).random((5, 2)), 3, axis=0)
    doubled, single = run(TSPInstance(coordinates=points)), run(TSPInstance(coordinates=points[::3].copy()))
    assert doubled.status == Status.OPTIMAL
    assert doubled.cost == pytest.approx(single.cost)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_distance_does_not_matter(scale: float) -> None:
    points = np.random.default_rng(5).random((25, 2))
    result = run(TSPInstance(coordinates=points * scale))
    assert result.status == Status.OPTIMAL
    assert result.cost == pytest.approx(scale * (run(TSPInstance(coordinates=points)).cost or 0.0), rel=1e-9)


@pytest.mark.parametrize("directed", [False, True])
def test_the_relaxation_bounds_every_tour_at_each_pricing_and_its_reduced_costs_keep_the_best(directed: bool) -> None:
    rng = np.random.default_rng(8)
    instance = instance_of(rng.random((8, 8))) if directed else TSP_PROBLEM.generate(rng, nodes=8)
    lengths = {p: tour_length(instance, np.array((7, *p))) for p in permutations(range(7))}
    best = min(lengths, key=lambda p: lengths[p])
    lp = SubtourLP(instance.distances, np.arange(8), directed=directed)
    while True:
        lp.solve(dual=True)
        if not lp.separate():
            more = lp.price()
            assert lp.bound <= lengths[best] + 1e-9
            if not more:
                break
    for path, length in lengths.items():  # the bound and any reduced cost of a tour's edges are no more than its length
        tour = np.array((7, *path))
        after = np.roll(tour, -1)
        tails, heads = (tour, after) if directed else (np.minimum(tour, after), np.maximum(tour, after))
        assert (lp.bound + lp.reduced[tails, heads] <= length + 1e-9).all()


def test_an_early_stop_leaves_a_tour_and_a_bound_below_the_optimum(data_folder: Path) -> None:
    instance = read_tsplib(data_folder / "atsp" / "p43.atsp")
    run(read_tsplib(data_folder / "atsp" / "br17.atsp"), 1.0)  # compiles
    for seconds in (0.01, 0.2):
        result = run(instance, seconds)
        assert result.cost is not None
        assert result.bound is not None
        assert 0 < result.bound <= 5620 <= result.cost
        assert (result.status == Status.OPTIMAL) == (result.bound == result.cost)
        assert result.wall_seconds < seconds + 3.0
    assert [point.cost for point in result.incumbents] == sorted((p.cost for p in result.incumbents), reverse=True)


def test_one_seed_gives_one_answer() -> None:
    instance = TSP_PROBLEM.generate(np.random.default_rng(3), nodes=40)
    first, second = (run(instance, seed=7).solution for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_returns_the_incumbent() -> None:
    run(TSP_PROBLEM.generate(np.random.default_rng(0), nodes=5))  # compiles
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    result = run(TSP_PROBLEM.generate(np.random.default_rng(0), nodes=500), 300.0)  # takes minutes
    assert time.perf_counter() - began < 60
    assert result.cost is not None
    assert result.bound is not None
    assert result.bound <= result.cost
    timer.join()


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(InputError, match="2001 nodes; SCIP takes up to 2000"):
        run(TSPInstance(coordinates=np.zeros((2001, 2))))
