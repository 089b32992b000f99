"""A backtest's folder, and its table.

=================  ========================================================================================================
``results.json``   prices (name, digest), rules of trade, folds, methods with their figures, openings, provenance
``wealth.csv``     dates x methods, wealth at each mark
``weights.npz``    one array (T, N + 1) for each method that trades, cash last
=================  ========================================================================================================

Reading recomputes the wealth of every method from its weights and the price table, and refuses a column that says otherwise:
so neither a shift of dates, nor of values, nor other prices, can be read as if it were a result.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.benchmark.provenance import provenance
from optgap.co.core import InputError, OptgapError
from optgap.co.formats.archives import DAMAGED
from optgap.co.formats.files import read_text, write_text, write_whole
from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.portfolio.backtest import Backtest, Curve, curve_of, index_curve, require_dates, trading_period
from optgap.envs.portfolio.bootstrap import (
    BLOCK,
    Difference,
    Interval,
    deflated_sharpe,
    sharpe_differences,
    sharpe_intervals,
)
from optgap.envs.portfolio.metrics import Metrics, daily_returns, measure
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.walk_forward import Fold, openings

F64 = NDArray[np.float64]
RESULTS, WEALTH, WEIGHTS = "results.json", "wealth.csv", "weights.npz"
RULES = ("proportional_cost", "fixed_cost", "cap", "minimum_cash", "turnover")
CLOSE = 1e-9  # relative: the file's digits, and two replays
KINDS = ("bound", "index", "method")
LARGEST_SHIFT = 300  # trading days that a diagnosis looks for


@dataclass(frozen=True)
class Row:
    """One method in the table."""

    method: str
    kind: str  # "method", "index" or "bound"
    metrics: Metrics
    sharpe: Interval  # a year
    difference: Difference  # of Sharpe ratios, to the reference
    deflated_sharpe: float  # probability that the true Sharpe ratio is above 0; NaN where nothing was selected
    seconds: float  # CPU time


def table(
    result: Backtest,
    *,
    reference: str = "equal-weight",
    trials: int | None = None,
    level: float = 0.95,
    **resampling: Any,
) -> list[Row]:
    """One row a method, best Sharpe ratio first, after the bounds and the index.

    Args:
        result: the backtest.
        reference: method that differences are taken to.
        trials: methods, settings and seeds that were tried in all; None: as many as are in the table.
        level: of the intervals.
        resampling: of :func:`~optgap.envs.portfolio.bootstrap.resampled_sharpes`: block, samples, seed.
    """
    result.curve(reference)
    excess = np.column_stack([_excess(result, curve) for curve in result.curves])
    intervals = sharpe_intervals(excess, level, **resampling)
    names = [curve.method for curve in result.curves]
    differences = sharpe_differences(excess, names.index(reference), level, **resampling)
    kinds = [_kind(result, curve) for curve in result.curves]
    tried = [interval.estimate for interval, kind in zip(intervals, kinds, strict=True) if kind == "method"]
    rows = []
    for k, curve in enumerate(result.curves):
        deflated = deflated_sharpe(excess[:, k], tried, trials) if kinds[k] == "method" else math.nan
        figures = measure(curve.wealth, result.cash, curve.turnover, curve.costs)
        rows.append(Row(curve.method, kinds[k], figures, intervals[k], differences[k], deflated, curve.seconds))
    return sorted(rows, key=lambda row: (KINDS.index(row.kind), -np.nan_to_num(row.sharpe.estimate, nan=-np.inf)))


def require_table(days: int, methods: int = 1, trials: int | None = None) -> None:
    """Refuse, before the work, what :func:`table` cannot be made of.

    Raises:
        InputError: fewer than ``BLOCK`` days of a test, or fewer trials than methods.
    """
    if days < BLOCK:
        raise InputError(f"a test of {days} days; expected at least {BLOCK}, the mean block of the intervals")
    if trials is not None and trials < methods:
        raise InputError(f"trials is {trials} with {methods} methods and seeds; expected at least as many")


def write_results(result: Backtest, folder: Path, prices: Prices, **table_settings: Any) -> list[Row]:
    """Write the folder, and return its table; ``table_settings`` are those of :func:`table`.

    Raises:
        InputError: the folder cannot be written.
    """
    rows = {row.method: row for row in table(result, **table_settings)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    traded = [curve for curve in result.curves if curve.weights is not None]
    arrays: dict[str, Any] = {str(k): curve.weights for k, curve in enumerate(traded)}
    write_whole(folder / WEIGHTS, lambda stream: np.savez_compressed(stream, **arrays))
    columns = [[str(date) for date in result.dates]] + [[f"{w:.17g}" for w in c.wealth] for c in result.curves]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["date", *(curve.method for curve in result.curves)])
    writer.writerows(zip(*columns, strict=True))
    write_text(folder / WEALTH, out.getvalue())
    period = result.period
    report = {
        "prices": {"name": prices.name, "assets": period.assets, "sha256": _digest(period)},
        "begin": str(result.dates[0]),
        "end": str(result.dates[-1]),
        "history": period.history,
        "rules": {name: _number(getattr(period, name)) for name in RULES},
        "folds": [{name: _plain(value) for name, value in asdict(fold).items()} for fold in result.folds],
        "methods": [_method(rows[curve.method], traded, curve) for curve in result.curves],
        "openings": openings(folder),
        "provenance": provenance(),
    }
    write_text(folder / RESULTS, json.dumps(report, indent=1, allow_nan=False) + "\n")
    return list(rows.values())


def read_results(folder: Path, prices: Prices) -> Backtest:
    """The backtest in ``folder``, every column of it recomputed from its weights and ``prices``.

    Raises:
        InputError: a file is missing or no such file; the prices are others than those of the backtest; dates or wealth
            of a method are not what its weights earn: names the method and the first wrong date.
        InfeasibleError: weights break a limit.
    """
    report = _report(folder / RESULTS)
    try:
        given = {name: report["rules"][name] for name in RULES}
        rules: dict[str, Any] = {name: math.inf if value is None else float(value) for name, value in given.items()}
        held = prices.select(report["prices"]["assets"])
        period = trading_period(held, report["begin"], report["end"], int(report["history"]), **rules)
        folds = tuple(_fold(entry) for entry in report["folds"])
        methods = {entry["method"]: entry for entry in report["methods"]}
        kinds = {method: KINDS[KINDS.index(entry["kind"])] for method, entry in methods.items()}
        keys = {method: entry["weights"] for method, entry in methods.items()}
        seconds = {method: float(entry["seconds"]) for method, entry in methods.items()}
        digest, name = report["prices"]["sha256"], report["prices"]["name"]
    except OptgapError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(f"{folder / RESULTS}: no results of a backtest: {error!r}") from None
    if digest != _digest(period):
        raise InputError(f"{folder}: made from other prices of {name}; expected the same table")
    dates, columns = _columns(folder / WEALTH)
    if list(columns) != list(methods):
        raise InputError(f"{folder / WEALTH}: methods {list(columns)}; expected {list(methods)}, as in {RESULTS}")
    curves = []
    for method, wealth in columns.items():
        if keys[method] is None:
            require_dates(method, dates, period.dates[period.history :])
            curve = index_curve(held, period)
        else:
            curve = curve_of(method, dates, _weights(folder / WEIGHTS, str(keys[method])), period, seconds[method])
        _require_wealth(folder / WEALTH, curve, wealth)
        curves.append(curve)
    return Backtest(period, folds, tuple(curves), frozenset(m for m in kinds if kinds[m] == "bound"))


def _fold(entry: Mapping[str, Any]) -> Fold:
    dates = {name: np.datetime64(entry[name]) for name in ("train_begin", "train_end", "test_begin", "test_end")}
    return Fold(gap=entry["gap"], **dates)


def _require_wealth(file: Path, curve: Curve, wealth: F64) -> None:
    wrong = np.flatnonzero(~np.isclose(wealth, curve.wealth, rtol=CLOSE, atol=0.0))
    if not len(wrong):
        return
    k = int(wrong[0])
    shift = _shift(curve.wealth, wealth)
    hint = f" (the column fits {abs(shift)} trading days {'earlier' if shift > 0 else 'later'})" if shift else ""
    raise InputError(
        f"{file}: {curve.method}: wealth on {curve.dates[k]} is {wealth[k]:.9g}{hint}; "
        f"expected {curve.wealth[k]:.9g}, which its weights earn on these dates"
    )


def _shift(expected: F64, found: F64) -> int:
    """Days by which the returns of ``found`` come late against those of ``expected``; 0 where no shift fits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        true, other = expected[1:] / expected[:-1], found[1:] / found[:-1]
    for days in range(1, min(LARGEST_SHIFT, len(true) - 2)):
        for late, (a, b) in ((days, (true[:-days], other[days:])), (-days, (true[days:], other[:-days]))):
            if np.allclose(a, b, rtol=CLOSE, atol=0.0):
                return late
    return 0


