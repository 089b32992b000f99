"""Small instances of the routing and selection problems for property tests, and what may be decided, by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.distances import METRICS
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance

PROBLEMS = ("tsp", "atsp", "cvrp", "op", "kp")


@st.composite
def instances(draw: Any, problem: str, most: int = 9, exact: bool = False) -> Any:
    """An instance of at most ``most`` nodes or items; ``exact``: sums of its numbers are, in any order."""
    if problem == "kp":
        return draw(knapsacks(most, exact))
    n = draw(st.integers(3 if problem == "op" else 2, most))
    if problem == "atsp":
        return ATSPInstance(matrix=_square(draw, n), metric="explicit")
    metric = "man_2d" if exact else draw(st.sampled_from(["explicit", *METRICS]))
    if metric == "explicit":
        matrix = _square(draw, n)
        network: dict[str, Any] = {"matrix": matrix + matrix.T, "metric": metric}
    else:
        number = st.integers(0, 9) if exact else st.one_of(st.integers(-20, 60), st.floats(-60, 60))
        points = draw(st.lists(st.tuples(number, number), min_size=n, max_size=n))
        network = {"coordinates": np.array(points, np.float64), "metric": metric}
    if problem == "tsp":
        return TSPInstance(**network)
    if problem == "cvrp":
        demand = [0, *draw(st.lists(st.integers(0, 5), min_size=n - 1, max_size=n - 1))]
        return CVRPInstance(**network, demand=np.array(demand), capacity=draw(st.integers(max(5, *demand), 20)))
    start, end = draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))
    prize = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    # the limit is the length of a path: the last node of it is just in reach
    inner = draw(st.permutations([j for j in range(n) if j not in (start, end)]))
    path = [start, *inner[: draw(st.integers(1, len(inner)))], end]
    plain = TSPInstance(**network)
    nearest = min(plain.length([start, j, end]) for j in inner)
    limit = max(plain.length(path), plain.length([start, end]), nearest, 1.0)
    return OrienteeringInstance(**network, prize=np.array(prize), limit=limit, start=start, end=end)


@st.composite
def knapsacks(draw: Any, most: int, exact: bool) -> KnapsackInstance:
    """The capacity is the weight of some items: the last of them just fits."""
    n = draw(st.integers(1, most))
    number = st.integers(0, 9) if exact else st.floats(0, 1, allow_subnormal=False)
    value, weight = (np.array(draw(st.lists(number, min_size=n, max_size=n)), np.float64) for _ in range(2))
    some = draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    return KnapsackInstance(value=value, weight=weight, capacity=float(sum(weight[some])))


def _square(draw: Any, n: int) -> np.ndarray:
    numbers = draw(st.lists(st.integers(0, 12), min_size=n * n, max_size=n * n))
    matrix = np.array(numbers, np.float64).reshape(n, n)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def allowed(problem: str, instance: Any, actions: list[int]) -> set[int]:
    """The actions that are allowed after ``actions``, from the specification, in an environment without padding."""
    if problem in ("tsp", "atsp"):
        return set(range(1, instance.n_nodes)) - set(actions)
    if problem == "kp":
        rest = instance.capacity * (1 + 1e-9) - float(instance.weight[actions].sum())
        return {j for j in range(instance.n_items) if j not in actions and instance.weight[j] <= rest}
    n = instance.n_nodes
    if problem == "cvrp":
        left = set(range(1, n)) - {a % n for a in actions}
        rest = instance.capacity
        for action in actions:
            rest = (instance.capacity if action >= n else rest) - instance.demand[action % n]
        return {j for j in left if instance.demand[j] <= rest} | ({j + n for j in left} if actions else set())
    path = [instance.start, *actions]
    left = set(range(n)) - {*path, instance.end}
    most = instance.limit * (1 + 1e-9)
    found = {j for j in left if instance.length([*path, j, instance.end]) <= most}
    return found


def reduced(problem: str, instance: Any, actions: list[int]) -> tuple[Any, ...]:
    """The sub-instance that remains after ``actions``, hashable."""
    left = frozenset(allowed(problem, instance, actions))
    if problem in ("tsp", "atsp"):
        return left, actions[-1] if actions else 0
    if problem == "kp":
        return left, instance.capacity - instance.weight[actions].sum()
    if problem == "op":
        path = [instance.start, *actions]
        return left, path[-1], instance.limit - instance.length(path)
    n, rest = instance.n_nodes, instance.capacity
    for action in actions:
        rest = (instance.capacity if action >= n else rest) - instance.demand[action % n]
    return frozenset(range(1, n)) - {a % n for a in actions}, actions[-1] % n if actions else 0, rest
