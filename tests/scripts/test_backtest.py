"""backtest.py: strategies and trained agents on the same days with the same costs; shifted_dates.py beside it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.co.problems.portfolio import replay
from optgap.envs.portfolio.prices import Prices, load_prices
from optgap.envs.portfolio.results import read_results
from optgap.envs.portfolio.walk_forward import SEALED_FROM, openings

TINY = ("agent.num_envs=2", "agent.rollout_length=32", "agent.minibatch_size=64", "agent.epochs=1", "agent.width=4")
STEPS = ("total_steps=64", "env.window=5", *TINY)
WINDOWS = ("prices=markov", "begin=2000-01-01", "end=2001-12-31", "years=1", "window=20", "out=tests")
METHODS = "methods=equal-weight,buy-and-hold,portfolio-ppo"
COST = "cost-0.01"


def in_process(command: list[str], **rest: object) -> SimpleNamespace:
    """In the place of a process of its own, which would take seconds to begin."""
    return SimpleNamespace(returncode=importlib.import_module("train").main(command[2:]), stderr="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which a backtest of two strategies and two seeds of an agent has been made."""
    folder, before = tmp_path_factory.mktemp("backtest"), os.environ.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(importlib.import_module("training_cells"), "subprocess", SimpleNamespace(run=in_process))
        arguments = (*WINDOWS, METHODS, "costs=0.01", "seeds=0,1", *STEPS)
        assert importlib.import_module("backtest").main(list(arguments)) == 0
    os.environ.clear()
    os.environ.update(before)
    return folder


def again(call, folder: Path, monkeypatch, *arguments: str):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return call("backtest", *WINDOWS, *arguments)


@pytest.fixture
def mine(folder, tmp_path) -> Path:
    """A copy of that folder, to be spoilt."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_learned_and_classical_methods_have_the_same_dates_and_costs(folder):
    result = read_results(folder / "tests" / COST, load_prices("markov"))
    names = [curve.method for curve in result.curves]
    assert names == ["equal-weight", "buy-and-hold", "portfolio-ppo seed 0", "portfolio-ppo seed 1", "hindsight"]
    assert result.period.proportional_cost == 0.01
    assert [str(date) for date in result.dates[[1, -1]]] == ["2000-01-03", "2001-12-31"]
    for curve in result.curves:
        assert (curve.dates == result.dates).all()
        played = replay(result.period, curve.weights)
        assert curve.wealth == pytest.approx(played.wealth, rel=1e-12)
        assert played.cost.sum() == pytest.approx(0.01 * float((played.turnover * played.wealth[:-1]).sum()), rel=0.02)
    runs = sorted(folder.glob("tests/training/seed-*/*/portfolio/portfolio-ppo/*/config.json"))
    trained = [json.loads(run.read_text())["resolved"]["env"] for run in runs]
    assert len(trained) == 4  # two seeds, two windows
    assert {env["proportional_cost"] for env in trained} == {0.01}
    ends = {np.datetime64(env["end"]) for env in trained}
    assert ends == {fold.train_end for fold in result.folds}
    assert max(ends) < result.folds[1].test_begin


def test_a_policy_sees_nothing_of_the_test_before_its_day(folder):
    """Played through other prices from a day on, it holds the same until that day, and what it then earns is another."""
    from learned_portfolios import greedy_weights
    from naming import find_agent
    from optgap.envs.portfolio.backtest import trading_period

    prices = load_prices("markov")
    agent = find_agent(str(next(folder.glob("tests/training/seed-0/*/portfolio/portfolio-ppo/*"))))
    first, close = int(np.searchsorted(prices.dates, np.datetime64("2000-03-01"))), prices.close.copy()
    close[first + 1 :] = close[first + 1 :][:, ::-1] * np.linspace(1, 2, len(close) - first - 1)[:, None]
    other = Prices(name="other", assets=prices.assets, dates=prices.dates, close=close, cash=prices.cash)
    one, two = (greedy_weights(agent, trading_period(p, "2000-02-01", "2000-04-28", 20)) for p in (prices, other))
    same = first - int(np.searchsorted(prices.dates, np.datetime64("2000-02-01"))) + 1
    assert (one[:same] == two[:same]).all()
    assert not np.allclose(one[same:], two[same:])


def test_the_table_has_every_method_and_the_spread_of_the_seeds(folder):
    table = json.loads((folder / "tests" / "backtest.json").read_text())["tables"]["0.01"]
    lines = {line["method"]: line for line in table}
    assert [line["kind"] for line in table] == ["bound", "method", "method", "method"]
    learned = lines["portfolio-ppo"]["figures"]["sharpe"]
    assert lines["portfolio-ppo"]["seeds"] == [0, 1]
    assert learned["mean"] == pytest.approx(np.mean(learned["values"]))
    assert learned["std"] == pytest.approx(np.std(learned["values"], ddof=1))
    low, high = lines["portfolio-ppo"]["sharpe_interval"][1:]
    assert low < learned["mean"] < high
    assert lines["equal-weight"]["sharpe_difference"] == [0.0, 0.0, 0.0]
    rows = json.loads((folder / "tests" / COST / "results.json").read_text())["methods"]
    for row in rows:  # the interval of one curve is that of the results file
        if row["method"] == "equal-weight":
            assert lines["equal-weight"]["sharpe_interval"] == pytest.approx(row["sharpe"])
    wealth = {name: line["figures"]["final_wealth"]["mean"] for name, line in lines.items()}
    assert max(wealth, key=wealth.__getitem__) == "hindsight"
    assert "+-" in (folder / "tests" / "backtest.md").read_text()


def test_a_second_call_trains_and_plays_nothing_anew(folder, call, monkeypatch):
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("played or trained anew")

    monkeypatch.setattr(importlib.import_module("training_cells"), "subprocess", SimpleNamespace(run=never))
    monkeypatch.setattr(importlib.import_module("learned_portfolios"), "greedy_weights", never)
    before = (folder / "tests" / COST / "wealth.csv").read_bytes()
    answer = again(call, folder, monkeypatch, METHODS, "costs=0.01", "seeds=0,1", *STEPS)
    assert answer.code == 0, answer.err
    assert "resumed  4 of 4 trainings" in answer.out
    assert (folder / "tests" / COST / "wealth.csv").read_bytes() == before
    assert max(map(len, answer.out.splitlines())) <= 80


def test_what_was_stopped_goes_on(mine, call, monkeypatch):
    """Without one window's training and one played file, only these are made anew, with the same result."""
    runs = {run: run.stat().st_mtime_ns for run in mine.glob("tests/training/seed-*/*/portfolio/*/*/metrics.jsonl")}
    lost = next(run for run in runs if "seed-1" in str(run))
    shutil.rmtree(lost.parent)
    (mine / "tests" / COST / "played" / "equal-weight" / "1999-12-31.npz").write_bytes(b"PK\x03\x04damaged")
    before = (mine / "tests" / COST / "wealth.csv").read_bytes()
    (mine / "tests" / COST / "wealth.csv").unlink()
    monkeypatch.setattr(importlib.import_module("training_cells"), "subprocess", SimpleNamespace(run=in_process))
    answer = again(call, mine, monkeypatch, METHODS, "costs=0.01", "seeds=0,1", *STEPS)
    assert answer.code == 0, answer.err
    assert "resumed  3 of 4 trainings" in answer.out
    assert all(run.stat().st_mtime_ns == then for run, then in runs.items() if run != lost)
    assert (mine / "tests" / COST / "wealth.csv").read_bytes() == before


