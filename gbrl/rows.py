"""What every part of the engine does with rows: check them, and share them out to threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.errors import GBTError

F32 = NDArray[np.float32]


def as_rows(x: ArrayLike, columns: int | None, name: str) -> F32:
    """``x`` as a contiguous float32 matrix, itself if it is one already.

    Raises:
        GBTError: not a matrix of numbers, or not of that many columns.
    """
    if isinstance(x, np.ndarray) and _ready(x) and columns in (None, x.shape[1]):
        return x
    try:
        with np.errstate(over="ignore"):
            # Writeable also: numba would compile every kernel anew for arrays that are not.
            rows = np.require(x, np.float32, ["C", "A", "W"])
    except (TypeError, ValueError):
        raise GBTError(f"{name}: expected numbers, found {type(x).__name__} that do not convert") from None
    if np.ndim(x) != 2 or (columns is not None and rows.shape[1] != columns):
        expected = f"(rows, {columns if columns is not None else 'features'})"
        raise GBTError(f"{name}: shape {np.shape(x)}; expected {expected}")
    return rows


def _ready(x: NDArray[Any]) -> bool:
    return x.dtype == np.float32 and x.ndim == 2 and x.flags.carray


def in_parallel(threads: int, entries: int, work: Callable[[int, int, int], Any]) -> list[Any]:
    """``work(begin, end, part)`` over equal parts of ``range(entries)``, one part a thread; the results in order.

    Kernels release the interpreter's lock. Threads live for one call (some 50 us each): nothing is left that a fork or
    a second caller could stumble over.
    """
    parts = max(1, min(threads, entries))
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
