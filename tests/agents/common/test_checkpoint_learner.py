"""Checkpoints of agents whose acting weights are not those that the optimizer moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from optgap.agents.common.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig


def agent() -> PPO:
    return PPO(GymConfig(id="optgap-test/Corridor-v0"), PPOConfig(hidden_sizes=[4]), seed=5)


def modules(seed: int) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    """The module that acts, the learner, and what moves it, a step on its way."""
    torch.manual_seed(seed)
    acting, learner = nn.Linear(2, 3), nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.1)
    learner(torch.ones(1, 2)).square().sum().backward()
    optimizer.step()
    return acting, learner, optimizer


def written(path: Path, whole: bool = True) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    acting, learner, optimizer = modules(0)
    other = agent()
    other.steps, other.updates = 7, 3
    if whole:
        write_checkpoint(path, other, 5, acting, optimizer, learner=learner)
    else:
        write_checkpoint(path, other, 5, acting)
    return acting, learner, optimizer


def equal(one: nn.Module, other: nn.Module) -> bool:
    found = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in found)


def test_both_modules_and_the_state_come_back(tmp_path: Path) -> None:
    acting, learner, optimizer = written(tmp_path / "a")
    other, restored = modules(1), agent()
    checkpoint: Checkpoint = read_checkpoint(tmp_path / "a")
    checkpoint.restore(restored, other[0], other[2], learner=other[1])
    assert equal(other[0], acting)
    assert equal(other[1], learner)
    assert not equal(other[0], other[1])
    assert (restored.steps, restored.updates) == (7, 3)
    for one, two in zip(learner.parameters(), other[1].parameters(), strict=True):
        for key, value in optimizer.state[one].items():
            assert torch.equal(value, other[2].state[two][key])


def test_without_an_optimizer_the_learner_takes_the_weights(tmp_path: Path) -> None:
    acting, _, _ = written(tmp_path / "a", whole=False)
    other = modules(1)
    read_checkpoint(tmp_path / "a").restore(agent(), other[0], other[2], learner=other[1])
    assert equal(other[0], acting)
    assert equal(other[1], acting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight/value": None}, r"optimizer.safetensors: tensor 'weight' is missing; expected shape \(3, 2\)"),
        ({"weight/value": torch.zeros(4)}, r"optimizer.safetensors: 'weight' has shape \(4,\); expected \(3, 2\)"),
        ({"ghost/value": torch.zeros(4)}, "unexpected tensor 'ghost'"),
        ({"ghost/exp_avg": torch.zeros(4)}, "unexpected tensor 'ghost/exp_avg'"),
        ({"weight/exp_avg": torch.zeros(9)}, "'weight/exp_avg' has shape"),
    ],
)
def test_a_learner_that_does_not_fit_changes_nothing(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    written(tmp_path / "a")
    file = tmp_path / "a" / "optimizer.safetensors"
    tensors = {name: tensor for name, tensor in (load_file(file) | change).items() if tensor is not None}
    save_file(tensors, file)
    other, untouched, restored = modules(1), modules(1), agent()
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / "a").restore(restored, other[0], other[2], learner=other[1])
    assert equal(other[0], untouched[0])
    assert equal(other[1], untouched[1])
    assert restored.steps == 0
