"""The knapsack problem: feasibility and value against the definition, and generated instances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.problems.knapsack import KNAPSACK, KnapsackInstance


def knapsack(value=(10, 20, 30), weight=(1, 2, 3), capacity=4):
    return KnapsackInstance(name="k", value=value, weight=weight, capacity=capacity)


def test_values_by_hand():
    for chosen, value in (([0, 2], 40), ([2, 0], 40), ([], 0), (np.array([1]), 20)):
        KNAPSACK.check(knapsack(), chosen)
        assert KNAPSACK.cost(knapsack(), chosen) == value


@given(seed=st.integers(0, 2**32), chosen=st.sets(st.integers(0, 9)))
def test_a_choice_is_feasible_exactly_when_it_fits(seed, chosen):
    instance = KNAPSACK.generate(np.random.default_rng(seed), items=10)
    items = sorted(chosen)
    fits = math.fsum(instance.weight[i] for i in items) <= instance.capacity
    assert KNAPSACK.cost(instance, items) == pytest.approx(math.fsum(instance.value[i] for i in items))
    if fits:
        KNAPSACK.check(instance, items)
    else:
        with pytest.raises(InfeasibleError, match="the items weigh"):
            KNAPSACK.check(instance, items)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([1, 2], "k: the items weigh 5; expected at most 4"),
        ([0, 0], "k: item 0 is chosen 2 times"),
        ([3], "k: items 3 to 3; expected 0..2"),
        ([-1], "k: items -1 to -1; expected 0..2"),
        ([[0]], "items of shape (1, 1)"),
        ([0.0], "dtype float64; expected one row of integers"),
        ([True, False, True], "dtype bool; expected one row of integers"),
        (None, "dtype object"),
    ],
)
def test_what_is_no_choice(chosen, said):
    with pytest.raises(InfeasibleError) as raised:
        KNAPSACK.check(knapsack(), chosen)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": [1, 2, -3]}, "value: expected one row of numbers, at least 0"),
        ({"weight": [[1, 2, 3]]}, "weight: expected one row of numbers"),
        ({"weight": [1, math.inf, 3]}, "weight[1] is inf; expected a finite number"),
        ({"weight": [1, 2]}, "3 values and 2 weights; expected as many, 1 or more"),
        ({"value": [], "weight": []}, "0 values and 0 weights; expected as many, 1 or more"),
        ({"capacity": -1}, "capacity is -1; expected at least 0"),
        ({"capacity": math.nan}, "capacity is nan; expected at least 0"),
        ({"value": "gold"}, "value is no array of numbers"),
    ],
)
def test_what_is_no_knapsack(change, said):
    with pytest.raises(InputError) as raised:
        knapsack(**change)
    assert said in str(raised.value)


def test_an_item_too_heavy_and_a_capacity_of_nothing_are_allowed():
    instance = knapsack(capacity=0, weight=(0, 2, 3))
    KNAPSACK.check(instance, [0])
    with pytest.raises(InfeasibleError, match="the items weigh 2"):
        KNAPSACK.check(instance, [1])


@pytest.mark.parametrize(
    ("items", "capacity"), [(1, 0.25), (20, 5), (50, 12.5), (75, 18.75), (100, 25), (200, 25), (5000, 25)]
)
def test_capacities_are_those_of_the_literature(items, capacity):
    instance = KNAPSACK.generate(np.random.default_rng(0), items=items)
    assert (instance.n_items, instance.capacity) == (items, capacity)
    assert not instance.value.flags.writeable


def test_no_items_are_refused():
    with pytest.raises(InputError, match="items is 0; expected at least 1"):
        KNAPSACK.generate(np.random.default_rng(0), items=0)
