"""The CVRP as a path problem with a capacity: remaining customers, the place of the vehicle, what it can still load."""

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
from optgap.co.dynamics.routing import SLACK
from optgap.co.problems.cvrp import CVRPInstance, join_routes, split_routes

DIRECT, VIA_DEPOT = 0, 1
NEARLY = 0.04  # of the capacity: routes that leave as much empty, but for that, are as full
TOLERANCE = 1e-6  # of the capacity: labels hold demands as shares in float32


class RouteState(State):
    """Partial routes over C customers; the depot is node 0."""

    rows = ("left", "path", "capacity", "length")

    def __init__(
        self, xy: Tensor, demand: Tensor, owner: Tensor, origin: Tensor | None = None, capacity: Tensor | None = None
    ) -> None:
        """Begin at the first state.

        Args:
            xy: (I, N, 2) float32 positions, the depot first.
            demand: (I, N) float64 shares of the capacity, 0 for the depot.
            owner: (B,) instance of each row.
            origin: (I,) int64 customers where the vehicles stand, served already; None: all are at the depot.
            capacity: (I,) float64 shares that remain to them; None: all.
        """
        self.xy, self.demand, self.owner, self.begun = xy, demand, owner, origin
        rows, nodes = len(owner), xy.shape[1]
        self.left = torch.ones(rows, nodes, dtype=torch.bool, device=xy.device)
        self.left[:, 0] = False
        if origin is not None:
            self.left[torch.arange(rows, device=xy.device), origin[owner]] = False
        self.total = nodes - (1 if origin is None else 2)
        # each customer takes two places: a 0 (it is reached from the depot) or -1 (it is not), and itself
        self.path = torch.zeros(rows, 2 * nodes, dtype=torch.int64, device=xy.device)
        whole = torch.ones(rows, dtype=torch.float64, device=xy.device) if capacity is None else capacity[owner]
        self.capacity = whole * SLACK
        self.length = torch.zeros(rows, dtype=torch.float64, device=xy.device)
        self.steps = 0  # customers served

    def _origin(self) -> Tensor:
        if self.steps:
            return self.path[:, 2 * self.steps - 1]
        return torch.zeros_like(self.owner) if self.begun is None else self.begun[self.owner]

    def reduced(self, nearest: int | None) -> tuple[Reduced, Tensor]:
        left = self.total - self.steps
        origin = self._origin()
        candidates = nearest_left(self.xy, self.owner, origin, self.left, left, nearest)
        node = torch.cat([origin[:, None], torch.zeros_like(origin)[:, None], candidates], 1)
        demand = self.demand[self.owner[:, None], node]
        demand[:, 0] = 0.0  # what the vehicle carries already counts in its capacity
        fits, xy = demand <= self.capacity[:, None], self.xy[self.owner[:, None], node]
        return reduce(xy, demand.float(), self.capacity.float(), origin == 0, fits), node

    def step(self, node: Tensor, action: Tensor) -> None:
        every = torch.arange(len(node), device=node.device)
        origin, depot = self._origin(), torch.zeros_like(node)
        via = (action == VIA_DEPOT) | (origin == 0)
        detour = self._distance(origin, depot) + self._distance(depot, node)
        self.length = self.length + torch.where(via, detour, self._distance(origin, node))
        demand = self.demand[self.owner, node]
        self.capacity = torch.where(via, SLACK, self.capacity) - demand
        self.path, self.left = self.path.clone(), self.left.clone()
        self.path[:, 2 * self.steps] = torch.where(via, depot, torch.full_like(node, -1))
        self.path[:, 2 * self.steps + 1] = node
        self.left[every, node] = False
        self.steps += 1

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        return (self.xy[self.owner, a].double() - self.xy[self.owner, b].double()).square().sum(1).sqrt()

    def alive(self) -> Tensor:
        return torch.full((len(self.owner),), self.steps < self.total, device=self.xy.device)

    def costs(self) -> Tensor:
        return self.length + self._distance(self._origin(), torch.zeros_like(self.owner))

    def solutions(self) -> list[NDArray[np.int64]]:
        flat = self.path[:, : 2 * self.steps].cpu().numpy()
        return [np.concatenate([row[row >= 0], [0]]) for row in flat]


