from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import SOLVERS, Budget, Status, solve
from optgap.co.heuristics.knapsack_exact import explore, open_bound, plant, solve_knapsack_batch
from optgap.co.problems.knapsack import KNAPSACK, KnapsackInstance

NUMBER = st.integers(0, 12) | st.floats(0, 12, allow_subnormal=False)
ITEMS = st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=9)


def best_by_enumeration(instance: KnapsackInstance) -> float:
    mask = np.arange(2**instance.n_items)[:, None] >> np.arange(instance.n_items) & 1
    return float((mask @ instance.value)[mask @ instance.weight <= instance.capacity * (1 + 1e-10)].max())


@settings(max_examples=60)
@given(items=ITEMS, capacity=NUMBER)
def test_branch_and_bound_finds_and_proves_the_optimum(items: list[tuple[float, float]], capacity: float) -> None:
    value, weight = np.array(items, float).T
    instance = KnapsackInstance(value=value, weight=weight, capacity=capacity)
    result = solve(SOLVERS.load("kp/branch-and-bound"), KNAPSACK, instance, Budget())
    assert result.status == Status.OPTIMAL
    assert result.cost == pytest.approx(best_by_enumeration(instance), rel=1e-9, abs=1e-12)
    assert result.bound == pytest.approx(result.cost, rel=1e-9, abs=1e-12)
    greedy = solve(SOLVERS.load("kp/greedy"), KNAPSACK, instance, Budget())
    assert result.cost / 2 - 1e-9 <= greedy.cost <= result.cost + 1e-9  # density or the one best item: at least half
    mask = solve_knapsack_batch(value[None], weight[None], capacity)
    assert np.flatnonzero(mask[0]).tolist() == result.solution.tolist()


@pytest.mark.parametrize(
    ("value", "weight", "capacity", "expected"),
    [
        ([6, 10, 12], [1, 2, 3], 5, [1, 2]),  # greedy by density takes 0 and 1
        ([5, 0, 3], [0, 0, 9], 0, [0]),  # without room, what weighs nothing; not what is worth nothing
        ([5, 4], [9, 8], 7, []),
        ([1, 1], [0.1, 0.2], 0.3, [0, 1]),  # 0.1 + 0.2 > 0.3 in floating point
        ([1, 1, 1], [1, 1, 1], 9, [0, 1, 2]),
    ],
)
def test_by_hand(value: list[float], weight: list[float], capacity: float, expected: list[int]) -> None:
    instance = KnapsackInstance(value=np.array(value), weight=np.array(weight), capacity=capacity)
    assert SOLVERS.load("kp/branch-and-bound")(instance, Budget()).solution.tolist() == expected


def by_weight(instance: KnapsackInstance, grain: int) -> int:
    """The optimum of integer values by the dynamic program over integer weights (``grain`` to the unit)."""
    room = int(instance.capacity * grain + 0.5)
    best = np.zeros(room + 1, np.int64)
    for value, weight in zip(instance.value.astype(int), (instance.weight * grain + 0.5).astype(int), strict=True):
        if weight <= room:
            best[weight:] = np.maximum(best[weight:], best[: room + 1 - weight] + value)
    return int(best[-1])


@pytest.mark.parametrize("items", [40, 200, 1000])
def test_agrees_with_the_dynamic_program(items: int) -> None:
    rng = np.random.default_rng(items)
    weight = rng.integers(1, 1000, items) / 1000
    instance = KnapsackInstance(value=rng.integers(1, 1000, items).astype(float), weight=weight, capacity=items / 10)
    result = solve(SOLVERS.load("kp/branch-and-bound"), KNAPSACK, instance, Budget(seconds=20))
    assert (result.cost, result.status) == (by_weight(instance, 1000), Status.OPTIMAL)


def hard(items: int = 200) -> KnapsackInstance:
    """Even weights, odd capacity, a value of each its weight: a bound one above the optimum that no node closes."""
    weight = 2.0 * np.random.default_rng(0).integers(1, 500, items)
    return KnapsackInstance(value=weight, weight=weight, capacity=2.0 * (int(weight.sum()) // 4) + 1)


def test_the_bound_of_an_unfinished_tree_holds() -> None:
    instance = hard()
    result = solve(SOLVERS.load("kp/branch-and-bound"), KNAPSACK, instance, Budget(seconds=0.3))
    assert result.status == Status.FEASIBLE
    assert result.cost < result.bound <= instance.capacity * (1 + 1e-9)
    assert result.wall_seconds < 3


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_open_bound_never_falls_below_the_optimum(steps: int) -> None:
    rng = np.random.default_rng(steps)
    for _ in range(50):
        instance = KNAPSACK.generate(rng, items=12)
        tree, optimum = plant(instance), best_by_enumeration(instance)
        before = np.inf
        while not explore(tree, steps):
            bound = open_bound(tree)
            assert optimum <= bound * (1 + 1e-9)
            assert bound <= before * (1 + 1e-9)
            before = bound


def test_ctrl_c_gives_the_incumbent(monkeypatch: pytest.MonkeyPatch) -> None:
    from optgap.co.heuristics import knapsack_exact

    knapsack_exact._compile()
    calls = []

    def interrupted(tree: Any, steps: int) -> bool:
        calls.append(steps)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return bool(explore(tree, steps))

    monkeypatch.setattr(knapsack_exact, "explore", interrupted)
    instance = hard()
    result = solve(knapsack_exact.branch_and_bound, KNAPSACK, instance, Budget())
    assert result.status == Status.FEASIBLE
    assert result.cost > 0
