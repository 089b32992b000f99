"""Rows to bins: edges fitted once, one byte a value, reused for every minibatch of a rollout.

A numeric value's bin is the number of edges below it, so that "bin > b" and "x > edges[b]" say the same of every float32,
and a tree that was grown on bins sends every raw row where its bins went.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.config import BINNINGS, MAX_BINS
from optgap.gbrl.errors import GBTError, choice, integer
from optgap.gbrl.lanes import INNER, KERNEL, count_below
from optgap.gbrl.rows import F32, as_flags, as_rows, in_parallel

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]

SAMPLE = 1 << 18  # rows that the edges are fitted to at most, evenly spaced among all
COLUMNS = 16  # features transposed, sorted and encoded at a time: a cache line of a row
LARGEST_CODE = 1 << 24  # up to here float32 holds every integer
FITTED, TOO_MANY, NO_CODE, MISSING, UNSEEN = 0, -1, -2, -3, -4


class Binner:
    """Bins of each feature, fitted to rows.

    Attributes:
        edges: (F, 256) float32. Numeric feature of B bins: B - 1 rising edges, midway between values of the rows, then
            inf. Categorical feature of B categories: their codes, rising, then inf.
        n_bins: (F,) int32, B of each feature, without the bin of NaN.
        is_categorical: (F,) bool.
        nan_allowed: whether NaN has a bin, the one after the last.
    """

    def __init__(self, edges: F32, n_bins: I32, is_categorical: NDArray[np.bool_], nan_allowed: bool) -> None:
        self.edges, self.n_bins = edges, n_bins
        self.is_categorical, self.nan_allowed = is_categorical, nan_allowed

    @classmethod
    def fit_transform(
        cls,
        x: ArrayLike,
        n_bins: int = MAX_BINS,
        binning: str = "quantile",
        categorical: ArrayLike | None = None,
        nan_allowed: bool = False,
        threads: int = 1,
    ) -> BinnedRows:
        """Bins fitted to the rows ``x`` (n, F), and the rows in them.

        A feature of at most ``n_bins`` different values gets one bin a value.

        Args:
            x: (n, F) rows.
            n_bins: of a numeric feature at most, 2 to 256.
            binning: "quantile" or "uniform".
            categorical: (F,) bool, columns that hold integer codes; default none.
            nan_allowed: whether NaN has a bin.
            threads: that share the features; the bins do not depend on it.

        Raises:
            GBTError: no rows, NaN that is not allowed, a code that is not an integer, more than 256 categories.
        """
        rows = as_rows(x, None, "features")
        n, F = rows.shape
        if n == 0 or F == 0:
            raise GBTError(f"features: shape {rows.shape}; expected at least one row and one feature")
        integer("n_bins", n_bins, 2, MAX_BINS)
        choice("binning", binning, BINNINGS)
        edges = np.full((F, MAX_BINS), np.inf, np.float32)
        binner = cls(edges, np.zeros(F, np.int32), as_flags("categorical", categorical, F), nan_allowed)
        codes = np.empty((F, n), np.uint8)

        def fit_and_encode(begin: int, end: int, _: int) -> None:
            for first, columns in _transposed(rows, begin, end):
                binner._fit(columns, first, n_bins, binning)
                binner._encode(columns, codes, first)

        in_parallel(threads, _chunks(rows), fit_and_encode)
        return BinnedRows(binner, codes, rows)

    def transform(self, x: ArrayLike, threads: int = 1) -> BinnedRows:
        """The bins of rows ``x`` (n, F).

        Raises:
            GBTError: another number of features, NaN that is not allowed, or a category that the fit has not seen.
        """
        rows = as_rows(x, len(self.n_bins), "features")
        codes = np.empty(rows.shape[::-1], np.uint8)

        def encode(begin: int, end: int, _: int) -> None:
            for first, columns in _transposed(rows, begin, end):
                self._encode(columns, codes, first)

        in_parallel(threads, _chunks(rows), encode)
        return BinnedRows(self, codes, rows)

    def _fit(self, columns: F32, first: int, n_bins: int, binning: str) -> None:
        """Fit the bins of features ``first`` and following, of which ``columns`` (k, n) holds the values."""
        kinds, most = self.is_categorical, MAX_BINS - self.nan_allowed
        # A rare category must not be lost in a sample.
        step = 1 if kinds[first : first + COLUMNS].any() else -(-columns.shape[1] // SAMPLE)
        ordered = np.sort(columns[:, ::step], axis=1)  # NaN come last
        state, f = _fit_columns(
            ordered, first, kinds, min(n_bins, most), most, binning == "quantile", self.edges, self.n_bins
        )
        if state == TOO_MANY:
            raise GBTError(f"feature {f}: more than {most} categories; expected fewer")
        if state == NO_CODE:
            raise GBTError(f"feature {f}: not all integers; expected integer codes of at most 2^24")

    def _encode(self, columns: F32, codes: U8, first: int) -> None:
        """Write the codes of features ``first`` and following, of which ``columns`` (k, n) holds the values."""
        sixteenths = np.ascontiguousarray(self.edges[:, 15::16])
        state, f, row = _encode_columns(
            columns, first, self.edges, sixteenths, self.n_bins, self.is_categorical, self.nan_allowed, codes
        )
        if state != FITTED:
            unseen = f"category {columns[f - first, row]:g} was not there when the bins were fitted"
            fault = unseen if state == UNSEEN else "NaN, but nan_allowed is false"
            raise GBTError(f"features: row {row}, feature {f}: {fault}")


class BinnedRows:
    """Rows of a :class:`Binner`: those numbered ``rows`` of its matrix of codes.

    Attributes:
        binner: whose bins they are.
        codes: (F, N) uint8 of all rows that were binned together.
        rows: (n,) int32, which of the N rows these are; a row may be there more than once.
    """

    def __init__(self, binner: Binner, codes: U8, x: F32, rows: I32 | None = None) -> None:
        self.binner, self.codes, self._x = binner, codes, x
        self.rows = np.arange(codes.shape[1], dtype=np.int32) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def x(self) -> F32:
        """(n, F) float32: the rows before binning."""
        return self._x[self.rows]

    def take(self, rows: ArrayLike) -> BinnedRows:
        """The rows numbered ``rows`` (integers) or marked by it (bools) among these; no code is copied.

        Raises:
            GBTError: a number that is out of range.
        """
        try:
            chosen = np.asarray(rows)
            if chosen.dtype.kind not in "bui" or chosen.ndim != 1 or (chosen.dtype.kind == "i" and (chosen < 0).any()):
                raise IndexError
            return BinnedRows(self.binner, self.codes, self._x, self.rows[chosen])
        except (IndexError, ValueError):
            raise GBTError(f"take: rows must be integers from 0 to {len(self) - 1}, or one bool for each") from None


def _chunks(rows: F32) -> int:
    return -(-int(rows.shape[1]) // COLUMNS)


def _transposed(rows: F32, begin: int, end: int) -> Iterator[tuple[int, F32]]:
    """The values of the features of the chunks ``begin`` to ``end - 1``, (k, n) a chunk, and which feature is the first."""
    for first in range(begin * COLUMNS, min(end * COLUMNS, rows.shape[1]), COLUMNS):
        yield first, np.ascontiguousarray(rows[:, first : first + COLUMNS].T)


@njit(**INNER)
def _between(low: Any, high: Any) -> Any:
    """The float32 midway between two, low itself if rounding or infinities leave nothing below high."""
    middle = np.float32(np.float64(low) + (np.float64(high) - np.float64(low)) / 2)
    return middle if low <= middle < high else low


@njit(**INNER)
def _edges(values: Any, edges: Any, n_bins: Any, quantile: Any) -> Any:
    """Write the edges of a numeric feature whose values are given in order, NaN last; how many bins there are."""
    m = len(values)
    while m > 0 and np.isnan(values[m - 1]):
        m -= 1
    found = 0
    for i in range(1, m):  # one bin a value, if there are few values
        if values[i] > values[i - 1]:
            if found == n_bins - 1:
                found = n_bins
                break
            edges[found] = _between(values[i - 1], values[i])
            found += 1
    if found < n_bins:
        return found + 1
    found = 0
    if quantile:
        i = 0
        for k in range(1, n_bins):
            # The last value of the bin, and the first larger one: rows of one value share a bin.
            i = max(i, k * m // n_bins)
            while i < m and values[i] == values[i - 1]:
                i += 1
            if i < m and (found == 0 or values[i - 1] > edges[found - 1]):
                edges[found] = _between(values[i - 1], values[i])
                found += 1
    else:
        low, high = 0, m - 1
        while low < high and values[low] == -np.inf:
            low += 1
        while low < high and values[high] == np.inf:
            high -= 1
        start, width = np.float64(values[low]), np.float64(values[high]) - np.float64(values[low])
        for k in range(1, n_bins):
            edge = np.float32(start + width * k / n_bins)
            if edge < values[m - 1] and (found == 0 or edge > edges[found - 1]):
                edges[found] = edge
                found += 1
    for k in range(found, len(edges)):
        edges[k] = np.inf
    return found + 1


@njit(**INNER)
def _categories(values: Any, codes: Any, most: Any) -> Any:
    """Write the codes of a categorical feature whose values are given in order, NaN last; how many there are."""
    found = 0
    for i in range(len(values)):
        value = values[i]
        if np.isnan(value):
            break
        if not abs(value) <= LARGEST_CODE or value != np.floor(value):
            return NO_CODE
        if found == 0 or value > codes[found - 1]:
            if found == most:
                return TOO_MANY
            codes[found] = value
            found += 1
    return found


@njit(**KERNEL)
def _fit_columns(
    ordered: Any, first: Any, categorical: Any, n_bins: Any, most: Any, quantile: Any, edges: Any, found: Any
) -> Any:
    """Fit features ``first`` and following, whose values in order are ``ordered`` (k, n): (FITTED or what is wrong, f)."""
    for k in range(len(ordered)):
        f = first + k
        if categorical[f]:
            state = _categories(ordered[k], edges[f], most)
        else:
            state = _edges(ordered[k], edges[f], n_bins, quantile)
        if state < 0:
            return state, f
        found[f] = state
    return FITTED, 0


@njit(**KERNEL)
def _encode_columns(
    columns: Any, first: Any, edges: Any, sixteenths: Any, n_bins: Any, categorical: Any, nan_allowed: Any, codes: Any
) -> Any:
    """Write the bins of features ``first`` and following: (FITTED, 0, 0), or what is wrong, its feature and row."""
    for k in range(len(columns)):
        f = first + k
        column, out, edge, sixteenth = columns[k], codes[f], edges[f], sixteenths[f]
        for i in range(len(column)):
            value = column[i]
            if np.isnan(value):
                if not nan_allowed:
                    return MISSING, f, i
                out[i] = n_bins[f]
                continue
            # Two comparisons with sixteen edges each rather than a search, whose every step the processor mispredicts.
            start = 16 * min(count_below(sixteenth, 0, value), 15)
            code = start + count_below(edge, start, value)
            if categorical[f] and (code >= n_bins[f] or edge[code] != value):
                return UNSEEN, f, i
            out[i] = code
    return FITTED, 0, 0
