"""Records, references, gaps, curves: every expected figure is computed by hand."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from optgap.co.benchmark.cells import Cell
from optgap.co.benchmark.curves import gap_curves
from optgap.co.benchmark.results import append_record, as_csv, cell_of, read_records, references, summarize
from optgap.co.core import InputError


def record(solver="spt", instance="a", cost=110.0, seed=0, best_known=(90, 100, "2026-01-01"), **more):
    fields = {"problem": "job-shop", "solver": solver, "instance": instance, "seconds": 1.0, "threads": 1, "seed": seed}
    figures = {"cost": cost, "bound": None, "status": "feasible", "wall_seconds": 0.5, "cpu_seconds": 0.5}
    known = list(best_known) if best_known else None
    return fields | figures | {"incumbents": [], "best_known": known} | more


def test_a_reference_is_the_published_upper_bound_or_else_the_best_found():
    records = [record(), record(instance="b", best_known=None, cost=50.0), record("mor", "b", 40.0, best_known=None)]
    found = references(records)
    assert found["a"] == (100, "best known (2026-01-01)")
    assert found["b"] == (40.0, "best found here")


def test_a_summary_averages_over_seeds_and_then_over_instances():
    records = [
        record(cost=110.0, seed=0),
        record(cost=130.0, seed=1),
        record(instance="b", cost=100.0, seed=0, status="optimal"),
        record(instance="b", cost=120.0, seed=1, wall_seconds=1.5),
        record("mor", cost=105.0),
        record("mor", instance="b", cost=None, status="no solution"),
    ]
    spt, mor = summarize(records)
    assert spt.gaps == {"a": pytest.approx(0.2), "b": pytest.approx(0.1)}
    assert spt.mean_gap == pytest.approx(0.15)
    assert spt.spread == pytest.approx(np.std([0.05, 0.25], ddof=1))
    assert spt.worst_gap == pytest.approx(0.3)
    assert (spt.cells, spt.solved, spt.optimal) == (4, 4, 1)
    assert spt.mean_seconds == pytest.approx(0.75)
    assert (mor.mean_gap, mor.worst_gap, mor.spread, mor.solved) == (None, None, None, 1)


def test_the_smallest_mean_gap_comes_first():
    rows = summarize([record("x", cost=None), record("y", cost=130.0), record("z", cost=101.0)])
    assert [row.solver for row in rows] == ["z", "y", "x"]


def test_records_survive_a_kill_in_the_middle_of_a_line(tmp_path):
    file = tmp_path / "results.jsonl"
    assert read_records(file) == []
    append_record(file, record())
    append_record(file, record(seed=1))
    whole = file.read_text()
    for length in range(whole.index("\n") + 1, len(whole)):
        file.write_text(whole[:length])
        assert read_records(file) == [record()]
        assert file.read_text() == whole[: whole.index("\n") + 1]  # the next line begins at its beginning
    file.write_text(whole)
    assert [cell_of(item) for item in read_records(file)] == [
        Cell("job-shop", "spt", "a", 1.0, 1, seed) for seed in (0, 1)
    ]


CELL = {"problem": "job-shop", "solver": "spt", "instance": "a", "seconds": 1.0, "threads": 1, "seed": 0}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        "{}",
        '{"problem": "job-shop"}',
        json.dumps(CELL),  # neither a cost nor an error
        json.dumps(CELL | {"seed": [], "cost": 1}),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    file = tmp_path / "results.jsonl"
    file.write_text(json.dumps(record()) + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"results.jsonl: line 2: not a benchmark record"):
        read_records(file)


def test_csv_holds_a_row_a_record():
    failed = record("mor", error="it broke", cost=None)
    rows = list(csv.DictReader(as_csv([record(), failed]).splitlines()))
    assert [row["solver"] for row in rows] == ["spt", "mor"]
    assert float(rows[0]["gap"]) == pytest.approx(0.1)
    assert rows[0]["reference"] == "100"
    assert (rows[1]["gap"], rows[1]["error"]) == ("", "it broke")


def test_a_curve_is_the_mean_of_step_functions():
    one = record(cost=110.0, wall_seconds=4.0, incumbents=[[1.0, 150.0, None], [3.0, 110.0, None]])
    two = record(instance="b", cost=120.0, wall_seconds=5.0, incumbents=[[2.0, 130.0, None], [4.0, 120.0, None]])
    seconds, gaps = gap_curves([one, two])["spt"]
    assert seconds.tolist() == [2.0, 3.0, 4.0, 5.0]  # from the moment at which both have a solution
    assert gaps == pytest.approx([(0.5 + 0.3) / 2, (0.1 + 0.3) / 2, (0.1 + 0.2) / 2, (0.1 + 0.2) / 2])


def test_a_solver_without_history_is_a_point_and_one_without_solution_has_no_curve():
    curves = gap_curves([record(), record("mor"), record("mor", instance="b", cost=None)])
    assert list(curves) == ["spt"]
    assert [values.tolist() for values in curves["spt"]] == [[0.5], [pytest.approx(0.1)]]
