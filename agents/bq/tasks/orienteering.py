"""The orienteering problem: remaining nodes within reach, the place of the traveller, the length that is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    nearest_within,
    neighbours,
    packed,
    path_roles,
    plane,
    symmetries,
    with_ends,
)
from optgap.agents.nn.bq import Reduced
from optgap.co.dynamics.routing import SLACK
from optgap.co.problems.distances import NetworkInstance
from optgap.co.problems.orienteering import OrienteeringInstance


class CollectingState(State):
    """Partial paths through some of N nodes."""

    rows = ("left", "origin", "budget", "worth", "path", "steps")

    def __init__(
        self,
        xy: Tensor,
        prize: Tensor,
        limit: Tensor,
        start: Tensor,
        end: Tensor,
        matrix: Tensor,
        scale: Tensor,
        owner: Tensor,
    ) -> None:
        """Begin at the first state.

        Args:
            xy: (I, N, 2) float64 positions; prize: (I, N) float32; limit: (I,) float64.
            start, end: (I,) int64.
            matrix: (I, N, N) float64 distances, by each instance's own metric.
            scale: (I,) float64 lengths of the plane per length of the metric.
            owner: (B,) instance of each row.
        """
        self.xy, self.prize, self.end, self.matrix, self.scale, self.owner = xy, prize, end, matrix, scale, owner
        self.reach = matrix[torch.arange(len(xy), device=xy.device), :, end]
        rows, nodes = len(owner), xy.shape[1]
        every = torch.arange(rows, device=xy.device)
        self.origin, self.budget = start[owner], limit[owner] * SLACK
        self.left = torch.ones(rows, nodes, dtype=torch.bool, device=xy.device)
        self.left[every, self.origin] = False
        self.left[every, end[owner]] = False
        self.worth = prize[owner, self.origin].double()
        self.worth += torch.where(self.origin == end[owner], 0.0, prize[owner, end[owner]].double())
        self.path = torch.full((rows, nodes + 1), -1, dtype=torch.int64, device=xy.device)
        self.path[:, 0] = self.origin
        self.steps = torch.ones(rows, dtype=torch.int64, device=xy.device)

    def _from_origin(self) -> Tensor:
        return self.matrix[self.owner, self.origin]

    def _within(self, far: Tensor) -> Tensor:
        return self.left & (far + self.reach[self.owner] <= self.budget[:, None])

    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        far = self._from_origin()
        within = self._within(far)
        node, present = with_ends(self.origin, self.end[self.owner], *nearest_within(far, within, nearest))
        owner = self.owner[:, None]
        budget = (self.budget * self.scale[self.owner]).float()
        return reduce(self.xy[owner, node].float(), self.prize[owner, node], budget, present), node

    def step(self, node: Tensor, action: Tensor) -> None:
        every = torch.arange(len(node), device=node.device)
        self.budget = self.budget - self.matrix[self.owner, self.origin, node]
        self.worth = self.worth + self.prize[self.owner, node].double()
        self.left, self.path = self.left.clone(), self.path.clone()
        self.left[every, node] = False
        self.path[every, self.steps] = node
        self.origin, self.steps = node, self.steps + 1

    def alive(self) -> Tensor:
        return self._within(self._from_origin()).any(1)

    def costs(self) -> Tensor:
        return self.worth

    def solutions(self) -> list[NDArray[np.int64]]:
        path, end = self.path.cpu().numpy(), self.end[self.owner].cpu().numpy()
        return [np.append(row[row >= 0], last) for row, last in zip(path, end, strict=True)]


class OrienteeringTask(Task):
    """Tokens: origin, end, the remaining nodes within reach.

    Features: :func:`optgap.agents.bq.tasks.task.plane`, the prize in units of the largest within reach, the remaining
    length and what a visit leaves of it beyond the way to the end, both in units of the plane.
    """

    corrects: ClassVar[bool] = True
    features: ClassVar[int] = 7

    def start(self, instances: Sequence[OrienteeringInstance], device: torch.device) -> CollectingState:
        def tensor(values: Any, kind: torch.dtype = torch.float64) -> Tensor:
            return torch.from_numpy(np.array(values)).to(device, kind)

        xy = tensor([i.positions for i in instances])
        start, end = (tensor([getattr(i, k) for i in instances], torch.int64) for k in ("start", "end"))
        prize, limit = tensor([i.prize for i in instances], torch.float32), tensor([i.limit for i in instances])
        matrix = tensor([i.distances for i in instances])
        scale = tensor([plane_scale(i) for i in instances])
        owner = torch.arange(len(instances), device=device)
        return CollectingState(xy, prize, limit, start, end, matrix, scale, owner)

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        candidates = packed(observation["action_mask"].bool())
        node, present = with_ends(observation["origin"], observation["destination"], *candidates)
        xy = observation["nodes"].gather(1, node[:, :, None].expand(-1, -1, 2))
        return reduce(xy, observation["prize"].gather(1, node), observation["budget"][:, 0], present), node

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.orienteering_runs import improve_orienteering_batch

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        xy, prize = np.stack([i.positions for i in instances]), np.stack([i.prize for i in instances])
        limit = np.array([i.limit for i in instances])
        paths, _ = improve_orienteering_batch(xy, prize, limit, int(effort * 30 * xy.shape[1]), seeds[0])
        return self.encode(instances, [path[path >= 0] for path in paths])

    def encode(self, instances: Sequence[OrienteeringInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        path = np.full((len(instances), instances[0].n_nodes + 1), -1, np.int64)
        for row, solution in zip(path, solutions, strict=True):
            row[: len(solution)] = solution
        return {
            "xy": np.stack([i.positions for i in instances]),
            "prize": np.stack([i.prize for i in instances]).astype(np.float32),
            "limit": np.array([i.limit for i in instances]),
            "path": path,
        }

    def correct(
        self,
        instances: Sequence[OrienteeringInstance],
        solutions: Sequence[NDArray[np.int64]],
        states: int,
        effort: float,
        rng: np.random.Generator,
    ) -> Iterator[Labels]:
        """The policy's own paths with what follows after some visits, ``walked``, searched anew."""
        from optgap.co.heuristics.orienteering_runs import improve_path
        from optgap.co.heuristics.tour_space import space_of

        chosen, paths, walked = [], [], []
        for instance, path in zip(instances, solutions, strict=True):
            for spot in rng.permutation(np.arange(1, len(path) - 1))[:states].tolist():
                left = np.setdiff1d(np.arange(instance.n_nodes), [*path[: spot + 1], instance.end])
                nodes = np.concatenate([path[spot : spot + 1], left, [instance.end]])
                legs = instance.distances[path[:spot], path[1 : spot + 1]].sum()
                space = space_of(NetworkInstance(matrix=instance.distances[np.ix_(nodes, nodes)], metric="explicit"))
                prize = instance.prize[nodes]
                prize[[0, -1]] = 0.0
                local = np.append(np.searchsorted(left, path[spot:-1]) + 1, len(nodes) - 1)
                local[0] = 0
                iterations, seed = int(effort * 30 * len(nodes)), int(rng.integers(2**31))
                best = improve_path(space, prize, instance.limit * SLACK - legs, local, iterations, seed)
                chosen.append(instance)
                paths.append(np.concatenate([path[:spot], nodes[best]]))
                walked.append(spot)
        if chosen:
            yield {**self.encode(chosen, paths), "walked": np.array(walked)}

    def tokens(self, labels: Labels, share: float) -> int:
        return 2 + int(max(1, round(share * labels["xy"].shape[1])))  # the budget reaches no further

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """The path is walked, a tour from either end, until ``share`` of its nodes remain; then what is in reach.

        Corrections say themselves how far their paths are walked.
        """
        path, batch = labels["path"][rows], len(rows)
        length = (path >= 0).sum(1)
        nodes = labels["xy"].shape[1]
        place = np.arange(path.shape[1])
        closed = path[:, 0] == np.take_along_axis(path, length[:, None] - 1, 1)[:, 0]
        free = closed & ("walked" not in labels)
        backward = (free & (rng.random(batch) < 0.5))[:, None]
        back = np.where(place < length[:, None], length[:, None] - 1 - place, place)
        path = np.where(backward, np.take_along_axis(path, back, 1), path)
        rank = np.full((batch, nodes), -1, np.int64)  # of each node on the path
        b, i = np.nonzero((path >= 0) & (place < length[:, None] - 1))
        rank[b, path[b, i]] = i
        inner = np.maximum(length - 2, 0)
        remaining = np.minimum(np.maximum(1, np.round(share * inner)), inner).astype(np.int64)
        walked = labels["walked"][rows] if "walked" in labels else inner - remaining  # place of the origin
        origin = path[np.arange(batch), walked]
        end = path[np.arange(batch), length - 1]
        xy = torch.from_numpy(labels["xy"][rows])
        every = torch.arange(batch)
        done = torch.from_numpy(place[None, :] < walked[:, None])
        points = xy.gather(1, torch.from_numpy(np.maximum(path, 0))[:, :, None].expand(-1, -1, 2))
        legs = (points[:, 1:] - points[:, :-1]).square().sum(2).sqrt()
        budget = torch.from_numpy(labels["limit"][rows]) * SLACK - legs.masked_fill(~done[:, :-1], 0.0).sum(1)
        far = (xy - xy[every, origin][:, None]).square().sum(2).sqrt()
        reach = (xy - xy[every, end][:, None]).square().sum(2).sqrt()
        left = torch.from_numpy((rank < 0) | (rank > walked[:, None]))
        left[every, torch.from_numpy(end)] = False
        within = left & (far + reach <= budget[:, None])
        ends = torch.from_numpy(origin), torch.from_numpy(end)
        node, present = with_ends(*ends, *nearest_within(far, within, nearest))
        on = torch.from_numpy(rank).gather(1, node).float()
        on[:, 0], on[:, 1] = torch.from_numpy(walked).float(), torch.from_numpy(length - 1).float()
        position = on.masked_fill(~present | (on < 0), torch.nan)
        edges = neighbours(position)
        start = torch.from_numpy((walked == 0) & closed)
        either = (edges[:, 0] > 0) | (start[:, None] & (on == torch.from_numpy(length - 2)[:, None]))
        either[:, :2] = False  # a tour may be walked from both ends
        chosen = torch.where(present, (on >= 0).float(), torch.nan)
        chosen[:, :2] = torch.nan
        prize = torch.from_numpy(labels["prize"][rows]).gather(1, node)
        spots = symmetries(rng, xy.gather(1, node[:, :, None].expand(-1, -1, 2)).float())
        return reduce(spots, prize, budget.float(), present), Targets(either[:, :, None], edges, chosen)


