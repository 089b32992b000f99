"""A two-dimensional incompressible flow by the lattice-Boltzmann method, D2Q9 with two relaxation times, in numba.

Lattice units: cell size, time step and mean density are 1. The populations are stored less their values at rest, in
single precision: what is small beside 1 (the flow) is then not rounded off. Sources: two relaxation times, Ginzburg,
Verhaeghe & d'Humieres, Commun. Comput. Phys. 3 (2008) 427; body force, Guo, Zheng & Shi, Phys. Rev. E 65 (2002) 046308;
populations less their rest values, Skordos, Phys. Rev. E 48 (1993) 4823.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# Directions: 0 rests, the opposite of an odd q is q + 1.
EX = (0, 1, -1, 0, 0, 1, -1, 1, -1)
EY = (0, 0, 0, 1, -1, 1, -1, -1, 1)
WEIGHT = (4 / 9, 1 / 9, 1 / 9, 1 / 9, 1 / 9, 1 / 36, 1 / 36, 1 / 36, 1 / 36)

# Relaxation rate of the odd moments, free in theory. At the low viscosities of interest, rates of 1 or less are unstable:
# those of the "magic" products let a wave grow along the inlet, and 1 the strong vortices of a fast ray (tried: 0.25 to 1.8).
ODD_RATE = 1.6

# Share of the columns, on the right, at a relaxation time of 1, so at a viscosity of 1/6: strong vortices that leave would
# else make the outlet unstable.
OUTLET_SHARE = 0.1

VELOCITY_LIMIT = 0.12  # of the oncoming flow, cells a step: errors of compressibility grow with its square
VISCOSITY_LIMIT = 1 / 600  # cells^2 a step; a relaxation time of 0.505
CELL_REYNOLDS_LIMIT = 25.0  # velocity over viscosity, cells and steps
CELLS_LIMIT = 2**26  # of all flows at once: 4.5 GiB

# Contraction alone (a multiplication and an addition in one instruction) keeps infinities and NaN what they are.
SWEEP: dict[str, Any] = {**KERNEL, "fastmath": {"contract"}}
ROW: dict[str, Any] = {**SWEEP, "forceinline": True}


@dataclass(frozen=True)
class Lattice:
    """Size of a flow and its numbers, checked.

    Args:
        width, height: cells along and across the oncoming flow.
        velocity: of the oncoming flow (+x), cells a step, at most :data:`VELOCITY_LIMIT`.
        viscosity: kinematic, cells^2 a step, at least :data:`VISCOSITY_LIMIT`.
        periodic: all sides periodic, instead of a free stream around (see :class:`Flow`).

    Raises:
        InputError: a value beyond a limit, which would be unstable or wrong; the message names the limit.
    """

    width: int
    height: int
    velocity: float
    viscosity: float
    periodic: bool = False

    def __post_init__(self) -> None:
        if self.width < 8 or self.height < 8:
            raise InputError(f"lattice of {self.width} x {self.height} cells; expected at least 8 x 8")
        if self.width * self.height > CELLS_LIMIT:
            raise InputError(
                f"lattice of {self.width} x {self.height} cells; expected at most CELLS_LIMIT = {CELLS_LIMIT}"
            )
        if not 0 <= self.velocity <= VELOCITY_LIMIT:
            raise InputError(
                f"lattice velocity is {self.velocity:g}; expected 0 to VELOCITY_LIMIT = {VELOCITY_LIMIT:g}"
            )
        if not VISCOSITY_LIMIT <= self.viscosity <= 1.0:
            raise InputError(
                f"lattice viscosity is {self.viscosity:.3g} (relaxation time {self.relaxation_time:.4g}); expected"
                f" VISCOSITY_LIMIT = {VISCOSITY_LIMIT:.3g} to 1: more cells, a higher velocity or a lower Reynolds number"
            )
        if self.velocity / self.viscosity > CELL_REYNOLDS_LIMIT:
            raise InputError(
                f"Reynolds number of a cell is {self.velocity / self.viscosity:.3g}; expected at most"
                f" CELL_REYNOLDS_LIMIT = {CELL_REYNOLDS_LIMIT:g}: more cells, or a lower Reynolds number"
            )

    @property
    def relaxation_time(self) -> float:
        """Of the even moments, which set the viscosity; steps."""
        return 0.5 + 3 * self.viscosity

    @property
    def outlet(self) -> int:
        """Columns on the right that are at equilibrium in every step; none of a periodic flow."""
        return 0 if self.periodic else max(1, round(OUTLET_SHARE * self.width))

    @property
    def rates(self) -> tuple[float, float]:
        """Relaxation rates of even and odd moments, 1/step."""
        return 1 / self.relaxation_time, ODD_RATE


class Flow:
    """A flow and its populations.

    The free stream comes in through the left, upper and lower sides (their incoming populations are those of the
    uniform flow at equilibrium, so that fluid may also leave there, and sound is reflected by a quarter of its
    amplitude); on the right, incoming populations are those of the last column (no gradient).

    Attributes:
        populations: (2, 9, height + 2, width + 2) after collision, less those at rest; ``now`` says which of the two
            holds; a frame of ghost cells around. Cell (i, j) has its centre at x = i, y = j: 1 to width, 1 to height.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        shape = (lattice.height + 2, lattice.width + 2)
        self.populations: F32 = np.empty((2, 9, *shape), np.float32)
        self.rows: F32 = np.empty((4, lattice.width), np.float32)
        self.now = 0
        self.reset()

    def reset(self, velocity_x: Any = None, velocity_y: Any = 0.0) -> None:
        """Equilibrium at density 1 and the given velocity (by default the free stream), scalars or (height, width)."""
        shape = self.populations.shape[2:]
        ux, uy = np.full(shape, self.lattice.velocity), np.zeros(shape)
        if velocity_x is not None:
            ux[1:-1, 1:-1], uy[1:-1, 1:-1] = velocity_x, velocity_y
        for q in range(9):
            along = EX[q] * ux + EY[q] * uy
            self.populations[:, q] = WEIGHT[q] * (3 * along + 4.5 * along**2 - 1.5 * (ux**2 + uy**2))
        self.now = 0
        close_sides(self.populations[0], self.lattice.periodic)

    def advance(self, steps: int) -> None:
        """So many steps without a body."""
        even, odd = self.lattice.rates
        advance_free(self.populations, self.now, steps, self.rows, even, odd, self.lattice.outlet)
        self.now = (self.now + steps) % 2

    def fields(self) -> tuple[F64, F64, F64]:
        """Density, velocity along x and along y of the cells, (height, width) each, after collision."""
        f = self.populations[self.now, :, 1:-1, 1:-1].astype(np.float64)
        density = 1 + f.sum(0)
        return density, np.tensordot(EX, f, 1) / density, np.tensordot(EY, f, 1) / density

    def vorticity(self) -> F64:
        """Curl of the velocity, 1/step, (height, width), by central differences."""
        _, ux, uy = self.fields()
        return np.asarray(np.gradient(uy, axis=1) - np.gradient(ux, axis=0), np.float64)


