from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InfeasibleError, Status, solve
from optgap.co.heuristics import orienteering_runs, route_solvers, ruin_recreate
from optgap.co.problems.cvrp import CVRP_PROBLEM
from optgap.co.problems.orienteering import ORIENTEERING, OrienteeringInstance

NAMES = ["cvrp/nearest-neighbour", "cvrp/savings", "cvrp/ruin-recreate", "op/greedy", "op/ils"]
SEARCHES = {"cvrp/ruin-recreate": ruin_recreate, "op/ils": orienteering_runs}
CVRP_100 = CVRP_PROBLEM.generate(np.random.default_rng(0), customers=100)
OP_100 = ORIENTEERING.generate(np.random.default_rng(0), nodes=100)
HUNDRED = {"cvrp": CVRP_100, "op": OP_100}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [2, 30, pytest.param(2500, marks=pytest.mark.slow)])  # 2500: without a matrix
def test_feasible_within_the_time(name: str, size: int) -> None:
    problem = PROBLEMS.load(name.split("/")[0])
    sizes = {"customers": size - 1} if problem.name == "cvrp" else {"nodes": size}
    instance, solver = problem.generate(np.random.default_rng(size), **sizes), SOLVERS.load(name)
    solver(instance, Budget(seconds=0.01))  # compiles
    result = solve(solver, problem, instance, Budget(seconds=0.4))
    assert result.status == Status.FEASIBLE
    assert result.cpu_seconds < 1.5
    costs = [found.cost for found in result.incumbents]
    assert costs[-1] == pytest.approx(result.cost)
    assert costs == sorted(costs, reverse=problem.sense == "minimize")
    times = [found.seconds for found in result.incumbents]
    assert times == sorted(times)


@pytest.mark.parametrize(("better", "worse"), [("cvrp/ruin-recreate", "cvrp/savings"), ("op/ils", "op/greedy")])
def test_a_search_improves_on_its_start(better: str, worse: str) -> None:
    name = better.split("/")[0]
    problem, instance = PROBLEMS.load(name), HUNDRED[name]
    start, found = (solve(SOLVERS.load(n), problem, instance, Budget(seconds=1.0)) for n in (worse, better))
    assert found.incumbents[0].cost == pytest.approx(start.cost)
    assert abs(found.cost - start.cost) > 0.03 * start.cost


@pytest.mark.parametrize("name", SEARCHES)
def test_ctrl_c_gives_the_incumbent(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, problem, calls = SEARCHES[name], PROBLEMS.load(name.split("/")[0]), []
    instance = HUNDRED[problem.name]
    SOLVERS.load(name)(instance, Budget(seconds=0.01))  # compiles
    search = module.search

    def interrupted(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        search(*args)

    monkeypatch.setattr(module, "search", interrupted)
    result = solve(SOLVERS.load(name), problem, instance, Budget(seconds=60))
    assert len(calls) == 20
    assert result.wall_seconds < 30
    assert result.cost == pytest.approx(result.incumbents[-1].cost)


def test_polish_is_never_worse_and_refuses_what_is_infeasible() -> None:
    start = SOLVERS.load("cvrp/nearest-neighbour")(CVRP_100, Budget()).solution
    polished = route_solvers.polish(CVRP_100, start, 0.3)
    CVRP_PROBLEM.check(CVRP_100, polished)
    assert CVRP_PROBLEM.cost(CVRP_100, polished) < 0.9 * CVRP_PROBLEM.cost(CVRP_100, start)
    again = route_solvers.polish(CVRP_100, polished, 0.01)
    assert CVRP_PROBLEM.cost(CVRP_100, again) <= CVRP_PROBLEM.cost(CVRP_100, polished)
    with pytest.raises(InfeasibleError):
        route_solvers.polish(CVRP_100, start[:-3], 0.01)


def test_orienteering_from_one_node_to_another_counts_both() -> None:
    prize = np.array([3.0, 1.0, 10.0, 5.0])
    instance = OrienteeringInstance(
        coordinates=[[0, 0], [1, 0], [5, 5], [2, 0]], prize=prize, limit=2.1, start=0, end=3
    )
    for name in ("op/greedy", "op/ils"):
        result = solve(SOLVERS.load(name), ORIENTEERING, instance, Budget(seconds=0.05))
        assert result.solution.tolist() == [0, 1, 3]
        assert result.cost == result.incumbents[-1].cost == 9
