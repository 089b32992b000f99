"""Pieces of an incumbent and their re-construction: nothing is lost, nothing becomes longer, what must hold holds."""

from __future__ import annotations

import time
from typing import Any

import bq_cases
import numpy as np
import pytest
import torch
from bq_cases import CPU

from optgap.agents.bq.decoding import play
from optgap.agents.bq.labels import task_of
from optgap.agents.bq.reconstruction import ReconstructionSolver
from optgap.co.core import PROBLEMS, Budget, InputError, Result, Status
from optgap.co.problems.cvrp import CVRPInstance, join_routes
from optgap.co.problems.tsp import ATSPInstance, TSPInstance

pytestmark = pytest.mark.usefixtures("exact")
CUT = ("tsp", "atsp", "cvrp")


def some_solution(problem: str, instance: Any, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A bad one."""
    if problem != "cvrp":
        return rng.permutation(instance.n_nodes)
    routes: list[list[int]] = [[]]
    for customer in (1 + rng.permutation(instance.n_customers)).tolist():
        if instance.demand[[*routes[-1], customer]].sum() > instance.capacity:
            routes.append([])
        routes[-1].append(customer)
    return join_routes(routes)


@pytest.mark.parametrize("problem", CUT)
@pytest.mark.parametrize("size", [4, 7, 30])
def test_pieces_that_stay_as_they_are_give_the_solution_back(problem: str, size: int) -> None:
    definition, task, rng = PROBLEMS.load(problem), task_of(problem), np.random.default_rng(0)
    for instance in bq_cases.instances_of(problem, 3, 20):
        solution = some_solution(problem, instance, rng)
        for _ in range(4):
            pieces = task.pieces(instance, solution, size, rng, CPU)
            assert pieces is not None
            back = pieces.join(pieces.old)
            definition.check(instance, back)
            assert definition.cost(instance, back) == pytest.approx(definition.cost(instance, solution))
            assert len(pieces.old) == len(pieces.state.owner)
            reduced, _ = pieces.state.reduced(None)
            tokens = min(size, 19 if problem == "cvrp" else 20) + (2 if problem == "cvrp" else 0)
            assert reduced.features.shape[1] == tokens


@pytest.mark.parametrize("problem", CUT)
def test_a_piece_solved_as_it_was_is_the_piece(problem: str) -> None:
    """The state is made to walk the old piece: it may, its length is the piece's, and ``new`` gives the sequence."""
    task, rng = task_of(problem), np.random.default_rng(1)
    (instance,) = bq_cases.instances_of(problem, 1, 25)
    solution = some_solution(problem, instance, rng)
    for _ in range(4):
        pieces = task.pieces(instance, solution, 8, rng, CPU)
        assert pieces is not None
        for piece, old in enumerate(pieces.old):
            state = pieces.state.select(torch.tensor([piece]))
            if problem == "cvrp":
                customers = old[old > 0][1:]
                via = [int(old[np.flatnonzero(old == c)[0] - 1] == 0) for c in customers]
                walk = list(zip(range(2, 2 + len(customers)), via, strict=True))
            else:
                walk = [(node, 0) for node in range(1, len(old) - 1)]
            for node, action in walk:
                reduced, place = state.reduced(None)
                token = int((place[0] == node).nonzero()[-1])
                assert bool(reduced.allowed[0, token, action])
                state.step(torch.tensor([node]), torch.tensor([action]))
            assert not bool(state.alive())
            np.testing.assert_array_equal(pieces.new(piece, state.solutions()[0]), old)
            assert float(state.costs()) == pytest.approx(instance.length(old), rel=1e-5)


@pytest.mark.parametrize("problem", CUT)
def test_random_pieces_keep_the_solution_feasible(problem: str) -> None:
    """Whatever a policy answers; capacities leave the vehicles little room."""
    policy = bq_cases.policy_of(problem)
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(0)
    arguments = {"capacity": 17} if problem == "cvrp" else {}
    (instance,) = bq_cases.instances_of(problem, 1, 22, **arguments)
    solution, before = some_solution(problem, instance, rng), set()
    for _ in range(25):
        pieces = policy.task.pieces(instance, solution, int(rng.integers(4, 12)), rng, CPU)
        assert pieces is not None
        _, found = play(policy.network, policy.task, pieces.state, temperature=10.0, generator=generator)
        fresh = [pieces.new(piece, local) for piece, local in enumerate(found)]
        for old, new in zip(pieces.old, fresh, strict=True):
            assert (old[0], old[-1]) == (new[0], new[-1])
            assert sorted(old[old > 0]) == sorted(new[new > 0])
        other = pieces.join(fresh)
        policy.problem.check(instance, other)
        change = sum(instance.length(new) - instance.length(old) for old, new in zip(pieces.old, fresh, strict=True))
        cost = policy.problem.cost(instance, solution)
        assert policy.problem.cost(instance, other) == pytest.approx(cost + change)
        solution = other
        before.add(tuple(solution.tolist()))
    assert len(before) > 15  # it moves


@pytest.mark.parametrize("problem", CUT)
def test_a_round_never_worsens_and_many_improve(problem: str) -> None:
    policy = bq_cases.policy_of(problem, nearest=10)
    solver = ReconstructionSolver(policy, sizes=(4, 8), samples=3)
    (instance,) = bq_cases.instances_of(problem, 1, 30)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    solution = some_solution(problem, instance, rng)
    costs = [policy.problem.cost(instance, solution)]
    for _ in range(15):
        better = solver.improve(instance, solution, rng, generator)
        assert better is not None
        policy.problem.check(instance, better)
        costs.append(policy.problem.cost(instance, better))
        solution = better
    assert all(after <= before * (1 + 1e-12) for before, after in zip(costs, costs[1:], strict=False))
    assert costs[-1] < 0.95 * costs[0]


def test_the_direction_of_an_asymmetric_tour_is_kept() -> None:
    """Forwards a node costs 1, backwards n - 1; the best tour stays, and one with two nodes swapped is put in order."""
    n = 12
    step = (np.arange(n)[None] - np.arange(n)[:, None]) % n
    instance = ATSPInstance(matrix=step.astype(float), metric="explicit")
    task, rng = task_of("atsp"), np.random.default_rng(0)
    pieces = task.pieces(instance, np.arange(n), 5, rng, CPU)
    assert pieces is not None
    for old in pieces.old:
        assert (np.diff(old) % n == 1).all()
    joined = pieces.join(pieces.old)
    assert PROBLEMS.load("atsp").cost(instance, joined) == n


def test_the_length_is_the_instances_own() -> None:
    """Rounded distances: what is shorter in the plane alone is not taken."""
    rng = np.random.default_rng(0)
    instance = TSPInstance(coordinates=rng.random((20, 2)) * 5, metric="euc_2d")
    solver = ReconstructionSolver(bq_cases.policy_of("tsp"), sizes=(6, 8))
    solution, generator = rng.permutation(20), torch.Generator().manual_seed(0)
    costs = []
    for _ in range(10):
        better = solver.improve(instance, solution, rng, generator)
        assert better is not None
        solution = better
        costs.append(PROBLEMS.load("tsp").cost(instance, solution))
    assert costs == sorted(costs, reverse=True)
    assert all(cost == int(cost) for cost in costs)


def test_the_solver_keeps_its_time_and_its_history() -> None:
    policy = bq_cases.policy_of("cvrp")
    (instance,) = bq_cases.instances_of("cvrp", 1, 20)
    first = some_solution("cvrp", instance, np.random.default_rng(0))

    def start(instance: Any, budget: Budget) -> Result:
        return Result(first, Status.FEASIBLE)

    begun = time.perf_counter()
    result = ReconstructionSolver(policy, start, sizes=(4, 10))(instance, Budget(seconds=0.5, seed=3))
    assert time.perf_counter() - begun < 5
    policy.problem.check(instance, result.solution)
    costs = [incumbent.cost for incumbent in result.incumbents]
    assert costs[0] == pytest.approx(policy.problem.cost(instance, first))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(policy.problem.cost(instance, result.solution))
    alone = ReconstructionSolver(policy)(instance, Budget(seconds=1e-9))
    np.testing.assert_array_equal(alone.solution, policy.play_instances([instance])[0])


def test_what_is_too_small_stays_as_it_is() -> None:
    for problem, size in (("tsp", 3), ("atsp", 2), ("cvrp", 2)):
        policy = bq_cases.policy_of(problem)
        (instance,) = bq_cases.instances_of(problem, 1, size)
        result = ReconstructionSolver(policy)(instance, Budget(seconds=5))
        policy.problem.check(instance, result.solution)
    lone = CVRPInstance(coordinates=np.eye(2), demand=[0, 1], capacity=1)
    result = ReconstructionSolver(bq_cases.policy_of("cvrp"))(lone, Budget(seconds=5))
    assert result.solution is not None


@pytest.mark.parametrize("wrong", [{"sizes": (3, 9)}, {"sizes": (9, 8)}, {"samples": 0}, {"temperature": 0.0}], ids=str)
def test_wrong_arguments_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as error:
        ReconstructionSolver(bq_cases.policy_of("tsp"), **wrong)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="tsp, atsp or cvrp"):
        ReconstructionSolver(bq_cases.policy_of("kp"))
