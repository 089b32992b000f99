"""Random cells and traces for network slicing: positions, channels and arrivals from one generator of random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numba import njit

from optgap.co.core import InputError
from optgap.co.problems.slicing import F64, I64, REWARDS, SlicingInstance
from optgap.co.problems.slicing_traffic import LAWS, TRAFFIC, Law, traffic_of

RADIUS = 40.0  # m, of the cell
NEAREST = 1.0  # m: users stand no closer to the station
POWER = 46.0  # dBm (16 dBW), spread evenly over the band
NOISE = -174.0  # dBm/Hz
SHADOWING = 8.0  # dB, standard deviation
BLOCK_HERTZ, SLOT_SECONDS = 180e3, 0.5e-3
VARIATIONS = ("constant", "sinusoid", "regime")
PERIOD = 40  # decisions of a sinusoid; mean length of a regime is half of it
LARGEST = 10_000_000  # decisions x users, decisions x slots
WARM_UP = 9.0  # mean gaps before the start at which the users' arrival processes began

UNIFORM, PARETO, EXPONENTIAL, CONSTANT, STEPS = range(len(LAWS))


@njit(cache=True, error_model="numpy", forceinline=True)
def _value(u: float, kind: int, a: float, b: float, c: float) -> float:
    """A number of the law ``kind`` with parameters a, b, c, for ``u`` uniform in (0, 1]."""
    if kind == CONSTANT:
        return a
    if kind == UNIFORM:
        return b - u * (b - a)
    if kind == PARETO:
        return min(b * u ** (-1.0 / a), c)  # type: ignore[no-any-return]
    if kind == EXPONENTIAL:
        return -math.log(u) * a
    return a + math.floor((1.0 - u) * c) * (b - a) / (c - 1.0)


@njit(cache=True, error_model="numpy")
def _fill(
    rng: np.random.Generator,
    now: float,
    clock: F64,
    kinds: I64,
    parameters: F64,
    decision_slots: int,
    slot: I64,
    bits: I64,
    count: int,
) -> tuple[int, float]:
    """Write a user's packets after ``now`` (ms of ``clock``, (T + 1,)) behind the first ``count``, as long as there is room.

    Returns the count, and when the last one came: beyond the clock where they are complete.
    """
    steps, t = len(clock) - 1, 0
    gap_kind, gap_a, gap_b, gap_c = kinds[0], parameters[0, 0], parameters[0, 1], parameters[0, 2]
    size_kind, size_a, size_b, size_c = kinds[1], parameters[1, 0], parameters[1, 1], parameters[1, 2]
    while count < len(slot):
        now += _value(1.0 - rng.random(), gap_kind, gap_a, gap_b, gap_c)
        if now < 0.0:
            continue
        while t < steps and now >= clock[t + 1]:
            t += 1
        if t == steps:
            break
        part = (now - clock[t]) / (clock[t + 1] - clock[t])
        slot[count] = t * decision_slots + min(int(part * decision_slots), decision_slots - 1)
        bits[count] = max(1, int(8.0 * _value(1.0 - rng.random(), size_kind, size_a, size_b, size_c) + 0.5))
        count += 1
    return count, now


@njit(cache=True, error_model="numpy")
def draw_packets(
    rng: np.random.Generator,
    clock: F64,
    user_slice: I64,
    kinds: I64,
    parameters: F64,
    mean_gap: F64,
    decision_slots: int,
) -> tuple[I64, I64, I64]:
    """Slot, user and bits of the packets of all users, (P,) each, ascending by slot, then user.

    Each user's arrivals are a renewal process on a clock of its slice that runs faster while the load is higher.

    Args:
        clock: (S, T + 1) ms, what the slice's clock shows at the start of each decision and at the end; from 0, rising.
        kinds, parameters: (S, 2) and (S, 2, 3), of the laws of gaps (ms) and sizes (bytes).
        mean_gap: (S,) ms.
    """
    n_users, steps = len(user_slice), clock.shape[1] - 1
    expected = 0.0
    for u in range(n_users):
        expected += clock[user_slice[u], steps] / mean_gap[user_slice[u]]
    room = int(1.1 * expected) + 1000
    slot, bits, ends = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(n_users, np.int64)
    count = 0
    for u in range(n_users):
        s = user_slice[u]
        now = -(WARM_UP + rng.random()) * mean_gap[s]
        while True:
            count, now = _fill(rng, now, clock[s], kinds[s], parameters[s], decision_slots, slot, bits, count)
            if now >= clock[s, steps]:
                break
            slot, bits = np.append(slot, slot), np.append(bits, bits)
        ends[u] = count
    return _by_slot(slot, bits, ends, steps * decision_slots)


@njit(cache=True, error_model="numpy")
def _by_slot(slot: I64, bits: I64, ends: I64, n_slots: int) -> tuple[I64, I64, I64]:
    """Packets of user after user, the last of each before ``ends`` (U,), in the order of their slots: a counting sort."""
    count = ends[-1]
    starts = np.zeros(n_slots + 1, np.int64)
    for k in range(count):
        starts[slot[k] + 1] += 1
    for k in range(1, n_slots + 1):
        starts[k] += starts[k - 1]
    by_slot, by_user, by_bits = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    u = 0
    for k in range(count):
        while k >= ends[u]:
            u += 1
        at = starts[slot[k]]
        starts[slot[k]] += 1
        by_slot[at], by_user[at], by_bits[at] = slot[k], u, bits[k]
    return by_slot, by_user, by_bits


@njit(cache=True, error_model="numpy")
def draw_rates(rng: np.random.Generator, snr: F64, steps: int, block_bits: float) -> I64:
    """(T, U) bits a block and slot: Shannon's with Rayleigh fading around ``snr`` (U,), anew each decision."""
    rate = np.empty((steps, len(snr)), np.int64)
    for t in range(steps):
        for u in range(len(snr)):
            fading = -math.log(1.0 - rng.random())
            rate[t, u] = int(block_bits * math.log2(1.0 + snr[u] * fading))
    return rate