def sound_steps(cells: float) -> float:
    """Steps that sound needs for so many cells."""
    return cells * math.sqrt(3)


# One row at a time, one result row a loop: LLVM then needs at most eight comparisons to know that rows do not overlap,
# and turns the loop into vector instructions. A loop over all directions at once stays scalar, at an eighth of the speed.


@njit(cache=True, **ROW)
def _sum_five(out: F32, a: F32, b: F32, c: F32, d: F32, e: F32) -> None:
    for i in range(len(out)):
        out[i] = a[i] + b[i] + c[i] + d[i] + e[i]


@njit(cache=True, **ROW)
def _difference(out: F32, a: F32, b: F32, c: F32, d: F32, e: F32, f: F32) -> None:
    for i in range(len(out)):
        out[i] = a[i] - b[i] + c[i] - d[i] + e[i] - f[i]


@njit(cache=True, **ROW)
def _velocities(rho: F32, ux: F32, uy: F32, square: F32) -> None:
    one, half3 = np.float32(1.0), np.float32(1.5)
    for i in range(len(rho)):
        inverse = one / (one + rho[i])
        x, y = ux[i] * inverse, uy[i] * inverse
        ux[i], uy[i] = x, y
        square[i] = rho[i] - half3 * (one + rho[i]) * (x * x + y * y)


