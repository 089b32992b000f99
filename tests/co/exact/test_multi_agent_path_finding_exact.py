"""The exact solvers of multi-agent path finding against exhaustive search, and how they stop."""

from __future__ import annotations

import re

import numpy as np
import pytest
from mapf_cases import CASES, optimum, random_instance

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, Result, Status, solve
from optgap.co.exact import delays
from optgap.co.exact.conflict_based_search import ConflictBasedSearch, find_conflicts
from optgap.co.exact.joint_search import joint_search
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance, arrivals
from optgap.co.problems.multi_agent_path_finding_instances import load_mapf

EXACT = ("scip", "cbs")


def run(solver: str, instance: MAPFInstance, seconds: float = 600) -> Result:
    return solve(SOLVERS.load(f"mapf/{solver}"), PROBLEMS.load("mapf"), instance, Budget(seconds))


def expected(best: int | None) -> tuple[Status, int | None, int | None]:
    return (Status.INFEASIBLE, None, None) if best is None else (Status.OPTIMAL, best, best)


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("case", CASES)
def test_cases_by_hand(case, solver):
    instance, best = CASES[case]
    result = run(solver, instance)
    assert (result.status, result.cost, result.bound) == expected(best)


@pytest.mark.parametrize("vehicles", [2, 3])
def test_both_find_the_optimum_of_exhaustive_search(vehicles):
    seen = set()
    for seed in range(15):
        instance = random_instance(seed, vehicles=vehicles, obstacles=0.4)
        best = optimum(instance)
        for solver in EXACT:
            result = run(solver, instance)
            assert (result.status, result.cost, result.bound) == expected(best), (seed, solver)
        seen.add(None if best is None else best - (instance.lower_bound or 0))
    assert len(seen) > 3  # some have no solution, some make vehicles wait


@pytest.mark.parametrize("solver", EXACT)
def test_without_a_first_plan_the_horizon_grows_until_there_is_one(monkeypatch, solver):
    monkeypatch.setattr(delays, "try_orders", lambda *args: None)
    monkeypatch.setattr(delays, "is_small", lambda instance: False)
    wanted = {case: best for case, (_, best) in CASES.items() if best is not None}
    assert {case: (r := run(solver, CASES[case][0])).cost * (r.status == "optimal") for case in wanted} == wanted
    for seed in range(6):
        instance = random_instance(seed, obstacles=0.3)
        assert run(solver, instance).cost == optimum(instance)


@pytest.mark.parametrize("solver", EXACT)
def test_what_cannot_be_decided_is_not_claimed(monkeypatch, solver):
    monkeypatch.setattr(delays, "is_small", lambda instance: False)
    instance, _ = CASES["two that swap in a corridor"]
    result = run(solver, instance, 1.0)
    assert (result.status, result.solution) == (Status.NO_SOLUTION, None)
    assert result.bound is not None
    assert result.bound >= 2


@pytest.mark.parametrize("solver", EXACT)
def test_the_time_limit_holds_and_the_bound_is_valid(solver):
    instance = load_mapf("mapf-8x8-v16-s0")
    run(solver, random_instance(0))  # compilation is not what is measured
    result = run(solver, instance, 1.5)
    assert result.wall_seconds < 15
    assert result.status is Status.FEASIBLE
    assert instance.lower_bound <= result.bound < result.cost
    for before, after in zip(result.incumbents[:-1], result.incumbents[1:], strict=True):
        assert before.cost >= after.cost
        assert before.bound <= after.bound


def test_both_agree_on_larger_grids():
    for name in ("mapf-8x8-v5-s2", "mapf-warehouse-10x16-v6-s3", "mapf-12x12-v5-s0"):
        results = [run(solver, load_mapf(name)) for solver in EXACT]
        assert {result.status for result in results} == {Status.OPTIMAL}
        assert len({result.cost for result in results}) == 1


def test_paths_that_stand_at_their_goals_are_not_longer_than_needed():
    for solver in EXACT:
        instance = load_mapf("mapf-8x8-v5-s2")
        solution = run(solver, instance).solution
        assert solution.dtype == np.int64
        assert solution.shape[1] - 1 == arrivals(instance, solution).max()


def test_joint_search_finds_the_least_makespan():
    bay = joint_search(CASES["corridor with a bay"][0])
    assert bay is not None
    assert bay.shape == (2, 7)  # 6 steps: the vehicle that steps aside needs 4 + 2
    for case, (instance, best) in CASES.items():
        if case != "a wall between" and best is not None:
            MAPF.check(instance, joint_search(instance))
    assert joint_search(CASES["two that swap in a full square, two that stay"][0]) is None


def test_conflicts_are_counted_by_hand():
    # Times 0 to 2: 0 and 1 exchange cells in the first step, 1 and 2 are both in cell 9 at time 2; waiting side by side is none.
    paths = np.array([[4, 5, 5], [5, 4, 9], [8, 8, 9]])
    found = np.zeros((3, 3), np.int64)
    assert find_conflicts(paths, found) == 2
    assert found[:2].tolist() == [[0, 1, 0], [1, 2, 2]]
    assert find_conflicts(paths, found[:1]) == 2


def test_the_root_of_conflict_based_search_is_the_sum_of_own_ways():
    instance = load_mapf("mapf-8x8-v8-s0")
    search = ConflictBasedSearch(instance, 40)
    assert search.open[0].cost == instance.lower_bound


def test_too_large_a_grid_is_refused():
    ends = np.array([0, 999])
    instance = MAPFInstance(name="hall", blocked=np.zeros((1000, 1000), bool), starts=ends, goals=ends[::-1].copy())
    for solver in (*EXACT, "prioritized-planning"):
        with pytest.raises(
            InputError, match=re.escape("instance hall: 1000000 cells at 1256 times; expected at most 2^27")
        ):
            run(solver, instance)
