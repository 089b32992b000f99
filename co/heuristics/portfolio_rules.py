"""Portfolios that need no forecast, the floor of every comparison: equal weight, and buy and hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result, Status
from optgap.co.problems.portfolio import TradingPeriod, trade

F64 = NDArray[np.float64]

Rule = Callable[[int, F64], F64]
"""Target (N + 1,) of decision t for the weights (N + 1,) before it; keeps the cap and the minimum of cash."""


def solve_equal_weight(instance: TradingPeriod, budget: Budget) -> Result:
    """The same share for every asset, restored every day (daily rebalancing)."""
    target = equal_weights(instance)
    return Result(play(instance, lambda t, drifted: target), Status.FEASIBLE)


def solve_buy_and_hold(instance: TradingPeriod, budget: Budget) -> Result:
    """The same share for every asset on the first day, no trade after that."""
    target = equal_weights(instance)
    return Result(play(instance, lambda t, drifted: drifted if t else target), Status.FEASIBLE)


def equal_weights(instance: TradingPeriod) -> F64:
    """(N + 1,) equal shares of all wealth but the minimum of cash, none above the cap; nothing is borrowed."""
    n = instance.n_assets
    share = min((1.0 - max(instance.minimum_cash, 0.0)) / n, instance.cap)
    return np.append(np.full(n, share), 1.0 - n * share)


def play(instance: TradingPeriod, rule: Rule) -> F64:
    """(T, N + 1) weights of ``rule`` from day to day; a step beyond the turnover's limit goes as far as that allows.

    All cash from ruin on.
    """
    weights = np.zeros((instance.n_days, instance.n_assets + 1))
    weights[:, -1] = 1.0
    growth, holdings = instance.growth, instance.initial
    for t in range(instance.n_days):
        wealth = float(holdings.sum())
        if wealth <= 0:
            break
        drifted = holdings / wealth
        step = rule(t, drifted) - drifted
        length = float(np.abs(step[:-1]).sum())
        weights[t] = drifted + step * min(1.0, instance.turnover / length) if length > 0 else drifted
        np.maximum(weights[t, :-1], 0.0, out=weights[t, :-1])  # what rounding leaves of a sale
        bought, _ = trade(instance, holdings, weights[t])
        holdings = bought * growth[t]
    return weights
