"""The TSP as a path problem: from the last node through all remaining ones to the destination."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.tasks.task import (
    Labels,
    Pieces,
    State,
    Targets,
    Task,
    all_but_ends,
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


class PathState(State):
    """Partial paths from ``start`` to ``end`` through all of N nodes; how far apart they are, a subclass says."""

    rows = ("left", "path", "length")

    def __init__(self, nodes: int, owner: Tensor, start: Tensor, end: Tensor, closed: bool) -> None:
        """Begin at the first state.

        Args:
            nodes: N.
            owner: (B,) instance of each row.
            start, end: (I,) int64; the same node for a tour (``closed``).
            closed: whether the paths are tours.
        """
        self.owner, self.end, self.closed = owner, end, closed
        rows, device = len(owner), owner.device
        self.left = torch.ones(rows, nodes, dtype=torch.bool, device=device)
        every = torch.arange(rows, device=device)
        self.left[every, start[owner]] = False
        self.left[every, end[owner]] = False
        self.path = torch.zeros(rows, nodes, dtype=torch.int64, device=device)
        self.path[:, 0] = start[owner]
        self.length = torch.zeros(rows, dtype=torch.float64, device=device)
        self.steps, self.total = 1, nodes - (1 if closed else 2)

    @abstractmethod
    def _far(self, origin: Tensor) -> Tensor:
        """(B, N) some measure of the distance from the origins."""

    @abstractmethod
    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        """(B,) float64 distance from ``a`` to ``b``."""

    @abstractmethod
    def _reduce(self, node: Tensor) -> Reduced:
        """The reduced instances of nodes (B, n)."""

    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        origin, count = self.path[:, self.steps - 1], self.total - self.steps + 1
        if nearest is None or nearest >= count:
            candidates = self.left.nonzero()[:, 1].view(len(self.owner), count)
        else:
            far = self._far(origin).masked_fill(~self.left, torch.inf)
            candidates = far.topk(nearest, dim=1, largest=False).indices
        node = torch.cat([origin[:, None], self.end[self.owner][:, None], candidates], 1)
        return self._reduce(node), node

    def step(self, node: Tensor, action: Tensor) -> None:
        every = torch.arange(len(node), device=node.device)
        self.length = self.length + self._distance(self.path[:, self.steps - 1], node)
        self.path, self.left = self.path.clone(), self.left.clone()
        self.path[:, self.steps] = node
        self.left[every, node] = False
        self.steps += 1

    def alive(self) -> Tensor:
        return torch.full((len(self.owner),), self.steps <= self.total, device=self.owner.device)

    def costs(self) -> Tensor:
        return self.length + self._distance(self.path[:, self.steps - 1], self.end[self.owner])

    def solutions(self) -> list[NDArray[np.int64]]:
        path = self.path[:, : self.steps]
        if not self.closed:
            path = torch.cat([path, self.end[self.owner][:, None]], 1)
        return list(path.cpu().numpy())


class PlaneState(PathState):
    """Paths in the plane."""

    def __init__(self, xy: Tensor, owner: Tensor, start: Tensor, end: Tensor, closed: bool) -> None:
        """As :class:`PathState`; ``xy`` (I, N, 2) float32 positions."""
        super().__init__(xy.shape[1], owner, start, end, closed)
        self.xy = xy

    def _far(self, origin: Tensor) -> Tensor:
        return (self.xy[self.owner] - self.xy[self.owner, origin][:, None]).square().sum(2)

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.xy[self.owner, a].double() - self.xy[self.owner, b].double()).square().sum(1).sqrt()

    def _reduce(self, node: Tensor) -> Reduced:
        return reduce(self.xy[self.owner[:, None], node])


def tour_pieces(
    tour: NDArray[np.int64], size: int, rng: np.random.Generator, state: Callable[[NDArray[np.int64]], State]
) -> Pieces | None:
    """Cut a tour at a random place into paths of ``size`` nodes, neighbours sharing an end.

    Args:
        state: (P, size) nodes of the paths -> their first states; the first node is the start, the last one the end.
    """
    size = min(size, len(tour))
    if size < 4:
        return None
    frame = np.roll(tour, -int(rng.integers(len(tour))))
    count = (len(tour) - 1) // (size - 1)
    begins = np.arange(count) * (size - 1)
    nodes = frame[begins[:, None] + np.arange(size)]

    def join(paths: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        joined = frame.copy()
        for begin, path in zip(begins.tolist(), paths, strict=True):
            joined[begin : begin + size] = path
        return joined

    return Pieces(state(nodes), list(nodes), lambda piece, local: nodes[piece][local], join)


def path_ends(count: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Owner, start and end of ``count`` pieces of :func:`tour_pieces`."""
    owner = torch.arange(count, device=device)
    return owner, torch.zeros_like(owner), torch.full_like(owner, size - 1)