def test_trainings_with_other_settings_are_not_taken_for_these(folder, call, monkeypatch):
    before = sorted(folder.rglob("*"))
    for change in ("total_steps=128", "agent.width=8"):
        answer = again(call, folder, monkeypatch, METHODS, "costs=0.01", "seeds=0,1", *STEPS, change)
        assert answer.code == 2
        assert "training.json: trained with" in answer.err
        assert "another out=" in answer.err
    assert sorted(folder.rglob("*")) == before


def test_a_training_that_fails_leaves_the_others_their_table(call, monkeypatch, tmp_path):
    failed = SimpleNamespace(returncode=2, stderr="error: no such luck\n")
    fails = SimpleNamespace(run=lambda *arguments, **rest: failed)
    monkeypatch.setattr(importlib.import_module("training_cells"), "subprocess", fails)
    answer = call("backtest", *WINDOWS, METHODS, "costs=0.01", "seeds=0", *STEPS)
    assert answer.code == 1
    assert "no such luck" in answer.out
    assert "left out portfolio-ppo, seed 0: not trained" in answer.out
    assert "buy-and-hold" in (tmp_path / "tests" / "backtest.md").read_text()


def test_the_report_is_drawn_from_the_files(mine, call, monkeypatch):
    (mine / "tests" / COST / "report.png").unlink()
    shutil.rmtree(mine / "tests" / "training")
    monkeypatch.chdir(mine)
    answer = call("backtest", "report=tests")
    assert answer.code == 0, answer.err
    assert (mine / "tests" / COST / "report.png").read_bytes()[:4] == b"\x89PNG"
    wealth = mine / "tests" / COST / "wealth.csv"
    rows = [line.split(",") for line in wealth.read_text().splitlines()]
    column = [row[3] for row in rows]
    for row, value in zip(rows[1:], ["1", *column[1:-1]], strict=True):  # the policy's curve, a day late
        row[3] = value
    wealth.write_text("".join(",".join(row) + "\n" for row in rows))
    answer = call("backtest", "report=tests")
    assert answer.code == 2
    assert "portfolio-ppo seed 0: wealth on" in answer.err
    assert "1 trading days" in answer.err


