"""Daily prices of assets, checked: what every environment, strategy and backtest of a portfolio reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError

F64 = NDArray[np.float64]
Dates = NDArray[np.datetime64]

YEAR = 252  # trading days
LARGEST_GAP = 10  # days between two rows: holidays and closures are shorter (September 2001: 7)
SPLITS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)  # shares for one, or the reverse
SPLIT_TOLERANCE = 0.05  # of the log ratio: the day's own return on top of the split


@dataclass(frozen=True, eq=False)
class Prices:
    """Daily prices of N assets on T days that all of them have; every array is a read-only copy.

    Raises:
        InputError: A shape does not fit; dates are missing, unsorted, double or further apart than ``largest_gap``;
            a price is missing, zero, negative or not finite; an asset starts late or ends early; a low is above or a
            high below the day's other prices; a cash rate of -1 or less. The message names asset and date.
    """

    name: str
    assets: tuple[str, ...]  # (N,) names, all different
    dates: Dates  # (T,) datetime64[D], strictly increasing
    close: F64  # (T, N) > 0, in money; the market value of one share, so adjusted for splits and dividends
    open: F64 | None = None  # (T, N) > 0
    high: F64 | None = None  # (T, N) > 0
    low: F64 | None = None  # (T, N) > 0
    cash: F64 = field(default_factory=lambda: np.zeros(()))  # (T,) > -1, interest over the day that ends at dates[t]
    index: F64 | None = None  # (T,) > 0, level of the market index
    largest_gap: int = LARGEST_GAP  # days

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen
        put(self, "assets", tuple(str(asset) for asset in self.assets))
        put(self, "dates", _frozen(_days(self.dates, self.name)))
        rows, columns = len(self.dates), len(self.assets)
        if not rows or not columns:
            raise InputError(f"{self.name}: {rows} dates and {columns} assets; expected at least one of each")
        twice = [asset for k, asset in enumerate(self.assets) if asset in self.assets[:k]]
        if twice:
            raise InputError(f"{self.name}: asset {twice[0]} appears twice; expected different names")
        self._check_dates()
        for channel in ("close", "open", "high", "low"):
            values = getattr(self, channel)
            if values is not None or channel == "close":
                put(self, channel, _frozen(self._array(channel, values, (rows, columns))))
                self._check_prices(channel)
        self._check_range()
        if self.index is not None:
            put(self, "index", _frozen(self._array("index", self.index, (rows,))))
            self._check_series("index", self.index, 0.0)
        given = np.asarray(self.cash, dtype=np.float64)
        put(
            self,
            "cash",
            _frozen(self._array("cash", np.broadcast_to(given, (rows,)) if given.ndim == 0 else given, (rows,))),
        )
        self._check_series("cash", self.cash, -1.0)

    def __len__(self) -> int:
        return len(self.dates)

    def between(self, begin: str | np.datetime64 | None, end: str | np.datetime64 | None) -> Prices:
        """The rows from ``begin`` to ``end``, both inclusive; None is the first or the last row.

        Raises:
            InputError: A date is none, or no row lies between.
        """
        first = 0 if begin is None else int(np.searchsorted(self.dates, day(begin, "begin"), side="left"))
        last = len(self) if end is None else int(np.searchsorted(self.dates, day(end, "end"), side="right"))
        if first >= last:
            span = f"{self.dates[0]} to {self.dates[-1]}"
            raise InputError(f"{self.name}: no prices from {begin} to {end}; expected dates within {span}")
        return self.rows(first, last)

    def rows(self, first: int, last: int) -> Prices:
        """The rows ``first`` to ``last - 1``, as views: nothing is copied.

        Raises:
            InputError: Not 0 <= first < last <= T.
        """
        if not 0 <= first < last <= len(self):
            raise InputError(f"{self.name}: rows {first} to {last}; expected 0 <= first < last <= {len(self)}")
        return self._part(slice(first, last), slice(None), self.assets)

    def select(self, assets: Sequence[str]) -> Prices:
        """The named assets, in the order given.

        Raises:
            InputError: No name, an unknown one, or one that is named twice.
        """
        names = tuple(assets)
        unknown = [name for name in names if name not in self.assets]
        if unknown:
            raise InputError(f"{self.name}: no asset {unknown[0]!r}; expected of {', '.join(self.assets)}")
        if not names or len(set(names)) < len(names):
            raise InputError(f"{self.name}: assets are {names}; expected at least one name, none twice")
        return self._part(slice(None), np.array([self.assets.index(name) for name in names]), names)

    def with_cash(self, annual_rate: float) -> Prices:
        """The same prices, with cash earning ``annual_rate`` (0.02 is 2% a year, compounded each trading day)."""
        other = self._part(slice(None), slice(None), self.assets)
        object.__setattr__(other, "cash", _frozen(np.full(len(self), daily_rate(annual_rate))))
        return other

    def _part(self, rows: slice, columns: Any, assets: tuple[str, ...]) -> Prices:
        """Rows and columns of what has been checked already: a backtest cuts thousands of times."""
        part = object.__new__(Prices)
        values: dict[str, Any] = {name: getattr(self, name) for name in ("name", "largest_gap")}
        values |= {name: getattr(self, name)[rows] for name in ("dates", "cash")} | {"assets": assets}
        values["index"] = None if self.index is None else self.index[rows]
        for channel in ("close", "open", "high", "low"):
            table = getattr(self, channel)
            values[channel] = None if table is None else _read_only(table[rows, columns])
        for name, value in values.items():
            object.__setattr__(part, name, value)
        return part

    def _array(self, what: str, values: Any, shape: tuple[int, ...]) -> F64:
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"{self.name}: {what} is no table of numbers") from None
        if array.shape != shape:
            raise InputError(f"{self.name}: {what} has shape {array.shape}; expected {shape}")
        return array

    def _check_dates(self) -> None:
        gaps = np.diff(self.dates).astype(np.int64)
        for wrong, complaint in ((gaps == 0, "appears twice"), (gaps < 0, "comes after a later date")):
            if wrong.any():
                where = self.dates[1:][wrong][0]
                raise InputError(f"{self.name}: date {where} {complaint}; expected strictly increasing dates")
        if (gaps > self.largest_gap).any():
            k = int(np.argmax(gaps > self.largest_gap))
            raise InputError(
                f"{self.name}: no prices from {self.dates[k]} to {self.dates[k + 1]}, {gaps[k]} days; "
                f"expected at most {self.largest_gap} (largest_gap)"
            )

    def _check_prices(self, channel: str) -> None:
        values: F64 = getattr(self, channel)
        wrong = ~(np.isfinite(values) & (values > 0.0))
        if not wrong.any():
            return
        t, n = (int(k) for k in np.argwhere(wrong)[0])
        asset, missing = self.assets[n], np.isnan(values[:, n])
        if missing.all():
            raise InputError(f"{self.name}: asset {asset} has no {channel} on any date")
        if missing[t] and missing[: t + 1].all():
            begin = self.dates[int(np.argmin(missing))]
            hint = "a later start, or start='common'"
            raise InputError(f"{self.name}: asset {asset} starts late, with {channel} from {begin} on; expected {hint}")
        if missing[t] and missing[t:].all():
            raise InputError(f"{self.name}: asset {asset} ends early, with no {channel} from {self.dates[t]} on")
        said = "missing" if missing[t] else f"{values[t, n]:g}"
        raise InputError(
            f"{self.name}: {channel} of asset {asset} on {self.dates[t]} is {said}; expected a number above 0"
        )

    def _check_range(self) -> None:
        for channel, sign in (("high", 1.0), ("low", -1.0)):
            bound = getattr(self, channel)
            if bound is None:
                continue
            for other in ("close", "open", "low"):
                values = getattr(self, other)
                wrong = None if values is None else sign * (values - bound) > 1e-6 * values
                if wrong is not None and wrong.any():
                    t, n = (int(k) for k in np.argwhere(wrong)[0])
                    raise InputError(
                        f"{self.name}: asset {self.assets[n]} on {self.dates[t]} has {channel} {bound[t, n]:g} and "
                        f"{other} {values[t, n]:g}; expected low <= open, close <= high (all adjusted alike)"
                    )

    def _check_series(self, what: str, values: F64, least: float) -> None:
        wrong = ~(np.isfinite(values) & (values > least))
        if wrong.any():
            t = int(np.argmax(wrong))
            raise InputError(
                f"{self.name}: {what} on {self.dates[t]} is {values[t]:g}; expected a number above {least:g}"
            )


def day(value: Any, what: str = "date") -> np.datetime64:
    """A day, of an ISO date ("2011-12-30"), a date or a datetime64.

    Raises:
        InputError: It is none.
    """
    try:
        date = np.datetime64(value, "D")
    except (TypeError, ValueError):
        date = np.datetime64("NaT")
    if isinstance(value, int | float) or np.isnat(date):
        raise InputError(f"{what} is {value!r}; expected a date as 2011-12-30")
    return date


def daily_rate(annual_rate: float) -> float:
    """The simple rate of a trading day that compounds to ``annual_rate`` over 252 of them.

    Raises:
        InputError: Not a number above -1.
    """
    if isinstance(annual_rate, str) or not (np.isfinite(annual_rate) and annual_rate > -1.0):
        raise InputError(f"cash is {annual_rate!r}; expected an annual rate as 0.02")
    return float(np.expm1(np.log1p(annual_rate) / YEAR))


def _days(dates: Any, name: str) -> Dates:
    try:
        days = np.asarray(dates).astype("datetime64[D]")
    except (TypeError, ValueError):
        raise InputError(f"{name}: dates are {np.asarray(dates).dtype}; expected datetime64[D]") from None
    if days.ndim != 1:
        raise InputError(f"{name}: dates have shape {days.shape}; expected (T,)")
    if np.isnat(days).any():
        raise InputError(f"{name}: date of row {int(np.argmax(np.isnat(days)))} is missing")
    return days


def _read_only(array: Any) -> Any:
    array.setflags(write=False)
    return array


def _frozen(array: Any) -> Any:
    return _read_only(np.array(array))
