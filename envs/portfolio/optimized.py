"""Strategies that optimize estimates of a trailing window, by skfolio and by SCIP; all are refitted at every rebalancing.

Estimates are the shrunk ones, which are what makes these methods' best form with a few hundred days: covariances of Ledoit &
Wolf 2004, means of Jorion 1986 (Bayes-Stein, towards the mean of the minimum-variance portfolio; the James-Stein estimator
can push means apart where one factor drives all assets). All are fully invested and long-only.

Sources: mean-variance and minimum variance, Markowitz 1952; maximum Sharpe, Tobin 1958; risk parity (equal contributions to the
variance), Maillard, Roncalli & Teiletche 2010; CVaR, Rockafellar & Uryasev 2000; hierarchical risk parity, Lopez de Prado 2016;
hierarchical equal risk contribution, Raffinot 2018; at most K assets, Bienstock 1996.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import Budget, InputError, MissingExtraError, Status
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.strategy import Strategy

F64 = NDArray[np.float64]
WINDOW = 504  # trading days: two years
RISK_AVERSION = 5.0  # of w'mu - risk_aversion / 2 w'Sw
CVAR_LEVEL = 0.95
ASSETS = 5  # at most, in the cardinality-constrained portfolio
LEAST = 0.05  # share of an asset that it holds at all
SECONDS = 10.0  # of SCIP at each rebalancing
PERCENT = 100.0  # variances of plain daily returns, 1e-4, are near the tolerances of convex solvers

Choice = Callable[[F64, float], F64]
"""Weights (N,) of assets, sum at most 1, of (window, N) daily returns and the daily rate of cash; the rest is cash."""


class Optimized:
    """A strategy that optimizes on the returns of the last ``window`` days.

    Args:
        name: in tables.
        choose: the optimization.
        window: W >= 2; W + 1 closes must be known.
    """

    def __init__(self, name: str, choose: Choice, window: int = WINDOW) -> None:
        if window < 2:
            raise InputError(f"strategy {name}: window is {window}; expected at least 2 days")
        self.name = name
        self.choose = choose
        self.window = window

    def fit(self, history: Prices) -> None:
        """Nothing to learn that the window does not tell."""

    def weights(self, past: Prices, holdings: F64) -> F64:
        """The optimum on the last W returns; what it leaves is cash.

        Raises:
            InputError: fewer than W + 1 closes are known.
        """
        known, now = len(past) - 1, past.dates[-1]
        if known < self.window:
            raise InputError(
                f"strategy {self.name}: {known} returns are known on {now}; expected {self.window}, its window: "
                f"a longer history or a shorter window"
            )
        close = past.close[-self.window - 1 :]
        chosen = self.choose(close[1:] / close[:-1] - 1, float(past.cash[-self.window :].mean()))
        shares = np.maximum(np.asarray(chosen, np.float64), 0.0)  # solvers leave -1e-12
        shares /= max(1.0, shares.sum())
        return np.append(shares, 1.0 - shares.sum())


def risk_parity(window: int = WINDOW) -> Strategy:
    """Every asset contributes the same to the variance."""
    return Optimized("risk-parity", lambda returns, cash: _fit("RiskBudgeting", returns), window)


def minimum_variance(window: int = WINDOW) -> Strategy:
    """The smallest variance."""
    return Optimized("minimum-variance", lambda returns, cash: _fit("MeanRisk", returns), window)


def mean_variance(window: int = WINDOW, risk_aversion: float = RISK_AVERSION) -> Strategy:
    """The largest w'mu - risk_aversion / 2 w'Sw of daily returns."""

    def choose(returns: F64, cash: float) -> F64:
        aversion = risk_aversion / 2 / PERCENT  # skfolio's multiplies the whole variance, which is of percents
        return _fit("MeanRisk", returns, objective_function="MAXIMIZE_UTILITY", risk_aversion=aversion)

    return Optimized("mean-variance", choose, window)


def maximum_sharpe(window: int = WINDOW) -> Strategy:
    """The largest ratio of mean over cash to deviation; all cash where no mean is above that of cash, so that none exists."""

    def choose(returns: F64, cash: float) -> F64:
        mean, _ = estimates(returns)
        if not (mean > cash + 1e-8).any():
            return np.zeros(returns.shape[1])
        return _fit("MeanRisk", returns, objective_function="MAXIMIZE_RATIO", risk_free_rate=cash * PERCENT)

    return Optimized("maximum-sharpe", choose, window)


def minimum_cvar(window: int = WINDOW, level: float = CVAR_LEVEL) -> Strategy:
    """The smallest mean loss of the worst 1 - ``level`` of the window's days."""

    def choose(returns: F64, cash: float) -> F64:
        return _fit("MeanRisk", returns, risk_measure="CVAR", cvar_beta=level)

    return Optimized("minimum-cvar", choose, window)


