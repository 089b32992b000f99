from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, Status, optimality_gap, solve
from optgap.co.dynamics import job_shop
from optgap.co.heuristics import dispatching
from optgap.co.heuristics.dispatching import RULES, TEMPERATURE, DispatchingRule, best_rule_schedule
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.co.problems.job_shop_instances import taillard

# Jobs 1 to 3 wait for machine 0 when job 0 leaves it at 5. Durations on it 3, 1, 6; work left 4, 9, 6; operations left
# 2, 3, 1; ready at 3, 2, 1.
CHOICE = JobShopInstance(
    job_ptr=np.array([0, 1, 3, 6, 7]),
    machine=np.array([0, 0, 1, 0, 2, 2, 0]),
    duration=np.array([5, 3, 1, 1, 4, 4, 6]),
    release=np.array([0, 3, 2, 1]),
    n_machines=3,
)
ORDERS = {
    "spt": [2, 1, 3],
    "lpt": [3, 1, 2],
    "mwkr": [2, 3, 1],
    "lwkr": [1, 3, 2],
    "mor": [2, 1, 3],
    "lor": [3, 1, 2],
    "fifo": [3, 2, 1],
}


@pytest.mark.parametrize("rule", ORDERS)
def test_a_rule_takes_the_waiting_jobs_in_its_order(rule: str) -> None:
    start = SOLVERS.load(f"job-shop/{rule}")(CHOICE, Budget()).solution
    assert (np.argsort(start[CHOICE.job_ptr[1:4]]) + 1).tolist() == ORDERS[rule]


def test_ties_go_to_the_lowest_job() -> None:
    start = SOLVERS.load("job-shop/spt")(JobShopInstance.from_matrix([[0]] * 3, [[2]] * 3), Budget()).solution
    assert start.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("rule", "probability"),
    [("spt", 1 / (1 + exp(-1 / TEMPERATURE))), ("lpt", 1 / (1 + exp(1 / TEMPERATURE))), ("random", 0.5), ("mor", 0.5)],
)
def test_the_randomised_form_draws_by_the_softmax_of_the_stretched_index(rule: str, probability: float) -> None:
    shop, state = job_shop.load([JobShopInstance.from_matrix([[0]] * 2, [[1], [3]])])
    rng, draws, first = np.random.default_rng(0), 4000, 0
    for _ in range(draws):
        dispatching.schedule(shop, state, 0, np.array(RULES[rule]), TEMPERATURE, rng)
        first += state.start[0, 0] == 0
    assert abs(first / draws - probability) < 4 * sqrt(probability * (1 - probability) / draws)


@pytest.mark.parametrize(("rule", "published"), [("spt", 27.4), ("mwkr", 19.5)])
def test_mean_gap_over_taillards_instances_is_the_published_one(rule: str, published: float) -> None:
    gaps = []
    for index in range(1, 81):
        instance = taillard(index)
        assert instance.best_known is not None
        result = solve(SOLVERS.load(f"job-shop/{rule}"), JOB_SHOP, instance, Budget())
        gaps.append(100 * optimality_gap(result.cost, instance.best_known.upper))
    assert np.mean(gaps) == pytest.approx(published, abs=0.2)


def test_best_of_128_most_operations_remaining_is_near_the_published_gap_on_15x15() -> None:
    gaps = []
    for index in range(1, 11):
        instance = taillard(index)
        assert instance.best_known is not None
        result = solve(SOLVERS.load("job-shop/mor-x128"), JOB_SHOP, instance, Budget())
        gaps.append(100 * optimality_gap(result.cost, instance.best_known.upper))
    assert np.mean(gaps) == pytest.approx(12.5, abs=1.0)


@pytest.mark.parametrize("name", [f"{p}/{r}" for p in ("job-shop", "blocking-job-shop") for r in RULES])
def test_every_registered_rule_makes_schedules_that_pass_the_check(name: str) -> None:
    problem = PROBLEMS.load(name.split("/")[0])
    for seed in range(3):
        instance = problem.generate(np.random.default_rng(seed), jobs=6, machines=4)
        one = solve(SOLVERS.load(name), problem, instance, Budget())
        many = solve(SOLVERS.load(f"{name}-x128"), problem, instance, Budget())
        assert one.cost == one.incumbents[-1].cost
        assert many.cost == many.incumbents[-1].cost <= many.incumbents[0].cost
        assert many.bound <= many.cost


def test_incumbents_fall_and_the_seed_decides() -> None:
    solver = SOLVERS.load("job-shop/random-x128")
    instance = JOB_SHOP.generate(np.random.default_rng(0))
    runs = [solve(solver, JOB_SHOP, instance, Budget(seed=seed)) for seed in (1, 1, 2)]
    costs = [[incumbent.cost for incumbent in run.incumbents] for run in runs]
    seconds = [incumbent.seconds for incumbent in runs[0].incumbents]
    assert costs[0] == costs[1] != costs[2]
    assert costs[0] == sorted(costs[0], reverse=True)
    assert len(set(costs[0])) > 1
    assert seconds == sorted(seconds)
    assert runs[0].solution.tolist() == runs[1].solution.tolist()


def test_a_schedule_that_meets_the_bound_is_optimal_and_ends_the_search() -> None:
    result = DispatchingRule("random", 10**9)(JobShopInstance.from_matrix([[0, 1]], [[2, 3]]), Budget())
    assert (result.status, result.bound) == (Status.OPTIMAL, 5)
    assert [incumbent.cost for incumbent in result.incumbents] == [5]


def test_the_budget_stops_between_schedules_and_one_is_always_made() -> None:
    instance = JOB_SHOP.generate(np.random.default_rng(0))
    solve(DispatchingRule("mor"), JOB_SHOP, instance, Budget())  # compiles
    result = solve(DispatchingRule("mor", 10**9), JOB_SHOP, instance, Budget(seconds=0.2))
    assert result.status is Status.FEASIBLE
    assert result.wall_seconds < 1
    assert solve(DispatchingRule("mor", 10**9), JOB_SHOP, instance, Budget(seconds=1e-9)).solution is not None


def test_ctrl_c_returns_the_incumbent(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule, calls = dispatching.schedule, []

    def interrupted(*arguments: object) -> int:
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return schedule(*arguments)

    monkeypatch.setattr(dispatching, "schedule", interrupted)
    instance = JOB_SHOP.generate(np.random.default_rng(0))
    result = solve(DispatchingRule("mor", 128), JOB_SHOP, instance, Budget())
    assert len(calls) == 3
    assert result.solution is not None


@pytest.mark.parametrize("problem", [JOB_SHOP, BLOCKING_JOB_SHOP])
def test_best_rule_schedule_is_the_best_of_the_deterministic_rules(problem: Any) -> None:
    instance = problem.generate(np.random.default_rng(3))
    start = best_rule_schedule(instance)
    problem.check(instance, start)
    costs = [solve(DispatchingRule(rule), problem, instance, Budget()).cost for rule in RULES if rule != "random"]
    assert problem.cost(instance, start) == np.min(costs)


def test_names_that_mean_no_rule_are_refused() -> None:
    with pytest.raises(InputError, match="known: spt"):
        DispatchingRule("fastest")
    with pytest.raises(InputError, match="at least 1"):
        DispatchingRule("spt", 0)
    with pytest.raises(InputError, match="no dynamics"):
        best_rule_schedule(object())
    for name in ("fastest", "spt_x0", "spt_x"):
        with pytest.raises(AttributeError, match=name):
            getattr(dispatching, name)
    assert dispatching.mor_x7 == DispatchingRule("mor", 7)
