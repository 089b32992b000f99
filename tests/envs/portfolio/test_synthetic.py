from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.envs.portfolio.config import MarkovPortfolioConfig
from optgap.envs.portfolio.prices import load_prices
from optgap.envs.portfolio.synthetic import MarkovMarket, log_optimal

SEEDS = st.integers(0, 2**32 - 1)


def random_market(seed: int, scenarios: int, assets: int) -> MarkovMarket:
    rng = np.random.default_rng(seed)
    return MarkovMarket(
        returns=rng.uniform(-0.3, 0.3, (scenarios, assets)),
        transition=rng.dirichlet(np.full(scenarios, 0.5), scenarios),
        cash=float(rng.uniform(-0.01, 0.01)),
    )


def grid(assets: int, parts: int) -> np.ndarray:
    """All weights of M assets in multiples of 1 / parts."""
    first = np.array([w for w in product(range(parts + 1), repeat=assets - 1) if sum(w) <= parts])
    return np.column_stack([first, parts - first.sum(axis=1)]) / parts


def test_kelly_of_one_bet() -> None:
    # Kelly 1956: at even odds with a chance p the share 2p - 1 of wealth, here of an asset that gains or loses all but 1%.
    p, stake = 0.6, 0.99
    weights, gap = log_optimal(np.array([[1.0 + stake, 1.0], [1.0 - stake, 1.0]]), np.array([p, 1.0 - p]))
    assert weights == pytest.approx([(2 * p - 1) / stake, 1.0 - (2 * p - 1) / stake], abs=1e-9)
    assert gap < 1e-12


def test_two_assets_that_take_turns() -> None:
    # Cover's example: stock and cash, the stock doubles or halves with equal chance; half in each grows by log(9/8) / 2.
    market = MarkovMarket(returns=[[1.0], [-0.5]], transition=[[0.5, 0.5], [0.5, 0.5]])
    best = market.best_constant()
    assert best.weights == pytest.approx([0.5, 0.5], abs=1e-7)
    assert best.growth == pytest.approx(0.5 * np.log(9 / 8), abs=1e-12)
    assert market.optimum().growth == pytest.approx(best.growth, abs=1e-12)


@given(SEEDS, st.integers(1, 8), st.integers(1, 6), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_certificate_holds_and_satisfies_kuhn_tucker(seed: int, scenarios: int, assets: int, twins: bool) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 2.5, (scenarios, assets))
    x = np.column_stack([x, x[:, :1]]) if twins else x  # the optimum is then no single point
    p = rng.dirichlet(np.full(scenarios, 0.4))
    weights, gap = log_optimal(x, p)
    assert gap <= 1e-10
    assert (weights >= 0.0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    gradient = (p / (x @ weights)) @ x
    assert gradient.max() <= 1.0 + 1e-9
    assert weights @ gradient == pytest.approx(1.0, abs=1e-12)
    value = p @ np.log(x @ weights)
    for other in rng.dirichlet(np.full(x.shape[1], 0.5), 50):
        assert p @ np.log(x @ other) <= value + gap + 1e-14


@given(SEEDS, st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_the_optimum_is_that_of_brute_force(seed: int, scenarios: int) -> None:
    market = random_market(seed, scenarios, 2)
    best, weights = market.optimum(), grid(3, 60)
    logs = np.log(weights @ market.relatives.T)  # (grid, K)
    brute = market.stationary @ (market.transition @ logs.T).max(axis=1)
    assert best.gap <= 1e-10
    assert brute <= best.growth + 1e-12
    assert best.growth == pytest.approx(brute, abs=2e-4)  # the grid's step of 1/60
    constant = market.best_constant()
    assert (market.stationary @ logs.T).max() <= constant.growth + 1e-12
    assert constant.growth <= best.growth + 1e-12
    assert market.growth_of(constant.weights) == constant.growth


@given(SEEDS, st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_independent_days_need_one_vector_of_weights(seed: int, scenarios: int, assets: int) -> None:
    market = random_market(seed, scenarios, assets)
    same = MarkovMarket(market.returns, np.tile(market.transition[:1], (scenarios, 1)), market.cash)
    assert same.stationary == pytest.approx(market.transition[0], abs=1e-12)
    assert same.optimum().growth == pytest.approx(same.best_constant().growth, abs=1e-10)


def test_growth_is_that_of_a_long_path() -> None:
    market = MarkovMarket()
    rng = np.random.default_rng(5)
    policy = rng.dirichlet(np.ones(4), 5)
    prices = market.generate(rng, 100_000)
    seen = market.scenarios(prices)
    moves = np.column_stack([prices.close[1:] / prices.close[:-1], 1.0 + prices.cash[1:]])
    for weights in (policy, market.optimum().weights, market.best_constant().weights):
        today = np.broadcast_to(weights, (5, 4))[seen[:-1]]
        growth = np.log((today * moves[1:]).sum(axis=1))
        error = growth.std() / np.sqrt(len(growth))
        assert abs(growth.mean() - market.growth_of(weights)) < 4.0 * error
    shares = np.bincount(seen) / len(seen)
    assert shares == pytest.approx(market.stationary, abs=0.01)
    counts = np.zeros((5, 5))
    np.add.at(counts, (seen[:-1], seen[1:]), 1.0)
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(market.transition, abs=0.015)


def test_the_default_market_is_what_its_docstring_says() -> None:
    market = MarkovMarket()
    best, constant = market.optimum(), market.best_constant()
    assert best.weights[:3] == pytest.approx(np.eye(4)[:3], abs=1e-9)  # the leader
    assert best.weights[3] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0], abs=1e-9)
    assert best.weights[4] == pytest.approx([0.0, 0.0, 0.0, 1.0], abs=1e-9)
    assert 1e4 * best.growth == pytest.approx(18.2, abs=0.05)
    assert 1e4 * constant.growth == pytest.approx(1.8, abs=0.05)
    assert constant.weights == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0], abs=1e-9)
    assert best.gap <= 1e-10
    assert constant.gap <= 1e-10


