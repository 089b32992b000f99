"""How sure is a Sharpe ratio: block-bootstrap intervals, and what is left of it after a number of trials.

Resampling is the stationary bootstrap of Politis & Romano 1994 (J. Amer. Statist. Assoc. 89): blocks of consecutive days,
the first day uniform, the length geometric, days after the last one continuing with the first. So a resample keeps most of the
dependence between neighbouring days (volatility comes in clusters), which resampling single days would destroy. All curves
of a comparison are resampled by the *same* days, because their returns of one day belong together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.portfolio.metrics import CONSTANT, sharpe
from optgap.envs.portfolio.prices import YEAR

F64 = NDArray[np.float64]
BLOCK = 20  # days, on average
CHUNK = 2**21  # days of resamples in memory at once
NORMAL = NormalDist()


class Interval(NamedTuple):
    """An estimate with the ends of its percentile interval."""

    estimate: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference with the ends of its percentile interval and the two-sided p-value of its being 0."""

    estimate: float
    low: float
    high: float
    p_value: float


def stationary_days(rng: np.random.Generator, days: int, block: float, samples: int) -> NDArray[np.int64]:
    """(samples, days) day numbers of resamples whose blocks are ``block`` days long on average."""
    begins = rng.random((samples, days)) < 1 / block
    begins[:, 0] = True
    first = rng.integers(days, size=(samples, days))
    position = np.arange(days)
    begin = np.maximum.accumulate(np.where(begins, position, 0), axis=1)  # of the block that each position is in
    return np.asarray((np.take_along_axis(first, begin, axis=1) + position - begin) % days, np.int64)


def resampled_sharpes(excess: Any, *, block: float = BLOCK, samples: int = 2000, seed: int = 0) -> F64:
    """(samples, M) annual Sharpe ratios of resamples of (T, M) daily returns over cash; NaN where nothing varies.

    Raises:
        InputError: fewer than 3 days, returns that are no numbers, a block shorter than 1 or longer than the data.
    """
    excess = np.asarray(excess, np.float64)
    days = len(excess)
    if excess.ndim != 2 or days < 3 or not np.isfinite(excess).all():
        raise InputError(f"returns of shape {excess.shape}; expected (at least 3 days, methods) numbers")
    if not 1 <= block <= days or samples < 1:
        raise InputError(f"block {block}, samples {samples}; expected a block of 1..{days} days, at least 1 sample")
    rng = np.random.default_rng(seed)
    middle = excess.mean(0)  # taken out before squares are summed: it may be large beside the spread
    moments = np.concatenate([excess - middle, (excess - middle) ** 2], axis=1)
    sums = []
    for begin in range(0, samples, step := max(1, CHUNK // days)):
        drawn = stationary_days(rng, days, block, min(step, samples - begin))
        # how often each day was drawn is all that mean and variance need
        counts = np.stack([np.bincount(row, minlength=days) for row in drawn])
        sums.append(counts.astype(np.float64) @ moments)
    first, second = np.hsplit(np.concatenate(sums) / days, 2)
    spread = np.sqrt(np.maximum(second - first**2, 0.0) * days / (days - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (middle + first) / spread * math.sqrt(YEAR)
    return np.where(spread > CONSTANT, found, np.nan)


def sharpe_intervals(excess: Any, level: float = 0.95, **resampling: Any) -> list[Interval]:
    """Annual Sharpe ratio of each of M methods ((T, M) returns over cash), with its interval."""
    excess = np.asarray(excess, np.float64)
    drawn = resampled_sharpes(excess, **resampling)
    return [Interval(sharpe(excess[:, m]), *_ends(drawn[:, m], level)) for m in range(excess.shape[1])]


def sharpe_differences(excess: Any, reference: int, level: float = 0.95, **resampling: Any) -> list[Difference]:
    """Annual Sharpe ratio of each of M methods less that of number ``reference``, on the same resampled days.

    The p-value is the share of resamples whose centred difference is at least as large as the observed one (Ledoit &
    Wolf 2008, remark 3.2, without studentizing).
    """
    excess = np.asarray(excess, np.float64)
    drawn = resampled_sharpes(excess, **resampling)
    found = []
    for m in range(excess.shape[1]):
        estimate = sharpe(excess[:, m]) - sharpe(excess[:, reference])
        each = drawn[:, m] - drawn[:, reference]
        p_value = math.nan
        if math.isfinite(estimate):
            p_value = (np.count_nonzero(np.abs(each - estimate) >= abs(estimate)) + 1) / (len(each) + 1)
        found.append(Difference(estimate, *_ends(each, level), float(p_value)))
    return found


def _ends(drawn: F64, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    if not np.isfinite(drawn).all():
        return math.nan, math.nan
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def moments(excess: Any) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a normal distribution) of (T,) returns: m3 / m2^1.5 and m4 / m2^2."""
    centred = np.asarray(excess, np.float64)
    centred = centred - centred.mean()
    variance = float(np.mean(centred**2))
    if variance <= CONSTANT**2:
        return math.nan, math.nan
    return float(np.mean(centred**3)) / variance**1.5, float(np.mean(centred**4)) / variance**2


def probabilistic_sharpe(
    daily_sharpe: float, days: int, skewness: float, kurtosis: float, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark`` (Bailey & Lopez de Prado 2012, eq. 11).

    Both ratios are of single days (or whatever ``days`` counts), not annual. NaN where the formula has no value.
    """
    variance = 1 - skewness * daily_sharpe + (kurtosis - 1) / 4 * daily_sharpe**2
    if not variance > 0 or days < 2:
        return math.nan
    return NORMAL.cdf((daily_sharpe - benchmark) * math.sqrt((days - 1) / variance))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Largest Sharpe ratio to be expected of ``trials`` independent trials without any skill.

    ``variance`` is that of the ratios among the trials; the answer is in its units (Bailey & Lopez de Prado 2014, eq. 1).

    Raises:
        InputError: fewer than 1 trial or a negative variance.
    """
    if not trials >= 1 or not variance >= 0:
        raise InputError(
            f"trials {trials}, variance {variance}; expected at least 1 trial and a variance of at least 0"
        )
    if trials == 1:
        return 0.0  # nothing was selected
    quantiles = (NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e)))
    return math.sqrt(variance) * ((1 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1])


def deflated_sharpe(excess: Any, trial_sharpes: Sequence[float], trials: int | None = None) -> float:
    """Probability that a curve's true Sharpe ratio is above 0, given how many were tried (Bailey & Lopez de Prado 2014).

    Args:
        excess: (T,) daily returns over cash of the selected curve.
        trial_sharpes: annual Sharpe ratios of the trials that are known; NaN (a constant curve) is left out.
        trials: how many were tried in all, where that is more than are known (settings and seeds thrown away count).

    Trials that resemble each other are counted as independent, so the answer errs on the low side.

    Raises:
        InputError: no trial is known, or ``trials`` is fewer than are.
    """
    excess = np.asarray(excess, np.float64)
    known = np.asarray(trial_sharpes, np.float64)
    known = known[np.isfinite(known)] / math.sqrt(YEAR)
    trials = len(known) if trials is None else trials
    if not len(known) or trials < len(known):
        raise InputError(f"{trials} trials with {len(known)} known ratios; expected at least as many as are known")
    variance = float(known.var(ddof=1)) if len(known) > 1 else 0.0
    observed = sharpe(excess) / math.sqrt(YEAR)
    return probabilistic_sharpe(observed, len(excess), *moments(excess), expected_maximum_sharpe(trials, variance))
