"""Instances that a network solves together: many of one size are one batch, which is far faster than one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from optgap.agents.common.contracts import Agent
from optgap.co.benchmark.collections import COLLECTIONS, Collection
from optgap.co.core import Instance

MOST, NODES = 128, 2**17  # instances, and nodes of all of them, in a batch

Play = Callable[[Sequence[Instance]], Sequence[Any]]
"""Greedy solutions of instances of one size."""


def batch_player(agent: Agent) -> Play | None:
    """What solves instances of one size together; None where the agent's policy plays them one by one."""
    problem = agent.env_config.problem
    if problem is None or problem not in COLLECTIONS or COLLECTIONS.load(problem).size is None:
        return None
    play: Play | None = getattr(getattr(agent, "policy", None), "play_instances", None)
    return play


def batches(problem: str, instances: Sequence[Instance]) -> list[list[int]]:
    """Indices of the instances, those of one size together, in lists that one batch holds."""
    collection: Collection = COLLECTIONS.load(problem)
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, instance in enumerate(instances):
        by_size[collection.size_of(instance) or 0].append(index)
    parts = []
    for size, indices in by_size.items():
        most = max(1, min(MOST, NODES // max(size, 1)))
        parts += [indices[first : first + most] for first in range(0, len(indices), most)]
    return parts
