"""What every part of the engine does with rows: check them, and share them out to threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.errors import GBTError, integer

F32 = NDArray[np.float32]

MOST_THREADS = 1024


def as_array(name: str, given: ArrayLike) -> NDArray[Any]:
    """The argument ``name`` as an array of bools, integers or floats; :class:`GBTError` unless it is one."""
    try:
        array = np.asarray(given)
        array = array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0, np.str_)
    if array.dtype.kind not in "bfiu":
        raise GBTError(f"{name}: expected numbers, found {type(given).__name__} that does not convert")
    return array


def as_rows(x: ArrayLike, columns: int | None, name: str) -> F32:
    """``x`` as a contiguous float32 matrix, itself if it is one already.

    Raises:
        GBTError: not a matrix of numbers, or not of that many columns.
    """
    if isinstance(x, np.ndarray) and _ready(x) and columns in (None, x.shape[1]):
        return x
    array = as_array(name, x)
    if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
        raise GBTError(
            f"{name}: shape {array.shape}; expected (rows, {columns if columns is not None else 'features'})"
        )
    with np.errstate(over="ignore"):
        # Writeable also: numba would compile every kernel anew for arrays that are not.
        return np.require(array, np.float32, ["C", "A", "W"])


def as_vector(name: str, given: ArrayLike | None, default: float, size: int) -> NDArray[np.float64]:
    """The argument ``name`` as a vector (size,) of its own; all ``default`` if it is None.

    Raises:
        GBTError: not so many numbers, or one that float32 does not hold.
    """
    if given is None:
        return np.full(size, default, np.float64)
    vector = as_array(name, given).astype(np.float64)
    if vector.shape != (size,) or not (np.abs(vector) <= np.finfo(np.float32).max).all():
        raise GBTError(f"{name}: shape {vector.shape}; expected {size} finite numbers")
    return vector


def as_flags(name: str, given: ArrayLike | None, size: int) -> NDArray[np.bool_]:
    """The argument ``name`` as bools (size,) of its own; none is set if it is None.

    Raises:
        GBTError: not so many bools.
    """
    flags = np.zeros(size, np.bool_) if given is None else as_array(name, given)
    if flags.shape != (size,) or not ((flags == 0) | (flags == 1)).all():
        raise GBTError(f"{name}: {flags.dtype} of shape {flags.shape}; expected {size} bools")
    return flags.astype(np.bool_)


def _ready(x: NDArray[Any]) -> bool:
    return x.dtype == np.float32 and x.ndim == 2 and x.flags.carray


def in_parallel(threads: int, entries: int, work: Callable[[int, int, int], Any]) -> list[Any]:
    """``work(begin, end, part)`` over equal parts of ``range(entries)``, one part a thread; the results in order.

    Kernels release the interpreter's lock. Threads live for one call (some 50 us each): nothing is left that a fork or
    a second caller could stumble over.

    Raises:
        GBTError: ``threads`` is no number of threads.
    """
    parts = max(1, min(integer("threads", threads, 1, MOST_THREADS), entries))
    bounds = [entries * part // parts for part in range(parts + 1)]
    results: list[Any] = [None] * parts
    errors: list[BaseException] = []

    def run(part: int) -> None:
        try:
            results[part] = work(bounds[part], bounds[part + 1], part)
        except BaseException as error:  # raised again in the calling thread
            errors.append(error)

    others = [Thread(target=run, args=(part,)) for part in range(1, parts)]
    for thread in others:
        thread.start()
    run(0)
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
    return results
