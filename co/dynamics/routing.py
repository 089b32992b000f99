"""Dynamics of the routing problems and the knapsack as BQ-MDPs: numba functions over a batch of copies.

The state is the remaining sub-instance (Drakulic et al. 2023): where the path stands, what is left, and how much of the
capacity or the length. Every function works on copy ``b`` of structure-of-arrays tuples, so that one environment, a
batch of environments and a constructive heuristic run the same code. No function needs memory of N x N, but for
instances that are given as a matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.network import EUCLIDEAN, F64, I64, Network, edge
from optgap.co.dynamics.options import INLINED, KERNEL

I8 = NDArray[np.int8]

# Limits are kept to a relative 1e-9 by ``Problem.check``. A running sum may differ in its last digits from the sum
# that is checked, so it is held a little tighter here.
SLACK = 1 + 0.99e-9


class Loads(NamedTuple):
    """What uses up the capacity in B copies."""

    size: F64  # (B, N) demand of a node, weight of an item
    largest: F64  # (B,) of them
    capacity: F64  # (B,) of a vehicle, of the knapsack


class Prizes(NamedTuple):
    """What is collected in B copies, and how far one may go for it."""

    prize: F64  # (B, N) prize of a node, value of an item
    home: F64  # (B, N) distance from a node to the end of the path
    limit: F64  # (B,) of the path's length
    start: I64  # (B,) first node of the path
    end: I64  # (B,) last node of the path


class RouteState(NamedTuple):
    """State of B copies of at most N nodes or items."""

    mask: I8  # (B, A) 1 where the action is allowed now; all 0 at the end of the episode
    left: NDArray[np.bool_]  # (B, N) what is not visited or chosen yet; the TSP needs the mask alone
    n_left: I64  # (B,) how many of them the episode still has to decide on; 0 at its end
    origin: I64  # (B,) where the path stands
    order: I64  # (B, L) the solution so far
    entries: I64  # (B,) how many entries of ``order`` are filled
    length: F64  # (B,) of the path so far
    load: F64  # (B,) of the vehicle under way, of the knapsack
    gain: F64  # (B,) prizes or values so far


def empty_state(copies: int, nodes: int, actions: int, longest: int) -> RouteState:
    """Zeroed state; ``longest`` is the most entries of a solution."""
    return RouteState(
        np.zeros((copies, actions), np.int8),
        np.zeros((copies, nodes), np.bool_),
        np.zeros(copies, np.int64),
        np.zeros(copies, np.int64),
        np.zeros((copies, longest), np.int64),
        np.zeros(copies, np.int64),
        np.zeros(copies),
        np.zeros(copies),
        np.zeros(copies),
    )


@njit(cache=True, **KERNEL)
def first_forbidden(mask: I8, action: I64, skip: NDArray[np.bool_]) -> int:
    """The first copy not in ``skip`` (B,) whose ``action`` (B,) is not allowed, or -1."""
    for b in range(len(action)):
        a = action[b]
        if not skip[b] and (a < 0 or a >= mask.shape[1] or mask[b, a] == 0):
            return b
    return -1


@njit(cache=True, **INLINED)
def _append(state: RouteState, b: int, node: int) -> None:
    state.order[b, state.entries[b]] = node
    state.entries[b] += 1


@njit(cache=True, **KERNEL)
def _begin(state: RouteState, b: int, origin: int) -> None:
    state.origin[b] = origin
    state.entries[b] = 0
    state.length[b] = 0.0
    state.load[b] = 0.0
    state.gain[b] = 0.0
    state.mask[b, :] = 0
    state.left[b, :] = False


# TSP and ATSP: action j goes to node j


@njit(cache=True, **KERNEL)
def tsp_reset(network: Network, state: RouteState, b: int) -> None:
    """Put copy ``b`` at node 0 with all other nodes to visit."""
    n = network.n_nodes[b]
    _begin(state, b, 0)
    _append(state, b, 0)
    state.mask[b, 1:n] = 1
    state.n_left[b] = n - 1


@njit(cache=True, **INLINED)
def tsp_visit(network: Network, state: RouteState, b: int, j: int) -> float:
    """Go to node ``j``, from the last one also back to node 0; return the length added."""
    return _tsp_arrive(network, state, b, j, edge(network, b, state.origin[b], j))  # type: ignore[no-any-return]


@njit(cache=True, **INLINED)
def _tsp_arrive(network: Network, state: RouteState, b: int, j: int, added: float) -> float:
    state.mask[b, j] = 0
    state.origin[b] = j
    _append(state, b, j)
    state.n_left[b] -= 1
    if state.n_left[b] == 0:
        added += edge(network, b, j, 0)
    state.length[b] += added
    return added


@njit(cache=True, **KERNEL)
def tsp_reset_batch(network: Network, state: RouteState, which: NDArray[np.bool_]) -> None:
    """Start the copies marked in ``which`` (B,) anew."""
    for b in range(len(which)):
        if which[b]:
            tsp_reset(network, state, b)


@njit(cache=True, **KERNEL)
def tsp_step_batch(
    network: Network, state: RouteState, action: I64, skip: NDArray[np.bool_], reward: F64, done: NDArray[np.bool_]
) -> int:
    """Take ``action`` (B,) in every copy not marked in ``skip``; fill ``reward`` and ``done``.

    Returns -1, or the first copy whose action is not allowed; then no copy has moved.
    """
    bad = first_forbidden(state.mask, action, skip)
    if bad < 0:
        for b in range(len(action)):  # first all that is read from all over the memory: the processor overlaps it
            if not skip[b]:
                reward[b] = edge(network, b, state.origin[b], action[b])
        for b in range(len(action)):
            if not skip[b]:
                reward[b] = -_tsp_arrive(network, state, b, action[b], reward[b])
                done[b] = state.n_left[b] == 0
    return bad  # type: ignore[no-any-return]


# CVRP: action j goes to customer j, action N + j goes there by way of the depot


@njit(cache=True, **INLINED)
def fitting(loads: Loads, state: RouteState, b: int) -> int:
    """Allow in copy ``b`` the nodes or items j that are left and fit, by action j; return how many."""
    load, most = state.load[b], loads.capacity[b] * SLACK
    count = 0
    if load + loads.largest[b] <= most:  # most of the time, and then the sizes need not be read
        for j in range(state.left.shape[1]):
            allowed = state.left[b, j]
            state.mask[b, j] = allowed
            count += allowed
    else:
        for j in range(state.left.shape[1]):
            allowed = state.left[b, j] & (load + loads.size[b, j] <= most)
            state.mask[b, j] = allowed
            count += allowed
    return count


@njit(cache=True, **KERNEL)
def cvrp_reset(network: Network, loads: Loads, state: RouteState, b: int) -> None:
    """Put copy ``b`` at the depot with all customers to serve."""
    n = network.n_nodes[b]
    _begin(state, b, 0)
    _append(state, b, 0)
    state.left[b, 1:n] = True
    state.n_left[b] = n - 1
    fitting(loads, state, b)


@njit(cache=True, **INLINED)
def cvrp_visit(network: Network, loads: Loads, state: RouteState, b: int, j: int, via: bool) -> float:
    """Serve customer ``j``, by way of the depot if ``via``; the last one also returns. Return the length added."""
    i, nodes = state.origin[b], state.left.shape[1]
    if via:
        added = edge(network, b, i, 0) + edge(network, b, 0, j)
        state.load[b] = loads.size[b, j]
        _append(state, b, 0)
    else:
        added = edge(network, b, i, j)
        state.load[b] += loads.size[b, j]
    _append(state, b, j)
    state.left[b, j] = False
    state.origin[b] = j
    state.n_left[b] -= 1
    if state.n_left[b] == 0:
        added += edge(network, b, j, 0)
        _append(state, b, 0)
    fitting(loads, state, b)
    if i == 0:  # from now on every customer can be reached by way of the depot
        for other in range(nodes):
            state.mask[b, nodes + other] = state.left[b, other]
    state.mask[b, nodes + j] = 0
    state.length[b] += added
    return added  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def cvrp_reset_batch(network: Network, loads: Loads, state: RouteState, which: NDArray[np.bool_]) -> None:
    """Start the copies marked in ``which`` (B,) anew."""
    for b in range(len(which)):
        if which[b]:
            cvrp_reset(network, loads, state, b)


@njit(cache=True, **KERNEL)
def cvrp_step_batch(
    network: Network,
    loads: Loads,
    state: RouteState,
    action: I64,
    skip: NDArray[np.bool_],
    reward: F64,
    done: NDArray[np.bool_],
) -> int:
    """As :func:`tsp_step_batch`."""
    nodes = state.left.shape[1]
    bad = first_forbidden(state.mask, action, skip)
    if bad < 0:
        for b in range(len(action)):
            if not skip[b]:
                via = action[b] >= nodes
                j = action[b] - nodes if via else action[b]
                reward[b] = -cvrp_visit(network, loads, state, b, j, via)
                done[b] = state.n_left[b] == 0
    return bad  # type: ignore[no-any-return]


# OP: action j goes to node j


@njit(cache=True, **INLINED)
def _op_mask(network: Network, prizes: Prizes, state: RouteState, b: int) -> None:
    i, used, most = state.origin[b], state.length[b], prizes.limit[b] * SLACK
    count = 0
    if network.metric[b] == EUCLIDEAN:  # the loop that is worth vectorising
        x, y = network.x[b, i], network.y[b, i]
        for j in range(network.n_nodes[b]):
            dx, dy = x - network.x[b, j], y - network.y[b, j]
            length = used + np.sqrt(dx * dx + dy * dy) + prizes.home[b, j]
            allowed = state.left[b, j] & (length <= most)
            state.mask[b, j] = allowed
            count += allowed
    else:
        for j in range(network.n_nodes[b]):
            allowed = state.left[b, j] and used + edge(network, b, i, j) + prizes.home[b, j] <= most
            state.mask[b, j] = allowed
            count += allowed
    state.n_left[b] = count


@njit(cache=True, **KERNEL)
def op_reset(network: Network, prizes: Prizes, state: RouteState, b: int) -> None:
    """Put copy ``b`` at its start."""
    _begin(state, b, prizes.start[b])
    _append(state, b, prizes.start[b])
    state.left[b, : network.n_nodes[b]] = True
    state.left[b, prizes.start[b]] = False
    state.left[b, prizes.end[b]] = False
    _op_mask(network, prizes, state, b)


@njit(cache=True, **INLINED)
def op_visit(network: Network, prizes: Prizes, state: RouteState, b: int, j: int) -> float:
    """Go to node ``j``, and to the end of the path where no other node is in reach then; return the prize added."""
    end = prizes.end[b]
    added = prizes.prize[b, j]
    if state.entries[b] == 1:
        added += prizes.prize[b, state.origin[b]]
    state.length[b] += edge(network, b, state.origin[b], j)
    state.left[b, j] = False
    state.origin[b] = j
    _append(state, b, j)
    _op_mask(network, prizes, state, b)
    if state.n_left[b] == 0:
        state.length[b] += prizes.home[b, j]
        _append(state, b, end)
        if end != prizes.start[b]:
            added += prizes.prize[b, end]
    state.gain[b] += added
    return added  # type: ignore[no-any-return]


@njit(cache=True, **KERNEL)
def op_reset_batch(network: Network, prizes: Prizes, state: RouteState, which: NDArray[np.bool_]) -> None:
    """Start the copies marked in ``which`` (B,) anew."""
    for b in range(len(which)):
        if which[b]:
            op_reset(network, prizes, state, b)


@njit(cache=True, **KERNEL)
def op_step_batch(
    network: Network,
    prizes: Prizes,
    state: RouteState,
    action: I64,
    skip: NDArray[np.bool_],
    reward: F64,
    done: NDArray[np.bool_],
) -> int:
    """As :func:`tsp_step_batch`."""
    bad = first_forbidden(state.mask, action, skip)
    if bad < 0:
        for b in range(len(action)):
            if not skip[b]:
                reward[b] = op_visit(network, prizes, state, b, action[b])
                done[b] = state.n_left[b] == 0
    return bad  # type: ignore[no-any-return]
