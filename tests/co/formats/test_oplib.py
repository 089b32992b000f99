"""OPLib: instances are read and written back; errors with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.formats.oplib import read_oplib, write_oplib
from optgap.co.problems.orienteering import OrienteeringInstance

ROUND = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOY = """NAME : kroA100
TYPE : OP
TSPSOL : 14
DIMENSION : 4
COST_LIMIT : 10
EDGE_WEIGHT_TYPE : EUC_2D
NODE_COORD_SECTION
1 0 0
2 0 3
3 4 3
4 4 0
NODE_SCORE_SECTION
1 0
2 5
3 6
4 7
DEPOT_SECTION
3
-1
EOF
"""


def test_the_file_gives_the_name_and_the_depot_is_start_and_end(tmp_path):
    (tmp_path / "toy-gen2.oplib").write_text(TOY)
    (tmp_path / "best_known.json").write_text('{"toy-gen2": 11}')
    instance = read_oplib(tmp_path / "toy-gen2.oplib")
    assert (instance.name, instance.limit, instance.start, instance.end) == ("toy-gen2", 10, 2, 2)
    assert instance.prize.tolist() == [0, 5, 6, 7]
    assert tuple(instance.best_known) == (11, 18, "best_known.json")


def test_two_depots_are_the_start_and_the_end(tmp_path):
    (tmp_path / "toy.oplib").write_text(TOY.replace("\n3\n-1", "\n4 1\n-1"))
    instance = read_oplib(tmp_path / "toy.oplib")
    assert (instance.start, instance.end, instance.best_known) == (3, 0, None)


@ROUND
@given(seed=st.integers(0, 2**32), nodes=st.integers(1, 6), explicit=st.booleans())
def test_instances_written_are_read_back(tmp_path, seed, nodes, explicit):
    rng = np.random.default_rng(seed)
    facts = {"prize": rng.random(nodes), "limit": 10.0 + rng.random(), "start": int(rng.integers(nodes)), "end": 0}
    instance = OrienteeringInstance(coordinates=rng.random((nodes, 2)), **facts)
    if explicit:
        instance = OrienteeringInstance(matrix=instance.distances, metric="explicit", **facts)
    write_oplib(instance, tmp_path / "again.oplib")
    again = read_oplib(tmp_path / "again.oplib")
    assert np.array_equal(again.distances, instance.distances)
    assert np.array_equal(again.prize, instance.prize)
    assert (again.limit, again.start, again.end) == (instance.limit, instance.start, instance.end)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("COST_LIMIT : 10\n", "", "line 20: COST_LIMIT is missing; expected a line 'COST_LIMIT : ...'"),
        ("LIMIT : 10", "LIMIT : 5", "line 5: limit 5: the nearest node costs 6; expected one in reach"),
        ("LIMIT : 10", "LIMIT : -1", "line 5: limit is -1; expected a number above 0"),
        ("3\n-1", "3 1\n-1", None),
        ("LIMIT : 10\n", "LIMIT : 4\nX : 1\n", "line 5: limit 4: the nearest node costs 6; expected one in reach"),
        ("4 7", "4 -7", "line 16: NODE_SCORE_SECTION: node 4 scores -7; expected at least 0"),
        ("4 7\n", "", "line 12: NODE_SCORE_SECTION: 3 nodes; expected DIMENSION 4"),
        ("4 7", "4", "line 16: NODE_SCORE_SECTION: 1 values; expected 2: a node and a score"),
        ("3\n-1", "3 1 2\n-1", "line 17: DEPOT_SECTION: 3 nodes; expected the start, or the start and the end"),
        ("3\n-1", "-1", "line 17: DEPOT_SECTION: 0 nodes; expected the start, or the start and the end"),
        ("TYPE : OP", "TYPE : TSP", "line 2: TYPE is TSP; expected OP"),
        ("4 4 0", "4 4 inf", "line 11: NODE_COORD_SECTION: inf; expected a finite number up to 1e+15"),
    ],
)
def test_errors_say_where_and_what(tmp_path, old, new, message):
    path = tmp_path / "bad.oplib"
    path.write_text(TOY.replace(old, new, 1))
    if message is None:
        assert read_oplib(path).end == 0
        return
    with pytest.raises(InputError) as raised:
        read_oplib(path)
    assert str(raised.value) == f"{path}: {message}"


def test_an_end_out_of_reach_is_refused_at_the_limit(tmp_path):
    path = tmp_path / "bad.oplib"
    path.write_text(TOY.replace("3\n-1", "3 1\n-1").replace("LIMIT : 10", "LIMIT : 4.5"))
    with pytest.raises(InputError, match=r"line 5: limit 4\.5: the end is 5 away; expected it in reach"):
        read_oplib(path)
