"""Instances by name: the carried optima are proved again here, random names repeat, files are found, wrong names guided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optgap.co.core import PROBLEMS, InputError
from optgap.co.problems import routing_instances as routing
from optgap.co.problems.cvrp import CVRP_PROBLEM, join_routes
from optgap.co.problems.routing_instances import load_atsp, load_cvrp, load_kp, load_op, load_tsp
from optgap.co.problems.tsp import TSP_PROBLEM

LOADERS: dict[str, Any] = {"tsp": load_tsp, "atsp": load_atsp, "cvrp": load_cvrp, "op": load_op, "kp": load_kp}
TSP_FILE = "TYPE : TSP\nDIMENSION : 2\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n2 3 4\nEOF\n"
ATSP_FILE = (
    "TYPE : ATSP\nDIMENSION : 2\nEDGE_WEIGHT_TYPE : EXPLICIT\nEDGE_WEIGHT_FORMAT : FULL_MATRIX\n"
    "EDGE_WEIGHT_SECTION\n0 1\n2 0\nEOF\n"
)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An own data folder, with one file a problem."""
    monkeypatch.setenv("OPTGAP_DATA", str(tmp_path))
    for problem in LOADERS:
        (tmp_path / problem).mkdir()
    (tmp_path / "tsp" / "two.tsp").write_text(TSP_FILE)
    (tmp_path / "atsp" / "two.atsp").write_text(ATSP_FILE)
    (tmp_path / "cvrp" / "two.vrp").write_text(
        TSP_FILE.replace("TSP", "CVRP").replace("EOF", "DEMAND_SECTION\n1 0\n2 1\nDEPOT_SECTION\n1\n-1\nCAPACITY : 9")
    )
    (tmp_path / "kp" / "two.kp").write_text("2 3\n1 2\n3 4\n")
    return tmp_path


def shortest_tour(distances: np.ndarray) -> float:
    """Held and Karp 1962: best[S, j] is the shortest path from the last node through the set S that ends in j."""
    m = len(distances) - 1
    best = np.full((1 << m, m), np.inf)
    for j in range(m):
        best[1 << j, j] = distances[m, j]
    bit = 1 << np.arange(m)
    for subset in range(1, 1 << m):
        inside = (subset & bit) > 0
        arrive = (best[subset, :, None] + distances[:m, :m]).min(0)  # inf from outside the subset
        for k in np.flatnonzero(~inside):
            best[subset | bit[k], k] = arrive[k]
    return float((best[-1] + distances[:m, m]).min())


@pytest.mark.parametrize(("problem", "name"), [("tsp", "burma14"), ("tsp", "ulysses16"), ("atsp", "br17")])
def test_the_carried_tour_optima_are_the_optima(problem, name):
    instance = LOADERS[problem](name)
    assert shortest_tour(instance.distances) == instance.best_known.lower == instance.best_known.upper


@pytest.mark.parametrize("name", ["p01", "p07"])
def test_the_carried_knapsack_optima_are_the_optima(name):
    instance = load_kp(name)
    best = np.zeros(int(instance.capacity) + 1)
    for value, weight in zip(instance.value, instance.weight.astype(int), strict=True):
        best[weight:] = np.maximum(best[weight:], best[: len(best) - weight] + value)
    assert best[-1] == instance.best_known.lower == instance.best_known.upper


@pytest.mark.parametrize("problem", sorted(LOADERS))
def test_random_names_draw_what_the_problem_generates(problem):
    kind = routing.KINDS[problem]
    instance = LOADERS[problem]("uniform-20-s3")
    drawn = PROBLEMS.load(problem).generate(np.random.default_rng(3), **{kind.size: 20})
    assert instance.name == "uniform-20-s3"
    assert type(instance) is kind.type
    for field in ("coordinates", "matrix", "demand", "prize", "value", "weight"):
        assert np.array_equal(getattr(instance, field, None), getattr(drawn, field, None))
    other = LOADERS[problem]("uniform-20-s4")
    numbers = "value" if problem == "kp" else "distances"
    assert not np.array_equal(getattr(instance, numbers), getattr(other, numbers))


@pytest.mark.parametrize("problem", ["tsp", "cvrp", "op"])
def test_clustered_names_draw_clusters(problem):
    drawn = PROBLEMS.load(problem).generate(
        np.random.default_rng(3), **{routing.KINDS[problem].size: 20}, distribution="clustered"
    )
    assert np.array_equal(LOADERS[problem]("clustered-20-s3").coordinates, drawn.coordinates)


def test_files_are_found_by_name_and_by_path(elsewhere, monkeypatch):
    for problem in ("tsp", "atsp", "cvrp", "kp"):
        path = elsewhere / problem / f"two{routing.KINDS[problem].suffix}"
        assert LOADERS[problem]("two").name == LOADERS[problem](path).name == LOADERS[problem](str(path)).name == "two"
        assert [item.name for item in routing.load_folder(problem, path.parent)] == ["two"]
    monkeypatch.chdir(elsewhere / "tsp")
    (elsewhere / "tsp" / "two.tsp").rename("bare")
    assert load_tsp("bare").n_nodes == 2


