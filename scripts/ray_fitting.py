"""Fitting the coefficients of the fin ray's surrogate to recordings of the high fidelity, and how far it is off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optgap.envs.finray.batch import PLACES
from optgap.envs.finray.coefficients import FluidCoefficients
from optgap.envs.finray.config import CONTROL_STEP, FinRayConfig
from optgap.envs.finray.surrogate import Surrogate
from ray_actuations import COUNTS, Recording

F64 = NDArray[np.float64]
Series = dict[str, F64]  # "thrust", "lateral", "work": (N, T); "angle": (N, T, 5); "tip": (N, T), its distance

# least, first and largest value of what is fitted; pairs have an index
BOUNDS: dict[str, tuple[float, float, float]] = {
    "added_mass": (0.8, 0.95, 1.2),
    "layer_mass": (0.0, 0.05, 0.2),
    "circulation": (0.5, 0.9, 1.2),
    "stall": (0.0, 0.5, 2.0),
    "stall_rate": (0.2, 3.0, 20.0),
    "suction": (0.0, 0.9, 1.0),
    "normal_drag": (0.0, 5.0, 10.0),
    "tangential_drag": (0.05, 0.15, 0.5),
    "crossflow_drag": (0.0, 1.5, 5.0),
    "lag_shares.0": (0.0, 0.3, 0.5),
    "lag_shares.1": (0.0, 0.2, 0.5),
    "lag_rates.0": (0.05, 0.3, 1.0),
    "lag_rates.1": (1.0, 5.0, 20.0),
}
FLOOR = 0.3  # least scale of a series, by that of all actuations: a weak actuation's small errors count less
MEAN_WEIGHT = 2.0  # of an episode's mean thrust, the figure that objectives are made of
WEIGHTS = {"thrust": 1.0, "lateral": 1.0, "work": 0.5, "tip": 1.0}
DIVERGED = 10.0  # a residual of a ray that has

FIGURES = {
    "mean thrust": "of the episode's mean thrust, by the mean of the thrust's absolute value",
    "thrust": "rms of the error of the series over the rms of the series",
    "lateral": "the same, of the lateral force",
    "force": "mean distance of the force vectors over the mean length of the force vector",
    "power": "of the mean of the power put in where it is above 0",
    "tip": "of the tip's reach, the largest less the least distance from the axis",
}


def moments(recording: Recording) -> F64:
    """(N, T) moments at the ends of the control steps: what the limit of the rate leaves of the demand."""
    env = FinRayConfig()
    wanted, most = recording.demand.astype(np.float64) * env.max_moment, env.max_rate * CONTROL_STEP
    found, now = np.zeros(wanted.shape), np.zeros(len(wanted))
    for step in range(wanted.shape[1]):
        now = now + np.clip(wanted[:, step] - now, -most, most)
        found[:, step] = now
    return found


def simulate(coefficients: FluidCoefficients, moment: F64) -> Series:
    """What the surrogate does from rest under moments (N, T); a ray that diverges has no forces from then on."""
    copies, steps = moment.shape
    rays = Surrogate(copies, FinRayConfig().ray, control_step=CONTROL_STEP, coefficients=coefficients)
    motion, links = rays.motion, rays.motion.angle.shape[1]
    look = np.array([np.interp(PLACES, (np.arange(links) + 0.5) / links, row) for row in np.eye(links)])
    found = {name: np.zeros((copies, steps)) for name in WEIGHTS}
    found["angle"] = np.zeros((copies, steps, len(PLACES)))
    for step in range(steps):
        rays.advance(moment[:, step], motion.diverged.copy())
        for name in ("thrust", "lateral", "work"):
            found[name][:, step] = getattr(motion, name)
        found["angle"][:, step] = motion.angle @ look
        found["tip"][:, step] = np.sin(motion.angle).mean(1)
    return found


def series(recording: Recording) -> Series:
    """Of a recording, as :func:`simulate` gives them."""
    found = {name: getattr(recording, name).astype(np.float64) for name in ("thrust", "lateral", "work", "angle")}
    return found | {"tip": recording.tip[..., 1].astype(np.float64)}


def residuals(found: Series, wanted: Series) -> F64:
    """What the fit makes small: errors of each actuation's series by their rms, and of its mean thrust."""
    parts = []
    for name, weight in WEIGHTS.items():
        scale = np.maximum(rms(wanted[name]), FLOOR * np.sqrt((wanted[name] ** 2).mean()))
        parts.append(weight * (found[name] - wanted[name]) / (scale[:, None] * np.sqrt(wanted[name].shape[1])))
    mean = (found["thrust"] - wanted["thrust"]).mean(1) / np.abs(wanted["thrust"]).mean(1)
    parts.append(MEAN_WEIGHT * mean[:, None])
    values: F64 = np.clip(np.concatenate(parts, 1), -DIVERGED, DIVERGED).ravel()
    return values


