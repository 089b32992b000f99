"""What a problem offers to the BQ agents: a state while decoding, and sub-instances of labelled solutions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.nn.bq import DESTINATION, ORIGIN, OTHER, Reduced
from optgap.co.core import InputError

Labels = Mapping[str, NDArray[Any]]  # arrays whose first axis counts the labelled instances


class Targets(NamedTuple):
    """What imitation asks of the scores of a batch of B reduced instances with n tokens and A actions a token."""

    actions: Tensor  # (B, n, A) bool: the expert's next actions, any of which is right
    edges: Tensor | None  # (B, n, n) float32: rows sum to 1 where the expert's neighbours are known, else to 0
    chosen: Tensor | None  # (B, n) float32: 1 part of the expert's solution, 0 not, NaN unknown; None: not asked


class State(ABC):
    """B partial solutions of I instances, on one device: the reduced instances, how actions move them, their solutions.

    Everything that grows by B is indexed by :meth:`select`, so that sampling and beam search copy rows and nothing else.
    """

    rows: ClassVar[tuple[str, ...]]  # names of the tensors with B rows
    owner: Tensor  # (B,) int64 instance of each row
    left: Tensor  # (B, N) bool: nodes or items that were neither visited nor taken

    @abstractmethod
    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        """The reduced instances, at most the ``nearest`` candidates each (None: all), and (B, n) the node of each token."""

    @abstractmethod
    def step(self, node: Tensor, action: Tensor) -> None:
        """Do ``action`` (B,), in 0..A-1, at ``node`` (B,): what :meth:`reduced` allowed."""

    @abstractmethod
    def alive(self) -> Tensor:
        """(B,) bool: rows in which something is left to decide."""

    @abstractmethod
    def costs(self) -> Tensor:
        """(B,) float64 objective in the problem's sense of what is built so far (closed where it must close)."""

    @abstractmethod
    def solutions(self) -> list[NDArray[np.int64]]:
        """The B solutions in the problem's form, when no row is alive."""

    def select(self, index: Tensor) -> Self:
        """A state of the rows ``index`` (B',), which may repeat."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        for name in (*self.rows, "owner"):
            setattr(other, name, getattr(self, name)[index])
        return other


@dataclass(frozen=True)
class Pieces:
    """Sub-instances of an incumbent, one a row of ``state``, all of one size; solving them anew may improve it."""

    state: State
    old: list[NDArray[np.int64]]  # what each is now: its nodes in the order of the visit, ends included
    new: Callable[
        [int, NDArray[np.int64]], NDArray[np.int64]
    ]  # (piece, solution of its row) -> the same, of the solution
    join: Callable[[list[NDArray[np.int64]]], NDArray[np.int64]]  # the incumbent with these in the place of ``old``


class Task(ABC):
    """A problem as the BQ agents see it. Without state: one object serves all."""

    features: ClassVar[int]  # numbers a token
    actions: ClassVar[int] = 1  # actions a token
    edges: ClassVar[bool] = True  # whether there are distances
    symmetric: ClassVar[bool] = True
    planar: ClassVar[bool] = True  # whether the first two features are positions

    @abstractmethod
    def start(self, instances: Sequence[Any], device: torch.device) -> State:
        """One row an instance, all of one size; the first states."""

    @abstractmethod
    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        """The reduced instances of a batch of the environment's observations, and (B, n) the node of each token.

        The environment's action is ``node + N * a`` for action a of a token.
        """

    @abstractmethod
    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        """Near-optimal solutions of the instances ``draw(default_rng(seed))``; ``effort`` 1 is the usual search."""

    @abstractmethod
    def encode(self, instances: Sequence[Any], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        """The label arrays of given solutions (self-improvement)."""

    corrects: ClassVar[bool] = False  # whether :meth:`correct` is there

    def correct(
        self,
        instances: Sequence[Any],
        solutions: Sequence[NDArray[np.int64]],
        states: int,
        effort: float,
        rng: np.random.Generator,
    ) -> Iterator[Labels]:
        """Near-optimal continuations from ``states`` random states on the way to each of a policy's own solutions.

        As arrays for :meth:`subinstances`; all instances are of one size.
        """
        raise NotImplementedError

    def pieces(
        self, instance: Any, solution: NDArray[np.int64], size: int, rng: np.random.Generator, device: torch.device
    ) -> Pieces | None:
        """Cut a solution at random into sub-instances of about ``size`` nodes; None where it has too few."""
        raise InputError(f"{type(self).__name__}: no re-construction; it is offered for tsp, atsp and cvrp")

    @abstractmethod
    def tokens(self, labels: Labels, share: float) -> int:
        """About how many tokens a sub-instance has of which ``share`` is left."""

    @abstractmethod
    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """Random sub-instances, one of each labelled instance in ``rows``, with ``share`` (0 to 1) of the solution left.

        ``nearest`` keeps that many candidates, as decoding on a large instance does.
        """


def symmetries(rng: np.random.Generator, xy: Tensor) -> Tensor:
    """A random one of the 8 symmetries of the square for each row of (B, n, 2): swap the axes, mirror each."""
    swap, mirror = rng.random(len(xy)) < 0.5, rng.random((len(xy), 1, 2)) < 0.5
    xy = torch.where(torch.from_numpy(swap)[:, None, None], xy.flip(2), xy)
    return torch.where(torch.from_numpy(mirror), -xy, xy)


def plane(xy: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes seen from the first token, in units of the longer side of their bounding box.

    Args:
        xy: (B, n, 2) positions; token 0 is the origin, token 1 the destination.
        present: (B, n) bool, or None.

    Returns:
        (B, n, 4) offset from the origin and the distances to origin and destination; (B, n, n) distances; (B,) the unit.
    """
    low, high = xy, xy
    if present is not None:
        low = xy.masked_fill(~present[:, :, None], torch.inf)
        high = xy.masked_fill(~present[:, :, None], -torch.inf)
    unit = (high.amax(1) - low.amin(1)).amax(1).clamp(min=1e-9)
    seen = (xy - xy[:, :1]) / unit[:, None, None]
    if present is not None:
        seen = seen.masked_fill(~present[:, :, None], 0.0)
    distances = (seen[:, :, None] - seen[:, None]).square().sum(-1).sqrt()
    return torch.cat([seen, distances[:, 0, :, None], distances[:, 1, :, None]], -1), distances, unit


