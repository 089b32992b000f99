"""Equal weight, buy and hold: by hand, and within any limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from portfolio_cases import periods, two_nights

from optgap.co.core import SOLVERS, Budget
from optgap.co.problems.portfolio import PORTFOLIO, replay


def weights(name, period):
    return SOLVERS.load(f"portfolio/{name}")(period, Budget(1.0)).solution


def test_by_hand():
    np.testing.assert_allclose(weights("equal-weight", two_nights()), [[0.5, 0.5, 0.0]] * 2)
    np.testing.assert_allclose(
        weights("buy-and-hold", two_nights()), [[0.5, 0.5, 0.0], [2 / 3, 1 / 3, 0.0]], atol=1e-15
    )
    capped = two_nights(cap=0.4, minimum_cash=0.1)
    np.testing.assert_allclose(weights("equal-weight", capped), [[0.4, 0.4, 0.2]] * 2)
    slow = two_nights(turnover=0.25)
    np.testing.assert_allclose(weights("equal-weight", slow)[0], [0.125, 0.125, 0.75])


@pytest.mark.parametrize("name", ["equal-weight", "buy-and-hold"])
@given(period=periods())
def test_they_keep_every_limit(name, period):
    found = weights(name, period)
    PORTFOLIO.check(period, found)
    if name == "buy-and-hold":
        np.testing.assert_allclose(replay(period, found).turnover[1:], 0.0, atol=1e-12)
