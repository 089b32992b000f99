"""Walk-forward validation: learn on the past, skip a gap, test on what follows, move on; and the window kept sealed.

The closes of a test window are those of its decisions and its last mark: the first decision is taken at the close *before* the
window's first return, so windows of calendar years hold exactly the returns of their years, and a window's last mark is the first
decision of the next one. The days of the gap are between the last close seen in training and the first decision: labels and
rewards of training that reach some days ahead end before the test begins (purging, Lopez de Prado 2018, section 7.4.1).

The sealed window. Every look at test results makes the next choice depend on them, so the last years stay closed while methods are
chosen: folds that would reach ``sealed_from`` are refused unless the window is opened on purpose, and each opening adds a line to
``openings.jsonl`` in the results folder.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.formats.files import read_text
from optgap.envs.portfolio.prices import Dates, Prices, day

SEALED_FROM = "2015-01-01"  # after the training days of the environment's defaults, and three years to choose by
OPENINGS = "openings.jsonl"


@dataclass(frozen=True)
class Fold:
    """Dates of rows of a price table; training and test share none."""

    train_begin: np.datetime64
    train_end: np.datetime64  # last close seen in training
    gap: int  # rows from ``train_end`` to ``test_begin``, >= 1
    test_begin: np.datetime64  # close of the first decision
    test_end: np.datetime64  # close of the last mark

    def train(self, prices: Prices) -> Prices:
        """The rows of training, as copies: what follows them cannot be reached from here."""
        return past(prices.between(self.train_begin, self.train_end))

    @property
    def name(self) -> str:
        return f"{self.test_begin}..{self.test_end}"


def past(prices: Prices) -> Prices:
    """The same prices in arrays of their own: unlike views, copies do not lead back to the rows that were cut off."""
    return replace(prices)  # Prices copies all that it is given


def walk_forward(
    dates: Dates,
    begin: str,
    end: str | None = None,
    *,
    years: int = 1,
    gap: int = 5,
    train_years: int | None = None,
    sealed_from: str | None = SEALED_FROM,
    open_sealed: bool = False,
    folder: Path | None = None,
    command: str = "",
    methods: Iterable[str] = (),
) -> list[Fold]:
    """Folds whose test windows follow each other from ``begin`` to ``end`` without a hole.

    Args:
        dates: (R,) of the price table, rising.
        begin: the first return tested is of the first trading day on or after this date.
        end: the last return tested is of the last trading day on or before it. None: the last day before ``sealed_from``,
            or the last of ``dates`` where that is earlier or the window is open.
        years: length of a test window; the last one may be shorter.
        gap: trading days between the last close of training and the first decision of the test.
        train_years: length of a rolling training window; None: expanding, from the first date on.
        sealed_from: no fold may reach this date; None: nothing is sealed.
        open_sealed: open the window on purpose. Each opening is logged, with ``command`` and ``methods``, in ``folder``.

    Raises:
        InputError: a fold reaches the sealed window, or the dates leave no row for training or testing.
    """
    dates = np.asarray(dates, "datetime64[D]")
    first, seal = day(begin, "begin"), None if sealed_from is None else day(sealed_from, "sealed_from")
    for name, value, least in (("years", years, 1), ("gap", gap, 1), ("train_years", train_years, 1)):
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; expected at least {least}")
    last = dates[-1] if end is None else day(end, "end")
    if end is None and seal is not None and not open_sealed:
        last = min(last, seal - 1)
    stop = int(np.searchsorted(dates, last, side="right")) - 1  # row of the last mark
    edges = []
    while first <= last:
        edges.append(int(np.searchsorted(dates, first)) - 1)
        first = _years_later(first, years)
    edges = [row for row in edges if row < stop] + [stop]
    hint = f" (sealed from {seal} on: sealed_from)" if seal is not None and last == seal - 1 < dates[-1] else ""
    if len(edges) < 2 or edges[0] - gap < 1:
        raise InputError(
            f"tests from {begin} to {last}{hint} with a gap of {gap} days; expected dates within {dates[0]} to {dates[-1]} "
            f"that leave at least 2 days for training before them"
        )
    folds = []
    for test_begin, test_end in zip(edges[:-1], edges[1:], strict=True):
        train_end = test_begin - gap
        train_begin = 0
        if train_years is not None:
            train_begin = int(np.searchsorted(dates, _years_later(dates[train_end], -train_years), side="right"))
        folds.append(Fold(dates[train_begin], dates[train_end], gap, dates[test_begin], dates[test_end]))
    if seal is not None and (reach := [fold for fold in folds if fold.test_end >= seal]):
        if not open_sealed:
            raise InputError(
                f"test window {reach[0].name} reaches the days from {seal} on, which are sealed; "
                f"expected an end before that, or open_sealed=true (each opening is logged)"
            )
        if folder is None:
            raise InputError("open_sealed needs a results folder; expected one to write its log of openings in")
        _log_opening(folder, seal, folds, command, list(methods))
    return folds


def openings(folder: Path) -> list[dict[str, object]]:
    """The log of openings in a results folder, oldest first; empty where the sealed window was never opened."""
    file = folder / OPENINGS
    lines = read_text(file).splitlines() if file.exists() else []
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise InputError(f"{file}: not a log of openings: {error.msg}") from None


def _log_opening(folder: Path, seal: np.datetime64, folds: list[Fold], command: str, methods: list[str]) -> None:
    line = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "sealed_from": str(seal),
        "tested": [str(folds[0].test_begin), str(folds[-1].test_end)],
        "command": command,
        "methods": methods,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / OPENINGS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
    except OSError as error:
        raise InputError(f"{folder / OPENINGS}: cannot be written: {error.strerror or error}") from None


def _years_later(date: np.datetime64, years: int) -> np.datetime64:
    """The same day of another year; 29 February becomes 1 March where there is none."""
    known = date.astype(dt.date)
    try:
        return np.datetime64(known.replace(year=known.year + years), "D")
    except ValueError:
        return np.datetime64(dt.date(known.year + years, 3, 1), "D")