def test_the_default_market_does_not_change_with_the_order_of_the_assets() -> None:
    market = MarkovMarket()
    for order in ([1, 2, 0], [1, 0, 2]):
        scenario = [*order, 3, 4]
        assert np.array_equal(market.returns[np.ix_(scenario, order)], market.returns)
        assert np.array_equal(market.transition[np.ix_(scenario, scenario)], market.transition)


def test_markov_prices_load_by_name_and_seed() -> None:
    first, third = load_prices("markov"), load_prices("markov-s3")
    assert first is load_prices("markov")
    assert np.array_equal(third.close, MarkovMarket().generate(np.random.default_rng(3)).close)
    assert not np.array_equal(first.close, third.close)
    assert (str(first.dates[0]), str(first.dates[-1])) == ("1990-01-02", "2022-12-30")
    assert np.is_busday(first.dates).all()
    assert first.assets == ("A0", "A1", "A2")
    assert any(np.allclose(first.close[0], 100.0 * (1.0 + row)) for row in MarkovMarket().returns)
    with pytest.raises(InputError, match="no prices 'markov-x'"):
        load_prices("markov-x")


def test_a_scenario_without_a_chance_never_comes() -> None:
    market = MarkovMarket(
        returns=[[0.1], [0.0], [-0.1]], transition=[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    )
    assert market.stationary == pytest.approx([0.5, 0.5, 0.0], abs=1e-15)
    assert set(market.scenarios(market.generate(np.random.default_rng(0), 2000))) == {0, 1}


def test_borrowing_that_may_ruin_has_no_growth() -> None:
    market = MarkovMarket(returns=[[0.5], [-0.5]], transition=[[0.5, 0.5], [0.5, 0.5]])
    assert market.growth_of([2.0, -1.0]) == -np.inf
    assert market.growth_of([1.5, -0.5]) == pytest.approx(0.5 * np.log(1.75 * 0.25))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"returns": [[0.1], [-1.0]]}, "expected .* numbers above -1"),
        ({"returns": [[0.1], [np.nan]]}, "expected .* numbers above -1"),
        ({"returns": [0.1, 0.2]}, r"returns \(2,\); expected \(scenarios, assets\)"),
        ({"returns": [[0.1], [0.1]]}, "two scenarios have the same returns"),
        ({"transition": [[0.5, 0.5]]}, r"transition has shape \(1, 2\); expected \(2, 2\)"),
        ({"transition": [[0.5, 0.5], [0.6, 0.5]]}, "row 1 of transition is no distribution"),
        ({"transition": [[1.5, -0.5], [0.5, 0.5]]}, "row 0 of transition is no distribution"),
        ({"transition": [[1.0, 0.0], [0.0, 1.0]]}, "several closed classes"),
        ({"cash": -1.0}, "cash is -1.0; expected a daily rate above -1"),
    ],
)
def test_bad_markets_are_refused(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"returns": [[0.1], [-0.1]], "transition": [[0.5, 0.5], [0.5, 0.5]]}
    with pytest.raises(InputError, match=f"^markov: .*{message}"):
        MarkovMarket(**(fields | changes))


def test_what_does_not_fit_the_market_is_refused() -> None:
    market = MarkovMarket()
    with pytest.raises(InputError, match=r"weights have shape \(2,\); expected \(5, 4\) or \(4,\)"):
        market.growth_of([0.5, 0.5])
    with pytest.raises(InputError, match=r"weights sum to .* expected 1"):
        market.growth_of([0.5, 0.5, 0.5, 0.0])
    with pytest.raises(InputError, match="days is 0"):
        market.generate(np.random.default_rng(0), 0)
    prices = market.generate(np.random.default_rng(0), 10)
    other = MarkovMarket(returns=market.returns + 0.001)
    with pytest.raises(InputError, match="the returns on 1990-01-03 are of no scenario"):
        other.scenarios(prices)
    with pytest.raises(InputError, match="2 assets; expected 3"):
        market.scenarios(prices.select(["A0", "A1"]))
    rich = MarkovMarket(returns=[[9.0]], transition=[[1.0]])
    with pytest.raises(
        InputError, match=r"close of asset A0 on 1990-05-.* is 1e.10.; expected one from 1e-100 to 1e.100"
    ):
        rich.generate(np.random.default_rng(0), 400)


@pytest.mark.parametrize("action", ["softmax", "weights"])
def test_optimum_as_a_policy_earns_what_its_weights_earn_on_the_path(action: str) -> None:
    config = MarkovPortfolioConfig(episode=None, action=action)
    env = config.make()
    observation, _ = env.reset(seed=0)
    earned, ended = [], False
    while not ended:
        observation, reward, _, ended, _ = env.step(config.baselines()["optimum"](observation[None])[0])
        earned.append(reward)
        if len(earned) == 400:
            break
    market, prices = MarkovMarket(), load_prices("markov")
    path = market.scenarios(prices)  # of each day after the first
    period = env.unwrapped.batch.period(0)  # type: ignore[attr-defined]
    first = int(np.searchsorted(prices.dates, period.dates[period.history]))  # row of the first decision
    days = np.arange(first, first + len(earned))
    wealth = (market.optimum().weights[path[days - 1]] * market.relatives[path[days]]).sum(axis=1)
    np.testing.assert_allclose(earned, np.log(wealth), atol=1e-6)
