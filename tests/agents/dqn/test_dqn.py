"""Deep Q-learning on networks and on trees: targets by hand, values that can be computed, what is trivially learnable."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.dqn.agent import DQN, q_targets
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.dqn.network import QNetwork
from optgap.agents.dqn.recipes import MLP
from optgap.agents.dqn.trees import TreeActionValues
from optgap.agents.gbt.config import GBTDQNConfig
from optgap.agents.gbt.recipes import DQN as RECIPES
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS

NETWORK: dict[str, Any] = {"hidden_sizes": [32], "batch_size": 1024, "minibatch_size": 64, "rollout_length": 8}
TREES: dict[str, Any] = {"batch_size": 1024, "minibatch_size": 512, "rollout_length": 8, "min_leaf": 4, "n_steps": 1}
BOTH = pytest.mark.parametrize("kind", ["network", "trees"])


def agent_for(kind: str, name: str, **changes) -> DQN:
    settings = (NETWORK if kind == "network" else TREES) | {"warmup_steps": 200, "epsilon_steps": 1500} | changes
    config = DQNConfig if kind == "network" else GBTDQNConfig
    return DQN(GymConfig(f"optgap-test/{name}-v0"), config(**settings))


def test_targets_by_hand():
    values = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 4.0, 3.0]], np.float32)
    target = np.array([[10.0, 20.0, 30.0], [10.0, 20.0, 30.0], [50.0, 90.0, 30.0]], np.float32)
    rewards, discounts = np.array([1.0, 2.0, 3.0], np.float32), np.array([0.5, 0.0, 0.25], np.float32)
    np.testing.assert_allclose(q_targets(rewards, discounts, values, target, None), [16, 2, 15.5])
    single = q_targets(rewards, discounts, target, target, None)  # not double: the target chooses too
    np.testing.assert_allclose(single, [16, 2, 25.5])
    masks = np.array([[True, True, False], [True, True, True], [False, False, False]])
    np.testing.assert_allclose(q_targets(rewards, discounts, values, target, masks), [11, 2, 3])


def test_exploration():
    config = DQNConfig(epsilon=0.8, final_epsilon=0.2, epsilon_steps=100)
    assert [round(config.epsilon_at(steps), 6) for steps in (0, 50, 100, 1000)] == [0.8, 0.5, 0.2, 0.2]
    agent = agent_for("network", "MaskedChoice", epsilon=0.5, final_epsilon=0.5)
    seen, masks = {"nothing": np.zeros((20_000, 1), np.float32)}, np.zeros((20_000, 6), np.bool_)
    masks[:, 1:4] = True
    best = agent.predict(seen, masks, deterministic=True)[0]
    assert len(np.unique(best)) == 1
    actions = agent.predict(seen, masks)[0]
    shares = np.bincount(actions, minlength=6) / len(actions)
    np.testing.assert_allclose(np.sort(shares), [0, 0, 0, 1 / 6, 1 / 6, 2 / 3], atol=0.015)
    assert shares[best[0]] > 0.6


def test_the_target_stays_until_it_follows():
    space, actions = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
    for values in (
        QNetwork(space, actions, DQNConfig(hidden_sizes=[8])),
        TreeActionValues(space, actions, GBTDQNConfig(min_leaf=1)),
    ):
        rng = np.random.default_rng(0)
        x = rng.uniform(-1, 1, (64, 2)).astype(np.float32)
        first = values.predict(x)
        error = values.fit(x, rng.integers(0, 3, 64), np.full(64, 5.0, np.float32), rng)
        assert error > 1
        now, then = values.pair(x)
        np.testing.assert_array_equal(then, first)
        np.testing.assert_allclose(now, values.predict(x), rtol=1e-6)
        assert (now != then).any()
        values.follow()
        np.testing.assert_array_equal(*values.pair(x))


def test_an_action_that_is_hardly_taken_any_more_is_corrected_as_fast_as_the_others():
    values = TreeActionValues(spaces.Box(-1, 1, (1,)), spaces.Discrete(3), GBTDQNConfig(min_leaf=1, epochs=1))
    rng = np.random.default_rng(0)
    x, actions = rng.uniform(-1, 1, (2000, 1)).astype(np.float32), np.zeros(2000, np.int64)
    actions[::100] = 1
    for _ in range(12):
        values.fit(x, actions, np.where(actions == 1, -4, 4).astype(np.float32), rng)
    np.testing.assert_allclose(values.predict(x)[:, :2].mean(axis=0), [4, -4], atol=0.1)
    with pytest.raises(InputError, match="300 actions"):
        TreeActionValues(spaces.Box(-1, 1, (1,)), spaces.Discrete(300), GBTDQNConfig())


def test_rare_terminal_transitions_move_a_network():
    """One transition in 20 that ends, worth 0 among others worth 100: the mean is wanted, not the median."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    config = DQNConfig(hidden_sizes=[8], minibatch_size=100, epochs=200, learning_rate=0.02)
    values = QNetwork(spaces.Box(-1, 1, (1,)), spaces.Discrete(2), config)
    x, targets = np.ones((200, 1), np.float32), np.full(200, 100.0, np.float32)
    targets[::20] = 0
    for _ in range(3):
        values.fit(x, np.zeros(200, np.int64), targets, rng)
    assert values.predict(x[:1])[0, 0] == pytest.approx(95, abs=2)


