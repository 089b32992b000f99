"""Small trading periods for property tests, and random weights that keep their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from optgap.co.heuristics.portfolio_rules import play
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod


def two_nights(**other: Any) -> TradingPeriod:
    """Two assets, one day of history, two decisions: a doubles, then halves; b stays, then doubles; no interest."""
    arguments: dict[str, Any] = {
        "name": "two-nights",
        "dates": np.array(["2001-01-02", "2001-01-03", "2001-01-04", "2001-01-05"], "datetime64[D]"),
        "close": np.array([[1.0, 3.0], [2.0, 4.0], [4.0, 4.0], [2.0, 8.0]]),
        "history": 1,
        "assets": ("a", "b"),
        "proportional_cost": 0.01,
    }
    return TradingPeriod(**(arguments | other))


@st.composite
def periods(draw: Any, /, **fixed: Any) -> TradingPeriod:
    """1 to 4 assets, 1 to 8 decisions, any limits; ``fixed`` are fields of the period."""
    limits = {
        "proportional_cost": draw(st.sampled_from([0.0, 0.0005, 0.0025, 0.01, 0.2])),
        "fixed_cost": draw(st.sampled_from([0.0, 1e-4])),
        "cap": draw(st.sampled_from([1.0, 0.6, 0.3])),
        "minimum_cash": draw(st.sampled_from([0.0, 0.2, -0.5])),
        "turnover": draw(st.sampled_from([np.inf, 0.3])),
    }
    size = {"assets": draw(st.integers(1, 4)), "days": draw(st.integers(1, 8)), "history": draw(st.integers(1, 3))}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    start = rng.dirichlet(np.ones(size["assets"] + 1)) if draw(st.booleans()) else np.zeros(0)
    return PORTFOLIO.generate(rng, **(size | limits | {"initial": start} | fixed))


def weights_of(period: TradingPeriod, seed: int) -> Any:
    """(T, N + 1) random weights that keep the limits; now and then no trade, or debts up to their limit."""
    rng, n = np.random.default_rng(seed), period.n_assets

    def target(t: int, drifted: Any) -> Any:
        if rng.random() < 0.2:
            return drifted
        cash = rng.uniform(period.minimum_cash, 1.0)
        shares = np.minimum(rng.dirichlet(np.ones(n)) * (1.0 - cash), np.maximum(period.cap, 0.0))
        return np.append(shares, 1.0 - shares.sum())

    return play(period, target)
