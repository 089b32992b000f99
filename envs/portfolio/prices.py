"""Daily prices of assets, checked: what every environment, strategy and backtest of a portfolio reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError, MissingExtraError
from optgap.co.problems.portfolio import unusable

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
            a price is missing, zero, negative, not finite, beyond 1e-100..1e100 or a million times that of the day
            before; an asset starts late or ends early; a low is above or a high below the day's other prices; a cash rate
            of -1 or less. The message names asset and date.
    """

    name: str
    assets: tuple[str, ...]  # (N,) names, all different
    dates: Dates  # (T,) datetime64[D], strictly increasing
    close: F64  # (T, N) > 0, in money, adjusted for splits and dividends
    open: F64 | None = None  # (T, N) > 0
    high: F64 | None = None  # (T, N) > 0
    low: F64 | None = None  # (T, N) > 0
    cash: F64 = field(default_factory=lambda: np.zeros(()))  # (T,) or () > -1, interest of the day ending at dates[t]
    index: F64 | None = None  # (T,) > 0, level of the market index
    largest_gap: int = LARGEST_GAP  # days

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen
        put(self, "assets", tuple(str(asset) for asset in _listed(self.assets)))
        if not (isinstance(self.largest_gap, int | float) and self.largest_gap >= 1):
            raise InputError(f"{self.name}: largest_gap is {self.largest_gap!r}; expected a number of at least 1 day")
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
        put(self, "cash", _frozen(self._array("cash", self.cash, (rows,))))
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
        names = tuple(_listed(assets))
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
        if array.ndim == 0 and what == "cash":
            return np.full(shape, array)
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
        if (found := unusable(values)) is None:
            return
        t, n, expected = found
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
        raise InputError(f"{self.name}: {channel} of asset {asset} on {self.dates[t]} is {said}; expected {expected}")

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


def load_prices(
    source: str | Path | Prices,
    *,
    assets: Sequence[str] | None = None,
    begin: str | np.datetime64 | None = None,
    end: str | np.datetime64 | None = None,
    cash: float | str | None = None,
    fill: str | None = None,
    start: str | None = None,
    index: str | None = None,
    largest_gap: int = LARGEST_GAP,
) -> Prices:
    """Daily prices, of a name or a file; nothing is fetched from a network, nothing filled or cut unless asked.

    ``"sp500"``: closes of 20 stocks of the S&P 500 and its level, 1990-01-02 to 2022-12-28 (8313 days), as the package
    skfolio ships them. What they are, as measured on them:

    - *Survivorship*: these firms were large and in the index when the set was made (2023), so nobody could have chosen
      them in 1990. Equal weight of them earned 18% a year where the index rose 7%: compare methods on them with each
      other, never with the index, and believe no level of return.
    - Closes are adjusted for splits and dividends; the index is the price index, without dividends (about 2% a year).
    - Prices are rounded to 0.001, and adjusted prices of the nineties are small: a tick of AAPL or BBY is then 0.2 to
      1% of the price, so part of their daily returns is rounding.
    - RRC before 1996 is a penny stock that moves by ticks of 11 to 25% (61% of its days without a change, 70 different
      closes in 1990 to 1994, lag-1 autocorrelation -0.22): buying yesterday's worst stock "earned" 19 basis points a
      day in these years with it and 2 without. No such trade could have been made at these closes.
    - ``suspected_splits`` names two days, RRC 1990-04-10 (a third) and AAPL 2000-09-29 (a half): both are real falls.

    ``"markov"``, ``"markov-s3"``: a path of the default :class:`~optgap.envs.portfolio.synthetic.MarkovMarket`, seed 0
    or 3, over the weekdays of the same years.

    A path that ends in .csv, .csv.gz or .parquet: *long*, with columns date, asset, close and optionally open, high,
    low (any case, others are ignored), or *wide*, with a column date (or the first column) and one of closes an asset.
    Dates are ISO (2011-12-30). Jumps that look like unadjusted splits are a warning.

    Args:
        source: As above; Prices are returned with the cuts asked for.
        assets: Only these, in this order.
        begin: First date, inclusive.
        end: Last date, inclusive.
        cash: Annual rate that cash earns (0.02 is 2%); or, of a file, the column (long: the asset) that holds annual
            rates, each earned from its date to the next. By default 0, and the market's own of "markov".
        fill: "forward" fills missing prices of a file with the asset's last, up to ``largest_gap`` days old.
        start: "common" begins a file where all its assets have prices.
        index: The column of a file (long: the asset) that is the level of the market index, and no asset.
        largest_gap: Days between two rows of a file from which on they count as a hole.

    Raises:
        InputError: An unknown source, or what :class:`Prices` refuses; the message names asset and date.
        MissingExtraError: skfolio, pandas or pyarrow is not installed.
    """
    from optgap.envs.portfolio import price_files  # which builds Prices, as does synthetic

    name, assets = str(source), None if assets is None else _listed(assets)
    if name.endswith(price_files.SUFFIXES) and not isinstance(source, Prices):
        prices = price_files.read_prices(Path(name), assets, begin, end, cash, fill, start, index, largest_gap)
        for asset, date, ratio in suspected_splits(prices):
            warnings.warn(
                f"{prices.name}: asset {asset} on {date} closes at {ratio:.3g} of the day before; an unadjusted split?",
                stacklevel=2,
            )
        return prices
    for option, value in (("fill", fill), ("start", start), ("index", index)):
        if value is not None:
            raise InputError(f"{option} is {value!r} with {name!r}; expected for files of prices alone")
    prices = source if isinstance(source, Prices) else _built_in(name)
    prices = prices if assets is None else prices.select(assets)
    prices = prices if begin is None and end is None else prices.between(begin, end)
    return prices if cash is None else prices.with_cash(cash)  # type: ignore[arg-type]  # daily_rate refuses a name


