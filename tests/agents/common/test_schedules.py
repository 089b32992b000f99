"""The step size over a run, by hand."""

from __future__ import annotations

import math

import pytest

from optgap.agents.common.schedules import cosine


def test_it_falls_along_a_cosine() -> None:
    def rate(share: float) -> float:
        return cosine(1.0, 0.2, share, update=50, warmup=0)

    assert rate(0.0) == pytest.approx(1.0)
    assert rate(0.5) == pytest.approx(0.6)
    assert rate(0.25) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.sqrt(0.5)))
    assert rate(1.0) == pytest.approx(0.2)
    assert rate(3.0) == pytest.approx(0.2)  # a run may overshoot


def test_it_rises_during_the_first_updates() -> None:
    rates = [cosine(1.0, 0.2, 0.0, update, warmup=3) for update in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