@njit(cache=True, **ROW)
def _relax(
    out: F32,
    f: F32,
    opposite: F32,
    rho: F32,
    base: F32,
    ux: F32,
    uy: F32,
    cx: float,
    cy: float,
    weight: float,
    even: float,
    odd: float,
) -> None:
    """Collision along one direction; ``base`` is rho - 1.5 (1 + rho) u^2."""
    one = np.float32(1.0)
    # f - even (f+ - e+) - odd (f- - e-), gathered by what it multiplies
    keep, swap = np.float32(1 - 0.5 * (even + odd)), np.float32(0.5 * (odd - even))
    w, w3, w45 = np.float32(even * weight), np.float32(odd * weight * 3), np.float32(even * weight * 4.5)
    x, y = np.float32(cx), np.float32(cy)
    for i in range(len(out)):
        along = x * ux[i] + y * uy[i]
        mass = one + rho[i]
        out[i] = keep * f[i] + swap * opposite[i] + w * base[i] + mass * along * (w3 + w45 * along)


@njit(cache=True, **ROW)
def _relax_rest(out: F32, f: F32, base: F32, even: float) -> None:
    keep, w = np.float32(1 - even), np.float32(even * WEIGHT[0])
    for i in range(len(out)):
        out[i] = keep * f[i] + w * base[i]


@njit(cache=True, **SWEEP)
def _collide_row(source: F32, target: F32, rows: F32, y: int, a: int, b: int, even: float, odd: float) -> None:
    """Columns a + 1 to b of row y."""
    rho, ux, uy, base = rows[0, a:b], rows[1, a:b], rows[2, a:b], rows[3, a:b]
    f0 = source[0, y, a + 1 : b + 1]
    f1, f2 = source[1, y, a:b], source[2, y, a + 2 : b + 2]
    f3, f4 = source[3, y - 1, a + 1 : b + 1], source[4, y + 1, a + 1 : b + 1]
    f5, f6 = source[5, y - 1, a:b], source[6, y + 1, a + 2 : b + 2]
    f7, f8 = source[7, y + 1, a:b], source[8, y - 1, a + 2 : b + 2]
    _sum_five(base, f0, f1, f2, f3, f4)
    _sum_five(rho, base, f5, f6, f7, f8)
    _difference(ux, f1, f2, f5, f6, f7, f8)
    _difference(uy, f3, f4, f5, f6, f8, f7)
    _velocities(rho, ux, uy, base)
    _relax_rest(target[0, y, a + 1 : b + 1], f0, base, even)
    _relax(target[1, y, a + 1 : b + 1], f1, f2, rho, base, ux, uy, 1.0, 0.0, WEIGHT[1], even, odd)
    _relax(target[2, y, a + 1 : b + 1], f2, f1, rho, base, ux, uy, -1.0, 0.0, WEIGHT[1], even, odd)
    _relax(target[3, y, a + 1 : b + 1], f3, f4, rho, base, ux, uy, 0.0, 1.0, WEIGHT[1], even, odd)
    _relax(target[4, y, a + 1 : b + 1], f4, f3, rho, base, ux, uy, 0.0, -1.0, WEIGHT[1], even, odd)
    _relax(target[5, y, a + 1 : b + 1], f5, f6, rho, base, ux, uy, 1.0, 1.0, WEIGHT[5], even, odd)
    _relax(target[6, y, a + 1 : b + 1], f6, f5, rho, base, ux, uy, -1.0, -1.0, WEIGHT[5], even, odd)
    _relax(target[7, y, a + 1 : b + 1], f7, f8, rho, base, ux, uy, 1.0, -1.0, WEIGHT[5], even, odd)
    _relax(target[8, y, a + 1 : b + 1], f8, f7, rho, base, ux, uy, -1.0, 1.0, WEIGHT[5], even, odd)


