"""The registered solvers of the TSP and the ATSP: valid answers at every size, budgets, histories, Ctrl-C, polishing."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InfeasibleError, InputError, Status, solve
from optgap.co.heuristics.tour_solvers import Polished, iterated, nearest_neighbour, polish, two_opt
from optgap.co.problems.tsp import ATSP_PROBLEM, TSP_PROBLEM, ATSPInstance, TSPInstance, tour_length

SHARED = ["nearest-neighbour", "random-insertion", "farthest-insertion", "3-opt", "ils"]
EVERY = [("tsp", name) for name in [*SHARED, "2-opt"]] + [("atsp", name) for name in [*SHARED, "patching"]]


def budget(name, seed=0):
    """A fifth of a second for what runs until it is told to stop; more than enough for what ends by itself."""
    return Budget(0.2 if name == "ils" else 60.0, seed=seed)


def shortest(matrix):
    n = len(matrix)
    tours = np.array([(0, *rest) for rest in itertools.permutations(range(1, n))])
    return matrix[tours, np.roll(tours, -1, axis=1)].sum(1).min()


@pytest.mark.parametrize(("kind", "name"), EVERY)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 40])
def test_every_solver_answers_at_every_size(kind, name, n):
    problem = PROBLEMS.load(kind)
    instance = problem.generate(np.random.default_rng(n), nodes=n)
    result = solve(SOLVERS.load(f"{kind}/{name}"), problem, instance, budget(name, seed=3))
    assert result.cost is not None
    assert result.incumbents[-1].cost == pytest.approx(result.cost)
    costs = [incumbent.cost for incumbent in result.incumbents]
    assert costs == sorted(costs, reverse=True)
    if n <= 7:
        assert result.cost >= shortest(instance.distances) - 1e-9
        if name == "ils" or result.status == Status.OPTIMAL:
            assert result.cost == pytest.approx(shortest(instance.distances))
    if n <= 2:
        assert result.status == Status.OPTIMAL


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_nodes_in_one_place(kind, name):
    places = {
        "tsp": TSPInstance(coordinates=np.ones((12, 2))),
        "atsp": ATSPInstance(matrix=np.zeros((12, 12)), metric="explicit"),
    }
    assert solve(SOLVERS.load(f"{kind}/{name}"), PROBLEMS.load(kind), places[kind], budget(name)).cost == 0


@pytest.mark.parametrize("metric", ["euclidean", "ceil_2d", "att", "man_2d"])
def test_beyond_the_size_of_a_table_distances_are_the_instance_s_own(monkeypatch, metric):
    instance = TSPInstance(coordinates=np.random.default_rng(0).random((200, 2)) * 500, metric=metric)
    names = ("3-opt", "random-insertion")  # end by themselves
    with_table = [SOLVERS.load(f"tsp/{name}")(instance, Budget(60.0)).solution for name in names]
    monkeypatch.setattr("optgap.co.heuristics.tour_space.LARGEST_TABLE", 0)
    without = [SOLVERS.load(f"tsp/{name}")(instance, Budget(60.0)).solution for name in names]
    for tour, other in zip(with_table, without, strict=True):
        assert tour_length(instance, other) == pytest.approx(tour_length(instance, tour), rel=0.05)  # ties differ
        if metric == "euclidean":
            assert (tour == other).all()


def test_quality_is_ordered_and_local_search_is_near_the_optimum():
    rng = np.random.default_rng(1)
    instances = [TSP_PROBLEM.generate(rng, nodes=200) for _ in range(4)]
    cost = {
        name: np.mean([solve(SOLVERS.load(f"tsp/{name}"), TSP_PROBLEM, i, budget(name)).cost for i in instances])
        for name in [*SHARED, "2-opt"]
    }
    assert cost["ils"] < cost["3-opt"] < cost["2-opt"] < cost["farthest-insertion"] < cost["nearest-neighbour"]
    assert cost["3-opt"] < 1.06 * cost["ils"]


def test_the_bound_of_an_assignment_holds_and_patching_is_near_it():
    instance = ATSP_PROBLEM.generate(np.random.default_rng(0), nodes=100)
    patched = solve(SOLVERS.load("atsp/patching"), ATSP_PROBLEM, instance, Budget(5.0))
    assert patched.bound is not None
    assert patched.bound <= patched.cost < 1.1 * patched.bound
    improved = solve(SOLVERS.load("atsp/ils"), ATSP_PROBLEM, instance, Budget(0.2))
    assert improved.bound == patched.bound
    assert improved.cost <= patched.cost


def test_an_assignment_that_is_a_tour_is_optimal():
    matrix = np.full((6, 6), 5.0)
    matrix[np.arange(6), np.roll(np.arange(6), -1)] = 1.0
    instance = ATSPInstance(matrix=matrix, metric="explicit")
    began = time.perf_counter()
    result = solve(SOLVERS.load("atsp/ils"), ATSP_PROBLEM, instance, Budget(30.0))
    assert (result.status, result.cost, result.bound) == (Status.OPTIMAL, 6.0, 6.0)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("name", ["random-insertion", "farthest-insertion", "ils"])
def test_the_budget_is_kept_on_a_large_instance(name):
    instance = TSP_PROBLEM.generate(np.random.default_rng(0), nodes=20_000)
    solver = SOLVERS.load(f"tsp/{name}")
    solver(instance, Budget(0.01))  # compiles
    result = solve(solver, TSP_PROBLEM, instance, Budget(0.5))
    assert result.wall_seconds < 5
    assert result.status == (Status.FEASIBLE if name == "ils" else Status.NO_SOLUTION)


@pytest.mark.parametrize("name", [name for name in SHARED if name != "ils"])  # which ends by the clock
def test_equal_seeds_give_equal_tours(name):
    instance = TSP_PROBLEM.generate(np.random.default_rng(0), nodes=60)
    solver = SOLVERS.load(f"tsp/{name}")
    assert (solver(instance, Budget(5.0, seed=4)).solution == solver(instance, Budget(5.0, seed=4)).solution).all()


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_returns_the_incumbent():
    instance = TSP_PROBLEM.generate(np.random.default_rng(0), nodes=300)
    iterated(instance, Budget(0.01))  # compiles
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    result = iterated(instance, Budget(60.0))
    timer.join()
    assert time.perf_counter() - began < 30
    assert result.status == Status.FEASIBLE
    TSP_PROBLEM.check(instance, result.solution)


@pytest.mark.parametrize("kind", ["tsp", "atsp"])
def test_polishing_is_never_worse(kind):
    problem = PROBLEMS.load(kind)
    for n in (1, 2, 3, 4, 50):
        instance = problem.generate(np.random.default_rng(n), nodes=n)
        given = np.random.default_rng(0).permutation(n)
        tour = polish(instance, given, 0.05)
        problem.check(instance, tour)
        assert problem.cost(instance, tour) <= problem.cost(instance, given)
        again = polish(instance, tour, 1e-3, seed=1)
        assert problem.cost(instance, again) <= problem.cost(instance, tour)
    with pytest.raises(InfeasibleError):
        polish(instance, np.zeros(50, int), 0.05)


def test_a_polished_solver_improves_on_its_own_within_the_budget():
    instance = TSP_PROBLEM.generate(np.random.default_rng(0), nodes=100)
    plain = solve(nearest_neighbour, TSP_PROBLEM, instance, Budget(0.2))
    result = solve(Polished(nearest_neighbour), TSP_PROBLEM, instance, Budget(0.2))
    assert result.cost < 0.95 * plain.cost
    assert result.incumbents[-1].cost == pytest.approx(result.cost)


def test_2_opt_refuses_distances_that_differ_by_direction():
    instance = ATSP_PROBLEM.generate(np.random.default_rng(0), nodes=10)
    with pytest.raises(InputError, match="differ by direction"):
        two_opt(instance, Budget(1.0))
