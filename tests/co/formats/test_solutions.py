"""Solutions as files: checked first, counted from 0 in JSON, and in the form of the suffix."""

from __future__ import annotations

import json

import pytest

from optgap.co.core import PROBLEMS, InfeasibleError
from optgap.co.formats.solutions import write_solution
from optgap.co.formats.tsplib import read_tour
from optgap.co.formats.vrplib import read_routes
from optgap.co.problems.routing_instances import load_atsp, load_cvrp, load_kp, load_op, load_tsp

CASES = {
    "tsp": (load_tsp("uniform-3-s0"), [2, 0, 1], "tour", [2, 0, 1], [0, 0, 1]),
    "atsp": (load_atsp("uniform-3-s0"), [2, 0, 1], "tour", [2, 0, 1], [0, 1]),
    "cvrp": (load_cvrp("uniform-3-s0"), [0, 2, 0, 0, 3, 1], "routes", [[2], [3, 1]], [1, 2]),
    "op": (load_op("uniform-3-s0"), [0], "path", [0], [1, 0]),
    "kp": (load_kp("p01"), [3, 1], "items", [3, 1], [3, 3]),
}


@pytest.mark.parametrize("problem", sorted(CASES))
def test_json_holds_the_checked_solution_and_the_facts(tmp_path, problem):
    instance, solution, key, expected, _ = CASES[problem]
    write_solution(problem, tmp_path / "s.json", instance, solution, {"solver": "by hand", "bound": None})
    data = json.loads((tmp_path / "s.json").read_text())
    assert data == {
        "format": "optgap-solution",
        "version": 1,
        "problem": problem,
        "instance": instance.name,
        "cost": PROBLEMS.load(problem).cost(instance, solution),
        "solver": "by hand",
        "bound": None,
        key: expected,
    }


@pytest.mark.parametrize(
    ("problem", "suffix"),
    [*((problem, ".json") for problem in CASES), ("tsp", ".tour"), ("atsp", ".tour"), ("cvrp", ".sol")],
)
def test_what_is_infeasible_is_not_written(tmp_path, problem, suffix):
    instance, *_, wrong = CASES[problem]
    with pytest.raises(InfeasibleError):
        write_solution(problem, tmp_path / f"s{suffix}", instance, wrong)
    assert list(tmp_path.iterdir()) == []


def test_tours_and_routes_have_their_own_forms(tmp_path):
    write_solution("tsp", tmp_path / "s.tour", *CASES["tsp"][:2])
    assert read_tour(tmp_path / "s.tour").tolist() == [2, 0, 1]
    write_solution("cvrp", tmp_path / "s.sol", *CASES["cvrp"][:2])
    assert read_routes(tmp_path / "s.sol").tolist() == [0, 2, 0, 3, 1, 0]
