"""Strategies that estimate nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.strategy import Strategy

F64 = NDArray[np.float64]


class ConstantWeights:
    """The same weights at every rebalancing.

    Args:
        name: in tables.
        shares: (N + 1,) of sum 1, cash last; None: the same for every asset, no cash (1/N: DeMiguel et al. 2009).
    """

    def __init__(self, name: str, shares: Sequence[float] | None = None) -> None:
        self.name = name
        self.shares = None if shares is None else np.array(shares, np.float64)

    def fit(self, history: Prices) -> None:
        """Nothing to learn."""

    def weights(self, past: Prices, holdings: F64) -> F64:
        """The shares."""
        if self.shares is None:
            return equal_shares(len(past.assets))
        if len(self.shares) != len(past.assets) + 1:
            raise InputError(f"strategy {self.name}: {len(self.shares)} shares; expected {len(past.assets)} and cash")
        return self.shares


class AllCash:
    """No asset at all."""

    name = "all-cash"

    def fit(self, history: Prices) -> None:
        """Nothing to learn."""

    def weights(self, past: Prices, holdings: F64) -> F64:
        """All in cash."""
        return np.asarray(np.eye(len(past.assets) + 1)[-1])


class BuyAndHold:
    """Equal shares bought once, with all the money, then held: the first trade is the last, also over several windows."""

    name = "buy-and-hold"

    def fit(self, history: Prices) -> None:
        """Nothing to learn."""

    def weights(self, past: Prices, holdings: F64) -> F64:
        """What is held, or equal shares where nothing is."""
        return holdings if (holdings[:-1] > 0).any() else equal_shares(len(past.assets))


def equal_shares(assets: int) -> F64:
    """(N + 1,) 1/N each, no cash."""
    return np.append(np.full(assets, 1.0 / assets), 0.0)


def equal_weight() -> Strategy:
    """1/N, restored at every rebalancing."""
    return ConstantWeights("equal-weight")


buy_and_hold = BuyAndHold
all_cash = AllCash