class TSPTask(Task):
    """Tokens: origin, destination, remaining nodes. Features: :func:`optgap.agents.bq.tasks.task.plane`."""

    corrects: ClassVar[bool] = True
    features: ClassVar[int] = 4

    def start(self, instances: Sequence[TSPInstance], device: torch.device) -> PlaneState:
        xy = torch.from_numpy(np.stack([instance.positions for instance in instances])).to(device, torch.float32)
        count = torch.arange(len(instances), device=device)
        zero = torch.zeros_like(count)
        return PlaneState(xy, count, zero, zero, closed=True)

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        candidates = packed(observation["action_mask"].bool())
        node, present = with_ends(observation["origin"], observation["destination"], *candidates)
        return reduce(observation["nodes"].gather(1, node[:, :, None].expand(-1, -1, 2)), present), node

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.tour_local_search import improve_tours

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        xy = np.stack([instance.positions for instance in instances])
        tours = np.argsort(np.random.default_rng(seeds[0]).random(xy.shape[:2]), axis=1).astype(np.int32)
        best, _ = improve_tours(xy, tours, int(effort * 10 * xy.shape[1]), seeds[0], True)
        return self.encode(instances, list(best))

    def encode(self, instances: Sequence[TSPInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        xy = np.stack([i.positions for i in instances]).astype(np.float32)
        tour = np.stack(solutions)
        return {"xy": np.take_along_axis(xy, tour[:, :, None], 1)}

    def correct(
        self,
        instances: Sequence[TSPInstance],
        solutions: Sequence[NDArray[np.int64]],
        states: int,
        effort: float,
        rng: np.random.Generator,
    ) -> Iterator[Labels]:
        """Positions in the order of a short path from where the tour has come to, through what is left, to its start."""
        from optgap.co.heuristics.tour_local_search import improve_tours

        positions = np.stack([instance.positions for instance in instances])
        for rest in paths_left(solutions, states, rng):
            xy = np.take_along_axis(positions, rest[:, :, None], 1)
            count = xy.shape[1]
            own = np.tile(np.arange(count, dtype=np.int32), (len(xy), 1))
            best, _ = improve_tours(xy, own, int(effort * 6 * count), int(rng.integers(2**31)), False)
            yield {"path": np.take_along_axis(xy, best[:, :, None].astype(np.int64), 1).astype(np.float32)}

    def pieces(
        self,
        instance: TSPInstance,
        solution: NDArray[np.int64],
        size: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> Pieces | None:
        """Paths of ``size`` nodes; half of the time the tour is walked backwards."""

        def state(nodes: NDArray[np.int64]) -> PlaneState:
            xy = torch.from_numpy(instance.positions[nodes]).to(device, torch.float32)
            return PlaneState(xy, *path_ends(len(nodes), nodes.shape[1], device), closed=False)

        return tour_pieces(solution[:: rng.choice([-1, 1])], size, rng, state)

    def tokens(self, labels: Labels, share: float) -> int:
        if "path" in labels:
            return int(labels["path"].shape[1])
        return 2 + int(max(1, round(share * (labels["xy"].shape[1] - 1))))

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """A random stretch of the optimal tour, in a random direction: an optimal path. Or a whole ``path``."""
        whole, size = labels.get("path", labels.get("xy")), self.tokens(labels, share) - 2
        assert whole is not None
        nodes = whole.shape[1]
        first = np.zeros(len(rows), int) if "path" in labels else rng.integers(nodes, size=len(rows))
        direction = np.ones(len(rows), int) if "path" in labels else rng.choice([-1, 1], size=len(rows))
        # tokens in the order origin, destination, inner nodes of the path; the network knows no order
        place = np.concatenate([[0, size + 1], np.arange(1, size + 1)])
        index = (first[:, None] + direction[:, None] * place) % nodes
        xy = symmetries(rng, torch.from_numpy(whole[rows[:, None], index]))
        position = torch.from_numpy(np.broadcast_to(place, index.shape).astype(np.float32))
        if nearest is not None and nearest < size:
            kept = nearest_tokens(xy, nearest)
            xy, position = xy.gather(1, kept[:, :, None].expand(-1, -1, 2)), position.gather(1, kept)
        edges = neighbours(position)
        right = edges[:, 0] > 0
        if size == nodes - 1:  # a whole tour may be walked both ways
            right |= position == size
        return reduce(xy), Targets(right[:, :, None], edges, None)


def paths_left(
    tours: Sequence[NDArray[np.int64]], states: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """What is left of (B) tours of N >= 3 nodes after ``states`` numbers s of decisions, spread evenly: (B, N - s + 1) nodes.

    From the node that the decisions have come to, through a node or more, to the first one.
    """
    tour = np.stack(tours)
    for share in (np.arange(states) + rng.random()) / states:
        steps = 1 + int(share * (tour.shape[1] - 2))
        yield np.concatenate([tour[:, steps:], tour[:, :1]], 1)


def reduce(xy: Tensor, present: Tensor | None = None) -> Reduced:
    """Reduced instances of the positions (B, n, 2) of origin, destination and candidates, those that are ``present``."""
    features, distances, _ = plane(xy, present)
    return Reduced(features, path_roles(features), distances, all_but_ends(features, present), present)
