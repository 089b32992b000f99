"""Windows of walk-forward validation, and the sealed one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.walk_forward import OPENINGS, openings, walk_forward

DATES = np.arange("1998-01-01", "2013-01-01", dtype="datetime64[D]")
DATES = DATES[np.is_busday(DATES)]
SEAL = "2012-01-01"


def test_windows_are_calendar_years() -> None:
    folds = walk_forward(DATES, "2000-01-01", "2002-12-31", gap=5)
    assert [str(fold.test_begin) for fold in folds] == ["1999-12-31", "2000-12-29", "2001-12-31"]
    assert [str(fold.test_end) for fold in folds] == ["2000-12-29", "2001-12-31", "2002-12-31"]
    assert str(folds[0].train_end) == "1999-12-24"  # five weekdays before
    assert {str(fold.train_begin) for fold in folds} == {"1998-01-01"}
    assert folds[1].name == "2000-12-29..2001-12-31"


def test_last_window_may_be_shorter() -> None:
    folds = walk_forward(DATES, "2000-06-15", "2003-03-10", years=2)
    assert [str(fold.test_end) for fold in folds] == ["2002-06-14", "2003-03-10"]


def test_rolling_training_window() -> None:
    folds = walk_forward(DATES, "2004-03-01", "2006-02-28", gap=3, train_years=2)
    assert [str(fold.train_end) for fold in folds] == ["2004-02-24", "2005-02-23"]
    assert [str(fold.train_begin) for fold in folds] == ["2002-02-25", "2003-02-24"]


@given(
    st.dates(min_value=np.datetime64("1999-01-01").item(), max_value=np.datetime64("2010-01-01").item()),
    st.integers(30, 900),
    st.integers(1, 3),
    st.integers(1, 60),
    st.none() | st.integers(1, 4),
)
def test_windows_follow_each_other_and_training_ends_before(
    begin: object, length: int, years: int, gap: int, train_years: int | None
) -> None:
    end = np.datetime64(str(begin)) + length
    folds = walk_forward(DATES, str(begin), str(end), years=years, gap=gap, train_years=train_years)
    row = {date: k for k, date in enumerate(DATES)}
    first_return = DATES[row[folds[0].test_begin] + 1]
    assert folds[0].test_begin < np.datetime64(str(begin)) <= first_return
    assert folds[-1].test_end == DATES[end >= DATES][-1]
    for before, after in zip(folds[:-1], folds[1:], strict=True):
        assert before.test_end == after.test_begin
    for fold in folds:
        assert fold.train_begin < fold.train_end < fold.test_begin < fold.test_end
        assert row[fold.test_begin] - row[fold.train_end] == gap


def test_training_prices_are_copies_that_end_before_the_test() -> None:
    close = np.arange(1.0, 1.0 + 2 * len(DATES)).reshape(-1, 2)
    prices = Prices(name="p", assets=("a", "b"), dates=DATES, close=close, index=close[:, 0])
    (fold,) = walk_forward(DATES, "2001-01-01", "2001-12-31", gap=7)
    train = fold.train(prices)
    assert train.dates[-1] == fold.train_end
    for array in (train.close, train.dates, train.cash, train.index):
        assert array is not None
        assert array.base is None
        assert not np.shares_memory(array, prices.close)


def test_sealed_window_stays_closed(tmp_path: Path) -> None:
    assert str(walk_forward(DATES, "2005-01-01", sealed_from=SEAL)[-1].test_end) == "2011-12-30"
    with pytest.raises(InputError, match=r"window 2011-12-30\.\.2012-12-31 reaches .* 2012-01-01 on, which are sealed"):
        walk_forward(DATES, "2005-01-01", "2012-12-31", sealed_from=SEAL)
    with pytest.raises(InputError, match="reaches the days from 2006-06-01"):
        walk_forward(DATES, "2005-01-01", "2006-06-01", sealed_from="2006-06-01")
    assert openings(tmp_path) == []


def test_opening_is_logged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a results folder"):
        walk_forward(DATES, "2005-01-01", sealed_from=SEAL, open_sealed=True)
    folder = tmp_path / "results"
    for methods in (["equal-weight"], ["equal-weight", "hrp"]):
        opened = {"open_sealed": True, "folder": folder, "command": "backtest end=2012", "methods": methods}
        folds = walk_forward(DATES, "2005-01-01", sealed_from=SEAL, **opened)
    assert folds[-1].test_end == DATES[-1]
    first, second = openings(folder)
    assert first["command"] == "backtest end=2012"
    assert (first["methods"], second["methods"]) == (["equal-weight"], ["equal-weight", "hrp"])
    assert first["tested"] == ["2004-12-31", "2012-12-31"]
    assert str(first["date"]).endswith("+00:00")
    assert len((folder / OPENINGS).read_text().splitlines()) == 2
    assert json.loads((folder / OPENINGS).read_text().splitlines()[0]) == first


def test_open_window_that_is_not_reached_is_not_logged(tmp_path: Path) -> None:
    walk_forward(DATES, "2005-01-01", "2006-12-31", sealed_from=SEAL, open_sealed=True, folder=tmp_path)
    assert openings(tmp_path) == []


@pytest.mark.parametrize(
    ("begin", "settings", "message"),
    [
        ("2000-01-01", {"gap": 0}, "gap is 0; expected at least 1"),
        ("2000-01-01", {"years": 0}, "years is 0; expected at least 1"),
        ("1998-01-05", {}, "leave at least 2 days for training"),
        ("2014-01-01", {"sealed_from": None}, "expected dates within 1998-01-01 to 2012-12-31"),
        ("2001-13-01", {}, "begin is '2001-13-01'; expected a date"),
    ],
)
def test_bad_windows(begin: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        walk_forward(DATES, begin, **settings)
