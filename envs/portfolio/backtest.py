"""The backtest: every method on the same dates, with the same costs, through the problem's own definition.

A *player* makes weights for one test window from the training window before it; strategies and learned policies alike are
players. Windows are played one after the other, and each begins with what the one before left: the joined weights are one
solution of one trading period, and :data:`~optgap.co.problems.portfolio.PORTFOLIO` says what it earns. No wealth is taken
from a player.

Dates. A curve carries its own dates, and is refused where they are not those of the price table, with its name and the first
wrong date: a curve that is some days off against the others (or computed on other days than it says) cannot enter a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import SOLVERS, Budget, InputError, solve
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod, replay
from optgap.envs.portfolio.prices import Dates, Prices, day
from optgap.envs.portfolio.strategy import EVERY, Strategy, play, told
from optgap.envs.portfolio.walk_forward import Fold

F64 = NDArray[np.float64]
HISTORY = 504  # rows before the first decision of a window: as many returns as the optimized strategies look at
CLOSE = 1e-9  # relative: two replays of the same weights
INDEX = "index"

Player = Callable[[Prices, TradingPeriod], Any]
"""(training prices, test period) -> weights (T, N + 1) after each trade, cash last."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What one method did on T + 1 closes in a row."""

    method: str
    dates: Dates  # (T + 1,)
    wealth: F64  # (T + 1,), 1 first
    weights: F64 | None = None  # (T, N + 1) after each trade; None: a level that cannot be traded, as an index
    turnover: F64 | float = 0.0  # (T,) bought plus sold, as a share of the wealth before the trade
    costs: F64 | float = 0.0  # (T,) paid, as a share of the wealth before the trade
    seconds: float = 0.0  # of CPU time, for all windows


@dataclass(frozen=True, eq=False)
class Backtest:
    """All methods on one trading period.

    Raises:
        InputError: a curve's dates are not the period's.
    """

    period: TradingPeriod  # from the first decision of the first window to the last mark of the last
    folds: tuple[Fold, ...]
    curves: tuple[Curve, ...]  # different methods
    bounds: frozenset[str] = field(default=frozenset())  # methods that knew the future

    def __post_init__(self) -> None:
        names = [curve.method for curve in self.curves]
        if len(set(names)) < len(names):
            raise InputError(f"methods {names}; expected different names")
        for curve in self.curves:
            require_dates(curve.method, curve.dates, self.dates)

    @property
    def dates(self) -> Dates:
        """(T + 1,) of the marks."""
        return marks(self.period)

    @property
    def cash(self) -> F64:
        """(T,) interest of cash over each day."""
        return self.period.cash[self.period.history + 1 :]

    def curve(self, method: str) -> Curve:
        """The curve of ``method``; an unknown one is an :class:`InputError` that lists the right ones."""
        for curve in self.curves:
            if curve.method == method:
                return curve
        raise InputError(f"unknown method {method!r}; known: {', '.join(curve.method for curve in self.curves)}")

    def with_curves(self, *curves: Curve) -> Backtest:
        """The same with further curves, made elsewhere."""
        return Backtest(self.period, self.folds, (*self.curves, *curves), self.bounds)


def marks(period: TradingPeriod) -> Dates:
    """(T + 1,) dates on which the wealth is marked."""
    return period.dates[period.history :]


