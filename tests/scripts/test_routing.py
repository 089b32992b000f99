"""The scripts on a routing problem, with a BQ network that has hardly learned anything."""

from __future__ import annotations

import csv
import importlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from optgap.co.benchmark.collections import load_instances
from optgap.co.formats.tsplib import read_tour, write_tsplib
from optgap.co.problems.tsp import TSP_PROBLEM

EIGHT = "instances=uniform-8-s0-s4,uniform-6-s0"


@pytest.fixture(scope="session")
def bq(tmp_path_factory) -> Path:
    """A run folder of the agent ``bq`` on tours of eight nodes."""
    train = importlib.import_module("train")
    out = tmp_path_factory.mktemp("bq")
    agent = ["agent.size=tiny", "agent.tokens=128", "agent.labels=128", "agent.label_processes=0"]
    rest = ["total_steps=64", "validation_instances=2", "reference_seconds=0.05", "final_seconds=0", f"out={out}"]
    before = os.environ.copy()
    assert train.main(["env=tsp", "agent=bq", "env.nodes=8", f"agent.label_folder={out}/labels", *agent, *rest]) == 0
    os.environ.clear()
    os.environ.update(before)
    return next((out / "tsp" / "bq").iterdir())


def test_the_first_labels_are_announced_and_the_gap_is_to_a_strong_solver(call, tmp_path, bq):
    agent = ["agent.size=tiny", "agent.tokens=128", "agent.labels=128", "agent.label_processes=0", "env.nodes=6"]
    arguments = ["env=tsp", "agent=bq", *agent, "total_steps=8", "validation_instances=1", "reference_seconds=0.05"]
    answer = call("train", *arguments, "final_seconds=0", "agent.label_folder=labels")
    assert answer.code == 0, answer.err
    assert "random instances against ils" in answer.out
    assert "prepare  labels 0/128" in answer.out
    assert json.loads((bq / "validation.json").read_text())["solver"] == "ils"


def test_instances_of_one_size_are_solved_together_and_each_is_checked(call, tmp_path, bq):
    answer = call("evaluate", f"run={bq}", EIGHT, "out=together.json")
    assert answer.code == 0, answer.err
    assert "a time is an instance's share of it" in answer.out
    together = json.loads((tmp_path / "together.json").read_text())["records"]
    assert [record["batch"] for record in together] == [5, 5, 5, 5, 5, 1]
    assert len({record["wall_seconds"] for record in together[:5]}) == 1
    for record in together:
        (instance,) = load_instances("tsp", [record["instance"]])
        TSP_PROBLEM.check(instance, np.array(record["solution"]))
        assert TSP_PROBLEM.cost(instance, np.array(record["solution"])) == record["cost"]


def test_a_reference_is_solved_once_and_only_where_no_best_known_cost_is(call, tmp_path, bq):
    command = ["evaluate", f"run={bq}", f"{EIGHT},burma14", "reference=2-opt", "reference_seconds=0.5", "out=gaps.csv"]
    assert call(*command).code == 0
    kept = (tmp_path / "runs" / "references.jsonl").read_text()
    records = [json.loads(line) for line in kept.splitlines()]
    assert [(record["solver"], record["instance"]) for record in records] == [
        ("2-opt", name) for name in (*(f"uniform-8-s{seed}" for seed in range(5)), "uniform-6-s0")
    ]
    rows = list(csv.DictReader((tmp_path / "gaps.csv").read_text().splitlines()))
    for record in records:  # the gap is to the better of the two
        both = [row for row in rows if row["instance"] == record["instance"]]
        assert min(float(row["gap"]) for row in both) == 0
    assert sum(row["instance"] == "burma14" for row in rows) == 1
    answer = call(*command)
    assert answer.code == 0
    assert (tmp_path / "runs" / "references.jsonl").read_text() == kept
    assert "2-opt" in answer.out