def test_sealed_windows_stay_sealed(call, refuses, tmp_path):
    arguments = ("prices=markov", "begin=2010-01-01", "years=5", "methods=equal-weight,buy-and-hold", "costs=0.001")
    assert "which are sealed" in refuses("backtest", *arguments, "end=2016-12-30")
    assert call("backtest", *arguments, "out=shut").code == 0
    shut = read_results(tmp_path / "shut" / "cost-0.001", load_prices("markov"))
    assert shut.dates[-1] < np.datetime64(SEALED_FROM)
    assert openings(tmp_path / "shut" / "cost-0.001") == []
    assert call("backtest", *arguments, "end=2016-12-30", "open_sealed=true", "out=open").code == 0
    (logged,) = openings(tmp_path / "open" / "cost-0.001")
    assert "open_sealed=true" in str(logged["command"])
    assert logged["methods"] == ["equal-weight", "buy-and-hold"]
    assert json.loads((tmp_path / "open" / "cost-0.001" / "results.json").read_text())["openings"] == [logged]


def test_a_table_of_prices_and_a_strategy_of_ones_own(call, tmp_path, monkeypatch):
    rng, dates = np.random.default_rng(0), np.arange("2019-01-01", "2021-01-01", dtype="datetime64[D]")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (len(dates), 2)), axis=0))
    lines = [f"{date},{a:.4f},{b:.4f}" for date, (a, b) in zip(dates, close, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["date,A,B", *lines]) + "\n")
    (tmp_path / "first_only.py").write_text(
        "import numpy as np\n"
        "from optgap.envs.portfolio.strategy import STRATEGIES\n"
        "class FirstOnly:\n"
        "    def __init__(self, share=1.0):\n        self.name, self.share = 'first-only', share\n"
        "    def fit(self, history): pass\n"
        "    def weights(self, past, holdings):\n        return np.array([self.share, 0.0, 1 - self.share])\n"
        "if 'first-only' not in STRATEGIES:\n    STRATEGIES.register('first-only', FirstOnly)\n"
    )
    from optgap.envs.portfolio.strategy import STRATEGIES

    monkeypatch.setattr(STRATEGIES, "_targets", dict(STRATEGIES._targets))
    monkeypatch.setattr(sys, "path", list(sys.path))
    answer = call(
        *("benchmark", "env=portfolio", "prices=mine.csv", "plugins=first_only", "methods=first-only:share=0.5"),
        *("begin=2020-01-01", "sealed_from=null", "window=30", "costs=0.001", "out=own"),
    )
    sys.modules.pop("first_only", None)
    assert answer.code == 0, answer.err
    result = read_results(tmp_path / "own" / "cost-0.001", load_prices("mine.csv"))
    assert [curve.method for curve in result.curves] == ["equal-weight", "first-only:share=0.5", "hindsight"]
    assert result.curve("first-only:share=0.5").weights[0] == pytest.approx([0.5, 0.0, 0.5])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("trials"), "no results of backtest.py: KeyError('trials')"),
        (lambda s: s.update(trials="many"), "no results of backtest.py: ValueError"),
        (lambda s: s.update(costs=["much"]), "no results of backtest.py: ValueError"),
        (lambda s: s.update(costs=[]), "names no costs"),
        (lambda s: s.update(reference="best"), "unknown method 'best'"),
    ],
)
def test_edited_settings_of_a_backtest_are_one_line(call, mine, change, said):
    file = mine / "tests" / "backtest.json"
    found = json.loads(file.read_text())
    change(found["settings"])
    file.write_text(json.dumps(found))
    answer = call("backtest", "report=tests")
    assert answer.code == 2
    assert said in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["methods=equal-wait"], "unknown method 'equal-wait' (did you mean equal-weight?)"),
        (["methods=equal-weight,equal-weight"], "none twice"),
        (["methods=hrp:days=3"], "hrp:days=3: unknown setting days; known: window"),
        (["methods=portfolio-ppo:env.end=2012-01-01"], "env.end is the backtest's"),
        (["methods=equal-weight", "env.proportional_cost=0"], "env.proportional_cost is the backtest's"),
        (["methods=equal-weight", "costs=much"], "costs=much: expected numbers"),
        (["methods=equal-weight", "costs=2"], "proportional_cost is 2.0"),
        (["methods=equal-weight", "prices=nowhere.csv"], "nowhere.csv"),
        (["methods=equal-weight", "begin=1990-06-01"], "a later begin or a shorter window"),
        (["methods=portfolio-ppo", "reference=portfolio-ppo"], "expected a strategy"),
        (["methods=equal-weight", "begin=2010-01-04", "end=2010-01-15"], "a test of 10 days; expected at least 20"),
        (["methods=equal-weight,hrp", "trials=1"], "trials is 1 with 2 methods and seeds"),
        (["methods=portfolio-ppo", "window=20"], "window is 20; portfolio-ppo sees 50 days (env.window and env.lag)"),
        (["methods=portfolio-ppo:env.lag=3", "env.window=20", "window=22"], "sees 23 days"),
        (["methods=hrp:window=long"], "hrp:window=long: window is 'long'; expected a number as 504"),
        (["prices=sp500", "sealed_from=null", "methods=equal-weight"], "sp500 is sealed from 2015-01-01 on"),
        (["prices=sp500", "sealed_from=2030-01-01", "methods=equal-weight"], "open_sealed=true opens it"),
        (["methods=equal-weight", "begin=2016-01-01"], "to 2014-12-31 (sealed from 2015-01-01 on: sealed_from)"),
        (["report=nowhere"], "nowhere"),
        (["method=hrp"], "did you mean methods?"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(refuses, arguments, said):
    assert said in refuses("backtest", "prices=markov", *arguments)


def test_an_environment_without_a_benchmark_of_its_own(refuses):
    assert "env=jssp: expected portfolio" in refuses("benchmark", "env=jssp")


def test_training_ends_with_a_table_on_later_days(call, tmp_path):
    answer = call("train", "env=portfolio", "env.prices=markov", "agent=portfolio-ppo", *STEPS, "final_episodes=2")
    assert answer.code == 0, answer.err
    assert "returns of 2012-01-02 to 2015-01-01, costs 0.25%" in answer.out
    for name in ("this run", "equal-weight", "buy-and-hold", "minimum-variance", "risk-parity"):
        assert name in answer.out.partition("returns of 2012")[2]
    (folder,) = tmp_path.glob("runs/portfolio/portfolio-ppo/*/validation")
    assert (folder / "report.png").read_bytes()[:4] == b"\x89PNG"
    result = read_results(folder, load_prices("markov"))
    assert result.curve("this run").weights is not None
    answer = call("evaluate", f"run={folder.parent}", "episodes=2")
    assert answer.code == 0, answer.err
    assert "wealth" in answer.out
    answer = call("render", "env=portfolio", f"policy={folder.parent}", "frames=3", "out=policy.gif")
    assert answer.code == 0, answer.err
    assert (tmp_path / "policy.gif").read_bytes()[:3] == b"GIF"


def test_the_days_to_choose_by_are_not_the_sealed_ones():
    from portfolio_validation import window

    prices = load_prices("markov")
    dates = prices.dates
    stocks = SimpleNamespace(prices="sp500", end="2011-12-30")
    fold = window(prices, stocks)
    assert dates[np.searchsorted(dates, fold.test_begin) + 1] == np.datetime64("2012-01-02")
    assert str(fold.test_end) == "2014-12-31"
    with pytest.raises(InputError):
        window(prices, SimpleNamespace(prices="sp500", end="2015-06-30"))
    assert str(window(prices, SimpleNamespace(prices="markov", end="2015-06-30")).test_end) == "2018-06-29"
    with pytest.raises(InputError, match="last day"):
        window(prices, SimpleNamespace(prices="markov", end=None))


@pytest.mark.slow
def test_a_kill_and_a_second_call(tmp_path, call):
    """Killed while it trains, with all its processes; the second call ends what the first began."""
    arguments = [
        *WINDOWS,
        METHODS,
        "costs=0.01",
        "seeds=0",
        "total_steps=3200",
        *STEPS[1:],
        "agent.checkpoint_interval=1",
    ]
    script = Path(__file__).parents[2] / "scripts" / "backtest.py"
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments], cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL
    )
    pattern, end = "tests/training/*/*/portfolio/portfolio-ppo/*/metrics.jsonl", time.monotonic() + 240
    while not [run for run in tmp_path.glob(pattern) if run.read_text().count("\n") > 2]:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    begun = list(tmp_path.glob(pattern))
    answer = call("backtest", *arguments)
    assert answer.code == 0, answer.err
    assert set(begun) < set(tmp_path.glob(pattern))
    assert len(list(tmp_path.glob(pattern))) == 2
    assert (tmp_path / "tests" / COST / "results.json").exists()
