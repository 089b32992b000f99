"""The form that TSPLIB, VRPLIB and OPLib share: ``KEYWORD : value`` lines, then sections of numbers, then ``EOF``.

Source: Reinelt, TSPLIB 95 (the manual). Every error names the file and the line. ``EXACT_2D`` (Euclidean, not rounded)
is LKH's addition, so that instances of the unit square can be written too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.formats.files import read_text
from optgap.co.problems.distances import LARGEST_MATRIX, LARGEST_NUMBER, NetworkInstance

F8 = NDArray[np.float64]
LARGEST_DIMENSION = 10_000_000  # nodes; a larger number is a corrupt header
KEYWORD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\s*(?:(:)(.*))?")
METRIC_OF = {
    "EUC_2D": "euc_2d",
    "CEIL_2D": "ceil_2d",
    "MAN_2D": "man_2d",
    "MAX_2D": "max_2d",
    "ATT": "att",
    "GEO": "geo",
    "EXACT_2D": "euclidean",
    "EXPLICIT": "explicit",
}
TYPE_OF = {metric: name for name, metric in METRIC_OF.items()}
# the part of the matrix that a format lists row by row; by columns, a symmetric matrix gives the other triangle's rows
PART_OF = {
    "FULL_MATRIX": "full",
    "UPPER_ROW": "upper",
    "LOWER_COL": "upper",
    "LOWER_ROW": "lower",
    "UPPER_COL": "lower",
    "UPPER_DIAG_ROW": "upper with diagonal",
    "LOWER_DIAG_COL": "upper with diagonal",
    "LOWER_DIAG_ROW": "lower with diagonal",
    "UPPER_DIAG_COL": "lower with diagonal",
}


@dataclass(frozen=True)
class Section:
    """The lines below a keyword, and where they stand."""

    path: Path
    name: str
    line: int  # of the keyword, counted from 1
    lines: list[str]

    def error(self, what: str, line: int | None = None) -> InputError:
        """An error at ``line``, or at the keyword."""
        return InputError(f"{self.path}: line {line or self.line}: {self.name}: {what}")

    @cached_property
    def numbers(self) -> F8:
        """(K,) all its numbers.

        Raises:
            InputError: a token is not a finite number of sensible size.
        """
        tokens = [token for line in self.lines for token in line.split()]
        try:
            values = np.array(list(map(float, tokens)), np.float64)
        except ValueError:
            at = next(i for i, token in enumerate(tokens) if not _is_number(token))
            raise self.error(f"{tokens[at][:20]!r}; expected a number", self.line_of(at)) from None
        good = np.abs(values) <= LARGEST_NUMBER  # nor is NaN
        if not good.all():
            at = int(np.argmin(good))
            raise self.error(f"{tokens[at][:20]}; expected a finite number up to {LARGEST_NUMBER:g}", self.line_of(at))
        return values

    def line_of(self, index: int) -> int:
        """The line in which number ``index`` stands."""
        for number, text in enumerate(self.lines, self.line + 1):
            index -= len(text.split())
            if index < 0:
                return number
        return self.line + len(self.lines)

    def line_of_node(self, node: int, width: int) -> int:
        """The line of ``node``, counted from 1, in a section that :meth:`by_node` has read."""
        return self.line_of(width * int(np.argmax(self.numbers[::width] == node)))

    def by_node(self, width: int, dimension: int, what: str) -> F8:
        """(dimension, width - 1) the values of nodes 1 to dimension; a line is a node's number and its values.

        Raises:
            InputError: a line of another length, a node missing, repeated or out of range.
        """
        values = self.numbers
        if len(values) != width * dimension or any(len(text.split()) not in (0, width) for text in self.lines):
            for number, text in enumerate(self.lines, self.line + 1):
                if len(text.split()) not in (0, width):
                    raise self.error(f"{len(text.split())} values; expected {width}: a node and {what}", number)
            raise self.error(f"{len(values) // width} nodes; expected DIMENSION {dimension}")
        rows = values.reshape(dimension, width)
        node = rows[:, 0]
        wrong = (node != np.floor(node)) | (node < 1) | (node > dimension)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise self.error(f"node {node[at]:.12g}; expected 1 to {dimension}", self.line_of(width * at))
        order = np.argsort(node, kind="stable")
        twice = np.flatnonzero(np.diff(node[order]) == 0)
        if len(twice):
            at = int(order[twice[0] + 1])
            raise self.error(f"node {node[at]:.12g} again; expected each node once", self.line_of(width * at))
        return np.ascontiguousarray(rows[order, 1:])

    def nodes(self, dimension: int) -> NDArray[np.int64]:
        """(K,) node indices, counted from 0, up to the first -1 or the section's end.

        Raises:
            InputError: a number that is no node.
        """
        values = self.numbers
        end = np.flatnonzero(values == -1)
        values = values[: end[0]] if len(end) else values
        wrong = (values != np.floor(values)) | (values < 1) | (values > dimension)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise self.error(f"node {values[at]:.12g}; expected 1 to {dimension}", self.line_of(at))
        return values.astype(np.int64) - 1


@dataclass(frozen=True)
class SectionFile:
    """A file taken apart: entries by keyword, each with its line and its text, and sections by keyword."""

    path: Path
    entries: dict[str, tuple[int, str]]
    sections: dict[str, Section]
    end: int  # its last line

    @classmethod
    def read(cls, path: str | Path, known: tuple[str, ...]) -> SectionFile:
        """Take the file apart.

        Args:
            known: sections that mean something here. Another one would change the problem, so it is refused.

        Raises:
            InputError: the file cannot be read, a line belongs to nothing, a keyword stands twice, an unknown section.
        """
        path = Path(path)
        lines = read_text(path).split("\n")
        entries: dict[str, tuple[int, str]] = {}
        sections: dict[str, Section] = {}
        current: list[str] | None = None
        for number, text in enumerate(lines, 1):
            first = text.lstrip()[:1]
            if not first or not (first.isascii() and first.isalpha()):
                if current is not None:
                    current.append(text)
                elif first:
                    raise InputError(f"{path}: line {number}: {_short(text)}; expected KEYWORD : value")
                continue
            match = KEYWORD.fullmatch(text.strip())
            if match is None:
                if current is not None:  # a number gone wrong, "nan 3": its section says so
                    current.append(text)
                    continue
                raise InputError(f"{path}: line {number}: {_short(text)}; expected KEYWORD : value")
            name, colon, value = match[1].upper(), match[2], (match[3] or "").strip()
            if name == "EOF":
                break
            if name in entries or name in sections:
                raise InputError(f"{path}: line {number}: {name} stands twice; expected it once")
            if colon and not (name.endswith("_SECTION") and not value):
                current = None
                if name != "COMMENT":
                    entries[name] = (number, value)
                continue
            if name not in known:
                raise InputError(
                    f"{path}: line {number}: section {name[:40]} is not supported; expected {', '.join(known)}"
                )
            current = []
            sections[name] = Section(path, name, number, current)
        if not entries and not sections:
            raise InputError(f"{path}: line {len(lines)}: the file holds no entries; expected KEYWORD : value lines")
        return cls(path, entries, sections, len(lines))

    def error(self, key: str, what: str) -> InputError:
        """An error at the entry ``key``, or at the end of the file where it is missing."""
        return InputError(f"{self.path}: line {self.entries.get(key, (self.end, ''))[0]}: {what}")

    def text(self, key: str) -> str:
        """The entry's first word; :class:`InputError` where the entry is missing."""
        words = self.entries.get(key, (0, ""))[1].split()
        if not words:
            raise self.error(key, f"{key} is missing; expected a line '{key} : ...'")
        return words[0]

    def number(self, key: str) -> float:
        """The entry as a finite number."""
        word = self.text(key)
        if not _is_number(word) or not abs(float(word)) <= LARGEST_NUMBER:
            raise self.error(key, f"{key} is {word[:20]!r}; expected a number up to {LARGEST_NUMBER:g}")
        return float(word)

    def section(self, name: str) -> Section:
        """The section; :class:`InputError` where it is missing."""
        if name not in self.sections:
            raise InputError(f"{self.path}: line {self.end}: {name} is missing; expected it before the end")
        return self.sections[name]

    def expect_type(self, *types: str) -> str:
        """The TYPE, one of ``types``."""
        found = self.text("TYPE").upper()
        if found not in types:
            raise self.error("TYPE", f"TYPE is {found[:20]}; expected {' or '.join(types)}")
        return found

    @property
    def dimension(self) -> int:
        """DIMENSION, the number of nodes."""
        value = self.number("DIMENSION")
        if value != int(value) or not 1 <= value <= LARGEST_DIMENSION:
            raise self.error(
                "DIMENSION", f"DIMENSION is {self.text('DIMENSION')[:20]}; expected 1 to {LARGEST_DIMENSION}"
            )
        return int(value)

    def network(self) -> dict[str, Any]:
        """Coordinates, matrix and metric: arguments of a :class:`NetworkInstance`.

        Raises:
            InputError: an edge-weight type or format that is not supported, a section missing or of the wrong size.
        """
        name, n = self.text("EDGE_WEIGHT_TYPE").upper(), self.dimension
        if name not in METRIC_OF:
            raise self.error("EDGE_WEIGHT_TYPE", f"EDGE_WEIGHT_TYPE is {name[:20]}; expected {', '.join(METRIC_OF)}")
        if name != "EXPLICIT":
            coordinates = self.section("NODE_COORD_SECTION").by_node(3, n, "two coordinates")
            return {"coordinates": coordinates, "metric": METRIC_OF[name]}
        positions = self.sections.get("NODE_COORD_SECTION") or self.sections.get("DISPLAY_DATA_SECTION")
        return {
            "coordinates": None if positions is None else positions.by_node(3, n, "two coordinates"),
            "matrix": self._matrix(n),
            "metric": "explicit",
        }

    def _matrix(self, n: int) -> F8:
        form = self.text("EDGE_WEIGHT_FORMAT").upper()
        if form not in PART_OF:
            raise self.error("EDGE_WEIGHT_FORMAT", f"EDGE_WEIGHT_FORMAT is {form[:20]}; expected {', '.join(PART_OF)}")
        section, part = self.section("EDGE_WEIGHT_SECTION"), PART_OF[form]
        expected = n * n if part == "full" else n * (n + 1) // 2 if "diagonal" in part else n * (n - 1) // 2
        if n > LARGEST_MATRIX:
            raise self.error("DIMENSION", f"DIMENSION is {n}; a matrix of distances holds at most {LARGEST_MATRIX}")
        values = section.numbers
        if len(values) != expected:
            raise section.error(f"{len(values)} numbers; expected {expected}: {form} of {n} nodes")
        matrix = np.zeros((n, n))
        if part == "full":
            matrix[:] = values.reshape(n, n)
        else:
            offset = 0 if "diagonal" in part else 1
            inside = np.triu_indices(n, offset) if part.startswith("upper") else np.tril_indices(n, -offset)
            matrix[inside] = values
            matrix.T[inside] = values
        negative = (values < 0).reshape(n, n) & ~np.eye(n, dtype=bool) if part == "full" else values < 0
        if negative.any():
            at = int(np.argmax(negative))
            raise section.error(f"distance {values[at]:.12g}; expected at least 0", section.line_of(at))
        return matrix

    def expect_symmetric(self, matrix: F8 | None) -> None:
        """Refuse an asymmetric matrix, at the line of its first entry that differs from its mirror image."""
        if matrix is None or np.array_equal(matrix, matrix.T):
            return
        i, j = (int(k) for k in np.argwhere(matrix != matrix.T)[0])
        section = self.section("EDGE_WEIGHT_SECTION")  # only a full matrix can be asymmetric
        raise section.error(
            f"{matrix[i, j]:.12g} from node {i + 1} to {j + 1} but {matrix[j, i]:.12g} back; "
            f"expected a symmetric matrix in a TYPE : {self.text('TYPE').upper()}",
            section.line_of(i * len(matrix) + j),
        )


