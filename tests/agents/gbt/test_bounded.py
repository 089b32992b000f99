"""A former ensemble is the present one's first trees; a bounded one says nearly the same; a step goes where it should."""

from __future__ import annotations

import numpy as np
import pytest

from optgap.agents.gbt.bounded import descend, keep_bounded, outputs_then_and_now, remember
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.model import GBTModel


def learned(trees: int) -> tuple[GBTModel, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 3)).astype(np.float32)
    model = GBTModel(3, 2, TreeConfig(max_depth=3))
    cache = model.cache(x)
    for _ in range(trees):
        model.step(x, cache.update() - np.stack([x[:, 0] * x[:, 1], np.abs(x[:, 2])], axis=1))
    return model, x


def test_then_and_now():
    model, x = learned(5)
    before = model.predict(x)
    assert outputs_then_and_now(model, x, 0)[0].tolist() == [[0, 0]] * len(x)
    for _ in range(3):
        model.step(x, np.ones((len(x), 2), np.float32))
    then, now = outputs_then_and_now(model, x, 5)
    np.testing.assert_array_equal(then, before)
    np.testing.assert_array_equal(now, model.predict(x))
    assert not np.array_equal(then, now)


def test_bounded_at_twice_the_number():
    model, x = learned(39)
    same = model.ensemble
    keep_bounded(model, x, 20)
    assert model.ensemble is same
    model.step(x, np.zeros((len(x), 2), np.float32))
    before = model.predict(x)
    keep_bounded(model, x, 20)
    assert model.n_trees <= 20
    assert np.square(model.predict(x) - before).mean() < 0.02 * before.var()


def test_the_first_rows_fill_a_sample_in_order_and_later_ones_take_places():
    sample = np.zeros((50, 2), np.float32)
    rows = np.arange(4000, dtype=np.float32).repeat(2).reshape(-1, 2)
    remember(sample, rows[:30], 0)
    assert sample[:30].tolist() == rows[:30].tolist()
    assert not sample[30:].any()
    for first in range(30, 4000, 397):
        remember(sample, rows[first : first + 397], first)
    again = np.zeros_like(sample)
    remember(again, rows[:30], 0)
    for first in range(30, 4000, 397):
        remember(again, rows[first : first + 397], first)
    np.testing.assert_array_equal(again, sample)
    numbers = sample[:, 0]
    assert len(set(numbers)) == 50
    assert (sample[:, 1] == numbers).all()


def sampled(size: int, rows: int) -> np.ndarray:
    """Numbers of the rows in a sample of them."""
    sample = np.zeros((size, 1), np.float32)
    for first in range(0, rows, 50):
        remember(sample, np.arange(first, first + 50, dtype=np.float32)[:, None], first)
    return sample[:, 0]


def test_rows_are_sampled_with_equal_chances():
    quarters = np.bincount((sampled(1000, 4000) // 1000).astype(int), minlength=4)
    assert (abs(quarters - 250) < 60).all()  # four standard deviations


def test_older_rows_than_the_horizon_fade_away(monkeypatch):
    monkeypatch.setattr("optgap.agents.gbt.bounded.HORIZON", 500)
    ages = 5000 - sampled(250, 5000)
    assert 350 < ages.mean() < 650  # about exponential, of mean 500


def test_errors_by_hand():
    """Rows -1, -1, 1 with targets 3, 5, 7; rate 1/2."""
    model = GBTModel(1, 1, TreeConfig(max_depth=1), [OptimizerConfig(0, 1, learning_rate=0.5)])
    x = np.array([[-1.0], [-1.0], [1.0]], np.float32)
    targets = np.array([3.0, 5.0, 7.0], np.float32)
    error = descend(model, model.bin(x), targets, [np.arange(3), np.array([0, 2])])
    assert error == pytest.approx((9 + 25 + 49) / 3)
    # First tree: left leaf 0.5 * (3 + 5) / 2 = 2, right leaf 3.5. Second: left 2 + 0.5 * (3 - 2), right 3.5 + 0.5 * 3.5.
    np.testing.assert_allclose(model.predict(x), [[2.5], [2.5], [5.25]])
