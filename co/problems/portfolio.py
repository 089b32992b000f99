"""Portfolio selection with hindsight: which shares of wealth to hold each day when the prices of all days are known.

N assets, then cash, which is last in every array. Decision t of 0..T-1 is taken at the close of row H + t, for the wealth that
there is then; the first H rows are history, which decides nothing. Wealth begins at 1 and is marked at rows H..H + T.

A day. Holdings x (N + 1,) are in money, V = sum x is the wealth, w (N + 1,) the target: shares of the wealth after the trade.

1. The trade costs a share ``proportional_cost`` c of what each asset's position changes by, and ``fixed_cost`` f for each
   asset traded: the wealth after it, V', is the one positive number with

       V' = V - c sum_{i < N} |w_i V' - x_i| - f #{i < N: |w_i V - x_i| > 1e-9 V}.

   The right-hand side taken from the left is convex in V', negative at 0 where selling everything can be paid, and grows
   beyond all bounds: so there is one such number, or none, which is ruin. Then asset i holds y_i = w_i V', and cash the
   rest, y_N = V' - sum_{i < N} y_i: what rounding adds to the weights creates no money.
2. The night. x_i = y_i close[next, i] / close[now, i], and x_N = y_N (1 + cash[next]). Wealth at or below 0 is ruin; only
   borrowed money or fixed costs can do that. After ruin the wealth is 0 and nothing is decided any more.

With w' = x / V the weights before the trade, those after it keep: sum w = 1; 0 <= w_i <= max(cap, w'_i) for assets (nothing is
bought above the cap, what has grown above may stay); w_N >= min(minimum_cash, w'_N); sum_{i < N} |w_i - w'_i| <= turnover.
So w = w', no trade, is always allowed and costs nothing. There are no short sales.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

TOLERANCE = 1e-6  # of weights and their sums: what rounding to float32 adds
TRADED = 1e-9  # of the wealth: a position that changes by less is not traded, for the fixed cost
YEAR = 252  # trading days
LEAST_PRICE, LARGEST_PRICE = 1e-100, 1e100  # beyond, products of prices leave the range of floats
LARGEST_MOVE = 1e6  # of a close from one row to the next, up or down
LARGEST_DEBT = 1e3  # of the wealth

F64 = NDArray[np.float64]
Days = NDArray[np.datetime64]


def _none() -> F64:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class TradingPeriod(Instance):
    """R = H + T + 1 rows of daily prices of N assets and the rules of trade; arrays are read-only."""

    dates: Days  # (R,) datetime64[D], strictly increasing
    close: F64  # (R, N), from LEAST_PRICE to LARGEST_PRICE
    history: int  # H >= 1, rows before the one of the first decision
    assets: tuple[str, ...] = ()  # N different names; none is asset-0, asset-1, ...
    open: F64 | None = None  # (R, N) > 0, like the next two
    high: F64 | None = None
    low: F64 | None = None
    cash: F64 = field(default_factory=_none)  # (R,) > -1, simple interest over the day that ends there; none is 0
    proportional_cost: float = 0.0025  # c, in [0, 1), of what is bought or sold
    fixed_cost: float = 0.0  # f >= 0, for each asset traded, in units of the initial wealth
    cap: float = 1.0  # > 0, largest share of an asset that is bought
    minimum_cash: float = 0.0  # in [-LARGEST_DEBT, 1], smallest share of cash; negative: money may be borrowed
    turnover: float = np.inf  # >= 0, largest sum of changes of the assets' shares by a trade
    initial: F64 = field(default_factory=_none)  # (N + 1,) weights before the first trade; none is all cash

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        for name in ("dates", "close", "open", "high", "low", "cash", "initial"):
            if getattr(self, name) is not None or name in ("dates", "close"):
                object.__setattr__(self, name, _array(where, name, getattr(self, name)))
        if self.close.ndim != 2 or self.close.shape[1] < 1 or self.dates.shape != self.close.shape[:1]:
            raise InputError(
                f"{where}: close of shape {self.close.shape} at dates of shape {self.dates.shape}; expected (rows, assets)"
            )
        rows, n = self.close.shape
        whole = isinstance(self.history, Real) and self.history in range(1, rows - 1)
        if not whole:
            raise InputError(
                f"{where}: history {self.history} of {rows} rows; expected at least 1 and two rows more than that"
            )
        late = ~(self.dates[1:] > self.dates[:-1])  # NaT compares false
        if late.any():
            raise InputError(
                f"{where}: {self.dates[1:][late][0]} follows {self.dates[:-1][late][0]}; expected rising dates"
            )
        if isinstance(self.assets, str) or not isinstance(self.assets, Iterable):
            raise InputError(f"{where}: assets are {self.assets!r}; expected {n} different names")
        if not self.assets:
            object.__setattr__(self, "assets", tuple(f"asset-{i}" for i in range(n)))
        if len(self.assets) != n or len(set(self.assets)) < n:
            raise InputError(f"{where}: {len(self.assets)} assets {list(self.assets)}; expected {n} different names")
        for name in ("close", "open", "high", "low"):
            self._require_prices(where, name, getattr(self, name))
        if not self.cash.size:
            object.__setattr__(self, "cash", np.zeros(rows))
        if self.cash.shape != (rows,) or not ((self.cash > -1) & np.isfinite(self.cash)).all():
            raise InputError(f"{where}: cash of shape {self.cash.shape}; expected {rows} rates of a day, above -1")
        for name, fits, what in (
            ("proportional_cost", lambda x: 0 <= x < 1, "at least 0 and below 1"),
            ("fixed_cost", lambda x: 0 <= x < np.inf, "at least 0"),
            ("cap", lambda x: 0 < x < np.inf, "above 0"),
            ("minimum_cash", lambda x: -LARGEST_DEBT <= x <= 1, f"from {-LARGEST_DEBT:g} to 1"),
            ("turnover", lambda x: x >= 0, "at least 0"),
        ):
            value = getattr(self, name)
            if not (isinstance(value, Real) and fits(value)):
                raise InputError(f"{where}: {name} is {value!r}; expected a number {what}")
        if not self.initial.size:
            object.__setattr__(self, "initial", np.eye(n + 1)[n])
        if (
            self.initial.shape != (n + 1,)
            or not (self.initial[:-1] >= 0).all()
            or not abs(self.initial.sum() - 1) < TOLERANCE
        ):
            raise InputError(f"{where}: initial {self.initial.tolist()}; expected {n + 1} weights of sum 1, cash last")
        object.__setattr__(self, "initial", self.initial / self.initial.sum())
        super().__post_init__()

    def _require_prices(self, where: str, name: str, prices: F64 | None) -> None:
        if prices is None:
            return
        if prices.shape != self.close.shape:
            raise InputError(f"{where}: {name} of shape {prices.shape}; expected {self.close.shape}")
        if (found := unusable(prices)) is not None:
            row, i, expected = found
            raise InputError(
                f"{where}: {name} of {self.assets[i]} on {self.dates[row]} is {prices[row, i]:g}; expected {expected}"
            )

    @property
    def n_assets(self) -> int:
        """N."""
        return int(self.close.shape[1])

    @property
    def n_days(self) -> int:
        """T, the number of decisions."""
        return len(self.close) - self.history - 1

    @property
    def growth(self) -> F64:
        """(T, N + 1) what a unit of money in each asset and in cash is on the day after each decision."""
        assets = self.close[self.history + 1 :] / self.close[self.history : -1]
        return np.column_stack([assets, 1.0 + self.cash[self.history + 1 :]])


def unusable(prices: F64) -> tuple[int, int, str] | None:
    """Row and column of the first of prices (R, N) that nobody can trade at, and what was expected there."""
    wrong = ~((prices >= LEAST_PRICE) & (prices <= LARGEST_PRICE))  # NaN compares false
    if wrong.any():
        row, i = np.argwhere(wrong)[0].tolist()
        above = "a number above 0" if not prices[row, i] > 0 else f"one from {LEAST_PRICE:g} to {LARGEST_PRICE:g}"
        return row, i, above
    far = np.abs(np.diff(np.log(prices), axis=0)) > np.log(LARGEST_MOVE)
    if far.any():
        row, i = np.argwhere(far)[0].tolist()
        return row + 1, i, f"within {LARGEST_MOVE:g} times of the {prices[row, i]:g} before"
    return None


def _array(where: str, name: str, values: Any) -> NDArray[Any]:
    """A copy of ``values`` as dates or numbers."""
    what = "dates" if name == "dates" else "numbers"
    try:
        array = np.array(values)
        if what == "numbers" or array.dtype.kind not in "biuf":  # numbers count as days since 1970
            return np.array(values, np.float64 if what == "numbers" else "datetime64[D]")
    except (TypeError, ValueError):
        pass
    raise InputError(f"{where}: {name} cannot be read as {what}")


def wealth_after(holdings: F64, weights: F64, proportional_cost: float, fixed_cost: float = 0.0) -> float:
    """V' of the trade from ``holdings`` (N + 1,) in money to ``weights`` (N + 1,) of it; 0 where the trade cannot be paid.

    Newton's method on the convex, piecewise linear equation, from above: it goes down from piece to piece and ends on
    the solution's own, so the answer is exact up to rounding.
    """
    positions, shares, wealth = holdings[:-1], weights[:-1], float(holdings.sum())
    money = wealth
    if fixed_cost > 0:
        money -= fixed_cost * int((np.abs(shares * wealth - positions) > TRADED * wealth).sum())
    if money <= proportional_cost * float(positions.sum()):
        return 0.0
    after = money
    while True:
        side = np.sign(shares * after - positions)  # bought or sold
        lower = (money + proportional_cost * float(side @ positions)) / (1.0 + proportional_cost * float(side @ shares))
        if not lower < after:
            return after
        after = lower


def trade(instance: TradingPeriod, holdings: F64, weights: F64) -> tuple[F64, float]:
    """Holdings (N + 1,) in money after the trade to ``weights`` (N + 1,), and what it cost; no money is left in ruin."""
    after = wealth_after(holdings, weights, instance.proportional_cost, instance.fixed_cost)
    bought = weights * after
    bought[-1] = after - bought[:-1].sum()
    return bought, float(holdings.sum()) - after


@dataclass(frozen=True)
class Replay:
    """What happens when weights are played through a trading period."""

    wealth: F64  # (T + 1,) at the closes of rows H..H + T, before the trade; 1 first, 0 from ruin on
    cost: F64  # (T,) paid by each trade, in units of the initial wealth
    turnover: F64  # (T,) sum over the assets of |weight after - before the trade|
    drifted: F64  # (T, N + 1) weights before each trade; all cash after ruin


def replay(instance: TradingPeriod, solution: Any) -> Replay:
    """Play weights (T, N + 1) through the period: the module's definition.

    Raises:
        InputError: more is earned than floats can hold.
    """
    weights = np.asarray(solution, np.float64)
    growth, days = instance.growth, instance.n_days
    wealth, cost, turnover = np.zeros(days + 1), np.zeros(days), np.zeros(days)
    drifted = np.zeros((days, instance.n_assets + 1))
    drifted[:, -1] = 1.0
    holdings = instance.initial
    wealth[0] = 1.0
    for t in range(days):
        drifted[t] = holdings / wealth[t]
        turnover[t] = np.abs(weights[t, :-1] - drifted[t, :-1]).sum()
        bought, cost[t] = trade(instance, holdings, weights[t])
        holdings = bought * growth[t]
        left = float(holdings.sum())
        if left <= 0:
            break
        if not left < np.inf:
            now = instance.dates[instance.history + t + 1]
            raise InputError(
                f"{instance.name}: wealth on {now} is beyond the range of floats; expected a shorter period"
            )
        wealth[t + 1] = left
    return Replay(wealth, cost, turnover, drifted)


def wealth_path(instance: TradingPeriod, solution: Any) -> F64:
    """(T + 1,) wealth at rows H..H + T; see :class:`Replay`."""
    return replay(instance, solution).wealth


class Portfolio:
    """Portfolio selection in hindsight. A solution is a (T, N + 1) array of weights after each trade, cash last."""

    name = "portfolio"
    sense: Sense = "maximize"

    def generate(
        self,
        rng: np.random.Generator,
        *,
        assets: int = 10,
        days: int = 250,
        history: int = 60,
        cash: float = 0.02,
        **rest: Any,
    ) -> TradingPeriod:
        """Correlated geometric Brownian motions with one common factor.

        Args:
            assets: N.
            days: T.
            history: H.
            cash: interest of cash a year.
            rest: other fields of :class:`TradingPeriod`.
        """
        for name, value in (("assets", assets), ("days", days), ("history", history)):
            if value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        rows = history + days + 1
        drift, volatility, loading = rng.uniform([[-0.05], [0.1], [0.3]], [[0.25], [0.4], [0.9]], (3, assets))
        noise = loading * rng.standard_normal((rows, 1)) + np.sqrt(1 - loading**2) * rng.standard_normal((rows, assets))
        steps = (drift - volatility**2 / 2) / YEAR + volatility / np.sqrt(YEAR) * noise
        steps[0] = 0.0
        arguments: dict[str, Any] = {
            "name": f"portfolio-{assets}x{days}",
            "dates": np.busday_offset(np.datetime64("2000-01-03"), np.arange(rows)),
            "close": 100.0 * np.exp(np.cumsum(steps, axis=0)),
            "history": history,
            "cash": np.full(rows, (1.0 + cash) ** (1 / YEAR) - 1.0),
        }
        return TradingPeriod(**(arguments | rest))

    def check(self, instance: TradingPeriod, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless the weights keep the limits of every day before ruin, up to ``TOLERANCE``."""
        name, n = instance.name, instance.n_assets
        expected = (instance.n_days, n + 1)
        try:
            weights = np.asarray(solution)
        except ValueError:  # rows of different lengths
            raise InfeasibleError(f"{name}: weights are no table; expected {expected} floats") from None
        if weights.shape != expected or weights.dtype.kind != "f":
            raise InfeasibleError(
                f"{name}: weights of shape {weights.shape}, dtype {weights.dtype}; expected {expected} floats"
            )
        weights = weights.astype(np.float64)
        total = weights.sum(1)
        self._require(instance, np.abs(total - 1) <= TOLERANCE, "the weights", total, "1 in all")  # NaN compares false
        for i, asset in enumerate(instance.assets):
            self._require(instance, weights[:, i] >= 0, asset, weights[:, i], "at least 0")
        played = replay(instance, weights)
        ruined = played.wealth[:-1] <= 0
        for i, asset in enumerate(instance.assets):
            fits = weights[:, i] <= np.maximum(instance.cap, played.drifted[:, i]) + TOLERANCE
            self._require(
                instance,
                fits | ruined,
                asset,
                weights[:, i],
                f"at most {instance.cap:g}, the cap, or what it was before",
            )
        fits = weights[:, n] >= np.minimum(instance.minimum_cash, played.drifted[:, n]) - TOLERANCE
        least = f"at least {instance.minimum_cash:g}, the minimum, or what it was before"
        self._require(instance, fits | ruined, "cash", weights[:, n], least)
        fits = played.turnover <= instance.turnover + TOLERANCE
        self._require(instance, fits | ruined, "the turnover", played.turnover, f"at most {instance.turnover:g}")

    def _require(self, instance: TradingPeriod, fits: NDArray[np.bool_], what: str, found: F64, expected: str) -> None:
        if not fits.all():
            t = int(np.argmin(fits))
            raise InfeasibleError(
                f"{instance.name}: {what} of decision {t} ({instance.dates[instance.history + t]}): {found[t]:.9g}; "
                f"expected {expected}"
            )

    def cost(self, instance: TradingPeriod, solution: Any) -> float:
        """Log of the final by the initial wealth; minus infinity after ruin."""
        final = float(replay(instance, solution).wealth[-1])
        return float(np.log(final)) if final > 0 else -np.inf


PORTFOLIO = Portfolio()
