"""TSPLIB: every edge-weight form by hand, what is written is read back, and errors with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.formats.tsplib import read_tour, read_tsplib, write_tour, write_tsplib
from optgap.co.problems.distances import METRICS
from optgap.co.problems.tsp import ATSPInstance, TSPInstance

ROUND = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLANE = """NAME: toy
TYPE: TSP
COMMENT: three nodes: a triangle
COMMENT: and a second comment
DIMENSION: 3
EDGE_WEIGHT_TYPE: EUC_2D
NODE_COORD_SECTION
1 0 0
3 3.0e0 4
 2   3 0
EOF
what follows is not read
"""
MATRIX = """TYPE : {type}
DIMENSION : 3
EDGE_WEIGHT_TYPE : EXPLICIT
EDGE_WEIGHT_FORMAT : {form}
EDGE_WEIGHT_SECTION
{numbers}
EOF
"""
TOUR = "NAME : t\nTYPE : TOUR\nDIMENSION : 3\nTOUR_SECTION\n1 3\n2\n-1\nEOF\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def matrix_file(form: str, numbers: str, kind: str = "TSP") -> str:
    return MATRIX.format(type=kind, form=form, numbers=numbers)


@pytest.mark.parametrize("ends", ["\n", "\r\n", " \t\r\n"])
def test_nodes_in_any_order(tmp_path, ends):
    instance = read_tsplib(write(tmp_path / "plane.tsp", PLANE.replace("\n", ends)))
    assert type(instance) is TSPInstance
    assert (instance.name, instance.metric, instance.best_known) == ("plane", "euc_2d", None)
    assert instance.coordinates.tolist() == [[0, 0], [3, 0], [3, 4]]


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("FULL_MATRIX", "9 1 2\n1 9 3\n2 3 9"),
        ("UPPER_ROW", "1 2\n3"),
        ("UPPER_ROW", "1 2 3"),  # lines mean nothing
        ("LOWER_ROW", "1\n2 3"),
        ("UPPER_DIAG_ROW", "0 1 2\n0 3\n0"),
        ("LOWER_DIAG_ROW", "0\n1 0\n2 3 0"),
        ("UPPER_COL", "1\n2 3"),
        ("LOWER_COL", "1 2\n3"),
        ("UPPER_DIAG_COL", "0\n1 0\n2 3 0"),
        ("LOWER_DIAG_COL", "0 1 2\n0 3\n0"),
    ],
)
def test_every_matrix_format(tmp_path, form, numbers):
    instance = read_tsplib(write(tmp_path / "m.tsp", matrix_file(form, numbers)))
    assert instance.distances.tolist() == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]


def test_an_asymmetric_matrix_and_positions_for_drawing(tmp_path):
    text = matrix_file("FULL_MATRIX", "9999 1 2\n3 9999 4\n5 6 9999", "ATSP (by hand)")
    text = text.replace("EOF", "DISPLAY_DATA_SECTION\n1 0 0\n2 1 0\n3 0 1\nEOF")
    instance = read_tsplib(write(tmp_path / "m.atsp", text))
    assert type(instance) is ATSPInstance
    assert instance.distances.tolist() == [[0, 1, 2], [3, 0, 4], [5, 6, 0]]
    assert instance.positions.tolist() == [[0, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize(("name", "length"), [("EUC_2D", 5), ("CEIL_2D", 6), ("MAN_2D", 7), ("MAX_2D", 4), ("ATT", 2)])
def test_metrics_by_their_names(tmp_path, name, length):
    text = PLANE.replace("EUC_2D", name).replace("3.0e0 4", "3.4 3.9")  # 5.17; 7.3; sqrt(2.67) = 1.64
    assert read_tsplib(write(tmp_path / "m.tsp", text)).distance(0, 2) == length


def test_a_best_known_cost_beside_the_file_is_the_optimum(tmp_path):
    write(tmp_path / "best_known.json", '{"toy": 12, "other": 3}')
    assert tuple(read_tsplib(write(tmp_path / "toy.tsp", PLANE)).best_known) == (12, 12, "best_known.json")
    assert read_tsplib(write(tmp_path / "new.tsp", PLANE)).best_known is None


@pytest.mark.parametrize(
    "content", ["[1]", '{"toy": "short"}', '{"toy": NaN}', '{"toy": -1}', '{"toy": true}', "{", "[" * 9999]
)
def test_a_spoilt_table_of_best_known_costs_is_refused(tmp_path, content):
    write(tmp_path / "best_known.json", content)
    with pytest.raises(InputError, match=r"best_known.json: .*"):
        read_tsplib(write(tmp_path / "toy.tsp", PLANE))


# written and read back

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)


@ROUND
@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6), metric=st.sampled_from(sorted(METRICS)))
def test_coordinates_written_are_read_back(tmp_path, points, metric):
    instance = TSPInstance(coordinates=points, metric=metric)
    write_tsplib(instance, tmp_path / "again.tsp")
    again = read_tsplib(tmp_path / "again.tsp")
    assert (type(again), again.name, again.metric) == (TSPInstance, "again", metric)
    assert np.array_equal(again.coordinates, instance.coordinates)
    assert np.array_equal(again.distances, instance.distances)


@ROUND
@given(seed=st.integers(0, 2**32), nodes=st.integers(1, 6), symmetric=st.booleans(), whole=st.booleans())
def test_matrices_written_are_read_back(tmp_path, seed, nodes, symmetric, whole):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 9, (nodes, nodes)) if whole else rng.random((nodes, nodes))
    places = rng.random((nodes, 2)) if rng.random() < 0.5 else None
    kind = TSPInstance if symmetric else ATSPInstance
    instance = kind(matrix=matrix + matrix.T if symmetric else matrix, metric="explicit", coordinates=places)
    write_tsplib(instance, tmp_path / "again.tsp")
    again = read_tsplib(tmp_path / "again.tsp")
    assert type(again) is kind
    assert np.array_equal(again.distances, instance.distances)
    assert np.array_equal(again.positions, instance.positions)


# tours


def test_a_tour_by_hand_and_the_form_that_is_written(tmp_path):
    assert read_tour(write(tmp_path / "t.tour", TOUR)).tolist() == [0, 2, 1]
    bare = TOUR.replace("DIMENSION : 3\n", "").replace("-1\nEOF\n", "")
    assert read_tour(write(tmp_path / "t.tour", bare)).tolist() == [0, 2, 1]
    instance = read_tsplib(write(tmp_path / "toy.tsp", PLANE))
    write_tour(tmp_path / "best.tour", instance, [1, 0, 2])
    expected = "NAME : best\nCOMMENT : toy, length 12\nTYPE : TOUR\nDIMENSION : 3\nTOUR_SECTION\n2\n1\n3\n-1\nEOF\n"
    assert (tmp_path / "best.tour").read_text() == expected
    with pytest.raises(InfeasibleError, match="node 0 is visited 2 times"):
        write_tour(tmp_path / "bad.tour", instance, [0, 0, 1])
    assert not (tmp_path / "bad.tour").exists()


@ROUND
@given(order=st.integers(1, 9).flatmap(lambda n: st.permutations(range(n))))
def test_tours_written_are_read_back(tmp_path, order):
    write_tour(tmp_path / "t.tour", TSPInstance(coordinates=[(i, 0) for i in range(len(order))]), order)
    assert read_tour(tmp_path / "t.tour").tolist() == list(order)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 3\n2", "1 3\n1", "line 6: TOUR_SECTION: node 1 again; expected each node once"),
        ("1 3\n2", "1 3\n4", "line 6: TOUR_SECTION: node 4; expected 1 to 3"),
        ("1 3\n2", "1 0\n4", "line 5: TOUR_SECTION: node 0; expected 1 to 3"),
        ("1 3\n2", "1 3", "line 4: TOUR_SECTION: 2 nodes; expected 3"),
        ("1 3\n2", "1 x", "line 5: TOUR_SECTION: 'x'; expected a number"),
        ("TYPE : TOUR", "TYPE : TSP", "line 2: TYPE is TSP; expected TOUR"),
        ("TOUR_SECTION\n1 3\n2\n-1\n", "", "line 5: TOUR_SECTION is missing; expected it before the end"),
    ],
)
def test_tour_errors_say_where_and_what(tmp_path, old, new, message):
    path = write(tmp_path / "t.tour", TOUR.replace(old, new))
    with pytest.raises(InputError) as raised:
        read_tour(path)
    assert str(raised.value) == f"{path}: {message}"


# what is refused

FULL = matrix_file("FULL_MATRIX", "0 1 2\n1 0 3\n2 3 0")


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        ("", "", "", "line 1: the file holds no entries; expected KEYWORD : value lines"),
        (PLANE, "TYPE: TSP", "TYPE: CVRP", "line 2: TYPE is CVRP; expected TSP or ATSP"),
        (PLANE, "TYPE: TSP\n", "", "line 12: TYPE is missing; expected a line 'TYPE : ...'"),
        (PLANE, "DIMENSION: 3", "DIMENSION:", "line 5: DIMENSION is missing; expected a line 'DIMENSION : ...'"),
        (PLANE, "DIMENSION: 3", "DIMENSION: x", "line 5: DIMENSION is 'x'; expected a number up to 1e+15"),
        (PLANE, "DIMENSION: 3", "DIMENSION: 0", "line 5: DIMENSION is 0; expected 1 to 10000000"),
        (PLANE, "DIMENSION: 3", "DIMENSION: 2.5", "line 5: DIMENSION is 2.5; expected 1 to 10000000"),
        (PLANE, "DIMENSION: 3", "DIMENSION: 99999999999", "line 5: DIMENSION is 99999999999; expected 1 to 10000000"),
        (PLANE, "DIMENSION: 3", "DIMENSION: 9999999", "line 7: NODE_COORD_SECTION: 3 nodes; expected DIMENSION 9999999"),
        (PLANE, "DIMENSION: 3", "DIMENSION: 2", "line 7: NODE_COORD_SECTION: 3 nodes; expected DIMENSION 2"),
        (PLANE, "DIMENSION: 3", "NAME: b", "line 5: NAME stands twice; expected it once"),
        (PLANE, "EUC_2D", "EUC_3D", "line 6: EDGE_WEIGHT_TYPE is EUC_3D; expected EUC_2D, CEIL_2D, MAN_2D, MAX_2D, ATT, "
         "GEO, EXACT_2D, EXPLICIT"),
        (PLANE, "3.0e0 4", "nan 4", "line 9: NODE_COORD_SECTION: nan; expected a finite number up to 1e+15"),
        (PLANE, "3.0e0 4", "1e999 4", "line 9: NODE_COORD_SECTION: 1e999; expected a finite number up to 1e+15"),
        (PLANE, "3.0e0 4", "three 4", "line 9: NODE_COORD_SECTION: 'three'; expected a number"),
        (PLANE, "3.0e0 4", "3", "line 9: NODE_COORD_SECTION: 2 values; expected 3: a node and two coordinates"),
        (PLANE, "3 3.0e0", "2 3.0e0", "line 10: NODE_COORD_SECTION: node 2 again; expected each node once"),
        (PLANE, "3 3.0e0", "4 3.0e0", "line 9: NODE_COORD_SECTION: node 4; expected 1 to 3"),
        (PLANE, "3 3.0e0", "2.5 3.0e0", "line 9: NODE_COORD_SECTION: node 2.5; expected 1 to 3"),
        (PLANE, "NODE_COORD_SECTION\n", "", "line 7: '1 0 0'; expected KEYWORD : value"),
        (PLANE, "NODE_COORD_SECTION", "FIXED_EDGES_SECTION", "line 7: section FIXED_EDGES_SECTION is not supported; "
         "expected NODE_COORD_SECTION, EDGE_WEIGHT_SECTION, DISPLAY_DATA_SECTION"),
        (PLANE, "NODE_COORD_SECTION", "NODE_COORD_SECTION\nNODE_COORD_SECTION", "line 8: NODE_COORD_SECTION stands twice; "
         "expected it once"),
        (PLANE, "NAME: toy", "what is this", "line 1: 'what is this'; expected KEYWORD : value"),
        (PLANE, "TYPE: TSP", "TYPE: ATSP", "line 6: distances from coordinates in a TYPE : ATSP; expected EXPLICIT"),
        (FULL, "FULL_MATRIX", "HALF", "line 4: EDGE_WEIGHT_FORMAT is HALF; expected FULL_MATRIX, UPPER_ROW, LOWER_COL, "
         "LOWER_ROW, UPPER_COL, UPPER_DIAG_ROW, LOWER_DIAG_COL, LOWER_DIAG_ROW, UPPER_DIAG_COL"),
        (FULL, "EDGE_WEIGHT_FORMAT : FULL_MATRIX\n", "", "line 9: EDGE_WEIGHT_FORMAT is missing; expected a line "
         "'EDGE_WEIGHT_FORMAT : ...'"),
        (FULL, "2 3 0", "2 3", "line 5: EDGE_WEIGHT_SECTION: 8 numbers; expected 9: FULL_MATRIX of 3 nodes"),
        (FULL, "DIMENSION : 3", "DIMENSION : 30000", "line 2: DIMENSION is 30000; a matrix of distances holds at most 20000"),
        (FULL, "DIMENSION : 3", "DIMENSION : 20000", "line 5: EDGE_WEIGHT_SECTION: 9 numbers; expected 400000000: "
         "FULL_MATRIX of 20000 nodes"),
        (FULL, "1 0 3", "1 0 4", "line 7: EDGE_WEIGHT_SECTION: 4 from node 2 to 3 but 3 back; expected a symmetric matrix "
         "in a TYPE : TSP"),
        (FULL, "2 3 0", "2 -3 0", "line 8: EDGE_WEIGHT_SECTION: distance -3; expected at least 0"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what(tmp_path, text, old, new, message):
    path = write(tmp_path / "bad.tsp", text.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        read_tsplib(path)
    assert str(raised.value) == f"{path}: {message}"


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "bad.tsp").write_bytes(b"NAME: x\n\x80\xff")
    with pytest.raises(InputError, match="line 2: byte 0x80 is not UTF-8; expected text"):
        read_tsplib(tmp_path / "bad.tsp")
    with pytest.raises(InputError, match="no such file"):
        read_tsplib(tmp_path / "gone.tsp")
