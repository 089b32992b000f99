"""The policy gradient with a shared baseline: its gradient, what it learns, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.common.checkpoint import load_agent
from optgap.agents.nn.job_shop_rollout import batch_of, encode, log_probability, play, record
from optgap.agents.pomo.agent import POMO
from optgap.agents.pomo.config import POMOConfig
from optgap.agents.slim.config import SLIMConfig
from optgap.co.core import InputError
from optgap.envs.scheduling.config import BlockingJobShopConfig, JobShopConfig

CPU = torch.device("cpu")


def small(**changes: Any) -> POMOConfig:
    settings = {"instances": 2, "samples": 8, "width": 8, "layers": 1, "hidden": 16, "warmup_updates": 0}
    return POMOConfig(**(settings | changes))


def weights(agent: POMO) -> torch.Tensor:
    return torch.cat([parameter.detach().ravel() for parameter in agent.policy.parameters()])


@pytest.mark.parametrize("entropy", [0.0, 0.5])
def test_the_loss_is_that_of_reinforce_sample_by_sample(entropy: float) -> None:
    config = BlockingJobShopConfig(jobs=3, machines=2)
    agent = POMO(config, small(entropy_coefficient=entropy))
    network, draw, rng = agent.policy.network, config.source(), np.random.default_rng(0)
    shops = [draw(rng) for _ in range(2)]
    batch = batch_of(config, shops, 8)
    actions = play(network, batch, 8, CPU, generator=torch.Generator().manual_seed(0))
    makespan = batch.state.makespan.reshape(2, 8)
    terms = []
    for b in range(16):
        row = makespan[b // 8]
        advantage = float((row.mean() - row[b % 8]) / (row.std() + 1e-6))
        alone = batch_of(config, shops[b // 8 : b // 8 + 1], 1)
        own = actions[:, b : b + 1][actions[:, b] >= 0]
        encoded = encode(network, alone, 1, CPU)
        decisions, taken, _ = record(alone, own, CPU)
        logs = log_probability(network, encoded, decisions, taken, alone.jobs)
        terms += [-(advantage - entropy * value.detach()) * value for value in logs]
    expected = torch.stack(terms).mean()
    found = agent._loss(shops, actions, makespan)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [JobShopConfig, BlockingJobShopConfig], ids=lambda config: config.__name__)
def test_it_becomes_better_on_shops_it_has_not_seen(config: Any) -> None:
    env_config = config(jobs=4, machines=3)
    draw, rng = env_config.source(), np.random.default_rng(10**6)
    shops = [draw(rng) for _ in range(30)]
    agent = POMO(env_config, small(instances=4, samples=16, learning_rate=1e-2, width=16, hidden=32))
    generator = torch.Generator().manual_seed(0)
    chance = np.mean([agent.policy.play_copies(env_config, shop, 1, False, 50.0, generator)[0] for shop in shops])
    agent.learn(20_000)
    learned = np.mean([agent.policy.play_copies(env_config, shop, 1, True, 1.0, generator)[0] for shop in shops])
    assert learned < 0.9 * chance


def test_a_shop_without_a_choice_moves_no_weight() -> None:
    agent = POMO(JobShopConfig(jobs=1, machines=3), small(entropy_coefficient=0.0))
    before = weights(agent)
    agent.learn(10)
    assert torch.equal(weights(agent), before)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    config = BlockingJobShopConfig(jobs=(2, 3), machines=2)
    whole = POMO(config, small(), seed=0).learn(800)

    def stop(agent: Any, _: dict[str, float]) -> bool:
        return agent.updates < 3

    part = POMO(config, small(), seed=0).learn(800, stop)
    part.save(tmp_path / "run")
    resumed = load_agent(tmp_path / "run")
    assert isinstance(resumed, POMO)
    resumed.learn(800)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.updates == whole.updates > part.updates


def test_wrong_hyperparameters_are_one_line() -> None:
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="entropy_coefficient"):
            POMOConfig(entropy_coefficient=wrong)
    with pytest.raises(InputError, match="POMOConfig: samples"):
        POMOConfig(samples=0)
    assert issubclass(POMOConfig, SLIMConfig)
