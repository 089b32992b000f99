"""The most that a portfolio could have earned, limits included: linear programmes over the flow of money, solved by SCIP.

With y the positions after the trade of day t, b what is bought, s what is sold, c the proportional cost and r the growth over the
night before:

    maximize    sum_i r(T, i) y(T-1, i)
    subject to  y(t, i) = r(t, i) y(t-1, i) + b(t, i) - s(t, i)                                           assets
                y(t, N) = r(t, N) y(t-1, N) + (1 - c) sum_i s(t, i) - (1 + c) sum_i b(t, i)              cash
                V(t) = sum_i y(t, i) >= 0,  y(t, i) <= cap V(t) + e(t, i),  y(t, N) >= m V(t) - d(t)

with m the minimum of cash. An asset may stay above the cap when it has grown there, and cash below m: that is not convex.

*Bound.* What may stay, e and d, is at most what was there and what the night adds: with (.)+ the positive part,

    e(t, i) <= r(t, i) e(t-1, i) + cap sum_j (r(t, i) - r(t, j))+ y(t-1, j),    e(t, i) <= y(t, i)
    d(t)    <= r(t, N) d(t-1)    + sum_j (m (r(t, j) - r(t, N)))+ y(t-1, j)

since r(i) V - sum_j r(j) y(j) = sum_j (r(i) - r(j)) y(j), and a trade's cost only makes both smaller. Borrowed money, a y(N)
below 0, is counted apart, with the sign turned. Fixed costs and the limit of the turnover are left out.

*Portfolio.* e = d = 0: sold back to the cap and to the minimum on every day. It counts where it keeps the turnover's limit.

With cap >= 1, m = 0, no fixed cost and no limit of the turnover the two are one and the optimum; it agrees with the dynamic
programme of :mod:`optgap.co.exact.portfolio_hindsight`, of which it then uses nothing but a unit: money of a day is measured
by the wealth that a good portfolio has there, so that all numbers stay near 1 while wealth grows by orders of magnitude.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, InfeasibleError, Result
from optgap.co.exact import portfolio_hindsight
from optgap.co.exact.progress import Progress
from optgap.co.exact.scip_run import CLOSE_SETTINGS, run_scip
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod, wealth_path

F64 = NDArray[np.float64]
LARGEST = 700.0  # of which float64 has the exponential
SETTINGS = CLOSE_SETTINGS | {"lp/pricing": "d"}  # devex: twice to five times as fast as SCIP's choice here


def solve(instance: TradingPeriod, budget: Budget) -> Result:
    """The best portfolio found, the bound, and the history; Ctrl-C returns the incumbent.

    Seconds for 250 days of 20 assets; without limits also for 1,000, beyond which there is the dynamic programme.
    """
    start = portfolio_hindsight.solve(instance, budget)
    if start.solution is None:
        return start
    unit = wealth_path(instance, start.solution)
    progress = Progress(integral=False, unit=-1.0)  # of the final wealth in its unit
    limited = instance.cap < 1 or instance.minimum_cash != 0 or bool(instance.initial[-1] < 0)
    try:
        if limited or instance.fixed_cost > 0 or instance.turnover < 2:
            progress.found(start.solution, -1.0)
        if limited:
            stricter = Progress(integral=False, unit=-1.0)  # whose bound is not the problem's
            _run(instance, unit, False, stricter, budget)
            if stricter.solution is not None:
                progress.found(stricter.solution, stricter.cost)
            if start.bound is not None:
                progress.proved(-float(np.exp(min(start.bound - np.log(unit[-1]), LARGEST))))
        _run(instance, unit, limited, progress, budget)
    except KeyboardInterrupt:
        pass
    return _in_logarithms(progress.result(), float(np.log(unit[-1])))


def _in_logarithms(result: Result, unit: float) -> Result:
    """The same of a result in wealths whose unit has the logarithm ``unit``."""

    def log(wealth: float | None) -> float | None:
        return None if wealth is None else float(np.log(wealth)) + unit

    points = tuple(Incumbent(at, float(np.log(cost)) + unit, log(bound)) for at, cost, bound in result.incumbents)
    return dataclasses.replace(result, bound=log(result.bound), incumbents=points)


def _run(instance: TradingPeriod, unit: F64, may_stay: bool, progress: Progress, budget: Budget) -> None:
    """Solve the portfolio's programme, or with ``may_stay`` the bound's."""
    from pyscipopt import Model, quicksum

    model = Model(instance.name)
    model.setParams(SETTINGS)
    n, c, cap, least = instance.n_assets, instance.proportional_cost, instance.cap, instance.minimum_cash
    borrows = not portfolio_hindsight.may_not_borrow(instance)
    growth = instance.growth * (unit[:-1] / unit[1:])[:, None]
    *rates, final = np.vstack([np.ones(n + 1), growth]).tolist()  # what a position has become before each decision
    held: list[Any] = instance.initial.tolist()
    above: list[Any] = np.maximum(instance.initial[:-1] - cap, 0.0).tolist()  # e
    below: Any = max(least - held[n], 0.0)  # d
    debt: Any = max(-held[n], 0.0)
    positions: list[list[Any]] = []
    for t, r in enumerate(rates):
        worth = final if t == len(rates) - 1 else [0.0] * (n + 1)
        now = [model.addVar(f"y{t},{i}", lb=0.0, obj=-worth[i]) for i in range(n)]
        now.append(model.addVar(f"y{t},{n}", lb=None if borrows else 0.0, obj=-worth[n]))
        cash = []
        for i in range(n):
            buy, sell = model.addVar(f"b{t},{i}", lb=0.0), model.addVar(f"s{t},{i}", lb=0.0)
            model.addCons(r[i] * held[i] + buy - sell == now[i])
            cash += [(1 - c) * sell, -(1 + c) * buy]
        model.addCons(r[n] * held[n] + quicksum(cash) == now[n])
        wealth = model.addVar(f"v{t}", lb=0.0)
        model.addCons(quicksum(now) == wealth)
        lent: list[Any] = [*held[:n], held[n] + debt]  # no entry below 0
        if least != 0 or borrows:
            gain = [least * (r[j] - r[n]) * held[j] for j in range(n) if least * (r[j] - r[n]) > 0]
            below = _stay(model, f"d{t}", r[n] * below + quicksum(gain)) if may_stay else 0.0
            model.addCons(now[n] >= least * wealth - below)
        if cap < 1 or borrows:
            for i in range(n):
                gain = [cap * (r[i] - r[j]) * lent[j] for j in range(n + 1) if r[i] > r[j]]
                gain += [cap * (r[n] - r[i]) * debt] if r[n] > r[i] else []
                above[i] = _stay(model, f"e{t},{i}", r[i] * above[i] + quicksum(gain)) if may_stay else 0.0
                model.addCons(now[i] <= cap * wealth + above[i])
                model.addCons(above[i] <= now[i])
        if borrows and may_stay:
            debt = model.addVar(f"q{t}", lb=0.0)
            model.addCons(now[n] + debt >= 0)
            model.addCons(debt <= max(-least, 0.0) * wealth + below)
        held = now
        positions.append(now)

    def incumbent(solution: Any) -> None:
        found = np.array([[model.getSolVal(solution, x) for x in row] for row in positions])
        np.maximum(found[:, :-1], 0.0, out=found[:, :-1])
        total = found.sum(1, keepdims=True)
        if not (total > 0).all():
            return
        found /= total
        try:
            PORTFOLIO.check(instance, found)
        except InfeasibleError:  # of the bound's programme, or beyond the turnover's limit
            return
        progress.found(found, -float(np.exp(PORTFOLIO.cost(instance, found) - np.log(unit[-1]))))

    run_scip(model, progress, budget, incumbent=incumbent)


def _stay(model: Any, name: str, most: Any) -> Any:
    """A variable of 0 to ``most``: what may stay beyond a limit."""
    variable = model.addVar(name, lb=0.0)
    model.addCons(variable <= most)
    return variable
