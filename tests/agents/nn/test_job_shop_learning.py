"""The scheduling network under PPO: it learns to schedule, at any size, and other libraries' tools accept it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.common.policy_solver import PolicySolver
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import GraphPPOConfig
from optgap.co.core import PROBLEMS, Budget, solve
from optgap.envs.scheduling.config import BlockingJobShopConfig, JobShopConfig, JobShopOptions


def small(**changes: Any) -> GraphPPOConfig:
    settings = {"num_envs": 16, "rollout_length": 32, "minibatch_size": 256, "width": 16, "layers": 1, "hidden": 32}
    return GraphPPOConfig(**(settings | {"learning_rate": 3e-3} | changes))


def shops_of(config: Any, count: int) -> list[Any]:
    draw, rng = config.source(), np.random.default_rng(10**6)  # no training seed
    return [draw(rng) for _ in range(count)]


def mean_makespan(agent: PPO, shops: list[Any], greedy: bool, temperature: float = 1.0) -> float:
    generator = torch.Generator().manual_seed(0)
    play: Any = agent.policy.play_copies
    return float(np.mean([play(agent.env_config, shop, 1, greedy, temperature, generator)[0] for shop in shops]))


@pytest.mark.parametrize("config", [JobShopConfig, BlockingJobShopConfig], ids=lambda config: config.__name__)
def test_it_learns_beyond_chance_and_keeps_it_at_a_larger_size(config: Any) -> None:
    agent = PPO(config(jobs=3, machines=3), small(), seed=0)
    shops, larger = shops_of(agent.env_config, 60), shops_of(config(jobs=6, machines=5), 20)
    chance, chance_larger = (mean_makespan(agent, each, False, 1e6) for each in (shops, larger))
    agent.learn(6_000)
    assert mean_makespan(agent, shops, True) < 0.87 * chance  # 0.78 to 0.83 over three seeds
    assert mean_makespan(agent, larger, True) < 0.9 * chance_larger  # 0.79 to 0.85


def test_the_fast_rollout_is_what_the_agent_does_in_the_environment() -> None:
    agent = PPO(JobShopConfig(jobs=(2, 4), machines=3), small(), seed=1).learn(600)
    problem = PROBLEMS.load("job-shop")
    for shop in shops_of(agent.env_config, 5):
        fast = solve(PolicySolver(agent), problem, shop, Budget())
        env: Any = JobShopConfig().make(instances=[shop])
        observation, info = env.reset()
        done = False
        while not done:
            action, _ = agent.predict(observation, env.unwrapped.action_masks(), deterministic=True)
            observation, _, done, _, info = env.step(action)
        np.testing.assert_array_equal(info["solution"], fast.solution)


def test_stable_baselines3_evaluates_it_on_a_plain_environment() -> None:
    from stable_baselines3.common.evaluation import evaluate_policy

    agent = PPO(JobShopOptions(jobs=4, machines=3), small(), seed=0)
    env = gym.make("optgap/JobShop-v0", jobs=5, machines=4)  # the network reads the mask in the observation
    returns, lengths = evaluate_policy(agent, env, n_eval_episodes=4, return_episode_rewards=True, warn=False)
    assert lengths == [20] * 4
    assert all(value < 0 for value in returns)


def test_the_seed_determines_the_weights() -> None:
    def trained(seed: int) -> torch.Tensor:
        agent = PPO(JobShopConfig(jobs=(2, 3), machines=2), small(num_envs=4), seed=seed).learn(300)
        return torch.cat([parameter.detach().ravel() for parameter in agent.policy.parameters()])

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))