@dataclass
class Cell:
    """Arguments of a random instance; documented with ``optgap/NetworkSlicing-v0``."""

    slices: Any = ("voip", "video", "urllc")
    users: int = 100
    mix: Any = None
    bandwidth: float = 10e6
    load: Any = None
    variation: str = "sinusoid"
    amplitude: float = 0.5
    decisions: int = 100
    decision_slots: int = 100
    queue: int = 5
    reward: str = "throughput"

    def __post_init__(self) -> None:
        self.slices = (self.slices,) if isinstance(self.slices, str) else tuple(self.slices)
        traffic_of(self.slices)
        for name in ("users", "decisions", "decision_slots", "queue"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or not 1 <= int(value) <= LARGEST:
                raise InputError(f"{name} is {value!r}; expected a whole number, at least 1")
        if self.users < len(self.slices):
            raise InputError(f"users is {self.users}; expected at least one for each of {len(self.slices)} slices")
        if self.decisions * max(self.users, self.decision_slots) > LARGEST:
            raise InputError(
                f"{self.decisions} decisions of {self.decision_slots} slots, {self.users} users; expected products up to {LARGEST}"
            )
        _number("bandwidth", self.bandwidth, 1e-3, 1e12, "Hz above 0")
        _number("amplitude", self.amplitude, 0.0, 1.0, "a number from 0 to 1")
        if not sum(self._parts()) > 0:
            raise InputError(f"mix is {self.mix}; expected a part above 0")
        self._loads()
        for name, known in (("variation", VARIATIONS), ("reward", REWARDS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected of {', '.join(known)}")

    def _of_each(self, name: str, value: Any) -> tuple[float, ...]:
        several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        values = tuple(value) if several else (value,) * len(self.slices)
        if len(values) != len(self.slices):
            raise InputError(f"{name} is {value!r}; expected one number, or {len(self.slices)}, one a slice")
        for item in values:
            _number(name, item, 0.0, 1e4, "numbers from 0 to 10000")
        return tuple(float(item) for item in values)

    def _parts(self) -> tuple[float, ...]:
        return self._of_each("mix", [t.users for t in traffic_of(self.slices)] if self.mix is None else self.mix)

    def _loads(self) -> tuple[float, ...]:
        return self._of_each("load", [t.load for t in traffic_of(self.slices)] if self.load is None else self.load)

    def users_of_slices(self) -> I64:
        """(S,) users of each slice: ``users`` in the proportions of ``mix``, at least one each."""
        parts = self._parts()
        exact = self.users * np.array(parts) / sum(parts)
        counts = np.maximum(np.floor(exact), 1.0)
        while counts.sum() != self.users:
            missing = counts.sum() < self.users
            at = np.argmax(exact - counts) if missing else np.argmax(np.where(counts > 1, counts - exact, -np.inf))
            counts[at] += 1 if missing else -1
        return counts.astype(np.int64)

    def factors(self, rng: np.random.Generator) -> F64:
        """(S, T) factors of the slices' arrival intensities, each of mean 1 in the long run."""
        shape, t = (len(self.slices), self.decisions), np.arange(self.decisions)
        if self.variation == "sinusoid":
            phase = rng.random((shape[0], 1))
            return 1.0 + self.amplitude * np.sin(2 * np.pi * (t / PERIOD + phase))
        if self.variation == "regime":
            change = rng.random(shape) < 2 / PERIOD
            change[:, 0] = True
            level = 1.0 + self.amplitude * rng.choice([-1.0, 1.0], shape)
            return np.take_along_axis(level, np.maximum.accumulate(np.where(change, t, 0), axis=1), axis=1)
        return np.ones(shape)

    def draw(self, rng: np.random.Generator, name: str | None = None) -> SlicingInstance:
        """The instance; the same for the same arguments and state of ``rng``."""
        traffic, counts = traffic_of(self.slices), self.users_of_slices()
        user_slice = np.repeat(np.arange(len(traffic)), counts)
        distance = np.maximum(RADIUS * np.sqrt(rng.random(self.users)), NEAREST)
        loss = 145.4 + 37.5 * np.log10(distance / 1000) + SHADOWING * rng.standard_normal(self.users)
        snr = 10 ** ((POWER - loss - NOISE - 10 * math.log10(self.bandwidth)) / 10)
        rate = draw_rates(rng, snr, self.decisions, BLOCK_HERTZ * SLOT_SECONDS)
        step = self.factors(rng) * np.array(self._loads())[:, None] * (self.decision_slots * SLOT_SECONDS * 1e3)
        clock = np.concatenate([np.zeros((len(traffic), 1)), np.cumsum(step, axis=1)], axis=1)
        laws = [(t.gap, t.size) for t in traffic]
        kinds = np.array([[LAWS.index(law.kind) for law in pair] for pair in laws])
        parameters = np.array([[_padded(law) for law in pair] for pair in laws])
        mean_gap = np.array([t.gap.mean() for t in traffic])
        slot, user, bits = draw_packets(rng, clock, user_slice, kinds, parameters, mean_gap, int(self.decision_slots))
        return SlicingInstance(
            name=name or f"slicing-{self.users}",
            rate=rate,
            user_slice=user_slice,
            packet_slot=slot,
            packet_user=user,
            packet_bits=bits,
            slices=self.slices,
            deadline=np.array([t.deadline for t in traffic]) / (1e3 * SLOT_SECONDS),
            weight=np.array([t.weight for t in traffic]),
            blocks=self.bandwidth / BLOCK_HERTZ,
            decision_slots=int(self.decision_slots),
            queue=int(self.queue),
            block_hertz=BLOCK_HERTZ,
            slot_seconds=SLOT_SECONDS,
            reward=self.reward,
        )

    def offered_load(self) -> F64:
        """(S,) mean bits per second that the users of each slice ask for."""
        rate = np.array([TRAFFIC[name].bits_per_second() for name in self.slices])
        return np.asarray(rate * self.users_of_slices() * np.array(self._loads()))


def _padded(law: Law) -> tuple[float, ...]:
    return (*law.parameters, 0.0, 0.0, 0.0)[:3]


def _number(name: str, value: Any, least: float, most: float, expected: str) -> None:
    if (
        not isinstance(value, Real) or isinstance(value, bool) or not least <= float(value) <= most
    ):  # NaN compares false
        raise InputError(f"{name} is {value!r}; expected {expected}")
