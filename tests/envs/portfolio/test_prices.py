from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.envs.portfolio.prices import YEAR, Prices, daily_rate, day, load_prices, suspected_splits

DATES = np.array(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], dtype="datetime64[D]")


def made(**changes: Any) -> Prices:
    """Four days of two assets, with changes."""
    fields: dict[str, Any] = {
        "name": "test",
        "assets": ("AAA", "BBB"),
        "dates": DATES,
        "close": np.array([[10.0, 20.0], [11.0, 19.0], [12.0, 18.0], [13.0, 17.0]]),
    }
    return Prices(**(fields | changes))


def close_with(row: int, column: int, value: float) -> np.ndarray:
    close = made().close.copy()
    close[row, column] = value
    return close


def test_what_is_kept_is_a_read_only_copy() -> None:
    close = np.ones((4, 2))
    prices = made(close=close, high=close * 2, index=[1.0, 2.0, 3.0, 4.0])
    close[0, 0] = 5.0
    assert prices.close[0, 0] == 1.0
    assert prices.index.tolist() == [1.0, 2.0, 3.0, 4.0]
    for part in (prices, prices.rows(1, 3), prices.select(["BBB"]), prices.with_cash(0.1)):
        for array in (part.dates, part.close, part.high, part.cash, part.index):
            assert not array.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                array[0] = array[-1]


def test_cash_is_zero_or_a_number_for_every_day_or_one_a_day() -> None:
    assert made().cash.tolist() == [0.0] * 4
    assert made(cash=0.01).cash.tolist() == [0.01] * 4
    assert made(cash=[0.0, 0.1, 0.2, -0.1]).cash.tolist() == [0.0, 0.1, 0.2, -0.1]


