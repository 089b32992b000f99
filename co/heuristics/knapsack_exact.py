"""The knapsack problem solved to proved optimality by branch and bound, compiled; and greedily by density.

Source: Horowitz and Sahni, Computing partitions with applications to the knapsack problem, Journal of the ACM 21(2),
1974, with the bound of Dantzig 1957 by prefix sums and binary search: depth first over items sorted by density, whole
blocks of items at a time. Values and weights are floats, so there is no dynamic program over the capacity.
"""

from __future__ import annotations

import functools
import time
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import Budget, Incumbent, Result, Status
from optgap.co.dynamics.options import KERNEL
from optgap.co.problems.knapsack import KnapsackInstance

F8 = NDArray[np.float64]
I64 = NDArray[np.int64]

SLACK = 1e-10  # relative, of the capacity, for sums of weights in different orders
PROVED = 1e-12  # relative: a bound that promises no more than this is no promise
BATCH_STEPS = 50_000_000  # of a batch, an instance: a second or two
DEPTH, NEXT, BEST_DEPTH = 0, 1, 2  # of number
ROOM, VALUE, BEST = 0, 1, 2  # of total


class KnapsackTree(NamedTuple):
    """A search over M items with 0 < weight <= capacity and value > 0, the densest first."""

    item: I64  # (M,) their numbers in the instance
    value: F8  # (M,)
    weight: F8  # (M,)
    value_before: F8  # (M + 1,) sum of the values before an item
    weight_before: F8  # (M + 1,)
    lightest: F8  # (M + 1,) least weight from an item on, infinite at M
    taken: I64  # (M,) items of the present node, the first DEPTH count
    room: F8  # (M,) capacity left before each of them
    total: F8  # (3,) capacity left, value, value of the best solution
    earned: F8  # (M,) value before each of the taken
    best: I64  # (M,) items of the best solution, the first BEST_DEPTH count
    number: I64  # (3,) depth; next item to decide; items of the best solution
    free: I64  # (F,) items of the instance without weight, always chosen


def plant(instance: KnapsackInstance) -> KnapsackTree:
    """The root of an instance's tree; its best solution is empty but for the free items."""
    value, weight = instance.value, instance.weight
    item = np.flatnonzero((weight > 0) & (weight <= instance.capacity * (1 + SLACK)) & (value > 0))
    with np.errstate(over="ignore"):
        item = item[np.argsort(-(value[item] / weight[item]), kind="stable")]
    value, weight, m = value[item], weight[item], len(item)
    lightest = np.minimum.accumulate(np.append(weight, np.inf)[::-1])[::-1].copy()
    return KnapsackTree(
        item=item,
        value=value,
        weight=weight,
        value_before=np.concatenate([[0.0], np.cumsum(value)]),
        weight_before=np.concatenate([[0.0], np.cumsum(weight)]),
        lightest=lightest,
        taken=np.zeros(m, np.int64),
        room=np.zeros(m),
        total=np.array([instance.capacity * (1 + SLACK), 0.0, 0.0]),
        earned=np.zeros(m),
        best=np.zeros(m, np.int64),
        number=np.zeros(3, np.int64),
        free=np.flatnonzero((instance.weight == 0) & (instance.value > 0)),
    )


@njit(**KERNEL)
def _break(tree: Any, begin: int, room: float) -> int:
    """The first item that no longer fits when all from ``begin`` on are taken in turn; M where all fit."""
    reach = tree.weight_before[begin] + room
    low, high = begin, len(tree.weight)
    while low < high:  # the largest k with weight_before[k] <= reach
        middle = (low + high + 1) // 2
        if tree.weight_before[middle] <= reach:
            low = middle
        else:
            high = middle - 1
    return low


@njit(**KERNEL)
def _bound(tree: Any, begin: int, k: int, room: float, value: float) -> float:
    """Dantzig's: items ``begin`` to ``k`` - 1 and a part of item ``k``."""
    bound = value + tree.value_before[k] - tree.value_before[begin]
    if k < len(tree.weight):
        left = room - (tree.weight_before[k] - tree.weight_before[begin])
        bound += max(left, 0.0) * (tree.value[k] / tree.weight[k])
    return bound  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, **KERNEL)
