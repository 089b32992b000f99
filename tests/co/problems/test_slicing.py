"""Network slicing: the definition on a trace worked out by hand, its properties, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicing_cases
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import PROBLEMS, InfeasibleError, InputError
from optgap.co.problems.slicing import SLICING, simulate

HAND = np.array([[1.0], [0.5]])


def test_counts_of_the_trace_worked_out_by_hand() -> None:
    counts = simulate(slicing_cases.by_hand(), HAND)
    assert {name: getattr(counts, name)[:, 0].tolist() for name in slicing_cases.COUNTS} == {
        "arrived": [5, 0],
        "arrived_bits": [73, 0],
        "dropped": [1, 0],
        "dropped_bits": [9, 0],
        "served": [3, 1],
        "served_bits": [60, 4],
        "on_time": [1, 0],  # delays 1, 2, 2 and then 3, at a deadline of 1.5 slots
        "waiting": [1, 0],
        "waiting_bits": [4, 0],
        "overdue": [1, 0],
        "delay": [1 + 2 + 2 + 2, 3],
    }


def test_costs_and_rewards_of_the_trace_worked_out_by_hand() -> None:
    instance = slicing_cases.by_hand()
    assert SLICING.costs(instance, HAND).tolist() == [[7 / 4 / 1.5, 1 / 5], [2.0, 0.0]]
    assert SLICING.cost(instance, HAND) == pytest.approx(60 / 60 + 4 / 60)
    utility = slicing_cases.by_hand(reward="utility")
    assert SLICING.cost(utility, HAND) == pytest.approx((3 * 1 / 5 + 0.01 * 60 / 6) + (0.0 + 0.01 * 4 / 6))


def test_half_a_block_carries_half_of_its_bits_rounded_down() -> None:
    counts = simulate(slicing_cases.by_hand(rate=np.array([[9, 9], [9, 9]])), np.array([[0.25], [0.0]]))
    assert counts.served_bits[0].tolist() == [4 + 4 + 4]


def test_an_idle_cell_costs_nothing() -> None:
    empty = np.zeros(0, np.int64)
    idle = slicing_cases.by_hand(packet_slot=empty, packet_user=empty, packet_bits=empty, reward="utility")
    assert not SLICING.costs(idle, HAND).any()
    assert SLICING.cost(idle, HAND) == 2 * 3.0  # nothing was late


@given(slicing_cases.cells(), st.integers(0, 2**32))
def test_no_bit_and_no_packet_is_lost(instance: Any, seed: int) -> None:
    counts = simulate(instance, slicing_cases.shares_of(instance, seed))
    for bits in ("", "_bits"):
        arrived, served, dropped, waiting = (
            getattr(counts, f"{name}{bits}") for name in ("arrived", "served", "dropped", "waiting")
        )
        np.testing.assert_array_equal(np.cumsum(arrived, 0), np.cumsum(served + dropped, 0) + waiting)
    everything = np.zeros(instance.n_slices)
    np.add.at(everything, instance.user_slice[instance.packet_user], instance.packet_bits)
    np.testing.assert_array_equal(counts.arrived_bits.sum(0), everything)
    assert (counts.on_time <= counts.served).all()
    assert (counts.overdue <= counts.waiting).all()


def test_the_problem_is_registered() -> None:
    assert PROBLEMS.load("slicing") is SLICING
    assert SLICING.sense == "maximize"


@pytest.mark.parametrize(
    ("solution", "said"),
    [
        (np.zeros((3, 1)), r"shape \(3, 1\)"),
        (np.zeros((2, 1), np.int64), "int64"),
        (np.array([[0.5], [-1e-9]]), "decision 1"),
        (np.array([[1.1], [0.0]]), "decision 0"),
        (np.array([[0.5], [np.nan]]), "decision 1"),
        (np.array([["a"], ["b"]]), "floats"),
    ],
)
def test_shares_outside_the_simplex_are_infeasible(solution: Any, said: str) -> None:
    with pytest.raises(InfeasibleError, match=said) as error:
        SLICING.check(slicing_cases.by_hand(), solution)
    assert "\n" not in str(error.value)


def test_shares_within_the_rounding_of_single_precision_are_feasible() -> None:
    SLICING.check(slicing_cases.by_hand(), np.array([[1.0 + 1e-7], [0.0]], np.float32))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"rate": np.zeros((0, 2), np.int64)}, "rate of shape"),
        ({"rate": np.array([[1, -1]])}, "rate of shape"),
        ({"rate": np.array([[1.0, 2.0]])}, "expected integers"),
        ({"user_slice": np.array([0, 1])}, "a slice of 0..0"),
        ({"packet_slot": np.array([0, 0, 1, 1, 6])}, "slots 0..5"),
        ({"packet_slot": np.array([1, 0, 1, 1, 1])}, "packet 1 is out of order"),
        ({"packet_user": np.array([1, 0, 1, 1, 1])}, "packet 1 is out of order"),
        ({"packet_bits": np.array([25, 5, 30, 4])}, "three rows"),
        ({"packet_bits": np.array([25, 5, 30, 4, 0])}, "a packet of 0 bits"),
        ({"packet_bits": np.array([25, 5, 30, 4, 2**50])}, "expected 1 to"),
        ({"deadline": np.array([0.0])}, "deadlines above 0"),
        ({"deadline": np.array([np.nan])}, "deadline is"),
        ({"weight": np.array([-1.0])}, "weight is"),
        ({"slices": ("a", "b")}, "expected 2 numbers"),
        ({"blocks": 0.0}, "blocks is 0.0"),
        ({"blocks": float("nan")}, "blocks is nan"),
        ({"decision_slots": 0}, "decision_slots is 0"),
        ({"queue": 1.5}, "queue is 1.5"),
        ({"reward": "fame"}, "reward is 'fame'"),
    ],
)
def test_a_trace_that_is_none_is_one_line(other: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        slicing_cases.by_hand(**other)
    assert "\n" not in str(error.value)
    assert "by-hand" in str(error.value)
