"""The compiled cells do what the definition in plain Python says, exactly, in any company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicing_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.co.dynamics.slicing import PER_SLICE, empty_cells, put_cell, replay, reset_batch, step_batch
from optgap.co.problems.slicing import SLICING, simulate


def assert_equal(instance: Any, shares: Any, played: dict[str, Any]) -> None:
    """``played`` (of the kernel) is what the definition says."""
    counts = simulate(instance, shares)
    for name in PER_SLICE:
        if name != "oldest":
            np.testing.assert_array_equal(played[name], getattr(counts, name), name)
    np.testing.assert_array_equal(played["cost"], counts.costs(instance.deadline))
    assert played["reward"].tolist() == counts.rewards(instance)


@settings(max_examples=300)
@given(slicing_cases.cells(), st.integers(0, 2**32))
def test_the_kernel_equals_the_definition(instance: Any, seed: int) -> None:
    shares = slicing_cases.shares_of(instance, seed)
    assert_equal(instance, shares, replay(instance, shares))


@pytest.mark.parametrize("reward", ["throughput", "utility"])
def test_the_kernel_equals_the_definition_on_a_whole_cell(reward: str) -> None:
    instance = SLICING.generate(np.random.default_rng(5), decisions=12, reward=reward, variation="regime")
    shares = slicing_cases.shares_of(instance, 0)
    assert_equal(instance, shares, replay(instance, shares))


@settings(max_examples=50)
@given(st.lists(slicing_cases.cells(slices=2), min_size=2, max_size=4), st.integers(0, 2**32))
def test_cells_of_different_sizes_do_not_disturb_each_other(instances: list[Any], seed: int) -> None:
    copies = len(instances)
    cells, state = empty_cells(copies, 2)
    for b in (*range(copies), 0):  # the arrays grow, and a copy is given a second instance
        cells, state = put_cell(cells, state, b, instances[b])
    shares = [slicing_cases.shares_of(instance, seed + b) for b, instance in enumerate(instances)]
    done = np.zeros(copies, np.bool_)
    reset_batch(cells, state, ~done)
    for b, instance in enumerate(instances):
        assert not state.seen[b, :, :7].any()
        assert state.since.shape[2] >= instance.queue
    rewards = np.zeros(copies)
    for t in range(max(instance.n_decisions for instance in instances)):
        action = np.array([row[t] if t < len(row) else [np.nan, np.nan] for row in shares])
        running = ~done
        step_batch(cells, state, action, ~running, False, done)
        rewards[running] += state.reward[running]
    assert done.all()
    assert rewards.tolist() == [SLICING.cost(i, x) for i, x in zip(instances, shares, strict=True)]


def test_what_is_seen_of_the_trace_worked_out_by_hand() -> None:
    instance = slicing_cases.by_hand()
    seen = replay(instance, np.array([[1.0]]))["seen"][0, 0]
    # user 0 brought 25 bits and user 1 48; they have rates of 10 and 8 in the coming decision of 2 x 3 blocks
    expected = [5 / 2, (25 / 10 + 48 / 8) / 6, 4 / 8 / 6, 1 / 4, 2 / 1.5, 7 / 4 / 1.5, 1 / 5, (10 + 8) / 2 / 10, 1.0]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    assert replay(instance, np.array([[1.0]]))["oldest"].tolist() == [[2]]


def test_shares_that_are_none_are_refused() -> None:
    instance = slicing_cases.by_hand()
    for shares in (np.zeros(2), np.zeros((2, 2)), np.zeros((3, 1)), [[np.inf]], [[np.nan]], [[-0.1]], [[1.1]]):
        with pytest.raises(InputError, match="expected"):
            replay(instance, shares)
    assert replay(instance, np.zeros((0, 1)))["cost"].shape == (0, 2)
