"""The BQ agent: it learns, the same run gives the same weights, resuming changes none, and its masks are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.bq import agent as agent_module
from optgap.agents.bq import labels as labels_module
from optgap.agents.bq.agent import BQ
from optgap.agents.bq.config import BQConfig
from optgap.agents.bq.labels import TASKS
from optgap.agents.common.checkpoint import load_agent, write_checkpoint
from optgap.agents.common.contracts import AGENTS
from optgap.co.core import PROBLEMS, InputError
from optgap.co.problems.routing_instances import load_tsp
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.routing.config import KnapsackConfig, TSPConfig
from optgap.envs.scheduling.config import JobShopConfig

SIZE = {"cvrp": "customers", "kp": "items"}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (labels_module, agent_module):
        monkeypatch.setattr(module, "SHARD", 16)
    monkeypatch.setattr(agent_module, "FIRST_SHARDS", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels")


def env_of(problem: str, size: Any = 6) -> Any:
    return ENVIRONMENTS.load(problem)(**{SIZE.get(problem, "nodes"): size})


def small(folder: Path, **changes: Any) -> BQConfig:
    settings = {"size": "tiny", "tokens": 200, "labels": 48, "label_interval": 2, "warmup_updates": 0}
    own = {"own_after": 1, "own_interval": 1, "own_instances": 3, "own_states": 2, "checkpoint_interval": 2}
    return BQConfig(**(settings | own | {"label_processes": 0, "label_folder": str(folder)} | changes))


def weights(agent: BQ) -> torch.Tensor:
    return torch.cat([p.detach().ravel() for module in (agent.policy, agent.learner) for p in module.parameters()])


def stop_after(updates: int) -> Any:
    return lambda agent, metrics: agent.updates < updates


@pytest.mark.slow
def test_it_learns_short_tours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "FIRST_SHARDS", 64)
    config = env_of("tsp", 10)
    settings = {"tokens": 2048, "labels": 1024, "warmup_updates": 5, "final_learning_rate": 1e-3, "averaging": 0.98}
    agent = BQ(config, small(folder, **settings), seed=0)
    draw, problem = config.source(), PROBLEMS.load("tsp")
    seeds = [10**6 + index for index in range(100)]
    instances = [draw(np.random.default_rng(seed)) for seed in seeds]
    best = agent.task.label(draw, seeds, 1.0)["xy"]  # in the order of the tour
    optimal = np.linalg.norm(best - np.roll(best, 1, 1), axis=2).sum(1)

    def gap() -> float:
        solutions = agent.policy.play_instances(instances)
        costs = [problem.cost(i, s) for i, s in zip(instances, solutions, strict=True)]
        return float(np.mean(costs / optimal) - 1)

    before, seen = gap(), []
    agent.learn(120_000, lambda _, metrics: seen.append(metrics))
    assert before > 0.1
    assert gap() < 0.03
    assert seen[-1]["train/accuracy"] > 0.85
    assert seen[-1]["train/action"] < 0.5 * seen[0]["train/action"]


@pytest.mark.parametrize("problem", TASKS)
def test_a_resumed_run_equals_an_uninterrupted_one(problem: str, folder: Path, tmp_path: Path) -> None:
    """Bit for bit: the average of the weights, the learner's, and what Muon and AdamW remember."""
    config, total = env_of(problem, (6, 8) if problem in ("tsp", "kp") else 6), 10**9
    whole = BQ(config, small(folder), seed=1).learn(total, stop_after(5))
    part = BQ(config, small(folder), seed=1).learn(total, stop_after(2))
    part.save(tmp_path / "run")
    resumed = load_agent(tmp_path / "run")
    assert isinstance(resumed, BQ)
    assert (resumed.steps, resumed.updates, resumed.config) == (part.steps, part.updates, part.config)
    assert torch.equal(weights(resumed), weights(part))
    resumed.learn(total, stop_after(5))
    assert (resumed.steps, resumed.updates) == (whole.steps, whole.updates)
    assert torch.equal(weights(resumed), weights(whole))
    for one, other in zip(resumed.learner.parameters(), whole.learner.parameters(), strict=True):
        mine, theirs = resumed.optimizer.state[one], whole.optimizer.state[other]
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(torch.as_tensor(mine[key]), torch.as_tensor(theirs[key])) for key in mine)
    resumed.save(tmp_path / "run")
    whole.save(tmp_path / "whole")
    for name in ("weights.safetensors", "optimizer.safetensors", "state.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_seed_determines_the_weights(folder: Path) -> None:
    config = KnapsackConfig(items=6)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = BQ(config, small(folder), seed=3).learn(10**9, stop_after(2))
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers are the caller's
    torch.manual_seed(2)
    second = BQ(config, small(folder), seed=3).learn(10**9, stop_after(2))
    other = BQ(config, small(folder), seed=4).learn(10**9, stop_after(2))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_what_acts_is_an_average_of_what_learns(folder: Path) -> None:
    agent = BQ(KnapsackConfig(items=6), small(folder, averaging=0.5), seed=0)
    start = weights(agent)
    half = len(start) // 2
    assert torch.equal(start[:half], start[half:])
    agent.learn(10**9, stop_after(1))
    after = weights(agent)
    # after the first update the decay is 1 / 10
    torch.testing.assert_close(after[:half], 0.1 * start[:half] + 0.9 * after[half:])
    assert not any(parameter.requires_grad for parameter in agent.policy.parameters())


def test_figures_and_labels_grow_with_the_updates(folder: Path) -> None:
    seen: list[dict[str, float]] = []
    agent = BQ(KnapsackConfig(items=6), small(folder, warmup_updates=3, learning_rate=1e-2, final_learning_rate=1e-4))
    agent.learn(200, lambda _, metrics: seen.append(metrics))
    assert agent.steps >= 200
    assert [metrics["train/labels"] for metrics in seen[:5]] == [32, 32, 48, 48, 48]
    rates = [metrics["train/learning_rate"] for metrics in seen]
    assert rates[0] == pytest.approx(1e-2 / 4)
    assert max(rates) > rates[-1] >= 1e-4
    assert {"train/action", "train/edges", "train/chosen", "train/accuracy"} <= seen[0].keys()
    group, other = agent.optimizer.param_groups
    assert group["lr"] == pytest.approx(rates[-1])
    assert other["lr"] == pytest.approx(rates[-1] / 5)


def test_published_weights_can_be_trained_further(folder: Path, tmp_path: Path) -> None:
    """Without an optimizer in the checkpoint the learner begins with the average."""
    agent = BQ(KnapsackConfig(items=6), small(folder), seed=0).learn(10**9, stop_after(2))
    write_checkpoint(tmp_path / "zoo", agent, agent.seed, agent.policy)
    other = BQ.load(tmp_path / "zoo")
    for mean, learner in zip(other.policy.parameters(), other.learner.parameters(), strict=True):
        assert torch.equal(mean, learner)
    half = len(weights(agent)) // 2
    assert torch.equal(weights(other)[:half], weights(agent)[:half])
    other.learn(10**9, stop_after(3))
    assert not torch.equal(weights(other)[:half], weights(agent)[:half])


def test_weights_serve_other_sizes(folder: Path, tmp_path: Path) -> None:
    agent = BQ(KnapsackConfig(items=6), small(folder))
    agent.save(tmp_path / "agent")
    other = BQ.load(tmp_path / "agent", env_config=KnapsackConfig(items=9))
    assert other.action_space.n == 9
    assert torch.equal(weights(other), weights(agent))
    with pytest.raises(InputError, match=r"weights.safetensors: 'network.embed.weight' has shape"):
        BQ.load(tmp_path / "agent", env_config=TSPConfig(nodes=6))


@pytest.mark.parametrize("problem", TASKS)
def test_predict_keeps_the_masks(problem: str, folder: Path) -> None:
    agent = BQ(env_of(problem), small(folder))
    config = env_of(problem, (4, 9))
    observation, _ = config.make().reset(seed=0)
    action, state = agent.predict(observation, deterministic=True)
    assert state is None
    assert np.shape(action) == ()
    assert observation["action_mask"][action] == 1
    vector: Any = config.make_vec(5)
    batch, _ = vector.reset(seed=0)
    ended = np.zeros(5, bool)
    torch.manual_seed(0)
    for step in range(14):  # episodes of several sizes end and begin
        actions, _ = agent.predict(batch, deterministic=step % 2 == 0)
        assert actions.shape == (5,)
        allowed = np.take_along_axis(batch["action_mask"], actions[:, None], 1)[:, 0] == 1
        assert (allowed | ~batch["action_mask"].any(1)).all()  # where all is over, anything
        batch, _, terminated, _, _ = vector.step(actions)
        ended |= terminated
    assert ended.all()


def test_an_episode_that_is_over_asks_for_nothing(folder: Path) -> None:
    for problem in TASKS:
        agent = BQ(env_of(problem), small(folder))
        observation, _ = env_of(problem).make().reset(seed=0)
        observation["action_mask"] = np.zeros_like(observation["action_mask"])
        agent.predict(observation)
        agent.predict(observation, deterministic=True)


def test_sampling_draws_different_actions(folder: Path) -> None:
    agent = BQ(env_of("tsp", 9), small(folder))
    observation, _ = env_of("tsp", 9).make().reset(seed=0)
    torch.manual_seed(0)
    assert len({int(agent.predict(observation)[0]) for _ in range(40)}) > 1
    assert len({int(agent.predict(observation, deterministic=True)[0]) for _ in range(5)}) == 1


def test_stable_baselines3_evaluates_it(folder: Path) -> None:
    from stable_baselines3.common.evaluation import evaluate_policy

    mean, _ = evaluate_policy(BQ(env_of("tsp"), small(folder)), env_of("tsp").make(), n_eval_episodes=3, warn=False)
    assert -6 < mean < -1


def test_it_trains_only_where_it_can(folder: Path) -> None:
    assert AGENTS.load("bq").agent.endswith(":BQ")
    for other in (JobShopConfig(jobs=2, machines=2), GymConfig(id="CartPole-v1")):
        with pytest.raises(InputError, match="tsp, atsp, cvrp, op, kp") as error:
            BQ(other, small(folder))
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="seed"):
        BQ(env_of("tsp"), small(folder), seed=-1)