def test_an_annual_rate_compounds_over_252_trading_days() -> None:
    assert (1.0 + daily_rate(0.05)) ** YEAR == pytest.approx(1.05, rel=1e-12)
    assert daily_rate(0.0) == 0.0
    rich = made().with_cash(0.05)
    assert rich.cash.tolist() == [daily_rate(0.05)] * 4
    assert rich.close.tolist() == made().close.tolist()
    for wrong in (-1.0, np.nan, np.inf, "rate"):
        with pytest.raises(InputError, match="expected an annual rate"):
            made().with_cash(wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"close": close_with(2, 1, np.nan)}, "close of asset BBB on 2020-01-06 is missing; expected a number above 0"),
        ({"close": close_with(2, 1, 0.0)}, "close of asset BBB on 2020-01-06 is 0; expected a number above 0"),
        ({"close": close_with(1, 0, -3.5)}, "close of asset AAA on 2020-01-03 is -3.5; expected"),
        ({"close": close_with(1, 0, np.inf)}, "close of asset AAA on 2020-01-03 is inf; expected"),
        ({"close": close_with(0, 1, np.nan)}, "asset BBB starts late, with close from 2020-01-03 on; expected a later"),
        ({"close": close_with(3, 0, np.nan)}, "asset AAA ends early, with no close from 2020-01-07 on"),
        ({"close": np.full((4, 2), np.nan)}, "asset AAA has no close on any date"),
        ({"open": close_with(1, 1, 0.0)}, "open of asset BBB on 2020-01-03 is 0; expected"),
        ({"high": close_with(3, 1, 16.0)}, "asset BBB on 2020-01-07 has high 16 and close 17; expected low <= open"),
        ({"low": close_with(1, 0, 11.5)}, "asset AAA on 2020-01-03 has low 11.5 and close 11; expected low <= open"),
        (
            {"open": close_with(1, 0, 12.0), "high": close_with(1, 0, 11.5)},
            "asset AAA on 2020-01-03 has high 11.5 and open 12; expected",
        ),
        ({"dates": DATES[[0, 1, 1, 2]]}, "date 2020-01-03 appears twice; expected strictly increasing"),
        ({"dates": DATES[[0, 2, 1, 3]]}, "date 2020-01-03 comes after a later date; expected strictly increasing"),
        (
            {"dates": [*DATES[:3], np.datetime64("2020-01-17")]},
            "no prices from 2020-01-06 to 2020-01-17, 11 days; expected",
        ),
        ({"dates": [*DATES[:3], np.datetime64("NaT")]}, "date of row 3 is missing"),
        ({"dates": ["x", "y", "z", "w"]}, "expected datetime64"),
        ({"dates": DATES[:3]}, r"close has shape \(4, 2\); expected \(3, 2\)"),
        ({"dates": DATES.reshape(2, 2)}, r"dates have shape \(2, 2\); expected \(T,\)"),
        ({"dates": DATES[:0], "close": np.ones((0, 2))}, "0 dates and 2 assets; expected at least one"),
        ({"assets": ()}, "4 dates and 0 assets"),
        ({"assets": ("AAA", "AAA")}, "asset AAA appears twice"),
        ({"close": [["a", "b"]] * 4}, "close is no table of numbers"),
        ({"close": None}, r"close has shape \(\); expected \(4, 2\)"),
        ({"index": [1.0, 2.0, 0.0, 3.0]}, "index on 2020-01-06 is 0; expected a number above 0"),
        ({"index": [1.0, 2.0]}, r"index has shape \(2,\); expected \(4,\)"),
        ({"cash": [0.0, -1.0, 0.0, 0.0]}, "cash on 2020-01-03 is -1; expected a number above -1"),
        ({"cash": np.nan}, "cash on 2020-01-02 is nan"),
    ],
)
def test_bad_prices_are_refused_with_asset_and_date(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^test: .*{message}") as error:
        made(**changes)
    assert "\n" not in str(error.value)


def test_a_longer_gap_passes_where_it_is_asked_for() -> None:
    dates = [*DATES[:3], np.datetime64("2020-01-17")]
    assert made(dates=dates, largest_gap=11).largest_gap == 11
    assert made(dates=dates, largest_gap=11).rows(0, 2).largest_gap == 11


@given(st.integers(0, 3), st.integers(1, 4), st.sampled_from([("AAA",), ("BBB",), ("BBB", "AAA")]))
@settings(max_examples=40, deadline=None)
def test_cuts_equal_what_is_built_of_the_cut_arrays(first: int, last: int, names: tuple[str, ...]) -> None:
    prices = made(open=made().close, cash=[0.0, 0.1, 0.2, 0.3], index=[4.0, 3.0, 2.0, 1.0])
    if first >= last:
        with pytest.raises(InputError, match=r"expected 0 <= first < last <= 4"):
            prices.rows(first, last)
        return
    part = prices.rows(first, last).select(names)
    columns = [prices.assets.index(name) for name in names]
    again = Prices(
        "test",
        names,
        DATES[first:last],
        prices.close[first:last, columns],
        open=part.open,
        cash=part.cash,
        index=part.index,
    )
    for name in ("dates", "close", "open", "cash", "index"):
        assert np.array_equal(getattr(part, name), getattr(again, name))
    assert part.cash.tolist() == prices.cash[first:last].tolist()
    assert part.assets == names
    assert part.high is None
    assert len(part) == last - first
    by_date = prices.between(str(DATES[first]), DATES[last - 1]).select(names)
    assert np.array_equal(by_date.close, part.close)


def test_between_takes_both_ends_and_days_without_prices() -> None:
    prices = made()
    assert prices.between("2020-01-03", "2020-01-06").close[:, 0].tolist() == [11.0, 12.0]
    assert prices.between("2020-01-04", "2020-01-30").close[:, 0].tolist() == [12.0, 13.0]
    assert len(prices.between(None, None)) == 4
    with pytest.raises(
        InputError, match="no prices from 2020-01-04 to 2020-01-05; expected dates within 2020-01-02 to"
    ):
        prices.between("2020-01-04", "2020-01-05")


@pytest.mark.parametrize("wrong", ["2020-13-01", "soon", 2020, None, "NaT"])
def test_what_is_no_date_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"begin is .*; expected a date as 2011-12-30"):
        day(wrong, "begin")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["CCC"], "no asset 'CCC'; expected of AAA, BBB"), ([], "none twice"), (["AAA", "AAA"], "none twice")],
)
def test_unknown_assets_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made().select(names)


