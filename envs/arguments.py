"""Checks of what numbers an environment is given: one line that names the argument, its value and what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from optgap.co.core import InputError

LEAST, LARGEST = 1e-6, 1e6  # of a number above 0: beyond, floating point and not the model would decide


def require_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise :class:`InputError` unless ``value`` is an integer in least..most."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} is {value!r}; expected a whole number from {least} to {most}")


def require_positive(name: str, value: Any, zero: bool = False) -> None:
    """Raise :class:`InputError` unless ``value`` is a number from :data:`LEAST` to :data:`LARGEST`, or 0 where ``zero``."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (number and (LEAST <= value <= LARGEST or (zero and value == 0))):
        raise InputError(f"{name} is {value!r}; expected {'0 or ' * zero}a number from {LEAST:g} to {LARGEST:g}")
