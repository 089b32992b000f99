"""Files of prices, long or wide, read with pandas; see :func:`optgap.envs.portfolio.prices.load_prices`."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optgap.co.core import InputError, MissingExtraError
from optgap.envs.portfolio.prices import F64, Dates, Prices, daily_rate, day

SUFFIXES = (".csv", ".csv.gz", ".parquet")
CHANNELS = ("close", "open", "high", "low")
ZONE = re.compile(r"(:\d{2}(?:\.\d+)?)\s*(?:Z|[+-]\d{2}(?::?\d{2})?)$")  # after a time of day
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # in columns of prices; an asset may be called NA


def read_prices(
    path: Path,
    assets: Sequence[str] | None,
    begin: str | np.datetime64 | None,
    end: str | np.datetime64 | None,
    cash: float | str | None,
    fill: str | None,
    start: str | None,
    index: str | None,
    largest_gap: int,
) -> Prices:
    """Prices of a file; arguments and errors as of :func:`optgap.envs.portfolio.prices.load_prices`."""
    for option, value, only in (("fill", fill, "forward"), ("start", start, "common")):
        if value not in (None, only):
            raise InputError(f"{option} is {value!r}; expected {only!r} or None")
    frame = _frame(path)
    lower = [column.lower() for column in frame.columns]
    dates = _dates(path, frame.iloc[:, lower.index("date") if "date" in lower else 0])
    if {"date", "asset"} <= set(lower) and "close" not in lower:
        raise InputError(f"{path}: columns {', '.join(frame.columns)}; expected close beside date and asset")
    read = _long if {"date", "asset", "close"} <= set(lower) else _wide
    names, dates, tables = read(path, frame, lower, dates)

    aside = [name for name in (cash if isinstance(cash, str) else None, index) if name is not None]
    chosen = [name for name in names if name not in aside] if assets is None else list(assets)
    for name in chosen + aside:
        if name not in names:
            raise InputError(f"{path}: no column {name!r}; expected of {', '.join(names)}")
    columns = np.array([names.index(name) for name in chosen + aside], dtype=np.int64)
    tables = {channel: table[:, columns] for channel, table in tables.items()}

    if fill:
        _fill_forward(path, chosen + aside, dates, tables, largest_gap)
    inside = np.ones(len(dates), dtype=bool)
    if begin is not None:
        inside &= dates >= day(begin, "begin")
    if end is not None:
        inside &= dates <= day(end, "end")
    if start:
        first = np.argmax(~np.isnan(tables["close"]), axis=0)  # an asset with no price at all is refused below
        inside[: first.max(initial=0)] = False
    if not inside.any():
        raise InputError(
            f"{path}: no prices from {begin} to {end}; expected dates within {dates.min()} to {dates.max()}"
        )
    dates, tables = dates[inside], {channel: table[inside] for channel, table in tables.items()}

    extra = {name: tables["close"][:, len(chosen) + k] for k, name in enumerate(aside)}
    return Prices(
        name=path.name,
        assets=tuple(chosen),
        dates=dates,
        cash=_earned(path, dates, extra[cash]) if isinstance(cash, str) else np.asarray(daily_rate(cash or 0.0)),
        index=None if index is None else extra[index],
        largest_gap=largest_gap,
        **{channel: table[:, : len(chosen)] for channel, table in tables.items()},
    )


def _frame(path: Path) -> Any:
    """The file as a data frame whose columns have different, stripped names."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("pandas", "finance") from None
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
            frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
            frame = frame.set_axis(_different(path, frame.columns), axis=1)
        else:
            frame = _csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of prices") from None
    except ImportError:
        raise MissingExtraError("pyarrow", "finance") from None
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:  # of pandas and pyarrow too
        raise InputError(f"{path}: cannot be read as prices: {str(error).splitlines()[0]}") from None
    rows, columns = frame.shape
    if rows < 1 or columns < 2:
        raise InputError(f"{path}: {rows} rows of {columns} columns; expected a date and prices, with commas between")
    return frame


def _csv(path: Path) -> Any:
    import pandas as pd

    form: dict[str, Any] = {"keep_default_na": False, "skipinitialspace": True, "encoding": "utf-8-sig"}
    # The header by itself: pandas would rename the second of two equal columns.
    header = _different(path, pd.read_csv(path, header=None, nrows=1, dtype=str, **form).iloc[0])
    words = [name for k, name in enumerate(header) if k == 0 or name.lower() in ("date", "asset")]
    missing = {name: MISSING for name in header if name not in words}
    frame = pd.read_csv(path, names=header, header=0, dtype=dict.fromkeys(words, str), na_values=missing, **form)
    if not isinstance(frame.index, pd.RangeIndex):  # where pandas puts columns without a name
        raise InputError(f"{path}: rows have more values than the header has columns ({len(header)})")
    return frame


def _different(path: Path, columns: Iterable[Any]) -> list[str]:
    names = [str(column).strip() for column in columns]
    if names and re.match(r"\d{4}-?\d{2}-?\d{2}", names[0]):
        raise InputError(f"{path}: the first column is named {names[0]}; expected a line of names, date first")
    for k, name in enumerate(names):
        if name in names[:k]:
            raise InputError(f"{path}: asset {name} appears twice; expected different columns")
    return names


