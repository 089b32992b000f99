"""shifted_dates.py: what a shift of dates does, and what bounded logits can hold."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from optgap.envs.portfolio.metrics import sharpe
from optgap.envs.portfolio.prices import Prices
from shifted_dates import bounded_row, largest_difference, shifted_rows, vertices, window_sharpes

RNG = np.random.default_rng(7)


def softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(-1, keepdims=True)


def test_ratios_of_all_windows_are_those_of_each():
    excess = RNG.normal(0.001, 0.01, (60, 3))
    found = window_sharpes(excess, 20)
    assert found.shape == (41, 3)
    for first in (0, 17, 40):
        for m in range(3):
            assert found[first, m] == pytest.approx(sharpe(excess[first : first + 20, m]), rel=1e-9)


def test_a_shift_compares_the_windows_of_other_days():
    """Ratios that rise by 1 a day: taken 2 days late they are 2 too large, 2 days early 2 too small."""
    days = np.arange(10.0)
    ratios = np.column_stack([days, days + 1.0])
    late, early = shifted_rows(ratios, ["a", "b"], 0, 2)
    assert (late["side"], late["windows"]) == ("late", 6)
    assert (late["low"], late["high"], late["deviation"]) == pytest.approx((2, 2, 0))
    assert (early["low"], early["high"]) == pytest.approx((-2, -2))
    assert (late["best"], late["best_shifted"], late["changed"], late["wrongly_best"]) == (0, 1, 1, 1)
    assert (early["best"], early["best_shifted"], early["changed"]) == (0, 0, 0)


@pytest.fixture
def market():
    dates = np.arange("2020-01-01", "2020-04-01", dtype="datetime64[D]")
    close = np.exp(np.cumsum(RNG.normal(0, 0.02, (len(dates), 4)), axis=0))
    prices = Prices(name="m", assets=tuple("ABCD"), dates=dates, close=close)
    return prices, SimpleNamespace(dates=dates[10:], cash=np.zeros(len(dates) - 11))


def test_the_bounds_of_bounded_logits_are_reached_and_kept(market):
    row = bounded_row(*market)
    logits = np.concatenate([vertices(5), RNG.random((20_000, 5))])
    weights = softmax(logits)
    assert weights.max() == pytest.approx(row["largest"], rel=1e-12)
    assert weights.min() == pytest.approx(row["least"], rel=1e-12)
    away = weights - 0.2
    assert np.abs(away).sum(1).max() / 2 == pytest.approx(row["active_share"], rel=1e-12)
    close = market[0].close[10:]
    returns = np.column_stack([close[1:] / close[:-1] - 1, np.zeros(len(close) - 1)])
    errors = (away @ returns.T).std(axis=1, ddof=1) * np.sqrt(252)
    assert errors.max() == pytest.approx(row["tracking_error"], rel=1e-12)
    assert np.argmax(errors) < 2**5  # at a vertex
    daily = np.abs(away @ returns.T).max(0)
    assert largest_difference(returns) == pytest.approx(daily, rel=1e-9)
    assert row["with_foresight"] == pytest.approx(np.sqrt(np.mean(daily**2) * 252), rel=1e-9)


def test_the_bounds_of_the_paper():
    """Of 11 logits in [0, 1]: e / (e + 10) = 0.2137; of 21: e / (e + 20) = 0.1196."""
    for n, largest in ((11, 0.21373), (21, 0.11965)):
        assert softmax(np.eye(n)[0])[0] == pytest.approx(np.e / (np.e + n - 1))
        assert np.e / (np.e + n - 1) == pytest.approx(largest, abs=1e-5)


def test_vertices_are_all_of_them():
    assert sorted(map(tuple, vertices(3).tolist())) == sorted(product((0.0, 1.0), repeat=3))


def test_the_script_writes_its_table_and_picture(call, tmp_path):
    arguments = ("prices=markov", "methods=equal-weight,buy-and-hold", "begin=2009-01-01", "end=2010-12-31")
    answer = call("shifted_dates", *arguments, "history=20", "shift=5", "window=60", "out=shifted")
    assert answer.code == 0, answer.err
    data = json.loads((tmp_path / "shifted" / "shifted.json").read_text())
    assert [(row["method"], row["side"]) for row in data["shifts"]] == [
        (name, side) for name in ("equal-weight", "buy-and-hold") for side in ("late", "early")
    ]
    assert [row["policy"] for row in data["methods"]] == ["equal-weight", "buy-and-hold"]
    assert (tmp_path / "shifted" / "shifted.png").read_bytes()[:4] == b"\x89PNG"


def test_a_file_of_many_assets_and_later_years(call, tmp_path):
    """Nobody has sealed its days, and only the first assets' bounds are tried."""
    dates = np.arange("2020-01-01", "2020-06-01", dtype="datetime64[D]")
    close = np.exp(np.cumsum(RNG.normal(0, 0.02, (len(dates), 30)), axis=0))
    lines = [",".join([str(day), *(f"{price:.6f}" for price in row)]) for day, row in zip(dates, close, strict=True)]
    names = ",".join(f"S{k}" for k in range(30))
    (tmp_path / "many.csv").write_text("\n".join([f"date,{names}", *lines]) + "\n")
    answer = call(
        *("shifted_dates", "prices=many.csv", "methods=equal-weight,buy-and-hold", "begin=2020-02-01"),
        *("history=20", "window=30", "shift=3"),
    )
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "runs" / "shifted-dates" / "shifted.json").read_text())
    assert [row["policy"] for row in found["bounds"]] == ["11 logits 0..1"]
    assert found["period"] == "2020-02-01 to 2020-05-31"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shift=0"], "shift is 0; expected at least 1"),
        (["window=5000", "end=2010-12-31", "begin=2009-01-01"], "expected at least a window of 5000"),
        (["end=2016-01-01"], "which are sealed"),
        (["methods=equal-weight"], "expected at least 2 strategies"),
    ],
)
def test_bad_input_is_one_line(call, arguments, said):
    answer = call("shifted_dates", "prices=markov", "methods=equal-weight,buy-and-hold", "history=20", *arguments)
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
