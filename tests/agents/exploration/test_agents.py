"""Exploring agents: what they learn from, what they show, and that a run resumes to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.evaluation import play_episodes
from optgap.agents.exploration.agents import ExploringA2C, ExploringDQN, ExploringPPO
from optgap.agents.exploration.config import (
    COUNTED,
    LEARNED,
    DeRLA2CConfig,
    ExploringA2CConfig,
    ExploringDQNConfig,
    ExploringPPOConfig,
    IntrinsicConfig,
    RNDPPOConfig,
    SOFEPPOConfig,
)
from optgap.agents.exploration.derl import DeRLA2C
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.wrappers.intrinsic import IntrinsicReward, IntrinsicRewardVector

NAMES = ("rnd-ppo", "sofe-ppo", "sofe-a2c", "sofe-dqn", "derl-a2c")
CHAIN = GymConfig("optgap-test/Chain-v0")
SMALL: dict[str, Any] = {"num_envs": 3, "rollout_length": 16, "hidden_sizes": [8], "checkpoint_interval": 2}
EXPLORING: dict[str, Any] = SMALL | {"bonus_hidden_sizes": [8], "bonus_features": 4}
CLASSES: dict[str, Any] = {
    "ppo": (ExploringPPO, ExploringPPOConfig, {"epochs": 2, "minibatch_size": 16}),
    "a2c": (ExploringA2C, ExploringA2CConfig, {}),
    "dqn": (ExploringDQN, ExploringDQNConfig, {"warmup_steps": 40, "batch_size": 64, "epsilon_steps": 100}),
    "derl": (DeRLA2C, DeRLA2CConfig, {}),
}


def make(kind: str, env: Any = CHAIN, **changes) -> Any:
    agent_class, config, settings = CLASSES[kind]
    return agent_class(env, config(**(EXPLORING | settings | changes)), seed=3)


def same(one: Any, other: Any) -> bool:
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Paid:
    """The chain with half a bonus of first visits in its reward."""

    problem: ClassVar[str | None] = None

    def make(self, **overrides):
        return IntrinsicReward(CHAIN.make(), "first-visit", 0.5)

    def make_vec(self, num_envs, **overrides):
        return IntrinsicRewardVector(CHAIN.make_vec(num_envs), "first-visit", 0.5)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("bonus", ["none", "first-visit"])
def test_sums_equal_ppo_on_the_summed_reward(bonus, normalize):
    """To the bit: the bonus takes no random number from the policy, and no part in its optimizer."""
    settings = SMALL | {"epochs": 2, "minibatch_size": 16, "normalize_reward": normalize}
    plain = PPO(Paid() if bonus != "none" else CHAIN, PPOConfig(**settings), seed=3).learn(200)
    agent = make("ppo", bonus=bonus, bonus_coefficient=0.5, normalize_reward=normalize).learn(200)
    weights = agent.policy.state_dict()
    for name, tensor in plain.policy.state_dict().items():
        assert torch.equal(tensor, weights[name])
    assert weights.keys() - plain.policy.state_dict().keys() == {"explorer.moments"}


def test_coefficients_and_the_scale():
    agent = make("ppo", bonus="count", extrinsic_coefficient=4.0, bonus_coefficient=3.0, normalize_bonus=True)
    agent._collector = agent._restart()
    rollout, _ = agent._collector.collect(agent._act)
    rewards, bonus, valid = rollout.rewards.copy(), rollout.streams[..., 0].copy(), rollout.valid
    assert set(np.unique(bonus[~valid])) <= {0.0}
    expected = set((1.0 / np.sqrt(np.arange(1, 10))).astype(np.float32))
    assert set(bonus[valid]) <= expected  # episodes of up to 8 steps
    agent._prepare(rollout)
    scale = agent._figures["train/bonus_scale"]
    np.testing.assert_allclose(rollout.rewards, 4.0 * rewards + 3.0 * bonus / scale, atol=1e-6)
    assert agent._figures["train/bonus"] == pytest.approx(bonus[valid].mean())
    returns, sums = np.zeros(3), []
    for t in range(16):
        returns = 0.99 * returns * valid[t] + bonus[t]
        sums += returns[valid[t]].tolist()
    assert scale == pytest.approx(np.std(sums), rel=1e-5)
    assert agent.explorer.moments[0] == valid.sum()


KINDS = [
    ("ppo", {"bonus": "rnd", "two_headed": True, "intrinsic_episodic": False, "normalize_bonus": True}),
    ("ppo", {"bonus": "count", "sofe": True, "episodic": False, "normalize_observation": True}),
    ("ppo", {"bonus": "icm"}),
    ("a2c", {"bonus": "disagreement", "two_headed": True}),
    ("a2c", {"bonus": "knn", "episodic": False}),
    ("a2c", {"bonus": "e3b", "sofe": True}),
    ("dqn", {"bonus": "smax", "sofe": True, "episodic": False, "normalize_bonus": True}),
    ("dqn", {"bonus": "rnd"}),
    ("derl", {"bonus": "count", "episodic": False, "normalize_observation": True}),
]


@pytest.mark.parametrize(("kind", "changes"), KINDS, ids=[f"{kind}-{changes['bonus']}" for kind, changes in KINDS])
def test_a_resumed_run_equals_an_uninterrupted_one(kind, changes, tmp_path):
    """Networks, their optimizer, running scales and lifetime statistics are all in the checkpoint."""

    def save(agent, _):
        if agent.updates == 4:
            agent.save(tmp_path / "checkpoint")

    whole = make(kind, **changes).learn(400, save)
    resumed = load_agent(tmp_path / "checkpoint")
    assert resumed.env_config == whole.env_config
    assert resumed.updates == 4
    resumed.learn(400)
    assert whole.updates == resumed.updates >= 8
    assert same(whole, resumed)
    whole.save(tmp_path / "a")
    resumed.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_agents_play_what_their_configuration_says():
    sofe = make("ppo", bonus="count", sofe=True)
    assert isinstance(sofe.env_config, IntrinsicConfig)
    assert set(sofe.observation_space.spaces) == {"observation", "statistic"}
    env = sofe.env_config.make()
    observation, _ = env.reset(seed=0)
    action, _ = sofe.predict(observation)
    assert env.step(action)[4]["intrinsic_reward"] == pytest.approx(1.0 if action else 0.5**0.5)
    assert make("ppo", bonus="rnd").env_config is CHAIN
    again = make("a2c", sofe.env_config, bonus="e3b")  # an exploring agent's environment is as good as the plain one
    assert again.env_config == IntrinsicConfig(CHAIN, "e3b", False, True)
    assert sofe.env_config.id == CHAIN.id
    assert sofe.env_config.problem is None


def test_returns_are_the_environments_own():
    """Right costs 1/64, the last of 5 steps pays 1; a bonus with a weight of 1000 is in no episode's return."""
    figures: list[dict[str, float]] = []
    agent = make("ppo", bonus="count", sofe=True, bonus_coefficient=1000.0)
    agent.learn(200, lambda _, found: figures.append(dict(found)))
    assert all(-0.2 <= found["episode/return"] <= 1.0 for found in figures)
    played = play_episodes(lambda o, m: agent.predict(o, m)[0], agent.env_config, 6, 0)
    assert set(played.returns) <= {(64 - right) / 64 for right in range(5, 9)} | {-right / 64 for right in range(9)}


