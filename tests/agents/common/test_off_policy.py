"""What DQN and SAC share, on networks and on trees: the seed, resuming, warming up, and what a checkpoint holds."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.collector import Collector
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.off_policy import DivergedError, OffPolicyAgent, OffPolicyConfig
from optgap.agents.common.training import resume_run, train_run
from optgap.agents.dqn.agent import DQN
from optgap.agents.dqn.config import DQNConfig
from optgap.agents.gbt.config import GBTDQNConfig, GBTSACConfig
from optgap.agents.sac.agent import SAC
from optgap.agents.sac.config import SACConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

SMALL: dict[str, Any] = {
    "num_envs": 2,
    "rollout_length": 8,
    "warmup_steps": 40,
    "batch_size": 64,
    "minibatch_size": 32,
    "hidden_sizes": [8],
    "checkpoint_interval": 5,
    "capacity": 150,
}
AGENT = {
    "dqn": (DQN, DQNConfig, "MaskedChoice", {"epsilon_steps": 200}),
    "gbt-dqn": (DQN, GBTDQNConfig, "MaskedChoice", {"epsilon_steps": 200, "max_trees": 6, "min_leaf": 1}),
    "sac": (SAC, SACConfig, "Target", {}),
    "gbt-sac": (SAC, GBTSACConfig, "Target", {"policy_batch": 32, "max_trees": 6}),
}
NAMES = list(AGENT)


def agent_for(name: str, seed: int = 0, **changes) -> OffPolicyAgent:
    agent, config, env, settings = AGENT[name]
    return agent(GymConfig(f"optgap-test/{env}-v0"), config(**(SMALL | settings | changes)), seed)


def state(agent: OffPolicyAgent) -> dict[str, torch.Tensor]:
    replay = {f"replay/{name}": tensor.clone() for name, tensor in agent.replay.state().items()}
    return {name: tensor.clone() for name, tensor in agent.policy.state_dict().items()} | replay


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", NAMES)
def test_resuming_at_a_boundary_equals_going_on(name, tmp_path):
    """After a wrapped-around replay, a compression of the trees and a cut of the replay, too."""
    agents = []

    def save(agent, metrics):
        if agent.updates == 15:
            agents.append(state(agent))
            agent.save(tmp_path / "checkpoint")

    whole = agent_for(name).learn(500, save)
    assert whole.updates > 25
    resumed = load_agent(tmp_path / "checkpoint")
    assert isinstance(resumed, OffPolicyAgent)
    assert same(state(resumed), agents[0])
    assert not same(state(resumed), state(whole))
    assert same(state(resumed.learn(500)), state(whole))


def test_a_replay_that_is_too_large_is_cut_in_the_run_as_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("optgap.agents.common.off_policy.MEBIBYTE", 1000)

    def save(agent, metrics):
        sizes.append(len(agent.replay))
        if agent.updates == 10:
            agent.save(tmp_path / "checkpoint")

    sizes: list[int] = []
    whole = agent_for("sac", replay_mib=1).learn(400, save)
    assert sizes[9] < sizes[8]
    assert (tmp_path / "checkpoint" / "replay.safetensors").stat().st_size < 2000
    resumed = SAC.load(tmp_path / "checkpoint")
    assert len(resumed.replay) == sizes[9]
    assert same(state(resumed.learn(400)), state(whole))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_determines_everything(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = state(agent_for(name).learn(200))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(state(agent_for(name).learn(200)), first)
    assert not same(state(agent_for(name, 1).learn(200)), first)


@pytest.mark.parametrize("name", NAMES)
def test_learning_in_two_calls_equals_one(name):
    whole = agent_for(name).learn(300)
    parts = agent_for(name).learn(110)
    assert parts.updates % 5 != 0
    assert same(state(parts.learn(300)), state(whole))


@pytest.mark.parametrize("name", NAMES)
def test_between_boundaries_a_checkpoint_holds_no_replay_and_acts_alike(name, tmp_path):
    agent = agent_for(name).learn(110)
    assert agent.updates % 5 != 0
    agent.save(tmp_path / "final")
    assert not (tmp_path / "final" / "replay.safetensors").exists()
    loaded = type(agent).load(tmp_path / "final")
    assert len(loaded.replay) == 0
    seen = {"nothing": np.zeros((4, 1), np.float32)} if "dqn" in name else np.linspace(-1, 1, 4)[:, None]
    for deterministic in (True, False):
        torch.manual_seed(0)
        expected = agent.predict(seen, deterministic=deterministic)[0]
        torch.manual_seed(0)
        np.testing.assert_array_equal(loaded.predict(seen, deterministic=deterministic)[0], expected)
    assert loaded.learn(200).steps >= 200  # it fills its replay anew


@pytest.mark.parametrize("name", NAMES)
def test_figures(name):
    figures: list[dict[str, float]] = []
    agent = agent_for(name).learn(200, lambda agent, metrics: figures.append(dict(metrics)))
    assert "train/value_loss" not in figures[0]  # the replay is filled first
    assert {"time/steps_per_second", "train/value_loss", "train/replay"} <= figures[-1].keys()
    assert any("episode/return" in entry for entry in figures)
    assert all(np.isfinite(list(entry.values())).all() for entry in figures)
    assert figures[-1]["train/replay"] == len(agent.replay)
    calls: list[int] = []
    agent_for(name).learn(200, lambda agent, metrics: calls.append(agent.updates) or len(calls) < 3)  # type: ignore[func-returns-value]
    assert len(calls) == 3


def test_random_actions_are_held(monkeypatch):
    played = []
    collect = Collector.collect
    monkeypatch.setattr(Collector, "collect", lambda self, act: played.append(collect(self, act)) or played[-1])  # type: ignore[func-returns-value]
    agent_for("sac", warmup_hold=3, warmup_steps=100).learn(60)
    actions = np.concatenate([rollout.actions for rollout, _ in played])[:, 0, 0]
    runs = np.diff(np.flatnonzero(np.diff(actions, prepend=9, append=9)))
    # After a rollout's end, the policy is asked once more than the environment steps.
    assert set(runs.tolist()) == {2, 3}


def test_rewards_are_remembered_by_their_scale():
    plain, scaled = (agent_for("sac", reward_scale=scale).learn(32).replay.state()["rewards"] for scale in (1.0, 4.0))
    assert plain.abs().max() > 0
    assert torch.equal(scaled, 4.0 * plain)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_envs", 0, "an integer of at least 1"),
        ("n_steps", 0, "an integer of at least 1"),
        ("gamma", 1.1, r"a number in \[0, 1\]"),
        ("learning_rate", 0.0, "above 0"),
        ("reward_scale", 0.0, "above 0"),
        ("hidden_sizes", [0], "integers of at least 1"),
        ("warmup_steps", 200_000, "at most capacity = 100000"),
    ],
)
def test_each_value_is_checked(name, value, expected):
    with pytest.raises(InputError, match=f"OffPolicyConfig: {name} is .*; expected .*{expected}"):
        OffPolicyConfig(**{name: value})


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (DQNConfig, "epsilon", 1.5),
        (DQNConfig, "target_interval", 0),
        (DQNConfig, "max_grad_norm", 0.0),
        (SACConfig, "temperature", 0.0),
        (SACConfig, "temperature_rate", -1.0),
        (SACConfig, "target_rate", 0.0),
        (GBTDQNConfig, "max_trees", 0),
        (GBTDQNConfig, "max_depth", 13),
        (GBTSACConfig, "action_pairs", 0),
        (GBTSACConfig, "growth", "leafwise"),
    ],
)
def test_each_value_of_an_agent_is_checked(config, name, value):
    with pytest.raises(InputError, match=f"{config.__name__}: .*{name} is {value!r}; expected"):
        config(**{name: value})


def test_spaces_that_do_not_suit():
    with pytest.raises(InputError, match="has no table of values; expected Discrete"):
        DQN(GymConfig("optgap-test/Target-v0"))
    with pytest.raises(InputError, match="expected a bounded float Box"):
        SAC(GymConfig("optgap-test/Identity-v0"))


def test_a_replay_of_another_environment_is_refused_in_one_line(tmp_path):
    agent_for("gbt-dqn").learn(100).save(tmp_path / "checkpoint")
    agent = agent_for("gbt-dqn")
    while agent.updates % 5 or not agent.updates:
        agent.learn(agent.steps + 1)
    agent.save(tmp_path / "checkpoint")
    with pytest.raises(InputError, match="replay: ") as error:
        DQN.load(tmp_path / "checkpoint", env_config=GymConfig("optgap-test/Identity-v0"))
    assert "\n" not in str(error.value)


def test_registered():
    for name, (agent, config, *_) in AGENT.items():
        entry = AGENTS.load(name)
        assert entry.agent == f"{agent.__module__}:{agent.__name__}"
        assert entry.config == f"{config.__module__}:{config.__name__}"


@pytest.mark.parametrize("capacity", [10**12, 10**30])
def test_a_replay_larger_than_the_memory_is_one_line(capacity):
    with pytest.raises(InputError, match=f"capacity is {capacity}: a replay cannot be so large: .*; expected fewer"):
        SAC(GymConfig("optgap-test/Target-v0"), SACConfig(capacity=capacity, hidden_sizes=[8]))


def test_a_replay_that_would_outgrow_the_memory_is_refused_before_the_run(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1000 if name == "SC_PHYS_PAGES" else 4096)
    agent = SAC(GymConfig("optgap-test/Target-v0"), SACConfig(capacity=10**6, hidden_sizes=[8]))
    with pytest.raises(
        InputError, match=r"capacity is 1000000: a replay of 1000000 transitions takes 0\.0 GiB; expected"
    ):
        agent.learn(10**9)
    assert agent.steps == 0
    agent.learn(64)  # so few steps do not fill it


def test_weights_that_are_no_numbers_end_the_run_and_no_checkpoint_holds_them(tmp_path):
    config = SACConfig(hidden_sizes=[8], learning_rate=1e30, batch_size=256, warmup_steps=64, checkpoint_interval=1)
    agent = SAC(GymConfig("optgap-test/Target-v0"), config)
    with pytest.raises(DivergedError, match=r"training diverged: update \d+ has .*smaller step sizes \(learning_rate"):
        train_run(agent, tmp_path, 10_000)
    kept: Any = resume_run(tmp_path)
    assert kept.updates == agent.updates - 1
    assert all(torch.isfinite(tensor).all() for tensor in kept.policy.state_dict().values())
