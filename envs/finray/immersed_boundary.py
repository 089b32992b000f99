"""Bodies in a lattice-Boltzmann flow: points on their surface force the fluid to move with them.

Direct forcing: the force is what takes the fluid, as it streams in, to the velocity of the points. Interpolation and
spreading share one smoothed delta function. Sources: Uhlmann, J. Comput. Phys. 209 (2005) 448 (direct forcing by points);
Kang & Hassan, Int. J. Numer. Meth. Fluids 66 (2011) 1132 (in lattice Boltzmann); Roma, Peskin & Berger, J. Comput. Phys.
153 (1999) 509 (the delta function over three cells).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.finray.lattice_boltzmann import (
    F32,
    F64,
    I64,
    Flow,
    close_sides,
    collide_and_stream,
    collide_with_force,
    moments,
)

# Force by slip, for each cell of surface, and what is kept of the last step's force. The fluid's velocity is the mean of
# those before and after the force (Guo). For it to have no slip, a force that is uniform along the body must be 4 x the slip
# before it, since spreading and interpolating halve it (the sum of the delta function's squares is 1/2). Done at once, this
# swings the fluid from one side to the other in every step: harmless around a body at rest, unstable around a light moving
# one. 2 x the slip and half of the last force are the same for slow forces, and a third of it for that swing.
GAIN, KEPT = 2.0, 0.5

# The forces reach beyond the surface, so that a body acts like a larger one. Points this far inside of it, cells, make up
# for that (Breugem, J. Comput. Phys. 231 (2012) 4469, for the same delta function).
RETRACTION = 0.3


class Markers(NamedTuple):
    """Points of a body in a flow, lattice units, and the cells that they touch."""

    place: F64  # (M, 2) in cells, as in Flow
    velocity: F64  # (M, 2) cells a step
    length: F64  # (M,) of the surface that each stands for, cells
    force: F64  # (M, 2) of the body on the fluid in the last step (not per length)
    weight: F64  # (M, 9) of the cells around
    near: I64  # (M, 9) those cells' places in ``cell``
    cell: I64  # (9 M, 2) x and y of the cells touched
    rho: F64  # (9 M,) their density
    momentum: F64  # (9 M, 2) before the force
    push: F64  # (9 M, 2) the force on them
    slot: NDArray[np.int32]  # (height + 2, width + 2) place in ``cell``, -1 of cells not touched


def markers(flow: Flow, place: F64, length: F64) -> Markers:
    """Points at rest at ``place`` (M, 2), each for ``length`` (M,) of the surface, cells.

    Raises:
        InputError: a point outside of the flow or within two cells of its sides, or points over 1.5 cells apart.
    """
    count = len(place)
    if length.max() > 1.5:
        raise InputError(
            f"points stand for up to {length.max():.3g} cells each; expected at most 1.5: fluid leaks through"
        )
    height, width = flow.lattice.height, flow.lattice.width
    for x, y in place:
        if not (3 <= x <= width - 2 and 3 <= y <= height - 2):
            raise InputError(
                f"point of a body at ({x:.4g}, {y:.4g}); expected two cells inside of a flow of {width} x {height}"
            )
    return Markers(
        place=np.array(place, np.float64),
        velocity=np.zeros((count, 2)),
        length=np.array(length, np.float64),
        force=np.zeros((count, 2)),
        weight=np.zeros((count, 9)),
        near=np.zeros((count, 9), np.int64),
        cell=np.zeros((9 * count, 2), np.int64),
        rho=np.zeros(9 * count),
        momentum=np.zeros((9 * count, 2)),
        push=np.zeros((9 * count, 2)),
        slot=np.full((height + 2, width + 2), -1, np.int32),
    )


def circle(flow: Flow, center: tuple[float, float], diameter: float) -> Markers:
    """Points at most a cell apart in a circle at rest, :data:`RETRACTION` inside of it; cells."""
    diameter -= 2 * RETRACTION
    count = math.ceil(math.pi * diameter)
    phase = 2 * math.pi * np.arange(count) / count
    place = np.array(center) + diameter / 2 * np.stack([np.cos(phase), np.sin(phase)], 1)
    return markers(flow, place, np.full(count, math.pi * diameter / count))


def advance_fixed(flow: Flow, body: Markers, steps: int) -> F64:
    """So many steps of a flow around a body at rest; returns the force of the fluid on it after each, (steps, 2)."""
    found = np.zeros((steps, 2))
    even, odd = flow.lattice.rates
    _advance_fixed(flow.populations, flow.now, flow.rows, even, odd, flow.lattice.outlet, body, found)
    flow.now = (flow.now + steps) % 2
    return found


@njit(cache=True, **INLINED)
def delta(distance: float) -> float:
    """The smoothed delta function of Roma, Peskin & Berger (1999), eq. 22: of unit sum over the cells, at most 3."""
    r = abs(distance)
    if r <= 0.5:
        return (1.0 + math.sqrt(1.0 - 3.0 * r * r)) / 3.0
    if r < 1.5:
        return (5.0 - 3.0 * r - math.sqrt(max(0.0, 1.0 - 3.0 * (1.0 - r) * (1.0 - r)))) / 6.0
    return 0.0


@njit(cache=True, **KERNEL)
def locate(body: Markers) -> int:
    """Find the cells around the points and their weights; returns their number, -1 if a point is too near to a side."""
    height, width = body.slot.shape[0] - 2, body.slot.shape[1] - 2
    count = 0
    for k in range(len(body.place)):
        x, y = body.place[k, 0], body.place[k, 1]
        if not (3.0 <= x <= width - 2.0 and 3.0 <= y <= height - 2.0):  # NaN compares false
            release(body, count)
            return -1
        left, low = int(x + 0.5) - 1, int(y + 0.5) - 1
        for a in range(9):
            i, j = left + a % 3, low + a // 3
            body.weight[k, a] = delta(x - i) * delta(y - j)
            if body.slot[j, i] < 0:
                body.slot[j, i] = count
                body.cell[count, 0], body.cell[count, 1] = i, j
                count += 1
            body.near[k, a] = body.slot[j, i]
    return count


@njit(cache=True, **KERNEL)
def release(body: Markers, count: int) -> None:
    """Forget the ``count`` cells of :func:`locate`."""
    for c in range(count):
        body.slot[body.cell[c, 1], body.cell[c, 0]] = -1


@njit(cache=True, **KERNEL)
def find_force(source: F32, body: Markers, count: int) -> None:
    """Fill ``force`` and ``push`` such that the fluid will move with the points."""
    for c in range(count):
        rho, jx, jy = moments(source, body.cell[c, 0], body.cell[c, 1])
        body.rho[c], body.momentum[c, 0], body.momentum[c, 1] = rho, jx, jy
        body.push[c, 0] = body.push[c, 1] = 0.0
    for k in range(len(body.place)):
        ux = uy = 0.0
        for a in range(9):
            c, w = body.near[k, a], body.weight[k, a]
            ux += w * body.momentum[c, 0] / body.rho[c]
            uy += w * body.momentum[c, 1] / body.rho[c]
        fx = KEPT * body.force[k, 0] + GAIN * body.length[k] * (body.velocity[k, 0] - ux)
        fy = KEPT * body.force[k, 1] + GAIN * body.length[k] * (body.velocity[k, 1] - uy)
        body.force[k, 0], body.force[k, 1] = fx, fy
        for a in range(9):
            c, w = body.near[k, a], body.weight[k, a]
            body.push[c, 0] += w * fx
            body.push[c, 1] += w * fy


@njit(cache=True, **KERNEL)
def advance_around(source: F32, target: F32, rows: F32, even: float, odd: float, outlet: int, body: Markers) -> bool:
    """One step of a flow around a body whose ``place`` and ``velocity`` are set; fills its ``force``.

    Returns:
        False, with nothing done, if a point is too near to a side (or not a number).
    """
    count = locate(body)
    if count < 0:
        return False
    find_force(source, body, count)
    collide_and_stream(source, target, rows, even, odd, outlet)
    for c in range(count):
        rho, fx, fy = body.rho[c], body.push[c, 0], body.push[c, 1]
        ux, uy = (body.momentum[c, 0] + 0.5 * fx) / rho, (body.momentum[c, 1] + 0.5 * fy) / rho
        collide_with_force(source, target, body.cell[c, 0], body.cell[c, 1], rho, ux, uy, fx, fy, even, odd)
    close_sides(target, outlet == 0)
    release(body, count)
    return True


@njit(cache=True, **KERNEL)
def _advance_fixed(
    populations: F32, now: int, rows: F32, even: float, odd: float, outlet: int, body: Markers, found: F64
) -> None:
    for step in range(len(found)):
        source, target = populations[(now + step) % 2], populations[(now + step + 1) % 2]
        advance_around(source, target, rows, even, odd, outlet, body)
        for k in range(len(body.force)):
            found[step, 0] -= body.force[k, 0]
            found[step, 1] -= body.force[k, 1]
