"""MovingAI maps and scenarios: what is read, what is refused, and boxes that cover the blocked cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.formats.movingai import Scenario, boxes_of, centre_of, read_boxes, read_map, read_scenarios

MAP = "type octile\nheight 2\nwidth 4\nmap\n.G@S\nOTW.\n"
LINE = "3\tmaps/a.map\t4\t2\t0\t0\t3\t1\t3.41421356"


def _written(tmp_path: Path, text: str, name: str = "a.map") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_map_is_read(tmp_path: Path) -> None:
    expected = [[False, False, True, False], [True, True, True, False]]
    for text in (MAP, MAP.replace("\n", "\r\n"), MAP + "\n\n", MAP[:-1]):
        assert read_map(_written(tmp_path, text)).tolist() == expected


def test_a_file_is_parsed_once_as_long_as_it_says_the_same(tmp_path: Path) -> None:
    path = _written(tmp_path, MAP)
    blocked, boxes = read_boxes(path)
    assert read_map(path) is blocked
    np.testing.assert_array_equal(boxes, boxes_of(blocked))
    for array in (blocked, boxes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    _written(tmp_path, MAP.replace("OTW.", "...."))
    assert read_map(path).sum() == 1
    _written(tmp_path, MAP)
    assert read_map(path).sum() == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the file ends; expected 'type' and a value"),
        (MAP.replace("type octile", "octile"), "line 1: 'octile'; expected 'type'"),
        (MAP.replace("height 2", "height x"), "line 2: height is 'x'; expected a whole number, 1 to 4096"),
        (MAP.replace("width 4", "width 0"), "line 3: width is '0'"),
        (MAP.replace("width 4", "width 99999"), "line 3: width is '99999'"),
        (MAP.replace("map\n", "mop\n"), "line 4: 'mop'; expected 'map'"),
        (MAP.replace(".G@S", ".G@"), "line 5: 3 characters; expected row 1 of 2, 4 characters"),
        (MAP.replace("OTW.", "OTx."), "line 6: column 3 is 'x'; expected one of"),
        (MAP.replace("OTW.\n", ""), "line 6: the file ends; expected row 2 of 2"),
        (MAP + "....\n", "line 7: '....'; expected the end"),
    ],
)
def test_maps_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_map(_written(tmp_path, text))
    assert f"a.map: {says}" in str(caught.value)


def test_scenarios_are_read(tmp_path: Path) -> None:
    text = f"version 1\n{LINE}\n\n{LINE.replace(chr(9), ' ')}\n"
    expected = Scenario(3, "a.map", 4, 2, (0, 0), (3, 1), 3.41421356)
    assert read_scenarios(_written(tmp_path, text, "a.scen")) == [expected, expected]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the file ends; expected 'version 1'"),
        (LINE, "line 1: "),
        ("version 1\n", "line 2: the file ends; expected problems"),
        ("version 1\n1\t2\t3\n", "line 2: 3 fields; expected 9"),
        (f"version 1\n{LINE}\n{LINE.replace('4', 'four', 1)}", "line 3: size is 'four'"),
        (
            f"version 1\n{LINE.replace('3	1	3', '4	1	3')}",
            "line 2: goal x is '4'; expected a whole number, 0 to 3",
        ),
        (f"version 1\n{LINE[:-10]}long", "line 2: length is 'long'; expected a number"),
    ],
)
def test_scenarios_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_scenarios(_written(tmp_path, text, "a.scen"))
    assert f"a.scen: {says}" in str(caught.value)


def test_files_that_are_missing(tmp_path: Path) -> None:
    for read in (read_map, read_scenarios):
        with pytest.raises(InputError, match="no such file"):
            read(tmp_path / "none")


def test_boxes_by_hand() -> None:
    blocked = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]], bool)
    np.testing.assert_allclose(boxes_of(blocked, 0.5), [[0, 0.5, 1, 1.5], [0.5, 0, 1.5, 0.5]])
    assert boxes_of(np.zeros((3, 2), bool)).shape == (0, 4)
    assert centre_of((2, 0), 3, 0.5).tolist() == [1.25, 1.25]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_boxes_cover_each_blocked_cell_once(seed: int, height: int, width: int) -> None:
    blocked = np.random.default_rng(seed).random((height, width)) < 0.5
    covered = np.zeros_like(blocked, int)
    for x0, y0, x1, y1 in boxes_of(blocked).astype(int):
        covered[height - y1 : height - y0, x0:x1] += 1
    np.testing.assert_array_equal(covered, blocked)
