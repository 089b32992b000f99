"""Dynamics of portfolio selection: numba functions over a batch of accounts that trade in one table of prices.

The definition is ``optgap.co.problems.portfolio``: N assets, cash last, wealth 1 at first. An account's decisions are taken
at the closes of consecutive rows of the table. What is seen of a day is worked out once, when the table is made
(:func:`table_of`); a step scales and copies a window of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.co.dynamics.portfolio_trade import keep_limits, wealth_after
from optgap.co.problems.portfolio import F64, TOLERANCE, YEAR

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

CHANNELS = ("close", "open", "high", "low")  # each by the latest close of its asset
FEATURES = ("return", *CHANNELS)  # "return": log return of the day by the deviation of all returns in the window
REWARDS = ("log-return", "differential-sharpe", "average-sharpe", "cvar")
HIGHEST = 100.0  # of what is seen
LEAST_DEVIATION = 1e-8  # of returns, in the window and in the Sharpe ratios
RUIN = math.log(1e-6)  # log return that ruin counts as
FIRST_SQUARE = 1e-4  # second moment of the daily returns before the first: 1% a day
FIRST_AT_RISK = 0.015  # value at risk before the first day
QUANTILE_STEP = 0.002  # of the value at risk

LOG_RETURN, DIFFERENTIAL_SHARPE, AVERAGE_SHARPE, CVAR = range(len(REWARDS))
FINE, NOT_A_NUMBER, OUTSIDE, TOTAL, TOO_FAR = range(5)  # verdicts on an action
LARGEST = 1e6  # entry of an action


class Table(NamedTuple):
    """R days of N assets, and F features of them."""

    close: F64  # (R, N)
    cash: F64  # (R,) simple interest over the day that ends there
    seen: F64  # (F, R, N) log returns, or prices
    by_deviation: NDArray[np.bool_]  # (F,) whether the feature is divided by the returns' deviation; else by the close
    total: F64  # (R,) sum of the day's log returns
    square: F64  # (R,) sum of their squares


class Accounts(NamedTuple):
    """B accounts: their rules, what they hold, and what happened in the last step."""

    start: I64  # (B,) row of the first decision
    days: I64  # (B,) T, decisions of the episode
    proportional_cost: F64  # (B,)
    fixed_cost: F64  # (B,)
    cap: F64  # (B,)
    minimum_cash: F64  # (B,)
    turnover_limit: F64  # (B,)
    initial: F64  # (B, N + 1)
    decision: I64  # (B,) decisions taken
    holdings: F64  # (B, N + 1) money
    drifted: F64  # (B, N + 1) weights before the coming trade
    weights: F64  # (B, T, N + 1) after each trade so far
    path: F64  # (B, T + 1) wealth so far
    wealth: F64  # (B,)
    turnover: F64  # (B,) sum over the assets of |weight after - before the trade| of all trades so far
    paid: F64  # (B,) cost of all trades so far, by the initial wealth
    moments: F64  # (B, 2) of the daily returns, or the value at risk: what the reward remembers
    inverse: F64  # (B, N) of the latest closes that are seen
    reward: F64  # (B,)
    done: NDArray[np.bool_]  # (B,)
    truncated: NDArray[np.bool_]  # (B,)
    seen: F32  # (B, F, window + 1, N) the observation


class Settings(NamedTuple):
    """What is the same for every account."""

    softmax: bool  # actions are logits; else weights
    projected: bool  # of weights: take the nearest allowed ones
    logit_low: float
    logit_high: float
    lag: int  # days by which the observation is older than the trade
    reward: int  # place in REWARDS
    decay: float  # of the moments of "differential-sharpe"
    risk_weight: float  # of "cvar"
    risk_level: float  # of "cvar"


def table_of(features: tuple[str, ...], cash: F64, **channels: F64 | None) -> Table:
    """A table of prices, (R, N) each by their channel's name; ``close`` and those that the features name are needed.

    Raises:
        InputError: a feature's prices are missing.
    """
    close = channels["close"]
    assert close is not None
    returns = np.zeros(close.shape)
    returns[1:] = np.diff(np.log(close), axis=0)
    shown = []
    for name in features:
        values = returns if name == "return" else channels.get(name)
        if values is None:
            raise InputError(f"feature {name!r}: the prices have no such column")
        shown.append(values)
    by_deviation = np.array([name == "return" for name in features])
    return Table(
        np.array(close, order="C"),  # a copy of the form that is compiled: writable, in C order
        np.array(cash, order="C"),
        np.ascontiguousarray(np.stack(shown)),
        by_deviation,
        returns.sum(1),
        np.square(returns).sum(1),
    )


def empty_accounts(copies: int, assets: int, features: int, window: int, days: int = 0) -> Accounts:
    """Arrays of zeros for episodes of up to ``days``."""

    def real(*shape: int) -> F64:
        return np.zeros((copies, *shape))

    def whole() -> I64:
        return np.zeros(copies, np.int64)

    return Accounts(
        start=whole(),
        days=whole(),
        proportional_cost=real(),
        fixed_cost=real(),
        cap=real(),
        minimum_cash=real(),
        turnover_limit=real(),
        initial=real(assets + 1),
        decision=whole(),
        holdings=real(assets + 1),
        drifted=real(assets + 1),
        weights=real(days, assets + 1),
        path=real(days + 1),
        wealth=real(),
        turnover=real(),
        paid=real(),
        moments=real(2),
        inverse=real(assets),
        reward=real(),
        done=np.zeros(copies, np.bool_),
        truncated=np.zeros(copies, np.bool_),
        seen=np.zeros((copies, features, window + 1, assets), np.float32),
    )


@njit(cache=True, **INLINED)
def _observe(table: Table, accounts: Accounts, settings: Settings, b: int) -> None:
    """Fill ``seen`` of account ``b``; no row after that of the coming decision, less the lag, is read."""
    seen, lag = accounts.seen[b], settings.lag
    features, window, n = seen.shape[0], seen.shape[1] - 1, seen.shape[2]
    last = accounts.start[b] + accounts.decision[b] - lag
    first = last - window + 1
    # The window is summed up anew each time: running sums would differ in the last digits with the table's first row.
    total, square = 0.0, 0.0
    for row in range(first, last + 1):
        total += table.total[row]
        square += table.square[row]
    mean = total / (window * n)
    variance = square / (window * n) - mean * mean
    scale = 1.0 / math.sqrt(max(variance, LEAST_DEVIATION**2))
    inverse = accounts.inverse[b]  # multiplying is faster, and exact enough for single precision
    for i in range(n):
        inverse[i] = 1.0 / table.close[last, i]
    for f in range(features):
        shown = table.seen[f]
        if table.by_deviation[f]:
            for k in range(window):
                for i in range(n):
                    seen[f, k, i] = min(max(shown[first + k, i] * scale, -HIGHEST), HIGHEST)
        else:
            for k in range(window):
                for i in range(n):
                    seen[f, k, i] = min(shown[first + k, i] * inverse[i], HIGHEST)
    known = accounts.decision[b] - lag  # the last trade at a price that is seen
    for f in range(features):
        for i in range(n):
            if lag == 0:
                seen[f, window, i] = accounts.drifted[b, i]
            elif known >= 0:
                seen[f, window, i] = accounts.weights[b, known, i]
            else:
                seen[f, window, i] = accounts.initial[b, i]


@njit(cache=True, **INLINED)
def _reward(accounts: Accounts, settings: Settings, b: int, growth: float, interest: float) -> float:
    """Of wealth that has become ``growth`` times what it was (0 in ruin) while cash earned ``interest``."""
    moments, kind = accounts.moments[b], settings.reward
    log_return = math.log(growth) if growth > 0.0 else RUIN
    excess = growth - 1.0 - interest
    if kind == DIFFERENTIAL_SHARPE:
        change, change_square = excess - moments[0], excess * excess - moments[1]
        variance = max(moments[1] - moments[0] * moments[0], LEAST_DEVIATION**2)
        value: float = (moments[1] * change - 0.5 * moments[0] * change_square) / variance**1.5
        moments[0] += settings.decay * change
        moments[1] += settings.decay * change_square
        return value
    if kind == AVERAGE_SHARPE:
        count = accounts.decision[b] + 1
        change = excess - moments[0]
        moments[0] += change / count
        moments[1] += change * (excess - moments[0])
        if count < 2:
            return 0.0
        deviation = max(math.sqrt(moments[1] / (count - 1)), LEAST_DEVIATION)
        return float(math.sqrt(YEAR) * moments[0] / deviation / accounts.days[b])
    if kind == CVAR:
        loss, at_risk, tail = -log_return, moments[0], 1.0 - settings.risk_level
        beyond = max(loss - at_risk, 0.0)
        moments[0] += QUANTILE_STEP * ((1.0 if loss > at_risk else 0.0) - tail)
        return float(log_return - settings.risk_weight * (at_risk + beyond / tail))
    return log_return


@njit(cache=True, **INLINED)
def _trade(table: Table, accounts: Accounts, settings: Settings, b: int) -> None:
    """Trade to the weights that ``accounts.weights`` holds for the decision of account ``b``, and pass the night."""
    t = accounts.decision[b]
    weights, holdings, drifted = accounts.weights[b, t], accounts.holdings[b], accounts.drifted[b]
    n, row, before = len(weights) - 1, accounts.start[b] + t, accounts.wealth[b]
    after = wealth_after(holdings, before, weights, accounts.proportional_cost[b], accounts.fixed_cost[b])
    accounts.paid[b] += before - after
    cash, wealth = after, 0.0
    for i in range(n):
        accounts.turnover[b] += abs(weights[i] - drifted[i])
        bought = weights[i] * after
        cash -= bought
        holdings[i] = bought * (table.close[row + 1, i] / table.close[row, i])
        wealth += holdings[i]
    holdings[n] = cash * (1.0 + table.cash[row + 1])
    wealth += holdings[n]
    if wealth <= 0.0:
        wealth = 0.0
    accounts.reward[b] = _reward(accounts, settings, b, wealth / before, table.cash[row + 1])
    accounts.wealth[b] = accounts.path[b, t + 1] = wealth
    for i in range(n + 1):
        drifted[i] = holdings[i] / wealth if wealth > 0.0 else (1.0 if i == n else 0.0)
    accounts.decision[b] = t + 1
    accounts.truncated[b] = wealth > 0.0 and t + 1 == accounts.days[b]
    accounts.done[b] = wealth <= 0.0 or accounts.truncated[b]


@njit(cache=True, **INLINED)
def _decide(accounts: Accounts, settings: Settings, b: int, action: F64) -> None:
    """Write the weights that ``action`` (N + 1,) means into ``accounts.weights`` of the decision of account ``b``."""
    weights, drifted = accounts.weights[b, accounts.decision[b]], accounts.drifted[b]
    n = len(weights) - 1
    least = accounts.minimum_cash[b]
    if settings.softmax:
        largest, total = settings.logit_low, 0.0
        for i in range(n + 1):
            weights[i] = min(max(action[i], settings.logit_low), settings.logit_high)
            largest = max(largest, weights[i])
        for i in range(n + 1):
            weights[i] = math.exp(weights[i] - largest)
            total += weights[i]
        for i in range(n + 1):
            weights[i] *= (1.0 - least) / total
        weights[n] += least
    else:
        still = True
        for i in range(n + 1):
            weights[i] = action[i]
            still &= abs(action[i] - drifted[i]) <= TOLERANCE
        if still:  # a policy cannot say it in single precision, and a fixed cost is paid for the least trade
            for i in range(n + 1):
                weights[i] = drifted[i]
    keep_limits(weights, drifted, accounts.cap[b], least, accounts.turnover_limit[b])


@njit(cache=True, **KERNEL)
def step_batch(table: Table, accounts: Accounts, settings: Settings, action: F64, skip: NDArray[np.bool_]) -> None:
    """A decision ``action`` (B, N + 1), which :func:`first_invalid` has passed, in every account not in ``skip``."""
    for b in range(len(action)):
        if not skip[b]:
            _decide(accounts, settings, b, action[b])
            _trade(table, accounts, settings, b)
            _observe(table, accounts, settings, b)


@njit(cache=True, **KERNEL)
def reset_batch(table: Table, accounts: Accounts, settings: Settings, which: NDArray[np.bool_]) -> None:
    """Begin anew in the accounts marked in ``which`` (B,), with wealth 1."""
    for b in range(len(which)):
        if which[b]:
            accounts.decision[b] = 0
            accounts.wealth[b] = accounts.path[b, 0] = 1.0
            accounts.turnover[b] = accounts.paid[b] = accounts.reward[b] = 0.0
            accounts.done[b] = accounts.truncated[b] = False
            accounts.moments[b, 0] = FIRST_AT_RISK if settings.reward == CVAR else 0.0
            accounts.moments[b, 1] = FIRST_SQUARE if settings.reward == DIFFERENTIAL_SHARPE else 0.0
            for i in range(accounts.initial.shape[1]):
                accounts.holdings[b, i] = accounts.drifted[b, i] = accounts.initial[b, i]
            _observe(table, accounts, settings, b)


@njit(cache=True, **KERNEL)
def first_invalid(accounts: Accounts, settings: Settings, action: F64, skip: NDArray[np.bool_]) -> tuple[int, int]:
    """The first account not in ``skip`` that cannot take ``action`` (B, N + 1), and why; (-1, ``FINE``) where all can."""
    n = action.shape[1] - 1
    given = not (settings.softmax or settings.projected)
    for b in range(len(action)):
        if skip[b]:
            continue
        total, far, drifted = 0.0, 0.0, accounts.drifted[b]
        for i in range(n + 1):
            if not abs(action[b, i]) <= LARGEST:  # NaN compares false
                return b, NOT_A_NUMBER
        if given:
            for i in range(n):
                if not 0.0 <= action[b, i] <= max(accounts.cap[b], drifted[i]) + TOLERANCE:
                    return b, OUTSIDE
                total += action[b, i]
                far += abs(action[b, i] - drifted[i])
            if action[b, n] < min(accounts.minimum_cash[b], drifted[n]) - TOLERANCE:
                return b, OUTSIDE
            if abs(total + action[b, n] - 1.0) > TOLERANCE:
                return b, TOTAL
            if far > accounts.turnover_limit[b] + TOLERANCE:
                return b, TOO_FAR
    return -1, FINE
