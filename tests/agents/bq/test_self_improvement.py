"""Self-improvement: it learns without labels, the pool holds nothing worse than greedy, and resuming changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.bq.agent import BQ
from optgap.agents.bq.config import BQConfig, SILConfig
from optgap.agents.bq.self_improvement import SelfImprovingBQ, decode
from optgap.agents.common.checkpoint import load_agent
from optgap.agents.common.contracts import AGENTS
from optgap.co.core import InputError
from optgap.co.heuristics.tour_local_search import improve_tours
from optgap.co.problems.tsp import TSP_PROBLEM
from optgap.envs.gym_config import GymConfig
from optgap.envs.routing.config import ATSPConfig, CVRPConfig, KnapsackConfig, OrienteeringConfig, TSPConfig

PROBLEMS = {
    "tsp": TSPConfig(nodes=8),
    "atsp": ATSPConfig(nodes=8),
    "cvrp": CVRPConfig(customers=7),
    "op": OrienteeringConfig(nodes=8),
    "kp": KnapsackConfig(items=8),
}


def small(**changes: Any) -> SILConfig:
    settings = {"size": "tiny", "tokens": 256, "width": 4, "beam": 2, "warmup_updates": 2}
    return SILConfig(**(settings | {"epoch_updates": 4, "pool_interval": 2, "checkpoint_interval": 4} | changes))


def weights(agent: BQ) -> torch.Tensor:
    return torch.cat([p.detach().ravel() for p in (*agent.policy.parameters(), *agent.learner.parameters())])


def stop_after(updates: int) -> Any:
    return lambda agent, _: agent.updates < updates


def test_it_learns_without_labels() -> None:
    config = TSPConfig(nodes=10)
    draw = config.source()
    instances = [draw(np.random.default_rng([10**6, index])) for index in range(100)]
    xy = np.stack([instance.positions for instance in instances])
    best, _ = improve_tours(xy, np.tile(np.arange(10, dtype=np.int32), (100, 1)), 200, 0, True)
    optimal = np.array([TSP_PROBLEM.cost(instance, tour) for instance, tour in zip(instances, best, strict=True)])
    settings = small(tokens=1024, reuse=16.0, epoch_updates=50, pool_interval=5, checkpoint_interval=50)
    agent = SelfImprovingBQ(config, settings)

    def gap() -> float:
        found = agent.policy.play_instances(instances)
        lengths = np.array([TSP_PROBLEM.cost(instance, tour) for instance, tour in zip(instances, found, strict=True)])
        return float((lengths / optimal).mean() - 1)

    before = gap()
    agent.learn(30_000)
    assert before > 0.1
    assert gap() < 0.08, gap()


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("beam", [1, 4])
def test_nothing_that_is_imitated_is_worse_than_greedy(problem: str, beam: int) -> None:
    agent = SelfImprovingBQ(PROBLEMS[problem], small())
    draw, rng = agent.env_config.source(), np.random.default_rng(0)
    instances = [draw(rng) for _ in range(20)]
    found = decode(agent.policy, instances, small(width=8, beam=beam), torch.Generator().manual_seed(0))
    check, sign = agent.policy.problem, 1 if agent.policy.problem.sense == "minimize" else -1
    alone = agent.policy.play_instances(instances)
    better = 0
    for instance, solution, cost, greedy, other in zip(
        instances, found.solutions, found.costs, found.greedy, alone, strict=True
    ):
        check.check(instance, solution)
        assert check.cost(instance, solution) == pytest.approx(cost, rel=1e-5)
        assert check.cost(instance, other) == pytest.approx(greedy, rel=1e-5)
        assert sign * cost <= sign * greedy
        better += cost != greedy
    assert better > 5
    assert found.entropy > 0


def test_a_pool_grows_and_keeps_what_it_holds_until_the_epoch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = SelfImprovingBQ(TSPConfig(nodes=8), small())
    seen: list[np.ndarray] = []

    def watch(agent: Any, metrics: dict[str, float]) -> bool:
        labels, count = agent._pool.draw(np.random.default_rng(0))
        seen.append(labels["xy"][:count].copy())
        assert metrics["pool/gain_over_greedy"] >= 0
        assert metrics["pool/entropy"] > 0
        assert metrics["time/decoding"] >= 0
        return agent.updates < 6

    agent.learn(10**12, watch)
    begun, added = agent._instances() * 4, agent._instances()
    assert [len(xy) for xy in seen] == [begun, begun, begun + added, begun + added, begun, begun]
    np.testing.assert_array_equal(seen[0], seen[2][:begun])
    assert not np.array_equal(seen[0], seen[4])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_trains_on_every_problem(problem: str) -> None:
    metrics: list[dict[str, float]] = []
    agent = SelfImprovingBQ(PROBLEMS[problem], small())
    before = weights(agent)

    def note(agent: Any, found: dict[str, float]) -> bool:
        metrics.append(found)
        return bool(agent.updates < 2)

    agent.learn(10**12, note)
    assert all(np.isfinite(list(found.values())).all() for found in metrics)
    assert not torch.equal(weights(agent), before)


def test_instances_of_different_sizes_are_solved_together() -> None:
    agent = SelfImprovingBQ(CVRPConfig(customers=(4, 7)), small()).learn(10**12, stop_after(2))
    assert agent.updates == 2


def test_the_seed_determines_the_weights() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = SelfImprovingBQ(TSPConfig(nodes=6), small(), seed=3).learn(10**12, stop_after(5))
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers are the caller's
    second = SelfImprovingBQ(TSPConfig(nodes=6), small(), seed=3).learn(10**12, stop_after(5))
    other = SelfImprovingBQ(TSPConfig(nodes=6), small(), seed=4).learn(10**12, stop_after(5))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    config, total = TSPConfig(nodes=(5, 8)), 900
    whole = SelfImprovingBQ(config, small(), seed=0).learn(total)
    part = SelfImprovingBQ(config, small(), seed=0).learn(total, stop_after(4))
    assert part.updates == 4 < whole.updates - 1
    part.save(tmp_path / "run")
    resumed = load_agent(tmp_path / "run")
    assert isinstance(resumed, SelfImprovingBQ)
    assert (resumed.steps, resumed.updates, resumed.config) == (part.steps, part.updates, part.config)
    resumed.learn(total)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.steps == whole.steps
    part.learn(total)  # and so does one that was stopped and goes on
    assert torch.equal(weights(part), weights(whole))


def test_it_begins_with_other_weights(tmp_path: Path) -> None:
    settings = BQConfig(size="tiny", label_folder=str(tmp_path / "labels"))
    other = BQ(TSPConfig(nodes=6), settings, seed=5)
    other.save(tmp_path / "run" / "best")
    agent = SelfImprovingBQ(TSPConfig(nodes=9), small(start=str(tmp_path / "run")))
    assert torch.equal(weights(agent), weights(other))
    assert (agent.steps, agent.updates) == (0, 0)
    agent.save(tmp_path / "agent")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert torch.equal(weights(SelfImprovingBQ.load(tmp_path / "agent")), weights(agent))  # not read again
    with pytest.raises(InputError, match=r"run: holds no trained weights; expected a run folder or shipped weights"):
        SelfImprovingBQ(TSPConfig(nodes=9), small(start=str(tmp_path / "run")))
    with pytest.raises(InputError, match=r"tsp, size tiny; expected a BQ agent for tsp of size small"):
        SelfImprovingBQ(TSPConfig(nodes=9), small(start=str(tmp_path / "moved"), size="small"))
    with pytest.raises(InputError, match=r"tsp, size tiny; expected a BQ agent for cvrp of size tiny"):
        SelfImprovingBQ(CVRPConfig(customers=9), small(start=str(tmp_path / "moved")))


def test_it_is_registered_and_trains_only_where_it_can() -> None:
    assert AGENTS.load("bq-sil").agent.endswith(":SelfImprovingBQ")
    with pytest.raises(InputError, match="the BQ agents solve"):
        SelfImprovingBQ(GymConfig(id="CartPole-v1"), small())


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"beam": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"reuse": 0.0},
        {"pool_interval": 0},
        {"epoch_updates": 0},
        {"checkpoint_interval": 300},
        {"size": "huge"},
    ],
    ids=str,
)
def test_wrong_hyperparameters_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as error:
        SILConfig(**wrong)
    assert "\n" not in str(error.value)
