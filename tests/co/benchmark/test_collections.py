"""Collections of the routing and selection problems: names, ranges, files, folders, arrays; problems told by suffixes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from optgap.co.benchmark.collections import COLLECTIONS, load_instances, problem_of
from optgap.co.core import PROBLEMS, InputError
from optgap.co.formats.tsplib import write_tsplib

ROUTING = ("tsp", "atsp", "cvrp", "op", "kp")


@pytest.mark.parametrize("problem", [*ROUTING, "slicing", "mapf", "portfolio", "mean-variance"])
def test_the_showcase_is_loaded_and_belongs_to_the_problem(problem):
    collection = COLLECTIONS.load(problem)
    instances = load_instances(problem, collection.showcase)
    assert [item.name for item in instances] == list(collection.showcase)
    again = PROBLEMS.load(problem).generate(np.random.default_rng(0))
    assert {type(item) for item in instances} == {type(again)} == {collection.kind}


def test_ranges_of_seeds():
    found = load_instances("tsp", ["uniform-5-s0-s999"])
    assert [item.name for item in found] == [f"uniform-5-s{seed}" for seed in range(1000)]
    assert [item.name for item in load_instances("kp", ["uniform-5-s8-s11", "p01"])][2:] == [
        "uniform-5-s10",
        "uniform-5-s11",
        "p01",
    ]
    padded = [item.name for item in load_instances("job-shop", ["random-2x2-s09-s10"])]
    assert padded == ["random-2x2-s09", "random-2x2-s10"]


@pytest.mark.parametrize(
    ("problem", "names", "said"),
    [
        ("tsp", [], "no instance is named; expected for instance instances=burma14,ulysses16"),
        ("tsp", ["uniform-5-s3-s1"], "uniform-5-s3-s1: expected a rising range of at most 10000 names"),
        ("tsp", ["uniform-5-s0-s10000"], "expected a rising range of at most 10000 names"),
        ("tsp", ["uniform-5-s0-t9"], "unknown tsp instance 'uniform-5-s0-t9'"),
        ("atsp", ["burma14"], "unknown atsp instance 'burma14'"),
        ("atsp", ["two.tsp"], "two.tsp: is no atsp instance; expected one, or problem="),
        ("op", ["pair.npz"], "instances of op are not read from arrays"),
        ("tsp", ["gone.npz"], "gone.npz: no such file"),
        ("tsp", ["two.tsp", "more/two.tsp"], "more/two.tsp: a second instance named two"),
        ("cvrp", ["more"], "more: no cvrp instance in this folder; expected .vrp files"),
    ],
)
def test_wrong_names_are_refused(tmp_path, monkeypatch, problem, names, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    for path in ("two.tsp", "more/two.tsp"):
        write_tsplib(load_instances("tsp", ["uniform-2-s0"])[0], path)
    np.savez("pair.npz", coords=np.zeros((2, 3, 2)))
    with pytest.raises(InputError) as raised:
        load_instances(problem, names)
    assert said in str(raised.value)


def test_files_folders_and_arrays(tmp_path):
    for seed in (2, 1):
        write_tsplib(load_instances("tsp", [f"uniform-4-s{seed}"])[0], tmp_path / f"f{seed}.tsp")
    (tmp_path / "notes.txt").write_text("no instance")
    np.savez(tmp_path / "pair.npz", coords=np.random.default_rng(0).random((2, 3, 2)), lengths=[9.0, 8.0])
    found = load_instances("tsp", [str(tmp_path), str(tmp_path / "pair.npz"), "burma14"])
    assert [item.name for item in found] == ["f1", "f2", "pair-0", "pair-1", "burma14"]
    assert found[2].best_known.upper == 9


def test_the_suffix_tells_the_problem():
    told = {
        name: problem_of([f"my.folder/x{name}"])
        for name in (".tsp", ".atsp", ".vrp", ".oplib", ".kp", ".txt", ".json", "")
    }
    assert told == {
        ".tsp": "tsp", ".atsp": "atsp", ".vrp": "cvrp", ".oplib": "op", ".kp": "kp",
        ".txt": "job-shop", ".json": "job-shop", "": "job-shop",
    }  # fmt: skip


def test_a_folder_or_a_name_tells_the_problem(tmp_path):
    (tmp_path / "a.tsp").touch()
    (tmp_path / "best_known.json").touch()
    assert problem_of([str(tmp_path)]) == "tsp"
    assert problem_of(["blocking-2x2-p10-s0"]) == "blocking-job-shop"
    assert problem_of(["ft06", "ta01-ta80"]) == "job-shop"
    assert problem_of(["br17"]) == "atsp"
    assert problem_of(["no-such-name"]) == "job-shop"
    with pytest.raises(InputError, match="uniform-100-s0-s9: may be of tsp, atsp, cvrp, op, kp; expected problem="):
        problem_of(["uniform-100-s0-s9"])


def test_sizes_count_what_a_person_would():
    found = {
        problem: COLLECTIONS.load(problem).size_of(load_instances(problem, [name])[0])
        for problem, name in (
            ("job-shop", "ft06"), ("tsp", "burma14"), ("cvrp", "uniform-10-s0"), ("op", "uniform-10-s0"), ("kp", "p07"),
        )
    }  # fmt: skip
    assert found == {"job-shop": 36, "tsp": 14, "cvrp": 11, "op": 10, "kp": 15}


@pytest.mark.parametrize("problem", ROUTING)
def test_a_solution_is_written_in_every_form_that_is_promised(tmp_path, problem):
    collection = COLLECTIONS.load(problem)
    instance = collection.load("uniform-3-s0")
    solution = {"cvrp": [1, 0, 2, 0, 3], "op": [0], "kp": [0]}.get(problem, [0, 1, 2])
    for suffix in collection.solution_suffixes:
        collection.write(tmp_path / f"s{suffix}", instance, solution, {"seed": 1})
    assert json.loads((tmp_path / "s.json").read_text())["seed"] == 1
    assert {path.suffix for path in tmp_path.iterdir()} == set(collection.solution_suffixes)
