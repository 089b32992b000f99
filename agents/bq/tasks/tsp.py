"""The TSP as a path problem: from the last node through all remaining ones to the destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.tasks.task import (
    Labels,
    State,
    Targets,
    Task,
    all_but_ends,
    nearest_left,
    nearest_tokens,
    neighbours,
    packed,
    path_roles,
    plane,
    symmetries,
    with_ends,
)
from optgap.agents.nn.bq import Reduced
from optgap.co.problems.tsp import TSPInstance


class TourState(State):
    """Partial paths from ``start`` to ``end`` through N nodes in the plane."""

    rows = ("left", "path", "length")

    def __init__(self, xy: Tensor, owner: Tensor, start: Tensor, end: Tensor, closed: bool) -> None:
        """Begin at the first state.

        Args:
            xy: (I, N, 2) float32 positions.
            owner: (B,) instance of each row.
            start, end: (I,) int64; the same node for a tour (``closed``).
        """
        self.xy, self.owner, self.end, self.closed = xy, owner, end, closed
        rows, nodes = len(owner), xy.shape[1]
        self.left = torch.ones(rows, nodes, dtype=torch.bool, device=xy.device)
        every = torch.arange(rows, device=xy.device)
        self.left[every, start[owner]] = False
        self.left[every, end[owner]] = False
        self.path = torch.zeros(rows, nodes, dtype=torch.int64, device=xy.device)
        self.path[:, 0] = start[owner]
        self.length = torch.zeros(rows, dtype=torch.float64, device=xy.device)
        self.steps, self.total = 1, nodes - (1 if closed else 2)

    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        left = self.total - self.steps + 1
        origin, end = self.path[:, self.steps - 1], self.end[self.owner]
        candidates = nearest_left(self.xy, self.owner, origin, self.left, left, nearest)
        node = torch.cat([origin[:, None], end[:, None], candidates], 1)
        return reduce(self.xy[self.owner[:, None], node]), node

    def step(self, node: Tensor, action: Tensor) -> None:
        every = torch.arange(len(node), device=node.device)
        last = self.path[:, self.steps - 1]
        self.length = self.length + self._distance(last, node)
        self.path, self.left = self.path.clone(), self.left.clone()
        self.path[:, self.steps] = node
        self.left[every, node] = False
        self.steps += 1

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.xy[self.owner, a].double() - self.xy[self.owner, b].double()).square().sum(1).sqrt()

    def alive(self) -> Tensor:
        return torch.full((len(self.owner),), self.steps <= self.total, device=self.xy.device)

    def costs(self) -> Tensor:
        return self.length + self._distance(self.path[:, self.steps - 1], self.end[self.owner])

    def solutions(self) -> list[NDArray[np.int64]]:
        path = self.path[:, : self.steps]
        if not self.closed:
            path = torch.cat([path, self.end[self.owner][:, None]], 1)
        return list(path.cpu().numpy())


class TSPTask(Task):
    """Tokens: origin, destination, remaining nodes. Features: :func:`optgap.agents.bq.tasks.task.plane`."""

    features: ClassVar[int] = 4

    def start(self, instances: Sequence[TSPInstance], device: torch.device) -> TourState:
        xy = torch.from_numpy(np.stack([instance.positions for instance in instances])).to(device, torch.float32)
        count = torch.arange(len(instances), device=device)
        zero = torch.zeros_like(count)
        return TourState(xy, count, zero, zero, closed=True)

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        candidates = packed(observation["action_mask"].bool())
        node, present = with_ends(observation["origin"], observation["destination"], *candidates)
        return reduce(observation["nodes"].gather(1, node[:, :, None].expand(-1, -1, 2)), present), node

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.tour_local_search import improve_tours

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        xy = np.stack([instance.positions for instance in instances])
        tours = np.argsort(np.random.default_rng(seeds[0]).random(xy.shape[:2]), axis=1).astype(np.int32)
        best, _ = improve_tours(xy, tours, int(effort * 10 * xy.shape[1]), seeds[0])
        return self.encode(instances, list(best))

    def encode(self, instances: Sequence[TSPInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        xy = np.stack([i.positions for i in instances]).astype(np.float32)
        tour = np.stack(solutions)
        return {"xy": np.take_along_axis(xy, tour[:, :, None], 1)}

    def tokens(self, labels: Labels, share: float) -> int:
        return 2 + int(max(1, round(share * (labels["xy"].shape[1] - 1))))

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """A random stretch of the optimal tour, in a random direction: an optimal path."""
        nodes, size = labels["xy"].shape[1], self.tokens(labels, share) - 2
        first = rng.integers(nodes, size=len(rows))
        direction = rng.choice([-1, 1], size=len(rows))
        # tokens in the order origin, destination, inner nodes of the path; the network knows no order
        place = np.concatenate([[0, size + 1], np.arange(1, size + 1)])
        index = (first[:, None] + direction[:, None] * place) % nodes
        xy = symmetries(rng, torch.from_numpy(labels["xy"][rows[:, None], index]))
        position = torch.from_numpy(np.broadcast_to(place, index.shape).astype(np.float32))
        if nearest is not None and nearest < size:
            kept = nearest_tokens(xy, nearest)
            xy, position = xy.gather(1, kept[:, :, None].expand(-1, -1, 2)), position.gather(1, kept)
        edges = neighbours(position)
        return reduce(xy), Targets(edges[:, 0, :, None] > 0, edges, None)


def reduce(xy: Tensor, present: Tensor | None = None) -> Reduced:
    """Reduced instances of the positions (B, n, 2) of origin, destination and candidates, those that are ``present``."""
    features, distances, _ = plane(xy, present)
    return Reduced(features, path_roles(features), distances, all_but_ends(features, present), present)
