"""Running cells: what is recorded is checked, and processes change nothing but the time."""

from __future__ import annotations

import numpy as np
import pytest

from optgap.co.benchmark.cells import Cell, json_value, registered_solver, run_batch, run_cell, run_cells, warm_solver
from optgap.co.benchmark.collections import load_instances
from optgap.co.core import Budget, InputError, Result, Status
from optgap.co.problems.job_shop import JOB_SHOP
from optgap.co.problems.job_shop_instances import load_job_shop


def cell(solver="mwkr", instance="ft06", seed=0, problem="job-shop"):
    return Cell(problem, solver, instance, 5.0, 1, seed)


def overlapping(instance, budget):
    return Result(solution=np.zeros(instance.n_operations, np.int64), status=Status.FEASIBLE)


def broken(instance, budget):
    raise ZeroDivisionError("division by zero")


def find(problem, name):
    return {"overlapping": overlapping, "broken": broken}.get(name) or registered_solver(problem, name)


def test_a_record_holds_the_checked_figures():
    record = run_cell(cell("mor-x128"), load_job_shop("ft06"))
    solution = np.array(record["solution"])
    JOB_SHOP.check(load_job_shop("ft06"), solution)
    assert record["cost"] == JOB_SHOP.cost(load_job_shop("ft06"), solution)
    assert record["incumbents"][-1][1] == record["cost"]
    assert record["best_known"][:2] == [55, 55]
    assert record["wall_seconds"] > 0


def test_a_batch_is_checked_one_by_one_and_its_time_is_shared():
    instances = {name: load_job_shop(name) for name in ("ft06", "ft10")}
    good = run_cell(cell("mwkr"), instances["ft06"])["solution"]
    first, second = run_batch(
        [cell(instance="ft06"), cell(instance="ft10")],
        instances,
        lambda some: [np.array(good), np.zeros(100, np.int64)],
    )
    assert first["cost"] == JOB_SHOP.cost(instances["ft06"], np.array(good))
    assert "ft10: job 0: operation 1 starts at 0" in second["error"]
    assert first["wall_seconds"] == second["wall_seconds"] > 0
    assert first["batch"] == 2
    failed = run_batch([cell(instance="ft06"), cell(instance="ft10")], instances, lambda some: broken(some, None))
    assert [record["error"] for record in failed] == ["ZeroDivisionError: division by zero"] * 2


@pytest.mark.parametrize(
    ("solver", "error"),
    [
        ("overlapping", "ft06: job 0: operation 1 starts at 0"),
        ("broken", "ZeroDivisionError: division by zero"),
        ("unknown", "unknown solver 'job-shop/unknown'"),
    ],
)
def test_a_failure_is_a_record(solver, error):
    record = run_cell(cell(solver), load_job_shop("ft06"), find)
    assert error in record["error"]
    assert "cost" not in record


def test_processes_give_the_same_costs():
    cells = [
        cell(solver, name, seed) for solver in ("random", "mor-x128") for name in ("ft06", "ft10") for seed in (0, 1)
    ]
    instances = {name: load_job_shop(name) for name in ("ft06", "ft10")}

    def costs(jobs):
        found = run_cells(cells, instances, jobs=jobs)
        return {(record["solver"], record["instance"], record["seed"]): record["cost"] for record in found}

    assert costs(1) == costs(2)
    assert len(costs(1)) == 8


def test_the_first_call_is_not_on_the_clock():
    calls = []

    def counting(instance, budget):
        calls.append((instance.name, budget.seconds))
        return Result(solution=None, status=Status.NO_SOLUTION)

    assert warm_solver("job-shop", "counting", lambda problem, name: counting) is counting
    assert calls == [("ft06", 0.1)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"engine": "dask"}, "engine is 'dask'; expected one of loky, ray"), ({"jobs": 0}, "jobs is 0")],
)
def test_wrong_engines_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        list(run_cells([], {}, **arguments))


def test_json_values_are_plain():
    assert json_value({"a": (np.int64(1), np.arange(2)), 2: {3.0}}) == {"a": [1, [0, 1]], "2": [3.0]}


def test_instances_are_named_by_ranges_files_and_folders(tmp_path):
    (tmp_path / "two.txt").write_text("1 1\n0 3\n")
    (tmp_path / "one.txt").write_text("1 1\n0 4\n")
    found = load_instances("job-shop", ["ta09-ta11", str(tmp_path), "random-2x2-s1", "ta10"])
    assert [instance.name for instance in found] == ["ta09", "ta10", "ta11", "one", "two", "random-2x2-s1"]


@pytest.mark.parametrize(
    ("problem", "names", "said"),
    [
        ("job-shop", [], "no instance is named"),
        ("job-shop", ["ta03-ta01"], "expected a rising range"),
        ("job-shop", ["blocking-2x2-p10-s0"], "is no job-shop instance; expected one, or problem="),
        ("blocking-job-shop", ["ft06"], "is no blocking-job-shop instance"),
        ("flow-shop", ["ft06"], "unknown instance collection of problem 'flow-shop'"),
    ],
)
def test_wrong_instances_are_refused(problem, names, said):
    with pytest.raises(InputError) as raised:
        load_instances(problem, names)
    assert said in str(raised.value)


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop.txt").write_text("1 1\n0 3\n")
    with pytest.raises(InputError, match="a second instance named shop"):
        load_instances("job-shop", [str(tmp_path / "a"), str(tmp_path / "b")])


def test_a_budget_is_that_of_the_cell():
    assert cell(seed=4).budget == Budget(5.0, 1, 4)


def test_a_check_ends_the_work_before_a_clock_starts():
    started = []

    def remember(instance, budget):
        started.append(budget.seconds)
        return Result(solution=None, status=Status.NO_SOLUTION)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_cells([cell("remember")], {"ft06": load_job_shop("ft06")}, find=lambda *_: remember, check=stop))
    assert started == [0.1]  # the warm-up alone