def suspected_splits(prices: Prices) -> list[tuple[str, np.datetime64, float]]:
    """(asset, date, close by the close before) where that is within 5% of 2, 3, 4 ... 100 or one by these, by date.

    A fall by half may be real; 3-for-2 splits are not looked for, as stocks do fall by a third.
    """
    move = np.diff(np.log(prices.close), axis=0)
    size = np.abs(move)
    found = np.argwhere(np.logical_or.reduce([np.abs(size - np.log(k)) <= SPLIT_TOLERANCE for k in SPLITS]))
    return [(prices.assets[n], prices.dates[t + 1], float(np.exp(move[t, n]))) for t, n in found]


@lru_cache(maxsize=4)
def _built_in(name: str) -> Prices:
    market = re.fullmatch(r"markov(?:-s(\d+))?", name)
    if market:
        from optgap.envs.portfolio.synthetic import DAYS, MarkovMarket

        return MarkovMarket().generate(np.random.default_rng(int(market[1] or 0)), DAYS)
    if name == "sp500":
        return _sp500()
    raise InputError(f"no prices {name!r}; expected sp500, markov, markov-s<seed> or a path to .csv, .csv.gz, .parquet")


def _sp500() -> Prices:
    try:
        from skfolio import datasets
    except ImportError:
        raise MissingExtraError("skfolio", "finance") from None
    stocks, level = datasets.load_sp500_dataset(), datasets.load_sp500_index()
    if not stocks.index.equals(level.index):
        raise InputError("sp500: the dates of skfolio's stocks and index differ; expected the same")
    return Prices(
        "sp500", tuple(stocks.columns), stocks.index.to_numpy(), stocks.to_numpy(), index=level.to_numpy()[:, 0]
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
    if not isinstance(annual_rate, Real) or not (np.isfinite(annual_rate) and annual_rate > -1.0):
        raise InputError(f"cash is {annual_rate!r}; expected an annual rate as 0.02")
    return float(np.expm1(np.log1p(annual_rate) / YEAR))


def _days(dates: Any, name: str) -> Dates:
    try:
        given = np.asarray(dates)
        if given.dtype.kind in "biuf":  # days since 1970, to numpy
            raise TypeError
        days = given.astype("datetime64[D]")
    except (TypeError, ValueError):
        raise InputError(f"{name}: dates cannot be read; expected datetime64[D]") from None
    if days.ndim != 1:
        raise InputError(f"{name}: dates have shape {days.shape}; expected (T,)")
    if np.isnat(days).any():
        raise InputError(f"{name}: date of row {int(np.argmax(np.isnat(days)))} is missing")
    return days


def _listed(assets: Sequence[str]) -> Sequence[str]:
    """Names of assets; a text is one."""
    if not isinstance(assets, Iterable):
        raise InputError(f"assets are {assets!r}; expected names")
    return [assets] if isinstance(assets, str) else assets


def _read_only(array: Any) -> Any:
    array.setflags(write=False)
    return array


def _frozen(array: Any) -> Any:
    return _read_only(np.array(array))