def hrp(window: int = WINDOW) -> Strategy:
    """Hierarchical risk parity."""
    return Optimized("hrp", lambda returns, cash: _fit("HierarchicalRiskParity", returns), window)


def herc(window: int = WINDOW) -> Strategy:
    """Hierarchical equal risk contribution."""
    return Optimized("herc", lambda returns, cash: _fit("HierarchicalEqualRiskContribution", returns), window)


def cardinality_mean_variance(
    window: int = WINDOW,
    assets: int = ASSETS,
    least: float = LEAST,
    risk_aversion: float = RISK_AVERSION,
    seconds: float = SECONDS,
) -> Strategy:
    """Mean-variance of at most ``assets`` assets, each at least ``least``: a mixed-integer programme, solved by SCIP.

    Proved optimal; where ``seconds`` are not enough for that, the best found is taken, with a warning.
    """

    def choose(returns: F64, cash: float) -> F64:
        from optgap.co.exact.mean_variance_scip import solve_mean_variance

        mean, covariance = estimates(returns)
        found = solve_mean_variance(
            mean, covariance, cardinality=assets, risk_aversion=risk_aversion, least=least, budget=Budget(seconds)
        )
        if found.status is not Status.OPTIMAL:
            warnings.warn(f"portfolio of {assets} assets: not proved optimal within {seconds:g} s", stacklevel=2)
        return np.asarray(found.solution, np.float64)

    return Optimized("cardinality-mean-variance", choose, window)


def estimates(returns: F64) -> tuple[F64, F64]:
    """Mean (N,) and covariance (N, N) of (days, N) returns, shrunk.

    Raises:
        MissingExtraError: skfolio is not installed.
    """
    found = _prior().fit(returns).return_distribution_
    return np.asarray(found.mu, np.float64), np.asarray(found.covariance, np.float64)


def _prior() -> Any:
    try:
        from skfolio.moments import LedoitWolf, ShrunkMu, ShrunkMuMethods
        from skfolio.prior import EmpiricalPrior
    except ImportError:
        raise MissingExtraError("skfolio", "finance") from None
    mean = ShrunkMu(method=ShrunkMuMethods.BAYES_STEIN, vol_weighted_target=True)
    return EmpiricalPrior(mu_estimator=mean, covariance_estimator=LedoitWolf())


def _fit(estimator: str, returns: F64, **settings: Any) -> F64:
    """Weights (N,) of one of skfolio's estimators; objective and risk measure are given by their names there."""
    prior = _prior()  # first, for its message where skfolio is missing
    from skfolio import RiskMeasure, optimization

    for name, choices in (("objective_function", optimization.ObjectiveFunction), ("risk_measure", RiskMeasure)):
        if name in settings:
            settings[name] = choices[settings[name]]
    fitted = getattr(optimization, estimator)(prior_estimator=prior, **settings).fit(returns * PERCENT)
    return np.asarray(fitted.weights_, np.float64)
