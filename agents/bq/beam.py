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
    place of the likeliest. A whole solution takes up a place for one step only.

    Args:
        sign: 1 where costs are minimized, -1 where they are maximized.
    """
    front, leaves = _Front.at(state)
    while len(front.root):
        costs, alive = front.state.costs(), front.state.alive()
        ongoing = alive.nonzero()[:, 0]
        left, root = front.state.left.long(), front.root[:, None]
        # whole solutions are the same where what they contain and what they cost is
        key = _hashed(left, root, costs.float().view(torch.int32).long()[:, None])
        if len(ongoing):
            reduced, node = front.state.select(ongoing).reduced(nearest)
            features = reduced.features.flatten(1).contiguous().view(torch.int32).long()
            key[ongoing] = _hashed(left[ongoing], root[ongoing], node[:, :1], features)
        row, place = _merged(key, sign * costs)
        within = _places(front.root[place]) < width
        row, place = row[within], place[within]
        over = ~alive[row]
        front.select(row[over], place[over]).end(leaves)
        row, place = row[~over], place[~over]
        front = front.select(row, place)
        if not len(row):
            break
        seen = (alive.cumsum(0) - 1)[row]  # rows of the reduced instances
        reduced, node = _rows(reduced, seen), node[seen]
        score = front.score[:, None] + log_probabilities(network, reduced).double()
        parent, action = _largest(score, front.root, len(leaves), SPARE * width)
        front = front.select(parent)
        front.score = front.rank = score[parent, action]
        act(front.state, node[parent], action, task.actions)
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
    front, leaves = _Front.at(state)
    front.rank = _gumbel(front.rank, generator)
    ended = front.rank.new_full((len(leaves), width), -torch.inf)  # the largest ranks of leaves
    while True:
        alive = front.state.alive()
        if not bool(alive.all()):
            over, front = front.select((~alive).nonzero()[:, 0]), front.select(alive.nonzero()[:, 0])
            over.end(leaves)
            ended = torch.cat([ended, _table(over.rank, over.root, len(leaves))], 1).topk(width).values
        if not len(front.root):
            break
        reduced, node = front.state.reduced(nearest)
        score = front.score[:, None] + log_probabilities(network, reduced, temperature).double()
        rank = conditioned_gumbel(score, front.rank, generator)
        parent, action = _largest(rank, front.root, len(leaves), width)
        rank = rank[parent, action]
        # leaves keep their ranks: the largest of both have a place
        table = torch.cat([_table(rank, front.root[parent], len(leaves)), ended], 1)
        within = rank >= table.topk(width).values[front.root[parent], -1]
        parent, action = parent[within], action[within]
        front = front.select(parent)
        front.score, front.rank = score[parent, action], rank[within]
        act(front.state, node[parent], action, task.actions)
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

    def end(self, leaves: Leaves) -> None:
        """Append the rows, which are whole, to the leaves of their roots."""
        columns = (self.rank.tolist(), self.score.tolist(), self.state.costs().tolist(), self.state.solutions())
        for root, leaf in zip(self.root.tolist(), zip(*columns, strict=True), strict=True):
            leaves[root].append(Leaf(*leaf))


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


def _hashed(*facts: Tensor) -> Tensor:
    """(B,) of facts (B, ...) int64; two different rows meet with a probability of about 2^-60."""
    columns = torch.cat(facts, 1)
    codes = torch.randint(2**62, columns.shape[1:], generator=torch.Generator().manual_seed(0))
    return (columns * codes.to(columns.device)).sum(1)


def _merged(key: Tensor, cost: Tensor) -> tuple[Tensor, Tensor]:
    """For each distinct ``key`` (B,), in order of the first row that has it: the cheapest such row, the first one."""
    keys = key.cpu().numpy()
    order = np.lexsort((cost.cpu().numpy(), keys))
    starts = np.flatnonzero(np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]]))
    row, place = order[starts], np.minimum.reduceat(order, starts)
    sequence = place.argsort()
    return torch.from_numpy(row[sequence]).to(key.device), torch.from_numpy(place[sequence]).to(key.device)


def _rows(reduced: Reduced, index: Tensor) -> Reduced:
    return Reduced(*(None if tensor is None else tensor[index] for tensor in reduced))  # type: ignore[arg-type]
