"""Iterative improvement with a BQ network: random pieces of the incumbent are solved anew, all in one batch.

The scheme of LEHD's random re-construction (Luo et al., NeurIPS 2023) and its successors, with one difference: beside
the greedy answer each piece is sampled, and the best of all counts. A piece is replaced only where that is shorter by
the instance's own metric, so the incumbent never worsens.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.bq.decoding import play
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import Task
from optgap.agents.common.tensors import torch_threads
from optgap.co.core import Budget, Incumbent, InputError, Instance, Result, Solver, Status

GAIN = 1e-9  # relative: a smaller gain is an error of rounding


class ReconstructionSolver:
    """Improve an incumbent until the budget's seconds are over.

    Args:
        policy: of a trained BQ agent on the TSP, ATSP or CVRP.
        start: gives the incumbent to begin with; None: the policy's own greedy solution.
        sizes: least and most nodes of a piece; each round draws one number.
        samples: solutions of a piece a round, the greedy one included.
        temperature: of the others.

    Raises:
        InputError: a value is out of its range, or the policy plays another problem.
    """

    def __init__(
        self,
        policy: BQPolicy,
        start: Solver[Any] | None = None,
        sizes: tuple[int, int] = (50, 100),
        samples: int = 4,
        temperature: float = 1.0,
    ) -> None:
        if not 4 <= sizes[0] <= sizes[1] or samples < 1 or not temperature > 0:
            raise InputError(
                f"sizes {sizes}, samples {samples}, temperature {temperature}; expected 4 <= least <= most, 1 or more, above 0"
            )
        if type(policy.task).pieces is Task.pieces:
            raise InputError(f"re-construction of {policy.problem.name}: expected a policy of tsp, atsp or cvrp")
        self.policy, self.start, self.sizes = policy, start, sizes
        self.samples, self.temperature = samples, temperature

    def __call__(self, instance: Instance, budget: Budget) -> Result:
        begun = time.perf_counter()
        problem = self.policy.problem
        rng = np.random.default_rng(budget.seed)
        generator = torch.Generator(self.policy.device).manual_seed(budget.seed)
        with torch_threads(budget.threads):
            if self.start is None:
                solution = self.policy.play_instances([instance])[0]
            else:
                first = self.start(instance, budget)
                if first.solution is None:
                    return first
                solution = first.solution
            cost = float(problem.cost(instance, solution))
            incumbents = [Incumbent(time.perf_counter() - begun, cost, None)]
            try:
                while time.perf_counter() - begun < budget.seconds:
                    better = self.improve(instance, solution, rng, generator)
                    if better is None:
                        break
                    solution = better
                    now = float(problem.cost(instance, solution))
                    if now < cost:
                        cost = now
                        incumbents.append(Incumbent(time.perf_counter() - begun, cost, None))
            except KeyboardInterrupt:
                pass
        return Result(solution, Status.FEASIBLE, incumbents=tuple(incumbents))

    def improve(
        self, instance: Any, solution: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator
    ) -> NDArray[np.int64] | None:
        """One round: cut, solve, keep what is shorter; None where the instance is too small to be cut."""
        task, device = self.policy.task, self.policy.device
        size = int(rng.integers(self.sizes[0], self.sizes[1] + 1))
        pieces = task.pieces(instance, solution, size, rng, device)
        if pieces is None:
            return None
        count = len(pieces.old)
        state = pieces.state.select(torch.arange(count, device=device).repeat_interleave(self.samples))
        heat = torch.full((count, self.samples), self.temperature, device=device)
        heat[:, 0] = 0.0
        _, found = play(
            self.policy.network,
            task,
            state,
            nearest=self.policy.nearest,
            temperature=heat.flatten(),
            generator=generator,
        )
        kept = []
        for piece, old in enumerate(pieces.old):
            best, length = old, instance.length(old) * (1 - GAIN)
            for local in found[piece * self.samples : (piece + 1) * self.samples]:
                new = pieces.new(piece, local)
                if (other := instance.length(new)) < length:
                    best, length = new, other
            kept.append(best)
        return pieces.join(kept)
