"""Dynamics of network slicing: numba functions over a batch of cells. The definition is ``optgap.co.problems.slicing``.

A slot looks at the packets that arrive in it and at the users that have packets, never at an idle user: the users with
packets of a slice are a linked line, and the trace is read once, from its beginning to its end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.co.dynamics.projection import project_capped_simplex
from optgap.co.problems.slicing import EFFICIENCY_WEIGHT, F64, I64, TOLERANCE, SlicingInstance

SEEN = (
    "packets that arrived in the last decision, per user of the slice",
    "share of the band that serves their bits in one decision, at the rates of the coming one",
    "share of the band that serves the waiting bits, likewise",
    "waiting packets by places in the queues",
    "age of the oldest waiting packet, in deadlines",
    "latency of the last decision: its cost",
    "drops of the last decision: its cost",
    "mean rate of the slice's users in the coming decision, by that of the reference efficiency",
    "share of the band that the slice had in the last decision",
)
PER_SLICE = (  # counts of a decision: fields of CellState of (B, S)
    "arrived",
    "dropped",
    "dropped_bits",
    "served",
    "served_bits",
    "on_time",
    "waiting",
    "waiting_bits",
    "overdue",
    "delay",
    "oldest",
)
HIGHEST = 10.0  # that the observation shows


class Cells(NamedTuple):
    """B instances padded to T decisions, U users and P packets; S slices each."""

    rate: I64  # (B, T, U)
    user_slice: I64  # (B, U)
    packet_slot: I64  # (B, P)
    packet_user: I64  # (B, P)
    packet_bits: I64  # (B, P)
    n_decisions: I64  # (B,)
    n_users: I64  # (B,)
    n_packets: I64  # (B,)
    slice_users: I64  # (B, S) users of each slice
    deadline: F64  # (B, S) slots
    weight: F64  # (B, S)
    blocks: F64  # (B,)
    decision_slots: I64  # (B,)
    queue: I64  # (B,) packets
    hertz_seconds: F64  # (B,) band times duration of a decision
    reference: F64  # (B,) bits/s/Hz
    utility: NDArray[np.bool_]  # (B,) whether the reward is "utility"; else "throughput"


class CellState(NamedTuple):
    """State of B cells, and what happened in the last decision."""

    decision: I64  # (B,) decisions taken
    packet: I64  # (B,) packets of the trace that have arrived
    first: I64  # (B, S) user at the head of the slice's line; -1 where no one has packets
    last: I64  # (B, S) user at its end
    behind: I64  # (B, U) user behind one that is in line and not its last
    place: I64  # (B, U) where in its ring the user's oldest packet is
    packets: I64  # (B, U) in the queue
    bits: I64  # (B, U, Q) ring of the bits left of each packet
    since: I64  # (B, U, Q) ring of the slots of their arrivals
    came: I64  # (B, U) bits that arrived in the last decision, dropped ones included
    shares: F64  # (B, T, S) of all decisions so far
    arrived: I64  # (B, S) packets; this and the following: as in optgap.co.problems.slicing.SlicingCounts
    dropped: I64  # (B, S) packets
    dropped_bits: I64  # (B, S)
    served: I64  # (B, S) packets
    served_bits: I64  # (B, S)
    on_time: I64  # (B, S) packets
    waiting: I64  # (B, S) packets
    waiting_bits: I64  # (B, S)
    overdue: I64  # (B, S) packets
    delay: I64  # (B, S) slots
    oldest: I64  # (B, S) slots, age of the oldest waiting packet, 0 where none waits
    reward: F64  # (B,)
    cost: F64  # (B, 2 S)
    seen: NDArray[np.float32]  # (B, S, F) the observation


def empty_cells(
    copies: int, slices: int, decisions: int = 0, users: int = 0, packets: int = 0, queue: int = 0
) -> tuple[Cells, CellState]:
    """Arrays of zeros; :func:`put_cell` makes larger ones where an instance needs them."""

    def whole(*shape: int) -> I64:
        return np.zeros((copies, *shape), np.int64)

    def real(*shape: int) -> F64:
        return np.zeros((copies, *shape))

    cells = Cells(
        rate=whole(decisions, users),
        user_slice=whole(users),
        packet_slot=whole(packets),
        packet_user=whole(packets),
        packet_bits=whole(packets),
        n_decisions=whole(),
        n_users=whole(),
        n_packets=whole(),
        slice_users=whole(slices),
        deadline=real(slices),
        weight=real(slices),
        blocks=real(),
        decision_slots=whole(),
        queue=whole(),
        hertz_seconds=real(),
        reference=real(),
        utility=np.zeros(copies, np.bool_),
    )
    state = CellState(
        decision=whole(),
        packet=whole(),
        first=whole(slices),
        last=whole(slices),
        behind=whole(users),
        place=whole(users),
        packets=whole(users),
        bits=whole(users, queue),
        since=whole(users, queue),
        came=whole(users),
        shares=real(decisions, slices),
        **{name: whole(slices) for name in PER_SLICE},
        reward=real(),
        cost=real(2 * slices),
        seen=np.zeros((copies, slices, len(SEEN)), np.float32),
    )
    return cells, state


def put_cell(cells: Cells, state: CellState, b: int, instance: SlicingInstance) -> tuple[Cells, CellState]:
    """Give copy ``b`` an instance (:func:`reset_batch` starts it); returns the arrays, larger ones where it needs them."""
    needed = (instance.n_decisions, instance.n_users, instance.n_packets, instance.queue)
    held = (*cells.rate.shape[1:], cells.packet_slot.shape[1], state.bits.shape[2])
    if any(n > h for n, h in zip(needed, held, strict=True)):
        larger = [h if n <= h else n + n // 8 for n, h in zip(needed, held, strict=True)]
        small: list[NDArray[Any]] = [*cells, *state]
        cells, state = empty_cells(len(cells.queue), cells.deadline.shape[1], *larger)
        large: list[NDArray[Any]] = [*cells, *state]
        for before, after in zip(small, large, strict=True):
            after[tuple(slice(n) for n in before.shape)] = before
    steps, users, packets = needed[:3]
    cells.rate[b, :steps, :users] = instance.rate
    for name in ("packet_slot", "packet_user", "packet_bits"):
        getattr(cells, name)[b, :packets] = getattr(instance, name)
    cells.user_slice[b, :users] = instance.user_slice
    cells.slice_users[b] = np.bincount(instance.user_slice, minlength=instance.n_slices)
    cells.n_decisions[b], cells.n_users[b], cells.n_packets[b], cells.queue[b] = needed
    cells.deadline[b], cells.weight[b] = instance.deadline, instance.weight
    cells.blocks[b], cells.decision_slots[b] = instance.blocks, instance.decision_slots
    cells.hertz_seconds[b], cells.reference[b] = instance.hertz_seconds, instance.reference_efficiency
    cells.utility[b] = instance.reward == "utility"
    return cells, state


@njit(cache=True, **INLINED)
def _clipped(value: float) -> float:
    return min(value, HIGHEST)


@njit(cache=True, **KERNEL)
def observe(cells: Cells, state: CellState, b: int) -> None:
    """Fill ``seen`` of copy ``b``: :data:`SEEN`, a row a slice, each at most :data:`HIGHEST`."""
    t = min(state.decision[b], cells.n_decisions[b] - 1)  # after the last decision there is no next channel
    band = cells.blocks[b] * cells.decision_slots[b]
    seen, ring = state.seen[b], cells.queue[b]
    seen[:, 1:4] = 0.0
    seen[:, 7] = 0.0
    for u in range(cells.n_users[b]):
        s, rate = cells.user_slice[b, u], max(cells.rate[b, t, u], 1)
        waiting, place = 0, state.place[b, u]
        for _ in range(state.packets[b, u]):
            waiting += state.bits[b, u, place]
            place = place + 1 if place + 1 < ring else 0
        seen[s, 1] += state.came[b, u] / rate / band
        seen[s, 2] += waiting / rate / band
        seen[s, 7] += cells.rate[b, t, u]
    block_bits = cells.reference[b] * cells.hertz_seconds[b] / band
    slices = len(seen)
    for s in range(slices):
        users, previous = max(cells.slice_users[b, s], 1), state.decision[b] - 1
        seen[s, 0] = _clipped(state.arrived[b, s] / users)
        seen[s, 1] = _clipped(seen[s, 1])
        seen[s, 2] = _clipped(seen[s, 2])
        seen[s, 3] = state.waiting[b, s] / (users * ring)
        seen[s, 4] = _clipped(state.oldest[b, s] / cells.deadline[b, s])
        seen[s, 5] = _clipped(state.cost[b, s])
        seen[s, 6] = state.cost[b, slices + s]
        seen[s, 7] = _clipped(seen[s, 7] / users / block_bits)
        seen[s, 8] = state.shares[b, previous, s] if previous >= 0 else 0.0


@njit(cache=True, **INLINED)
def _arrive(cells: Cells, state: CellState, b: int, slot: int) -> None:
    """Queue the packets of ``slot``, or drop those that find a full queue."""
    k, ring = state.packet[b], cells.queue[b]
    while k < cells.n_packets[b] and cells.packet_slot[b, k] == slot:
        u, bits = cells.packet_user[b, k], cells.packet_bits[b, k]
        s, count = cells.user_slice[b, u], state.packets[b, u]
        state.arrived[b, s] += 1
        state.came[b, u] += bits
        if count == ring:
            state.dropped[b, s] += 1
            state.dropped_bits[b, s] += bits
        else:
            if count == 0:
                if state.first[b, s] < 0:
                    state.first[b, s] = u
                else:
                    state.behind[b, state.last[b, s]] = u
                state.last[b, s] = u
            place = state.place[b, u] + count
            if place >= ring:
                place -= ring
            state.bits[b, u, place] = bits
            state.since[b, u, place] = slot
            state.packets[b, u] = count + 1
        k += 1
    state.packet[b] = k


@njit(cache=True, **INLINED)
def _serve(cells: Cells, state: CellState, b: int, s: int, slot: int, rate: I64, blocks: float) -> None:
    """Serve slice ``s`` in one slot with ``blocks``, round robin; ``rate`` (U,) of the decision."""
    left, ring = blocks, cells.queue[b]
    following = state.first[b, s]
    while following >= 0 and left > 0.0:
        u = following
        part = min(1.0, left)
        given = int(part * rate[u])
        grant, count, place = given, state.packets[b, u], state.place[b, u]
        while count > 0 and state.bits[b, u, place] <= grant:
            grant -= state.bits[b, u, place]
            delay = slot - state.since[b, u, place] + 1
            state.served[b, s] += 1
            state.delay[b, s] += delay
            state.on_time[b, s] += delay <= cells.deadline[b, s]
            place = place + 1 if place + 1 < ring else 0
            count -= 1
        state.packets[b, u], state.place[b, u] = count, place
        if u != state.last[b, s]:
            following = state.behind[b, u]
            if count > 0:
                state.behind[b, state.last[b, s]] = u
                state.last[b, s] = u
        elif count == 0:
            following = -1
        if count > 0:
            state.bits[b, u, place] -= grant
            grant = 0
        state.served_bits[b, s] += given - grant
        left -= part if grant == 0 else (given - grant) / rate[u]
    state.first[b, s] = following


@njit(cache=True, **INLINED)
def _wait(cells: Cells, state: CellState, b: int, s: int, end: int) -> None:
    """Count the packets of slice ``s`` that wait when slot ``end`` begins."""
    u, ring = state.first[b, s], cells.queue[b]
    while u >= 0:
        place = state.place[b, u]
        for _ in range(state.packets[b, u]):
            age = end - state.since[b, u, place]
            state.waiting[b, s] += 1
            state.waiting_bits[b, s] += state.bits[b, u, place]
            state.delay[b, s] += age
            state.overdue[b, s] += age > cells.deadline[b, s]
            state.oldest[b, s] = max(state.oldest[b, s], age)
            place = place + 1 if place + 1 < ring else 0
        u = state.behind[b, u] if u != state.last[b, s] else -1


@njit(cache=True, **KERNEL)
def _assess(cells: Cells, state: CellState, b: int) -> None:
    """Fill ``cost`` and ``reward`` of copy ``b`` from the counts."""
    slices = cells.deadline.shape[1]
    delivered, utility = 0, 0.0
    for s in range(slices):
        packets, arrived = state.served[b, s] + state.waiting[b, s], state.arrived[b, s]
        state.cost[b, s] = state.delay[b, s] / packets / cells.deadline[b, s] if packets > 0 else 0.0
        state.cost[b, slices + s] = state.dropped[b, s] / arrived if arrived > 0 else 0.0
        due = state.served[b, s] + state.dropped[b, s] + state.overdue[b, s]
        utility += cells.weight[b, s] * (state.on_time[b, s] / due if due > 0 else 1.0)
        delivered += state.served_bits[b, s]
    efficiency = delivered / cells.hertz_seconds[b]
    state.reward[b] = utility + EFFICIENCY_WEIGHT * efficiency if cells.utility[b] else efficiency / cells.reference[b]


@njit(cache=True, **INLINED)
def _begin(cells: Cells, state: CellState, b: int) -> None:
    """Set what is counted by decision to zero."""
    for s in range(cells.deadline.shape[1]):
        state.arrived[b, s] = state.dropped[b, s] = state.dropped_bits[b, s] = 0
        state.served[b, s] = state.served_bits[b, s] = state.on_time[b, s] = 0
        state.waiting[b, s] = state.waiting_bits[b, s] = state.overdue[b, s] = 0
        state.delay[b, s] = state.oldest[b, s] = 0
    for u in range(cells.n_users[b]):
        state.came[b, u] = 0


@njit(cache=True, **KERNEL)
def advance(cells: Cells, state: CellState, b: int) -> None:
    """Play one decision of copy ``b`` with the shares that ``state.shares`` holds for it."""
    t, slots = state.decision[b], cells.decision_slots[b]
    slices, rate = cells.deadline.shape[1], cells.rate[b, t]
    _begin(cells, state, b)
    for slot in range(t * slots, (t + 1) * slots):
        _arrive(cells, state, b, slot)
        for s in range(slices):
            _serve(cells, state, b, s, slot, rate, state.shares[b, t, s] * cells.blocks[b])
    for s in range(slices):
        _wait(cells, state, b, s, (t + 1) * slots)
    _assess(cells, state, b)
    state.decision[b] = t + 1


@njit(cache=True, **KERNEL)
def reset_batch(cells: Cells, state: CellState, which: NDArray[np.bool_]) -> None:
    """Empty the queues of the copies marked in ``which`` (B,), at the beginning of their traces."""
    for b in range(len(which)):
        if which[b]:
            state.decision[b] = state.packet[b] = 0
            state.first[b, :] = -1
            state.place[b, :] = 0
            state.packets[b, :] = 0
            state.shares[b, :, :] = 0.0
            state.reward[b] = 0.0
            state.cost[b, :] = 0.0
            _begin(cells, state, b)
            observe(cells, state, b)


@njit(cache=True, **KERNEL)
def step_batch(
    cells: Cells, state: CellState, action: F64, skip: NDArray[np.bool_], project: bool, done: NDArray[np.bool_]
) -> None:
    """Take ``action`` (B, S) in every copy not marked in ``skip``; fill ``done`` (B,).

    Args:
        project: take the nearest shares in {x >= 0, sum x <= 1}; otherwise an action must be in that set.
    """
    for b in range(len(action)):
        if not skip[b]:
            shares = state.shares[b, state.decision[b]]
            for s in range(len(shares)):
                shares[s] = action[b, s]
            if project:
                project_capped_simplex(shares, 1.0, shares)
            advance(cells, state, b)
            observe(cells, state, b)
            done[b] = state.decision[b] == cells.n_decisions[b]


def replay(instance: SlicingInstance, shares: Any) -> dict[str, NDArray[Any]]:
    """Play shares (T', S), T' <= T, of the instance's trace, fast.

    Returns:
        By name, T' rows each: every count of :class:`optgap.co.problems.slicing.SlicingCounts` but ``arrived_bits``,
        ``oldest`` (T', S), ``reward`` (T',), ``cost`` (T', 2 S), ``seen`` (T', S, F) after each decision.
    """
    shares = np.asarray(shares, np.float64)
    if shares.ndim != 2 or shares.shape[1] != instance.n_slices or len(shares) > instance.n_decisions:
        raise InputError(
            f"shares of shape {shares.shape}; expected (decisions, {instance.n_slices}), at most {instance.n_decisions}"
        )
    if not ((shares >= 0).all() and (shares.sum(1) <= 1 + TOLERANCE).all()):  # NaN compares false
        raise InputError("shares: expected each at least 0 and at most 1 together in every row")
    cells, state = put_cell(*empty_cells(1, instance.n_slices), 0, instance)
    everyone, no_one, done = np.ones(1, np.bool_), np.zeros(1, np.bool_), np.zeros(1, np.bool_)
    reset_batch(cells, state, everyone)
    buffers = {name: getattr(state, name)[0] for name in (*PER_SLICE, "reward", "cost", "seen")}
    found = {name: np.empty((len(shares), *np.shape(row)), row.dtype) for name, row in buffers.items()}
    for t in range(len(shares)):
        step_batch(cells, state, shares[t : t + 1], no_one, False, done)
        for name, rows in found.items():
            rows[t] = getattr(state, name)[0]
    return found
