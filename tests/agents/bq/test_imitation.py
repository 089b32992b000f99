"""The loss of imitation, computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from optgap.agents.bq.imitation import imitation_loss
from optgap.agents.bq.tasks.task import Targets
from optgap.agents.nn.bq import FAR, Scores

INF = torch.inf


def marks(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)[:, :, None]


def test_several_right_answers_are_one() -> None:
    """Probabilities 0.5, 0.3, 0.2 of three tokens; of two right ones together 0.8 and, in the other row, 0.2 of one."""
    logits = torch.tensor([[-INF, 0.5, 0.3, 0.2], [0.5, 0.3, 0.2, 0.0]]).log().nan_to_num(neginf=-INF)
    logits[0, 0], logits[1, 3] = -INF, -INF
    scores = Scores(logits[:, :, None] + 7, None, torch.zeros(2, 4))
    losses = imitation_loss(scores, Targets(marks([0, 1, 1, 0], [0, 0, 1, 0]), None, None))
    assert float(losses.action) == pytest.approx(-(math.log(0.8) + math.log(0.2)) / 2, rel=1e-5)
    assert float(losses.accuracy) == 0.5  # the likeliest of the second row is wrong
    assert float(losses.edges) == float(losses.chosen) == 0


def test_rows_without_a_target_and_forbidden_targets_count_nothing() -> None:
    logits = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]]).log()
    logits[1, 1] = -INF
    logits.requires_grad_()
    scores = Scores(logits[:, :, None], None, torch.zeros(3, 2))
    losses = imitation_loss(scores, Targets(marks([0, 0], [0, 1], [0, 1]), None, None))
    assert float(losses.action.detach()) == pytest.approx(-math.log(0.75))
    assert float(losses.accuracy) == 1.0
    losses.action.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
    assert not bool(logits.grad[:2].any())
    nothing = imitation_loss(scores, Targets(torch.zeros(3, 2, 1, dtype=torch.bool), None, None))
    assert float(nothing.action.detach()) == float(nothing.accuracy) == 0.0


def test_actions_of_a_token_are_told_apart() -> None:
    logits = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]]).log()
    wanted = torch.tensor([[[False, True], [True, False]]])
    losses = imitation_loss(Scores(logits, None, torch.zeros(1, 2)), Targets(wanted, None, None))
    assert float(losses.action) == pytest.approx(-math.log(0.5))
    assert float(losses.accuracy) == 0.0


def test_edges_are_a_cross_entropy_over_the_other_tokens() -> None:
    """Of each row but the first, which the next action asks already; a token is never its own neighbour."""
    chance = torch.tensor([[9.0, 0.5, 0.5], [0.25, 9.0, 0.75], [0.6, 0.4, 9.0]]).log()[None]
    targets = torch.tensor([[[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]])
    actions = torch.ones(1, 3, 1, dtype=torch.bool)
    scores = Scores(torch.zeros(1, 3, 1), chance, torch.zeros(1, 3))
    losses = imitation_loss(scores, Targets(actions, targets, None))
    assert float(losses.edges) == pytest.approx(-0.5 * (math.log(0.25) + math.log(0.75)))
    assert float(imitation_loss(scores, Targets(actions, 0 * targets, None)).edges) == 0.0
    padded = torch.full((1, 4, 4), FAR)
    padded[:, :3, :3] = chance
    padded[0, 3] = 0.0
    wider = torch.zeros(1, 4, 4)
    wider[:, :3, :3] = targets
    scores = Scores(torch.zeros(1, 4, 1), padded.requires_grad_(), torch.zeros(1, 4))
    again = imitation_loss(scores, Targets(torch.ones(1, 4, 1, dtype=torch.bool), wider, None)).edges
    assert float(again.detach()) == pytest.approx(float(losses.edges))
    again.backward()
    assert padded.grad is not None
    assert bool(padded.grad.isfinite().all())


def test_what_is_unknown_is_not_asked() -> None:
    logits = torch.tensor([[0.0, 2.0, -5.0, 9.0]], requires_grad=True)
    chosen = torch.tensor([[1.0, 0.0, torch.nan, torch.nan]])
    scores = Scores(torch.zeros(1, 4, 1), None, logits)
    losses = imitation_loss(scores, Targets(torch.ones(1, 4, 1, dtype=torch.bool), None, chosen))
    expected = (math.log(2) + math.log(1 + math.exp(2.0))) / 2
    assert float(losses.chosen.detach()) == pytest.approx(expected)
    losses.chosen.backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-0.25, 0.5 / (1 + math.exp(-2)), 0, 0])
