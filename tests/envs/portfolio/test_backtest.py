"""The backtest: the same dates and costs for all, and no result that is shifted against them."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optgap.co.core import InfeasibleError, InputError
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod, wealth_path
from optgap.envs.portfolio.backtest import (
    Backtest,
    Curve,
    backtest,
    curve_of,
    index_curve,
    marks,
    require_dates,
    solver_player,
    strategy_player,
    trading_period,
    walk,
)
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.results import (
    RESULTS,
    WEALTH,
    WEIGHTS,
    read_results,
    require_table,
    table,
    write_results,
)
from optgap.envs.portfolio.strategies import AllCash, BuyAndHold, ConstantWeights, equal_weight
from optgap.envs.portfolio.walk_forward import OPENINGS, Fold, openings, walk_forward

SHIFT = 48  # trading days by which the public curve of arXiv 2412.18563 is off


def table_of_prices(seed: int = 0, years: int = 5, assets: int = 3) -> Prices:
    days = 261 * years
    drawn = PORTFOLIO.generate(np.random.default_rng(seed), assets=assets, days=days, history=1, cash=0.03)
    level = 1000 * np.cumprod(1 + 0.01 * np.random.default_rng(seed + 1).standard_normal(days + 2))
    return Prices(
        name="random", assets=drawn.assets, dates=drawn.dates, close=drawn.close, cash=drawn.cash, index=level
    )


PRICES = table_of_prices()
FOLDS = walk_forward(PRICES.dates, "2002-01-01", "2004-06-30")
STRATEGIES = {"equal-weight": equal_weight(), "buy-and-hold": BuyAndHold(), "all-cash": AllCash()}


def players() -> dict[str, object]:
    return {name: strategy_player(strategy) for name, strategy in STRATEGIES.items()}


def run(**settings: object) -> Backtest:
    bounds = {"hindsight": solver_player("hindsight")}
    return backtest(PRICES, FOLDS, players(), bounds=bounds, history=20, **settings)


@pytest.fixture(scope="module")
def result() -> Backtest:
    return run()


def test_all_methods_have_the_price_tables_dates(result: Backtest) -> None:
    rows = (PRICES.dates >= FOLDS[0].test_begin) & (PRICES.dates <= FOLDS[-1].test_end)
    assert [curve.method for curve in result.curves] == ["index", *STRATEGIES, "hindsight"]
    for curve in result.curves:
        np.testing.assert_array_equal(curve.dates, PRICES.dates[rows])
        assert len(curve.wealth) == rows.sum()


def test_windows_chain_to_one_solution_of_one_period(result: Backtest) -> None:
    for method in STRATEGIES:
        curve = result.curve(method)
        np.testing.assert_allclose(curve.wealth, wealth_path(result.period, curve.weights), rtol=1e-12)
    whole = PRICES.close[(PRICES.dates >= FOLDS[0].test_begin) & (PRICES.dates <= FOLDS[-1].test_end)]
    expected = (whole / whole[0]).mean(1) / 1.0025  # bought once, whatever the number of windows
    np.testing.assert_allclose(result.curve("buy-and-hold").wealth[1:], expected[1:], rtol=1e-12)
    assert np.count_nonzero(result.curve("buy-and-hold").turnover > 1e-12) == 1


@pytest.mark.parametrize("rules", [{"fixed_cost": 0.001}, {"minimum_cash": -0.5}, {"cap": 0.3, "turnover": 0.4}])
def test_windows_chain_under_all_rules(rules: dict[str, float]) -> None:
    period = trading_period(PRICES, FOLDS[0].test_begin, FOLDS[-1].test_end, 20, **rules)
    levered = ConstantWeights("levered", [0.5, 0.5, 0.5, -0.5] if "minimum_cash" in rules else [0.6, 0.2, 0.1, 0.1])
    curve = walk("levered", strategy_player(levered, 10), PRICES, FOLDS, period)  # which compares the two ways itself
    np.testing.assert_allclose(curve.wealth, wealth_path(period, curve.weights), rtol=1e-12)
    PORTFOLIO.check(period, curve.weights)


def test_index_and_bound(result: Backtest) -> None:
    assert PRICES.index is not None
    row = {date: k for k, date in enumerate(PRICES.dates)}
    first = row[result.dates[0]]
    expected = PRICES.index[first : first + len(result.dates)] / PRICES.index[first]
    np.testing.assert_allclose(result.curve("index").wealth, expected)
    best = result.curve("hindsight").wealth[-1]
    assert all(curve.wealth[-1] < best for curve in result.curves if curve.method in STRATEGIES)
    assert result.bounds == {"hindsight"}
    with pytest.raises(InputError, match="unknown method 'hrp'; known: index, equal-weight"):
        result.curve("hrp")


def test_higher_costs_leave_less(result: Backtest) -> None:
    cheap = run(proportional_cost=0.0005)
    for method in ("equal-weight", "hindsight"):
        assert cheap.curve(method).wealth[-1] > result.curve(method).wealth[-1]
    np.testing.assert_array_equal(cheap.curve("all-cash").wealth, result.curve("all-cash").wealth)


def test_players_train_before_and_play_after() -> None:
    seen: list[tuple[Prices, TradingPeriod]] = []

    def player(train: Prices, period: TradingPeriod) -> np.ndarray:
        seen.append((train, period))
        return np.tile([0.5, 0.5, 0.0, 0.0], (period.n_days, 1)).astype(np.float32)

    period = trading_period(PRICES, FOLDS[0].test_begin, FOLDS[-1].test_end, 20)
    walk("learned", player, PRICES, FOLDS, period)
    for (train, window), fold in zip(seen, FOLDS, strict=True):
        assert train.dates[-1] == fold.train_end < fold.test_begin == marks(window)[0]
        assert marks(window)[-1] == fold.test_end
        assert window.history == 20
    assert seen[0][1].initial[-1] == 1.0
    np.testing.assert_allclose(seen[1][1].initial[:2], 0.5, atol=0.05)  # what the window before left


# The known error of public artefacts: a curve whose days are not those of the others.


def test_curve_with_shifted_dates_is_refused(result: Backtest) -> None:
    curve, late = result.curve("equal-weight"), PRICES.dates[PRICES.dates >= result.dates[0]]
    shifted = replace(curve, method="drl", dates=late[SHIFT : SHIFT + len(curve.dates)])
    line = f"drl: mark 0 is of {result.dates[SHIFT]} \\(48 trading days late\\); expected {result.dates[0]}"
    with pytest.raises(InputError, match=line):
        result.with_curves(shifted)
    with pytest.raises(InputError, match=line):
        curve_of("drl", shifted.dates, curve.weights, result.period)


def test_curve_that_is_shifted_from_some_day_on_is_refused(result: Backtest) -> None:
    dates = result.dates.copy()
    dates[100:-SHIFT] = result.dates[100 + SHIFT :]
    with pytest.raises(InputError, match=f"drl: mark 100 is of {result.dates[148]} .48 trading days late"):
        require_dates("drl", dates, result.dates)
    with pytest.raises(InputError, match=rf"drl: \d+ marks, {result.dates[-1]} is missing"):
        require_dates("drl", result.dates[:-1], result.dates)
    with pytest.raises(InputError, match=r"drl: \d+ marks, 2030-01-01 is one too many"):
        require_dates("drl", np.append(result.dates, np.datetime64("2030-01-01")), result.dates)


def test_windows_that_leave_a_hole_are_refused() -> None:
    period = trading_period(PRICES, FOLDS[0].test_begin, FOLDS[-1].test_end, 20)
    with pytest.raises(InputError, match=f"equal-weight: window {FOLDS[2].name} follows {FOLDS[0].test_end}"):
        walk("equal-weight", strategy_player(equal_weight()), PRICES, [FOLDS[0], FOLDS[2]], period)
    with pytest.raises(InputError, match=r"equal-weight: \d+ marks, 2004-01-01 is missing"):
        walk("equal-weight", strategy_player(equal_weight()), PRICES, FOLDS[:2], period)


def shift_column(file: Path, method: str, days: int) -> None:
    header, *lines = list(csv.reader(file.read_text().splitlines()))
    column = header.index(method)
    values = [line[column] for line in lines]
    for line, value in zip(lines, values[days:] + values[-1:] * days, strict=True):
        line[column] = value
    file.write_text("\n".join(",".join(line) for line in [header, *lines]) + "\n")


@pytest.mark.parametrize("method", ["equal-weight", "index"])
def test_shifted_column_of_a_results_file_is_refused(result: Backtest, tmp_path: Path, method: str) -> None:
    write_results(result, tmp_path, PRICES, samples=50)
    shift_column(tmp_path / WEALTH, method, SHIFT)
    line = rf"wealth.csv: {method}: wealth on {result.dates[0]} is \S+ \(the column fits 48 trading days later\)"
    with pytest.raises(InputError, match=line):
        read_results(tmp_path, PRICES)


def test_weights_of_other_days_are_refused(result: Backtest, tmp_path: Path) -> None:
    """A policy played 48 days off, its curve written on the others' dates: the figures of the paper."""
    other = trading_period(PRICES, PRICES.dates[20], PRICES.dates[20 + result.period.n_days], 20)
    played = curve_of("drl", marks(other), strategy_player(equal_weight())(PRICES, other), other)
    pasted = Curve("drl", result.dates, played.wealth, played.weights)
    write_results(result.with_curves(pasted), tmp_path, PRICES, samples=50)  # nothing is recomputed here
    with pytest.raises(
        InputError, match=rf"drl: wealth on {result.dates[1]} is \S+; expected \S+, which its weights earn"
    ):
        read_results(tmp_path, PRICES)


