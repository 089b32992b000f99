"""Solving instances step by step with a BQ network: greedily, by sampling; :mod:`optgap.agents.bq.beam` searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.tasks.task import State, Task
from optgap.agents.nn.bq import BQNetwork, Reduced
from optgap.agents.nn.precision import mixed_precision


@torch.no_grad()
def log_probabilities(network: BQNetwork, reduced: Reduced, temperature: float = 1.0) -> Tensor:
    """(B, n * A) log-probabilities of the actions, in bfloat16 arithmetic; token-major."""
    with mixed_precision(reduced.features.device):
        scores: Tensor = network(reduced).actions
    return (scores.flatten(1) / temperature).log_softmax(1)


def act(state: State, node: Tensor, flat: Tensor, actions: int) -> None:
    """Do the actions ``flat`` (B,), indices of token-major scores, where ``node`` (B, n) names the tokens' nodes."""
    token = flat // actions
    state.step(node.gather(1, token[:, None])[:, 0], flat % actions)


def play(
    network: BQNetwork,
    task: Task,
    state: State,
    *,
    nearest: int | None = None,
    temperature: float | Tensor = 0.0,
    generator: torch.Generator | None = None,
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Play every row to its end; the likeliest action at temperature 0, a sampled one above.

    Args:
        temperature: of all rows, or (B,) of each.

    Returns:
        (B,) costs in the problem's sense as the state counts them, and the B solutions.
    """
    rows = len(state.owner)
    costs = np.zeros(rows)
    solutions: list[Any] = [None] * rows
    number = np.arange(rows)
    state = state.select(torch.arange(rows, device=state.owner.device))  # the caller's is not moved
    heat = torch.as_tensor(temperature, device=state.owner.device).expand(rows)
    hot = bool((heat > 0).any())
    while True:
        alive = state.alive()
        if not bool(alive.all()):
            ended = state.select((~alive).nonzero()[:, 0])
            at = number[(~alive).cpu().numpy()]
            costs[at] = ended.costs().cpu().numpy()
            for index, solution in zip(at.tolist(), ended.solutions(), strict=True):
                solutions[index] = solution
            if not bool(alive.any()):
                return costs, solutions
            kept = alive.nonzero()[:, 0]
            state, number, heat = state.select(kept), number[alive.cpu().numpy()], heat[kept]
        reduced, node = state.reduced(nearest)
        logs = log_probabilities(network, reduced)
        if hot:  # the largest of logits plus Gumbel noise is a sample of their distribution
            noise = -torch.empty_like(logs).exponential_(generator=generator).log()
            logs = logs + heat[:, None] * noise
        flat = logs.argmax(1)
        act(state, node, flat, task.actions)
