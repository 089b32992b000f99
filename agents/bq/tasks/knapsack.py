"""The knapsack problem: remaining items, remaining capacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.tasks.task import Labels, State, Targets, Task, nearest_within
from optgap.agents.nn.bq import Reduced
from optgap.co.dynamics.routing import SLACK
from optgap.co.problems.knapsack import KnapsackInstance

HEAVIEST = 2.0  # times the capacity: a heavier item counts as that heavy, as in the environment's observation


class ItemState(State):
    """Partial selections of N items."""

    rows = ("left", "room", "worth")

    def __init__(self, value: Tensor, weight: Tensor, capacity: Tensor, owner: Tensor) -> None:
        """Begin at the first state.

        Args:
            value, weight: (I, N) float64.
            capacity: (I,) float64.
            owner: (B,) instance of each row.
        """
        self.value, self.weight, self.owner = value, weight, owner
        self.left = torch.ones(len(owner), value.shape[1], dtype=torch.bool, device=value.device)
        self.unit, self.heaviest = units(value, weight, capacity)
        self.room = capacity[owner] * SLACK
        self.worth = torch.zeros(len(owner), dtype=torch.float64, device=value.device)

    def _fits(self) -> Tensor:
        return self.left & (self.weight[self.owner] <= self.room[:, None])

    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        """The items that fit; ``nearest`` keeps the densest."""
        fits = self._fits()
        unit, heaviest = self.unit[self.owner], self.heaviest[self.owner]
        value, weight = self.value[self.owner] / unit[:, None], self.weight[self.owner] / heaviest[:, None]
        return among(value, weight, self.room / heaviest, fits, nearest)

    def step(self, node: Tensor, action: Tensor) -> None:
        every = torch.arange(len(node), device=node.device)
        self.worth = self.worth + self.value[self.owner, node]
        self.room = self.room - self.weight[self.owner, node]
        self.left = self.left.clone()
        self.left[every, node] = False

    def alive(self) -> Tensor:
        return self._fits().any(1)

    def costs(self) -> Tensor:
        return self.worth

    def solutions(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(~row) for row in self.left.cpu().numpy()]


class KnapsackTask(Task):
    """Tokens: the remaining items that fit.

    Values are in units of the instance's largest, weights and capacities in units of its heaviest item's. Features: value
    in units of the largest that fits, weight in units of the remaining capacity and of the largest weight, the
    logarithm of the density (value a weight), the same relative to the density at which the linear relaxation of the
    remaining instance breaks an item (Dantzig 1957), and the logarithm of the number of largest items that fit.
    """

    features: ClassVar[int] = 6
    edges: ClassVar[bool] = False
    planar: ClassVar[bool] = False

    def start(self, instances: Sequence[KnapsackInstance], device: torch.device) -> ItemState:
        value, weight = (torch.from_numpy(np.stack([getattr(i, k) for i in instances])) for k in ("value", "weight"))
        capacity = torch.tensor([i.capacity for i in instances], dtype=torch.float64)
        return ItemState(
            value.to(device), weight.to(device), capacity.to(device), torch.arange(len(instances), device=device)
        )

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        items = observation["items"].double()
        capacity = torch.ones(len(items), dtype=torch.float64, device=items.device)  # the unit of the weights shown
        unit, heaviest = units(items[:, :, 0], items[:, :, 1], capacity)
        value, weight = items[:, :, 0] / unit[:, None], items[:, :, 1] / heaviest[:, None]
        room = observation["capacity"][:, 0].double() / heaviest
        return among(value, weight, room, observation["action_mask"].bool(), None)

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.knapsack_exact import solve_knapsack_batch

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        value, weight = np.stack([i.value for i in instances]), np.stack([i.weight for i in instances])
        capacity = np.array([i.capacity for i in instances])
        chosen = solve_knapsack_batch(value, weight, capacity)
        return self.encode(instances, [np.flatnonzero(row) for row in chosen])

    def encode(self, instances: Sequence[KnapsackInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        chosen = np.zeros((len(instances), instances[0].n_items), bool)
        for row, solution in zip(chosen, solutions, strict=True):
            row[solution] = True
        return {
            "value": np.stack([i.value for i in instances]),
            "weight": np.stack([i.weight for i in instances]),
            "capacity": np.array([i.capacity for i in instances]),
            "chosen": chosen,
        }

    def tokens(self, labels: Labels, share: float) -> int:
        return int(labels["chosen"].shape[1])

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """``share`` of the optimal choice remains, beside all other items; the surest ones tend to be taken first."""
        value, weight, capacity, chosen = (
            torch.from_numpy(labels[k][rows]) for k in ("value", "weight", "capacity", "chosen")
        )
        unit, heaviest = units(value, weight, capacity)
        value, weight, capacity = value / unit[:, None], weight / heaviest[:, None], capacity / heaviest
        density = log_density(value, weight)
        noise = torch.from_numpy(rng.normal(size=value.shape) * rng.choice([0.0, 0.2, 1.0], size=(len(rows), 1)))
        order = (density + noise).masked_fill(~chosen, -torch.inf)
        whole = chosen.sum(1)
        taken = whole - (share * whole).round().long().clamp(min=1)
        rank = order.argsort(1, descending=True).argsort(1)
        left = ~(chosen & (rank < taken[:, None]))
        room = capacity * SLACK - weight.masked_fill(left, 0.0).sum(1)
        fits = left & (weight <= room[:, None])
        reduced, node = among(value, weight, room, fits, nearest)
        assert reduced.present is not None
        present, wanted = reduced.present, (chosen & fits).gather(1, node)
        target = torch.where(present, wanted.float(), torch.nan)
        return reduced, Targets(wanted[:, :, None], None, target)


def units(value: Tensor, weight: Tensor, capacity: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) the units of values and of weights in which the network sees items (B, N) and capacities (B,)."""
    largest, heaviest = value.amax(1), weight.amax(1).minimum(HEAVIEST * capacity)
    return largest.where(largest > 0, 1.0), heaviest.where(heaviest > 0, 1.0)


