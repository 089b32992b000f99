"""MovingAI benchmark files (Sturtevant 2012): occupancy grids ``.map`` and their problems ``.scen``.

A map has four header lines and ``height`` rows of ``width`` characters::

    type octile
    height 2
    width 3
    map
    .@.
    ...

``.``, ``G`` (ground) and ``S`` (swamp) are free; ``@``, ``O`` (out of bounds), ``T`` (trees) and ``W`` (water) are blocked.
A line of a ``.scen`` is, with tabs between: bucket, map, width, height, start x and y, goal x and y, length on the grid; x
is a column, y a row counted from the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.formats.files import read_text

FREE, BLOCKED = ".GS", "@OTW"
LARGEST = 4096  # cells a side


@dataclass(frozen=True)
class Scenario:
    """A problem of a ``.scen`` file: cells are (column, row), the row counted from the top."""

    bucket: int
    map: str  # name of the map file
    width: int
    height: int
    start: tuple[int, int]
    goal: tuple[int, int]
    length: float  # of the shortest path on the grid with diagonal moves, in cells


def read_map(path: str | Path) -> NDArray[np.bool_]:
    """(height, width) whether each cell is blocked, the top row first; read-only.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    return _parsed(Path(path), read_text(Path(path)))[0]


def read_boxes(path: str | Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """:func:`read_map`, and its :func:`boxes_of` for cells of 1 m; both read-only."""
    return _parsed(Path(path), read_text(Path(path)))


@lru_cache(maxsize=4)
def _parsed(path: Path, text: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """What a file says, kept: an environment asks at every reset, a set of problems for each of them."""
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    size = {}
    for number, key in enumerate(("type", "height", "width", "map"), 1):
        words = lines[number - 1].split() if len(lines) >= number else []
        if not words or words[0] != key or len(words) != (1 if key == "map" else 2):
            raise _error(path, number, f"{_seen(lines, number)}; expected {key!r}" + (" and a value" * (key != "map")))
        if key in ("height", "width"):
            size[key] = _whole(path, number, key, words[1], 1, LARGEST)
    rows = lines[4:]
    blocked = np.zeros((size["height"], size["width"]), bool)
    for row in range(size["height"]):
        number = row + 5
        if row >= len(rows) or len(rows[row]) != size["width"]:
            seen = _seen(lines, number) if row >= len(rows) else f"{len(rows[row])} characters"
            raise _error(
                path, number, f"{seen}; expected row {row + 1} of {size['height']}, {size['width']} characters"
            )
        wrong = [column for column, letter in enumerate(rows[row]) if letter not in FREE + BLOCKED]
        if wrong:
            letter = rows[row][wrong[0]]
            raise _error(path, number, f"column {wrong[0] + 1} is {letter!r}; expected one of {FREE}{BLOCKED}")
        blocked[row] = [letter in BLOCKED for letter in rows[row]]
    if len(rows) > size["height"]:
        raise _error(path, size["height"] + 5, f"{_seen(lines, size['height'] + 5)}; expected the end of the file")
    boxes = boxes_of(blocked)
    for array in (blocked, boxes):
        array.setflags(write=False)
    return blocked, boxes


def read_scenarios(path: str | Path) -> list[Scenario]:
    """The problems of a ``.scen`` file.

    Raises:
        InputError: as :func:`read_map`.
    """
    path = Path(path)
    lines = read_text(path).splitlines()
    if not lines or lines[0].split()[:1] != ["version"]:
        raise _error(path, 1, f"{_seen(lines, 1)}; expected 'version 1'")
    found = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split("\t")]
        if len(words) == 1:  # old files have blanks
            words = line.split()
        if len(words) != 9:
            raise _error(path, number, f"{len(words)} fields; expected 9: bucket, map, size, start, goal, length")
        bucket = _whole(path, number, "bucket", words[0], 0, 10**9)
        width, height = (_whole(path, number, "size", word, 1, LARGEST) for word in words[2:4])
        x0, y0, x1, y1 = (
            _whole(path, number, what, word, 0, end - 1)
            for what, word, end in zip(
                ("start x", "start y", "goal x", "goal y"), words[4:8], (width, height) * 2, strict=True
            )
        )
        try:
            length = float(words[8])
        except ValueError:
            raise _error(path, number, f"length is {words[8]!r}; expected a number") from None
        found.append(Scenario(bucket, Path(words[1]).name, width, height, (x0, y0), (x1, y1), length))
    if not found:
        raise _error(path, len(lines) + 1, "the file ends; expected problems")
    return found


def boxes_of(blocked: NDArray[np.bool_], cell: float = 1.0) -> NDArray[np.float64]:
    """(R, 4) disjoint boxes xmin, ymin, xmax, ymax that cover the blocked cells (height, width) exactly.

    The runs of each row, those one above the other that are equal being one box. The lowest row begins at y = 0, so that
    the map lies as it is written.

    Args:
        cell: m, side of a cell.
    """
    height = len(blocked)
    open_runs: dict[tuple[int, int], int] = {}  # (first, end) column -> first row
    found = []
    for row in range(height + 1):
        line = np.zeros(blocked.shape[1] + 2, np.int8)
        if row < height:
            line[1:-1] = blocked[row]
        edges = np.flatnonzero(np.diff(line)).tolist()
        runs = set(zip(edges[::2], edges[1::2], strict=True))
        for run in [run for run in open_runs if run not in runs]:
            top = open_runs.pop(run)
            found.append([run[0], height - row, run[1], height - top])
        for run in sorted(runs):
            open_runs.setdefault(run, row)
    return np.array(sorted(found), np.float64).reshape(-1, 4) * cell


def centre_of(place: tuple[int, int], height: int, cell: float = 1.0) -> NDArray[np.float64]:
    """(2,) centre in m of the cell (column, row from the top) of a map of ``height`` rows."""
    return np.array([place[0] + 0.5, height - place[1] - 0.5]) * cell


def _error(path: Path, number: int, text: str) -> InputError:
    return InputError(f"{path}: line {number}: {text}")


def _seen(lines: list[str], number: int) -> str:
    return f"{lines[number - 1][:40]!r}" if len(lines) >= number else "the file ends"


def _whole(path: Path, number: int, what: str, word: str, least: int, most: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 12 and least <= int(word) <= most):
        raise _error(path, number, f"{what} is {word[:20]!r}; expected a whole number, {least} to {most}")
    return int(word)
