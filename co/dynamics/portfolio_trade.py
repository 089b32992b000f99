"""Dynamics of a trade: the limits of its target, and the wealth that its costs leave. See ``optgap.co.problems.portfolio``."""

from __future__ import annotations

from numba import njit

from optgap.co.dynamics.options import INLINED
from optgap.co.problems.portfolio import F64, TOLERANCE, TRADED


@njit(cache=True, **INLINED)
def keep_limits(weights: F64, drifted: F64, cap: float, minimum_cash: float, turnover: float) -> None:
    """Replace ``weights`` (N + 1,), finite, by the nearest that are allowed after ``drifted`` (N + 1,).

    The nearest of sum 1 within the bounds are w = min(max(z - tau, lower), upper) for one number tau, which Newton's method
    finds on the decreasing, piecewise linear sum of w, with bisection where a step would leave what is left of the
    interval. Then the way from ``drifted`` is shortened to the turnover. Cash is what is missing to 1.
    """
    n = len(weights) - 1
    least = min(minimum_cash, drifted[n])
    total, inside = weights[n], weights[n] >= least
    for i in range(n):
        total += weights[i]
        inside &= 0.0 <= weights[i] <= max(cap, drifted[i])
    if not (inside and abs(total - 1.0) <= TOLERANCE):
        low, high = weights[n] - 1.0, weights[n] - least
        for i in range(n):
            high = max(high, weights[i])
        tau = max(low, min(high, (total - 1.0) / (n + 1)))
        for _ in range(100):
            excess, free = max(weights[n] - tau, least) - 1.0, int(weights[n] - tau > least)
            for i in range(n):
                wanted, most = weights[i] - tau, max(cap, drifted[i])
                excess += min(max(wanted, 0.0), most)
                free += 0.0 < wanted < most
            if excess > 0.0:
                low = tau
            else:
                high = tau
            following = tau + excess / free if free > 0 else low
            if not low < following < high:
                following = 0.5 * (low + high)
            if abs(following - tau) <= 1e-16 * abs(tau) or abs(excess) <= 1e-15:
                break
            tau = following
        for i in range(n):
            weights[i] = min(max(weights[i] - tau, 0.0), max(cap, drifted[i]))
    far = 0.0
    for i in range(n):
        far += abs(weights[i] - drifted[i])
    part = turnover / far if far > turnover else 1.0
    weights[n] = 1.0
    for i in range(n):
        weights[i] = drifted[i] + part * (weights[i] - drifted[i]) if part < 1.0 else weights[i]
        weights[n] -= weights[i]


@njit(cache=True, **INLINED)
def wealth_after(holdings: F64, wealth: float, weights: F64, proportional_cost: float, fixed_cost: float) -> float:
    """Wealth after the trade from ``holdings`` (N + 1,), of sum ``wealth``, to ``weights`` (N + 1,) of it; 0 in ruin.

    The root of V' + c sum |w_i V' - x_i| = V - fees by Newton's method on that convex, piecewise linear function from
    above: it goes down from piece to piece and ends on the root's own.
    """
    n = len(weights) - 1
    money, positions = wealth, 0.0
    for i in range(n):
        positions += holdings[i]
        if abs(weights[i] * wealth - holdings[i]) > TRADED * wealth:
            money -= fixed_cost
    if money <= proportional_cost * positions:
        return 0.0
    after = money
    while True:
        level, slope = money, 1.0
        for i in range(n):
            side = proportional_cost if weights[i] * after > holdings[i] else -proportional_cost
            level += side * holdings[i]
            slope += side * weights[i]
        lower = level / slope
        if not lower < after:
            return after
        after = lower
