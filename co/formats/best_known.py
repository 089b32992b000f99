"""Best-known costs of instance files: a ``best_known.json`` beside them, ``{"berlin52": 7542, ...}``."""

from __future__ import annotations

import json
from pathlib import Path

from optgap.co.core import InputError
from optgap.co.formats.files import read_text

BEST_KNOWN = "best_known.json"


def read_best_known(path: Path) -> float | None:
    """The best-known cost of the instance file ``path``, by its name without the suffix; None where none is said.

    Raises:
        InputError: the file of best-known costs is no JSON object, or the entry no number.
    """
    table = path.parent / BEST_KNOWN
    if not table.is_file():
        return None
    try:
        data = json.loads(read_text(table))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{table}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{table}: line 1: expected an object of instance names and costs")
    value = data.get(path.stem)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise InputError(f"{table}: {path.stem} is {str(value)[:20]}; expected a number, at least 0")
    return float(value)