@given(st.sampled_from([2, 3, 5, 10]), st.booleans(), st.floats(-0.04, 0.04))
@settings(max_examples=40, deadline=None)
def test_splits_are_suspected_on_top_of_the_days_return(shares: int, reverse: bool, move: float) -> None:
    ratio = float(np.exp(move)) * (shares if reverse else 1.0 / shares)
    close = np.column_stack([[10.0, 10.5, 10.5 * ratio, 10.4 * ratio], [1.0, 1.01, 0.99, 1.0]])
    [(asset, date, seen)] = suspected_splits(made(close=close))
    assert (asset, date) == ("AAA", DATES[2])
    assert seen == pytest.approx(ratio)


def test_a_fall_by_a_third_is_no_suspect() -> None:
    assert suspected_splits(made(close=close_with(2, 0, 7.3))) == []


def test_the_built_in_stocks_are_what_the_docstring_says() -> None:
    prices = load_prices("sp500")
    assert prices.close.shape == (8313, 20)
    assert prices.assets[:3] == ("AAPL", "AMD", "BAC")
    assert (str(prices.dates[0]), str(prices.dates[-1])) == ("1990-01-02", "2022-12-28")
    assert prices.index[0] == 359.69  # the index without dividends closed there on these days
    assert prices.index[-1] == 3783.22
    assert prices.cash.max() == 0.0
    assert np.diff(prices.dates).max() == np.timedelta64(7, "D")  # after 2001-09-10
    assert np.is_busday(prices.dates).all()
    assert [(a, str(d)) for a, d, _ in suspected_splits(prices)] == [("RRC", "1990-04-10"), ("AAPL", "2000-09-29")]
    assert np.allclose(prices.close, prices.close.round(3), rtol=0.0, atol=1e-9)
    assert load_prices("sp500") is prices  # read once


def test_buying_the_worst_stock_of_yesterday_feeds_on_the_ticks_of_one_penny_stock() -> None:
    early = load_prices("sp500", end="1994-12-31")

    def contrarian(prices: Prices) -> float:
        """Log growth a day, in basis points, of the stock (or the tied ones) that fell most the day before."""
        moves = prices.close[1:] / prices.close[:-1]
        worst = moves == moves.min(axis=1, keepdims=True)
        weights = worst / worst.sum(axis=1, keepdims=True)
        return float(1e4 * np.log((weights[:-1] * moves[1:]).sum(axis=1)).mean())

    assert contrarian(early) == pytest.approx(19.2, abs=0.1)
    assert contrarian(early.select([a for a in early.assets if a != "RRC"])) == pytest.approx(2.1, abs=0.1)


def test_built_in_prices_are_cut_as_asked() -> None:
    prices = load_prices("sp500", assets=["XOM", "AAPL"], begin="2000-01-01", end="2000-12-31", cash=0.05)
    assert prices.assets == ("XOM", "AAPL")
    assert prices.close.shape == (252, 2)
    assert prices.cash.tolist() == [daily_rate(0.05)] * 252
    again = load_prices(prices, end="2000-01-31")
    assert again.dates[-1] == np.datetime64("2000-01-31")
    assert again.cash[0] == daily_rate(0.05)
    assert load_prices(prices) is prices


def test_unknown_sources_and_options_of_files_are_refused() -> None:
    with pytest.raises(InputError, match="no prices 'nasdaq'; expected sp500, markov"):
        load_prices("nasdaq")
    for option in ({"fill": "forward"}, {"start": "common"}, {"index": "SPX"}):
        with pytest.raises(InputError, match=f"{next(iter(option))} is .* expected for files of prices alone"):
            load_prices("sp500", **option)
    with pytest.raises(InputError, match="cash is 'RATE'; expected an annual rate"):
        load_prices("sp500", cash="RATE")
