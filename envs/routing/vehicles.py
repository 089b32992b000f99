"""Batches of episodes of the capacitated vehicle routing problem."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.dynamics.network import empty_network, put_network, put_points
from optgap.co.dynamics.routing import Loads, cvrp_reset_batch, cvrp_step_batch
from optgap.co.problems.cvrp import CVRPInstance, split_routes
from optgap.envs.batched import Observation
from optgap.envs.routing.batch import InstanceSource, RoutingBatch, scale_nodes


class CVRPBatch(RoutingBatch):
    """Episodes of ``optgap/CVRP-v0``; N counts the depot."""

    problem, kind = "cvrp", CVRPInstance
    constants = ("nodes", "demand")

    def __init__(self, copies: int, nodes: int, source: InstanceSource) -> None:
        super().__init__(copies, nodes, source, actions=2 * nodes, longest=2 * nodes)
        self.network = empty_network(copies, nodes)
        self.loads = Loads(np.zeros((copies, nodes)), np.zeros(copies), np.ones(copies))
        self.positions = np.zeros((copies, nodes, 2), np.float32)
        self.demand = np.zeros((copies, nodes), np.float32)
        self.scale = np.zeros(copies)  # of the positions; not shown
        self.room = np.zeros((copies, 1), np.float32)

    @staticmethod
    def size_of(instance: Any) -> int:
        return int(instance.n_nodes)

    @staticmethod
    def playable(instance: Any) -> bool:
        return True  # an instance has a customer, and no demand above the capacity

    def actions(self, instance: Any, solution: Any) -> list[int]:
        found: list[int] = []
        for route in split_routes(solution):
            first, *others = route.tolist()
            found += [first + self.nodes if found else first, *others]
        return found

    def _write(self, b: int, instance: Any) -> None:
        copy = np.array([b])
        self.network = put_network(self.network, b, instance)
        scale_nodes(copy, instance.positions[None], self.positions, self.scale)
        self._load(copy, instance.demand[None], instance.capacity)

    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        put_points(self.network, copies, fields["coordinates"])
        scale_nodes(copies, fields["coordinates"], self.positions, self.scale)
        self._load(copies, fields["demand"], fields["capacity"])

    def _load(self, copies: NDArray[np.int64], demand: NDArray[np.float64], capacity: float) -> None:
        n = demand.shape[1]
        self.loads.size[copies, :n] = demand
        self.loads.size[copies, n:] = 0.0
        self.loads.largest[copies] = demand.max(1)
        self.loads.capacity[copies] = capacity
        self.demand[copies, :n] = demand / capacity
        self.demand[copies, n:] = 0.0

    def _restart(self, which: NDArray[np.bool_]) -> None:
        cvrp_reset_batch(self.network, self.loads, self.state, which)

    def _step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> int:
        return int(cvrp_step_batch(self.network, self.loads, self.state, action, skip, self.reward, self.done))

    def observation(self) -> Observation:
        np.maximum(1.0 - self.state.load / self.loads.capacity, 0.0, out=self.room[:, 0], casting="same_kind")
        return {
            "nodes": self.positions,
            "demand": self.demand,
            "origin": self.state.origin,
            "capacity": self.room,
            "action_mask": self.state.mask,
        }

    def info(self) -> Observation:
        return {"length": self.state.length}

    def observation_space(self) -> spaces.Dict:
        """Space of one copy's observation."""
        return spaces.Dict(
            {
                "nodes": spaces.Box(0, 1, (self.nodes, 2), np.float32),
                "demand": spaces.Box(0, 1, (self.nodes,), np.float32),
                "origin": spaces.Discrete(self.nodes),
                "capacity": spaces.Box(0, 1, (1,), np.float32),
                "action_mask": spaces.Box(0, 1, (self.n_actions,), np.int8),
            }
        )
