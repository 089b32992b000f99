"""Actuations of the fin ray, and what it did under them in the high fidelity: what the surrogate is fitted to.

An actuation is a series of demanded moments, shares of max_moment, one a control step, drawn from its own seed.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.formats.files import write_whole
from optgap.envs.finray.batch import PLACES, Start
from optgap.envs.finray.config import CONTROL_STEP, FinRayConfig

F64 = NDArray[np.float64]

STEPS = 200
COUNTS = {  # of a family: fitted to, held out
    "sinusoid": (8, 4),
    "two-tone": (5, 3),
    "random": (5, 2),
    "steps": (4, 2),
    "square": (4, 2),
    "bang-bang": (4, 2),
}


class Actuation(NamedTuple):
    """What is demanded of the base's moment."""

    family: str
    seed: int
    held_out: bool
    demand: NDArray[np.float32]  # (STEPS,) in -1..1

    @property
    def name(self) -> str:
        return f"{self.family}-{self.seed}"


@dataclasses.dataclass(frozen=True)
class Recording:
    """N actuations and what came of them; T control steps, forces and works of each of them as the environment has them."""

    family: NDArray[np.str_]  # (N,)
    seed: NDArray[np.int64]  # (N,)
    held_out: NDArray[np.bool_]  # (N,)
    demand: NDArray[np.float32]  # (N, T) shares of max_moment
    thrust: NDArray[np.float32]  # (N, T)
    lateral: NDArray[np.float32]  # (N, T)
    work: NDArray[np.float32]  # (N, T) of the moment
    angle: NDArray[np.float32]  # (N, T, 5) rad, at the ends of the steps, at the arc lengths PLACES
    tip: NDArray[np.float32]  # (N, T, 2) where it is, at the ends of the steps
    setting: str  # json of what it depends on

    def select(self, which: NDArray[np.bool_]) -> Recording:
        """Some of the actuations."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Recording(**{name: value if name == "setting" else value[which] for name, value in values.items()})


def draw_actuations(seed: int) -> list[Actuation]:
    """The actuations of all families, each from a seed of its own; the last ones of a family are held out."""
    found = []
    for number, (family, (fitted, held_out)) in enumerate(COUNTS.items()):
        for k in range(fitted + held_out):
            own = 10_000 * seed + 100 * number + k
            wave = FAMILIES[family](np.random.default_rng(own))
            found.append(Actuation(family, own, k >= fitted, np.clip(wave, -1, 1).astype(np.float32)))
    return found


def times() -> F64:
    """(STEPS,) of the control steps' ends."""
    return np.arange(1, STEPS + 1, dtype=np.float64) * CONTROL_STEP


def sinusoid(rng: np.random.Generator) -> F64:
    """Amplitude 0.2 to 1, frequency 0.2 to 2.5, bias up to 0.4."""
    phase = 2 * np.pi * (rng.uniform(0.2, 2.5) * times() + rng.uniform())
    wave: F64 = rng.uniform(0.2, 1.0) * np.sin(phase) + rng.choice([0.0, rng.uniform(-0.4, 0.4)])
    return wave


def two_tone(rng: np.random.Generator) -> F64:
    """Two sinusoids of independent frequencies."""
    frequency, phase, amplitude = rng.uniform(0.2, 2.5, (2, 1)), rng.uniform(size=(2, 1)), rng.uniform(0.2, 0.8, 2)
    wave: F64 = amplitude @ np.sin(2 * np.pi * (frequency * times() + phase))
    return wave


def random(rng: np.random.Generator) -> F64:
    """Noise, its band up to a frequency of 0.5 to 3, its rms 0.2 to 0.8."""
    frequency = np.arange(1, 61) / 15.0  # of a longer series: it does not come back
    band = frequency < rng.uniform(0.5, 3.0)
    phase = 2 * np.pi * (frequency[band, None] * times() + rng.uniform(size=(band.sum(), 1)))
    wave: F64 = rng.uniform(0.2, 0.8) * np.sqrt(2 / band.sum()) * rng.normal(size=band.sum()) @ np.sin(phase)
    return wave


def steps(rng: np.random.Generator) -> F64:
    """Levels held for 0.5 to 3 time units."""
    return held(rng, 0.5, 3.0, lambda k: rng.uniform(-1, 1))