@pytest.mark.parametrize("mode", [["sample", "samples=4"], ["beam", "width=2"], ["reconstruct", "seconds=0.2"]])
def test_every_mode_is_no_worse_than_greedy(call, tmp_path, bq, mode):
    costs = {}
    for name in (["greedy"], mode):
        answer = call("evaluate", f"run={bq}", "instances=uniform-8-s0", f"mode={name[0]}", *name[1:], "out=a.json")
        assert answer.code == 0, answer.err
        costs[name[0]] = json.loads((tmp_path / "a.json").read_text())["records"][0]["cost"]
    assert costs[mode[0]] <= costs["greedy"] * (1 + 1e-9)


def test_weights_tell_the_problem_and_draw_their_tour(call, tmp_path, bq):
    solver = f"solver={bq}@reconstruct"
    answer = call("solve", "instance=uniform-8-s1", solver, "seconds=0.2", "out=eight.tour", "plot=eight.png")
    assert answer.code == 0, answer.err
    (instance,) = load_instances("tsp", ["uniform-8-s1"])
    TSP_PROBLEM.check(instance, read_tour(tmp_path / "eight.tour"))
    assert (tmp_path / "eight.png").read_bytes().startswith(b"\x89PNG")


def test_a_name_that_several_problems_have_asks_for_one(refuses):
    said = refuses("solve", "instance=uniform-8-s1", "solver=scip")
    assert "uniform-8-s1: may be of tsp, atsp, cvrp, op, kp; expected problem=<one of them>" in said


def test_gaps_by_size_are_in_the_terminal_the_page_and_a_file(call, tmp_path, bq):
    (tmp_path / "tours").mkdir()
    for size in (5, 8, 9):
        write_tsplib(load_instances("tsp", [f"uniform-{size}-s0"])[0], tmp_path / "tours" / f"n{size}.tsp")
    (tmp_path / "tours" / "best_known.json").write_text(json.dumps({"n5": 1, "n8": 1, "n9": 1}))
    arguments = ["solvers=nearest-neighbour,2-opt", "instances=tours", "group=size", "edges=8", "out=bench"]
    answer = call("benchmark", *arguments, "seconds=0.5")
    assert answer.code == 0, answer.err
    lines = (tmp_path / "bench" / "groups.md").read_text().splitlines()
    assert lines[0] == "| solver | <8 (1) | >=8 (2) | all (3) | time |"
    assert len(lines) == 4
    summary = json.loads((tmp_path / "bench" / "results.json").read_text())["summary"]
    gaps = next(row["gaps"] for row in summary if row["solver"] == "2-opt")
    row = next(line for line in lines if line.startswith("| 2-opt"))
    assert row.split(" | ")[2] == f"{50 * (gaps['n8'] + gaps['n9']):.1f}%"
    assert "Mean gap by size" in answer.out
    page = (tmp_path / "bench" / "report.html").read_text()
    assert "By size" in page
    assert page.count("<polyline") == 3  # a tour an instance
    assert "&gt;=8 (2)" in page


def test_all_solvers_but_those_that_are_not_installed(call, monkeypatch, tmp_path):
    from optgap.co.core import SOLVERS, MissingExtraError

    def absent(instance, budget):
        raise MissingExtraError("lkh", "lkh")

    kept = {name: SOLVERS.load(name) for name in ("kp/greedy",)}
    monkeypatch.setattr(SOLVERS, "_targets", {**kept, "kp/absent": absent})
    answer = call("benchmark", "solvers=all", "instances=p01,p07", "seconds=0.1", "out=bench")
    assert answer.code == 0, answer.err
    assert answer.out.count("pip install 'optgap[lkh]'") == 1
    named = call("benchmark", "solvers=greedy,absent", "instances=p01", "seconds=0.1", "out=bench")
    assert named.code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["group=colour"], "group is 'colour'; expected size"),
        (["group=size", "edges=5,3"], "edges 5, 3: expected rising numbers above 0"),
        (["group=size", "edges=many"], "edges=many: expected integers"),
        (["problem=tsp"], "unknown solver 'greedy' of tsp"),
    ],
)
def test_bad_input_is_one_line(refuses, arguments, said):
    first = ["instances=uniform-8-s0"] if arguments == ["problem=tsp"] else ["instances=p01"]
    assert said in refuses("benchmark", "solvers=greedy", *first, *arguments)
