"""Whether the fields of a configuration are of the types that they are declared with."""

from __future__ import annotations

import dataclasses
import sys
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from optgap.co.core import InputError

WORDS = {bool: "true or false", int: "an integer", float: "a finite number", str: "a text", NoneType: "nothing"}


def require_types(config: Any) -> None:
    """Raise an :class:`InputError` that names a field whose value is not of its type; an infinite number is of none.

    Declarations are read where they are one of :data:`WORDS`, lists of those, or unions of both; others are not judged.
    """
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, hint = getattr(config, field.name), hints[field.name]
        if not _fits(value, hint):
            raise InputError(f"{type(config).__name__}: {field.name} is {value!r}; expected {_words(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is list:
        return isinstance(value, list | tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max  # NaN compares false
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint not in WORDS or isinstance(value, hint)


def _words(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(map(_words, get_args(hint)))
    if get_origin(hint) is list:
        return f"a list of {_words(get_args(hint)[0]).partition(' ')[2]}s"  # "an integer" is one of integers
    return WORDS.get(hint, str(hint))