def _kind(result: Backtest, curve: Curve) -> str:
    if curve.method in result.bounds:
        return "bound"
    return "index" if curve.weights is None else "method"


def _excess(result: Backtest, curve: Curve) -> F64:
    """(T,) returns over cash; 0 from ruin on, for the intervals' sake."""
    if curve.wealth[-1] > 0:
        return daily_returns(curve.wealth) - result.cash
    return np.zeros(len(result.cash))


def _method(row: Row, traded: list[Curve], curve: Curve) -> dict[str, Any]:
    return {
        "method": row.method,
        "kind": row.kind,
        "weights": next((str(k) for k, other in enumerate(traded) if other is curve), None),
        "seconds": row.seconds,
        "metrics": row.metrics.as_json(),
        "sharpe": [_number(value) for value in row.sharpe],
        "difference": [_number(value) for value in row.difference],
        "deflated_sharpe": _number(row.deflated_sharpe),
    }


def _digest(period: TradingPeriod) -> str:
    """Of everything that figures depend on: dates, prices, interest."""
    digest = hashlib.sha256()
    for array in (period.dates.astype(np.int64), period.close, period.cash):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None  # JSON has neither NaN nor infinity


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, np.datetime64) else value


def _report(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: line {error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{file}: no results of a backtest: nested too deeply") from None
    if not isinstance(found, dict):
        raise InputError(f"{file}: no results of a backtest; expected a JSON object")
    return found


def _columns(file: Path) -> tuple[NDArray[np.datetime64], dict[str, F64]]:
    """Dates and methods' columns of a table of wealth."""
    try:
        header, *lines = list(csv.reader(io.StringIO(read_text(file)))) or [[]]
    except csv.Error as error:
        raise InputError(f"{file}: no table: {error}") from None
    dates, values = [], np.zeros((len(lines), max(len(header) - 1, 0)))
    for k, line in enumerate(lines):
        try:
            dates.append(np.datetime64(line[0], "D"))
            values[k] = np.array(line[1:], np.float64).reshape(values.shape[1])
        except (ValueError, IndexError):
            raise InputError(f"{file}: line {k + 2}: expected a date and {len(header) - 1} numbers") from None
    return np.array(dates, "datetime64[D]"), {name: values[:, m] for m, name in enumerate(header[1:])}


def _weights(file: Path, key: str) -> F64:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return np.asarray(arrays[key], np.float64)
    except (*DAMAGED, OSError, MemoryError) as error:
        raise InputError(f"{file}: array {key} cannot be read: {error}") from None
