"""Rules that share the band of network slicing: equal, by load, latency-greedy, drift-plus-penalty.

A rule maps what the environment shows, ``seen`` (B, S, F) (:data:`optgap.co.dynamics.slicing.SEEN`; flat rows of S F numbers do
as well), to shares (B, S) float64 of B cells at once, and so plays batches of environments; the solvers at the end
of the file play it on an instance. Rules see what an agent sees: nothing of the decision that comes but its channel.

What a slice needs in the coming decision is taken to be what serves its waiting packets and its mean load. Within a decision
arrivals are uneven, and a slice that gets exactly its mean load queues: hence the headroom. Every slice keeps a
floor of the band, because packets that come while a slice has nothing wait for a whole decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import Budget, InputError, Result, Status
from optgap.co.problems.slicing import SlicingInstance

F64 = NDArray[np.float64]

HEADROOM = 1.15  # what a slice gets by what it needs; of 1 to 2, best on instances of their own, like the floors
MORE = 0.1  # headroom added where a virtual queue asks for it
PRICE = 1.0  # V of drift-plus-penalty: weight of the reward against the queues
RECENT = 0.2  # least weight of the last decision in the mean load
FEATURES = 9
ARRIVED, LOAD, BACKLOG, QUEUED, AGE, LATENCY, DROPS, RATE = range(8)  # columns of ``seen``


class Rule(Protocol):
    """Shares (B, S) for what is seen; ``begins`` (B,) marks the copies whose episode has just begun."""

    def __call__(self, seen: NDArray[Any], begins: NDArray[np.bool_] | None = None) -> F64: ...


def equal_share(seen: NDArray[Any], begins: NDArray[np.bool_] | None = None) -> F64:
    """The same for every slice."""
    seen = _rows(seen)
    return np.full(seen.shape[:2], _below_one(1.0 / seen.shape[1]))


class LoadRule:
    """Base of the rules that follow each slice's load: the mean of the band that its arrivals needed, recent ones more.

    A subclass maps what is seen (B, S, F) and what the slices need (B, S) to shares of sum 1.
    """

    floor = 0.005  # of the band, for every slice: a quarter of a block of 10 MHz

    def __init__(self) -> None:
        self._load = np.zeros((0, 0))  # (B, S) share of the band
        self._decisions = np.zeros((0, 1))  # (B, 1) that the mean is over

    def __call__(self, seen: NDArray[Any], begins: NDArray[np.bool_] | None = None) -> F64:
        """Shares (B, S); another shape than before begins an episode in all copies."""
        seen = _rows(seen)
        if begins is None:
            begins = np.zeros(len(seen), np.bool_)
        if self._load.shape != seen.shape[:2]:
            self._load, self._decisions = np.zeros(seen.shape[:2]), np.zeros((len(seen), 1))
            begins = np.ones(len(seen), np.bool_)
        self._decisions += 1
        self._load += (seen[..., LOAD] - self._load) * np.maximum(1.0 / self._decisions, RECENT)
        self._load[begins], self._decisions[begins] = 0.0, 0.0
        return _with_floor(self.divide(seen, self._load + seen[..., BACKLOG] + 1e-9, begins), self.floor)

    def divide(self, seen: F64, need: F64, begins: NDArray[np.bool_]) -> F64:
        """Shares (B, S) of sum 1; ``need`` (B, S) > 0."""
        raise NotImplementedError


class Proportional(LoadRule):
    """In proportion to what waits and to the load, above a floor that lets small slices live beside a flood."""

    floor = 0.08

    def divide(self, seen: F64, need: F64, begins: NDArray[np.bool_]) -> F64:
        return _proportions(need)


class LatencyGreedy(LoadRule):
    """Slices by their lateness per band that they need; each gets its need while band is left.

    Lateness is 1 + the age of the oldest packet, in deadlines: a slice where nothing waits now has packets on the way.
    """

    def divide(self, seen: F64, need: F64, begins: NDArray[np.bool_]) -> F64:
        return _fill((1.0 + seen[..., AGE]) / need, HEADROOM * need)


class DriftPlusPenalty(LoadRule):
    """Lyapunov optimization with virtual queues for the long-run constraints (Neely 2010, chapter 4).

    Z grows by each cost's excess over its limit and shrinks by its slack, in limits, not below 0. A decision maximizes V reward
    plus the drift of the queues, virtual and real, that the shares are expected to take away: linear in a slice's share
    up to its need, which has more headroom where a virtual queue asks for it. So slices are filled in the order of

        V rate + (arrived + queued + Z_latency (latency + age) + Z_drop) / need        (per share of the band).

    Args:
        limits: (2 S,) of the mean costs: latency of each slice, then drops of each slice; infinity is none.
        price: V > 0; larger ones trade slower fulfilment of the limits for reward.
    """

    def __init__(self, limits: ArrayLike, price: float = PRICE) -> None:
        super().__init__()
        self.limits = np.asarray(limits, np.float64)
        if not 0 < price < np.inf:
            raise InputError(f"price is {price}; expected a number above 0")
        if self.limits.ndim != 1 or len(self.limits) % 2 or np.isnan(self.limits).any():
            raise InputError(f"limits of shape {self.limits.shape}; expected (2 S,), latency and drops of each slice")
        self.price = price
        self._unit = np.where((self.limits > 0) & np.isfinite(self.limits), self.limits, 1.0)
        self.queues = np.zeros((0, len(self.limits)))  # (B, 2 S) the virtual ones

    def divide(self, seen: F64, need: F64, begins: NDArray[np.bool_]) -> F64:
        slices = seen.shape[1]
        if 2 * slices != len(self.limits):
            raise InputError(f"{slices} slices are seen; expected {len(self.limits) // 2}, one for two limits")
        if len(self.queues) != len(seen):
            self.queues = np.zeros((len(seen), 2 * slices))
        excess = np.concatenate([seen[..., LATENCY], seen[..., DROPS]], axis=1) - self.limits
        self.queues = np.maximum(self.queues + excess / self._unit, 0.0)
        self.queues[begins] = 0.0
        latency, drops = self.queues[:, :slices], self.queues[:, slices:]
        pressure = seen[..., ARRIVED] + seen[..., QUEUED] + latency * (seen[..., LATENCY] + seen[..., AGE]) + drops
        return _fill(
            self.price * seen[..., RATE] + pressure / need, need * (HEADROOM + MORE * np.minimum(latency + drops, 1.0))
        )


def make_rule(name: str, limits: ArrayLike) -> Rule:
    """The rule of that name (:data:`RULES`) for environments with these limits of their 2 S mean costs."""
    if name not in RULES:
        raise InputError(f"unknown slicing rule {name!r}; known: {', '.join(RULES)}")
    return RULES[name](limits)


RULES: dict[str, Callable[[ArrayLike], Rule]] = {
    "equal-share": lambda limits: equal_share,
    "proportional": lambda limits: Proportional(),
    "latency-greedy": lambda limits: LatencyGreedy(),
    "drift-plus-penalty": DriftPlusPenalty,
}


def _rows(seen: NDArray[Any]) -> F64:
    found = np.asarray(seen, np.float64)
    if found.ndim < 2 or found.size % FEATURES or found.shape[-1] % FEATURES:
        raise InputError(f"observations of shape {found.shape}; expected (B, S, {FEATURES}) or (B, S x {FEATURES})")
    return found.reshape(len(found), -1, FEATURES)


def _proportions(values: F64) -> F64:
    found: F64 = values / values.sum(1, keepdims=True)
    return found


def _below_one(share: Any) -> Any:
    return share * (1.0 - 2.0**-20)  # so that the sum is at most 1 in single precision


def _with_floor(shares: F64, floor: float) -> F64:
    """Shares of sum 1, shrunk so that every slice has at least the floor."""
    floor = min(floor, 1.0 / shares.shape[1])
    found: F64 = _below_one(floor + (1.0 - floor * shares.shape[1]) * shares)
    return found


def _fill(weight: F64, need: F64) -> F64:
    """Shares of sum 1: slices get their need by falling weight, while there is band; the rest in proportion to needs."""
    order = np.argsort(-weight, axis=1, kind="stable")
    sorted_need = np.take_along_axis(need, order, axis=1)
    left = np.maximum(1.0 - (np.cumsum(sorted_need, axis=1) - sorted_need), 0.0)
    shares = np.empty_like(need)
    np.put_along_axis(shares, order, np.minimum(sorted_need, left), axis=1)
    shares += np.maximum(1.0 - shares.sum(1, keepdims=True), 0.0) * _proportions(need)
    return _proportions(shares)


def play(rule: Rule, instance: SlicingInstance) -> F64:
    """(T, S) shares that the rule takes on the instance."""
    from optgap.co.dynamics.slicing import empty_cells, put_cell, reset_batch, step_batch

    cells, state = put_cell(*empty_cells(1, instance.n_slices), 0, instance)
    one, none, done = np.ones(1, np.bool_), np.zeros(1, np.bool_), np.zeros(1, np.bool_)
    reset_batch(cells, state, one)
    while not done[0]:
        begins = one if state.decision[0] == 0 else none
        step_batch(cells, state, rule(state.seen, begins), none, False, done)
    return state.shares[0, : instance.n_decisions].copy()


def _solver(name: str) -> Callable[[SlicingInstance, Budget], Result]:
    def solve(instance: SlicingInstance, budget: Budget) -> Result:
        from optgap.co.problems.slicing_traffic import cost_limits

        return Result(play(make_rule(name, cost_limits(instance.slices)), instance), Status.FEASIBLE)

    solve.__doc__ = f"The rule {name} on an instance, with the default limits of its slices; ignores the budget."
    return solve


solve_equal_share = _solver("equal-share")
solve_proportional = _solver("proportional")
solve_latency_greedy = _solver("latency-greedy")
solve_drift_plus_penalty = _solver("drift-plus-penalty")
