"""The most that any portfolio could have earned: a dynamic programme over the asset that holds a unit of money.

Without limits the value of a portfolio in hindsight is linear in its holdings: each unit of money is worth what the best path of
its own through the assets makes of it. With r(t, i) the growth of asset i (of cash: N) over the night after decision t and c
the proportional cost, a unit in i before decision t is worth exp(v(t, i)) at the end:

    v(t, N) = max(log r(t, N) + v(t+1, N), max_j log r(t, j) + v(t+1, j) - log(1 + c))          v(T, .) = 0
    v(t, i) = max(log r(t, i) + v(t+1, i), log(1 - c) + v(t, N))

since every switch goes through cash: a unit of an asset sells for 1 - c, a unit of cash buys 1 / (1 + c). That is O(T N), and
in logarithms no period is too long. All money that is moved on a day goes to the same asset, which keeps its own, so nothing
is both bought and sold, and the paths together cost what they cost alone.

Exact for cap >= 1, minimum_cash = 0, no fixed cost and no limit of the turnover. With such limits the value still bounds every
portfolio that may borrow nothing, and the values guide a greedy choice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Result
from optgap.co.exact.progress import Progress
from optgap.co.heuristics.portfolio_rules import play
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod

F64 = NDArray[np.float64]
CLOSE = 1e-9  # relative, of the value and its weights' checked cost: sums of T logarithms


class Hindsight(NamedTuple):
    """What the dynamic programme finds."""

    kept: F64  # (T, N + 1) log of the final wealth from a unit that stays in its asset, or in cash, over the night
    cash: F64  # (T + 1,) v(t, N): the same from a unit of cash before decision t
    value: float  # log of the final by the initial wealth


def solve(instance: TradingPeriod, budget: Budget) -> Result:
    """The best portfolio in hindsight, proved; with limits a good one that keeps them, and the bound without them.

    No bound where money may be borrowed. The budget is not looked at: 5,000 days of 20 assets take under a second.
    """
    progress = Progress(integral=False, unit=-1.0)
    try:
        found = hindsight(instance)
        for weights in (follow(instance, found), play(instance, lambda t, drifted: drifted)):
            progress.found(weights, -PORTFOLIO.cost(instance, weights))
        if may_not_borrow(instance):
            near = abs(found.value + progress.cost) <= CLOSE * max(1.0, abs(found.value))
            progress.proved(progress.cost if near else -found.value)
    except KeyboardInterrupt:
        pass
    return progress.result()


def may_not_borrow(instance: TradingPeriod) -> bool:
    """Whether the value of :func:`hindsight` bounds every portfolio."""
    return instance.minimum_cash >= 0 and bool(instance.initial[-1] >= 0)


def hindsight(instance: TradingPeriod) -> Hindsight:
    """The dynamic programme, backwards."""
    buy, sell = np.log1p(instance.proportional_cost), np.log1p(-instance.proportional_cost)
    kept = np.log(instance.growth)
    worth, cash = np.zeros(instance.n_assets + 1), np.zeros(instance.n_days + 1)
    for t in range(instance.n_days - 1, -1, -1):
        kept[t] += worth
        cash[t] = max(kept[t, -1], kept[t, :-1].max() - buy)
        np.maximum(kept[t], cash[t] + sell, out=worth)
        worth[-1] = cash[t]
    share = np.maximum(instance.initial, 0.0)
    largest = worth[share > 0].max()
    return Hindsight(kept, cash, float(largest + np.log(share @ np.exp(np.minimum(worth - largest, 0.0)))))


def follow(instance: TradingPeriod, found: Hindsight) -> F64:
    """(T, N + 1) weights that keep and buy what is worth most, within the limits; the optimum where there are none.

    Before each decision all is worth what it would sell for. That money is spent in the order of what a unit of it makes by
    the end: kept in an asset, where no sale is paid, put into one, as far as the cap allows, or held as cash.
    """
    c, n = instance.proportional_cost, instance.n_assets
    price = np.concatenate([np.full(n, 1 - c), np.full(n, 1 + c), [1.0]])  # of a unit kept, bought, in cash
    value = np.hstack([found.kept[:, :-1], found.kept]) - np.log(price)
    order = np.argsort(-value, axis=1, kind="stable")

    def target(t: int, drifted: F64) -> F64:
        room = np.maximum(instance.cap - drifted[:-1], 0.0)
        money = float(price[:n] @ drifted[:-1] + drifted[-1])
        wanted = (price * np.concatenate([drifted[:-1], room, [money]]))[order[t]]
        reserve = max(instance.minimum_cash, 0.0)
        spent = np.zeros(2 * n + 1)
        spent[order[t]] = np.clip(money - reserve - (np.cumsum(wanted) - wanted), 0.0, np.maximum(wanted, 0.0))
        held = spent / price
        weights = np.append(held[:n] + held[n : 2 * n], held[-1] + min(reserve, money))
        weights /= weights.sum()
        if instance.cap < 1:  # the trade's cost has made the others' shares larger
            np.minimum(weights[:-1], np.maximum(instance.cap, drifted[:-1]), out=weights[:-1])
            weights[-1] = 1.0 - weights[:-1].sum()
        return weights

    return play(instance, target)