@njit(cache=True, **SWEEP)
def collide_and_stream(source: F32, target: F32, rows: F32, even: float, odd: float, outlet: int) -> None:
    """One step without forces: the populations that stream into every inner cell collide there.

    Args:
        source, target: (9, height + 2, width + 2) before and after; ghosts of ``source`` hold what streams in.
        rows: (4, width) scratch.
        even, odd: relaxation rates.
        outlet: columns on the right that go to equilibrium in every step.
    """
    height, inner = source.shape[1] - 2, source.shape[2] - 2 - outlet
    for y in range(1, height + 1):
        _collide_row(source, target, rows, y, 0, inner, even, odd)
        if outlet > 0:
            _collide_row(source, target, rows, y, inner, inner + outlet, 1.0, 1.0)


@njit(cache=True, **KERNEL)
def close_sides(populations: F32, periodic: bool) -> None:
    """Fill the ghosts of (9, height + 2, width + 2) that change: the outlet, or all of a periodic flow."""
    height, width = populations.shape[1] - 2, populations.shape[2] - 2
    if periodic:
        for q in range(9):
            for y in range(1, height + 1):
                populations[q, y, 0] = populations[q, y, width]
                populations[q, y, width + 1] = populations[q, y, 1]
            for x in range(width + 2):
                populations[q, 0, x] = populations[q, height, x]
                populations[q, height + 1, x] = populations[q, 1, x]
    else:
        for y in range(1, height + 1):
            for q in (2, 6, 8):
                populations[q, y, width + 1] = populations[q, y, width]


@njit(cache=True, **KERNEL)
def advance_free(populations: F32, now: int, steps: int, rows: F32, even: float, odd: float, outlet: int) -> None:
    """So many steps of (2, 9, height + 2, width + 2) from buffer ``now``."""
    for step in range(steps):
        source, target = populations[(now + step) % 2], populations[(now + step + 1) % 2]
        collide_and_stream(source, target, rows, even, odd, outlet)
        close_sides(target, outlet == 0)


@njit(cache=True, **INLINED)
def moments(source: F32, x: int, y: int) -> tuple[float, float, float]:
    """Density and momentum of what streams into cell (x, y): before its collision, and before half of its force."""
    rho, jx, jy = 1.0, 0.0, 0.0
    for q in range(9):
        f = source[q, y - EY[q], x - EX[q]]
        rho += f
        jx += EX[q] * f
        jy += EY[q] * f
    return rho, jx, jy


@njit(cache=True, **INLINED)
def collide_with_force(
    source: F32,
    target: F32,
    x: int,
    y: int,
    rho: float,
    ux: float,
    uy: float,
    fx: float,
    fy: float,
    even: float,
    odd: float,
) -> None:
    """Collision of one cell under a force (density a step), Guo et al. 2002; (ux, uy) holds half of the force.

    Their source term is split into its even and odd part, each relaxed at its own rate.
    """
    work, speed = ux * fx + uy * fy, ux * ux + uy * uy
    for q in range(9):
        opposite = 0 if q == 0 else (q + 1 if q % 2 == 1 else q - 1)
        f = source[q, y - EY[q], x - EX[q]]
        g = source[opposite, y + EY[q], x + EX[q]]
        along, push = EX[q] * ux + EY[q] * uy, EX[q] * fx + EY[q] * fy
        equal_even = WEIGHT[q] * (rho - 1.0 + rho * (4.5 * along * along - 1.5 * speed))
        equal_odd = WEIGHT[q] * rho * 3.0 * along
        target[q, y, x] = (
            f
            - even * (0.5 * (f + g) - equal_even)
            - odd * (0.5 * (f - g) - equal_odd)
            + (1.0 - 0.5 * even) * WEIGHT[q] * (9.0 * along * push - 3.0 * work)
            + (1.0 - 0.5 * odd) * WEIGHT[q] * 3.0 * push
        )
