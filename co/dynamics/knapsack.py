"""Dynamics of the 0-1 knapsack as a BQ-MDP: the state is the capacity that is left and the items that are."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.network import F64, I64
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.co.dynamics.routing import Loads, RouteState, first_forbidden, fitting


@njit(cache=True, **KERNEL)
def kp_reset(n_items: I64, loads: Loads, state: RouteState, b: int) -> None:
    """Empty the knapsack of copy ``b``."""
    state.entries[b] = 0
    state.load[b] = 0.0
    state.gain[b] = 0.0
    state.left[b, :] = False
    state.left[b, : n_items[b]] = True
    state.n_left[b] = fitting(loads, state, b)


@njit(cache=True, **INLINED)
def kp_choose(loads: Loads, value: F64, state: RouteState, b: int, j: int) -> float:
    """Put item ``j`` into the knapsack; return the value added."""
    state.load[b] += loads.size[b, j]
    state.gain[b] += value[b, j]
    state.left[b, j] = False
    state.order[b, state.entries[b]] = j
    state.entries[b] += 1
    state.n_left[b] = fitting(loads, state, b)
    return value[b, j]  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def kp_reset_batch(n_items: I64, loads: Loads, state: RouteState, which: NDArray[np.bool_]) -> None:
    """Start the copies marked in ``which`` (B,) anew."""
    for b in range(len(which)):
        if which[b]:
            kp_reset(n_items, loads, state, b)


@njit(cache=True, **KERNEL)
def kp_step_batch(
    loads: Loads,
    value: F64,
    state: RouteState,
    action: I64,
    skip: NDArray[np.bool_],
    reward: F64,
    done: NDArray[np.bool_],
) -> int:
    """Take ``action`` (B,) in every copy not marked in ``skip``; fill ``reward`` and ``done``.

    Returns -1, or the first copy whose action is not allowed; then no copy has moved.
    """
    bad = first_forbidden(state.mask, action, skip)
    if bad < 0:
        for b in range(len(action)):
            if not skip[b]:
                reward[b] = kp_choose(loads, value, state, b, action[b])
                done[b] = state.n_left[b] == 0
    return bad  # type: ignore[no-any-return]