def test_evaluation_sees_the_lifetime_statistic(tmp_path):
    """A policy that has learned to read its own visits is shown them, not an empty table."""
    agent = make("a2c", bonus="count", sofe=True, episodic=False).learn(200)
    visits = agent.explorer.statistic.arrays()["visits"]
    resets = 3 * (1 + (agent.updates - 1) // 2)  # first observations, at each boundary; later ones are not told apart
    assert visits.sum() >= agent.steps + resets
    agent.save(tmp_path / "checkpoint")
    for env_config in (agent.env_config, load_agent(tmp_path / "checkpoint").env_config):
        for env in (env_config.make(), env_config.make_vec(2)):
            np.testing.assert_array_equal(env.statistic_state()["visits"], visits)
            env.reset(seed=0)
    np.testing.assert_array_equal(
        agent.explorer.statistic.arrays()["visits"], visits
    )  # which nobody else's visits join


@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_figures_of_episodes(kind):
    class Figured(GymConfig):
        figures: ClassVar[tuple[str, ...]] = ("furthest",)

    found: list[dict[str, float]] = []
    make(kind, Figured("optgap-test/Chain-v0"), sofe=True).learn(150, lambda _, metrics: found.append(dict(metrics)))
    shown = [metrics["episode/furthest"] for metrics in found if "episode/furthest" in metrics]
    assert shown
    assert all(0 <= figure <= 5 for figure in shown)
    Figured.figures = ("nothing",)
    with pytest.raises(InputError, match="info has no 'nothing'"):
        make(kind, Figured("optgap-test/Chain-v0")).learn(150)


def test_dqn_remembers_the_bonus_of_its_time():
    agent = make("dqn", bonus="first-visit", extrinsic_coefficient=2.0, bonus_coefficient=16.0, num_envs=1)
    agent.learn(16)
    stored = agent.replay._arrays["rewards"][: len(agent.replay)]
    possible = {2.0 * (arrived - right / 64) + 16.0 * new for arrived in (0, 1) for right in (0, 1) for new in (0, 1)}
    assert set(stored.tolist()) <= possible
    assert (stored > 8.0).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bonus", ["none", *COUNTED, *LEARNED])
def test_any_agent_takes_any_bonus(name, bonus):
    """By configuration alone."""
    entry = AGENTS.load(name)
    agent_class, config_class = (
        getattr(import_module(m), c) for m, c in (entry.agent.split(":"), entry.config.split(":"))
    )
    settings = EXPLORING | ({"warmup_steps": 20, "batch_size": 32} if name == "sofe-dqn" else {})
    agent = agent_class(CHAIN, config_class(**settings, bonus=bonus, sofe=False)).learn(60)
    assert agent.predict(np.array([0, 1]))[0].shape == (2,)


@pytest.mark.parametrize("name", NAMES)
def test_recipes(name):
    entry = AGENTS.load(name)
    recipes, config_class = (
        getattr(import_module(m), c) for m, c in (entry.recipes.split(":"), entry.config.split(":"))
    )
    for environment, fields in recipes.items():
        assert environment in ENVIRONMENTS
        assert vars(config_class(**fields)).items() >= fields.items()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bonus": "novelty"}, "expected one of none, count, first-visit, e3b, smax, knn, rnd, icm, disagreement"),
        (
            {"bonus": "rnd", "sofe": True},
            "sofe is True; expected false with bonus 'rnd', which has no finite statistic",
        ),
        ({"bonus": "knn", "sofe": True}, "count, first-visit, e3b, smax have"),
        (
            {"bonus": "rnd", "bonus_options": {"ridge": 1.0}},
            "expected parameters of bonus 'rnd' itself, and none unless",
        ),
        ({"bonus_options": {"coefficient": 1.0}}, "expected parameters of bonus 'count' itself"),
        ({"bonus_share": 0.0}, r"bonus_share is 0.0; expected a number in \(0, 1\]"),
        ({"bonus_coefficient": float("nan")}, "bonus_coefficient is nan; expected a finite number"),
        ({"extrinsic_coefficient": "a"}, "extrinsic_coefficient is 'a'; expected a finite number"),
        ({"bonus_coefficient": -1.0}, "bonus_coefficient is -1.0; expected a number of at least 0"),
        ({"bonus": ["count"]}, r"bonus is \['count'\]; expected a text"),
        ({"episodic": None}, "episodic is None; expected true or false"),
        ({"bonus_epochs": 2.5}, "bonus_epochs is 2.5; expected an integer"),
        ({"bonus_options": {1: 2}}, "bonus_options is {1: 2}; expected values by name"),
        ({"bonus_columns": [0.5]}, r"bonus_columns is \[0.5\]; expected a list of integers"),
        ({"bonus_learning_rate": float("inf")}, "bonus_learning_rate is inf; expected a finite number"),
        ({"intrinsic_gamma": 1.5}, r"intrinsic_gamma is 1.5; expected a number in \[0, 1\]"),
        ({"bonus_hidden_sizes": []}, "one or more integers"),
        ({"bonus_length": 0.0}, "bonus_length is 0.0; expected a number above 0"),
    ],
)
@pytest.mark.parametrize("config", [RNDPPOConfig, SOFEPPOConfig, ExploringDQNConfig])
def test_configurations_say_what_is_wrong(config, changes, said):
    with pytest.raises(InputError, match=said):
        config(**({"sofe": False, "bonus": "count"} | changes))