@pytest.mark.parametrize(
    ("problem", "name", "said"),
    [
        (
            "tsp",
            "burma",
            "unknown tsp instance 'burma' (did you mean burma14?); expected burma14, ulysses16, uniform-<no",
        ),
        ("tsp", "twoo", "(did you mean two?)"),
        ("tsp", "twoo", "a .tsp file, or the name of one in {data}/tsp"),
        (
            "kp",
            "zzz",
            "unknown kp instance 'zzz'; expected p01, p07, uniform-<items>-s<seed>, a .kp file, or the name of one",
        ),
        ("op", "gone.oplib", "gone.oplib: no such file"),
        ("op", "no/where", "no/where: no such file"),
        ("kp", "clustered-20-s3", "instances of kp have no places to cluster"),
        ("atsp", "uniform-5001-s3", "5001 nodes; expected at most 5000"),
        ("tsp", "uniform-0-s3", "nodes is 0; expected at least 1"),
        ("tsp", "{data}/atsp/two.atsp", "two.atsp: is no tsp instance; expected one, or problem=<its own>"),
        ("tsp", "{data}", "is a folder; expected a file"),
    ],
)
def test_wrong_names_say_what_is_right(elsewhere, problem, name, said):
    with pytest.raises(InputError) as raised:
        LOADERS[problem](name.format(data=elsewhere))
    assert said.format(data=elsewhere) in str(raised.value)


def test_without_a_data_folder_the_message_says_so(monkeypatch):
    monkeypatch.delenv("OPTGAP_DATA", raising=False)
    monkeypatch.setattr(routing, "__file__", "/nowhere/optgap/co/problems/routing_instances.py")
    assert routing.data_folder() is None
    with pytest.raises(InputError, match=r"the name of one in \$OPTGAP_DATA, which is not set"):
        load_tsp("berlin52")


def test_a_folder_without_instances_is_refused(elsewhere):
    with pytest.raises(InputError, match="no op instance in this folder; expected"):
        routing.load_folder("op", elsewhere / "op")


# arrays


def write_arrays(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


PAIR = np.array([[[0, 0], [3, 4], [3, 0]], [[0, 0], [1, 0], [0, 0]]], float)


def test_arrays_are_many_instances(tmp_path):
    path = write_arrays(tmp_path / "pair.npz", coords=PAIR, lengths=[12.0, 2.0], tours=[[0, 1, 2]] * 2)
    first, second = routing.load_folder("tsp", path)
    assert (first.name, second.name) == ("pair-0", "pair-1")
    assert tuple(first.best_known) == (12, 12, "pair.npz")
    assert TSP_PROBLEM.cost(first, [0, 1, 2]) == 12
    assert routing.load_arrays("tsp", write_arrays(tmp_path / "bare.npz", coords=PAIR))[0].best_known is None
    routes = {"demands": [[0, 1, 2]] * 2, "capacity": [3, 4], "lengths": [12.0, 2.0]}
    first, second = routing.load_arrays("cvrp", write_arrays(tmp_path / "routes.npz", coords=PAIR, **routes))
    assert second.capacity == 4
    assert tuple(first.best_known)[:2] == (0, 12)


@pytest.mark.parametrize(
    ("problem", "arrays", "said"),
    [
        ("tsp", {"points": PAIR}, "no array coords; expected coords"),
        ("cvrp", {"coords": PAIR}, "no array demands; expected coords, demands, capacity"),
        ("tsp", {"coords": PAIR[0]}, "coords of shape (3, 2); expected (instances, nodes, 2)"),
        ("tsp", {"coords": PAIR[:0]}, "coords holds no instance"),
        ("tsp", {"coords": PAIR, "lengths": [1.0]}, "lengths of shape (1,); expected (2,)"),
        ("cvrp", {"coords": PAIR, "demands": [[1]], "capacity": [1, 2]}, "demands of shape (1, 1); expected (2, 3)"),
        (
            "cvrp",
            {"coords": PAIR, "demands": [[0, 1, 9]] * 2, "capacity": [3, 3]},
            "demand of node 2 is 9; expected 0 to",
        ),
        ("tsp", {"coords": PAIR * np.nan}, "instance bad-0: coordinates[0, 0] is nan"),
        ("tsp", {"coords": np.array([["a"]])}, "cannot be read as arrays"),
        ("tsp", {"coords": np.array([{}], object)}, "cannot be read as arrays"),
        ("op", {"coords": PAIR}, "instances of op are not read from arrays; expected problem=tsp or cvrp"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, problem, arrays, said):
    path = write_arrays(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError) as raised:
        routing.load_arrays(problem, path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as arrays"):
        routing.load_arrays("tsp", path)
    with pytest.raises(InputError, match="no such file"):
        routing.load_arrays("tsp", tmp_path / "gone.npz")


def test_public_arrays_have_the_lengths_that_they_say(data_folder):
    for size in (200, 500):
        with np.load(data_folder / "uniform" / f"tsp{size}.npz") as data:
            tours = data["tours"]
        for instance, tour in zip(
            routing.load_arrays("tsp", data_folder / "uniform" / f"tsp{size}.npz"), tours, strict=True
        ):
            TSP_PROBLEM.check(instance, tour)
            assert TSP_PROBLEM.cost(instance, tour) == pytest.approx(instance.best_known.upper, rel=1e-9)
        with np.load(data_folder / "uniform" / f"cvrp{size}.npz") as data:
            sequence, via_depot = data["sequence"], data["via_depot"]
        instances = routing.load_arrays("cvrp", data_folder / "uniform" / f"cvrp{size}.npz")
        for instance, order, via in zip(instances, sequence, via_depot, strict=True):
            solution = join_routes(np.split(order, np.flatnonzero(via)))
            CVRP_PROBLEM.check(instance, solution)
            assert CVRP_PROBLEM.cost(instance, solution) == pytest.approx(instance.best_known.upper, rel=1e-9)