def errors(found: Series, wanted: Series) -> Series:
    """Relative errors of each actuation, (N,), as ``FIGURES`` defines them."""
    power = [np.maximum(one["work"], 0).mean(1) for one in (found, wanted)]
    reach = [np.ptp(one["tip"], axis=1) for one in (found, wanted)]
    forces = [np.stack([one["thrust"], one["lateral"]]) for one in (found, wanted)]
    thrust = np.abs((found["thrust"] - wanted["thrust"]).mean(1)) / np.abs(wanted["thrust"]).mean(1)
    distance = np.hypot(*(forces[0] - forces[1])).mean(1) / np.hypot(*forces[1]).mean(1)
    return {
        "mean thrust": thrust,
        "thrust": rms(found["thrust"] - wanted["thrust"]) / rms(wanted["thrust"]),
        "lateral": rms(found["lateral"] - wanted["lateral"]) / rms(wanted["lateral"]),
        "force": distance,
        "power": np.abs(power[0] / power[1] - 1),
        "tip": np.abs(reach[0] / reach[1] - 1),
    }


def by_family(values: Series, family: NDArray[np.str_]) -> dict[str, dict[str, float]]:
    """Means over the actuations of each family, and over all."""
    found = {}
    for name in (*COUNTS, "all"):
        which = np.full(len(family), True) if name == "all" else family == name
        if which.any():
            found[name] = {figure: float(value[which].mean()) for figure, value in values.items()}
    return found


def rms(values: F64) -> F64:
    """Along the second axis."""
    return np.asarray(np.sqrt((values**2).mean(1)), np.float64)


def unpacked(vector: F64) -> FluidCoefficients:
    """Coefficients of the values of what ``BOUNDS`` names."""
    values = dataclasses.asdict(FluidCoefficients())
    for name, value in zip(BOUNDS, vector.tolist(), strict=True):
        key, _, index = name.partition(".")
        if index:
            values[key] = tuple(value if k == int(index) else old for k, old in enumerate(values[key]))
        else:
            values[key] = value
    return FluidCoefficients(**values)


def fit(recording: Recording, evaluations: int, tell: Callable[[int, float], None]) -> FluidCoefficients:
    """Least squares within ``BOUNDS`` (trust region reflective), robust against single actuations that are far off.

    Args:
        recording: all of it is fitted to.
        evaluations: about as many simulations at most.
        tell: is called after each simulation with their number and the least cost so far.
    """
    from scipy.optimize import least_squares  # type: ignore[import-untyped]

    moment, wanted = moments(recording), series(recording)
    low, first, high = np.array(list(BOUNDS.values())).T
    count, least = 0, np.inf

    def cost(share: F64) -> F64:
        nonlocal count, least
        value = residuals(simulate(unpacked(low + share * (high - low)), moment), wanted)
        count, least = count + 1, min(least, float(value @ value) / len(moment))
        tell(count, least)
        return value

    most = max(evaluations // (len(first) + 1), 1)
    begin = (first - low) / (high - low)
    found = least_squares(cost, begin, bounds=(0, 1), diff_step=1e-4, max_nfev=most)
    return unpacked(np.round(low + found.x * (high - low), 5))
