"""A tree is fitted to the gradient that a network would get, and moves its rows by minus the rate times its mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from optgap.agents.common.approximator import Network
from optgap.agents.common.collector import Collector
from optgap.agents.gbt.actor_critic import TreeActorCritic
from optgap.agents.gbt.config import GBTPPOConfig
from optgap.agents.ppo.agent import PPO
from optgap.envs.gym_config import GymConfig
from optgap.gbrl.model import GBTModel

NUMBERS = spaces.Box(-1, 1, (1,))


def trees(action_space, **changes) -> TreeActorCritic:
    return TreeActorCritic(NUMBERS, action_space, GBTPPOConfig(**changes))


def test_one_step_by_hand():
    """Rows -1, -1, 1, 1; theta = (a, b), value. Loss: mean of 2 a - 3 b for the left rows, of a^2 + v for the right."""
    policy = trees(spaces.Discrete(2), max_depth=1, learning_rate=0.5, value_rate=0.1)
    x = torch.tensor([[-1.0], [-1.0], [1.0], [1.0]])
    held = policy.hold(x)
    outputs = policy.evaluate(held)
    assert not outputs.parameters.any()
    a, b = outputs.parameters.unbind(1)
    left = torch.tensor([True, True, False, False])
    policy.minimize(torch.where(left, 2 * a - 3 * b, (a + 1) ** 2 + 4 * outputs.values).mean(), 0.5)
    moved = policy.predict(np.array([[-0.5], [0.5]]))
    np.testing.assert_allclose(moved.parameters, [[-1.0, 1.5], [-1.0, 0.0]])  # -0.5 * (2, -3) and -0.5 * (2, 0)
    np.testing.assert_allclose(moved.values, [0.0, -0.4])  # -0.1 * 4
    again = policy.evaluate(held)
    np.testing.assert_allclose(again.parameters.detach(), moved.parameters[[0, 0, 1, 1]])  # the rows held follow
    policy.minimize(again.values.mean(), 0.25)  # half the learning rate: half the value's too
    np.testing.assert_allclose(policy.predict(np.array([[0.5]])).values, [-0.45])


def test_a_leaf_moves_by_the_mean_of_its_rows():
    policy = trees(spaces.Discrete(2), max_depth=1, min_leaf=3, learning_rate=1.0)
    held = policy.hold(torch.tensor([[-1.0], [-0.5], [0.5]]))
    outputs = policy.evaluate(held)
    policy.minimize((outputs.parameters[:, 0] * torch.tensor([1.0, 2.0, 6.0])).mean(), 1.0)
    np.testing.assert_allclose(policy.predict(np.zeros((1, 1))).parameters, [[-3.0, 0.0]])


def test_only_the_rows_of_the_minibatch_shape_the_tree_and_all_rows_follow_it():
    policy = trees(spaces.Discrete(2), learning_rate=1.0)
    held = policy.hold(torch.linspace(-1, 1, 8)[:, None])
    outputs = policy.evaluate(held[[1, 6]])
    policy.minimize((outputs.parameters[:, 0] * torch.tensor([1.0, -1.0])).mean(), 1.0)
    moved = policy.evaluate(held).parameters[:, 0].detach().numpy()
    np.testing.assert_array_equal(np.abs(moved), 1)
    np.testing.assert_array_equal(moved[[0, 1, 6, 7]], [-1, -1, 1, 1])
    assert (np.diff(moved) >= 0).all()


def test_the_gradient_of_a_row_is_scaled_down_to_the_norm():
    policy = trees(spaces.Discrete(2), max_grad_norm=5.0, learning_rate=1.0, value_rate=1.0)
    held = policy.hold(torch.zeros(1, 1))
    outputs = policy.evaluate(held)
    policy.minimize((outputs.parameters @ torch.tensor([30.0, 40.0]) - 100 * outputs.values).mean(), 1.0)
    found = policy.predict(np.zeros((1, 1)))
    np.testing.assert_allclose(found.parameters, [[-3.0, -4.0]], rtol=1e-6)
    np.testing.assert_allclose(found.values, [5.0], rtol=1e-6)


def test_the_standard_deviation_is_one_parameter_or_predicted():
    box = spaces.Box(-1, 1, (2,))
    free = trees(box, log_std=-0.5)
    assert free.predict(np.zeros((3, 1))).parameters.tolist() == [[0, 0, -0.5, -0.5]] * 3
    assert [name for name, _ in free.named_parameters()] == ["log_std"]
    held = free.hold(torch.zeros(2, 1))
    free.minimize(free.evaluate(held).parameters[:, 2].mean(), free.config.learning_rate)
    np.testing.assert_allclose(free.log_std.detach(), [-0.5 - free.config.log_std_rate, -0.5], rtol=1e-4)
    predicted = trees(box, log_std=-0.5, predicted_std=True, log_std_rate=0.1)
    held = predicted.hold(torch.tensor([[-1.0], [1.0]]))
    predicted.minimize((predicted.evaluate(held).parameters[:, 2] * torch.tensor([0.0, 1.0])).mean(), 0.05)
    np.testing.assert_allclose(predicted.predict(np.array([[-1.0], [1.0]])).parameters[:, 2], [-0.5, -0.6], rtol=1e-6)


class Table(nn.Module):
    """A network with parameters of their own for each of N rows."""

    def __init__(self, rows: int, outputs: int) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, outputs)
        nn.init.zeros_(self.table.weight)

    def forward(self, rows):
        found = self.table(rows)
        return found[:, :-1], found[:, -1]


@pytest.mark.parametrize("name", ["MaskedChoice", "Target"])
def test_trees_are_fitted_to_the_gradients_that_a_network_gets_from_the_same_loss(name, monkeypatch):
    config = GBTPPOConfig(
        num_envs=2,
        rollout_length=32,
        minibatch_size=24,
        epochs=1,
        entropy_coefficient=0.1,
        predicted_std=True,
        shared_trees=True,
        max_grad_norm=1e9,
    )
    agent = PPO(GymConfig(f"optgap-test/{name}-v0"), config)
    collector = Collector(agent.env_config.make_vec(2), 32, agent.interface.to_environment)
    collector.reset(0)
    torch.manual_seed(0)
    rollout, _ = collector.collect(agent._act)
    rollout.estimate_advantages(0.9, 0.9)
    batch = rollout.batch("cpu")
    rows = len(batch.advantages)
    seen = []

    monkeypatch.setattr(GBTModel, "step", lambda _, rows, gradients: seen.append((rows.rows, gradients.copy())))
    policy = agent.policy
    assert isinstance(policy, TreeActorCritic)
    agent._optimize(batch._replace(observations=policy.hold(batch.observations)), 0.1, np.random.default_rng(1))

    network = Network(Table(rows, agent.interface.parameters + 1), 1.0, 1e9, torch.device("cpu"))
    monkeypatch.setattr(network.optimizer, "step", lambda: None)
    agent.approximator = network
    expected = []
    minimize = network.minimize

    def keep(loss, rate):
        minimize(loss, rate)
        expected.append(network.module.table.weight.grad.clone().numpy())

    monkeypatch.setattr(network, "minimize", keep)
    agent._optimize(batch._replace(observations=torch.arange(rows)), 0.1, np.random.default_rng(1))
    assert len(seen) == len(expected) == -(-rows // 24)
    for (part, gradients), gradient in zip(seen, expected, strict=True):
        np.testing.assert_allclose(gradients, gradient[part] * len(part), rtol=1e-5, atol=1e-7)
        others = np.setdiff1d(np.arange(rows), part)
        assert not gradient[others].any()