def test_shifted_dates_of_a_results_file_are_refused(result: Backtest, tmp_path: Path) -> None:
    write_results(result, tmp_path, PRICES, samples=50)
    file = tmp_path / WEALTH
    shift_column(file, "date", SHIFT)
    with pytest.raises(InputError, match=rf"index: mark 0 is of {result.dates[SHIFT]} \(48 trading days late\)"):
        read_results(tmp_path, PRICES)


def test_results_come_back(result: Backtest, tmp_path: Path) -> None:
    rows = write_results(result, tmp_path, PRICES, samples=50)
    back = read_results(tmp_path, PRICES)
    assert back.folds == result.folds
    assert back.bounds == result.bounds
    for one, other in zip(back.curves, result.curves, strict=True):
        assert one.method == other.method
        np.testing.assert_allclose(one.wealth, other.wealth, rtol=1e-12)
        if other.weights is not None:
            np.testing.assert_array_equal(one.weights, other.weights)
    report = json.loads((tmp_path / RESULTS).read_text())
    assert report["provenance"]["versions"]["numpy"] == np.__version__
    assert report["rules"]["turnover"] is None  # no limit
    assert [entry["method"] for entry in report["methods"]] == [curve.method for curve in result.curves]
    written = {entry["method"]: entry["metrics"]["sharpe"] for entry in report["methods"]}
    assert written == {row.method: row.metrics.as_json()["sharpe"] for row in rows}


