"""The market whose optimum is known: what PPO learns there grows as fast as the optimum, or nearly so."""

from __future__ import annotations

import numpy as np
import pytest

from optgap.agents.portfolio.agent import PortfolioPPO
from optgap.agents.portfolio.config import PortfolioPPOConfig
from optgap.envs.portfolio.config import PortfolioConfig
from optgap.envs.portfolio.synthetic import MarkovMarket


def weights_by_scenario(agent, env_config, market, days):
    """(K, N + 1) means of the deterministic weights after each scenario."""
    env = env_config.make_vec(8)
    observation, _ = env.reset(seed=12345)
    total, count = np.zeros(market.relatives.shape), np.zeros(len(market.returns))
    for _ in range(days):
        powers = np.exp(agent.predict(observation, deterministic=True)[0].astype(np.float64))
        before = observation[:, env_config.features.index("close"), -3]
        scenarios = np.abs((1.0 / before - 1.0)[:, None] - market.returns).max(axis=2).argmin(axis=1)
        np.add.at(total, scenarios, powers / powers.sum(axis=1, keepdims=True))
        np.add.at(count, scenarios, 1)
        observation, *_ = env.step(np.log(powers).astype(np.float32))
    return total / count[:, None]


@pytest.mark.slow
def test_the_optimum_is_found():
    env_config = PortfolioConfig(prices="markov", begin=None, end=None, window=2, proportional_cost=0.0)
    market = MarkovMarket()
    agent = PortfolioPPO(env_config, PortfolioPPOConfig(), seed=100)
    shares = []
    for steps in (0, 300_000):
        weights = weights_by_scenario(agent.learn(steps), env_config, market, 200)
        shares.append(market.growth_of(weights) / market.optimum().growth)
    assert shares[0] < 0.15  # equal weights
    assert shares[1] > 0.95
