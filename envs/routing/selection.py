"""Batches of episodes that collect what they can: the orienteering problem and the knapsack."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.dynamics.knapsack import kp_reset_batch, kp_step_batch
from optgap.co.dynamics.network import empty_network, put_network, put_points
from optgap.co.dynamics.routing import SLACK, Loads, Prizes, op_reset_batch, op_step_batch
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.envs.batched import Observation
from optgap.envs.routing.batch import InstanceSource, RoutingBatch, scale_nodes

HEAVIEST = 2.0  # share of the capacity that the observation of a heavier item shows


class OrienteeringBatch(RoutingBatch):
    """Episodes of ``optgap/OP-v0``."""

    problem, kind = "op", OrienteeringInstance
    constants = ("nodes", "prize", "destination")

    def __init__(self, copies: int, nodes: int, source: InstanceSource) -> None:
        super().__init__(copies, nodes, source, longest=nodes + 1)
        self.network = empty_network(copies, nodes)
        empty, node = np.zeros((copies, nodes)), np.zeros(copies, np.int64)
        self.prizes = Prizes(empty, empty.copy(), np.zeros(copies), node, node.copy())
        self.positions = np.zeros((copies, nodes, 2), np.float32)
        self.prize = np.zeros((copies, nodes), np.float32)
        self.scale = np.zeros(copies)  # lengths of the observation per length of the instance
        self.budget = np.zeros((copies, 1), np.float32)

    @staticmethod
    def size_of(instance: Any) -> int:
        return int(instance.n_nodes)

    @staticmethod
    def playable(instance: Any) -> bool:
        nodes = np.arange(instance.n_nodes)
        detour = instance.distance(instance.start, nodes) + instance.distance(nodes, instance.end)
        detour[[instance.start, instance.end]] = np.inf
        return bool(detour.min() <= instance.limit * SLACK)

    def actions(self, instance: Any, solution: Any) -> list[int]:
        return [int(node) for node in solution if node not in (instance.start, instance.end)]

    def _write(self, b: int, instance: Any) -> None:
        copy, points, end = np.array([b]), instance.positions, instance.end
        home = instance.distance(np.arange(instance.n_nodes), end)
        self.network = put_network(self.network, b, instance)
        scale_nodes(copy, points[None], self.positions, self.scale)
        if instance.metric != "euclidean":  # a length of the plane per length of the metric, on average
            plane = np.sqrt(((points - points[end]) ** 2).sum(1)).sum()
            self.scale[b] *= plane / (home.sum() or 1.0)
        self.prizes.start[b], self.prizes.end[b] = instance.start, end
        self._offer(copy, instance.prize[None], home[None], instance.limit)

    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        points = fields["coordinates"]
        put_points(self.network, copies, points)
        scale_nodes(copies, points, self.positions, self.scale)
        self.prizes.start[copies] = self.prizes.end[copies] = 0
        home = np.sqrt(((points - points[:, :1]) ** 2).sum(2))
        self._offer(copies, fields["prize"], home, fields["limit"])

    def _offer(
        self,
        copies: NDArray[np.int64],
        prize: NDArray[np.float64],
        home: NDArray[np.float64],
        limit: float | NDArray[np.float64],
    ) -> None:
        n, most = prize.shape[1], prize.max(1, keepdims=True)
        self.prizes.prize[copies, :n] = prize
        self.prizes.prize[copies, n:] = 0.0
        self.prizes.home[copies, :n] = home
        self.prizes.limit[copies] = limit
        self.prize[copies, :n] = prize / np.where(most > 0.0, most, 1.0)
        self.prize[copies, n:] = 0.0

    def _restart(self, which: NDArray[np.bool_]) -> None:
        op_reset_batch(self.network, self.prizes, self.state, which)

    def _step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> int:
        return int(op_step_batch(self.network, self.prizes, self.state, action, skip, self.reward, self.done))

    def observation(self) -> Observation:
        rest = (self.prizes.limit - self.state.length) * self.scale
        np.clip(rest, 0.0, 2.0 * self.nodes, out=self.budget[:, 0], casting="same_kind")
        return {
            "nodes": self.positions,
            "prize": self.prize,
            "origin": self.state.origin,
            "destination": self.prizes.end,
            "budget": self.budget,
            "action_mask": self.state.mask,
        }

    def info(self) -> Observation:
        return {"prize": self.state.gain, "length": self.state.length}

    def observation_space(self) -> spaces.Dict:
        """Space of one copy's observation."""
        return spaces.Dict(
            {
                "nodes": spaces.Box(0, 1, (self.nodes, 2), np.float32),
                "prize": spaces.Box(0, 1, (self.nodes,), np.float32),
                "origin": spaces.Discrete(self.nodes),
                "destination": spaces.Discrete(self.nodes),
                "budget": spaces.Box(0, 2 * self.nodes, (1,), np.float32),
                "action_mask": spaces.Box(0, 1, (self.n_actions,), np.int8),
            }
        )


