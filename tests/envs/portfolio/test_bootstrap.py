"""Intervals and deflated Sharpe ratios: published examples, closed forms, and an independent resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.envs.portfolio.bootstrap import (
    deflated_sharpe,
    expected_maximum_sharpe,
    moments,
    probabilistic_sharpe,
    resampled_sharpes,
    sharpe_differences,
    sharpe_intervals,
    stationary_days,
)
from optgap.envs.portfolio.metrics import sharpe


def autoregression(rng: np.random.Generator, days: int, memory: float) -> np.ndarray:
    noise, found = rng.standard_normal(days), np.zeros(days)
    for t in range(1, days):
        found[t] = memory * found[t - 1] + noise[t]
    return 0.01 * found


def test_blocks_are_runs_of_days_of_the_asked_mean_length() -> None:
    drawn = stationary_days(np.random.default_rng(0), days=100, block=10.0, samples=2000)
    assert drawn.shape == (2000, 100)
    assert drawn.min() == 0
    assert drawn.max() == 99
    breaks = (drawn[:, 1:] != (drawn[:, :-1] + 1) % 100).mean()
    assert breaks == pytest.approx(0.1 * 0.99, rel=0.02)  # a new block begins at the next day once in a hundred
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, 0.01, rtol=0.1)  # every day is as likely


def test_variance_of_the_mean_is_that_of_politis_and_romano() -> None:
    returns = autoregression(np.random.default_rng(1), 60, 0.5)
    days, p = len(returns), 1 / 8
    drawn = stationary_days(np.random.default_rng(2), days, 8.0, 40000)
    centred = returns - returns.mean()
    circular = [centred @ np.roll(centred, -lag) / days for lag in range(days)]
    # Politis & Romano 1994, lemma 1
    weights = [(1 - lag / days) * (1 - p) ** lag + lag / days * (1 - p) ** (days - lag) for lag in range(days)]
    expected = (circular[0] + sum(weights[lag] * circular[lag] for lag in range(1, days))) / days
    assert returns[drawn].mean(1).var() == pytest.approx(expected, rel=0.03)


def test_resampling_by_counts_is_resampling_of_days() -> None:
    rng = np.random.default_rng(3)
    excess = 0.01 * rng.standard_normal((50, 3)) + [0.0, 0.001, 0.1]
    drawn = stationary_days(np.random.default_rng(7), 50, 5.0, 20)
    expected = [[sharpe(excess[days, m]) for m in range(3)] for days in drawn]
    np.testing.assert_allclose(resampled_sharpes(excess, block=5.0, samples=20, seed=7), expected, rtol=1e-9)


def test_interval_of_independent_days_is_as_wide_as_in_theory() -> None:
    days = 4000
    excess = 0.01 * np.random.default_rng(4).standard_normal((days, 1)) + 0.0005
    (found,) = sharpe_intervals(excess, samples=2000, block=1.0)
    error = math.sqrt((1 + found.estimate**2 / 252 / 2) / days * 252)  # Lo 2002, normal returns
    assert found.low == pytest.approx(found.estimate - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(found.estimate + 1.96 * error, abs=0.15 * error)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered, truth = 0, 0.08 * math.sqrt(252)
    for seed in range(200):
        excess = 0.01 * np.random.default_rng([5, seed]).standard_normal((250, 1)) + 0.0008
        (found,) = sharpe_intervals(excess, 0.9, samples=200, block=5.0, seed=seed)
        covered += found.low <= truth <= found.high
    assert 168 <= covered <= 192  # 180 expected, standard deviation 4.2


def test_blocks_see_what_neighbouring_days_share() -> None:
    excess = autoregression(np.random.default_rng(6), 3000, 0.6)[:, None]
    (single,), (blocks,) = (sharpe_intervals(excess, block=block, samples=500) for block in (1.0, 40.0))
    # the standard error of a mean of such a series is sqrt((1 + 0.6) / (1 - 0.6)) = 2 times that of independent days
    assert 1.6 < (blocks.high - blocks.low) / (single.high - single.low) < 2.3


def test_differences_are_taken_on_the_same_days() -> None:
    rng = np.random.default_rng(8)
    market = 0.01 * rng.standard_normal(1000)
    better = market + 0.0005 + 0.0005 * rng.standard_normal(1000)
    same, other = sharpe_differences(np.column_stack([market, better]), reference=0, samples=500)
    assert (same.estimate, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert other.estimate == pytest.approx(sharpe(better) - sharpe(market))
    assert 0 < other.low < other.estimate < other.high  # though both vary by far more than they differ
    assert other.p_value < 0.01
    single = sharpe_intervals(np.column_stack([market, better]), samples=500)
    assert other.high - other.low < 0.2 * (single[1].high - single[1].low)


def test_equal_methods_do_not_differ() -> None:
    rng = np.random.default_rng(9)
    low = 0
    for seed in range(60):
        excess = 0.01 * rng.standard_normal((300, 2))
        low += sharpe_differences(excess, 0, samples=200, block=2.0, seed=seed)[1].p_value < 0.1
    assert low <= 14  # 6 expected, standard deviation 2.3


def test_seed_decides() -> None:
    excess = 0.01 * np.random.default_rng(0).standard_normal((100, 2))
    first, again, other = (resampled_sharpes(excess, samples=10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_constant_curve_has_no_interval() -> None:
    excess = np.column_stack([np.zeros(50), 0.01 * np.random.default_rng(0).standard_normal(50)])
    constant, varying = sharpe_intervals(excess, samples=50)
    assert all(math.isnan(value) for value in constant)
    assert varying.low < varying.estimate < varying.high
    assert all(math.isnan(value) for value in sharpe_differences(excess, 1, samples=50)[0])


def test_probabilistic_sharpe_of_the_papers_hedge_fund() -> None:
    # Bailey & Lopez de Prado 2012: two years of months with a Sharpe ratio of 0.458 a month (1.59 a year)
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_deflated_sharpe_of_the_papers_example() -> None:
    # Bailey & Lopez de Prado 2014: 100 trials of variance 1/2 a year, the best 2.5 a year over 1250 days of 250 a year
    daily = 2.5 / math.sqrt(250)
    benchmark = expected_maximum_sharpe(100, 0.5 / 250)
    assert benchmark == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(daily, 1250, -3.0, 10.0, benchmark) == pytest.approx(0.9004, abs=5e-5)
    for trials, skewness, kurtosis in ((46, -3.0, 10.0), (88, 0.0, 3.0)):  # what would have been significant
        least = expected_maximum_sharpe(trials, 0.5 / 250)
        assert probabilistic_sharpe(daily, 1250, skewness, kurtosis, least) == pytest.approx(0.9505, abs=5e-5)


def test_expected_maximum_is_near_that_of_normal_draws() -> None:
    drawn = np.random.default_rng(0).standard_normal((20000, 50)).max(1).mean()
    assert expected_maximum_sharpe(50, 1.0) == pytest.approx(drawn, rel=0.02)  # a limit law
    assert expected_maximum_sharpe(1, 1.0) == 0.0


def test_deflated_sharpe_agrees_with_skfolio() -> None:
    measures = pytest.importorskip("skfolio.measures")
    rng = np.random.default_rng(10)
    excess = rng.standard_t(5, (800, 12)) * 0.01 + 0.0003
    trials = [sharpe(excess[:, m]) for m in range(12)]
    best = excess[:, int(np.argmax(trials))]
    expected = measures.deflated_sharpe_ratio(best, np.array(trials) / math.sqrt(252))
    assert deflated_sharpe(best, trials) == pytest.approx(expected, rel=1e-9)
    skewness, kurtosis = moments(best)
    assert skewness == pytest.approx(measures.skew(best))
    assert kurtosis == pytest.approx(measures.kurtosis(best))


def test_more_trials_deflate_more() -> None:
    excess = 0.01 * np.random.default_rng(11).standard_normal(500) + 0.001
    found = [deflated_sharpe(excess, [0.5, 1.0, 1.5, math.nan], trials) for trials in (None, 3, 10, 1000)]
    assert found[0] == found[1] > found[2] > found[3]


def test_bad_input() -> None:
    with pytest.raises(InputError, match=r"expected a block of 1\.\.5 days"):
        resampled_sharpes(np.zeros((5, 1)), block=6.0)
    with pytest.raises(InputError, match="at least 3 days"):
        resampled_sharpes(np.zeros((2, 1)), block=1.0)
    with pytest.raises(InputError, match="level is 95"):
        sharpe_intervals(np.random.default_rng(0).standard_normal((30, 1)), level=95, samples=10)
    with pytest.raises(InputError, match="2 trials with 3 known"):
        deflated_sharpe(np.zeros(5), [1.0, 2.0, 3.0], trials=2)
    with pytest.raises(InputError, match="at least 1 trial"):
        expected_maximum_sharpe(0, 1.0)
