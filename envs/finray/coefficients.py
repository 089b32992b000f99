"""Coefficients of the surrogate's flow: what is fitted, and how the kernel takes it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.finray import thin_aerofoil

F64 = NDArray[np.float64]

SHIPPED = Path(__file__).with_name("surrogate.json")


@dataclass(frozen=True)
class FluidCoefficients:
    """What is fitted; all numbers are at least 0."""

    added_mass: float = 1.0  # by that of a thin plate
    layer_mass: float = 0.0  # per length, of the fluid that sticks to the ray
    circulation: float = 1.0  # by that of Kutta's condition
    stall: float = 0.0  # 1 by the largest circulation that lasts
    stall_rate: float = 1.0  # at which what is beyond it is lost
    suction: float = 1.0  # by that of potential flow
    normal_drag: float = 0.0  # C_n
    tangential_drag: float = 0.0  # C_t, both sides together
    crossflow_drag: float = 0.0  # C_x, tangential
    lag_shares: tuple[float, float] = thin_aerofoil.WAGNER_SHARES
    lag_rates: tuple[float, float] = thin_aerofoil.WAGNER_RATES

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            pair = name.startswith("lag")
            numbers = tuple(value) if pair and isinstance(value, list | tuple) else (value,)
            fine = all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers)
            if len(numbers) != 1 + pair or not fine or not all(0.0 <= x < math.inf for x in numbers):
                expected = "two numbers" if pair else "a number"
                raise InputError(f"fluid coefficient {name} is {value!r}; expected {expected} of at least 0")
            object.__setattr__(self, name, tuple(map(float, numbers)) if pair else float(value))

    @classmethod
    def load(cls, path: Path = SHIPPED) -> FluidCoefficients:
        """Those of a json file, under "coefficients".

        Raises:
            InputError: it cannot be read, lacks a coefficient or has an unknown one.
        """
        try:
            found = json.loads(path.read_text())["coefficients"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: no fluid coefficients: {error}") from None
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(found, dict) or sorted(found) != sorted(known):
            raise InputError(f"{path}: coefficients are {sorted(found)}; expected {', '.join(known)}")
        return cls(**found)


class Fluid(NamedTuple):
    """Coefficients and the theory's operators on n links, as the kernel takes them."""

    mass: F64  # (n, n) A
    kutta: F64  # (n,) k
    centred: F64  # (n,) c
    leading: F64  # (n,) d
    shares: F64  # (2,)
    decay: F64  # (2, 2) exp(-rate dt) and exp(-rate dt / 2) of each lag
    stall_decay: float
    stall: float
    suction: float
    normal_drag: float
    tangential_drag: float
    crossflow_drag: float


def make_fluid(coefficients: FluidCoefficients, links: int, dt: float) -> Fluid:
    """Coefficients and operators for ``links`` links and substeps of ``dt``."""
    rates = np.array(coefficients.lag_rates)
    return Fluid(
        coefficients.added_mass * thin_aerofoil.added_mass(links) + coefficients.layer_mass / links * np.eye(links),
        coefficients.circulation * thin_aerofoil.kutta(links),
        thin_aerofoil.centred(links),
        thin_aerofoil.leading(links),
        np.array(coefficients.lag_shares),
        np.exp(-np.stack([rates * dt, rates * dt / 2], 1)),
        math.exp(-coefficients.stall_rate * dt),
        coefficients.stall,
        coefficients.suction,
        coefficients.normal_drag,
        coefficients.tangential_drag,
        coefficients.crossflow_drag,
    )
