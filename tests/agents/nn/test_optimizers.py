"""Muon and AdamW as one optimizer: each on its own parameters, each as it is alone, and its state survives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

from optgap.agents.nn.optimizers import OTHERS, MuonAdamW, muon_adamw


class Model(nn.Module):
    """An embedding, a hidden layer, a score."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.hidden, self.score = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def loss(self) -> Tensor:
        seen = torch.linspace(-1, 1, 15).view(5, 3).sin()
        value: Tensor = (self.score(self.hidden(self.embed(seen)).tanh()) - seen[:, :1]).square().sum()
        return value


def optimizer_of(model: Model) -> MuonAdamW:
    return muon_adamw(model, 0.1, 0.01, hidden=lambda name: name.startswith("hidden"))


def step(model: Model, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model.loss().backward()
    optimizer.step()


def test_matrices_of_hidden_layers_are_muons() -> None:
    model = Model()
    muon, adamw = optimizer_of(model).param_groups
    assert [id(p) for p in muon["params"]] == [id(model.hidden.weight)]  # its bias has one axis
    assert len(adamw["params"]) == 5
    assert (muon["factor"], adamw["factor"]) == (1.0, OTHERS)
    assert (muon["lr"], adamw["lr"]) == (0.1, pytest.approx(0.1 * OTHERS))
    assert muon["weight_decay"] == adamw["weight_decay"] == 0.01


def test_it_steps_as_the_two_do_alone() -> None:
    model, other = Model(), Model()
    optimizer = optimizer_of(model)
    muon = Muon([other.hidden.weight], lr=0.1, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    rest = [p for name, p in other.named_parameters() if name != "hidden.weight"]
    adamw = AdamW(rest, lr=0.1 * OTHERS, weight_decay=0.01)
    for rate in (0.1, 0.1, 0.02):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        muon.param_groups[0]["lr"], adamw.param_groups[0]["lr"] = rate, rate * OTHERS
        step(model, optimizer)
        muon.zero_grad()
        adamw.zero_grad()
        other.loss().backward()
        muon.step()
        adamw.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_its_state_survives() -> None:
    model = Model()
    optimizer = optimizer_of(model)
    step(model, optimizer)
    later = Model()
    later.load_state_dict(model.state_dict())
    other = optimizer_of(later)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert [group["factor"] for group in other.param_groups] == [1.0, OTHERS]
    for _ in range(2):
        step(model, optimizer)
        step(later, other)
    for one, two in zip(model.parameters(), later.parameters(), strict=True):
        assert torch.equal(one, two)
    fresh = Model()
    fresh.load_state_dict(model.state_dict())
    step(fresh, optimizer_of(fresh))
    step(model, optimizer)
    assert not torch.equal(fresh.hidden.weight, model.hidden.weight)  # the state is what made the difference


def test_it_takes_no_closure() -> None:
    with pytest.raises(TypeError, match="closure"):
        optimizer_of(Model()).step(lambda: 0.0)
