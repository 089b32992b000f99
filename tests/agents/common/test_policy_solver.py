"""A trained agent as a solver: its answer is checked like any other's, and samples never make it worse."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.bq.agent import BQ
from optgap.agents.bq.config import BQConfig
from optgap.agents.common.policy_solver import BatchedPolicy, BeamPolicy, PolicySolver
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.agents.slim.agent import SLIM
from optgap.agents.slim.config import SLIMConfig
from optgap.co.core import PROBLEMS, Budget, InputError, Status, solve
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.envs.gym_config import GymConfig
from optgap.envs.routing.config import TSPConfig
from optgap.envs.scheduling.config import BlockingJobShopConfig, JobShopConfig, JobShopOptions

SMALL = SLIMConfig(width=8, layers=1, hidden=16)


def graph_agent(config: Any = JobShopConfig) -> SLIM:
    return SLIM(config(jobs=(2, 4), machines=3), SMALL)


def perceptron_agent(**options: Any) -> PPO:
    return PPO(JobShopOptions(jobs=3, machines=3, **options), PPOConfig(hidden_sizes=[8]))


INSTANCES = {JobShopConfig: "random-7x5-s1", BlockingJobShopConfig: "blocking-7x5-p20-s1"}


@pytest.mark.parametrize("config", INSTANCES, ids=lambda config: config.__name__)
def test_samples_are_never_worse_than_the_greedy_episode(config: Any) -> None:
    agent, instance = graph_agent(config), load_job_shop(INSTANCES[config])
    problem = PROBLEMS.load(config.problem)
    greedy = solve(PolicySolver(agent), problem, instance, Budget())
    assert len(greedy.incumbents) == 1
    costs = []
    for samples in (1, 2, 30, 200):
        result = solve(PolicySolver(agent, "sample", samples=samples, copies=64), problem, instance, Budget())
        assert result.status is Status.FEASIBLE
        history = [point.cost for point in result.incumbents]
        assert history[0] == greedy.cost
        assert history == sorted(set(history), reverse=True)
        assert result.cost == history[-1]
        assert [p.seconds for p in result.incumbents] == sorted(p.seconds for p in result.incumbents)
        costs.append(result.cost)
    assert costs[0] == greedy.cost
    assert costs[-1] < greedy.cost


def test_an_agent_without_fast_rollouts_plays_the_environment() -> None:
    agent, instance = perceptron_agent(), load_job_shop("random-3x3-s5")
    assert not isinstance(agent.policy, BatchedPolicy)
    problem = PROBLEMS.load("job-shop")
    greedy = solve(PolicySolver(agent), problem, instance, Budget())
    sampled = solve(PolicySolver(agent, "sample", samples=25), problem, instance, Budget())
    assert sampled.cost <= greedy.cost
    smaller = solve(PolicySolver(agent), problem, load_job_shop("random-2x2-s5"), Budget())
    assert smaller.cost > 0  # padded to what the network was built for
    with pytest.raises(InputError, match="holds 3, 9 and 3"):
        PolicySolver(agent)(load_job_shop("random-4x3-s5"), Budget())
    with pytest.raises(InputError, match="temperature"):
        PolicySolver(agent, "sample", temperature=0.5)


@pytest.mark.parametrize("make", [graph_agent, perceptron_agent])
def test_the_seed_of_the_budget_determines_the_samples_and_nothing_else_is_drawn(make: Any) -> None:
    agent, instance = make(), load_job_shop("random-3x3-s2")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = [PolicySolver(agent, "sample", samples=5)(instance, Budget(seed=seed)).incumbents for seed in (0, 0)]
    assert torch.equal(torch.get_rng_state(), before)
    assert [point.cost for point in found[0]] == [point.cost for point in found[1]]


def test_samples_differ_between_seeds() -> None:
    agent, instance = graph_agent(), load_job_shop("random-8x6-s2")
    costs = {PolicySolver(agent, "sample", samples=3)(instance, Budget(seed=s)).incumbents[-1].cost for s in range(12)}
    assert len(costs) > 1


def test_a_hot_policy_is_a_random_one_and_a_cold_one_is_greedy() -> None:
    agent, instance = graph_agent(), load_job_shop("random-8x6-s2")
    greedy = PolicySolver(agent)(instance, Budget()).incumbents
    cold = PolicySolver(agent, "sample", samples=20, temperature=1e-6)(instance, Budget()).incumbents
    assert [p.cost for p in cold] == [p.cost for p in greedy]
    hot = PolicySolver(agent, "sample", samples=20, temperature=1e6)(instance, Budget())
    assert len(hot.incumbents) > 1


def test_a_beam_search_is_never_worse_than_the_greedy_episode() -> None:
    agent = BQ(TSPConfig(nodes=20), BQConfig(size="tiny"))
    assert isinstance(agent.policy, BeamPolicy)
    instances = [agent.env_config.source()(np.random.default_rng(seed)) for seed in range(5)]
    problem, gains = PROBLEMS.load("tsp"), []
    for instance in instances:
        greedy = solve(PolicySolver(agent), problem, instance, Budget())
        narrow = solve(PolicySolver(agent, "beam", width=1), problem, instance, Budget())
        wide = solve(PolicySolver(agent, "beam"), problem, instance, Budget())
        assert narrow.cost == wide.incumbents[0].cost == greedy.cost
        gains.append(greedy.cost - wide.cost)
    assert min(gains) >= 0
    assert max(gains) > 0


def test_the_seconds_end_it_between_two_rounds() -> None:
    agent, instance = graph_agent(), load_job_shop("random-8x6-s2")
    PolicySolver(agent)(instance, Budget())  # compiled
    begun = time.perf_counter()
    result = PolicySolver(agent, "sample", samples=10**9, copies=16)(instance, Budget(seconds=0.5))
    assert 0.4 < time.perf_counter() - begun < 5
    assert result.status is Status.FEASIBLE
    assert PolicySolver(agent, "sample", samples=10**9)(instance, Budget(seconds=1e-9)).solution is not None


def test_the_threads_of_the_budget_are_those_of_torch_while_it_runs() -> None:
    agent, instance = graph_agent(), load_job_shop("random-3x3-s2")
    seen: list[int] = []
    agent.policy.network.encoder.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    for threads in (1, 2):
        PolicySolver(agent)(instance, Budget(threads=threads))
    assert seen == [1, 2]
    assert torch.get_num_threads() == before


def test_ctrl_c_keeps_the_best_so_far_and_is_passed_on_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, instance = graph_agent(), load_job_shop("random-3x3-s2")
    solver = PolicySolver(agent, "sample", samples=10)
    play = agent.policy.play_copies
    calls = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > limit:
            raise KeyboardInterrupt
        return play(*arguments)

    monkeypatch.setattr(agent.policy, "play_copies", interrupted)
    limit = 1
    result = solver(instance, Budget())
    assert result.solution is not None
    limit = 0
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        solver(instance, Budget())


def test_instances_of_another_problem_are_one_line() -> None:
    with pytest.raises(InputError, match="plays instances of the job shop"):
        PolicySolver(graph_agent())(load_job_shop("blocking-3x3-p10-s0"), Budget())
    with pytest.raises(InputError, match="plays instances of the blocking job shop"):
        PolicySolver(graph_agent(BlockingJobShopConfig))(load_job_shop("ft06"), Budget())
    with pytest.raises(InputError, match="solves no problem"):
        PolicySolver(PPO(GymConfig(id="CartPole-v1"), PPOConfig(hidden_sizes=[4])))


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "best"},
        {"mode": "beam"},
        {"samples": 0},
        {"copies": 0},
        {"width": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
    ],
    ids=str,
)
def test_wrong_arguments_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        PolicySolver(graph_agent(), **wrong)


def test_other_senses_keep_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of a maximization problem, here the job shop turned round, is the greatest."""
    problem = PROBLEMS.load("job-shop")
    monkeypatch.setattr(type(problem), "sense", "maximize")
    result = PolicySolver(graph_agent(), "sample", samples=60, copies=1)(load_job_shop("random-6x4-s1"), Budget())
    history = [point.cost for point in result.incumbents]
    assert history == sorted(history)
    assert len(history) > 1


def test_gymnasium_is_not_needed_to_be_told_of_instances() -> None:
    """The configuration of the agent is left as it was: solving is no training."""
    agent = graph_agent()
    before = repr(agent.env_config)
    PolicySolver(agent, "sample", samples=3)(load_job_shop("ft06"), Budget())
    assert repr(agent.env_config) == before
    assert "optgap/JobShop-v0" in gym.registry


def test_greedy_needs_no_luck() -> None:
    agent, instance = graph_agent(), load_job_shop("ft06")
    found = {PolicySolver(agent)(instance, Budget(seed=seed)).incumbents[0].cost for seed in range(3)}
    assert len(found) == 1
    assert np.isfinite(list(found)).all()
