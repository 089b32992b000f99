"""PPO on portfolios: its baseline is what the deterministic actions would have earned; it trains, saves and loads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optgap.agents.portfolio.agent import PortfolioPPO, regressed
from optgap.agents.portfolio.config import PortfolioPPOConfig
from optgap.co.core import InputError
from optgap.envs.portfolio.config import PortfolioConfig

SMALL = {"num_envs": 4, "rollout_length": 40, "epochs": 1, "checkpoint_interval": 2, "width": 8}


def market(**fields):
    """Three assets without costs; episodes end within a rollout."""
    return PortfolioConfig(**({"prices": "markov", "proportional_cost": 0.0, "window": 5, "episode": 15} | fields))


def played(distribution="gaussian", **fields):
    """An agent that hardly leaves its deterministic actions, and a rollout of it with its advantages."""
    action = "weights" if distribution == "dirichlet" else "softmax"
    config = PortfolioPPOConfig(**SMALL, distribution=distribution, log_std=-20.0, concentration=1e12, gamma=0.0)
    agent = PortfolioPPO(market(action=action, **fields), config)
    with torch.no_grad():  # weights that are not all the same
        agent.policy.actor.of_each[-1].weight.normal_(0.0, 1.0, generator=torch.Generator().manual_seed(1))
    agent._collector = agent._restart()
    rollout, _ = agent._collector.collect(agent._act)
    return agent, rollout, agent._batch(rollout)


@pytest.mark.parametrize("distribution", ["gaussian", "dirichlet"])
def test_the_baseline_is_what_the_deterministic_action_earns(distribution):
    agent, rollout, batch = played(distribution)
    assert not rollout.valid.all()  # episodes ended
    earned = rollout.rewards[rollout.valid]
    assert earned.std() > 1e-3
    np.testing.assert_allclose(agent._growth(rollout, batch).numpy(), earned, atol=2e-6)


def test_the_baseline_explains_all_of_a_policy_without_noise():
    """Without discounting, the advantage then is the reward less the value of the state alone."""
    agent, rollout, batch = played()
    batch = batch._replace(advantages=torch.from_numpy(rollout.rewards[rollout.valid]))
    rest, explained = regressed(batch, agent._growth(rollout, batch))
    assert explained > 0.999
    assert float(rest.advantages.std()) < 0.05 * float(batch.advantages.std())


def test_what_is_regressed_is_orthogonal_to_the_baseline_and_keeps_its_mean():
    _, _, batch = played()
    generator = torch.Generator().manual_seed(0)
    baseline = torch.randn(len(batch.advantages), generator=generator)
    noise = torch.randn(len(batch.advantages), generator=generator)
    batch = batch._replace(advantages=3.0 + 2.0 * baseline + noise)
    rest, explained = regressed(batch, baseline)
    assert float(rest.advantages.mean()) == pytest.approx(float(batch.advantages.mean()), abs=1e-5)
    assert abs(float((rest.advantages * (baseline - baseline.mean())).mean())) < 1e-5
    correlation = np.corrcoef(batch.advantages.numpy(), baseline.numpy())[0, 1]
    assert explained == pytest.approx(correlation**2, abs=1e-4)
    same, none = regressed(batch, torch.ones_like(baseline))
    assert none == 0.0
    assert same is batch


@pytest.mark.parametrize("extractor", ["equivariant", "attention", "convolution"])
@pytest.mark.parametrize("distribution", ["gaussian", "dirichlet"])
def test_it_trains_on_the_environment_and_loads_what_it_saved(extractor, distribution, tmp_path):
    config = PortfolioPPOConfig(**SMALL, extractor=extractor, distribution=distribution)
    env_config = market(action="weights" if distribution == "dirichlet" else "softmax", proportional_cost=0.0025)
    logged = []
    agent = PortfolioPPO(env_config, config, seed=1).learn(400, lambda _, metrics: logged.append(metrics))
    assert all(np.isfinite(value) for metrics in logged for value in metrics.values())
    assert 0.0 < logged[-1]["train/explained_in_hindsight"] <= 1.0
    agent.save(tmp_path / "weights")
    again = PortfolioPPO.load(tmp_path / "weights")
    observation, _ = env_config.make().reset(seed=0)
    actions = [one.predict(observation, deterministic=True)[0] for one in (agent, again)]
    np.testing.assert_array_equal(*actions)
    assert env_config.make().action_space.contains(actions[0])


def test_without_the_baseline_it_is_ppo():
    config = PortfolioPPOConfig(**SMALL, hindsight_baseline=False)
    logged = []
    PortfolioPPO(market(features=("return",), lag=1), config).learn(100, lambda _, metrics: logged.append(metrics))
    assert "train/explained_in_hindsight" not in logged[0]


@pytest.mark.parametrize(
    ("fields", "settings", "expected"),
    [
        ({"features": ("return",)}, {}, "features are \\['return'\\].*agent.hindsight_baseline=false"),
        ({"lag": 1}, {}, "lag is 1.*agent.hindsight_baseline=false"),
        ({}, {"distribution": "dirichlet"}, "action is 'softmax'.*expected env.action=weights"),
    ],
)
def test_settings_that_do_not_suit_the_environment_are_refused(fields, settings, expected):
    with pytest.raises(InputError, match=expected):
        PortfolioPPO(market(**fields), PortfolioPPOConfig(**SMALL, **settings))
