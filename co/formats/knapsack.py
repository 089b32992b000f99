"""The plain knapsack format (``.kp``): the first line is ``items capacity``, then one line an item: ``value weight``.

Blank lines are skipped and ``#`` starts a comment. An instance is named after its file, without the suffix. A best-known
value beside the file (``best_known.json``) is a lower bound; the upper one is then the sum of all values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optgap.co.core import Bounds, InputError
from optgap.co.formats.best_known import BEST_KNOWN, read_best_known
from optgap.co.formats.files import read_text, write_text
from optgap.co.formats.tsplib_sections import LARGEST_DIMENSION, number_text
from optgap.co.problems.distances import LARGEST_NUMBER
from optgap.co.problems.knapsack import KnapsackInstance


def read_knapsack(path: str | Path) -> KnapsackInstance:
    """Read an instance.

    Raises:
        InputError: the file cannot be read or is malformed; names the file, the line and what was expected.
    """
    path = Path(path)
    text = read_text(path).split("\n")
    rows = [(number, words) for number, line in enumerate(text, 1) if (words := line.partition("#")[0].split())]
    if not rows:
        raise InputError(f"{path}: line {len(text)}: the file holds no numbers; expected a first line 'items capacity'")
    items, capacity = _pair(path, *rows[0], "a first line 'items capacity'")
    if items != int(items) or not 1 <= items <= LARGEST_DIMENSION:
        raise InputError(f"{path}: line {rows[0][0]}: {items:.12g} items; expected 1 to {LARGEST_DIMENSION}")
    if len(rows) - 1 < items:
        raise InputError(
            f"{path}: line {len(text)}: the file ends after {len(rows) - 1} of {items:.0f} items; expected a line an item"
        )
    if len(rows) - 1 > items:
        raise InputError(f"{path}: line {rows[int(items) + 1][0]}: more lines than items; expected {items:.0f} items")
    table = np.array([_pair(path, *row, "a line 'value weight'") for row in rows[1:]])
    best = read_best_known(path)
    known = None if best is None else Bounds(best, max(best, float(table[:, 0].sum())), BEST_KNOWN)
    return KnapsackInstance(value=table[:, 0], weight=table[:, 1], capacity=capacity, name=path.stem, best_known=known)


def write_knapsack(instance: KnapsackInstance, path: str | Path) -> None:
    """Write an instance so that :func:`read_knapsack` gives it back.

    Raises:
        InputError: the file cannot be written.
    """
    rows = zip(instance.value.tolist(), instance.weight.tolist(), strict=True)
    lines = [f"{number_text(value)} {number_text(weight)}" for value, weight in rows]
    write_text(Path(path), "\n".join([f"{instance.n_items} {number_text(instance.capacity)}", *lines, ""]))


def _pair(path: Path, line: int, words: list[str], expected: str) -> tuple[float, float]:
    try:
        a, b = (float(word) for word in words)
    except ValueError:
        raise InputError(f"{path}: line {line}: {' '.join(words)[:30]!r}; expected {expected}") from None
    if not (0 <= a <= LARGEST_NUMBER and 0 <= b <= LARGEST_NUMBER):
        raise InputError(
            f"{path}: line {line}: {' '.join(words)[:30]!r}; expected finite numbers, 0 to {LARGEST_NUMBER:g}"
        )
    return a, b
