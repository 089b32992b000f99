"""Trees learn what is trivially learnable, to a threshold, and the same seed gives the same trees."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from omegaconf import OmegaConf

from optgap.agents.common.contracts import AGENTS
from optgap.agents.gbt.config import GBTDQNConfig, GBTPPOConfig, GBTSACConfig
from optgap.agents.gbt.recipes import PPO as RECIPES
from optgap.agents.ppo.agent import PPO
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS


class Mixed(gym.Env):
    """Reward 1 each for saying whether the number is positive or the switch on, and which tool is shown; 16 steps."""

    observation_space = spaces.Dict(
        {
            "inner": spaces.Dict({"number": spaces.Box(-1, 1, (1,)), "switch": spaces.MultiBinary(1)}),
            "tool": spaces.Discrete(3, start=1),
            "noise": spaces.MultiDiscrete([4, 4]),
        }
    )
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._show(), {}

    def step(self, action):
        best = self.best(self.shown)
        self.count += 1
        return self._show(), float((action == best).sum()), False, self.count == 16, {}

    @staticmethod
    def best(shown):
        either = (shown["inner"]["number"][..., 0] > 0) | (shown["inner"]["switch"][..., 0] > 0)
        return np.stack([either, shown["tool"] - 1], axis=-1)

    def _show(self):
        rng = self.np_random
        number = rng.uniform(-1, 1, 1).astype(np.float32)
        inner = {"number": number, "switch": rng.integers(0, 2, 1).astype(np.int8)}
        self.shown = {"inner": inner, "tool": np.int64(rng.integers(1, 4)), "noise": rng.integers(0, 4, 2)}
        return self.shown


if "optgap-test/Mixed-v0" not in gym.registry:
    gym.register("optgap-test/Mixed-v0", entry_point=Mixed)


def agent_for(name: str, seed: int = 0, **changes) -> PPO:
    settings: dict[str, Any] = {"num_envs": 8, "rollout_length": 64, "minibatch_size": 128, "epochs": 4}
    settings |= {"learning_rate": 0.3, "value_rate": 0.1}
    return PPO(GymConfig(id=f"optgap-test/{name}-v0"), GBTPPOConfig(**(settings | changes)), seed=seed)


def weights(agent: PPO) -> dict[str, torch.Tensor]:
    return agent.policy.state_dict()


def same(one: PPO, other: PPO) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("shared", [True, False])
def test_identity(shared):
    agent = agent_for("Identity", shared_trees=shared).learn(4000)
    shown = np.arange(2, 6)
    np.testing.assert_array_equal(agent.predict(shown, deterministic=True)[0], shown)
    assert 4000 <= agent.steps < 4000 + 8 * 64


@pytest.mark.parametrize("changes", [{}, {"predicted_std": True, "log_std_rate": 0.02}])
def test_continuous_actions(changes):
    agent = agent_for("Target", learning_rate=0.02, min_leaf=32, **changes).learn(16_000)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.05  # 1 for uniform actions
    assert agent.action_space.contains(agent.predict(shown[0])[0])


def test_the_best_allowed_action_is_found_through_the_masks_alone():
    agent = agent_for("MaskedChoice", entropy_coefficient=0.01).learn(8000)  # a forbidden action would have raised
    allowed = np.zeros((20, 6), np.bool_)
    for row, three in enumerate(itertools.combinations(range(6), 3)):
        allowed[row, list(three)] = True
    values = np.where(allowed, [0.0, 1.0, 0.2, 0.8, 0.4, 0.6], -1)
    actions, _ = agent.predict({"nothing": np.zeros((20, 1), np.float32)}, allowed, deterministic=True)
    chosen = values[np.arange(20), actions]
    assert (chosen >= 0).all()
    assert (values.max(axis=1) - chosen).mean() < 0.02


def test_mixed_observations_and_several_actions_at_once():
    agent = agent_for("Mixed", min_leaf=16).learn(12_000)
    space = Mixed.observation_space
    space.seed(0)
    right = [
        np.array_equal(agent.predict(shown, deterministic=True)[0], Mixed.best(shown))
        for shown in (space.sample() for _ in range(200))
    ]
    assert np.mean(right) > 0.95  # 1/6 for random answers


@pytest.mark.parametrize("shared", [True, False])
def test_values_after_termination(shared):
    """Reward 1 a step, gamma 0.8: n steps to the end are worth (1 - 0.8^n) / 0.2."""
    agent = agent_for("Clock", gamma=0.8, gae_lambda=0.9, value_rate=0.3, shared_trees=shared).learn(5000)
    values = agent.approximator.predict(np.arange(5)).values.numpy()
    np.testing.assert_allclose(values, (1 - 0.8 ** np.arange(5, 0, -1)) / 0.2, atol=0.05)


def test_the_seed_determines_the_trees():
    assert same(agent_for("Mixed").learn(1500), agent_for("Mixed").learn(1500))
    assert not same(agent_for("Mixed").learn(1500), agent_for("Mixed", 1).learn(1500))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("MaskedChoice", {"normalize_reward": True}),
        ("Target", {"shared_trees": False}),
        ("Target", {"predicted_std": True, "optimizer": "adam"}),
        ("Mixed", {"growth": "oblivious", "score": "l2", "learning_rate_schedule": "linear"}),
        ("Mixed", {"max_trees": 10}),
    ],
)
def test_resuming_at_a_boundary_equals_going_on(tmp_path, name, changes):
    settings = {"num_envs": 2, "checkpoint_interval": 2}

    def save(agent, metrics):
        if agent.updates == 2:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for(name, **settings, **changes).learn(700, save)
    assert whole.updates > 4
    resumed = PPO.load(tmp_path / "checkpoint")
    assert not same(resumed, whole)
    assert same(resumed.learn(700), whole)


def test_a_checkpoint_of_other_trees_is_refused_in_one_line(tmp_path):
    agent_for("Identity").learn(100).save(tmp_path / "checkpoint")
    with pytest.raises(InputError, match=r"weights.safetensors: .*features") as error:
        PPO.load(tmp_path / "checkpoint", env_config=GymConfig("optgap-test/Mixed-v0"))
    assert "\n" not in str(error.value)
    file = tmp_path / "checkpoint" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        PPO.load(tmp_path / "checkpoint")


def test_broken_observations_are_one_line():
    agent = agent_for("Target")
    agent.learn(100)
    with pytest.raises(InputError, match="NaN"):
        agent.predict(np.full((1, 1), np.nan))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("value_rate", 0.0, "above 0"),
        ("log_std_rate", -1.0, "above 0"),
        ("max_depth", 13, "an integer from 1 to 12"),
        ("growth", "leafwise", "greedy or oblivious"),
        ("optimizer", "muon", "sgd or adam"),
        ("n_bins", 1, "an integer from 2 to 256"),
    ],
)
def test_each_value_is_checked(name, value, expected):
    with pytest.raises(InputError, match=f"GBTPPOConfig: .*{value!r}; expected .*{expected}"):
        GBTPPOConfig(**{name: value})


def test_registered_with_recipes_that_fit():
    entry = AGENTS.load("gbt-ppo")
    assert (entry.agent, entry.recipes) == ("optgap.agents.ppo.agent:PPO", "optgap.agents.gbt.recipes:PPO")
    assert all(name in ENVIRONMENTS for name in RECIPES)
    for recipe in RECIPES.values():
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(GBTPPOConfig), recipe))
        assert config.rollout_length * config.num_envs % config.minibatch_size == 0


def test_a_bounded_ensemble_stays_within_twice_its_bound_and_still_learns():
    settings = {"num_envs": 8, "rollout_length": 64, "minibatch_size": 128, "epochs": 4, "learning_rate": 0.3}
    config = GBTPPOConfig(**settings, value_rate=0.1, max_trees=40, min_leaf=4)
    sizes, returns = [], []

    def note(agent, metrics):
        sizes.append(agent.policy.models["trees"].n_trees)
        returns.append(metrics["episode/return"])

    PPO(GymConfig("optgap-test/Mixed-v0"), config, seed=3).learn(20_000, note)
    a_rollout = 4 * 4
    assert max(sizes) <= 2 * 40 + a_rollout
    assert any(later < earlier for earlier, later in itertools.pairwise(sizes))  # it was compressed
    assert np.mean(returns[-5:]) > 26  # of 32; random actions earn 13


def test_a_bound_is_checked():
    with pytest.raises(InputError, match="max_trees is 0; expected null or an integer of at least 1"):
        GBTPPOConfig(max_trees=0)
    with pytest.raises(InputError, match="expected null where the optimizer is not sgd"):
        GBTPPOConfig(max_trees=5, optimizer="adam")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (GBTPPOConfig, "learning_rate"),
        (GBTPPOConfig, "value_rate"),
        (GBTPPOConfig, "log_std_rate"),
        (GBTDQNConfig, "learning_rate"),
        (GBTSACConfig, "learning_rate"),
        (GBTSACConfig, "policy_rate"),
    ],
)
def test_step_sizes_that_float32_cannot_follow_are_refused(config, name):
    with pytest.raises(InputError, match=rf"{config.__name__}: {name} is 1e\+38; expected a number from 0 to 1e\+09"):
        config(**{name: 1e38})


def test_an_optimizer_that_is_none_is_refused():
    with pytest.raises(InputError, match="GBTPPOConfig: optimizer is 'rmsprop'; expected sgd or adam"):
        GBTPPOConfig(optimizer="rmsprop")
