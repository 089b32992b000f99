"""VRPLIB: instances and routes are read and written back, the depot may stand anywhere, errors say where and what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.formats.vrplib import read_routes, read_vrplib, write_routes, write_vrplib
from optgap.co.problems.cvrp import CVRP_PROBLEM, CVRPInstance

ROUND = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOY = """NAME : toy
TYPE : CVRP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EUC_2D
CAPACITY : 10
NODE_COORD_SECTION
1 0 0
2 0 3
3 4 3
4 4 0
DEMAND_SECTION
1 5
2 6
3 0
4 7
DEPOT_SECTION
3
-1
EOF
"""
SOLUTION = "Route #1: 1\nRoute #2: 3 2\n\nCost 22\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def test_the_depot_becomes_node_0_and_the_customers_keep_their_order(tmp_path):
    instance = read_vrplib(write(tmp_path / "toy.vrp", TOY))
    assert (instance.name, instance.capacity, instance.n_customers) == ("toy", 10, 3)
    assert instance.coordinates.tolist() == [[4, 3], [0, 0], [0, 3], [4, 0]]
    assert instance.demand.tolist() == [0, 5, 6, 7]
    assert instance.best_known is None


def test_an_explicit_matrix_is_reordered_too(tmp_path):
    text = TOY.replace("EUC_2D", "EXPLICIT\nEDGE_WEIGHT_FORMAT : LOWER_ROW")
    text = text.replace("DEMAND_SECTION", "EDGE_WEIGHT_SECTION\n1\n2 3\n4 5 6\nDEMAND_SECTION")
    instance = read_vrplib(write(tmp_path / "toy.vrp", text))
    assert instance.distances.tolist() == [[0, 2, 3, 6], [2, 0, 1, 4], [3, 1, 0, 5], [6, 4, 5, 0]]
    assert instance.positions.tolist() == [[4, 3], [0, 0], [0, 3], [4, 0]]


def test_a_best_known_cost_is_an_upper_bound(tmp_path):
    write(tmp_path / "best_known.json", '{"toy": 22.0}')
    assert tuple(read_vrplib(write(tmp_path / "toy.vrp", TOY)).best_known) == (0, 22, "best_known.json")


@ROUND
@given(seed=st.integers(0, 2**32), customers=st.integers(1, 6), explicit=st.booleans())
def test_instances_and_routes_written_are_read_back(tmp_path, seed, customers, explicit):
    rng = np.random.default_rng(seed)
    instance = CVRP_PROBLEM.generate(rng, customers=customers)
    if explicit:
        instance = CVRPInstance(
            matrix=instance.distances, metric="explicit", demand=instance.demand / 3, capacity=instance.capacity
        )
    write_vrplib(instance, tmp_path / "again.vrp")
    again = read_vrplib(tmp_path / "again.vrp")
    assert np.array_equal(again.distances, instance.distances)
    assert np.array_equal(again.demand, instance.demand)
    assert again.capacity == instance.capacity
    solution = np.zeros(2 * customers, np.int64)
    solution[::2] = rng.permutation(customers) + 1
    write_routes(tmp_path / "again.sol", instance, solution)
    assert np.array_equal(read_routes(tmp_path / "again.sol"), [0, *solution])


def test_the_form_of_routes(tmp_path):
    instance = read_vrplib(write(tmp_path / "toy.vrp", TOY))
    solution = read_routes(write(tmp_path / "toy.sol", SOLUTION))
    assert solution.tolist() == [0, 1, 0, 3, 2, 0]
    with pytest.raises(InfeasibleError, match="route 2 carries 13"):
        write_routes(tmp_path / "out.sol", instance, solution)
    assert not (tmp_path / "out.sol").exists()
    write_routes(tmp_path / "out.sol", instance, [1, 0, 2, 0, 0, 3])
    assert (tmp_path / "out.sol").read_text() == "Route #1: 1\nRoute #2: 2\nRoute #3: 3\nCost 24\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Route #1", "Rout 1", "line 1: 'Rout 1: 1'; expected 'Route #1: 5 3 ...' or 'Cost ...'"),
        ("3 2", "3 0", "line 2: '0'; expected a customer, 1 or more"),
        ("3 2", "3 -2", "line 2: '-2'; expected a customer, 1 or more"),
        ("3 2", "3 2.5", "line 2: '2.5'; expected a customer, 1 or more"),
        ("3 2", "9" * 30, "line 2: '99999999999999999999'; expected a customer, 1 or more"),
        ("Route #1: 1\nRoute #2: 3 2\n", "", "line 1: the file holds no route; expected 'Route #1: 5 3 ...'"),
    ],
)
def test_route_errors_say_where_and_what(tmp_path, old, new, message):
    path = write(tmp_path / "bad.sol", SOLUTION.replace(old, new))
    with pytest.raises(InputError) as raised:
        read_routes(path)
    assert str(raised.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("4 7", "4 11", "line 15: DEMAND_SECTION: node 4 demands 11; expected 0 to the capacity 10"),
        ("2 6", "2 -6", "line 13: DEMAND_SECTION: node 2 demands -6; expected 0 to the capacity 10"),
        ("3 0\n", "3 1\n", "line 14: DEMAND_SECTION: node 3 demands 1; expected 0 at the depot"),
        ("4 7\n", "", "line 11: DEMAND_SECTION: 3 nodes; expected DIMENSION 4"),
        ("4 7\n", "1 7\n", "line 15: DEMAND_SECTION: node 1 again; expected each node once"),
        ("DEPOT_SECTION\n3\n-1\n", "", "line 17: DEPOT_SECTION is missing; expected it before the end"),
        ("DEPOT_SECTION\n3", "DEPOT_SECTION\n3\n1", "line 16: DEPOT_SECTION: 2 depots; expected one"),
        ("DEPOT_SECTION\n3\n", "DEPOT_SECTION\n", "line 16: DEPOT_SECTION: 0 depots; expected one"),
        ("DEPOT_SECTION\n3\n", "DEPOT_SECTION\n9\n", "line 17: DEPOT_SECTION: node 9; expected 1 to 4"),
        ("CAPACITY : 10\n", "", "line 19: CAPACITY is missing; expected a line 'CAPACITY : ...'"),
        ("CAPACITY : 10", "CAPACITY : 0", "line 5: CAPACITY is 0; expected a number above 0"),
        ("CAPACITY : 10", "CAPACITY : nan", "line 5: CAPACITY is 'nan'; expected a number up to 1e+15"),
        ("NAME : toy", "DISTANCE : 200", "line 1: DISTANCE limits the routes, which is not supported; expected a CVRP "
         "with capacities alone"),
        ("NAME : toy", "SERVICE_TIME : 10", "line 1: SERVICE_TIME limits the routes, which is not supported; expected a "
         "CVRP with capacities alone"),
        ("DEPOT_SECTION", "TIME_WINDOW_SECTION", "line 16: section TIME_WINDOW_SECTION is not supported; expected "
         "NODE_COORD_SECTION, EDGE_WEIGHT_SECTION, DISPLAY_DATA_SECTION, DEMAND_SECTION, DEPOT_SECTION"),
        ("TYPE : CVRP", "TYPE : TSP", "line 2: TYPE is TSP; expected CVRP"),
        ("DIMENSION : 4", "DIMENSION : 1", "line 6: NODE_COORD_SECTION: 4 nodes; expected DIMENSION 1"),
        ("EUC_2D\n", "EXPLICIT\nEDGE_WEIGHT_FORMAT : FULL_MATRIX\nEDGE_WEIGHT_SECTION\n0 1 1 1\n1 0 1 1\n1 1 0 1\n1 1 2 0\n",
         "line 9: EDGE_WEIGHT_SECTION: 1 from node 3 to 4 but 2 back; expected a symmetric matrix in a TYPE : CVRP"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what(tmp_path, old, new, message):
    path = write(tmp_path / "bad.vrp", TOY.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        read_vrplib(path)
    assert str(raised.value) == f"{path}: {message}"


def test_a_depot_alone_is_refused(tmp_path):
    text = "TYPE : CVRP\nDIMENSION : 1\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n1 0 0\n"
    with pytest.raises(InputError, match="line 2: DIMENSION is 1; expected a depot and at least one customer"):
        read_vrplib(write(tmp_path / "bad.vrp", text))
