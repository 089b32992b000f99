"""The policy of the BQ agents: network, view of the problem, and decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.bq.beam import beam
from optgap.agents.bq.decoding import play
from optgap.agents.bq.tasks.task import Task
from optgap.agents.nn.bq import BQNetwork
from optgap.agents.nn.precision import mixed_precision
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
        if generator.device.type != self.device.type:  # noise is drawn where the scores are
            seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
            generator = torch.Generator(self.device).manual_seed(seed)
        _, solutions = play(self.network, self.task, state, nearest=self.nearest, temperature=heat, generator=generator)
        # the state measures in the plane; the instance may round
        costs = [float(self.problem.cost(instance, solution)) for solution in solutions]
        best = costs.index(min(costs) if self.problem.sense == "minimize" else max(costs))
        return costs[best], solutions[best]

    def beam_search(self, instance: Instance, width: int) -> tuple[float, Any]:
        """(cost, solution) of the best leaf of a beam search on ``instance``."""
        solution = beam(self.network, self.task, self.problem, [instance], width, self.nearest)[0]
        return float(self.problem.cost(instance, solution)), solution

    @torch.no_grad()
    def action_logits(self, observation: Mapping[str, Tensor]) -> Tensor:
        """(B, actions) logits of the environment's actions for a batch of its observations, -inf where not allowed.

        Where an episode is over, so that nothing is allowed, all are 0.
        """
        mask = observation["action_mask"]
        over = ~mask.bool().any(1, keepdim=True)
        if bool(over.all()):
            return torch.zeros(mask.shape, device=mask.device)
        reduced, node = self.task.observe(observation)
        with mixed_precision(self.device):
            scores = self.network(reduced).actions
        nodes = mask.shape[1] // self.task.actions
        index = node[:, :, None] + nodes * torch.arange(self.task.actions, device=node.device)
        empty = torch.full(mask.shape, -torch.inf, device=node.device)
        return empty.scatter_(1, index.flatten(1), scores.flatten(1)).masked_fill(over, 0.0)

    def play_instances(self, instances: Sequence[Any]) -> list[NDArray[np.int64]]:
        """Greedy solutions of instances of one size, all at once."""
        return play(self.network, self.task, self.task.start(instances, self.device), nearest=self.nearest)[1]
