"""A trained portfolio policy beside classical strategies, on the years after its training."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

import cli
from learned_portfolios import Watched, greedy_weights
from optgap.agents.common.contracts import Agent
from optgap.co.core import InputError
from optgap.envs.portfolio.backtest import HISTORY, Backtest, Player, backtest, strategy_player
from optgap.envs.portfolio.prices import Prices, day, load_prices
from optgap.envs.portfolio.results import require_table, write_results
from optgap.envs.portfolio.strategy import EVERY, STRATEGIES
from optgap.envs.portfolio.walk_forward import SEALED_FROM, Fold, walk_forward
from portfolio_report import save_report
from portfolio_table import backtest_table, lines_of

YEARS = 3  # after the training
REFERENCE = "equal-weight"
SIMPLE, OPTIMIZED = (REFERENCE, "buy-and-hold"), ("minimum-variance", "risk-parity")
FOLDER, POLICY = "validation", "this run"


def compare(env_config: Any, agent: Agent, folder: Path, console: Console) -> None:
    """Play the greedy policy and the strategies through the days after ``env_config.end``; print, write and draw.

    Nothing is shown, with a line that says why, where no such days are known or they are sealed.
    """
    try:
        prices = load_prices(env_config.prices, assets=env_config.assets, cash=env_config.cash)
        fold = window(prices, env_config)
    except InputError as error:
        console.print(Text(f"no table on later days: {error}"), style="yellow")
        return
    limit = math.inf if env_config.turnover is None else float(env_config.turnover)
    rules = {name: getattr(env_config, name) for name in ("proportional_cost", "fixed_cost", "cap", "minimum_cash")}
    result = validate(agent, prices, fold, rules | {"turnover": limit}, console)
    rows = write_results(result, folder / FOLDER, prices, reference=REFERENCE)
    first, last, cost = result.dates[1], result.dates[-1], env_config.proportional_cost
    title = f"{prices.name}, returns of {first} to {last}, costs {cost:.2%}"
    console.print(backtest_table(lines_of(result, rows, REFERENCE), title))
    save_report(result, title, folder / FOLDER / "report.png")
    console.print(Text(f"written  {folder / FOLDER}: results.json, wealth.csv, weights.npz, report.png"))


def window(prices: Prices, env_config: Any) -> Fold:
    """The first :data:`YEARS` years after the training days, none of them sealed; a file's days are its owner's to seal.

    Raises:
        InputError: no such days.
    """
    if env_config.end is None:
        raise InputError("training went to the last day of the prices; expected env.end before it")
    later = prices.dates[prices.dates > day(env_config.end)]
    sealed = SEALED_FROM if env_config.prices == "sp500" else None
    if len(later) < 2 or (sealed is not None and later[1] >= day(sealed)):
        raise InputError(f"{prices.name} has none after {env_config.end} that are not sealed")
    fold = walk_forward(prices.dates, str(later[0]), years=YEARS, gap=1, sealed_from=sealed)[0]
    first, last = np.searchsorted(prices.dates, np.array([fold.test_begin, fold.test_end]))
    require_table(int(last - first))
    return fold


def validate(agent: Agent, prices: Prices, fold: Fold, rules: dict[str, Any], console: Console) -> Backtest:
    """The policy of ``agent`` and the strategies on the days of ``fold``, with as much history as there is."""
    history = min(HISTORY, int(np.searchsorted(prices.dates, fold.test_begin)))
    with cli.interruptible() as check, console.status("playing") as status:
        strategies = {name: STRATEGIES.load(name)() for name in SIMPLE}
        strategies |= {name: STRATEGIES.load(name)(window=history) for name in OPTIMIZED if find_spec("skfolio")}
        players: dict[str, Player] = {
            name: strategy_player(Watched(strategy, check), EVERY) for name, strategy in strategies.items()
        }
        players[POLICY] = lambda train, period: greedy_weights(agent, period, check)

        def tell(name: str) -> None:
            status.update(f"playing {name}")

        result = backtest(prices, [fold], players, history=history, progress=tell, **rules)
    if len(strategies) < len(SIMPLE + OPTIMIZED):
        console.print(Text(f"skipped  {', '.join(OPTIMIZED)}: pip install 'optgap[finance]'"))
    return result
