"""Tiny policies, instances and, by enumeration, what the right answers are, for the tests of the BQ agents."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.config import SIZES
from optgap.agents.bq.labels import task_of
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import Targets, Task
from optgap.agents.nn.bq import Reduced
from optgap.co.core import PROBLEMS

CPU = torch.device("cpu")
SIZE_NAMES = {"tsp": "nodes", "atsp": "nodes", "cvrp": "customers", "op": "nodes", "kp": "items"}
NEAR = 1e-5  # what float32 leaves of a limit
Values = dict[tuple[int, int], float]  # (token, action) -> value


def policy_of(problem: str, nearest: int | None = None, seed: int = 0) -> BQPolicy:
    """A policy with random weights."""
    torch.manual_seed(seed)
    return BQPolicy(problem, task_of(problem), SIZES["tiny"], nearest)


def instances_of(problem: str, count: int, size: int, **arguments: Any) -> list[Any]:
    """Random instances of ``size`` nodes, customers or items."""
    generate = PROBLEMS.load(problem).generate
    arguments[SIZE_NAMES[problem]] = size
    return [generate(np.random.default_rng([size, index]), **arguments) for index in range(count)]


def subinstances(
    task: Task, labels: Any, size_share: float, seed: int, nearest: int | None = None, copies: int = 1
) -> tuple[Reduced, Targets]:
    """``copies`` random sub-instances of every labelled instance."""
    rows = np.repeat(np.arange(len(next(iter(labels.values())))), copies)
    return task.subinstances(labels, rows, size_share, nearest, np.random.default_rng(seed))


def right(targets: Targets, row: int) -> set[tuple[int, int]]:
    """The (token, action) that are right."""
    return {(int(token), int(action)) for token, action in targets.actions[row].nonzero()}


def best_values(problem: str, reduced: Reduced, row: int) -> Values:
    """Of every action of a reduced instance, what it and the best continuation are worth (more is better)."""
    features = reduced.features[row].double().numpy()
    if problem == "kp":
        return _of_items(features, reduced.allowed[row])
    assert reduced.distances is not None
    d = reduced.distances[row].double().numpy()
    tokens = range(2, len(d)) if reduced.present is None else reduced.present[row].nonzero()[2:, 0].tolist()
    left = frozenset(tokens)

    @cache
    def path(at: int, left: frozenset[int]) -> float:
        return float(max((-d[at, j] + path(j, left - {j}) for j in left), default=-d[at, 1]))

    @cache
    def routes(at: int, left: frozenset[int], room: float) -> float:
        return float(max(_steps(at, left, room).values(), default=-d[at, 1]))

    def _steps(at: int, left: frozenset[int], room: float) -> Values:
        demand = features[:, 4]
        direct = {(j, 0): -d[at, j] + routes(j, left - {j}, room - demand[j]) for j in left if demand[j] <= room + NEAR}
        if at == 0 and d[0, 1] == 0:
            return direct
        via = {(j, 1): -d[at, 1] - d[1, j] + routes(j, left - {j}, 1 - demand[j]) for j in left}
        return direct | via

    @cache
    def prizes(at: int, left: frozenset[int], room: float) -> float:
        within = [j for j in left if d[at, j] + d[j, 1] <= room + NEAR]
        return float(max((features[j, 4] + prizes(j, left - {j}, room - d[at, j]) for j in within), default=0.0))

    room = float(features[0, 5]) if problem in ("cvrp", "op") else 0.0
    if problem == "cvrp":
        return _steps(0, left, room)
    if problem == "op":
        return {(j, 0): features[j, 4] + prizes(j, left - {j}, room - d[0, j]) for j in left}
    return {(j, 0): -d[0, j] + path(j, left - {j}) for j in left}


def _of_items(features: NDArray[np.float64], allowed: Tensor) -> Values:
    value, weight = features[:, 0], features[:, 1]  # of the remaining capacity

    def fill(left: list[int], room: float) -> float:
        inside = [j for j in left if weight[j] <= room + NEAR]
        return max((value[j] + fill(inside[k + 1 :], room - weight[j]) for k, j in enumerate(inside)), default=0.0)

    items = allowed[:, 0].nonzero()[:, 0].tolist()
    return {(j, 0): value[j] + fill([i for i in items if i != j], 1 - weight[j]) for j in items}


def optimum(problem: str, instance: Any) -> NDArray[np.int64]:
    """An optimal solution."""
    task = task_of(problem)
    state = task.start([instance], CPU)
    while bool(state.alive()):
        reduced, node = state.reduced(None)
        values = best_values(problem, reduced, 0)
        token, action = max(values, key=lambda choice: values[choice])
        state.step(node[:, token], torch.tensor([action]))
    return state.solutions()[0]