def trading_period(
    prices: Prices, begin: Any, end: Any, history: int = HISTORY, initial: F64 | None = None, **rules: Any
) -> TradingPeriod:
    """The period with its first decision at the close of ``begin`` and its last mark at that of ``end``.

    Args:
        prices: the table; ``history`` rows before ``begin`` are taken from it.
        begin: a date of the table, as ``end``.
        end: its date of the last mark.
        history: H.
        initial: (N + 1,) weights before the first trade; None: all cash.
        rules: costs and limits, fields of :class:`~optgap.co.problems.portfolio.TradingPeriod`.

    Raises:
        InputError: a date is not in the table, or fewer than ``history`` rows come before ``begin``.
    """
    first, last = (_row(prices, date) for date in (begin, end))
    if first < history:
        raise InputError(
            f"{prices.name}: {first} rows before {begin}, the first decision; expected a history of {history}: "
            f"a later begin or a shorter window"
        )
    part = prices.rows(first - history, last + 1)
    known: dict[str, Any] = rules if initial is None else rules | {"initial": initial}
    return TradingPeriod(
        name=f"{prices.name} {begin}..{end}",
        dates=part.dates,
        close=part.close,
        open=part.open,
        high=part.high,
        low=part.low,
        cash=part.cash,
        history=history,
        assets=prices.assets,
        **known,
    )


def require_dates(method: str, dates: Dates, expected: Dates) -> None:
    """Raise :class:`InputError`, with the method's name and the first wrong date, unless the dates are the expected ones."""
    dates = np.asarray(dates, "datetime64[D]")
    both = min(len(dates), len(expected))
    wrong = np.flatnonzero(dates[:both] != expected[:both])
    if len(wrong):
        k = int(wrong[0])
        shift = int(np.searchsorted(expected, dates[k])) - k
        whole = dates[k] == expected[min(k + shift, len(expected) - 1)]
        by = f" ({abs(shift)} trading days {'late' if shift > 0 else 'early'})" if whole and shift else ""
        raise InputError(f"{method}: mark {k} is of {dates[k]}{by}; expected {expected[k]}, as in the price table")
    if len(dates) != len(expected):
        k = both
        what = f"{dates[k]} is one too many" if len(dates) > both else f"{expected[k]} is missing"
        raise InputError(f"{method}: {len(dates)} marks, {what}; expected {len(expected)}, as in the price table")


def curve_of(method: str, dates: Dates, weights: Any, period: TradingPeriod, seconds: float = 0.0) -> Curve:
    """The curve of weights (T, N + 1) made by anyone, checked and played by the problem's definition.

    Raises:
        InputError: ``dates`` (T + 1,), those that the method says it was marked on, are not the period's.
        InfeasibleError: the weights break a limit; names method, asset and date.
    """
    require_dates(method, dates, marks(period))
    weights = np.array(weights, np.float64)
    try:
        PORTFOLIO.check(period, weights)
    except ValueError as error:
        raise type(error)(f"{method}: {error}") from None
    played = replay(period, weights)
    before = np.where(played.wealth[:-1] > 0, played.wealth[:-1], 1.0)  # nothing is traded after ruin
    weights.setflags(write=False)
    return Curve(method, marks(period), played.wealth, weights, played.turnover, played.cost / before, seconds)


def index_curve(prices: Prices, period: TradingPeriod) -> Curve:
    """The market index as a curve: what cannot be bought costs nothing, and has no dividends where its level has none.

    Raises:
        InputError: the price table has no index.
    """
    if prices.index is None:
        raise InputError(f"{prices.name}: no market index; expected a table that has one")
    first, last = (_row(prices, date) for date in marks(period)[[0, -1]])
    level = prices.index[first : last + 1]
    return Curve(INDEX, prices.dates[first : last + 1], level / level[0])


def strategy_player(strategy: Strategy, every: int = EVERY) -> Player:
    """Fit on the training window, then play with a trade every ``every`` trading days."""

    def player(train: Prices, period: TradingPeriod) -> F64:
        with told(f"strategy {strategy.name}, fit up to {train.dates[-1]}"):
            strategy.fit(train)
        return play(strategy, period, every)

    return player


def solver_player(name: str, seconds: float = 60.0) -> Player:
    """A registered solver of "portfolio", which knows the period's future: for bounds alone."""

    def player(train: Prices, period: TradingPeriod) -> Any:
        return solve(SOLVERS.load(f"portfolio/{name}"), PORTFOLIO, period, Budget(seconds)).solution

    return player