def test_trees_are_refused():
    from optgap.agents.gbt.config import GBTPPOConfig

    @dataclass
    class Trees(GBTPPOConfig, ExploringPPOConfig):
        policy: str = GBTPPOConfig.policy

    with pytest.raises(InputError, match="made of boosted trees; agents that explore expect a network"):
        ExploringPPO(CHAIN, Trees())


def test_an_environment_that_does_not_say_where_the_agent_is():
    with pytest.raises(InputError, match="grid_shape"):
        make("ppo", GymConfig("optgap-test/Corridor-v0"))


def test_policies_without_a_head_for_bonuses_are_refused():
    with pytest.raises(InputError, match="takes no argument 'streams'"):
        make("ppo", bonus="rnd", two_headed=True, policy="optgap.agents.nn.job_shop:JobShopActorCritic")


def test_parameters_of_bonuses():
    plain, rich = (make("ppo", bonus="e3b", sofe=True, bonus_options=options) for options in ({}, {"features": 4}))
    sizes = [agent.observation_space["statistic"].shape[0] for agent in (plain, rich)]
    assert sizes == [6, 10]  # triangles of 3 and 4 features
    with pytest.raises(InputError, match="bonus 'count' has no parameter 'ridge'"):
        make("ppo", bonus="count", bonus_options={"ridge": 1.0})
