"""What a strategy is, and how one is played through a trading period: it sees the past, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError, OptgapError, Registry
from optgap.co.dynamics.portfolio_trade import keep_limits
from optgap.co.heuristics.portfolio_rules import play as play_rule
from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.walk_forward import past

F64 = NDArray[np.float64]
EVERY = 21  # trading days: about a month
TOLERANCE = 1e-6  # of the weights' sum and signs: what a solver leaves; cleaned, not passed on


class Strategy(Protocol):
    """Chooses weights from past prices.

    ``weights`` is called on rebalancing dates alone, in their order; between them positions are held.
    """

    name: str

    def fit(self, history: Prices) -> None:
        """Learn from the training window, once before each test window; most strategies have nothing to learn."""
        ...

    def weights(self, past: Prices, holdings: F64) -> F64:
        """Target weights (N + 1,), cash last, sum 1.

        Args:
            past: prices up to the close of the decision, which is the last row: a copy that the strategy may keep.
            holdings: (N + 1,) weights before the trade.
        """
        ...


STRATEGIES = Registry("strategy")  # name -> a callable that returns a Strategy
for _name in ("equal-weight", "buy-and-hold", "all-cash"):
    STRATEGIES.register(_name, f"optgap.envs.portfolio.strategies:{_name.replace('-', '_')}")
for _name in (
    "risk-parity",
    "minimum-variance",
    "mean-variance",
    "maximum-sharpe",
    "minimum-cvar",
    "hrp",
    "herc",
    "cardinality-mean-variance",
):
    STRATEGIES.register(_name, f"optgap.envs.portfolio.optimized:{_name.replace('-', '_')}")


def strategies(names: list[str] | None = None) -> list[Strategy]:
    """The named strategies with their defaults; None: all that are registered."""
    return [STRATEGIES.load(name)() for name in (STRATEGIES.names() if names is None else names)]


def prices_of(period: TradingPeriod) -> Prices:
    """The price table of a trading period, history included; it has no index."""
    return Prices(
        name=period.name,
        assets=period.assets,
        dates=period.dates,
        close=period.close,
        open=period.open,
        high=period.high,
        low=period.low,
        cash=period.cash,
        largest_gap=10**6,  # the period was checked when it was made
    )


def play(strategy: Strategy, period: TradingPeriod, every: int = EVERY) -> F64:
    """Weights (T, N + 1) of a strategy that trades at decisions 0, ``every``, 2 ``every``, ... and holds between.

    Targets that break a limit of the period become the nearest that keep it, by the rule that the environment has for
    actions, so that learned and classical methods are treated alike.

    Raises:
        InputError: ``every`` is not at least 1, the strategy fails, or its weights are not N + 1 shares of sum 1.
    """
    if every < 1:
        raise InputError(f"every is {every}; expected at least 1 trading day")
    prices, size = prices_of(period), period.n_assets + 1

    def target(t: int, drifted: F64) -> F64:
        if t % every:
            return drifted
        now = period.history + t
        where = f"strategy {strategy.name} on {period.dates[now]}"
        with told(where):
            chosen = strategy.weights(past(prices.rows(0, now + 1)), drifted.copy())
        weights = _shares(where, chosen, size)
        keep_limits(weights, drifted, period.cap, period.minimum_cash, period.turnover)
        return weights

    return play_rule(period, target)


@contextmanager
def told(where: str) -> Iterator[None]:
    """An error of a strategy as one line, with its place in the code; those of the project, which say enough, as they are."""
    try:
        yield
    except OptgapError:
        raise
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        at = f"{Path(place.filename).name}, line {place.lineno}"
        raise InputError(f"{where}: {type(error).__name__}: {error} ({at})") from error


def _shares(where: str, chosen: Any, size: int) -> F64:
    try:
        weights = np.array(chosen, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: weights are {chosen!r:.60}; expected {size} numbers, cash last") from None
    if weights.shape == (size,) and not np.isfinite(weights).all():
        raise InputError(f"{where}: weights are {weights.tolist()}; expected {size} numbers, cash last")
    if weights.shape != (size,):
        raise InputError(f"{where}: weights of shape {weights.shape}; expected {size} numbers, cash last")
    if weights[:-1].min() < -TOLERANCE or abs(weights.sum() - 1) > TOLERANCE:
        raise InputError(
            f"{where}: least weight {weights[:-1].min():.3g}, sum {weights.sum():.9g}; expected at least 0, sum 1"
        )
    np.maximum(weights[:-1], 0.0, out=weights[:-1])
    return np.asarray(weights / weights.sum())
