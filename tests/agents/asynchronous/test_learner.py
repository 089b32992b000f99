"""The learner's logic, without processes: what it remembers, when it updates, what it logs, and how it resumes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.asynchronous.agents import APTSAC, APTTD3
from optgap.agents.asynchronous.config import APTSACConfig, APTTD3Config
from optgap.agents.asynchronous.engine import ActorsLostError
from optgap.agents.asynchronous.learner import Speeds, episode_figures, registering_modules
from optgap.agents.asynchronous.messages import Ended, Mail
from optgap.agents.asynchronous.recipes import SAC as SAC_RECIPES
from optgap.agents.asynchronous.recipes import TD3 as TD3_RECIPES
from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.agents.common.off_policy import DivergedError
from optgap.agents.common.training import resume_run, train_run
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig

BOTH = pytest.mark.parametrize("kind", ["sac", "td3"])
SMALL: dict[str, Any] = {
    "engine": "inline",
    "actors": 3,
    "rollout_length": 5,
    "warmup_steps": 60,
    "hidden_sizes": [8],
    "batch_size": 32,
    "minibatch_size": 16,
}


def agent_for(kind: str, name: str = "Target", seed: int = 0, **changes) -> Any:
    agent, config = {"sac": (APTSAC, APTSACConfig), "td3": (APTTD3, APTTD3Config)}[kind]
    return agent(GymConfig(f"optgap-test/{name}-v0"), config(**(SMALL | changes)), seed)


def weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.ravel().float() for tensor in agent.policy.state_dict().values()])


@pytest.mark.parametrize("envs_per_actor", [1, 3])
def test_what_arrives_is_exactly_what_was_played(envs_per_actor, inline, diary):
    """The previous observation advances, an end's observation is not a reset's, and a time limit is not terminal."""
    agent = agent_for("sac", "Diary", envs_per_actor=envs_per_actor, gamma=0.9).learn(600)
    state = {name: tensor.numpy() for name, tensor in agent.replay.state().items()}
    played = {tuple(page[0]): page for page in diary.pages}
    assert len(played) == len(diary.pages) == len(agent.replay) == agent.steps
    for row, seen in enumerate(state["observations"]):
        _, action, reward, after, terminated = played.pop(tuple(seen))
        np.testing.assert_array_equal(state["next_observations"][row], after)
        assert after[1] == seen[1]  # of the same episode
        assert after[2] == seen[2] + 1
        np.testing.assert_allclose(agent._to_environment(state["actions"][row][None])[0], action)
        assert state["rewards"][row] == reward
        assert state["discounts"][row] == (0 if terminated else np.float32(0.9))
    assert not played
    ends = [page for page in diary.pages if page[4]]
    assert len(ends) > 20


@pytest.mark.parametrize(("ratio", "every"), [(1.0, 2), (0.25, 8), (4.0, 0.5), (0.3, 2 / 0.3)])
def test_gradient_steps_keep_their_ratio_to_environment_steps(ratio, every, inline, monkeypatch):
    agent, spent = agent_for("td3", update_ratio=ratio, warmup_steps=1), []

    def callback(agent, metrics):
        spent.append((agent.steps, int(agent.policy.gradient_steps)))
        assert agent.steps >= agent.updates * every - 1e-6  # never ahead of the data
        assert agent.steps < agent.updates * every + 5 + every  # and behind by what was drained last at most

    agent.learn(300, callback)
    steps, gradient_steps = spent[-1]
    assert gradient_steps == 2 * agent.updates
    assert gradient_steps == pytest.approx(ratio * steps, abs=2)


def test_the_age_of_policies_is_told_in_updates(inline):
    """An update comes after 2 steps, a rollout has 5: the policy is 2 or 3 updates old when the next is drained."""
    found = []
    inline.lag = 4
    agent_for("sac", warmup_steps=1).learn(400, lambda agent, metrics: found.append(dict(metrics)))
    ages = [one["actors/staleness_mean"] for one in found[50:] if "actors/staleness_mean" in one]
    assert set(ages) == {4.0}
    assert [one["actors/staleness_max"] for one in found if "actors/staleness_max" in one][-1] == 4.0
    for name in ("actors/queue", "actors/restarts", "time/steps_per_second", "time/gradient_steps_per_second"):
        assert all(np.isfinite(one[name]) for one in found)


def test_actors_get_the_published_policy_and_steps(inline):
    agent = agent_for("td3", publish_interval=3).learn(305)
    engine = inline.made[0]
    assert [one.version for one in engine.published] == list(range(0, agent.updates + 1, 3))
    player = engine.players[0]
    player.play()
    assert player.agent.steps == engine.published[-1].steps
    assert agent.updates % 3 == 0
    for name, tensor in player.agent.policy.acting_state().items():
        assert name.startswith("actor.")
        assert torch.equal(tensor, agent.policy.state_dict()[name])
    assert len({one.agent.seed for one in engine.players.values()}) == 3  # no two actors play the same


@BOTH
def test_it_learns_what_the_algorithm_learns(kind, inline):
    settings = {"batch_size": 256, "minibatch_size": 64, "hidden_sizes": [32, 32], "warmup_steps": 400, "gamma": 0.0}
    own = {"temperature": 0.2, "temperature_rate": 0.01} if kind == "sac" else {"exploration_noise": 0.3}
    agent = agent_for(kind, rollout_length=8, update_ratio=0.5, **settings, **own).learn(3000)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.05  # 1 for uniform actions


def test_a_dead_actor_is_started_anew_and_counted(inline):
    inline.script = [Mail(1, 0, Ended("its process ended with exit code -9")), Mail(1, 0, Ended("the same, again"))]
    found = []
    agent_for("sac").learn(100, lambda agent, metrics: found.append(metrics["actors/restarts"]))
    assert inline.made[0].started == [(0, 0), (1, 0), (2, 0), (1, 1)]
    assert found[-1] == 1


@BOTH
def test_a_resumed_run_goes_on_with_replay_weights_and_counters(kind, inline, tmp_path):
    agent = agent_for(kind, checkpoint_interval=20)
    assert not train_run(agent, tmp_path, 1000, lambda agent, metrics: agent.updates < 33)
    resumed = resume_run(tmp_path)
    assert isinstance(resumed, type(agent))
    assert (resumed.steps, resumed.updates) == (agent.steps, 33)  # not 20: any update will do
    assert torch.equal(weights(resumed), weights(agent))
    for name, tensor in agent.replay.state().items():
        assert torch.equal(resumed.replay.state()[name], tensor)
    assert train_run(resumed, tmp_path, agent.steps + 50)
    assert resumed.steps >= agent.steps + 50
    assert inline.made[1].assignment.updates == 33  # so that its actors play other episodes
    assert load_agent(tmp_path / "final").updates == resumed.updates


def test_a_run_that_loses_its_actors_keeps_what_it_learned(inline, tmp_path):
    agent = agent_for("sac")

    def lose(agent, metrics):
        if agent.updates == 37:
            inline.script = [Mail(0, number, Ended("killed")) for number in range(5)]

    with pytest.raises(ActorsLostError, match="actor 0 failed 5 times in a row: killed"):
        train_run(agent, tmp_path, 10_000, lose)
    resumed: Any = resume_run(tmp_path)
    assert resumed.updates == agent.updates >= 37
    assert len(resumed.replay) == len(agent.replay) > 0


def test_a_run_that_diverges_keeps_the_checkpoint_before(inline, tmp_path):
    agent = agent_for("sac", learning_rate=1e30, checkpoint_interval=1)
    with pytest.raises(DivergedError, match="training diverged"):
        train_run(agent, tmp_path, 10_000)
    resumed: Any = resume_run(tmp_path)
    assert resumed.updates == agent.updates - 1
    assert torch.isfinite(weights(resumed)).all()


def test_more_actors_than_memory_is_one_line(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 2**20 if name == "SC_PHYS_PAGES" else 1024)  # 1 GiB
    with pytest.raises(
        InputError, match=r"actors is 100: so many processes takes .* GiB; expected at most the 1\.0 GiB"
    ):
        agent_for("sac", engine="processes", actors=100).learn(100)


def test_an_environment_that_cannot_be_played_is_one_line(inline):
    inline.script = [Mail(2, 0, Ended("environment X cannot be made", fatal=True))]
    with pytest.raises(InputError, match="actor 2: environment X cannot be made"):
        agent_for("sac").learn(100)


def test_a_run_that_is_over_starts_nothing(inline):
    agent = agent_for("sac")
    agent.steps = 100
    agent.learn(100)
    assert inline.made == []


def test_figures_of_episodes_are_weighted_by_their_number():
    metrics = [
        {"episode/count": 1.0, "episode/return": 4.0},
        {"episode/count": 0.0},
        {"episode/count": 3.0, "episode/return": 8.0},
    ]
    assert episode_figures(metrics) == {"episode/count": 4.0, "episode/return": 7.0}
    assert episode_figures([]) == {"episode/count": 0.0}


def test_speeds_are_those_of_the_last_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("optgap.agents.asynchronous.learner.time.perf_counter", lambda: now[0])
    speeds = Speeds(1000)
    for second in range(1, 21):
        now[0] = float(second)
        found = speeds.after(1000 + (100 if second <= 10 else 100 + 7 * (second - 10)), 3)
    assert found["time/steps_per_second"] == pytest.approx(7)
    assert found["time/gradient_steps_per_second"] == pytest.approx(3)


def test_modules_that_register_ids():
    assert registering_modules(GymConfig("Pendulum-v1")) == ()
    assert registering_modules(object()) == ()
    package, module = registering_modules(GymConfig("optgap-test/Diary-v0"))
    assert module.startswith(package)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "threads"}, "engine is 'threads'; expected"),
        ({"engine": "processes", "address": "here:1"}, "address is 'here:1'; expected null with engine=processes"),
        ({"actors": 0}, "actors is 0"),
        ({"queue": 0}, "queue is 0"),
        ({"update_ratio": 0.0}, "update_ratio is 0.0"),
        ({"heartbeat_seconds": -1.0}, "heartbeat_seconds is -1.0"),
        ({"num_envs": 4}, "num_envs is 4; expected nothing; envs_per_actor says it"),
    ],
)
def test_bad_settings(settings, message):
    for config in (APTSACConfig, APTTD3Config):
        with pytest.raises(InputError, match=f"{config.__name__}: {message}"):
            config(**settings)


def test_recipes_fit():
    for name, config, recipes in (("sac", APTSACConfig, SAC_RECIPES), ("td3", APTTD3Config, TD3_RECIPES)):
        assert AGENTS.load(f"apt-{name}").config.endswith(config.__name__)
        for recipe in recipes.values():
            config(**recipe)