def path_roles(features: Tensor) -> Tensor:
    """(B, n) roles of tokens whose first two are origin and destination."""
    role = torch.full(features.shape[:2], OTHER, device=features.device)
    role[:, 0], role[:, 1] = ORIGIN, DESTINATION
    return role


def all_but_ends(features: Tensor, present: Tensor | None) -> Tensor:
    """(B, n, 1) mask of the candidates: every token that is ``present`` but the first two."""
    allowed = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    if present is not None:
        allowed &= present
    allowed[:, :2] = False
    return allowed[:, :, None]


def neighbours(position: Tensor, symmetric: bool = True) -> Tensor:
    """(B, n, n) edge targets from each token's position on the expert's path, (B, n) float32, NaN off the path.

    The tokens one step before and after share the probability; one way only where distances are not symmetric. The
    first token's row is its successor alone.
    """
    step = position[:, None, :] - position[:, :, None]
    near = ((step.abs() == 1) if symmetric else (step == 1)).float()
    near[:, 0] = (step[:, 0] == 1).float()
    return near / near.sum(2, keepdim=True).clamp(min=1.0)


def packed(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, m) indices of what ``mask`` (B, N) marks, in order and then padding, and (B, m) which of them are no padding."""
    count = int(mask.sum(1).max())
    index = (~mask).to(torch.int8).sort(dim=1, stable=True).indices[:, :count]
    return index, mask.gather(1, index)


def nearest_within(far: Tensor, mask: Tensor, nearest: int | None) -> tuple[Tensor, Tensor]:
    """:func:`packed`, but no more than the ``nearest`` (None: all) by ``far`` (B, N) of what ``mask`` marks."""
    if nearest is None or nearest >= int(mask.sum(1).max()):
        return packed(mask)
    index = far.masked_fill(~mask, torch.inf).topk(nearest, dim=1, largest=False).indices
    return index, mask.gather(1, index)


def with_ends(origin: Tensor, end: Tensor, index: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Origin and end, (B,) each, put before (B, m) candidates and their presence."""
    ends = torch.stack([origin, end], 1)
    return torch.cat([ends, index], 1), torch.cat([torch.ones_like(ends, dtype=torch.bool), present], 1)


def nearest_tokens(xy: Tensor, count: int) -> Tensor:
    """(B, 2 + count) indices of origin, destination and the ``count`` tokens nearest to the origin; ``xy`` (B, n, 2)."""
    far = (xy[:, 2:] - xy[:, :1]).square().sum(2)
    kept = far.topk(count, dim=1, largest=False).indices + 2
    return torch.cat([torch.tensor([[0, 1]], device=xy.device).expand(len(kept), 2), kept], 1)


def nearest_left(xy: Tensor, owner: Tensor, origin: Tensor, left: Tensor, count: int, nearest: int | None) -> Tensor:
    """(B, min(count, nearest)) nodes marked in ``left`` (B, N), where every row marks ``count`` of them.

    The ``nearest`` ones to ``origin`` (B,); all of them, in order, where that is no fewer. ``xy`` (I, N, 2).
    """
    if nearest is None or nearest >= count:
        return left.nonzero()[:, 1].view(len(owner), count)
    far = (xy[owner] - xy[owner, origin][:, None]).square().sum(2)
    return far.masked_fill(~left, torch.inf).topk(nearest, dim=1, largest=False).indices
