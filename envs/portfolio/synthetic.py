"""A market whose optimal policy is known: scenarios of returns that follow a Markov chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.portfolio.prices import F64, Prices

I64 = NDArray[np.int64]

FIRST_DAY = np.datetime64("1990-01-02")
DAYS = 8609  # weekdays from the first day to 2022-12-30: the years of the real prices
GAP = 1e-10  # largest proved distance from the optimal growth rate that passes for optimal
ITERATIONS = 100  # of the interior-point method; 15 to 25 are usual


def log_optimal(relatives: F64, probabilities: F64) -> tuple[F64, float]:
    """Weights with the largest expected log growth over one day, and the proved distance from the optimum.

    Maximizes sum_j p_j log(x_j . w) over w >= 0, sum w = 1. The constraint on the sum is dropped for the term
    -sum_i w_i, because g . w = 1 for the gradient g_i = sum_j p_j x_ji / (x_j . w) of the first term: what is
    stationary under w >= 0 sums to 1. A primal-dual interior-point method finds it. No weights grow faster than these
    by more than log(max_i g_i) (Cover 1984, "An algorithm for maximizing expected log investment return", IEEE
    Transactions on Information Theory 30(2), section III), and g_i <= 1 is the Kuhn-Tucker condition: the certificate.

    Args:
        relatives: (J, M) > 0, by how much a unit of money in each of M assets is multiplied in scenario j.
        probabilities: (J,) >= 0, sum 1.

    Returns:
        weights (M,) >= 0 with sum 1, and the bound in log growth a day.

    Raises:
        ArithmeticError: The bound stays above 1e-10 (not seen).
    """
    x, p = relatives[probabilities > 0.0], probabilities[probabilities > 0.0]
    size = x.shape[1]
    w, z = np.full(size, 1.0 / size), np.ones(size)  # z are the multipliers of w >= 0
    best, least = w, np.inf
    for _ in range(ITERATIONS):
        growth = x @ w
        gradient = (p / growth) @ x
        gap = float(np.log(gradient.max() * w.sum()))  # of the weights w / sum(w)
        if gap < least:
            best, least = w / w.sum(), gap
        mu = 0.1 * float(w @ z) / size
        if mu < 1e-17:
            break
        scaled = x / growth[:, None]
        hessian = (scaled.T * p) @ scaled
        dw = np.linalg.solve(hessian + np.diag(z / w), gradient - 1.0 + mu / w)
        dz = (mu - z * dw) / w - z
        w, z = w + _step(w, dw) * dw, z + _step(z, dz) * dz
    if least > GAP:
        raise ArithmeticError(f"no log-optimal weights: {least:g} from the optimum, expected at most {GAP:g}")
    return best, max(least, 0.0)


def _step(values: F64, change: F64) -> float:
    """The step, at most 1, that keeps positive values positive."""
    falling = change < 0.0
    return min(1.0, 0.99 * float(np.min(-values[falling] / change[falling], initial=np.inf)))


@dataclass(frozen=True, eq=False)
class Optimum:
    """Weights and what they earn, with the proof."""

    weights: F64  # (K, N + 1) by scenario of the day, or (N + 1,) for all; cash last
    growth: float  # expected log growth a day
    gap: float  # proved: no other weights earn more than growth + gap


@dataclass(frozen=True, eq=False)
class MarkovMarket:
    """N assets whose returns take one of K values a day, scenarios that follow a Markov chain.

    Today's scenario shows in today's returns; tomorrow's is drawn from its row of ``transition``. Correlation between
    assets lies in the scenarios, momentum, reversal and regimes in the chain; equal rows are independent days. Without
    trading costs nothing else than today's scenario says anything of tomorrow, so the log-optimal policy is one vector of
    weights a scenario, which no policy that may look at the whole past beats in the long run (Algoet and Cover 1988,
    "Asymptotic optimality and asymptotic equipartition properties of log-optimum investment", Annals of Probability 16).
    With costs its optimum is not known: play it with all costs 0.

    The default has three assets and five scenarios: one of the assets leads (+3%, the others -1%), a calm day (+0.4% each)
    or a slump (-2% each). The leader tends to lead again, slumps persist. Optimal is all in the leader after it led,
    thirds after a calm day, cash after a slump: 18.2 basis points a day, against 1.8 of equal weight, which is the best
    constant portfolio too. It is the same for every order of the assets, so a network shared by the assets can learn it.

    Raises:
        InputError: A shape, a probability or a return of -1 or less; two scenarios with the same returns (today's would
            not show); a chain with several closed classes (the long run would depend on the start).
    """

    returns: F64 = field(
        default_factory=lambda: _default()[0]
    )  # (K, N) > -1, simple return of each asset in each scenario
    transition: F64 = field(default_factory=lambda: _default()[1])  # (K, K) >= 0, rows sum to 1: today's to tomorrow's
    cash: float = 0.0  # > -1, simple interest of cash a day
    name: str = "markov"

    def __post_init__(self) -> None:
        for field_name in ("returns", "transition"):
            array = np.array(getattr(self, field_name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, field_name, array)
        if self.returns.ndim != 2 or not self.returns.size or not (self.returns > -1.0).all() or not self._finite():
            raise InputError(
                f"{self.name}: returns {self.returns.shape}; expected (scenarios, assets) of numbers above -1"
            )
        size = len(self.returns)
        if self.transition.shape != (size, size):
            raise InputError(f"{self.name}: transition has shape {self.transition.shape}; expected {(size, size)}")
        wrong = (self.transition < 0.0).any(axis=1) | ~(np.abs(self.transition.sum(axis=1) - 1.0) <= 1e-9)
        if wrong.any():
            raise InputError(
                f"{self.name}: row {int(np.argmax(wrong))} of transition is no distribution; expected sum 1"
            )
        if not self.cash > -1.0:
            raise InputError(f"{self.name}: cash is {self.cash}; expected a daily rate above -1")
        if len(np.unique(self.returns, axis=0)) < size:
            raise InputError(
                f"{self.name}: two scenarios have the same returns; expected different ones, which tell the day"
            )
        if size > 1 and np.linalg.svd(self.transition - np.eye(size), compute_uv=False)[-2] < 1e-12:
            raise InputError(
                f"{self.name}: transition has several closed classes; expected that one is reached from all"
            )

    def _finite(self) -> bool:
        return bool(np.isfinite(self.returns).all() and np.isfinite(self.transition).all() and np.isfinite(self.cash))

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(f"A{n}" for n in range(self.returns.shape[1]))

    @cached_property
    def relatives(self) -> F64:
        """(K, N + 1), by how much each asset and cash multiply money in each scenario."""
        return 1.0 + np.column_stack([self.returns, np.full(len(self.returns), self.cash)])

    @cached_property
    def stationary(self) -> F64:
        """(K,), the share of days of each scenario in the long run."""
        size = len(self.transition)
        equations = np.vstack([self.transition.T - np.eye(size), np.ones(size)])
        shares = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0].clip(0.0)
        return np.asarray(shares / shares.sum())

    def optimum(self) -> Optimum:
        """The log-optimal weights after each scenario, and their growth in the long run."""
        found = [log_optimal(self.relatives, row) for row in self.transition]
        weights = np.array([w for w, _ in found])
        gap = float(self.stationary @ np.array([bound for _, bound in found]))
        return Optimum(weights, self.growth_of(weights), gap)

    def best_constant(self) -> Optimum:
        """The weights that grow fastest of those that are the same every day."""
        weights, gap = log_optimal(self.relatives, self.stationary)
        return Optimum(weights, self.growth_of(weights), gap)

    def growth_of(self, weights: Any) -> float:
        """Exact log growth a day in the long run, without costs, of weights that depend on today's scenario alone.

        Args:
            weights: (K, N + 1) by scenario, or (N + 1,) for all; cash last, sum 1.

        Returns:
            -inf where a scenario may take everything.

        Raises:
            InputError: The shape or a sum is another.
        """
        policy = np.asarray(weights, dtype=np.float64)
        if policy.shape not in (self.relatives.shape, self.relatives.shape[1:]):
            raise InputError(
                f"weights have shape {policy.shape}; expected {self.relatives.shape} or {self.relatives.shape[1:]}"
            )
        if not (np.abs(policy.sum(axis=-1) - 1.0) <= 1e-6).all():
            raise InputError(f"weights sum to {policy.sum(axis=-1)}; expected 1")
        wealth = np.broadcast_to(policy, self.relatives.shape) @ self.relatives.T  # (K today, K tomorrow)
        chance = self.stationary[:, None] * self.transition
        if (wealth[chance > 0.0] <= 0.0).any():
            return -np.inf
        return float(chance[chance > 0.0] @ np.log(wealth[chance > 0.0]))

    def generate(self, rng: np.random.Generator, days: int = DAYS) -> Prices:
        """Closes of a path that starts in the long run's distribution, on weekdays from 1990-01-02; before it all cost 100.

        Raises:
            InputError: ``days`` is not above 0, or prices leave the range of floats.
        """
        if days < 1:
            raise InputError(f"days is {days}; expected at least 1")
        below = np.cumsum(np.vstack([self.transition, self.stationary]), axis=1)
        below /= below[:, -1:]
        scenario, path = len(self.transition), np.empty(days, dtype=np.int64)
        for t, u in enumerate(rng.random(days)):
            scenario = path[t] = int(np.searchsorted(below[scenario], u, side="right"))
        dates = np.busday_offset(FIRST_DAY, np.arange(days), roll="forward")
        with np.errstate(over="ignore", under="ignore"):
            close = 100.0 * np.cumprod(1.0 + self.returns[path], axis=0, dtype=np.float64)
        return Prices(self.name, self.assets, dates, close, cash=np.full(days, self.cash, dtype=np.float64))

    def scenarios(self, prices: Prices) -> I64:
        """(T - 1,) the scenario of each day after the first of generated prices.

        Raises:
            InputError: A day's returns are those of no scenario.
        """
        moves = prices.close[1:] / prices.close[:-1] - 1.0
        if moves.shape[1] != self.returns.shape[1]:
            raise InputError(f"{prices.name}: {moves.shape[1]} assets; expected {self.returns.shape[1]}")
        off = np.abs(moves[:, None, :] - self.returns).max(axis=2)
        if len(off) and off.min(axis=1).max() > 1e-9:
            t = int(np.argmax(off.min(axis=1)))
            raise InputError(f"{prices.name}: the returns on {prices.dates[t + 1]} are of no scenario of {self.name}")
        scenarios: I64 = off.argmin(axis=1)
        return scenarios


def _default() -> tuple[F64, F64]:
    """Returns (5, 3) and transition (5, 5): scenarios 0 to 2 are the leaders, 3 is calm, 4 a slump."""
    returns = np.vstack([0.04 * np.eye(3) - 0.01, np.full(3, 0.004), np.full(3, -0.02)])
    leading = np.hstack([0.18 + 0.06 * np.eye(3), np.tile([0.30, 0.10], (3, 1))])
    return returns, np.vstack([leading, [0.15, 0.15, 0.15, 0.45, 0.10], [0.15, 0.15, 0.15, 0.15, 0.40]])