def test_other_prices_are_refused(result: Backtest, tmp_path: Path) -> None:
    write_results(result, tmp_path, PRICES, samples=50)
    close = PRICES.close.copy()
    close[700, 1] *= 1.000001
    with pytest.raises(InputError, match="made from other prices of random; expected the same table"):
        read_results(tmp_path, replace(PRICES, close=close))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (RESULTS, '"folds"', '"fold"', "results.json: no results of a backtest: KeyError"),
        (RESULTS, '"history"', "history", "results.json: line 13: not JSON"),
        (WEALTH, "2002-01-02", "yesterday", "wealth.csv: line 4: expected a date and 5 numbers"),
        (WEALTH, "buy-and-hold", "sell", "wealth.csv: methods .* expected .*as in results.json"),
        (WEALTH, "2002-01-02,", "2002-01-02,1\n2002-01-02,", "wealth.csv: line 4: expected a date and 5 numbers"),
        (WEALTH, "date,", "a" * 200_000, "wealth.csv: no table: field larger than"),
        (RESULTS, '"history": 20', '"history": "long"', "results.json: no results of a backtest: ValueError"),
        (RESULTS, '"cap"', '"cup"', "results.json: no results of a backtest: KeyError.*cap"),
        (RESULTS, '"kind": "method"', '"kind": "winner"', "results.json: no results of a backtest: ValueError"),
        (RESULTS, '"kind"', '"sort"', "results.json: no results of a backtest: KeyError.*kind"),
        (RESULTS, None, "[" * 100_000, "results.json: no results of a backtest: nested too deeply"),
        (WEIGHTS, None, "", "weights.npz: array 0 cannot be read"),
    ],
)
def test_damaged_files(result: Backtest, tmp_path: Path, file: str, old: str | None, new: str, message: str) -> None:
    write_results(result, tmp_path, PRICES, samples=50)
    path = tmp_path / file
    path.write_text(new if old is None else path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_results(tmp_path, PRICES)


def test_every_flipped_byte_of_the_weights_is_noticed_or_harmless(result: Backtest, tmp_path: Path) -> None:
    write_results(result, tmp_path, PRICES, samples=50)
    whole = (tmp_path / WEIGHTS).read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=12).tolist():
        (tmp_path / WEIGHTS).write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(InputError, InfeasibleError):
            again = read_results(tmp_path, PRICES)
            assert (again.curve("equal-weight").wealth == result.curve("equal-weight").wealth).all()