def walk(method: str, player: Player, prices: Prices, folds: Sequence[Fold], period: TradingPeriod) -> Curve:
    """Play ``player`` through the windows, which together are ``period``; each begins with what the last one left.

    Raises:
        InputError: a window does not begin where the one before ended, or does not fit into the price table.
        InfeasibleError: weights break a limit of a window; names method, asset and date.
    """
    rules: dict[str, Any] = {
        name: getattr(period, name) for name in ("proportional_cost", "cap", "minimum_cash", "turnover")
    }
    cpu, holdings, wealth = time.process_time(), period.initial, 1.0
    dates, weights = [marks(period)[:1]], []
    for fold in folds:
        if fold.test_begin != dates[-1][-1]:
            raise InputError(f"{method}: window {fold.name} follows {dates[-1][-1]}; expected it to begin there")
        fixed = period.fixed_cost / wealth  # in units of the window's initial wealth
        window = trading_period(
            prices, fold.test_begin, fold.test_end, period.history, holdings, fixed_cost=fixed, **rules
        )
        played = curve_of(method, marks(window), player(fold.train(prices), window), window)
        assert played.weights is not None
        dates.append(played.dates[1:])
        weights.append(played.weights)
        wealth *= played.wealth[-1]
        if not wealth > 0:
            break
        holdings = played.weights[-1].copy()
        holdings[-1] = 1.0 - holdings[:-1].sum()
        holdings *= window.growth[-1]
        holdings /= holdings.sum()
    cpu = time.process_time() - cpu
    joined = np.concatenate(weights)
    if not wealth > 0:  # ruined: nothing is decided any more
        rest = period.n_days - len(joined)
        dates.append(marks(period)[len(joined) + 1 :])
        joined = np.concatenate([joined, np.tile(np.eye(period.n_assets + 1)[-1], (rest, 1))])
    curve = curve_of(method, np.concatenate(dates), joined, period, cpu)
    if not np.isclose(curve.wealth[-1], wealth, rtol=CLOSE, atol=0.0):
        raise RuntimeError(f"{method}: windows earn {wealth:.12g} one by one, {curve.wealth[-1]:.12g} joined")
    return curve


def backtest(
    prices: Prices,
    folds: Sequence[Fold],
    players: Mapping[str, Player],
    *,
    bounds: Mapping[str, Player] | None = None,
    history: int = HISTORY,
    progress: Callable[[str], None] | None = None,
    **rules: Any,
) -> Backtest:
    """Play every player through every fold; the index is added where the table has one.

    Args:
        prices: the table.
        folds: of :func:`~optgap.envs.portfolio.walk_forward.walk_forward`.
        players: method -> player, played window by window.
        bounds: method -> player that may know the future, played on all windows as one: the chain of yearly optima
            would bound nothing.
        history: rows before each window that players see.
        progress: called with each method's name when its turn begins.
        rules: costs and limits, fields of :class:`~optgap.co.problems.portfolio.TradingPeriod`.

    Raises:
        InputError: no folds, dates that do not fit, a method's name used twice.
        InfeasibleError: a player's weights break a limit.
    """
    if not folds:
        raise InputError("no test windows; expected at least 1 fold")
    bounds = bounds or {}
    period = trading_period(prices, folds[0].test_begin, folds[-1].test_end, history, **rules)
    curves = [] if prices.index is None else [index_curve(prices, period)]
    whole = (Fold(folds[0].train_begin, folds[0].train_end, folds[0].gap, folds[0].test_begin, folds[-1].test_end),)
    for each, windows in ((players, folds), (bounds, whole)):
        for method, player in each.items():
            if progress is not None:
                progress(method)
            curves.append(walk(method, player, prices, windows, period))
    return Backtest(period, tuple(folds), tuple(curves), frozenset(bounds))


def _row(prices: Prices, date: Any) -> int:
    row = int(np.searchsorted(prices.dates, day(date)))
    if row == len(prices) or prices.dates[row] != day(date):
        raise InputError(f"{prices.name}: {date} is no trading day; expected a date of the price table")
    return row