def _dates(path: Path, column: Any) -> Dates:
    """(rows,) days of a column of ISO dates, datetimes or numbers as 20111230."""
    import pandas as pd

    known = pd.api.types.is_datetime64_any_dtype(column)
    # The day where the price was made: other offsets from UTC in summer than in winter do not matter.
    texts = column if known else column.astype(str).str.strip().str.replace(ZONE, r"\1", regex=True)
    parsed = pd.to_datetime(texts, format="ISO8601", errors="coerce")
    if parsed.isna().any():
        row = int(np.argmax(parsed.isna().to_numpy()))
        said = str(column.iloc[row]).strip() or "missing"
        raise InputError(f"{path}: date of row {row + 1} is {said}; expected a date as 2011-12-30")
    days: Dates = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    return days


def _numbers(path: Path, column: Any, dates: Dates, assets: Sequence[str]) -> F64:
    """(rows,) numbers of a column, NaN where it is empty; ``assets`` (rows,) are for the message."""
    import pandas as pd

    if column.dtype.kind in "bmM":  # truth values, times
        what = f"asset {assets[0]} on {dates[0]}"
        raise InputError(f"{path}: {column.name} of {what} is {column.iloc[0]!s}; expected a number above 0")
    values = pd.to_numeric(column, errors="coerce")
    wrong = (values.isna() & column.notna()).to_numpy()
    if wrong.any():
        k = int(np.argmax(wrong))
        what = f"asset {assets[k]} on {dates[k]}"
        raise InputError(f"{path}: {column.name} of {what} is {column.iloc[k]!r}; expected a number above 0")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)  # type: ignore[no-any-return]


def _wide(path: Path, frame: Any, lower: list[str], dates: Dates) -> tuple[list[str], Dates, dict[str, F64]]:
    """Names (N,), dates (T,) in the file's order and closes (T, N)."""
    date = lower.index("date") if "date" in lower else 0
    names = [name for k, name in enumerate(frame.columns) if k != date]
    if "" in names:
        raise InputError(f"{path}: column {list(frame.columns).index('') + 1} has no name; expected that of an asset")
    close = [_numbers(path, frame[name].rename("close"), dates, [name] * len(frame)) for name in names]
    return names, dates, {"close": np.stack(close, axis=1)}


def _long(path: Path, frame: Any, lower: list[str], dates: Dates) -> tuple[list[str], Dates, dict[str, F64]]:
    """Names (N,) in the order in which they appear, all dates (T,) and tables (T, N) with NaN where a row is missing."""
    import pandas as pd

    codes, names = pd.factorize(frame.iloc[:, lower.index("asset")].astype(str).str.strip())
    order = np.argsort(codes, kind="stable")  # rows of an asset together, in the file's order
    step = np.diff(dates[order]).astype(np.int64)
    for wrong, complaint in ((step == 0, "appears twice"), (step < 0, "comes after a later date")):
        rows = order[1:][wrong & (np.diff(codes[order]) == 0)]
        if len(rows):
            where = f"asset {names[codes[rows[0]]]}: date {dates[rows[0]]}"
            raise InputError(f"{path}: {where} {complaint}; expected strictly increasing dates")
    days, row = np.unique(dates, return_inverse=True)
    tables = {}
    for channel in CHANNELS:
        if channel in lower:
            tables[channel] = np.full((len(days), len(names)), np.nan)
            tables[channel][row, codes] = _numbers(path, frame.iloc[:, lower.index(channel)], dates, names[codes])
    return list(names), days, tables


def _fill_forward(path: Path, names: list[str], dates: Dates, tables: dict[str, F64], largest_gap: int) -> None:
    """Put the last close where a close is missing: a day without a trade has one price."""
    missing = np.isnan(tables["close"])
    last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(dates))[:, None]), axis=0)  # (T, N) row
    filled = missing & (last >= 0)
    age = (dates[:, None] - dates[np.maximum(last, 0)]).astype(np.int64)
    if (filled & (age > largest_gap)).any():
        t, n = (int(k) for k in np.argwhere(filled & (age > largest_gap))[0])
        raise InputError(
            f"{path}: asset {names[n]} on {dates[t]} has no price since {dates[last[t, n]]}; "
            f"expected at most {largest_gap} days to fill (largest_gap)"
        )
    rows, columns = np.nonzero(filled)
    for table in tables.values():
        table[rows, columns] = tables["close"][last[rows, columns], columns]


def _earned(path: Path, dates: Dates, annual: F64) -> F64:
    """(T,) interest over the day that ends at each date, of the annual rates quoted at the dates: known a day before."""
    wrong = ~(np.isfinite(annual) & (annual > -1.0))
    if wrong.any():
        t = int(np.argmax(wrong))
        raise InputError(f"{path}: cash on {dates[t]} is {annual[t]:g}; expected an annual rate as 0.02")
    rates = np.array([daily_rate(float(rate)) for rate in annual])
    return np.concatenate([rates[:1], rates[:-1]])
