from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError, MissingExtraError
from optgap.envs.portfolio.prices import Prices, _built_in, daily_rate, load_prices

WIDE = """date,AAA,BBB
2020-01-02,10.0,20
2020-01-03,11.0,19
2020-01-06,12.0,18
2020-01-07,13.0,17
"""
LONG = """Date,Asset,Open,High,Low,Close,Volume
2020-01-02,AAA,10,11,9,10.5,100
2020-01-02,BBB,20,21,19,20.5,100
2020-01-03,AAA,11,12,10,11.5,100
2020-01-03,BBB,19,20,18,19.5,100
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def text(content: str, name: str = "p.csv") -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return text


def random_prices(seed: int, rows: int, columns: int, every: bool) -> Prices:
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (rows, columns)), axis=0))
    low, high = close * rng.uniform(0.9, 1.0, close.shape), close * rng.uniform(1.0, 1.1, close.shape)
    dates = np.datetime64("2019-12-27") + np.cumsum(rng.integers(1, 5, rows))
    names = tuple(["NA", "null", "C D", "e", "F.G"][:columns])
    channels = {"open": 0.5 * (low + high), "high": high, "low": low} if every else {}
    return Prices("random", names, dates, close, **channels)


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 5), st.booleans(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_give_back_what_was_written(
    tmp_path: Path, seed: int, rows: int, columns: int, every: bool, data: st.DataObject
) -> None:
    prices = random_prices(seed, rows, columns, every)
    suffix = data.draw(st.sampled_from(["csv", "csv.gz", "parquet"]))
    path = tmp_path / f"p.{suffix}"
    if every:  # long, sorted by date or by asset
        channels = {name: getattr(prices, name).ravel() for name in ("close", "open", "high", "low")}
        keys = {"date": np.repeat(prices.dates, columns), "asset": np.tile(prices.assets, rows)}
        frame = pd.DataFrame(keys | channels)
        if data.draw(st.booleans()):
            rank = frame["asset"].map(prices.assets.index)
            frame = frame.iloc[np.argsort(rank, kind="stable")]
        indexed = False
    else:
        indexed = data.draw(st.booleans())
        frame = pd.DataFrame(prices.close, columns=list(prices.assets), index=pd.Index(prices.dates, name="Date"))
        frame = frame if indexed else frame.reset_index()
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=indexed)
    read = load_prices(path)
    assert read.name == path.name
    assert read.assets == prices.assets
    assert np.array_equal(read.dates, prices.dates)
    for channel in ("close", "open", "high", "low"):
        there, here = getattr(prices, channel), getattr(read, channel)
        assert (here is None) == (there is None)
        assert there is None or np.allclose(here, there, rtol=1e-14, atol=0.0)


def test_a_long_table_has_its_channels_in_any_case(write: Any) -> None:
    prices = load_prices(str(write(LONG)))
    assert prices.assets == ("AAA", "BBB")
    assert prices.close.tolist() == [[10.5, 20.5], [11.5, 19.5]]
    assert prices.open.tolist() == [[10.0, 20.0], [11.0, 19.0]]
    assert prices.high[0].tolist() == [11.0, 21.0]
    assert prices.low[0].tolist() == [9.0, 19.0]
    assert prices.index is None


@pytest.mark.parametrize(
    "first", ["2020-01-02", "20200102", "2020-01-02 00:00:00", "2020-01-02T16:00:00", "2020-01-02T00:30:00+09:00"]
)
def test_dates_may_have_these_forms(write: Any, first: str) -> None:
    prices = load_prices(write(f"date,AAA\n{first},1\n"))
    assert prices.dates.tolist() == [np.datetime64("2020-01-02").item()]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12.0,18", "12.0,", "close of asset BBB on 2020-01-06 is missing; expected a number above 0"),
        ("12.0,18", "12.0", "close of asset BBB on 2020-01-06 is missing; expected a number above 0"),
        ("12.0,18", "12.0,NaN", "close of asset BBB on 2020-01-06 is missing; expected a number above 0"),
        ("12.0,18", "12.0,0", "close of asset BBB on 2020-01-06 is 0; expected a number above 0"),
        ("12.0,18", "-12.0,18", "close of asset AAA on 2020-01-06 is -12; expected a number above 0"),
        ("12.0,18", "12.0,n.a.", "close of asset BBB on 2020-01-06 is 'n.a.'; expected a number above 0"),
        ("12.0,18", '"12,0",18', "close of asset AAA on 2020-01-06 is '12,0'; expected a number above 0"),
        ("12.0,18", "12.0,18,5", "cannot be read as prices: "),
        (
            "10.0,20",
            ",20",
            "asset AAA starts late, with close from 2020-01-03 on; expected a later start, or start='common'",
        ),
        ("13.0,17", "13.0,", "asset BBB ends early, with no close from 2020-01-07 on"),
        ("2020-01-06", "2020-01-03", "date 2020-01-03 appears twice; expected strictly increasing dates"),
        ("2020-01-06", "2020-01-01", "date 2020-01-01 comes after a later date; expected strictly increasing dates"),
        ("2020-01-07", "2020-02-07", "no prices from 2020-01-06 to 2020-02-07, 32 days; expected at most 10"),
        ("2020-01-06", "06/01/2020", "date of row 3 is 06/01/2020; expected a date as 2011-12-30"),
        ("2020-01-06", "", "date of row 3 is missing; expected a date as 2011-12-30"),
        ("BBB", "AAA", "asset AAA appears twice; expected different columns"),
        (WIDE, "", "cannot be read as prices: No columns to parse from file"),
        (WIDE, "date,AAA\n", "0 rows of 2 columns; expected a date and prices, with commas between"),
        (",", ";", "4 rows of 1 columns; expected a date and prices, with commas between"),
    ],
)
def test_bad_wide_files_are_refused_with_asset_and_date(write: Any, old: str, new: str, message: str) -> None:
    assert old in WIDE
    with pytest.raises(InputError, match=r"p\.csv: ") as error:
        load_prices(write(WIDE.replace(old, new)))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2020-01-03,BBB", "2020-01-02,BBB", "asset BBB: date 2020-01-02 appears twice"),
        ("2020-01-03,AAA", "2020-01-01,AAA", "asset AAA: date 2020-01-01 comes after a later date"),
        ("20.5", "-20.5", "close of asset BBB on 2020-01-02 is -20.5; expected a number above 0"),
        ("2020-01-02,BBB,20,21,19,20.5,100\n", "", "asset BBB starts late, with close from 2020-01-03 on"),
        ("2020-01-03,AAA,11,12,10,11.5,100\n", "", "asset AAA ends early, with no close from 2020-01-03 on"),
        ("19,20,18,19.5", "19,20,18,x", "Close of asset BBB on 2020-01-03 is 'x'; expected a number above 0"),
        ("19,20,18,19.5", "19,,18,19.5", "asset BBB ends early, with no high from 2020-01-03 on"),
        (
            "19,20,18,19.5",
            "19,20,19.6,19.5",
            "asset BBB on 2020-01-03 has low 19.6 and close 19.5; expected low <= open",
        ),
    ],
)
def test_bad_long_files_are_refused_with_asset_and_date(write: Any, old: str, new: str, message: str) -> None:
    assert old in LONG
    with pytest.raises(InputError, match=r"p\.csv: ") as error:
        load_prices(write(LONG.replace(old, new)))
    assert message in str(error.value)


HOLES = """date,AAA,BBB
2020-01-02,10,
2020-01-03,11,
2020-01-06,,18
2020-01-07,13,17
2020-01-08,14,
"""


def test_nothing_is_filled_or_cut_unless_asked(write: Any) -> None:
    path = write(HOLES)
    with pytest.raises(InputError, match="asset BBB starts late"):
        load_prices(path)
    with pytest.raises(InputError, match="asset BBB starts late"):
        load_prices(path, fill="forward")
    with pytest.raises(InputError, match="asset AAA starts late, with close from 2020-01-07"):
        load_prices(path, start="common")
    both = load_prices(path, fill="forward", start="common")
    assert both.close.tolist() == [[11.0, 18.0], [13.0, 17.0], [14.0, 17.0]]
    assert str(both.dates[0]) == "2020-01-06"
    assert load_prices(path, begin="2020-01-07", end="2020-01-07").close.tolist() == [[13.0, 17.0]]
    assert load_prices(path, assets=["AAA"], end="2020-01-03").close.tolist() == [[10.0], [11.0]]
    with pytest.raises(InputError, match="no prices from 2021-01-01 to None; expected dates within 2020-01-02 to"):
        load_prices(path, begin="2021-01-01")


def test_what_is_filled_does_not_depend_on_later_rows(write: Any) -> None:
    whole = load_prices(write(HOLES), fill="forward", begin="2020-01-06")
    cut = load_prices(write("\n".join(HOLES.splitlines()[:4])), fill="forward", begin="2020-01-06")
    assert np.array_equal(whole.close[:1], cut.close)


def test_a_day_without_a_trade_is_filled_with_one_price(write: Any) -> None:
    prices = load_prices(write(LONG.replace("2020-01-03,BBB,19,20,18,19.5,100\n", "")), fill="forward")
    for channel in ("open", "high", "low", "close"):
        assert getattr(prices, channel)[1, 1] == 20.5


def test_a_hole_too_long_is_not_filled(write: Any) -> None:
    days = [f"2020-01-{d:02d},{d},{'' if d > 3 else 7}" for d in range(1, 31)]
    path = write("date,AAA,BBB\n" + "\n".join(days))
    message = "asset BBB on 2020-01-14 has no price since 2020-01-03; expected at most 10 days to fill"
    with pytest.raises(InputError, match=message):
        load_prices(path, fill="forward")


def test_cash_and_index_come_from_columns(write: Any) -> None:
    columns = ["SPX,bill", "5,0.01", "6,0.02", "7,0.03", "8,0.04"]
    text = "\n".join(f"{old},{new}" for old, new in zip(WIDE.split(), columns, strict=True))
    prices = load_prices(write(text), cash="bill", index="SPX")
    assert prices.assets == ("AAA", "BBB")
    assert prices.index.tolist() == [5.0, 6.0, 7.0, 8.0]
    # A rate quoted on a day is earned until the next.
    assert prices.cash.tolist() == [daily_rate(rate) for rate in (0.01, 0.01, 0.02, 0.03)]
    one = load_prices(write(text), assets=["BBB"], cash=0.05)
    assert one.assets == ("BBB",)
    assert one.cash.tolist() == [daily_rate(0.05)] * 4
    with pytest.raises(InputError, match="cash on 2020-01-03 is nan; expected an annual rate"):
        load_prices(write(text.replace("0.02", "")), cash="bill", index="SPX")
    for wrong in ({"cash": "BILL"}, {"index": "BILL"}, {"assets": ["BILL"]}):
        with pytest.raises(InputError, match="no column 'BILL'; expected of AAA, BBB, SPX, bill"):
            load_prices(write(text), **wrong)


def test_a_long_file_takes_the_index_from_an_asset(write: Any) -> None:
    prices = load_prices(write(LONG), index="BBB")
    assert prices.assets == ("AAA",)
    assert prices.index.tolist() == [20.5, 19.5]


def test_a_jump_that_looks_like_a_split_is_a_warning(write: Any) -> None:
    with pytest.warns(UserWarning, match="p.csv: asset BBB on 2020-01-07 closes at 0.508 of the day before; an unadj"):
        load_prices(write(WIDE.replace("13.0,17", "13.0,9.15")))


def test_a_day_is_that_of_its_own_clock(write: Any) -> None:
    rows = "2020-03-27T16:00:00-04:00,1\n2020-03-30 16:00:00.5Z,1\n2020-03-31T23:30:00+0200,1\n2020-04-01,1\n"
    days = load_prices(write("date,AAA\n" + rows)).dates
    assert [str(day) for day in days] == ["2020-03-27", "2020-03-30", "2020-03-31", "2020-04-01"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WIDE.partition("\n")[2], "the first column is named 2020-01-02; expected a line of names, date first"),
        (WIDE.replace("BBB", ""), "column 3 has no name; expected that of an asset"),
        (LONG.replace("Close", "Last"), "columns Date, Asset, Open, High, Low, Last, Volume; expected close beside"),
        (WIDE.replace("12.0,18", "1e-300,18"), "close of asset AAA on 2020-01-06 is 1e-300; expected one from 1e-100"),
        (
            WIDE.replace("12.0,18", "12.0,1.9e9"),
            "close of asset BBB on 2020-01-06 is 1.9e.09; expected within 1e.06 ti",
        ),
    ],
)
def test_tables_of_another_form_are_refused(write: Any, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_prices(write(text))


@pytest.mark.parametrize(
    ("value", "said"), [(True, "True"), (np.datetime64("2020-01-02", "ns"), "2020-01-02 00:00:00")]
)
def test_columns_of_no_numbers_are_refused(tmp_path: Path, value: Any, said: str) -> None:
    days = pd.bdate_range("2020-01-01", periods=2)
    pd.DataFrame({"date": days, "AAA": [value, value]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match=f"close of asset AAA on 2020-01-01 is {said}; expected a number above 0"):
        load_prices(tmp_path / "p.parquet")


def test_half_a_compressed_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{k},{k * k}\n" for k in range(1000)).encode())
    (tmp_path / "p.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cannot be read as prices: Compressed file ended"):
        load_prices(tmp_path / "p.csv.gz")


def test_files_that_are_none_are_refused(write: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file of prices"):
        load_prices(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "folder.csv", write("no parquet", "p.parquet"), write("no gzip", "p.csv.gz")):
        with pytest.raises(InputError, match="cannot be read as prices"):
            load_prices(path)
    with pytest.raises(InputError, match="fill is 'backward'; expected 'forward' or None"):
        load_prices(write(WIDE), fill="backward")
    with pytest.raises(InputError, match="start is 'late'; expected 'common' or None"):
        load_prices(write(WIDE), start="late")


def test_rows_longer_than_the_header_are_refused(write: Any) -> None:
    with pytest.raises(InputError, match="rows have more values than the header has columns"):
        load_prices(write("date,AAA\n2020-01-02,1,2\n2020-01-03,1,2\n"))


@pytest.mark.parametrize(("package", "suffix"), [("pandas", "csv"), ("pyarrow", "parquet"), ("skfolio", None)])
def test_a_missing_package_names_the_command(
    write: Any, monkeypatch: pytest.MonkeyPatch, package: str, suffix: str | None
) -> None:
    path = "sp500" if suffix is None else write(WIDE, f"p.{suffix}")
    _built_in.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "skfolio.datasets", raising=False)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed; run: pip install 'optgap\[finance\]'"):
        load_prices(path)