def plane_scale(instance: OrienteeringInstance) -> float:
    """Lengths of the plane per length of the instance's metric, on average over the ways to its end."""
    if instance.metric == "euclidean":
        return 1.0
    points = instance.positions
    plane = float(np.sqrt(((points - points[instance.end]) ** 2).sum(1)).sum())
    return plane / (float(instance.distances[:, instance.end].sum()) or 1.0)


def reduce(xy: Tensor, prize: Tensor, budget: Tensor, present: Tensor) -> Reduced:
    """Reduced instances.

    Args:
        xy: (B, n, 2) positions of origin, end, candidates; prize: (B, n); budget: (B,) remaining length.
        present: (B, n) bool.
    """
    features, distances, unit = plane(xy, present)
    prize = prize.masked_fill(~present, 0.0)
    prize = torch.cat([torch.zeros_like(prize[:, :2]), prize[:, 2:]], 1)
    share = prize / prize.amax(1, keepdim=True).clamp(min=1e-9)
    room = (budget / unit)[:, None].expand_as(prize)
    slack = room - features[:, :, 2] - features[:, :, 3]
    more = torch.stack([share, room, slack], 2).clamp(-10, 10)
    features = torch.cat([features, more], 2).masked_fill(~present[:, :, None], 0.0)
    return Reduced(features, path_roles(features), distances, all_but_ends(features, present), present)