def test_labels_are_made_of_given_instances_too(folder: Path) -> None:
    agent = BQ(TSPConfig(instances=[load_tsp("burma14")]), small(folder)).learn(10**9, stop_after(1))
    assert agent.updates == 1
    one_item = BQ(KnapsackConfig(items=1, capacity=1.0), small(folder, crop=1.0)).learn(10**9, stop_after(1))
    assert one_item.updates == 1  # the smallest instance that there is


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "huge"},
        {"tokens": 0},
        {"labels": 0},
        {"label_interval": 0},
        {"checkpoint_interval": 0},
        {"warmup_updates": -1},
        {"weight_decay": -0.1},
        {"edge_weight": float("nan")},
        {"chosen_weight": -1.0},
        {"label_processes": -1},
        {"learning_rate": 0.0},
        {"learning_rate": 1e-6},
        {"final_learning_rate": 0.0},
        {"max_grad_norm": 0.0},
        {"label_effort": 0.0},
        {"averaging": 1.0},
        {"crop": 1.5},
        {"nearest": 0},
        {"nearest": 2.5},
    ],
    ids=str,
)
def test_wrong_hyperparameters_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as error:
        BQConfig(**wrong)
    assert "\n" not in str(error.value)
    assert BQConfig(nearest=None).nearest is None