def among(value: Tensor, weight: Tensor, room: Tensor, fits: Tensor, nearest: int | None) -> tuple[Reduced, Tensor]:
    """The reduced instances of what ``fits``, at most the ``nearest`` densest, and (B, n) the item of each token.

    Where the linear relaxation breaks is measured before, over all items.
    """
    node, present = nearest_within(-log_density(value, weight), fits, nearest)
    edge = break_density(value, weight, room, fits)
    return reduce(value.gather(1, node), weight.gather(1, node), room, edge, present), node


def log_density(value: Tensor, weight: Tensor) -> Tensor:
    """Logarithm of value a weight, at most 20 in size."""
    return (value.clamp(min=1e-12).log() - weight.clamp(min=1e-12).log()).clamp(-20, 20)


def break_density(value: Tensor, weight: Tensor, room: Tensor, fits: Tensor) -> Tensor:
    """(B,) logarithm of the density at which the linear relaxation runs out of room; the lowest one where it does not."""
    density = log_density(value, weight).masked_fill(~fits, -20.0)
    order = density.argsort(1, descending=True)
    filled = weight.masked_fill(~fits, 0.0).gather(1, order).cumsum(1)
    at = (filled <= room[:, None]).sum(1).minimum(fits.sum(1) - 1).clamp(min=0)
    return density.gather(1, order.gather(1, at[:, None]))[:, 0]


def reduce(value: Tensor, weight: Tensor, room: Tensor, edge: Tensor, present: Tensor) -> Reduced:
    """Reduced instances.

    Args:
        value, weight: (B, n) items.
        room: (B,) remaining capacities.
        edge: (B,) :func:`break_density`.
        present: (B, n) bool.
    """
    density = log_density(value, weight)
    largest = value.masked_fill(~present, 0.0).amax(1, keepdim=True).clamp(min=1e-12)
    heaviest = weight.masked_fill(~present, 0.0).amax(1, keepdim=True).clamp(min=1e-12)
    space = room[:, None].clamp(min=1e-12)
    filled = (space / heaviest).log1p().expand_as(value)
    columns = [value / largest, weight / space, weight / heaviest, density, 4 * (density - edge[:, None]), filled]
    features = torch.stack(columns, 2).masked_fill(~present[:, :, None], 0.0).float()
    role = torch.full(value.shape, 2, device=value.device)
    return Reduced(features, role, None, present[:, :, None], present)