class CVRPTask(Task):
    """Tokens: origin, depot, remaining customers.

    Features: :func:`optgap.agents.bq.tasks.task.plane`, the demand, the remaining capacity, and what is left of it
    after a visit (shares of the capacity). Actions: directly, or via the depot.

    As in BQ-NCO, the expert's routes are ordered by their leftover capacity, the fullest first. Where a route begins, the
    first and the last customers of all routes that are nearly as full as the fullest remaining one are right answers.
    """

    corrects: ClassVar[bool] = True
    features: ClassVar[int] = 7
    actions: ClassVar[int] = 2

    def start(self, instances: Sequence[CVRPInstance], device: torch.device) -> RouteState:
        xy = torch.from_numpy(np.stack([i.positions for i in instances])).to(device, torch.float32)
        demand = torch.from_numpy(np.stack([i.demand / i.capacity for i in instances])).to(device)
        return RouteState(xy, demand, torch.arange(len(instances), device=device))

    def observe(self, observation: Mapping[str, Tensor]) -> tuple[Reduced, Tensor]:
        direct, via = observation["action_mask"].bool().chunk(2, 1)
        origin = observation["origin"]
        node, present = with_ends(origin, torch.zeros_like(origin), *packed(direct | via))
        demand = observation["demand"].gather(1, node)
        demand[:, 0] = 0.0
        xy = observation["nodes"].gather(1, node[:, :, None].expand(-1, -1, 2))
        return reduce(xy, demand, observation["capacity"][:, 0], origin == 0, direct.gather(1, node), present), node

    def label(self, draw: Any, seeds: Sequence[int], effort: float) -> Labels:
        from optgap.co.heuristics.ruin_recreate import improve_route_batch

        instances = [draw(np.random.default_rng(seed)) for seed in seeds]
        coordinates = np.stack([i.positions for i in instances])
        demand = np.stack([i.demand for i in instances])
        capacity = np.array([i.capacity for i in instances])
        iterations = int(effort * 400 * demand.shape[1])
        return self.encode(instances, list(improve_route_batch(coordinates, demand, capacity, iterations, seeds[0])))

    def encode(self, instances: Sequence[CVRPInstance], solutions: Sequence[NDArray[np.int64]]) -> Labels:
        xy, demand = ([i.positions for i in instances], [i.demand / i.capacity for i in instances])
        return encode(np.stack(xy), np.stack(demand), solutions)

    def correct(
        self,
        instances: Sequence[CVRPInstance],
        solutions: Sequence[NDArray[np.int64]],
        states: int,
        effort: float,
        rng: np.random.Generator,
    ) -> Iterator[Labels]:
        """States in which a vehicle is back at the depot: what is left is a smaller instance, solved like any other."""
        from optgap.co.heuristics.ruin_recreate import improve_route_batch

        groups: dict[int, list[tuple[CVRPInstance, NDArray[np.int64]]]] = {}
        for instance, solution in zip(instances, solutions, strict=True):
            routes = split_routes(solution)
            for begin in rng.permutation(np.arange(1, len(routes)))[:states].tolist():
                rest = np.concatenate(routes[begin:])
                if len(rest) > 1:
                    groups.setdefault(len(rest), []).append((instance, np.append(0, rest)))
        for count, group in groups.items():
            xy = np.stack([instance.positions[nodes] for instance, nodes in group])
            demand = np.stack([instance.demand[nodes] for instance, nodes in group])
            capacity = np.array([instance.capacity for instance, _ in group])
            seed = int(rng.integers(2**31))
            found = improve_route_batch(xy, demand, capacity, int(effort * 200 * count), seed)
            yield encode(xy, demand / capacity[:, None], list(found))

    def pieces(
        self,
        instance: CVRPInstance,
        solution: NDArray[np.int64],
        size: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> Pieces | None:
        """Groups of routes that are neighbours around the depot, of each the last ``size`` customers.

        The vehicle of such a piece stands at the customer before them, with what capacity the group's first route has
        left; customers before that one stay where they are.
        """
        size = min(size, instance.n_customers - 1)
        if size < 2:
            return None
        routes = [route[:: rng.choice([-1, 1])] for route in split_routes(solution)]
        middle = np.array([instance.positions[route].mean(0) for route in routes]) - instance.positions[0]
        turn = (np.arctan2(middle[:, 1], middle[:, 0]) + rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
        groups: list[list[NDArray[np.int64]]] = [[]]
        for index in np.argsort(turn).tolist():
            if sum(len(route) for route in groups[-1]) > size:
                groups.append([])
            groups[-1].append(routes[index])
        rest = [join_routes(groups.pop())] if sum(len(route) for route in groups[-1]) <= size else []
        if not groups:
            return None
        flat = [join_routes(group) for group in groups]
        # the piece begins at the last customer that leaves ``size`` of them behind it
        begins = [int(np.flatnonzero(row)[-size - 1]) for row in flat]
        old = [row[begin:] for row, begin in zip(flat, begins, strict=True)]
        nodes = np.stack([np.concatenate([[0], row[row > 0]]) for row in old])
        demand = instance.demand / instance.capacity
        carried = []  # by the vehicle when it stands at the piece's first node
        for row, begin in zip(flat, begins, strict=True):
            left_depot = int(np.flatnonzero(row[: begin + 1] == 0)[-1])
            carried.append(float(demand[row[left_depot : begin + 1]].sum()))
        owner = torch.arange(len(nodes), device=device)
        state = RouteState(
            torch.from_numpy(instance.positions[nodes]).to(device, torch.float32),
            torch.from_numpy(demand[nodes]).to(device),
            owner,
            torch.ones_like(owner),
            torch.from_numpy(1 - np.array(carried)).to(device),
        )

        def new(piece: int, local: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.concatenate([old[piece][:1], nodes[piece][local]])

        def join(found: list[NDArray[np.int64]]) -> NDArray[np.int64]:
            kept = [row[:begin] for row, begin in zip(flat, begins, strict=True)]
            return np.concatenate([part for pair in zip(kept, found, strict=True) for part in pair] + rest)

        return Pieces(state, old, new, join)

    def tokens(self, labels: Labels, share: float) -> int:
        return 2 + int(max(1, round(share * labels["order"].shape[1])))

    def subinstances(
        self, labels: Labels, rows: NDArray[np.int64], share: float, nearest: int | None, rng: np.random.Generator
    ) -> tuple[Reduced, Targets]:
        """The fullest routes come first, nearly, and each in a random direction; the last customers remain.

        What the vehicles leave empty is thus left to the end, where it repairs what decoding did before. After routes in
        a random order, decoding ran out of room at the end and needed vehicles more, although it imitated better.
        """
        size = self.tokens(labels, share) - 2
        order, route = labels["order"][rows], labels["route"][rows]
        batch, customers = order.shape
        demand = labels["demand"][rows]
        spare = np.ones((batch, customers), np.float32)  # of route r: column r
        np.subtract.at(spare, (np.arange(batch)[:, None], route), np.take_along_axis(demand, order, 1))
        rank = np.take_along_axis(spare + rng.normal(scale=NEARLY, size=spare.shape), route, 1)
        sign = np.take_along_axis(rng.choice([-1, 1], size=(batch, customers)), route, 1)
        shuffled = np.lexsort((np.arange(customers) * sign, rank), axis=1)
        order, route = np.take_along_axis(order, shuffled, 1), np.take_along_axis(route, shuffled, 1)
        served, left = order[:, : customers - size], order[:, customers - size :]
        left_route = route[:, customers - size :]
        none = np.zeros((batch, 1), bool)
        under_way, origin, capacity = none[:, 0], np.zeros(batch, np.int64), np.ones(batch, np.float32)
        if size < customers:
            now = route[:, customers - size - 1]
            under_way, origin = now == left_route[:, 0], served[:, -1]
            carried = np.where(route[:, : customers - size] == now[:, None], np.take_along_axis(demand, served, 1), 0.0)
            capacity = (1 - carried.sum(1)).astype(np.float32)
        change = np.diff(left_route, axis=1) != 0
        first = np.concatenate([~under_way[:, None], change], 1)
        last = np.concatenate([change, ~none], 1)
        fresh = np.concatenate([~under_way[:, None], change], 1).cumsum(1) > 0  # on a route that is not under way
        # one step along a route, two from a route to the next, so that those are no neighbours
        position = np.concatenate([none, none, 1 + first], 1).cumsum(1).astype(np.float32)
        position[:, 1] = np.nan
        position[origin == 0, 0] = np.nan
        index = np.concatenate([origin[:, None], none.astype(np.int64), left], 1)
        xy = symmetries(rng, torch.from_numpy(labels["xy"][rows[:, None], index]))
        load = torch.from_numpy(np.take_along_axis(demand, index, 1))
        load[:, 0] = 0.0
        ends = first | last
        empty = np.where(fresh, np.take_along_axis(spare, left_route, 1), np.inf)
        early = empty <= empty.min(1, keepdims=True) + NEARLY  # on one of the fullest routes that may begin
        marks = np.stack([ends, ends & fresh & early])  # next to the depot; where a route may begin
        marks = np.concatenate([np.zeros((2, batch, 2), bool), marks], 2)
        place, beside, begins = torch.from_numpy(position), *torch.from_numpy(marks)
        if nearest is not None and nearest < size:
            kept = nearest_tokens(xy, nearest)
            xy = xy.gather(1, kept[:, :, None].expand(-1, -1, 2))
            load, place, beside, begins = (item.gather(1, kept) for item in (load, place, beside, begins))
        edges = neighbours(place)
        going, at_depot = torch.from_numpy(under_way)[:, None], torch.from_numpy(origin == 0)[:, None]
        direct = torch.where(at_depot, begins, going & (edges[:, 0] > 0))
        actions = torch.stack([direct, begins & ~going & ~at_depot], 2)
        weight = (edges > 0).float()
        weight[:, :, 1] = beside.float()
        edges = weight / weight.sum(2, keepdim=True).clamp(min=1.0)
        room = torch.from_numpy(capacity)
        fits = load <= room[:, None] + TOLERANCE
        return reduce(xy, load, room, at_depot[:, 0], fits), Targets(actions, edges, None)


def encode(
    xy: NDArray[np.float64], demand: NDArray[np.float64], solutions: Sequence[NDArray[np.int64]]
) -> dict[str, NDArray[Any]]:
    """Label arrays of positions (B, N, 2), demands (B, N) as shares of the capacity, and B solutions."""
    routes = [split_routes(solution) for solution in solutions]
    return {
        "xy": xy.astype(np.float32),
        "demand": demand.astype(np.float32),
        "order": np.stack([np.concatenate(found) for found in routes]).astype(np.int64),
        "route": np.stack([np.repeat(np.arange(len(f)), [len(r) for r in f]) for f in routes]).astype(np.int64),
    }


def reduce(
    xy: Tensor, demand: Tensor, capacity: Tensor, at_depot: Tensor, fits: Tensor, present: Tensor | None = None
) -> Reduced:
    """Reduced instances.

    Args:
        xy: (B, n, 2) positions of origin, depot, candidates.
        demand: (B, n) shares of the capacity; 0 for the first two.
        capacity: (B,) remaining share.
        at_depot: (B,) bool.
        fits: (B, n) bool: what the vehicle can load.
        present: (B, n) bool, or None for all.
    """
    features, distances, _ = plane(xy, present)
    room = capacity[:, None].expand_as(demand)
    features = torch.cat([features, torch.stack([demand, room, room - demand], 2)], 2)
    customers = all_but_ends(features, present)[:, :, 0]
    direct, via = customers & fits, customers & ~at_depot[:, None]
    return Reduced(features, path_roles(features), distances, torch.stack([direct, via], 2), present)
