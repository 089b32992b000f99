"""DeRL's exploiter: its loss by hand, who acts when, and that neither of the two moves the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.exploration.config import DeRLA2CConfig
from optgap.agents.exploration.derl import DeRLA2C
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

CHAIN = GymConfig("optgap-test/Chain-v0")


def make(**changes) -> Any:
    return DeRLA2C(CHAIN, DeRLA2CConfig(**({"hidden_sizes": [8]} | changes)), seed=0)


class Table(nn.Module):
    """A parameter and a value for each of two observations; action 1 has probability 3/4."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([[0.0, np.log(3.0)]] * 2))
        self.values = nn.Parameter(torch.tensor([0.5, 1.0]))

    def forward(self, observation):
        return self.logits[observation], self.values[observation]


@pytest.mark.parametrize("clip", [1.0, 2.0])
def test_the_loss_by_hand(clip, monkeypatch):
    """Action 1 for reward 1, then action 0 for reward 2 and the end; the explorer chose each with probability 1/2.

    gamma 1/2: returns 1 + 0.5 * 2 = 2 and 2, advantages 1.5 and 1; weights 3/2 (or 1 where clipped) and 1/2.
    """
    agent = make(num_envs=1, rollout_length=2, gamma=0.5, importance_clip=clip, exploiter_entropy_coefficient=0.1)
    table = Table()
    agent.policy.exploiter = table
    minimized: list[float] = []
    monkeypatch.setattr(agent.approximator, "minimize", lambda loss, _: minimized.append(loss.item()))
    agent._collector = agent._restart()
    monkeypatch.setattr(agent._collector, "_observation", np.array([1]))  # after the end: its value must not count
    rollout = RolloutBuffer(2, 1)
    for t, (action, reward) in enumerate([(1, 1.0), (0, 2.0)]):
        decision = Decision(np.array([action]), np.log([0.5]).astype(np.float32), np.zeros(1, np.float32))
        rollout.decide(t, np.array([t]), None, decision, np.array([True]))
        rollout.outcome(t, np.array([reward + 100.0]), np.array([t == 1]), np.array([False]))  # 100: a bonus
    agent._rewards = rollout.rewards - np.float32(100.0)
    figures = agent._exploit(rollout, 0.5)
    w = min(1.5, clip), 0.5
    assert figures["exploiter/policy_loss"] == pytest.approx(-(w[0] * 1.5 * np.log(0.75) + w[1] * np.log(0.25)) / 2)
    assert figures["exploiter/value_loss"] == pytest.approx((w[0] * 1.5**2 + w[1] * 1.0) / 2)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert figures["exploiter/entropy"] == pytest.approx(entropy)
    assert figures["exploiter/importance"] == pytest.approx(1.0)
    expected = figures["exploiter/policy_loss"] + 0.5 * figures["exploiter/value_loss"] - 0.1 * entropy
    assert minimized == [pytest.approx(expected)]


def test_explorer_and_exploiter_move_themselves_alone():
    """Without bonuses, and importance weights that are not clipped, the explorer's weights are those of plain A2C."""
    from optgap.agents.a2c.agent import A2C
    from optgap.agents.a2c.config import A2CConfig

    shared: dict[str, Any] = {"num_envs": 4, "rollout_length": 5, "hidden_sizes": [8]}
    agent = make(**shared, bonus="none", entropy_coefficient=0.0, learning_rate=1e-2).learn(200)
    plain = A2C(CHAIN, A2CConfig(**shared, learning_rate=1e-2), seed=0).learn(200)
    weights = agent.policy.state_dict()
    for name, tensor in plain.policy.state_dict().items():
        assert torch.equal(tensor, weights[name])
        assert not torch.equal(tensor, weights[f"exploiter.{name}"])


def test_the_exploiter_is_asked():
    agent = make()
    with torch.no_grad():
        for policy, sign in ((agent.policy, 1.0), (agent.exploiter, -1.0)):
            policy.actor[-1].bias.copy_(torch.tensor([20.0, -20.0]) * sign)
    assert agent.predict(np.arange(4))[0].tolist() == [1] * 4
    assert agent._act(np.arange(4), None).actions.tolist() == [0] * 4


def test_the_exploiter_learns_what_the_explorer_finds():
    """Six cells, and only the last one pays. The exploiter's values know nothing of bonuses."""
    agent = make(learning_rate=3e-3, bonus_coefficient=1.0).learn(6000)
    assert agent.predict(np.arange(5), deterministic=True)[0].tolist() == [1] * 5
    values = agent._outputs(np.arange(5)).values
    assert 0.5 < values[4] < 1.2
    assert (values < 1.2).all()


def test_two_heads_are_refused():
    with pytest.raises(InputError, match="two_headed is True; expected false"):
        DeRLA2CConfig(two_headed=True)