def explore(tree: Any, steps: int) -> bool:
    """Visit so many nodes from where the search stands; whether the tree is finished: the best solution is optimal."""
    n, number, total = len(tree.weight), tree.number, tree.total
    for _ in range(steps):
        begin, room, value = number[NEXT], total[ROOM], total[VALUE]
        deeper = False
        if tree.lightest[begin] <= room:
            k = _break(tree, begin, room)
            if _bound(tree, begin, k, room, value) > total[BEST] * (1.0 + PROVED):
                depth = number[DEPTH]
                for i in range(begin, k):
                    tree.taken[depth], tree.room[depth], tree.earned[depth] = i, room, value
                    depth += 1
                    room -= tree.weight[i]
                    value += tree.value[i]
                number[DEPTH] = depth
                if value > total[BEST]:
                    total[BEST] = value
                    number[BEST_DEPTH] = depth
                    for i in range(depth):
                        tree.best[i] = tree.taken[i]
                deeper = k < n
                number[NEXT] = k + 1  # item k does not fit
                total[ROOM], total[VALUE] = room, value
        if not deeper:
            if number[DEPTH] == 0:
                return True
            depth = number[DEPTH] - 1
            number[DEPTH] = depth
            number[NEXT] = tree.taken[depth] + 1
            total[ROOM], total[VALUE] = tree.room[depth], tree.earned[depth]
    return False


@njit(cache=True, **KERNEL)
def open_bound(tree: Any) -> float:
    """An upper bound of the value of every solution not yet excluded: of the open nodes and of the best solution."""
    highest = tree.total[BEST]
    begin, room, value = tree.number[NEXT], tree.total[ROOM], tree.total[VALUE]
    for depth in range(tree.number[DEPTH], -1, -1):
        highest = max(highest, _bound(tree, begin, _break(tree, begin, room), room, value))
        if depth > 0:
            begin, room, value = tree.taken[depth - 1] + 1, tree.room[depth - 1], tree.earned[depth - 1]
    return highest  # type: ignore[no-any-return]


def chosen_items(tree: KnapsackTree) -> I64:
    """The items of the best solution, sorted."""
    return np.sort(np.concatenate([tree.item[tree.best[: tree.number[BEST_DEPTH]]], tree.free]))


def solve_knapsack_batch(value: F8, weight: F8, capacity: Any) -> NDArray[np.bool_]:
    """Optimal solutions of B instances (best known ones of such as take more than 50 million nodes).

    Args:
        value: (B, N).
        weight: (B, N).
        capacity: (B,) or one number.

    Returns:
        (B, N) bool: the chosen items.
    """
    chosen = np.zeros(np.shape(value), np.bool_)
    limits = np.broadcast_to(capacity, len(chosen))
    for b in range(len(chosen)):
        tree = plant(KnapsackInstance(value=value[b], weight=weight[b], capacity=limits[b]))
        explore(tree, BATCH_STEPS)
        chosen[b, chosen_items(tree)] = True
    return chosen


def greedy(instance: KnapsackInstance, budget: Budget, /) -> Result:
    """Solver: the densest item that fits, again and again; or the most valuable one alone, if that is more."""
    began = time.perf_counter()
    tree = plant(instance)
    room, chosen = float(tree.total[ROOM]), []
    for i, heavy in enumerate(tree.weight.tolist()):
        if heavy <= room:
            chosen.append(i)
            room -= heavy
    if chosen and tree.value.max() > tree.value[chosen].sum():
        chosen = [int(tree.value.argmax())]
    solution = np.sort(np.concatenate([tree.item[chosen], tree.free]).astype(np.int64))
    cost = float(instance.value[solution].sum())
    return Result(solution, Status.FEASIBLE, incumbents=(Incumbent(time.perf_counter() - began, cost, None),))


@functools.cache
def _compile() -> None:
    """Compile the kernels, once after installation: not charged to a budget."""
    tree = plant(KnapsackInstance(value=np.ones(1), weight=np.ones(1), capacity=1.0))
    explore(tree, 1)
    open_bound(tree)


def branch_and_bound(instance: KnapsackInstance, budget: Budget, /) -> Result:
    """Solver: *optimal* where the tree was finished in time; else the incumbent and the bound of the open nodes."""
    _compile()
    began = time.perf_counter()
    tree = plant(instance)
    free = float(instance.value[tree.free].sum())
    incumbents: list[Incumbent] = []
    steps, finished = 10_000, False
    try:
        while not finished:
            before, round_began = float(tree.total[BEST]), time.perf_counter()
            finished = bool(explore(tree, steps))
            now = time.perf_counter()
            if finished or tree.total[BEST] > before or not incumbents:
                bound = free + (tree.total[BEST] if finished else open_bound(tree))
                incumbents.append(Incumbent(now - began, free + float(tree.total[BEST]), float(bound)))
            if now - began >= budget.seconds:
                break
            if now - round_began < 0.05:
                steps *= 2
    except KeyboardInterrupt:
        pass  # the tree stands between two rounds
    best = float(tree.total[BEST])
    bound = free + (best * (1.0 + PROVED) if finished else max(float(open_bound(tree)), best))
    status = Status.OPTIMAL if finished else Status.FEASIBLE
    return Result(chosen_items(tree), status, bound=bound, incumbents=tuple(incumbents))
