"""solve.py: what it prints and writes is checked by code that it does not share."""

from __future__ import annotations

import json
import signal
import sys
import time

import numpy as np
import pytest
from tests.scripts.conftest import start

from optgap.co.formats.tsplib import read_tour, read_tsplib
from optgap.co.problems.job_shop import JOB_SHOP
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.co.problems.tsp import TSP_PROBLEM


def schedule(file) -> np.ndarray:
    """Start times of a schedule file, in the order of the instance's operations."""
    entries = json.loads(file.read_text())["operations"]
    return np.array([entry["start"] for entry in sorted(entries, key=lambda entry: (entry["job"], entry["operation"]))])


def test_ft06_is_solved_to_its_known_optimum(call, tmp_path):
    answer = call("solve", "instance=ft06", "solver=scip", "seconds=60", "out=s.json", "plot=s.png")
    assert answer.code == 0
    assert "cost     55  (optimal, checked)" in answer.out
    assert "bound    55  (proved gap 0.0%)" in answer.out
    assert "gap      0.0% to the best known 55" in answer.out
    assert "M5 |" in answer.out
    data = json.loads((tmp_path / "s.json").read_text())
    assert (data["makespan"], data["status"], data["solver"], data["seed"]) == (55, "optimal", "scip", 0)
    instance, start_times = load_job_shop("ft06"), schedule(tmp_path / "s.json")
    JOB_SHOP.check(instance, start_times)
    assert JOB_SHOP.cost(instance, start_times) == 55
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_an_instance_from_a_file(call, tmp_path):
    (tmp_path / "two.txt").write_text("2 2\n0 3 1 2\n1 4 0 1\n")
    answer = call("solve", "instance=two.txt", "solver=spt")
    assert answer.code == 0
    assert "cost     6  " in answer.out  # job 1 on machine 1 until 4, then job 0 until 6


def test_a_blocking_shop_has_its_own_problem(call):
    assert "checked" in call("solve", "instance=blocking-3x3-p10-s1", "solver=mwkr").out  # told by the name
    arguments = ["problem=blocking-job-shop", "instance=blocking-3x3-p10-s1", "solver=mwkr"]
    assert "checked" in call("solve", *arguments).out


def test_a_file_of_another_problem_tells_it_by_its_suffix_and_its_answer_has_the_form_of_its_own(call, tmp_path):
    nodes = "1 0 0\n2 0 3\n3 4 3\n4 4 0\n"
    (tmp_path / "four.tsp").write_text(
        f"TYPE : TSP\nDIMENSION : 4\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n{nodes}EOF\n"
    )
    (tmp_path / "best_known.json").write_text('{"four": 14}')
    answer = call("solve", "instance=four.tsp", "solver=2-opt", "out=four.tour")
    assert answer.code == 0
    assert "cost     14  (" in answer.out
    assert "gap      0.0% to the best known 14 (best_known.json)" in answer.out
    tour = read_tour(tmp_path / "four.tour")
    assert TSP_PROBLEM.cost(read_tsplib(tmp_path / "four.tsp"), tour) == 14
    wrong = call("solve", "instance=four.tsp", "solver=2-opt", "out=four.sol")
    assert (wrong.code, wrong.err) == (2, "error: four.sol: expected a file name that ends in .json or .tour\n")


def test_trained_weights_solve_greedily_and_by_sampling(call, trained):
    greedy = call("solve", "instance=ft06", f"solver={trained}")
    sampled = call("solve", "instance=ft06", f"solver={trained}@32")
    assert greedy.code == sampled.code == 0

    def cost(out: str) -> int:
        return int(out.partition("cost")[2].split()[0])

    assert 55 <= cost(sampled.out) <= cost(greedy.out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["instance=ft07", "solver=spt"], "unknown instance 'ft07' (did you mean"),
        (["instance=ft06", "solver=sptt"], "unknown solver 'sptt' of job-shop (did you mean spt?); known: cp-sat"),
        (["instance=ft06", "solver=spt@8"], "unknown solver 'spt@8'"),
        (["instance=ft06", "solver=spt@x"], "expected a number of samples after @"),
        (["instance=ft06"], "solver= is missing"),
        (["instance=ft06", "solver=spt", "problem=flow"], "unknown problem 'flow'"),
        (["instance=ft06", "solver=spt", "seconds=0"], "budget seconds is 0.0; expected a number above 0"),
        (["instance=ft06", "solver=spt", "out=nowhere/s.json"], "nowhere/s.json: its folder does not exist"),
        (["instance=ft06", "solver=spt", "out=s.txt"], "s.txt: expected a file name that ends in .json"),
        (["instance=ft06", "solver=spt", "plot=s.bmp"], "s.bmp: expected a file name that ends in .png"),
        (["instance=blocking-3x3-p10-s1", "problem=job-shop", "solver=spt"], "is no job-shop instance"),
        (["instance=ft06", "problem=blocking-job-shop", "solver=spt"], "is no blocking-job-shop instance"),
        (["instance=missing.txt", "solver=spt"], "missing.txt: no such file"),
        (["instance=ta01-ta03", "solver=spt"], "3 instances; expected one"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(refuses, arguments, said):
    assert said in refuses("solve", *arguments)


def test_a_malformed_file_is_named_with_its_line(call, tmp_path):
    (tmp_path / "bad.txt").write_text("2 2\n0 3 1 -2\n1 4 0 1\n")
    answer = call("solve", "instance=bad.txt", "solver=spt", "out=s.json")
    assert answer.code == 2
    assert "bad.txt: line 2" in answer.err
    assert not (tmp_path / "s.json").exists()


def test_a_missing_extra_is_its_pip_command(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "ortools", None)
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    from optgap.co.benchmark.cells import warm_solver

    warm_solver.cache_clear()
    answer = call("solve", "instance=ft06", "solver=cp-sat")
    assert answer.code == 2
    assert "pip install 'optgap[cp]'" in answer.err


def test_ctrl_c_gives_the_incumbent(tmp_path):
    process = start(tmp_path, "solve", "instance=ft20", "solver=scip", "seconds=100", "out=s.json")
    assert "solving" in process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    instance = load_job_shop("ft20")
    JOB_SHOP.check(instance, schedule(tmp_path / "s.json"))
    assert f"cost     {JOB_SHOP.cost(instance, schedule(tmp_path / 's.json')):g}" in out