def test_writing_leaves_the_whole_folder_or_the_one_before(
    result: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(result, tmp_path, PRICES, samples=50)

    def full(stream: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match=r"weights\.npz: cannot be written: .*No space left"):
        write_results(result, tmp_path, PRICES, samples=50)
    read_results(tmp_path, PRICES)


def test_a_log_of_openings_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / OPENINGS).write_text("opened")
    with pytest.raises(InputError, match=r"openings\.jsonl: not a log of openings"):
        openings(tmp_path)


def test_what_a_table_needs_is_refused_before_the_work() -> None:
    require_table(20, 3, 3)
    with pytest.raises(InputError, match="a test of 19 days; expected at least 20"):
        require_table(19)
    with pytest.raises(InputError, match="trials is 2 with 3 methods and seeds"):
        require_table(500, 3, 2)


def test_table(result: Backtest) -> None:
    rows = table(result, samples=100)
    assert [row.kind for row in rows] == ["bound", "index", "method", "method", "method"]
    by_name = {row.method: row for row in rows}
    assert by_name["equal-weight"].difference.estimate == 0.0
    assert (
        by_name["buy-and-hold"].sharpe.low
        < by_name["buy-and-hold"].metrics.sharpe
        < by_name["buy-and-hold"].sharpe.high
    )
    assert 0 < by_name["buy-and-hold"].deflated_sharpe < 1
    assert np.isnan(by_name["index"].deflated_sharpe)
    more = {row.method: row for row in table(result, samples=100, trials=500)}
    assert more["buy-and-hold"].deflated_sharpe < by_name["buy-and-hold"].deflated_sharpe
    assert by_name["all-cash"].metrics.annual_return == pytest.approx(0.03)
    with pytest.raises(InputError, match="unknown method '1/N'"):
        table(result, reference="1/N")


def test_ruin_is_a_row(tmp_path: Path) -> None:
    fixed = backtest(PRICES, FOLDS, players(), history=20, fixed_cost=0.2)
    assert fixed.curve("equal-weight").wealth[-1] == 0
    rows = {row.method: row for row in write_results(fixed, tmp_path, PRICES, reference="all-cash", samples=50)}
    assert rows["equal-weight"].metrics.annual_return == -1.0
    np.testing.assert_array_equal(read_results(tmp_path, PRICES).curve("equal-weight").wealth[-1], 0.0)


def test_bad_input(result: Backtest) -> None:
    with pytest.raises(InputError, match="no test windows"):
        backtest(PRICES, [], {})
    with pytest.raises(InputError, match="2002-01-05 is no trading day"):
        trading_period(PRICES, "2002-01-05", "2003-01-03")
    with pytest.raises(InputError, match="rows before 2001-12-31, the first decision; expected a history of 600"):
        trading_period(PRICES, "2001-12-31", "2003-01-03", 600)
    with pytest.raises(InputError, match="expected different names"):
        result.with_curves(result.curve("index"))
    with pytest.raises(InputError, match="no market index"):
        index_curve(replace(PRICES, index=None), result.period)
    weights = np.array(result.curve("equal-weight").weights)
    weights[17] *= 2
    with pytest.raises(InfeasibleError, match=f"mine: .*the weights of decision 17 .{result.dates[17]}.: 2"):
        curve_of("mine", result.dates, weights, result.period)


def test_fold_is_a_plain_record() -> None:
    assert isinstance(FOLDS[0], Fold)
    assert len(FOLDS) == 3
