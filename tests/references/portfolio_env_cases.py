"""Small tables of prices for tests of the portfolio environment, and what it shows, from the definition."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.portfolio.prices import Prices

WINDOW, ASSETS, ROWS, DAYS = 5, 4, 60, 12


def prices(seed: int = 0, rows: int = ROWS, assets: int = ASSETS) -> Prices:
    """Random ones of all channels, on weekdays of 2001, and cash that earns a different rate each day."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(0.02 * rng.standard_normal((rows, assets)), 0))
    opening = close * np.exp(0.01 * rng.standard_normal(close.shape))
    return Prices(
        "random",
        tuple("ABCDEFGH"[:assets]),
        np.busday_offset("2001-01-01", np.arange(rows), roll="forward"),
        close,
        open=opening,
        high=np.maximum(opening, close) * 1.01,
        low=np.minimum(opening, close) * 0.99,
        cash=rng.uniform(0, 1e-3, rows),
    )


SMALL: dict[str, Any] = {"begin": None, "end": None, "window": WINDOW, "episode": DAYS}


def small(seed: int = 0, **arguments: Any) -> Any:
    """An environment over them."""
    return gym.make("optgap/Portfolio-v0", **({"prices": prices(seed)} | SMALL | arguments))


def played(env: Any, seed: int, **reset: Any) -> tuple[list[Any], dict[str, Any]]:
    """The answers of random actions over an episode, and the last info."""
    rng = np.random.default_rng(seed)
    answers: list[Any] = [(*env.reset(seed=seed, **reset),)]
    done = False
    while not done:
        env.action_space.seed(int(rng.integers(2**31)))
        answers.append(env.step(env.action_space.sample()))
        done = answers[-1][2] or answers[-1][3]
    return answers, answers[-1][4]


def shown(
    period: TradingPeriod, t: int, features: tuple[str, ...], window: int, lag: int, weights: np.ndarray
) -> np.ndarray:
    """(F, window + 1, N) seen before decision ``t`` where the row of weights is ``weights`` (N,)."""
    last = period.history + t - lag
    days = slice(last - window + 1, last + 1)
    returns = np.diff(np.log(period.close[last - window : last + 1]), axis=0)
    found = np.empty((len(features), window + 1, period.n_assets))
    for f, name in enumerate(features):
        found[f, :window] = (
            returns / returns.std() if name == "return" else getattr(period, name)[days] / period.close[last]
        )
    found[:, window] = weights
    return found
