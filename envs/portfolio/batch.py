"""Batches of episodes of ``optgap/Portfolio-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.dynamics.portfolio import (
    CHANNELS,
    HIGHEST,
    LARGEST,
    NOT_A_NUMBER,
    OUTSIDE,
    TOO_FAR,
    Settings,
    Table,
    empty_accounts,
    first_invalid,
    reset_batch,
    step_batch,
    table_of,
)
from optgap.co.problems.portfolio import TradingPeriod
from optgap.envs.batched import Observation
from optgap.envs.constrained_box import Capacity, ConstrainedBox
from optgap.envs.portfolio.prices import F64, Prices
from optgap.envs.portfolio.render import frame, portfolio_text


@dataclass(frozen=True)
class Rules:
    """Costs and limits of the episodes that are drawn; as in :class:`TradingPeriod`."""

    proportional_cost: float
    fixed_cost: float
    cap: float
    minimum_cash: float
    turnover: float


@dataclass(frozen=True)
class Episode:
    """A drawn episode: rows of the prices."""

    name: str
    start: int  # row of the first decision


class PortfolioBatch:
    """``copies`` episodes, one random generator a copy.

    Args:
        prices: rows that may be seen and traded at; none after the last day of an episode.
        begin: row of the earliest first decision; one with less history before it is not taken.
        episode: decisions of an episode, from a random day on; None: all, from the first day on.
        features: what is seen of each day, of ``optgap.co.dynamics.portfolio.FEATURES``.
        window: days that are seen.
        rules: costs and limits.
        settings: meaning of actions, rewards and observations.
    """

    constants: Sequence[str] = ()

    def __init__(
        self,
        copies: int,
        prices: Prices,
        *,
        begin: int,
        episode: int | None,
        features: tuple[str, ...],
        window: int,
        rules: Rules,
        settings: Settings,
    ) -> None:
        self.prices, self.features, self.window = prices, features, window
        self.rules, self.settings = rules, settings
        self.history = window + settings.lag
        first = max(begin, self.history)
        last = len(prices) - 1
        days = max(last - first, 0) if episode is None else episode
        self._starts = first, last - days  # of the first decision, both inclusive
        if days < 1 or self._starts[1] < first:
            raise InputError(
                f"{prices.name}: {max(last - first, 0)} days of trade until {prices.dates[-1]}, after begin and "
                f"{self.history} days of history (window and lag); expected at least {max(days, 1)} (episode)"
            )
        self.days = days
        self.table = self._base = _table(prices, features)
        n = len(prices.assets)
        self.accounts = empty_accounts(copies, n, len(features), window, days)
        self.instances: list[Episode | TradingPeriod | None] = [None] * copies
        self._initial = np.eye(n + 1)[n]
        self._placed: dict[TradingPeriod, int] = {}  # first rows in the table of the periods given

    @property
    def reward(self) -> F64:
        """(B,) of the last step."""
        return self.accounts.reward

    @property
    def done(self) -> NDArray[np.bool_]:
        """(B,) whether the episode has ended."""
        return self.accounts.done

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """(B,) whether it ended with its last day; else in ruin."""
        return self.accounts.truncated

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new first day for, and restart, every copy marked in ``which`` (B,)."""
        first, last = self._starts
        for b in np.flatnonzero(which).tolist():
            start = int(rngs[b].integers(first, last + 1)) if last > first else first
            self.instances[b] = Episode(f"{self.prices.name} from {self.prices.dates[start]}", start)
            self._assign(b, start, self.days, self.rules, self._initial)
        self._begin(which)

    def put(self, b: int, instance: Any) -> None:
        """Give copy ``b`` a trading period, whose own costs and limits hold."""
        name = getattr(instance, "name", "unnamed")
        if not isinstance(instance, TradingPeriod):
            raise InputError(f"instance {name} is a {type(instance).__name__}; the environment plays a TradingPeriod")
        if instance.n_assets != len(self.prices.assets):
            raise InputError(
                f"instance {name} has {instance.n_assets} assets; the environment holds {len(self.prices.assets)}"
            )
        if instance.history < self.history:
            raise InputError(
                f"instance {name} has history {instance.history}; expected at least {self.history} (window and lag)"
            )
        for feature in self.features:
            if feature in CHANNELS and getattr(instance, feature) is None:
                raise InputError(f"instance {name} has no prices {feature!r}; expected them for features")
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the episodes they have."""
        self._place()
        for b in np.flatnonzero(which).tolist():
            period = self.instances[b]
            if isinstance(period, TradingPeriod):
                self._assign(b, self._placed[period] + period.history, period.n_days, period, period.initial)
        self._begin(which)

    def _place(self) -> None:
        """Put the rows of the periods given, of those that are still played, behind those of the prices."""
        played = dict.fromkeys(period for period in self.instances if isinstance(period, TradingPeriod))
        if played.keys() <= self._placed.keys():
            return
        tables, rows = [self._base], len(self._base.close)
        for period in played:
            self._placed[period] = rows
            rows += len(period.close)
            tables.append(_table(period, self.features))
        joined = (np.concatenate(part, 1 if part[0].ndim == 3 else 0) for part in zip(*tables, strict=True))
        self.table = Table(*joined)._replace(by_deviation=self._base.by_deviation)
        for b, episode in enumerate(self.instances):
            if isinstance(episode, TradingPeriod):
                self.accounts.start[b] = self._placed[episode] + episode.history
        self._placed = {period: self._placed[period] for period in played}

    def _assign(self, b: int, start: int, days: int, rules: Rules | TradingPeriod, initial: F64) -> None:
        if days > self.accounts.weights.shape[1]:
            small: list[NDArray[Any]] = [*self.accounts]
            copies, n = self.accounts.initial.shape
            self.accounts = empty_accounts(copies, n - 1, len(self.features), self.window, days)
            large: list[NDArray[Any]] = [*self.accounts]
            for before, after in zip(small, large, strict=True):
                after[tuple(slice(k) for k in before.shape)] = before
        accounts = self.accounts
        accounts.start[b], accounts.days[b], accounts.initial[b] = start, days, initial
        accounts.proportional_cost[b], accounts.fixed_cost[b] = rules.proportional_cost, rules.fixed_cost
        accounts.cap[b], accounts.minimum_cash[b] = rules.cap, rules.minimum_cash
        accounts.turnover_limit[b] = rules.turnover

    def _begin(self, which: NDArray[np.bool_]) -> None:
        reset_batch(self.table, self.accounts, self.settings, which)

    def step(self, action: F64, skip: NDArray[np.bool_]) -> None:
        """Trade by ``action`` (B, N + 1), logits or weights, in every copy not in ``skip``, and pass a day."""
        b, wrong = first_invalid(self.accounts, self.settings, action, skip)
        if b >= 0:
            raise InvalidActionError(f"action {action[b].tolist()} in copy {b}; expected {self._expected(b, wrong)}")
        step_batch(self.table, self.accounts, self.settings, action, skip)

    def _expected(self, b: int, wrong: int) -> str:
        if wrong == NOT_A_NUMBER:
            return f"numbers in -{LARGEST:g}..{LARGEST:g}"
        if wrong == OUTSIDE:
            cap, least = self.accounts.cap[b], self.accounts.minimum_cash[b]
            return (
                f"weights of assets from 0 to {cap:g} and of cash from {least:g}, or as they were before the trade "
                "(projected=True takes the nearest)"
            )
        if wrong == TOO_FAR:
            return f"changes of the assets' weights of at most {self.accounts.turnover_limit[b]:g} in all"
        return "weights of sum 1 (projected=True takes the nearest)"

    def observation(self) -> NDArray[np.float32]:
        """(B, F, window + 1, N) buffer, not copied: the next step overwrites it."""
        return self.accounts.seen

    def info(self) -> Observation:
        """Figures of the episodes so far, (B,) each."""
        accounts = self.accounts
        turnover = accounts.turnover / np.maximum(accounts.decision, 1)
        return {"wealth": accounts.wealth, "turnover": turnover, "paid": accounts.paid}

    def solution(self, b: int) -> F64:
        """(T, N + 1) weights of copy ``b`` so far; at the end of the episode what ``Problem.check`` takes."""
        days = self.accounts.days[b] if self.done[b] else self.accounts.decision[b]
        weights = self.accounts.weights[b, :days].copy()
        weights[self.accounts.decision[b] :] = self._initial  # ruin: all cash, of nothing
        return weights

    def period(self, b: int) -> TradingPeriod:
        """The instance that copy ``b`` plays, with the history that it has seen."""
        episode = self.instances[b]
        assert episode is not None, "reset first"
        if isinstance(episode, TradingPeriod):
            return episode
        rows = self.prices.rows(episode.start - self.history, episode.start + self.days + 1)
        channels = {name: getattr(rows, name) for name in CHANNELS}
        return TradingPeriod(
            name=episode.name,
            dates=rows.dates,
            history=self.history,
            assets=rows.assets,
            cash=rows.cash,
            **channels,
            **vars(self.rules),
        )

    def picture(self, b: int, mode: str) -> Any:
        """Wealth, drawdown and weights so far: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        count = int(self.accounts.decision[b])
        weights, path = self.accounts.weights[b, :count], self.accounts.path[b, : count + 1]
        return (portfolio_text if mode == "ansi" else frame)(self.period(b), weights, path)

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        n, least = len(self.prices.assets), self.rules.minimum_cash
        if self.settings.softmax:
            return spaces.Box(self.settings.logit_low, self.settings.logit_high, (n + 1,))
        low, high = np.zeros(n + 1, np.float32), np.full(n + 1, min(self.rules.cap, 1 - least), np.float32)
        low[n], high[n] = least, 1.0
        return (
            spaces.Box(low, high) if self.settings.projected else ConstrainedBox(low, high, Capacity(1.0, exact=True))
        )

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        return spaces.Box(-HIGHEST, HIGHEST, self.accounts.seen.shape[1:])


def _table(prices: Prices | TradingPeriod, features: tuple[str, ...]) -> Table:
    return table_of(features, prices.cash, **{name: getattr(prices, name) for name in CHANNELS})