@BOTH
def test_identity(kind):
    """Numbers and actions begin at 2."""
    agent = agent_for(kind, "Identity", gamma=0.0).learn(2500)
    shown = np.arange(2, 6)
    np.testing.assert_array_equal(agent.predict(shown, deterministic=True)[0], shown)
    assert agent.predict(shown[0], deterministic=True)[0] == 2
    expected = np.eye(4)
    np.testing.assert_allclose(agent.policy.predict(shown), expected, atol=0.2)


@BOTH
def test_the_best_allowed_action_is_found_through_the_masks_alone(kind):
    agent = agent_for(kind, "MaskedChoice", gamma=0.5).learn(4000)  # a forbidden action would have raised
    allowed = np.zeros((20, 6), np.bool_)
    for row, three in enumerate(itertools.combinations(range(6), 3)):
        allowed[row, list(three)] = True
    values = np.where(allowed, [0.0, 1.0, 0.2, 0.8, 0.4, 0.6], -1)
    actions, _ = agent.predict({"nothing": np.zeros((20, 1), np.float32)}, allowed, deterministic=True)
    chosen = values[np.arange(20), actions]
    assert (chosen >= 0).all()
    assert (values.max(axis=1) - chosen).mean() < 0.03


@BOTH
@pytest.mark.parametrize("n_steps", [1, 3])
def test_values_after_termination_and_truncation(kind, n_steps):
    """Reward 1 a step, gamma 0.8: n steps to a termination are worth (1 - 0.8^n) / 0.2, an endless stream 5."""
    settings = {"gamma": 0.8, "n_steps": n_steps, "target_interval": 1}
    agent = agent_for(kind, "Clock", **settings).learn(2500)
    values = agent.policy.predict(np.arange(5))
    expected = (1 - 0.8 ** np.arange(5, 0, -1)) / 0.2
    np.testing.assert_allclose(values, np.stack([expected] * 2, axis=1), atol=0.15)
    endless = DQN(GymConfig("optgap-test/Clock-v0", {"endless": True}), agent.config).learn(2500)
    np.testing.assert_allclose(endless.policy.predict(np.zeros(1, np.int64)), [[5.0, 5.0]], atol=0.35)


@BOTH
def test_credit_travels_through_a_corridor(kind):
    agent = agent_for(kind, "Corridor", gamma=0.9, n_steps=3, warmup_hold=4, warmup_steps=1000).learn(4000)
    np.testing.assert_array_equal(agent.predict(np.arange(7), deterministic=True)[0], 1)


def test_recipes_fit():
    for recipes, config in ((RECIPES, GBTDQNConfig), (MLP, DQNConfig)):
        assert all(name in ENVIRONMENTS for name in recipes)
        for recipe in recipes.values():
            config(**recipe)


@pytest.mark.slow
def test_cartpole_with_trees():
    agent = DQN(GymConfig("CartPole-v1"), GBTDQNConfig(**RECIPES["cartpole"])).learn(15_000)
    torch.manual_seed(0)
    env = agent.env_config.make()
    returns = []
    for seed in range(10):
        observation, _ = env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(agent.predict(observation, deterministic=True)[0])
            total, ended = total + reward, terminated or truncated
        returns.append(total)
    assert np.mean(returns) >= 200
