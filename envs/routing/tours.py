"""Batches of travelling-salesman episodes, symmetric and asymmetric."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import Instance
from optgap.co.dynamics.network import empty_network, put_matrices, put_network, put_points
from optgap.co.dynamics.routing import tsp_reset_batch, tsp_step_batch
from optgap.co.problems.tsp import ATSPInstance, TSPInstance
from optgap.envs.batched import Observation
from optgap.envs.routing.batch import InstanceSource, RoutingBatch, scale_nodes


class TSPBatch(RoutingBatch):
    """Episodes of ``optgap/TSP-v0``."""

    problem = "tsp"
    kind: ClassVar[type[Instance]] = TSPInstance
    constants = ("nodes", "destination")

    def __init__(self, copies: int, nodes: int, source: InstanceSource) -> None:
        super().__init__(copies, nodes, source)
        self.network = empty_network(copies, nodes)
        self.destination = np.zeros(copies, np.int64)
        self.graph: NDArray[np.float32] = self._empty_graph(copies)
        self.scale = np.zeros(copies)  # of the positions; not shown

    def _empty_graph(self, copies: int) -> NDArray[np.float32]:
        return np.zeros((copies, self.nodes, 2), np.float32)

    @staticmethod
    def size_of(instance: Any) -> int:
        return int(instance.n_nodes)

    @staticmethod
    def playable(instance: Any) -> bool:
        return bool(instance.n_nodes >= 2)

    def actions(self, instance: Any, solution: Any) -> list[int]:
        tour = np.asarray(solution, dtype=np.int64)
        return [int(node) for node in np.roll(tour, -int(np.argmin(tour)))[1:]]

    def _write(self, b: int, instance: Any) -> None:
        self.network = put_network(self.network, b, instance)
        scale_nodes(np.array([b]), instance.positions[None], self.graph, self.scale)

    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        put_points(self.network, copies, fields["coordinates"])
        scale_nodes(copies, fields["coordinates"], self.graph, self.scale)

    def _restart(self, which: NDArray[np.bool_]) -> None:
        tsp_reset_batch(self.network, self.state, which)

    def _step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> int:
        return int(tsp_step_batch(self.network, self.state, action, skip, self.reward, self.done))

    def observation(self) -> Observation:
        return {
            "nodes": self.graph,
            "origin": self.state.origin,
            "destination": self.destination,
            "action_mask": self.state.mask,
        }

    def info(self) -> Observation:
        return {"length": self.state.length}

    def observation_space(self) -> spaces.Dict:
        """Space of one copy's observation."""
        return spaces.Dict(
            {
                "nodes": spaces.Box(0, 1, (self.nodes, 2), np.float32),
                "origin": spaces.Discrete(self.nodes),
                "destination": spaces.Discrete(self.nodes),
                "action_mask": spaces.Box(0, 1, (self.nodes,), np.int8),
            }
        )


class ATSPBatch(TSPBatch):
    """Episodes of ``optgap/ATSP-v0``: the matrix of distances in the place of positions."""

    problem, sized = "atsp", "matrix"
    kind: ClassVar[type[Instance]] = ATSPInstance
    constants = ("distances", "destination")

    def _empty_graph(self, copies: int) -> NDArray[np.float32]:
        return np.zeros((copies, self.nodes, self.nodes), np.float32)

    def _write(self, b: int, instance: Any) -> None:
        self._write_drawn(np.array([b]), {"matrix": instance.matrix[None]})

    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        matrices = fields["matrix"]
        n, most = matrices.shape[1], matrices.max((1, 2), keepdims=True)
        self.network = put_matrices(self.network, copies, matrices)
        self.graph[copies, :n, :n] = matrices / np.where(most > 0.0, most, 1.0)
        self.graph[copies, n:] = 0.0
        self.graph[copies, :n, n:] = 0.0

    def observation(self) -> Observation:
        seen = super().observation()
        return {"distances": seen.pop("nodes"), **seen}

    def observation_space(self) -> spaces.Dict:
        """Space of one copy's observation."""
        found = dict(super().observation_space().spaces)
        del found["nodes"]
        return spaces.Dict({"distances": spaces.Box(0, 1, (self.nodes, self.nodes), np.float32), **found})
