"""Figures of one equity curve: daily data, simple returns, years of 252 days.

Where the field has more than one definition, this is the one used, and what skfolio's figure of the same name is:

=================  ================================================================  =================================
figure             here                                                              skfolio
=================  ================================================================  =================================
annual return      compounded: ``(W_T / W_0) ** (252 / T) - 1``                      arithmetic: 252 x mean
volatility         ``sqrt(252)`` x standard deviation of the returns (T - 1)         the same
Sharpe ratio       ``sqrt(252)`` x mean / standard deviation (T - 1) of the excess   the same with a daily rate of 0 or
                   returns over cash                                                 a constant one
Sortino ratio      ``sqrt(252)`` x mean excess / root of the mean square (T) of the  semi-deviation around the *mean*
                   negative excess returns (Sortino & Price 1994, target: cash)      and (T - 1), unless told otherwise
maximum drawdown   largest fall below the running peak, as a share of that peak      the same with ``compounded=True``;
                                                                                     by default sums of returns
Calmar ratio       annual return / maximum drawdown (Young 1991)                     daily mean / drawdown: not annual
=================  ================================================================  =================================

A ratio whose denominator is 0 (all money in cash) does not exist and is NaN, never a large number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.portfolio.prices import YEAR

CONSTANT = 1e-12  # a standard deviation below this is rounding of a constant series

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """One row of a table. Returns, volatility and drawdown are fractions: 0.1 is 10%."""

    annual_return: float
    volatility: float  # a year
    sharpe: float  # a year, over cash
    sortino: float  # a year, over cash
    calmar: float
    maximum_drawdown: float  # >= 0
    turnover: float  # bought plus sold, in portfolios a year
    costs: float  # paid a year, as a share of the wealth of the day
    final_wealth: float  # by the initial wealth

    def as_json(self) -> dict[str, float | None]:
        """Field -> value, with None for NaN, which JSON does not have."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def measure(wealth: Any, cash: Any = 0.0, traded: Any = 0.0, costs: Any = 0.0) -> Metrics:
    """The figures of an equity curve.

    Args:
        wealth: (T+1,) marked at T+1 closes in a row, T >= 2.
        cash: (T,) simple interest of cash over each day, or one number.
        traded: (T,) bought plus sold at each decision as a share of the wealth before it, or one number.
        costs: (T,) paid at each decision as a share of the wealth before it, or one number.

    Raises:
        InputError: fewer than 3 marks, or wealth that is not above 0, except at the end of a curve that ends in ruin:
            that has lost everything, and its other ratios are NaN.
    """
    wealth = np.asarray(wealth, np.float64)
    if wealth.ndim == 1 and len(wealth) > 1 and wealth[-1] == 0 < wealth[0]:
        return Metrics(-1.0, np.nan, np.nan, np.nan, -1.0, 1.0, np.nan, np.nan, 0.0)
    returns = daily_returns(wealth)
    excess = returns - np.asarray(cash, np.float64)
    days = len(returns)
    annual = float((wealth[-1] / wealth[0]) ** (YEAR / days) - 1)
    fall = float(drawdowns(wealth).max())
    return Metrics(
        annual_return=annual,
        volatility=float(returns.std(ddof=1) * np.sqrt(YEAR)),
        sharpe=sharpe(excess),
        sortino=sortino(excess),
        calmar=annual / fall if fall > 0 else np.nan,
        maximum_drawdown=fall,
        turnover=float(np.broadcast_to(traded, days).mean() * YEAR),
        costs=float(np.broadcast_to(costs, days).mean() * YEAR),
        final_wealth=float(wealth[-1] / wealth[0]),
    )


def daily_returns(wealth: Any) -> F64:
    """(T,) simple returns of (T+1,) wealth.

    Raises:
        InputError: fewer than 3 marks, or one that is not a number above 0.
    """
    wealth = np.asarray(wealth, np.float64)
    if wealth.ndim != 1 or len(wealth) < 3:
        raise InputError(f"wealth of shape {wealth.shape}; expected a row of at least 3 marks")
    bad = ~(wealth > 0) | ~np.isfinite(wealth)
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(f"wealth is {wealth[at]} at mark {at}; expected numbers above 0")
    return np.asarray(wealth[1:] / wealth[:-1] - 1)


def drawdowns(wealth: Any) -> F64:
    """(T+1,) share of the running peak that is lost, in 0..1."""
    wealth = np.asarray(wealth, np.float64)
    return np.asarray(1 - wealth / np.maximum.accumulate(wealth))


def sharpe(excess: Any) -> float:
    """Annual Sharpe ratio of (T,) daily returns over cash (Sharpe 1994); NaN where they do not vary."""
    excess = np.asarray(excess, np.float64)
    spread = float(excess.std(ddof=1))
    return float(excess.mean() / spread * np.sqrt(YEAR)) if spread > CONSTANT else np.nan


def sortino(excess: Any) -> float:
    """Annual Sortino ratio of (T,) daily returns over cash; NaN where none is negative."""
    excess = np.asarray(excess, np.float64)
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return float(excess.mean() / downside * np.sqrt(YEAR)) if downside > CONSTANT else np.nan
