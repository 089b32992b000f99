"""The public files: published optima, tours and routes have exactly the lengths that are published."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from optgap.co.formats.oplib import read_oplib
from optgap.co.formats.tsplib import read_tour, read_tsplib
from optgap.co.formats.vrplib import read_routes, read_vrplib
from optgap.co.problems.cvrp import CVRP_PROBLEM
from optgap.co.problems.orienteering import ORIENTEERING
from optgap.co.problems.tsp import TSP_PROBLEM, ATSPInstance, TSPInstance


def sizes(name: str) -> int:
    """The number of nodes that a TSPLIB name ends in."""
    return int(re.search(r"\d+(?=p?$)", name)[0])


def test_every_tsplib_file_is_read_with_its_optimum(data_folder):
    for folder, kind in (("tsp", TSPInstance), ("atsp", ATSPInstance)):
        published = json.loads((data_folder / folder / "best_known.json").read_text())
        found = [read_tsplib(file) for file in sorted((data_folder / folder).glob(f"*.{folder}"))]
        assert {item.name: item.best_known.upper for item in found} == published
        assert {type(item) for item in found} == {kind}
        larger = {"ftv": 1}  # ftv33 has 34 nodes
        for item in found:
            size = sizes(item.name) + larger.get(item.name[:3], 0)
            assert item.n_nodes == {"kro124p": 100}.get(item.name, size)
            assert item.best_known.lower == item.best_known.upper


def test_optimal_tours_have_the_published_length(data_folder):
    checked = 0
    for file in sorted((data_folder / "tsp").glob("*.opt.tour")):
        tour = read_tour(file)
        instance_file = file.with_name(file.name.replace(".opt.tour", ".tsp"))
        assert len(tour) == sizes(instance_file.stem)
        if instance_file.exists():
            instance = read_tsplib(instance_file)
            TSP_PROBLEM.check(instance, tour)
            assert TSP_PROBLEM.cost(instance, tour) == instance.best_known.upper
            checked += 1
    assert checked >= 7


@pytest.mark.parametrize(("name", "length"), [("pcb442", 221440), ("gr666", 423710), ("att532", 309636)])
def test_the_tour_in_file_order_has_the_length_of_the_manual(data_folder, name, length):
    instance = read_tsplib(data_folder / "tsp" / f"{name}.tsp")
    assert TSP_PROBLEM.cost(instance, np.arange(instance.n_nodes)) == length  # TSPLIB 95, section 2


def test_every_solution_of_the_x_set_has_the_cost_written_in_it(data_folder):
    files = sorted((data_folder / "cvrp").glob("*.sol"))
    for file in files:
        instance, solution = read_vrplib(file.with_suffix(".vrp")), read_routes(file)
        CVRP_PROBLEM.check(instance, solution)
        written = float(re.search(r"Cost\s+(\S+)", file.read_text())[1])
        assert CVRP_PROBLEM.cost(instance, solution) == written == instance.best_known.upper
        assert f"-n{instance.n_nodes}-" in instance.name
    assert len(files) == 50


def test_best_known_scores_are_within_reach(data_folder):
    files = sorted((data_folder / "op").glob("*.oplib"))
    for file in files:
        instance = read_oplib(file)
        assert instance.name == file.stem
        best, everything = instance.best_known[:2]
        start, nodes = instance.start, np.arange(instance.n_nodes)
        there_and_back = instance.distance(start, nodes) + instance.distance(nodes, instance.end)
        reachable = instance.prize[there_and_back <= instance.limit].sum()
        path = [start]  # the nearest node next, as long as the way home is short enough
        while True:
            rest = np.setdiff1d(nodes, path)
            total = instance.length(path) + instance.distance(path[-1], rest) + instance.distance(rest, instance.end)
            rest = rest[total <= instance.limit]
            if not len(rest):
                break
            path.append(int(rest[np.argmin(instance.distance(path[-1], rest))]))
        path.append(instance.end)
        ORIENTEERING.check(instance, path)
        assert ORIENTEERING.cost(instance, path) <= best <= reachable <= everything
    assert len(files) == 48


def test_thousands_of_nodes_need_no_matrix(data_folder):
    instance = read_tsplib(data_folder / "tsp" / "brd14051.tsp")
    tour = np.arange(instance.n_nodes)
    TSP_PROBLEM.check(instance, tour)
    assert TSP_PROBLEM.cost(instance, tour) > instance.best_known.upper
    assert "distances" not in vars(instance)
