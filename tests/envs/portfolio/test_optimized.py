"""Strategies that optimize estimates: their optimality conditions, checked without the solver that found them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.portfolio.optimized import (
    Optimized,
    cardinality_mean_variance,
    estimates,
    herc,
    hrp,
    maximum_sharpe,
    mean_variance,
    minimum_cvar,
    minimum_variance,
    risk_parity,
)
from optgap.envs.portfolio.prices import Prices
from optgap.envs.portfolio.strategy import play

pytest.importorskip("skfolio")

DAYS, ASSETS = 250, 5


def market(seed: int = 0, drift: float = 0.0005, cash: float = 0.0) -> Prices:
    rng = np.random.default_rng(seed)
    spread = np.array([0.006, 0.01, 0.012, 0.02, 0.03])
    returns = drift + spread * (0.5 * rng.standard_normal((DAYS, 1)) + rng.standard_normal((DAYS, ASSETS)))
    close = 100 * np.concatenate([np.ones((1, ASSETS)), np.cumprod(1 + returns, axis=0)])
    dates = np.busday_offset("2001-01-01", np.arange(DAYS + 1), roll="forward")
    names = tuple(f"a{i}" for i in range(ASSETS))
    return Prices(name="market", assets=names, dates=dates, close=close, cash=np.full(DAYS + 1, cash))


def returns_of(prices: Prices) -> np.ndarray:
    return prices.close[1:] / prices.close[:-1] - 1


HELD = np.eye(ASSETS + 1)[-1]


@pytest.mark.parametrize(
    "build", [risk_parity, minimum_variance, mean_variance, maximum_sharpe, minimum_cvar, hrp, herc]
)
def test_fully_invested_and_long(build: object) -> None:
    weights = build(DAYS).weights(market(), HELD)
    assert weights.shape == (ASSETS + 1,)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights[-1] < 1e-8


def test_estimates_are_shrunk() -> None:
    returns = returns_of(market())
    mean, covariance = estimates(returns)
    raw, inverse = returns.mean(0), np.linalg.inv(np.cov(returns.T))
    target = inverse.sum(0) @ raw / inverse.sum()  # mean of the minimum-variance portfolio
    share = (ASSETS + 2) / (ASSETS + 2 + DAYS * (raw - target) @ inverse @ (raw - target))  # Jorion 1986, eq. 17
    assert 0 < share < 1
    np.testing.assert_allclose(mean, (1 - share) * raw + share * target, rtol=1e-9)
    correlation = np.corrcoef(returns.T)[0, 1]
    assert 0 < covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) < correlation


@pytest.mark.parametrize("seed", range(3))
def test_minimum_variance_meets_its_conditions(seed: int) -> None:
    prices = market(seed)
    _, covariance = estimates(returns_of(prices))
    shares = minimum_variance(DAYS).weights(prices, HELD)[:-1]
    marginal = covariance @ shares / (shares @ covariance @ shares)  # 1 where held, at least 1 elsewhere
    np.testing.assert_allclose(marginal[shares > 1e-4], 1.0, rtol=1e-3)
    assert marginal.min() > 1 - 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_mean_variance_meets_its_conditions(seed: int) -> None:
    prices, aversion = market(seed), 20.0
    mean, covariance = estimates(returns_of(prices))
    shares = mean_variance(DAYS, aversion).weights(prices, HELD)[:-1]
    gradient = mean - aversion * covariance @ shares  # the same where held, no more elsewhere
    level = shares @ gradient
    np.testing.assert_allclose(gradient[shares > 1e-3], level, atol=2e-6)
    assert gradient.max() < level + 2e-6


def test_maximum_sharpe_meets_its_conditions() -> None:
    prices, cash = market(1, drift=0.002, cash=0.0001), 0.0001
    mean, covariance = estimates(returns_of(prices))
    shares = maximum_sharpe(DAYS).weights(prices, HELD)[:-1]
    best = (shares @ mean - cash) / np.sqrt(shares @ covariance @ shares)
    drawn = np.random.default_rng(0).dirichlet(np.full(ASSETS, 0.5), 20000)
    ratios = (drawn @ mean - cash) / np.sqrt(np.einsum("ki,ij,kj->k", drawn, covariance, drawn))
    assert best >= ratios.max() - 1e-6
    assert best > ratios.mean()


def test_no_tangency_portfolio_is_all_cash() -> None:
    np.testing.assert_array_equal(maximum_sharpe(DAYS).weights(market(drift=-0.004), HELD), HELD)


def test_risk_parity_has_equal_contributions() -> None:
    prices = market()
    _, covariance = estimates(returns_of(prices))
    shares = risk_parity(DAYS).weights(prices, HELD)[:-1]
    contribution = shares * (covariance @ shares) / (shares @ covariance @ shares)
    np.testing.assert_allclose(contribution, 1 / ASSETS, atol=1e-4)


def test_minimum_cvar_is_the_linear_programme_of_rockafellar_and_uryasev() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    prices, level = market(2), 0.9
    returns = returns_of(prices)
    # min a + sum u / ((1 - level) T), u >= -r'w - a, u >= 0, sum w = 1: w, a, u
    cost = np.concatenate([np.zeros(ASSETS), [1.0], np.full(DAYS, 1 / ((1 - level) * DAYS))])
    rows = np.hstack([-returns, -np.ones((DAYS, 1)), -np.eye(DAYS)])
    total = np.concatenate([np.ones(ASSETS), np.zeros(DAYS + 1)])[None]
    bounds = [(0, None)] * ASSETS + [(None, None)] + [(0, None)] * DAYS
    expected = optimize.linprog(cost, rows, np.zeros(DAYS), total, [1.0], bounds).fun
    shares = minimum_cvar(DAYS, level).weights(prices, HELD)[:-1]
    worst = np.sort(-returns @ shares)[-round((1 - level) * DAYS) :]
    assert worst.mean() == pytest.approx(expected, rel=1e-4)


def test_hierarchical_ones_prefer_the_quiet_assets() -> None:
    for build in (hrp, herc):
        shares = build(DAYS).weights(market(), HELD)[:-1]
        assert shares[:2].sum() > 0.5
        assert (shares > 0).all()


def test_cardinality_is_the_best_of_all_supports() -> None:
    pytest.importorskip("optgap.co.exact.mean_variance_scip")
    optimize = pytest.importorskip("scipy.optimize")
    prices, aversion = market(3), 20.0
    mean, covariance = estimates(returns_of(prices))
    shares = cardinality_mean_variance(DAYS, assets=2, least=0.1, risk_aversion=aversion).weights(prices, HELD)[:-1]
    assert np.count_nonzero(shares > 1e-6) <= 2
    assert (shares[shares > 1e-6] > 0.1 - 1e-6).all()

    def value(weights: np.ndarray) -> float:
        return float(weights @ mean - aversion / 2 * weights @ covariance @ weights)

    best = max(value(unit) for unit in np.eye(ASSETS))
    for i, j in itertools.combinations(range(ASSETS), 2):

        def loss(share: float, i: int = i, j: int = j) -> float:
            return -value(share * np.eye(ASSETS)[i] + (1 - share) * np.eye(ASSETS)[j])

        best = max(best, -optimize.minimize_scalar(loss, bounds=(0.1, 0.9), method="bounded").fun)
    assert value(shares) == pytest.approx(best, abs=1e-7)


def test_window_is_all_that_counts() -> None:
    prices = market()
    longer, shorter = prices.rows(0, 251), prices.rows(100, 251)
    for build in (minimum_variance, hrp):
        np.testing.assert_array_equal(build(150).weights(longer, HELD), build(150).weights(shorter, HELD))


def test_window_longer_than_the_past() -> None:
    with pytest.raises(InputError, match="hrp: 250 returns are known on 2001-12-17; expected 300, its window"):
        hrp(300).weights(market(), HELD)
    with pytest.raises(InputError, match="window is 1; expected at least 2"):
        hrp(1)


def test_failure_names_strategy_and_date() -> None:
    def fail(returns: np.ndarray, cash: float) -> np.ndarray:
        raise ValueError("no solution")

    prices = market()
    period = TradingPeriod(name="p", dates=prices.dates, close=prices.close, history=20)
    with pytest.raises(InputError, match=r"broken on 2001-01-29: ValueError: no solution \(test_optimized\.py, line "):
        play(Optimized("broken", fail, 20), period)
