"""The error that every module of the tree engine raises, and the checks of single arguments that raise it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

import numpy as np

MOST = 2**31 - 1  # of what is counted in 32 bits


class GBTError(ValueError):
    """Data, a setting or a file that the engine cannot use, in one line; no model has been changed."""


def shown(value: Any) -> str:
    """``value`` as a message has it: on one line, and not long."""
    return " ".join(reprlib.repr(value).split())


def integer(name: str, value: Any, low: int, high: int = MOST) -> int:
    """The argument ``name`` as Python's integer; :class:`GBTError` unless it is an integer from ``low`` to ``high``."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and low <= value <= high:
        return int(value)
    raise GBTError(f"{name} is {shown(value)}; expected an integer {_span(low, high)}")


def number(name: str, value: Any, low: float, high: float) -> float:
    """The argument ``name`` as Python's float; :class:`GBTError` unless it is a number from ``low`` to ``high``."""
    kinds = (int, float, np.integer, np.floating)
    if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise GBTError(f"{name} is {shown(value)}; expected a number {_span(low, high)}")


def choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise :class:`GBTError` unless the argument ``name`` is one of some words."""
    if not isinstance(value, str) or value not in choices:
        raise GBTError(f"{name} is {shown(value)}; expected {' or '.join(choices)}")


def _span(low: float, high: float) -> str:
    return f"of at least {low}" if high == MOST else f"from {low:g} to {high:.9g}"
