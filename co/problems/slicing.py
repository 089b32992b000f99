"""Network slicing with hindsight: how one base station shares its band among slices when arrivals and channels are known.

The downlink is a sequence of slots; a decision sets the slices' shares of the band for ``decision_slots`` slots. In every slot:

1. packets arrive, in the order of the trace; one that finds its user's queue full (``queue`` packets) is dropped whole;
2. every slice with share x serves ``x * blocks`` blocks of the slot, not rounded: a share is a fraction of the band, and
   so is a block. Round robin: the users with packets form a line (one joins its end when a packet meets its empty queue);
   while blocks are left, the first of the line gets at most one block, ``floor(part * rate)`` bits of it, for its packets
   in order, and goes to the end of the line, or out of it when its queue is empty. One that needs fewer bits than it was given
   uses ``bits / rate`` blocks only.

Bits are whole numbers, so nothing is lost: arrived = served + dropped + waiting. A packet's delay is the number of slots from
its arrival to its last bit, both included; one served in the slot of its arrival has a delay of 1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

REWARDS = ("throughput", "utility")
EFFICIENCY_WEIGHT = 0.01  # of the spectral efficiency in the reward "utility" (Hua et al. 2019)
TOLERANCE = 1e-6  # of the sum of shares: what rounding to float32 adds
LARGEST_PACKET = 2**40  # bits

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicingInstance(Instance):
    """A trace of T decisions, U users, S slices and P packets; arrays are read-only."""

    rate: I64  # (T, U) bits that one block carries in one slot to each user, >= 0
    user_slice: I64  # (U,) slice of each user, in 0..S-1
    packet_slot: I64  # (P,) slot of arrival, in 0..T * decision_slots - 1, ascending
    packet_user: I64  # (P,) in 0..U-1, ascending within a slot
    packet_bits: I64  # (P,) >= 1
    slices: tuple[str, ...]  # S different names
    deadline: F64  # (S,) slots, > 0
    weight: F64  # (S,) of the share of packets on time in the reward "utility", >= 0
    blocks: float  # that the band has, not rounded, > 0
    decision_slots: int  # slots that a decision lasts, >= 1
    queue: int = 5  # packets that a user's queue holds, >= 1
    block_hertz: float = 180e3
    slot_seconds: float = 0.5e-3
    reference_efficiency: float = 20.0  # bits/s/Hz at which the reward "throughput" is 1
    reward: str = "throughput"  # or "utility"

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        for name in ("rate", "user_slice", "packet_slot", "packet_user", "packet_bits"):
            object.__setattr__(self, name, _as_integers(where, name, getattr(self, name)))
        object.__setattr__(self, "slices", tuple(str(name) for name in self.slices))
        for name in ("deadline", "weight"):
            array = np.array(getattr(self, name), np.float64)
            object.__setattr__(self, name, array)
            if array.shape != (self.n_slices,) or not np.isfinite(array).all() or (array < 0).any():
                raise InputError(f"{where}: {name} is {array.tolist()}; expected {self.n_slices} numbers, one a slice")
        if (self.deadline == 0).any() or self.n_slices < 1 or len(set(self.slices)) < self.n_slices:
            raise InputError(f"{where}: slices {list(self.slices)}; expected different ones with deadlines above 0")
        if self.rate.ndim != 2 or self.rate.size < 1 or (self.rate < 0).any():
            raise InputError(f"{where}: rate of shape {self.rate.shape}; expected (decisions, users), each at least 0")
        if self.user_slice.shape != (self.n_users,) or not _within(self.user_slice, self.n_slices):
            raise InputError(f"{where}: user_slice: expected for each user a slice of 0..{self.n_slices - 1}")
        for name, least in (("decision_slots", 1), ("queue", 1)):
            if getattr(self, name) != int(getattr(self, name)) or getattr(self, name) < least:
                raise InputError(f"{where}: {name} is {getattr(self, name)}; expected a whole number, at least {least}")
        for name in ("blocks", "block_hertz", "slot_seconds", "reference_efficiency"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{where}: {name} is {getattr(self, name)}; expected a number above 0")
        if self.reward not in REWARDS:
            raise InputError(f"{where}: reward is {self.reward!r}; expected of {', '.join(REWARDS)}")
        self._require_packets(where)
        super().__post_init__()

    def _require_packets(self, where: str) -> None:
        shapes = {getattr(self, f"packet_{name}").shape for name in ("slot", "user", "bits")}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise InputError(f"{where}: packet arrays of shapes {sorted(shapes)}; expected three rows as long")
        if not _within(self.packet_slot, self.n_slots) or not _within(self.packet_user, self.n_users):
            raise InputError(
                f"{where}: packets: expected slots 0..{self.n_slots - 1} and users 0..{self.n_users - 1} for each"
            )
        order = self.packet_slot * self.n_users + self.packet_user
        if (order[1:] < order[:-1]).any():
            at = int(np.argmax(order[1:] < order[:-1])) + 1
            raise InputError(f"{where}: packet {at} is out of order; expected ascending slots, users within a slot")
        if len(self.packet_bits) and not 1 <= self.packet_bits.min() <= self.packet_bits.max() <= LARGEST_PACKET:
            raise InputError(f"{where}: a packet of {self.packet_bits.min()} bits; expected 1 to {LARGEST_PACKET}")

    @property
    def n_decisions(self) -> int:
        """T."""
        return int(self.rate.shape[0])

    @property
    def n_users(self) -> int:
        """U."""
        return int(self.rate.shape[1])

    @property
    def n_slices(self) -> int:
        """S."""
        return len(self.slices)

    @property
    def n_slots(self) -> int:
        """Slots of all decisions."""
        return self.n_decisions * self.decision_slots

    @property
    def n_packets(self) -> int:
        """P."""
        return len(self.packet_slot)

    @property
    def hertz_seconds(self) -> float:
        """Band times duration of a decision: bits delivered, divided by this, are the spectral efficiency."""
        return self.blocks * self.decision_slots * (self.block_hertz * self.slot_seconds)


def _as_integers(where: str, name: str, value: Any) -> I64:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"{where}: {name} has dtype {array.dtype}; expected integers")
    return np.array(array, np.int64)


def _within(array: I64, end: int) -> bool:
    return array.size == 0 or bool(array.min() >= 0 and array.max() < end)


@dataclass(frozen=True)
class SlicingCounts:
    """What happened in each of T decisions in each of S slices; (T, S) int64 each."""

    arrived: I64  # packets
    arrived_bits: I64
    dropped: I64  # packets
    dropped_bits: I64
    served: I64  # packets whose last bit was served
    served_bits: I64  # those of packets under way included
    on_time: I64  # packets served within their deadline
    waiting: I64  # packets at the end of the decision
    waiting_bits: I64
    overdue: I64  # waiting packets that are older than their deadline
    delay: I64  # slots: delays of the served packets and present ages of the waiting ones

    def costs(self, deadline: F64) -> F64:
        """(T, 2 S): mean delay of the packets served or waiting in deadlines, then dropped by arrived packets."""
        found = np.zeros((len(self.served), 2 * len(deadline)))
        for t, s in np.ndindex(*self.served.shape):
            packets = self.served[t, s] + self.waiting[t, s]
            if packets:
                found[t, s] = self.delay[t, s] / packets / deadline[s]
            if self.arrived[t, s]:
                found[t, len(deadline) + s] = self.dropped[t, s] / self.arrived[t, s]
        return found

    def rewards(self, instance: SlicingInstance) -> list[float]:
        """T rewards, as ``instance.reward`` says; see :meth:`Slicing.cost`."""
        efficiency = [int(bits.sum()) / instance.hertz_seconds for bits in self.served_bits]
        if instance.reward == "throughput":
            return [value / instance.reference_efficiency for value in efficiency]
        found = []
        for t, value in enumerate(efficiency):
            total = 0.0
            for s, weight in enumerate(instance.weight.tolist()):
                due = int(self.served[t, s] + self.dropped[t, s] + self.overdue[t, s])
                total += weight * (int(self.on_time[t, s]) / due if due else 1.0)
            found.append(total + EFFICIENCY_WEIGHT * value)
        return found


def simulate(instance: SlicingInstance, shares: Any) -> SlicingCounts:
    """Play ``shares`` (T', S), T' <= T, through the trace: the module's definition, in plain Python."""
    shares = np.asarray(shares, np.float64)
    steps, n_slices = len(shares), instance.n_slices
    counts = SlicingCounts(*(np.zeros((steps, n_slices), np.int64) for _ in fields(SlicingCounts)))
    queues: list[deque[list[int]]] = [deque() for _ in range(instance.n_users)]  # of [bits left, slot of arrival]
    lines: list[deque[int]] = [deque() for _ in range(n_slices)]  # of users with packets
    of_slice, deadline = instance.user_slice.tolist(), instance.deadline.tolist()
    trace = zip(*(a.tolist() for a in (instance.packet_slot, instance.packet_user, instance.packet_bits)), strict=True)
    coming = deque(trace)
    for t in range(steps):
        rate = instance.rate[t].tolist()
        for slot in range(t * instance.decision_slots, (t + 1) * instance.decision_slots):
            while coming and coming[0][0] == slot:
                _, u, bits = coming.popleft()
                s = of_slice[u]
                counts.arrived[t, s] += 1
                counts.arrived_bits[t, s] += bits
                if len(queues[u]) == instance.queue:
                    counts.dropped[t, s] += 1
                    counts.dropped_bits[t, s] += bits
                    continue
                if not queues[u]:
                    lines[s].append(u)
                queues[u].append([bits, slot])
            for s, line in enumerate(lines):
                left = float(shares[t, s]) * instance.blocks
                while line and left > 0.0:
                    u = line.popleft()
                    part = min(1.0, left)
                    given = grant = int(part * rate[u])
                    while queues[u] and queues[u][0][0] <= grant:
                        bits, since = queues[u].popleft()
                        grant -= bits
                        counts.served[t, s] += 1
                        counts.delay[t, s] += slot - since + 1
                        counts.on_time[t, s] += slot - since + 1 <= deadline[s]
                    if queues[u]:
                        queues[u][0][0] -= grant
                        grant = 0
                        line.append(u)
                    counts.served_bits[t, s] += given - grant
                    left -= part if grant == 0 else (given - grant) / rate[u]
        for s, line in enumerate(lines):
            for bits, since in (packet for u in line for packet in queues[u]):
                age = (t + 1) * instance.decision_slots - since
                counts.waiting[t, s] += 1
                counts.waiting_bits[t, s] += bits
                counts.delay[t, s] += age
                counts.overdue[t, s] += age > deadline[s]
    return counts


class Slicing:
    """Network slicing in hindsight. A solution is a (T, S) array of shares of the band, a row a decision."""

    name = "slicing"
    sense: Sense = "maximize"

    def generate(self, rng: np.random.Generator, **size: Any) -> SlicingInstance:
        """A random cell and trace; the arguments are those of :class:`optgap.co.problems.slicing_traces.Cell`.

        A ``name`` may be given besides.
        """
        from optgap.co.problems.slicing_traces import Cell  # compiled code, which reading an instance does not need

        name = size.pop("name", None)
        return Cell(**size).draw(rng, name)

    def check(self, instance: SlicingInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless every row is in {x >= 0, sum x <= 1}, up to the rounding of float32."""
        shares, name = np.asarray(solution), instance.name
        expected = (instance.n_decisions, instance.n_slices)
        if shares.shape != expected or shares.dtype.kind != "f":
            raise InfeasibleError(
                f"{name}: shares of shape {shares.shape}, dtype {shares.dtype}; expected {expected} floats"
            )
        shares = shares.astype(np.float64)
        broken = ~(shares >= 0).all(1) | ~(shares.sum(1) <= 1 + TOLERANCE)  # NaN compares false
        if broken.any():
            t = int(np.argmax(broken))
            raise InfeasibleError(
                f"{name}: shares {shares[t].tolist()} of decision {t}; expected each at least 0 and at most 1 together"
            )

    def cost(self, instance: SlicingInstance, solution: Any) -> float:
        """Sum of the rewards of the decisions.

        ``reward="throughput"``: bits delivered, divided by band, duration and the reference efficiency.
        ``reward="utility"``: sum over slices of weight x share on time, plus 0.01 x spectral efficiency (bits/s/Hz). The
        share on time is that of the packets that were served, dropped or are overdue; 1 where there are none.
        """
        return float(sum(simulate(instance, solution).rewards(instance)))

    def costs(self, instance: SlicingInstance, solution: Any) -> F64:
        """(T, 2 S) costs of the decisions that long-run constraints bound: see :meth:`SlicingCounts.costs`.

        Their names are :func:`optgap.co.problems.slicing_traffic.cost_names`.
        """
        return simulate(instance, solution).costs(instance.deadline)


SLICING = Slicing()
