"""BQ trained without labels: the network searches solutions, imitates the best of each instance, and so on.

Self-improvement as in Pirnay and Grimm (2024, arXiv 2403.15180): the weights that act sample solutions of random
instances without replacement, by stochastic beam search; the best one of each is what the learner imitates, on random
sub-instances as :class:`optgap.agents.bq.agent.BQ` does with labels of heuristics. Added: a beam search that merges equal
states takes part. On 20-node tours it finds more than as many samples do, most of all where training begins.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.bq.agent import BQ
from optgap.agents.bq.beam import SPARE, beam_search, sample_without_replacement
from optgap.agents.bq.config import BQConfig, SILConfig
from optgap.agents.bq.decoding import play
from optgap.agents.bq.labels import RenewedPool
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.common.checkpoint import STATE, WEIGHTS, read_checkpoint
from optgap.agents.common.contracts import Callback
from optgap.agents.common.seeding import Stream, derived_seed
from optgap.agents.common.weights import require_weights
from optgap.co.core import InputError

FIRST = 4  # times the instances of a pool interval, with which an epoch begins
TOKENS = {"cpu": 2**16, "cuda": 2**20}  # decoded at once


class Found(NamedTuple):
    """The best of what a policy decoded."""

    solutions: list[NDArray[np.int64]]
    costs: NDArray[np.float64]  # (I,) of the solutions, in the problem's sense
    greedy: NDArray[np.float64]  # (I,) costs of greedy decoding
    entropy: float  # nats, of what is sampled from over whole sequences of actions; an unbiased estimate


class SelfImprovingBQ(BQ):
    """Imitation of the best of the network's own samples; the average of the weights samples and acts.

    Args:
        env_config: a routing configuration (``env=tsp``, ``atsp``, ``cvrp``, ``op``, ``kp``).
        config: hyperparameters.
        seed: with the update counter, the source of every random number.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        InputError: the environment is of another kind; ``config.start`` names no weights of this problem and size.
    """

    config_class: type[SILConfig] = SILConfig
    config: SILConfig

    def __init__(self, env_config: Any, config: SILConfig | None = None, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(env_config, config, seed, device)
        self._pool = RenewedPool(self.config.pool_interval, self.config.epoch_updates, FIRST)
        self._figures: dict[str, float] = {}
        if self.config.start is not None:
            self._begin_with(self.config.start)
            # what is saved is whole: loading it reads the other weights no more
            self.config = dataclasses.replace(self.config, start=None)

    def _begin_with(self, name: str) -> None:
        checkpoint = read_checkpoint(require_weights(name))
        problem, size = checkpoint.env_config.problem, getattr(checkpoint.config, "size", None)
        expected = f"expected a BQ agent for {self.env_config.problem} of size {self.config.size}"
        if not isinstance(checkpoint.config, BQConfig) or (problem, size) != (
            self.env_config.problem,
            self.config.size,
        ):
            kind = type(checkpoint.config).__name__
            raise InputError(f"start: {checkpoint.path / STATE} is of {kind}, {problem}, size {size}; {expected}")
        for module in (self.policy, self.learner):
            try:
                module.load_state_dict(checkpoint.weights)
            except RuntimeError:
                raise InputError(f"start: {checkpoint.path / WEIGHTS} holds other tensors; {expected}") from None

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; a step is one sub-instance of one solution."""
        while self.steps < total_steps:
            begun = time.perf_counter()
            self._grow()
            decoded = time.perf_counter() - begun
            metrics = self._update(self._pool, self.steps / max(total_steps, 1)) | self._figures
            metrics["time/decoding"] = decoded
            metrics["time/steps_per_second"] = metrics.pop("steps") / (time.perf_counter() - begun)
            if callback is not None and callback(self, metrics) is False:
                break
        return self

    def _grow(self) -> None:
        """Solve new instances where the update counter says so; an epoch begins with an empty pool.

        At such an update the pool depends on seed, counter and weights alone: a run resumed there goes on the same.
        """
        config, times = self.config, self._pool.due(self.updates)
        if not times:
            return
        seed = derived_seed(self.seed, self.updates, Stream.ENVIRONMENT)
        generator = torch.Generator(self.device).manual_seed(seed)
        draw, rng = self.env_config.source(), np.random.default_rng(seed)
        groups: dict[int, list[Any]] = defaultdict(list)  # what is decoded together has one size
        for _ in range(self._instances() * times):
            instance = draw(rng)
            groups[self.env_config.batch_class.size_of(instance)].append(instance)
        parts = []
        for size, instances in groups.items():
            rows = max(1, TOKENS[self.device.type] // (size * max(config.width, SPARE * config.beam)))
            for first in range(0, len(instances), rows):
                some = instances[first : first + rows]
                found = decode(self.policy, some, config, generator)
                self._pool.add(self.task.encode(some, found.solutions))
                parts.append(found)
        costs, greedy = (np.concatenate([getattr(part, name) for part in parts]) for name in ("costs", "greedy"))
        weights = [len(part.costs) for part in parts]
        self._figures = {
            "pool/cost": float(costs.mean()),
            "pool/gain_over_greedy": float(abs(costs - greedy).sum() / greedy.sum()),
            "pool/entropy": float(np.average([part.entropy for part in parts], weights=weights)),
        }

    def _instances(self) -> int:
        """Instances a pool interval, such that training uses a solution's decisions ``reuse`` times each."""
        config, nodes = self.config, int(self.env_config.size())
        drawn = config.pool_interval * config.tokens / (nodes / 2)  # sub-instances; on average half of the nodes remain
        return math.ceil(drawn / (config.reuse * nodes))


def decode(policy: BQPolicy, instances: Sequence[Any], config: SILConfig, generator: torch.Generator) -> Found:
    """The best of greedy decoding, beam search and samples without replacement, of instances of one size."""
    task, network, nearest = policy.task, policy.network, policy.nearest
    sign = 1.0 if policy.problem.sense == "minimize" else -1.0
    state = task.start(instances, policy.device)
    greedy, solutions = play(network, task, state, nearest=nearest)
    sampled = sample_without_replacement(network, task, state, config.width, config.temperature, generator, nearest)
    # the first of each is a sample of the policy; minus its log-probability has the entropy as its mean
    entropy = -float(np.mean([leaves[0].log_probability for leaves in sampled]))
    costs = greedy.copy()
    found = [sampled]
    if config.beam > 1:
        found.append(beam_search(network, task, state, config.beam, sign, nearest))
    for index, leaves in enumerate(chain.from_iterable(one) for one in zip(*found, strict=True)):
        best = min(leaves, key=lambda leaf: sign * leaf.cost)
        if sign * best.cost < sign * greedy[index]:
            costs[index], solutions[index] = best.cost, best.solution
    return Found(solutions, costs, greedy, entropy)
