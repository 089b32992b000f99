"""Small cells for property tests of network slicing, and one whose figures are worked out by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import strategies as st

from optgap.co.problems.slicing import SlicingCounts, SlicingInstance

COUNTS = [f.name for f in fields(SlicingCounts)]


def by_hand(**other: Any) -> SlicingInstance:
    """Two users of one slice, two blocks a slot, three slots a decision.

    Slot 0: user 0 is given a block (25 - 10 = 15 bits left), user 1 half of one for its 5 bits, user 0 the other half (10
    left). Slot 1: the packet of 9 bits meets a full queue; user 0 ends its packet, user 1 has 30 - 10 left. Slot 2:
    user 1 has both blocks and ends that packet; its packet of 4 bits waits. Slot 3, at rate 8: it takes half a block.
    """
    arguments: dict[str, Any] = {
        "name": "by-hand",
        "rate": np.array([[10, 10], [10, 8]]),
        "user_slice": np.array([0, 0]),
        "packet_slot": np.array([0, 0, 1, 1, 1]),
        "packet_user": np.array([0, 1, 1, 1, 1]),
        "packet_bits": np.array([25, 5, 30, 4, 9]),
        "slices": ("only",),
        "deadline": np.array([1.5]),
        "weight": np.array([3.0]),
        "blocks": 2.0,
        "decision_slots": 3,
        "queue": 2,
        "block_hertz": 2.0,
        "slot_seconds": 0.5,
        "reference_efficiency": 10.0,
    }
    return SlicingInstance(**(arguments | other))


@st.composite
def cells(draw: Any, slices: int | None = None) -> SlicingInstance:
    """A cell of at most 4 decisions, 6 users and 40 packets; idle and crowded ones, slices without users, rates of 0."""
    steps, users, slots = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    n = slices or draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    packets = draw(st.integers(0, 40))
    slot, user = rng.integers(0, steps * slots, packets), rng.integers(0, users, packets)
    order = np.lexsort((user, slot))
    return SlicingInstance(
        rate=rng.integers(0, draw(st.sampled_from([2, 30, 5000])), (steps, users)),
        user_slice=rng.integers(0, n, users),
        packet_slot=slot[order],
        packet_user=user[order],
        packet_bits=rng.integers(1, draw(st.sampled_from([2, 60, 10_000])), packets),
        slices=tuple("abc"[:n]),
        deadline=rng.uniform(0.5, 6, n),
        weight=rng.uniform(0, 3, n),
        blocks=draw(st.sampled_from([0.3, 1.0, 7.77])),
        decision_slots=slots,
        queue=draw(st.integers(1, 4)),
        reward=draw(st.sampled_from(["throughput", "utility"])),
    )


def shares_of(instance: SlicingInstance, seed: int) -> Any:
    """Random shares (T, S), some on the boundary."""
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.ones(instance.n_slices + 1), instance.n_decisions)[:, :-1]
    drawn[rng.random(drawn.shape) < 0.2] = 0.0
    return drawn
