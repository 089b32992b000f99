"""Methods of a backtest: agents and strategies that fail, and what was played by another version of them."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from learned_portfolios import Method, classical_player, greedy_weights
from optgap.co.core import OptgapError
from optgap.envs.portfolio.backtest import trading_period
from optgap.envs.portfolio.config import PortfolioConfig
from optgap.envs.portfolio.prices import load_prices
from optgap.envs.portfolio.strategy import STRATEGIES


@pytest.mark.parametrize(
    ("predict", "said"),
    [
        (lambda seen, deterministic: (np.full(4, np.nan, np.float32), None), "mine on 2000-02-01: action [nan, nan"),
        (lambda seen, deterministic: (np.zeros(3), None), "mine on 2000-02-01: actions have shape (1, 3)"),
        (
            lambda seen, deterministic: 1 / 0,
            "mine on 2000-02-01: ZeroDivisionError: division by zero (test_learned_portfolios.py",
        ),
    ],
)
def test_an_agent_that_fails_is_named_with_the_date(predict, said):
    agent = SimpleNamespace(predict=predict, env_config=PortfolioConfig(prices="markov", window=5))
    period = trading_period(load_prices("markov"), "2000-02-01", "2000-04-28", 20)
    with pytest.raises(OptgapError) as error:
        greedy_weights(agent, period, name="mine")
    assert str(error.value).startswith(said)


def test_another_version_of_a_strategy_is_played_anew(tmp_path, monkeypatch):
    """Not read from what the version before it played; and damaged files are played again."""
    module = tmp_path / "versions.py"
    code = (
        "class First:\n    name = 'first'\n    def fit(self, history): pass\n"
        "    def weights(self, past, holdings): return [SHARE, 0, 0, 1 - SHARE]\n"
    )
    prices = load_prices("markov")
    period = trading_period(prices, "2000-02-01", "2000-04-28", 20)
    monkeypatch.setattr(STRATEGIES, "_targets", dict(STRATEGIES._targets))
    monkeypatch.syspath_prepend(tmp_path)
    STRATEGIES.register("first", "versions:First")

    def first(share: str) -> float:
        module.write_text(code.replace("SHARE", share))
        sys.modules.pop("versions", None)
        importlib.invalidate_caches()
        player = classical_player(Method("first", "first", ()), 20, 21, lambda: None, tmp_path / "played")
        return float(player(prices, period)[0, 0])

    assert first("0.125") == 0.125
    assert first("0.5000") == 0.5
    (kept,) = (tmp_path / "played").rglob("*.npz")
    whole = kept.read_bytes()
    for place in range(40, len(whole), len(whole) // 20):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert first("0.5000") == 0.5
