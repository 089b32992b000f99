"""The asymmetric TSP as a path problem: no coordinates, only the matrix of distances among what remains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.tasks.task import (
    Labels,
    Pieces,
    Targets,
    Task,
    all_but_ends,
    neighbours,
    packed,
    path_roles,
    with_ends,
)
from optgap.agents.bq.tasks.tsp import PathState, path_ends, paths_left, tour_pieces
from optgap.agents.nn.bq import Reduced
from optgap.co.problems.tsp import ATSPInstance


class ArcState(PathState):
    """Paths over an asymmetric matrix."""

    def __init__(self, matrix: Tensor, owner: Tensor, start: Tensor, end: Tensor, closed: bool) -> None:
        """As :class:`PathState`; ``matrix`` (I, N, N) float32 distances from row to column."""
        super().__init__(matrix.shape[1], owner, start, end, closed)
        self.matrix = matrix

    def _far(self, origin: Tensor) -> Tensor:
        return self.matrix[self.owner, origin]

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        return self.matrix[self.owner, a, b].double()

    def _reduce(self, node: Tensor) -> Reduced:
        return reduce(self.matrix[self.owner[:, None, None], node[:, :, None], node[:, None, :]])


class ATSPTask(Task):
    """Tokens: origin, destination, remaining nodes.

    Features, each log(1 + distance in units of the mean distance to a nearest node): from and to the origin, to and
    from the destination, the shortest way out and in. The matrix itself enters as the bias of the attention.
    """

    corrects: ClassVar[bool] = True
    features: ClassVar[int] = 6
    symmetric: ClassVar[bool] = False
    planar: ClassVar[bool] = False

    def start(self, instances: Sequence[ATSPInstance], device: torch.device) -> ArcState:
        matrix = torch.from_numpy(np.stack([instance.distances for instance in instances])).to(device, torch.float32)
        count = torch.arange(len(instances), device=device)
        zero = torch.zeros_like(count)
        return ArcState(matrix, count, zero, zero, closed=True)

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        candidates = packed(observation["action_mask"].bool())
        node, present = with_ends(observation["origin"], observation["destination"], *candidates)
        every = torch.arange(len(node), device=node.device)[:, None, None]
        return reduce(observation["distances"][every, node[:, :, None], node[:, None, :]], present), node

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.asymmetric_local_search import improve_asymmetric_tours
        from optgap.co.heuristics.tour_construction import patched_tours

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        matrices = np.stack([instance.distances for instance in instances])
        best, _ = improve_asymmetric_tours(
            matrices, patched_tours(matrices), int(effort * 60 * matrices.shape[1]), seeds[0]
        )
        return self.encode(instances, list(best))

    def encode(self, instances: Sequence[ATSPInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        """The matrices with rows and columns in the order of the tour."""
        found = [i.distances[np.ix_(tour, tour)] for i, tour in zip(instances, solutions, strict=True)]
        return {"matrix": np.stack(found).astype(np.float32)}

    def correct(
        self,
        instances: Sequence[ATSPInstance],
        solutions: Sequence[NDArray[np.int64]],
        states: int,
        effort: float,
        rng: np.random.Generator,
    ) -> Iterator[Labels]:
        """The matrices in the order of a short path from where the tour has come to, through what is left, to its start."""
        from optgap.co.heuristics.asymmetric_local_search import improve_asymmetric_tours

        every = np.arange(len(instances))[:, None, None]
        for rest in paths_left(solutions, states, rng):
            matrix = np.stack([i.distances[np.ix_(path, path)] for i, path in zip(instances, rest, strict=True)])
            count = matrix.shape[1]
            ring = (
                matrix.copy()
            )  # a tour through the way from the last node to the first: all others there are too long
            far = 2.0 * matrix.max((1, 2), keepdims=True)[:, 0] * count
            ring[:, :, 0] += far
            ring[:, -1] += far
            ring[:, -1, 0] = 0.0
            own = np.tile(np.arange(count, dtype=np.int32), (len(matrix), 1))
            found, _ = improve_asymmetric_tours(ring, own, int(effort * 20 * count), int(rng.integers(2**31)))
            best = np.stack([np.roll(tour, -int(np.flatnonzero(tour == 0)[0])) for tour in found])
            yield {"path": matrix[every, best[:, :, None], best[:, None, :]].astype(np.float32)}

    def pieces(
        self,
        instance: ATSPInstance,
        solution: NDArray[np.int64],
        size: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> Pieces | None:
        """Paths of ``size`` nodes."""

        def state(nodes: NDArray[np.int64]) -> ArcState:
            matrix = instance.distances[nodes[:, :, None], nodes[:, None, :]]
            return ArcState(
                torch.from_numpy(matrix).to(device, torch.float32),
                *path_ends(len(nodes), nodes.shape[1], device),
                closed=False,
            )

        return tour_pieces(solution, size, rng, state)

    def tokens(self, labels: Labels, share: float) -> int:
        if "path" in labels:
            return int(labels["path"].shape[1])
        return 2 + int(max(1, round(share * (labels["matrix"].shape[1] - 1))))

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """A random stretch of the optimal tour. Or a whole ``path``."""
        whole, size = labels.get("path", labels.get("matrix")), self.tokens(labels, share) - 2
        assert whole is not None
        nodes = whole.shape[1]
        first = np.zeros(len(rows), int) if "path" in labels else rng.integers(nodes, size=len(rows))
        place = np.concatenate([[0, size + 1], np.arange(1, size + 1)])
        index = (first[:, None] + place) % nodes
        matrix = torch.from_numpy(whole[rows[:, None, None], index[:, :, None], index[:, None, :]])
        position = torch.from_numpy(np.broadcast_to(place, index.shape).astype(np.float32))
        if nearest is not None and nearest < size:
            kept = matrix[:, 0, 2:].topk(nearest, dim=1, largest=False).indices + 2
            kept = torch.cat([torch.tensor([[0, 1]]).expand(len(kept), 2), kept], 1)
            every = torch.arange(len(kept))[:, None, None]
            matrix, position = matrix[every, kept[:, :, None], kept[:, None, :]], position.gather(1, kept)
        edges = neighbours(position, symmetric=False)
        return reduce(matrix), Targets(edges[:, 0, :, None] > 0, edges, None)


def reduce(matrix: Tensor, present: Tensor | None = None) -> Reduced:
    """Reduced instances of the distances (B, n, n) among origin, destination and candidates, those that are ``present``."""
    tokens = matrix.shape[1]
    own = torch.eye(tokens, dtype=torch.bool, device=matrix.device)
    if present is not None:
        own = own | ~present[:, None, :] | ~present[:, :, None]
    others = matrix.masked_fill(own, torch.inf)
    out, into = (x.masked_fill(~x.isfinite(), 0.0) for x in (others.amin(2), others.amin(1)))
    count = tokens if present is None else present.sum(1, keepdim=True)
    unit = (out.sum(1, keepdim=True) / count).clamp(min=1e-9)
    seen = [matrix[:, 0], matrix[:, :, 0], matrix[:, :, 1], matrix[:, 1], out, into]
    features = torch.stack([(item / unit).log1p() for item in seen], 2)
    return Reduced(features, path_roles(features), matrix, all_but_ends(features, present), present)
