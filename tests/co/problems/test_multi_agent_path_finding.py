"""Multi-agent path finding: what an instance may be, what a solution must keep, and what it costs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from mapf_cases import CASES, drawn, optimum

from optgap.co.benchmark.collections import load_instances, problem_of
from optgap.co.core import InfeasibleError, InputError
from optgap.co.problems.multi_agent_path_finding import MAPF, MAPFInstance, arrivals
from optgap.co.problems.multi_agent_path_finding_instances import load_mapf, load_mapf_folder

FIELDS = {"blocked": np.zeros((2, 3), bool), "starts": [0, 1], "goals": [2, 3]}


@pytest.mark.parametrize("case", CASES)
def test_the_hand_computed_optima_are_those_of_exhaustive_search(case):
    instance, best = CASES[case]
    assert optimum(instance) == best


def test_costs_and_arrivals_by_hand():
    instance, _ = CASES["a goal on the way"]  # cells 0 to 2 above, 3 to 5 below; a from 3 to 5, b's goal is 4
    paths = np.array([[3, 3, 4, 5, 5], [4, 1, 1, 1, 4]])
    MAPF.check(instance, paths)
    assert arrivals(instance, paths).tolist() == [3, 4]  # b was at its goal at first, but not for good
    assert MAPF.cost(instance, paths) == 7
    assert MAPF.cost(instance, np.pad(paths, ((0, 0), (0, 3)), mode="edge")) == 7  # staying costs nothing


def test_following_and_circles_are_allowed():
    MAPF.check(drawn("ab.   .AB"), [[0, 1], [1, 2]])
    MAPF.check(CASES["four that turn in a full square"][0], [[0, 1], [1, 3], [2, 0], [3, 2]])


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([[0, 1, 2], [3, 4, 5]], "paths of shape (2, 3), dtype int64; expected (3, times) integers"),
        ([0, 3, 8], "paths of shape (3,)"),
        (np.zeros((3, 0), int), "paths of shape (3, 0)"),
        (np.zeros((3, 2)), "dtype float64"),
        ([[0, 1], [3, 12], [8, 8]], "vehicle 1 is in cell 12 (row 4, column 0), outside the grid, at time 1"),
        ([[0, 1], [3, 4], [8, 7]], "vehicle 2 is in cell 7 (row 2, column 1), which is blocked, at time 1"),
        ([[1, 2], [3, 4], [8, 8]], "vehicle 0 begins in cell 1 (row 0, column 1); expected cell 0 (row 0, column 0)"),
        ([[0, 1, 2], [3, 2, 2], [8, 8, 8]], "vehicle 1 leaves cell 3 (row 1, column 0) for cell 2 (row 0, column 2), no ne"),
        ([[0, 2, 2], [3, 4, 5], [8, 8, 8]], "no neighbour, at time 0"),
        ([[0, 1, 1], [3, 4, 1], [8, 8, 8]], "vertex conflict: vehicles 0 and 1 in cell 1 (row 0, column 1) at time 2"),
        (
            [[0, 1, 4, 1], [3, 4, 1, 4], [8, 8, 8, 8]],
            "edge conflict: vehicles 0 and 1 swap cell 1 (row 0, column 1) and cell 4 (row 1, column 1) from time 1 to 2",
        ),
        ([[0, 1], [3, 4], [8, 8]], "vehicle 0 ends in cell 1 (row 0, column 1) at time 1; expected its goal, cell 2"),
    ],
)  # fmt: skip
def test_broken_solutions_are_refused(paths, said):
    blocked = np.zeros((4, 3), bool)
    blocked[2, 1] = True
    blocked[3] = True
    instance = MAPFInstance(name="grid", blocked=blocked, starts=np.array([0, 3, 8]), goals=np.array([2, 5, 8]))
    with pytest.raises(InfeasibleError, match=re.escape(said)):
        MAPF.check(instance, paths)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocked": np.zeros(6, bool)}, "blocked of shape (6,); expected (rows, columns)"),
        ({"starts": [], "goals": []}, "starts of shape (0,)"),
        ({"goals": [2]}, "goals of shape (1,), dtype int64; expected (V,) integers"),
        ({"starts": [0.0, 1.0]}, "dtype float64"),
        ({"goals": [2, 6]}, "goals: vehicle 1 in cell 6; expected 0..5"),
        (
            {"blocked": np.array([[0, 1, 0], [0, 0, 0]])},
            "starts: vehicle 1 in cell 1 (row 0, column 1), which is blocked",
        ),
        ({"goals": [5, 5]}, "goals: vehicles 0 and 1 both in cell 5 (row 1, column 2)"),
    ],
)
def test_unusable_instances_are_refused(changes, said):
    with pytest.raises(InputError, match=re.escape(said)):
        MAPFInstance(**(FIELDS | changes))


def test_distances_by_hand():
    instance = drawn("a#A\n...")
    assert instance.distances.tolist() == [[4, -1, 0, 3, 2, 1]]
    assert instance.lower_bound == 4
    assert drawn("a#A").lower_bound is None


@pytest.mark.parametrize("layout", ["random", "warehouse"])
def test_generated_instances_are_connected_and_repeat(layout):
    for seed in range(20):
        size = {"rows": 7, "columns": 9, "vehicles": 6, "layout": layout}
        instance, again = (MAPF.generate(np.random.default_rng(seed), **size) for _ in range(2))
        assert np.array_equal(instance.blocked, again.blocked)
        assert np.array_equal(instance.starts, again.starts)
        assert ((instance.distances >= 0) == ~instance.blocked.ravel()).all()  # every free cell reaches every goal


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"rows": 0}, "expected at least 1"),
        ({"layout": "maze"}, "layout is 'maze'; expected random or warehouse"),
        ({"obstacles": 1.0}, "obstacles is 1.0"),
        ({"rows": 2, "columns": 2, "vehicles": 5}, "5 vehicles do not fit"),
    ],
)
def test_impossible_sizes_are_refused(size, said):
    with pytest.raises(InputError, match=said):
        MAPF.generate(np.random.default_rng(0), **size)


def test_names():
    assert load_mapf("mapf-5x6-v3-s1").blocked.shape == (5, 6)
    shelves = load_mapf("mapf-warehouse-7x11-v3-s1")
    assert (shelves.n_vehicles, int(shelves.blocked.sum())) == (3, 32)
    with pytest.raises(InputError, match="unknown mapf instance 'ft06'; expected mapf-<rows>x<columns>"):
        load_mapf("ft06")


def test_files_of_the_movingai_benchmark(tmp_path):
    (tmp_path / "hall.map").write_text("type octile\nheight 2\nwidth 3\nmap\n.@.\n...\n")
    row = "0\thall.map\t3\t2\t{}\t{}\t{}\t{}\t1.0\n"
    lines = [row.format(0, 0, 2, 1), row.format(2, 1, 0, 0), row.format(1, 1, 2, 1)]
    (tmp_path / "hall-even-1.scen").write_text("version 1\n" + "".join(lines))
    name = str(tmp_path / "hall-even-1.scen")
    instance = load_mapf(f"{name}:2")
    assert (instance.name, instance.blocked.tolist()) == ("hall-even-1-v2", [[False, True, False], [False] * 3])
    assert (instance.starts.tolist(), instance.goals.tolist()) == ([0, 5], [5, 0])
    assert problem_of([f"{name}:2"]) == problem_of([name]) == problem_of([str(tmp_path)]) == "mapf"
    several = load_instances("mapf", [f"{name}:1", f"{name}:2"])
    assert [item.name for item in several] == ["hall-even-1-v1", "hall-even-1-v2"]
    (tmp_path / "small.scen").write_text("version 1\n" + lines[0] + "0\thall.map\t2\t2\t1\t1\t0\t0\t1.0\n")
    for file, said in (
        (f"{name}:4", "the file has 3 vehicles; expected 1..3 of them"),
        (f"{name}:0", "expected 1..3"),
        (name, "goals: vehicles 0 and 2 both in cell 5"),
        (f"{tmp_path}/gone.scen", "gone.scen: no such file"),
        (f"{tmp_path}/small.scen", "vehicle 1 is on hall.map, 2 x 2; expected all on hall.map, which is 3 x 2"),
    ):
        with pytest.raises(InputError, match=said):
            load_mapf(file)
    with pytest.raises(InputError, match="no mapf instance in this folder"):
        load_mapf_folder(tmp_path / "none")
