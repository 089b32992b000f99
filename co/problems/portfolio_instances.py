"""Trading periods and mean-variance instances by name, seeded, and as ``.npz`` files (:mod:`optgap.co.formats.archives`)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from optgap.co.core import InputError
from optgap.co.formats.archives import SUFFIX, read_archive
from optgap.co.problems.mean_variance import MEAN_VARIANCE, MeanVarianceInstance
from optgap.co.problems.portfolio import PORTFOLIO, TradingPeriod

TRADING = re.compile(r"portfolio-(\d{1,4})x(\d{1,5})-s(\d{1,18})")
MEAN_VARIANCES = re.compile(r"mean-variance-(\d{1,4})-k(\d{1,4})-s(\d{1,18})")


def load_portfolio(name_or_path: str | Path) -> TradingPeriod:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"portfolio-20x250-s3"`` (assets, decisions, seed; otherwise as ``PORTFOLIO.generate`` draws it), or
            a path that ends in ``.npz``.

    Raises:
        InputError: neither; the message says what is expected.
    """
    name = str(name_or_path)
    if match := TRADING.fullmatch(name):
        assets, days, seed = (int(part) for part in match.groups())
        return PORTFOLIO.generate(np.random.default_rng(seed), assets=assets, days=days, name=name)
    if Path(name).suffix != SUFFIX:
        raise InputError(
            f"unknown portfolio instance {name!r}; expected portfolio-<assets>x<days>-s<seed> or a {SUFFIX} file"
        )
    return read_archive(TradingPeriod, name)


def load_mean_variance(name_or_path: str | Path) -> MeanVarianceInstance:
    """An instance by name or from a file.

    Args:
        name_or_path: ``"mean-variance-20-k5-s3"`` (assets, cardinality, seed; otherwise as ``MEAN_VARIANCE.generate``
            draws it), or a path that ends in ``.npz``.

    Raises:
        InputError: neither; the message says what is expected.
    """
    name = str(name_or_path)
    if match := MEAN_VARIANCES.fullmatch(name):
        assets, cardinality, seed = (int(part) for part in match.groups())
        return MEAN_VARIANCE.generate(np.random.default_rng(seed), assets=assets, cardinality=cardinality, name=name)
    if Path(name).suffix != SUFFIX:
        raise InputError(
            f"unknown mean-variance instance {name!r}; expected mean-variance-<assets>-k<cardinality>-s<seed> "
            f"or a {SUFFIX} file"
        )
    return read_archive(MeanVarianceInstance, name)
