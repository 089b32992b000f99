"""Beam search, and sampling without replacement, over the states of a BQ-MDP.

Both go down the tree of action sequences with at most ``width`` partial solutions an instance; they differ in which.
Beam search keeps those with the largest log-probability. Stochastic beam search (Kool, van Hoof and Welling 2019, arXiv
1903.06059) perturbs log-probabilities by Gumbel noise, drawn from the top down so that a partial solution's is the
largest among its completions': the ``width`` leaves it ends at are an exact sample of whole sequences, without
replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from optgap.agents.bq.decoding import act, log_probabilities
from optgap.agents.bq.tasks.task import State, Task
from optgap.agents.nn.bq import BQNetwork, Reduced
from optgap.co.core import Problem

SPARE = 2  # candidates for a place in the beam: of equal ones one stays


class Leaf(NamedTuple):
    """A whole solution at which a search ended."""

    rank: float  # what the search goes by: the log-probability, perturbed where it is stochastic
    log_probability: float  # of the sequence of actions; in a beam search, of the likeliest one that is merged into it
    cost: float  # in the problem's sense, as the state counts it
    solution: NDArray[np.int64]


Leaves = list[list[Leaf]]  # of each instance


def beam(
    network: BQNetwork,
    task: Task,
    problem: Problem[Any],
    instances: Sequence[Any],
    width: int,
    nearest: int | None = None,
) -> list[NDArray[np.int64]]:
    """The solution of each instance that the problem finds best among the leaves of a beam search.

    All instances, which have one size, are searched in one batch. A beam of width 1 decodes greedily.
    """
    sign = 1.0 if problem.sense == "minimize" else -1.0
    state = task.start(instances, next(network.parameters()).device)
    best = []
    for instance, leaves in zip(instances, beam_search(network, task, state, width, sign, nearest), strict=True):
        costs = [sign * float(problem.cost(instance, leaf.solution)) for leaf in leaves]
        best.append(leaves[costs.index(min(costs))].solution)
    return best


def beam_search(
    network: BQNetwork, task: Task, state: State, width: int, sign: float, nearest: int | None = None
) -> Leaves:
    """Leaves of a beam search from each row of ``state``.

    Partial solutions that leave the same sub-instance are one state of the BQ-MDP: the cheapest of them goes on, at the
    place of the likeliest. A solution that is whole leaves its place to others.

    Args:
        sign: 1 where costs are minimized, -1 where they are maximized.
    """
    start, leaves = _Front.at(state)
    front = start.put_aside(leaves, width)
    while front is not None:
        reduced, node = front.state.reduced(nearest)
        row, place = _merged(front, reduced, node, sign)
        kept = _places(front.root[place]) < width
        front = front.select(row[kept], place[kept])
        reduced, node = _rows(reduced, row[kept]), node[row[kept]]
        score = front.score[:, None] + log_probabilities(network, reduced).double()
        parent, action = _largest(score, front.root, len(leaves), SPARE * width)
        front = front.select(parent)
        front.score = front.rank = score[parent, action]
        act(front.state, node[parent], action, task.actions)
        front = front.put_aside(leaves, width)
    return leaves


def sample_without_replacement(
    network: BQNetwork,
    task: Task,
    state: State,
    width: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    nearest: int | None = None,
) -> Leaves:
    """``width`` different sequences of actions from each row of ``state`` (all, if there are no more), largest rank first.

    Their ranks are the largest of all sequences' log-probabilities, each perturbed by an own standard Gumbel variable.
    So the first is a sample of the policy, the next one of what remains, and so on (Algorithm 1 of the paper).

    Args:
        temperature: divides the logits.
        generator: on the device of ``state``.
    """
    start, leaves = _Front.at(state)
    start.rank = _gumbel(start.rank, generator)
    ended = start.rank.new_full((len(leaves), width), -torch.inf)  # ranks of the largest leaves
    front = start.put_aside(leaves, width)
    while front is not None:
        reduced, node = front.state.reduced(nearest)
        score = front.score[:, None] + log_probabilities(network, reduced, temperature).double()
        rank = conditioned_gumbel(score, front.rank, generator)
        parent, action = _largest(rank, front.root, len(leaves), width)
        # a leaf keeps its rank, and its place if that is among the largest
        rank = rank[parent, action]
        bar = torch.cat([_table(rank, front.root[parent], len(leaves)), ended], 1).topk(width).values[:, -1]
        kept = rank >= bar[front.root[parent]]
        parent, action = parent[kept], action[kept]
        front = front.select(parent)
        front.score, front.rank = score[parent, action], rank[kept]
        act(front.state, node[parent], action, task.actions)
        over = ~front.state.alive()
        if bool(over.any()):
            found = _table(front.rank[over], front.root[over], len(leaves))
            ended = torch.cat([ended, found], 1).topk(width).values
            front = front.put_aside(leaves, width)
    return [sorted(found, key=lambda leaf: -leaf.rank)[:width] for found in leaves]


def conditioned_gumbel(location: Tensor, largest: Tensor, generator: torch.Generator | None) -> Tensor:
    """Gumbel variables, given the largest of each row (appendix B.3 of the paper: without loss of digits).

    Args:
        location: (B, m) float64 of the variables; -inf stays -inf.
        largest: (B,) float64 what the largest of each row is.
    """
    free = _gumbel(location, generator)
    gap = (free - free.amax(1, keepdim=True)).clamp(max=0.0)
    # log(1 - exp(gap)), each branch where it is exact
    log1mexp = torch.where(gap > -0.69, (-torch.expm1(gap)).log(), torch.log1p(-gap.exp()))
    v = largest[:, None] - free + log1mexp
    return largest[:, None] - v.clamp(min=0.0) - functional.softplus(-v.abs())


def _gumbel(location: Tensor, generator: torch.Generator | None) -> Tensor:
    return location - torch.empty_like(location).exponential_(generator=generator).log()


@dataclass
class _Front:
    """The B partial solutions of all beams: rows of ascending ``root``, the largest rank of each first."""

    state: State
    root: Tensor  # (B,) int64 row of the first state
    score: Tensor  # (B,) float64 log-probability
    rank: Tensor  # (B,) float64

    @classmethod
    def at(cls, state: State) -> tuple[Self, Leaves]:
        """The beginning, and room for the leaves."""
        root = torch.arange(len(state.owner), device=state.owner.device)
        score = torch.zeros(len(root), dtype=torch.float64, device=root.device)
        return cls(state, root, score, score), [[] for _ in root]

    def select(self, row: Tensor, place: Tensor | None = None) -> Self:
        """The states of ``row``; root, score and rank of ``place`` where that differs."""
        place = row if place is None else place
        return type(self)(self.state.select(row), self.root[place], self.score[place], self.rank[place])

    def put_aside(self, leaves: Leaves, width: int) -> Self | None:
        """Move rows that are whole, among the first ``width`` of their root, to the leaves; None where nothing is left."""
        alive = self.state.alive()
        if bool(alive.all()):
            return self if len(alive) else None
        over = self.select((~alive & (_places(self.root) < width)).nonzero()[:, 0])
        columns = (over.rank.tolist(), over.score.tolist(), over.state.costs().tolist(), over.state.solutions())
        for root, leaf in zip(over.root.tolist(), zip(*columns, strict=True), strict=True):
            leaves[root].append(Leaf(*leaf))
        return self.select(alive.nonzero()[:, 0]) if bool(alive.any()) else None


def _places(root: Tensor) -> Tensor:
    """(B,) how many rows before each one have its root; ``root`` ascends."""
    return torch.arange(len(root), device=root.device) - torch.searchsorted(root, root)


def _table(values: Tensor, root: Tensor, roots: int) -> Tensor:
    """``values`` (B, ...) as (roots, most of a root, ...), filled up with -inf."""
    place = _places(root)
    most = int(place.max()) + 1 if len(place) else 0
    table = values.new_full((roots, most, *values.shape[1:]), -torch.inf)
    table[root, place] = values
    return table


def _largest(values: Tensor, root: Tensor, roots: int, count: int) -> tuple[Tensor, Tensor]:
    """Row and column of the ``count`` largest finite ones of each root among ``values`` (B, m), descending."""
    table = _table(values, root, roots).flatten(1)
    best = table.topk(min(count, table.shape[1]))
    first = torch.searchsorted(root, torch.arange(roots, device=root.device))
    row = first[:, None] + best.indices // values.shape[1]
    found = best.values > -torch.inf
    return row[found], (best.indices % values.shape[1])[found]


def _merged(front: _Front, reduced: Reduced, node: Tensor, sign: float) -> tuple[Tensor, Tensor]:
    """Of each distinct state, in order of its first row: its cheapest row, its first row."""
    features = reduced.features.flatten(1).contiguous().view(torch.int32).long()
    facts = torch.cat([features, front.state.left.long(), node[:, :1], front.root[:, None]], 1)
    codes = torch.randint(2**62, facts.shape[1:], generator=torch.Generator().manual_seed(0)).to(facts.device)
    key = (facts * codes).sum(1).cpu().numpy()  # two states meet with a probability of about 2^-60
    order = np.lexsort(((sign * front.state.costs()).cpu().numpy(), key))
    starts = np.flatnonzero(np.concatenate([[True], key[order[1:]] != key[order[:-1]]]))
    row, place = order[starts], np.minimum.reduceat(order, starts)
    sequence = place.argsort()
    device = node.device
    return torch.from_numpy(row[sequence]).to(device), torch.from_numpy(place[sequence]).to(device)


def _rows(reduced: Reduced, index: Tensor) -> Reduced:
    return Reduced(*(None if tensor is None else tensor[index] for tensor in reduced))  # type: ignore[arg-type]