def network_lines(instance: NetworkInstance) -> tuple[list[str], list[str]]:
    """Entries and sections that :meth:`SectionFile.network` reads back: the instance's distances and positions."""
    head = [f"DIMENSION : {instance.n_nodes}", f"EDGE_WEIGHT_TYPE : {TYPE_OF[instance.metric]}"]
    body: list[str] = []
    coordinates = None
    if instance.coordinates is not None:
        rows = enumerate(instance.coordinates.tolist(), 1)
        coordinates = [f"{node} {number_text(x)} {number_text(y)}" for node, (x, y) in rows]
    if instance.matrix is None:
        assert coordinates is not None
        return head, ["NODE_COORD_SECTION", *coordinates]
    head.append("EDGE_WEIGHT_FORMAT : FULL_MATRIX")
    body = ["EDGE_WEIGHT_SECTION", *(" ".join(map(number_text, row)) for row in instance.matrix.tolist())]
    if coordinates is not None:
        head.append("DISPLAY_DATA_TYPE : TWOD_DISPLAY")
        body += ["DISPLAY_DATA_SECTION", *coordinates]
    return head, body


def number_text(value: float) -> str:
    """The shortest text that reads back as exactly ``value``, without a decimal point where it is an integer."""
    return repr(float(value)).removesuffix(".0")


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text.strip()[:30])
