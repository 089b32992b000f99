"""Whatever a file holds, a reader gives an instance or one line that begins with the file's path: nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.formats.knapsack import read_knapsack
from optgap.co.formats.oplib import read_oplib
from optgap.co.formats.tsplib import read_tour, read_tsplib
from optgap.co.formats.vrplib import read_routes, read_vrplib

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
READERS = [read_tsplib, read_tour, read_vrplib, read_routes, read_oplib, read_knapsack]
PLANE = "DIMENSION : 3\nEDGE_WEIGHT_TYPE : GEO\nNODE_COORD_SECTION\n1 0 0\n2 0 3\n3 4.5 -3\n"
TABLE = "DIMENSION : 2\nEDGE_WEIGHT_TYPE : EXPLICIT\nEDGE_WEIGHT_FORMAT : FULL_MATRIX\nEDGE_WEIGHT_SECTION\n0 1 1 0\n"
FILES = {
    read_tsplib: [
        "TYPE : TSP\n" + PLANE,
        "TYPE : ATSP\n" + TABLE,
        "TYPE : TSP\n" + TABLE.replace("FULL_MATRIX", "UPPER_DIAG_COL").replace("0 1 1 0", "0 1 0"),
    ],
    read_tour: ["TYPE : TOUR\nDIMENSION : 3\nTOUR_SECTION\n1 3\n2\n-1\nEOF\n"],
    read_vrplib: ["TYPE : CVRP\nCAPACITY : 9\n" + PLANE + "DEMAND_SECTION\n1 0\n2 5\n3 9\nDEPOT_SECTION\n1\n-1\n"],
    read_routes: ["Route #1: 3 1\nRoute #2: 2\nCost 22\n"],
    read_oplib: ["TYPE : OP\nCOST_LIMIT : 900\n" + PLANE + "NODE_SCORE_SECTION\n1 0\n2 5\n3 9\nDEPOT_SECTION\n1\n-1\n"],
    read_knapsack: ["3 4.5\n10 1\n20 2.25\n30 3\n"],
}
CASES = [(reader, text) for reader, texts in FILES.items() for text in texts]
PIECES = [
    "", "0", "-1", "1", "2", "3", "4", "1.5", "1e999", "-1e15", "nan", "inf", "1_0", "9" * 25, "10000000", "٣", "\x00",
    "\u2028", "\r", ":", "#", "EOF", "TSP", "ATSP", "EUC_3D", "EXACT_2D", "EXPLICIT", "UPPER_ROW", "LOWER_DIAG_ROW",
    "DIMENSION", "DIMENSION : 20000", "DEPOT_SECTION", "NODE_COORD_SECTION", "EDGE_WEIGHT_SECTION", "Route #9:", "Cost",
]  # fmt: skip


def attempt(reader: Callable[[Path], Any], path: Path) -> bool:
    """Read; whether it could be. An InputError must be one line that begins with the file's path."""
    try:
        reader(path)
    except InputError as error:
        message = str(error)
    else:
        return True
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 500
    return False


@pytest.mark.parametrize(("reader", "text"), CASES)
def test_the_unspoilt_files_are_read(tmp_path, reader, text):
    path = tmp_path / "good.txt"
    path.write_text(text)
    assert attempt(reader, path)


@pytest.mark.parametrize("reader", READERS)
@FUZZ
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes(tmp_path, reader, data):
    path = tmp_path / "fuzz.txt"
    path.write_bytes(data)
    attempt(reader, path)


@pytest.mark.parametrize("reader", READERS)
@FUZZ
@given(text=st.text(max_size=200))
def test_arbitrary_text(tmp_path, reader, text):
    path = tmp_path / "fuzz.txt"
    path.write_text(text, encoding="utf-8", newline="")
    attempt(reader, path)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[str], str]:
    """One to three of: a word replaced, a word put in, a line doubled, lost or moved, the rest cut off."""
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(range(6)), st.floats(0, 1, exclude_max=True), st.sampled_from(PIECES)),
            min_size=1,
            max_size=3,
        )
    )

    def change(text: str) -> str:
        for kind, where, piece in steps:
            lines = text.split("\n")
            row = int(where * len(lines))
            words = lines[row].split(" ")
            word = int(where * 7919 % 1 * len(words))
            if kind == 0:
                words[word] = piece
            elif kind == 1:
                words.insert(word, piece)
            lines[row] = " ".join(words)
            if kind == 2:
                lines.insert(row, lines[row])
            elif kind == 3:
                del lines[row]
            elif kind == 4:
                lines.append(lines.pop(row))
            elif kind == 5:
                lines = lines[:row]
            text = "\n".join(lines)
        return text

    return change


@pytest.mark.parametrize(("reader", "text"), CASES)
@FUZZ
@given(change=changes())
def test_spoilt_files(tmp_path, reader, text, change):
    path = tmp_path / "fuzz.txt"
    path.write_text(change(text), encoding="utf-8", newline="")
    attempt(reader, path)


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        (read_tsplib, "tsp/burma14.tsp"),
        (read_tsplib, "tsp/bayg29.tsp"),
        (read_tsplib, "atsp/br17.atsp"),
        (read_tour, "tsp/ulysses16.opt.tour"),
        (read_vrplib, "cvrp/X-n106-k14.vrp"),
        (read_routes, "cvrp/X-n106-k14.sol"),
        (read_oplib, "op/att48-gen3-50.oplib"),
    ],
)
@FUZZ
@given(change=changes())
def test_spoilt_public_files(tmp_path, data_folder, reader, name, change):
    path = tmp_path / "fuzz.txt"
    path.write_text(change((data_folder / name).read_text()), encoding="utf-8", newline="")
    attempt(reader, path)
