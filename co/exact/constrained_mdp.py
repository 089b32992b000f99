"""Constrained Markov decision processes under the long-run average criterion, solved exactly by linear programming.

The variables are the occupancies x(s, a), the long-run shares of the steps in which action a is taken in state s (Altman,
*Constrained Markov Decision Processes*, 1999, chapter 4; Puterman, *Markov Decision Processes*, 1994, section 8.9):

    maximize    sum r(s, a) x(s, a)
    subject to  sum_a x(s', a) = sum_{s, a} P(s' | s, a) x(s, a)    for every state s'
                sum x(s, a) = 1,  x >= 0
                sum c_k(s, a) x(s, a) <= limit_k                    for every constraint k

An optimal policy takes a in s with probability x(s, a) / sum_a' x(s, a'). A vertex of the program randomizes in at most as
many states as there are constraints; without constraints it is deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.co.core import InfeasibleError, InputError

F8 = NDArray[np.float64]

TOLERANCE = 1e-9  # of the linear program: flows, limits, reduced costs


class Averages(NamedTuple):
    """What a stationary policy earns and costs per step in the long run."""

    value: float
    costs: F8  # (m,)
    occupancy: F8  # (N, A) sums to 1


@dataclass(frozen=True)
class ConstrainedOptimum:
    """The best stationary policy among all that meet the limits, and the proof that none is better.

    The policy is uniform in states that it never visits in the long run. ``value``, ``costs`` and ``occupancy`` are
    computed anew from the policy, by :func:`averages`.
    """

    value: float  # mean reward per step
    costs: F8  # (m,) mean costs per step
    policy: F8  # (N, A) probabilities
    occupancy: F8  # (N, A) sums to 1
    multipliers: F8  # (m,) >= 0: the derivative of value by the limit; 0 where the limit does not bind
    bound: float
    """No policy that meets the limits earns more: max over (s, a) of r - multipliers c + P h - h, plus multipliers limits,
    with the state values h of the linear program's dual. True for any h and any multipliers >= 0, so no tolerance of a
    solver enters."""


def solve_constrained_mdp(
    P: ArrayLike, r: ArrayLike, c: ArrayLike, limits: ArrayLike, names: Sequence[str] | None = None
) -> ConstrainedOptimum:
    """The policy of largest mean reward per step whose mean costs per step are at most the limits.

    Args:
        P: (A, N, N) float64, P[a, s, s'] the probability of s' after action a in state s.
        r: (N, A) float64 rewards.
        c: (m, N, A) float64 costs; m may be 0.
        limits: (m,) float64; infinity is no limit.
        names: m names of the constraints for messages; by default their numbers.

    Raises:
        InfeasibleError: no policy meets the limits; names those that no policy meets, else a smallest set of limits that
            can be met one by one but not together.
        InputError: shapes that do not fit, rows of P that are no distributions, numbers that are not finite, or a model
            whose optimal policy has several recurrent classes (the model is not unichain).
    """
    P, r, c, limits = _checked(P, r, c, limits)
    names = [f"constraint {k}" for k in range(len(limits))] if names is None else list(names)
    if len(names) != len(limits):
        raise InputError(f"{len(names)} names of constraints; expected {len(limits)}")
    lp = _program(P, -r, [(c[k], limits[k]) for k in range(len(limits))])
    if not lp.isOptimal():
        raise InfeasibleError(_explanation(P, c, limits, names))
    occupancy = np.maximum(np.array(lp.getPrimal()), 0.0).reshape(r.shape)
    visits = occupancy.sum(1, keepdims=True)
    policy = np.where(visits > TOLERANCE, occupancy / np.maximum(visits, TOLERANCE), 1.0 / r.shape[1])
    policy /= policy.sum(1, keepdims=True)

    duals = np.array(lp.getDual())
    n = len(r)
    multipliers = np.maximum(-duals[n + 1 :], 0.0)  # minimization: the dual of a row <= is its negative
    h = -duals[:n]
    priced = r - np.tensordot(multipliers, c, 1) + np.einsum("ast,t->sa", P, h) - h[:, None]
    binding = multipliers > 0  # never an infinite limit
    bound = float(priced.max() + multipliers[binding] @ limits[binding])
    value, costs, occupancy = averages(P, r, c, policy)
    return ConstrainedOptimum(value, costs, policy, occupancy, multipliers, bound)


def averages(P: ArrayLike, r: ArrayLike, c: ArrayLike, policy: ArrayLike) -> Averages:
    """Mean reward and costs per step of a stationary policy (N, A), exactly: from its stationary distribution.

    Raises:
        InputError: shapes or probabilities do not fit, or the policy has several recurrent classes.
    """
    P, r, c, _ = _checked(P, r, c, None)
    policy = np.asarray(policy, np.float64)
    if policy.shape != r.shape or not (policy >= 0).all() or not np.allclose(policy.sum(1), 1.0, rtol=0.0, atol=1e-9):
        raise InputError(
            f"policy has shape {policy.shape}; expected {r.shape}, each row a distribution over the actions"
        )
    n = len(r)
    chain = np.einsum("sa,ast->st", policy, P)
    system = np.vstack([np.eye(n) - chain.T, np.ones(n)])
    stationary, _, rank, _ = np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)
    if rank < n:
        raise InputError(
            "the policy has several recurrent classes, so no single long-run average; expected a unichain model"
        )
    occupancy = np.maximum(stationary, 0.0)[:, None] * policy
    occupancy /= occupancy.sum()
    return Averages(float((r * occupancy).sum()), np.tensordot(c, occupancy, 2), occupancy)


def _checked(P: ArrayLike, r: ArrayLike, c: ArrayLike, limits: ArrayLike | None) -> tuple[F8, F8, F8, F8]:
    P, r, c = (np.asarray(x, np.float64) for x in (P, r, c))
    bounds = np.full(len(c), np.inf) if limits is None else np.asarray(limits, np.float64)
    if r.ndim != 2 or P.shape != (r.shape[1], len(r), len(r)) or c.shape[1:] != r.shape or bounds.shape != c.shape[:1]:
        raise InputError(
            f"P, r, c, limits have shapes {P.shape}, {r.shape}, {c.shape}, {bounds.shape}; "
            "expected (A, N, N), (N, A), (m, N, A), (m,)"
        )
    if not (P >= 0).all() or not np.allclose(P.sum(2), 1.0, rtol=0.0, atol=1e-9):
        raise InputError("a row of P is no distribution; expected P[a, s] to be at least 0 and to sum to 1")
    if not (np.isfinite(r).all() and np.isfinite(c).all()) or np.isnan(bounds).any() or (bounds == -np.inf).any():
        raise InputError("r, c or limits hold numbers that are not finite; expected finite ones (infinity as a limit)")
    return P, r, c, bounds


def _program(P: F8, objective: F8, rows: Sequence[tuple[F8, float]]) -> Any:
    """The linear program of the occupancies: minimize ``objective`` (N, A) under ``rows`` of (costs (N, A), limit)."""
    from pyscipopt import LP, SCIP_LPPARAM

    lp = LP()
    lp.setRealParam(SCIP_LPPARAM.FEASTOL, TOLERANCE)
    lp.setRealParam(SCIP_LPPARAM.DUALFEASTOL, TOLERANCE)
    actions, n, _ = P.shape
    infinity = lp.infinity()
    upper = [infinity if np.isinf(limit) else float(limit) for _, limit in rows]
    fixed = [0.0] * n + [1.0]
    lp.addRows([[] for _ in fixed + upper], fixed + [-infinity] * len(rows), fixed + upper)
    net = np.eye(n) - P  # (A, N, N): what a unit of x(s, a) adds to the balance of every state
    entries = []
    for s in range(n):
        for a in range(actions):
            balance = [(t, float(net[a, s, t])) for t in np.flatnonzero(net[a, s]).tolist()]
            entries.append([*balance, (n, 1.0), *((n + 1 + k, float(c[s, a])) for k, (c, _) in enumerate(rows))])
    lp.addCols(entries, objective.ravel().tolist(), [0.0] * len(entries), [infinity] * len(entries))
    lp.solve(dual=False)
    return lp


def _explanation(P: F8, c: F8, limits: F8, names: Sequence[str]) -> str:
    """Which limits no policy meets; where each can be met alone, a smallest set that cannot be met together."""

    def rows(which: list[int]) -> list[tuple[F8, float]]:
        return [(c[k], limits[k]) for k in which]

    def met(which: list[int]) -> bool:
        return bool(_program(P, np.zeros(c.shape[1:]), rows(which)).isOptimal())

    def least(k: int, others: list[int]) -> str:
        return f"{names[k]} is at least {_program(P, c[k], rows(others)).getObjVal():.6g} (limit {limits[k]:g})"

    alone = [k for k in range(len(limits)) if not met([k])]
    if alone:
        return f"no policy meets the limits: under every policy {', '.join(least(k, []) for k in alone)}"
    together = list(range(len(limits)))
    for k in range(len(limits)):
        rest = [j for j in together if j != k]
        if not met(rest):
            together = rest
    first, *others = together
    given = ", ".join(f"{names[k]} at most {limits[k]:g}" for k in others)
    return f"no policy meets the limits together, though each alone can be met: with {given}, {least(first, others)}"