class KnapsackBatch(RoutingBatch):
    """Episodes of ``optgap/KP-v0``; N counts the items."""

    problem, kind, parts, sized = "kp", KnapsackInstance, "items", "value"
    constants = ("items",)

    def __init__(self, copies: int, nodes: int, source: InstanceSource) -> None:
        super().__init__(copies, nodes, source)
        self.n_items = np.zeros(copies, np.int64)
        self.loads = Loads(np.zeros((copies, nodes)), np.zeros(copies), np.ones(copies))
        self.value = np.zeros((copies, nodes))
        self.unit = np.ones(copies)  # of weights: the capacity, where it is not 0
        self.items = np.zeros((copies, nodes, 2), np.float32)
        self.room = np.zeros((copies, 1), np.float32)

    @staticmethod
    def size_of(instance: Any) -> int:
        return int(instance.n_items)

    @staticmethod
    def playable(instance: Any) -> bool:
        return bool(instance.weight.min() <= instance.capacity * SLACK)

    def actions(self, instance: Any, solution: Any) -> list[int]:
        return [int(item) for item in solution]

    def _write(self, b: int, instance: Any) -> None:
        self._offer(np.array([b]), instance.value[None], instance.weight[None], instance.capacity)

    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        self._offer(copies, fields["value"], fields["weight"], fields["capacity"])

    def _offer(
        self, copies: NDArray[np.int64], value: NDArray[np.float64], weight: NDArray[np.float64], capacity: float
    ) -> None:
        n, most = value.shape[1], value.max(1, keepdims=True)
        self.n_items[copies] = n
        self.loads.size[copies, :n] = weight
        self.loads.largest[copies] = weight.max(1)
        self.loads.capacity[copies] = capacity
        self.value[copies, :n] = value
        self.unit[copies] = capacity or 1.0
        self.items[copies, :n, 0] = value / np.where(most > 0.0, most, 1.0)
        self.items[copies, :n, 1] = np.minimum(weight / (capacity or 1.0), HEAVIEST)
        self.items[copies, n:] = 0.0

    def _restart(self, which: NDArray[np.bool_]) -> None:
        kp_reset_batch(self.n_items, self.loads, self.state, which)

    def _step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> int:
        return int(kp_step_batch(self.loads, self.value, self.state, action, skip, self.reward, self.done))

    def observation(self) -> Observation:
        rest = (self.loads.capacity - self.state.load) / self.unit
        np.maximum(rest, 0.0, out=self.room[:, 0], casting="same_kind")
        return {"items": self.items, "capacity": self.room, "action_mask": self.state.mask}

    def info(self) -> Observation:
        return {"value": self.state.gain, "weight": self.state.load}

    def observation_space(self) -> spaces.Dict:
        """Space of one copy's observation."""
        high = np.broadcast_to(np.array([1.0, HEAVIEST], np.float32), (self.nodes, 2))
        return spaces.Dict(
            {
                "items": spaces.Box(np.zeros_like(high), high.copy(), dtype=np.float32),
                "capacity": spaces.Box(0, 1, (1,), np.float32),
                "action_mask": spaces.Box(0, 1, (self.n_actions,), np.int8),
            }
        )