def square(rng: np.random.Generator) -> F64:
    """Of frequency 0.3 to 1.8; the limit of the rate rounds it."""
    amplitude = rng.uniform(0.4, 1.0)
    wave: F64 = amplitude * np.sign(np.sin(2 * np.pi * (rng.uniform(0.3, 1.8) * times() + rng.uniform())))
    return wave


def bang_bang(rng: np.random.Generator) -> F64:
    """From one limit to the other, at random times 0.15 to 1.2 apart."""
    first = rng.choice([-1, 1])
    return held(rng, 0.15, 1.2, lambda k: float(first * (-1) ** k))


def held(rng: np.random.Generator, shortest: float, longest: float, level: Callable[[int], float]) -> F64:
    """Levels, each for a random time."""
    wave, k, begin = np.zeros(STEPS), 0, 0
    while begin < STEPS:
        end = begin + max(round(rng.uniform(shortest, longest) / CONTROL_STEP), 1)
        wave[begin:end] = level(k)
        begin, k = end, k + 1
    return wave


FAMILIES: dict[str, Callable[[np.random.Generator], F64]] = {
    "sinusoid": sinusoid,
    "two-tone": two_tone,
    "random": random,
    "steps": steps,
    "square": square,
    "bang-bang": bang_bang,
}


def setting() -> str:
    """What a recording depends on, as json: the default ray and its limits, and the grid of the flow."""
    from optgap.envs.finray.high_fidelity import HighFidelityConfig

    env, flow = FinRayConfig(), HighFidelityConfig()
    names = ("max_moment", "max_rate", "mass", "stiffness", "base_stiffness", "base_damping", "bending_damping")
    return json.dumps({name: getattr(env, name) for name in names} | {"cells": flow.cells, "reynolds": flow.reynolds})


def record(actuations: Sequence[Actuation]) -> Iterator[Recording]:
    """Play the actuations one after the other in the high fidelity, each from rest, straight.

    Raises:
        InputError: an episode that does not last.
    """
    batch = dataclasses.replace(FinRayConfig(), fidelity="high", steps=STEPS).batch(1)
    motion = batch.rays.motion
    middles = (np.arange(motion.angle.shape[1]) + 0.5) / motion.angle.shape[1]
    for actuation in actuations:
        batch.put(0, Start("straight", np.zeros(2)))
        batch.restart(np.ones(1, np.bool_))
        rows, angles = np.zeros((3, STEPS), np.float32), np.zeros((STEPS, len(PLACES)), np.float32)
        for step in range(STEPS):
            batch.step(actuation.demand[None, step, None].astype(np.float64), np.zeros(1, np.bool_))
            if motion.diverged[0]:
                raise InputError(f"{actuation.name}: step {step}: {batch.rays.reason(0)}")
            rows[:, step] = motion.thrust[0], motion.lateral[0], motion.work[0]
            angles[step] = np.interp(PLACES, middles, motion.angle[0])
        yield Recording(
            family=np.array([actuation.family]),
            seed=np.array([actuation.seed]),
            held_out=np.array([actuation.held_out]),
            demand=actuation.demand[None],
            thrust=rows[0, None],
            lateral=rows[1, None],
            work=rows[2, None],
            angle=angles[None],
            tip=batch.tips[:, 1:].astype(np.float32),
            setting=setting(),
        )


def joined(parts: Sequence[Recording]) -> Recording:
    """One recording of several."""
    names = [field.name for field in dataclasses.fields(Recording) if field.name != "setting"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Recording(**columns, setting=parts[0].setting)


def save(path: Path, recording: Recording) -> None:
    """Write a compressed npz, whole or not at all."""
    values: dict[str, Any] = {
        field.name: np.asarray(getattr(recording, field.name)) for field in dataclasses.fields(Recording)
    }
    write_whole(path, lambda stream: np.savez_compressed(stream, **values))


def load(path: Path) -> Recording:
    """Read what :func:`save` wrote.

    Raises:
        InputError: it is no such file, holds numbers that are not finite, or another ray or grid.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            values = {field.name: found[field.name] for field in dataclasses.fields(Recording)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no recording of the fin ray: {error}") from None
    values["setting"] = str(values["setting"])
    recording = Recording(**values)
    numbers = (recording.demand, recording.thrust, recording.lateral, recording.work, recording.angle, recording.tip)
    if not all(np.isfinite(series).all() for series in numbers):
        raise InputError(f"{path}: holds numbers that are not finite; remove it to record it anew")
    if recording.setting != setting():
        raise InputError(f"{path}: was recorded with {recording.setting}; expected {setting()}")
    return recording
