"""Fast rollouts of a scheduling network: all copies of all instances in one kernel and one forward pass a decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.nn.job_shop import JobShopNetwork
from optgap.co.problems.job_shop import JobShopInstance
from optgap.envs.scheduling.batch import ShopBatch

DONE = -1


def batch_of(env_config: Any, instances: Sequence[JobShopInstance], copies: int) -> ShopBatch:
    """``copies`` episodes of each instance (next to each other), at their first decision, candidates observed alone."""
    size = tuple(max(getattr(i, f"n_{what}") for i in instances) for what in ("jobs", "operations", "machines"))
    config = dataclasses.replace(env_config, instances=list(instances), padding=size, graph=False)
    batch: ShopBatch = config.batch(len(instances) * copies)
    batch.options = batch.options._replace(candidates_only=True)
    for b in range(len(instances) * copies):
        batch.put(b, instances[b // copies])
    batch.restart(np.ones(len(instances) * copies, np.bool_))
    return batch


def encode(network: JobShopNetwork, batch: ShopBatch, copies: int, device: torch.device) -> Tensor:
    """(I, N, hidden) encodings of the instances of a batch made by :func:`batch_of`."""
    seen = batch.seen
    return network.encode(
        *(
            torch.from_numpy(x[::copies].copy()).to(device)
            for x in (seen.route, seen.operation_job, seen.operation_machine)
        )
    )


def scores(network: JobShopNetwork, encoded: Tensor, decisions: Decisions) -> tuple[Tensor, Tensor]:
    """Scores of the candidates (C,) and of waiting (D,)."""
    return network.score(
        encoded[decisions.instance[decisions.row], decisions.operation],
        decisions.row,
        decisions.jobs,
        decisions.shop,
        len(decisions.instance),
    )


@dataclasses.dataclass
class Decisions:
    """D decisions with C candidates between them, as tensors."""

    row: Tensor  # (C,) int64 decision of each candidate
    job: Tensor  # (C,) int64 its job
    operation: Tensor  # (C,) int64 its next operation
    jobs: Tensor  # (C, 32) float32 features of its job
    shop: Tensor  # (D, 10) float32
    instance: Tensor  # (D,) int64 row of the encodings
    wait: Tensor  # (D,) bool: waiting is allowed

    @classmethod
    def of(cls, batch: ShopBatch, live: NDArray[np.int64], copies: int, device: torch.device) -> Decisions:
        """The present decisions of the copies ``live`` (D,) of a batch made by :func:`batch_of`."""
        seen = batch.seen
        mask = seen.action_mask[live]
        row, job = np.nonzero(mask[:, : batch.jobs])
        at = live[row]
        wait = mask[:, batch.jobs] > 0 if batch.n_actions > batch.jobs else np.zeros(len(live), np.bool_)
        arrays = (row, job, seen.next_operation[at, job], seen.jobs[at, job], seen.shop[live], live // copies, wait)
        return cls(*(torch.from_numpy(x).to(device) for x in arrays))

    @classmethod
    def join(cls, parts: Sequence[Decisions]) -> Decisions:
        """One after the other."""
        offset = np.cumsum([0, *(len(p.instance) for p in parts)])
        joined = {f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)}
        joined["row"] = torch.cat([p.row + int(o) for p, o in zip(parts, offset[:-1], strict=True)])
        return cls(**joined)


@torch.no_grad()
def play(
    network: JobShopNetwork,
    batch: ShopBatch,
    copies: int,
    device: torch.device,
    *,
    greedy: bool = False,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> NDArray[np.int64]:
    """Play every copy of a batch made by :func:`batch_of` to its end.

    Returns:
        (T, B) int64 actions, DONE after a copy's last; ``batch.state`` holds the schedules and makespans.
    """
    encoded = encode(network, batch, copies, device)
    action = np.zeros(len(batch.done), np.int64)
    history = []
    while not batch.done.all():
        live = np.flatnonzero(~batch.done)
        decisions = Decisions.of(batch, live, copies, device)
        candidate, wait = scores(network, encoded, decisions)
        logits = torch.full((len(live), batch.n_actions), -torch.inf, device=device)
        logits[decisions.row, decisions.job] = candidate
        if batch.n_actions > batch.jobs:
            logits[:, batch.jobs] = torch.where(decisions.wait, wait, -torch.inf)
        if not greedy:  # the maximum of Gumbel-perturbed logits is a sample of the softmax
            uniform = torch.rand(logits.shape, generator=generator).to(device).clamp(1e-20, 1 - 1e-7)
            logits = logits / temperature - torch.log(-torch.log(uniform))
        action[:] = DONE
        action[live] = logits.argmax(1).cpu().numpy()
        history.append(action.copy())
        batch.step(action, batch.done.copy())
    return np.array(history)


def record(
    batch: ShopBatch, actions: NDArray[np.int64], device: torch.device, copies: int = 1
) -> tuple[Decisions, Tensor, Tensor]:
    """Replay ``actions`` (T, B) in a batch made by :func:`batch_of` with ``copies`` episodes an instance.

    Returns:
        The D decisions met, (D,) the action taken at each, (D,) the copy in which it was taken.
    """
    parts, taken, where = [], [], []
    for action in actions:
        live = np.flatnonzero(~batch.done)
        parts.append(Decisions.of(batch, live, copies, device))
        taken.append(action[live])
        where.append(live)
        batch.step(action, batch.done.copy())
    action_taken, copy = (torch.from_numpy(np.concatenate(x)).to(device) for x in (taken, where))
    return Decisions.join(parts), action_taken, copy


def log_probability(
    network: JobShopNetwork, encoded: Tensor, decisions: Decisions, action: Tensor, n_jobs: int
) -> Tensor:
    """(D,) log-probability of ``action`` (D,) at each decision; action ``n_jobs`` is waiting."""
    candidate, wait = scores(network, encoded, decisions)
    wait = wait.masked_fill(~decisions.wait, -torch.inf)
    most = torch.maximum(
        wait.detach(),
        candidate.new_full(wait.shape, -torch.inf).scatter_reduce(0, decisions.row, candidate.detach(), "amax"),
    )
    total = torch.exp(wait - most).index_add(0, decisions.row, torch.exp(candidate - most[decisions.row]))
    chosen = torch.nonzero(decisions.job == action[decisions.row]).squeeze(1)
    score = torch.where(action == n_jobs, wait, torch.zeros_like(wait)).index_add(
        0, decisions.row[chosen], candidate[chosen]
    )
    return score - most - torch.log(total)
