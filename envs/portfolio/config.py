"""Arguments of ``optgap/Portfolio-v0``, which are its training configuration ``env=portfolio`` too."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.portfolio import FEATURES, REWARDS, Settings
from optgap.co.problems.portfolio import LARGEST_DEBT
from optgap.envs.batched import MadeById
from optgap.envs.portfolio.batch import PortfolioBatch, Rules
from optgap.envs.portfolio.prices import Prices, day, load_prices
from optgap.envs.portfolio.synthetic import MarkovMarket

ACTIONS = ("softmax", "weights")

Policy = Callable[..., NDArray[np.float32]]
"""(observations (B, ...), masks or None) -> actions (B, N + 1)."""


@dataclass(frozen=True)
class ConstantPolicy:
    """(observations (B, ...), masks or None) -> the same action (N + 1,) for each, (B, N + 1)."""

    action: NDArray[np.float32]

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        return np.tile(self.action, (len(observation), 1))


@dataclass
class PortfolioConfig(MadeById):
    """``env=portfolio``; documented with the environment."""

    prices: Any = "sp500"
    assets: Any = None
    begin: Any = "1990-01-02"
    end: Any = "2011-12-30"
    episode: Any = 128
    features: Any = ("return", "close")
    window: int = 50
    lag: int = 0
    action: str = "softmax"
    logit_low: float = -10.0
    logit_high: float = 10.0
    projected: bool = True
    reward: str = "log-return"
    decay: float = 0.01
    risk_weight: float = 1.0
    risk_level: float = 0.95
    proportional_cost: float = 0.0025
    fixed_cost: float = 0.0
    cap: float = 1.0
    minimum_cash: float = 0.0
    turnover: Any = None
    cash: Any = None

    problem: ClassVar[str | None] = None  # a policy that cannot see the future has no gap to the optimum in hindsight
    figures: ClassVar[tuple[str, ...]] = ("wealth", "turnover")
    id: ClassVar[str] = "optgap/Portfolio-v0"

    def __post_init__(self) -> None:
        for name, known in (("action", ACTIONS), ("reward", REWARDS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")
        self.features = _names("features", self.features)
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown or not self.features:
            raise InputError(f"features are {list(self.features)}; expected some of {', '.join(FEATURES)}")
        if self.assets is not None:
            self.assets = _names("assets", self.assets)
        self.begin, self.end = _date("begin", self.begin), _date("end", self.end)
        if self.begin is not None and self.end is not None and not self.begin < self.end:
            raise InputError(f"begin is {self.begin} and end is {self.end}; expected a begin before the end")
        for name, least in (("window", 2), ("lag", 0), ("episode", 1)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
            if not whole and not (name == "episode" and value is None):
                raise InputError(f"{name} is {value!r}; expected a whole number of at least {least}")
        for name, fits, what in (
            ("logit_low", lambda x: x >= -700, "of at least -700"),
            ("logit_high", lambda x: self.logit_low < x <= 700, "above logit_low, at most 700"),
            ("decay", lambda x: 0 < x < 1, "in (0, 1)"),
            ("risk_weight", lambda x: x >= 0, "of at least 0"),
            ("risk_level", lambda x: 0 < x < 1, "in (0, 1)"),
            ("proportional_cost", lambda x: 0 <= x < 1, "in [0, 1)"),
            ("fixed_cost", lambda x: x >= 0, "of at least 0"),
            ("cap", lambda x: x > 0, "above 0"),
            ("minimum_cash", lambda x: -LARGEST_DEBT <= x < 1, f"of at least {-LARGEST_DEBT:g}, below 1"),
            ("turnover", lambda x: x > 0, "above 0, or None"),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not (number and fits(value)) and not (name == "turnover" and value is None):
                raise InputError(f"{name} is {value!r}; expected a number {what}")

    @property
    def settings(self) -> Settings:
        """Meaning of actions, rewards and observations."""
        return Settings(
            softmax=self.action == "softmax",
            projected=bool(self.projected),
            logit_low=float(self.logit_low),
            logit_high=float(self.logit_high),
            lag=int(self.lag),
            reward=REWARDS.index(self.reward),
            decay=float(self.decay),
            risk_weight=float(self.risk_weight),
            risk_level=float(self.risk_level),
        )

    def loaded(self) -> Prices:
        """The prices up to ``end``, those before ``begin`` included: they are history."""
        return load_prices(self.prices, assets=self.assets, end=self.end, cash=self.cash)

    def batch(self, copies: int) -> PortfolioBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        prices = self.loaded()
        return PortfolioBatch(
            copies,
            prices,
            begin=0 if self.begin is None else int(np.searchsorted(prices.dates, np.datetime64(self.begin))),
            episode=self.episode,
            features=self.features,
            window=self.window,
            rules=Rules(
                proportional_cost=float(self.proportional_cost),
                fixed_cost=float(self.fixed_cost),
                cap=float(self.cap),
                minimum_cash=float(self.minimum_cash),
                turnover=math.inf if self.turnover is None else float(self.turnover),
            ),
            settings=self.settings,
        )

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with: equal weight of the assets, rebalanced every day, and cash."""
        n = len(self.loaded().assets)
        low, high = (self.logit_low, self.logit_high) if self.action == "softmax" else (0.0, 1.0 / n)
        equal = np.array([high] * n + [low], np.float32)
        cash = np.array([low] * n + [high if self.action == "softmax" else 1.0], np.float32)
        return {"equal-weight": ConstantPolicy(equal), "cash": ConstantPolicy(cash)}


@dataclass(frozen=True)
class MarkovOptimum:
    """(observations (B, F, window + 1, N), masks or None) -> the log-optimal actions of a Markov market, (B, N + 1)."""

    market: MarkovMarket
    close: int  # the feature of closing prices
    highest: float | None  # logit; None: actions are weights

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        moves = 1.0 / observation[:, self.close, -3] - 1.0  # of the decision's day, which show its scenario
        scenario = np.abs(moves[:, None, :] - self.market.returns).max(axis=2).argmin(axis=1)
        weights = self.market.optimum().weights[scenario].astype(np.float32)
        logits: NDArray[np.float32] = np.log(np.maximum(weights, np.float32(1e-30)))
        return weights if self.highest is None else logits + np.float32(self.highest)


@dataclass
class MarkovPortfolioConfig(PortfolioConfig):
    """``env=portfolio-markov``: a market whose best policy is known (:class:`optgap.envs.portfolio.synthetic.MarkovMarket`).

    Trades are free, and two days of closing prices show all that there is to know: with more, a network learns the one
    path by heart that it is trained on.
    """

    prices: Any = "markov"
    begin: Any = None
    end: Any = None
    window: int = 2
    proportional_cost: float = 0.0

    def baselines(self) -> dict[str, Policy]:
        """As of any portfolio; and the optimum, where prices are of the default market and observations show them."""
        found = super().baselines()
        if str(self.prices).startswith("markov") and "close" in self.features and self.assets is None and not self.lag:
            highest = float(self.logit_high) if self.action == "softmax" else None
            found["optimum"] = MarkovOptimum(MarkovMarket(), self.features.index("close"), highest)
        return found


def _names(what: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{what} is {value!r}; expected names")
    return tuple(names)


def _date(what: str, value: Any) -> str | None:
    return None if value is None else str(day(value, what))
