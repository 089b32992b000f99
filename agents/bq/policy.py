"""The policy of the BQ agents: network, view of the problem, and decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from optgap.agents.bq.decoding import play
from optgap.agents.bq.tasks.task import Task
from optgap.agents.nn.bq import BQNetwork
from optgap.co.core import PROBLEMS, Instance


class BQPolicy(nn.Module):
    """Plays instances with a network.

    Args:
        problem: its name in the registry.
        task: its view.
        shape: width, layers, heads, hidden of the network.
        nearest: candidates that decoding looks at; None: all.
    """

    def __init__(self, problem: str, task: Task, shape: tuple[int, int, int, int], nearest: int | None) -> None:
        super().__init__()
        width, layers, heads, hidden = shape
        self.problem, self.task, self.nearest = PROBLEMS.load(problem), task, nearest
        self.network = BQNetwork(
            task.features,
            task.actions,
            width=width,
            layers=layers,
            heads=heads,
            hidden=hidden,
            edges=task.edges,
            symmetric=task.symmetric,
            rotary=task.planar,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def play_copies(
        self,
        env_config: Any,
        instance: Instance,
        copies: int,
        greedy: bool,
        temperature: float,
        generator: torch.Generator,
    ) -> tuple[float, Any]:
        """(cost, solution) of the best of ``copies`` episodes on ``instance``."""
        state = self.task.start([instance], self.device)
        state = state.select(torch.zeros(copies, dtype=torch.int64, device=self.device))
        heat = 0.0 if greedy else temperature
        costs, solutions = play(
            self.network, self.task, state, nearest=self.nearest, temperature=heat, generator=generator
        )
        best = int(costs.argmin() if self.problem.sense == "minimize" else costs.argmax())
        return float(self.problem.cost(instance, solutions[best])), solutions[best]

    def play_instances(self, instances: Sequence[Any]) -> list[NDArray[np.int64]]:
        """Greedy solutions of instances of one size, all at once."""
        return play(self.network, self.task, self.task.start(instances, self.device), nearest=self.nearest)[1]
