"""Policies that need no training, to stand beside trained ones: the rules, and the exact optimum of the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.exact.constrained_mdp import ConstrainedOptimum
from optgap.co.heuristics.slicing_rules import RULES, make_rule

Policy = Callable[[NDArray[Any], Any], NDArray[Any]]
"""(observations (B, ...), masks or None) -> actions (B, ...)."""


class RulePolicy:
    """A rule of :mod:`optgap.co.heuristics.slicing_rules` for the observations of ``optgap/NetworkSlicing-v0``."""

    def __init__(self, name: str, limits: ArrayLike) -> None:
        self._rule = make_rule(name, limits)
        self._begins: NDArray[np.bool_] | None = None

    def begin(self, begins: NDArray[np.bool_]) -> None:
        """Say in which copies (B,) an episode has just begun."""
        self._begins = begins

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.float32]:
        """Shares (B, S)."""
        return self._rule(observation, self._begins).astype(np.float32)


class OptimalPolicy:
    """The constrained optimum of ``optgap/TinySlicing-v0``: a state's action is drawn from its distribution."""

    def __init__(self, optimum: ConstrainedOptimum, states: Callable[[NDArray[Any]], NDArray[np.int64]]) -> None:
        self._cumulative = np.cumsum(optimum.policy, axis=1)[:, :-1]
        self._states, self._rng = states, np.random.default_rng(0)

    def __call__(self, observation: NDArray[Any], masks: Any = None) -> NDArray[np.int64]:
        """Actions (B,)."""
        chances = self._cumulative[self._states(observation)]
        found: NDArray[np.int64] = (self._rng.random((len(chances), 1)) >= chances).sum(axis=1)
        return found


def rule_policies(limits: ArrayLike) -> dict[str, Policy]:
    """Every rule, for environments with these limits."""
    return {name: RulePolicy(name, limits) for name in RULES}
