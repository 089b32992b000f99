"""Instances as ``.npz`` archives of plain arrays, an array a field: for problems that have no file format of their own."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from optgap.co.core import InputError, Instance

SUFFIX = ".npz"
DAMAGED = (  # what np.load raises for a file that is no archive of arrays
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    SyntaxError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
OWN = ("name", "best_known")  # fields that are not in the file

I = TypeVar("I", bound=Instance)  # noqa: E741  (the field's letter for an instance)


def read_archive(kind: type[I], path: str | Path) -> I:
    """The instance of type ``kind`` that :func:`write_archive` wrote; its name is the file's.

    Raises:
        InputError: no such file, not an archive of this kind, or values that the instance refuses.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {item.name: data[item.name] for item in fields(kind) if item.name in data and item.name not in OWN}
            return kind(name=path.stem, **{name: _plain(array) for name, array in arrays.items()})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (*DAMAGED, OSError, MemoryError) as error:
        raise InputError(f"{path}: is no {kind.__name__}: {' '.join(str(error).split())}") from None


def read_archives(kind: type[I], path: str | Path) -> list[I]:
    """Every instance of a folder (``.npz`` files, by name), or the one of a file."""
    path = Path(path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no {kind.__name__} in this folder; expected {SUFFIX} files")
    return [read_archive(kind, file) for file in files]


def write_archive(path: str | Path, instance: Instance) -> None:
    """Write an instance; its fields are arrays, numbers, text, tuples of text, or None (not written).

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: expected a name that ends in {SUFFIX}")
    values = {item.name: getattr(instance, item.name) for item in fields(instance) if item.name not in OWN}
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in values.items() if value is not None}
    try:
        np.savez_compressed(path, **arrays)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _plain(array: Any) -> Any:
    """Numbers and text as Python has them, rows of text as tuples."""
    if array.ndim == 0:
        return array.item()
    return tuple(array.tolist()) if array.dtype.kind == "U" else array
