"""The loss of imitation: the expert's next action, its neighbours, and what its solution contains."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from optgap.agents.bq.tasks.task import Targets
from optgap.agents.nn.bq import FAR, Scores


class Losses(NamedTuple):
    """The parts of the loss, means over what is labelled, and how often the likeliest action is an expert's."""

    action: Tensor
    edges: Tensor
    chosen: Tensor
    accuracy: Tensor


def imitation_loss(scores: Scores, targets: Targets) -> Losses:
    """Negative log-likelihood of the targets; rows without a target (cut away with the far nodes) count nothing."""
    batch = len(scores.actions)
    wanted = targets.actions.reshape(batch, -1) & scores.actions.reshape(batch, -1).isfinite()
    known = wanted.any(1)
    logits = scores.actions.reshape(batch, -1)
    # one of several right answers is enough: the probability of all of them together
    right = logits.masked_fill(~wanted, FAR).logsumexp(1) - logits.logsumexp(1)
    count = known.sum().clamp(min=1)
    action = -right.masked_fill(~known, 0.0).sum() / count
    accuracy = (wanted.gather(1, logits.argmax(1, keepdim=True))[:, 0] & known).sum() / count
    zero = torch.zeros((), device=logits.device)
    edges = chosen = zero
    if targets.edges is not None and scores.edges is not None:
        own = torch.eye(scores.edges.shape[1], dtype=torch.bool, device=logits.device)
        logs = scores.edges.masked_fill(own, -torch.inf).log_softmax(2).masked_fill(own, 0.0)
        # the origin's row is what the action's loss asks already
        edges = -(targets.edges[:, 1:] * logs[:, 1:]).sum() / targets.edges[:, 1:].sum().clamp(min=1)
    if targets.chosen is not None:
        asked = torch.isfinite(targets.chosen)
        errors = functional.binary_cross_entropy_with_logits(
            scores.chosen, targets.chosen.nan_to_num(), reduction="none"
        )
        chosen = errors.masked_fill(~asked, 0.0).sum() / asked.sum().clamp(min=1)
    return Losses(action, edges, chosen, accuracy)
