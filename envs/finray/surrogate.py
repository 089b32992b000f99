"""The surrogate of the fin ray's flow: forces on the links from a few states, thousands of times as fast as the flow.

Dimensionless as in :mod:`optgap.envs.finray.chain`. Link i has tangent t_i, normal n_i, and its mid point the velocities
relative to the oncoming stream w_i (of the link, along n_i) and u_i (of the stream, along t_i). On it act

- reaction: -dp_i/dt n_i, and the couple p_i u_i; p = A w, A the added mass of a thin plate and that of
  the layers that stick to it (which is local: short waves feel it more). They follow from Lagrange's
  equations of the fluid's kinetic energy w A w / 2 (Kirchhoff), but for the tangential p_i theta_i': pressure acts along
  normals, and what the edges of a plate add to it is the next but one point;
- circulation: -u_i (G c_i - (z_1 + z_2) d_i) n_i, G = k . w the circulation of Kutta's condition, c_i its share of the
  link, d_i the link's share in what the wake induces, z the parts of G that come late: dz/dt = -rate z + share dG/dt
  (Wagner's function). G stalls: it loses s, ds/dt = stall_rate (G - G / sqrt(1 + (stall G)^2) - s), so that a fast
  stroke has for a while the circulation that a slow one has not;
- suction at the leading edge along -t_0 (Kutta's condition leaves none at the trailing one): suction pi a^2,
  a = c . w + (G - k . w) / (2 pi) - (z_1 + z_2) / pi, saturated by 1 / (1 + (stall pi a)^2);
- drag: normal -C_n |w_i| w_i h / 2, tangential (C_t |u_i| + C_x |w_i|^1.5) u_i h / 2: a cross flow thins the boundary
  layer on one side and separates from the other (the exponent was chosen on the actuations that are fitted to).

With ``added_mass``, ``circulation`` and ``suction`` 1 and the other terms 0, small motions have the loads of the linear theory
of thin aerofoils (Theodorsen's, but for Jones' approximation of Wagner's function).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import INLINED, KERNEL
from optgap.envs.finray.chain import (
    Ray,
    Workspace,
    add_forces,
    check_ray,
    move,
    put_structure,
    solve_in_place,
    workspace,
)
from optgap.envs.finray.coefficients import Fluid, FluidCoefficients, make_fluid

F64 = NDArray[np.float64]

LINKS = 10
SUBSTEPS = 5  # of a control step
MAX_ANGLE = math.pi  # rad; a link that has turned so far is taken to have diverged
MAX_RATE = 200.0  # rad a time unit


class Motion(NamedTuple):
    """State of B copies; then what the last control step came to."""

    angle: F64  # (B, n) rad
    rate: F64  # (B, n)
    acceleration: F64  # (B, n) of the last substep
    moment: F64  # (B,) at the base
    circulation: F64  # (B,) G at the middle of the last substep
    late: F64  # (B, 2) z
    stalled: F64  # (B,) s
    thrust: F64  # (B,) mean over the control step of minus the fluid's force along x
    lateral: F64  # (B,) mean of the fluid's force along y
    work: F64  # (B,) of the moment
    diverged: NDArray[np.bool_]  # (B,); such a copy stays as it was before that step


def empty_motion(copies: int, links: int) -> Motion:
    """Rays at rest, straight."""
    return Motion(
        angle=np.zeros((copies, links)),
        rate=np.zeros((copies, links)),
        acceleration=np.zeros((copies, links)),
        moment=np.zeros(copies),
        circulation=np.zeros(copies),
        late=np.zeros((copies, 2)),
        stalled=np.zeros(copies),
        thrust=np.zeros(copies),
        lateral=np.zeros(copies),
        work=np.zeros(copies),
        diverged=np.zeros(copies, np.bool_),
    )


class Scratch(NamedTuple):
    """Of one copy's substep."""

    rate: F64  # (n,) at the middle
    w: F64  # (n,)
    u: F64  # (n,)
    bias: F64  # (n,) of dw/dt: what is not by the accelerations
    inert: F64  # (n,) of dp/dt: the same
    force: F64  # (n, 2)
    product: F64  # (n, n)
    saved: F64  # (3, n) angles, rates and accelerations before the control step


@njit(cache=True, **INLINED)
def relative_velocities(rate: F64, cos: F64, sin: F64, w: F64, u: F64) -> None:
    """Fill w and u (n,) of the links' mid points."""
    n = len(rate)
    vx = vy = 0.0
    for i in range(n):
        half = 0.5 * rate[i] / n
        vx -= half * sin[i]
        vy += half * cos[i]
        w[i] = cos[i] * vy - sin[i] * vx + sin[i]
        u[i] = cos[i] - cos[i] * vx - sin[i] * vy
        vx -= half * sin[i]
        vy += half * cos[i]


@njit(cache=True, **INLINED)
def reaction(fluid: Fluid, work: Workspace, scratch: Scratch) -> tuple[float, float]:
    """Sum of -dp_i/dt n_i, along x and y, of the accelerations in ``right``."""
    n = len(scratch.w)
    x = y = 0.0
    for i in range(n):
        change = scratch.inert[i]
        for j in range(n):
            change += scratch.product[i, j] * work.right[j]
        x += change * work.sin[i]
        y -= change * work.cos[i]
    return x, y


@njit(cache=True, **INLINED)
def put_added_mass(fluid: Fluid, work: Workspace, product: F64) -> None:
    """Add J' A J to ``matrix``, J the (n, n) derivative of w by the rates."""
    n = len(work.cos)
    h = 1.0 / n
    for i in range(n):
        for j in range(n):
            total = 0.5 * fluid.mass[i, j]
            for k in range(j + 1, n):
                total += fluid.mass[i, k] * (work.cos[k] * work.cos[j] + work.sin[k] * work.sin[j])
            product[i, j] = total * h
    for j in range(n):
        for k in range(j + 1):
            total = 0.5 * product[j, k]
            for i in range(j + 1, n):
                total += (work.cos[i] * work.cos[j] + work.sin[i] * work.sin[j]) * product[i, k]
            work.matrix[j, k] += h * total
            if k < j:
                work.matrix[k, j] += h * total


@njit(cache=True, **INLINED)
def beyond(stall: float, circulation: float) -> float:
    """What of a circulation does not last."""
    return circulation - circulation / math.sqrt(1.0 + stall * stall * circulation * circulation)


@njit(cache=True, **INLINED)
def put_fluid(
    fluid: Fluid, motion: Motion, b: int, lagged: bool, work: Workspace, scratch: Scratch
) -> tuple[float, float]:
    """Add the fluid's forces at the substep's middle to the linear system of copy ``b``.

    Args:
        lagged: whether the circulation has a past; without it nothing is late.

    Returns:
        The sum of the forces but for -dp_i/dt n_i, along x and y. The couples p_i u_i are pressures too, -d(p u)/ds along
        the normals: on a bent ray they have a sum.
    """
    cos, sin, w, u, rate = work.cos, work.sin, scratch.w, scratch.u, scratch.rate
    n = len(cos)
    h = 1.0 / n
    relative_velocities(rate, cos, sin, w, u)
    kutta = nose = turn_x = turn_y = 0.0
    for i in range(n):
        kutta += fluid.kutta[i] * w[i]
        nose += fluid.centred[i] * w[i]
        scratch.bias[i] = rate[i] * u[i] + sin[i] * turn_x - cos[i] * turn_y
        turn_x += h * rate[i] * rate[i] * cos[i]
        turn_y += h * rate[i] * rate[i] * sin[i]
    before = beyond(fluid.stall, motion.circulation[b] + motion.stalled[b])  # half a substep before this one began
    mean = 0.5 * (before + beyond(fluid.stall, kutta))
    motion.stalled[b] = mean + fluid.stall_decay * (motion.stalled[b] - mean)
    circulation = kutta - motion.stalled[b]
    change = circulation - motion.circulation[b] if lagged else 0.0
    motion.circulation[b] = circulation
    late = 0.0
    for k in range(2):
        motion.late[b, k] = fluid.decay[k, 0] * motion.late[b, k] + fluid.decay[k, 1] * fluid.shares[k] * change
        late += motion.late[b, k]
    nose += (circulation - kutta) / (2.0 * math.pi) - late / math.pi
    suction = fluid.suction * math.pi * nose * nose / (1.0 + (fluid.stall * math.pi * nose) ** 2)
    x, y = -suction * cos[0], -suction * sin[0]  # at the base: it turns nothing
    couple = 0.0  # of the link before
    for i in range(n):
        p = q = 0.0
        for j in range(n):
            p += fluid.mass[i, j] * w[j]
            q += fluid.mass[i, j] * scratch.bias[j]
        normal = -u[i] * (circulation * fluid.centred[i] - late * fluid.leading[i])
        normal -= 0.5 * h * fluid.normal_drag * abs(w[i]) * w[i]
        crossflow = abs(w[i]) * math.sqrt(abs(w[i]))
        tangential = 0.5 * h * (fluid.tangential_drag * abs(u[i]) + fluid.crossflow_drag * crossflow) * u[i]
        x += tangential * cos[i] - normal * sin[i]
        y += tangential * sin[i] + normal * cos[i]
        if i > 0:
            x -= 0.5 * (couple + p * u[i]) * n * (sin[i] - sin[i - 1])
            y += 0.5 * (couple + p * u[i]) * n * (cos[i] - cos[i - 1])
        couple = p * u[i]
        scratch.inert[i] = q
        normal -= q
        scratch.force[i, 0] = tangential * cos[i] - normal * sin[i]
        scratch.force[i, 1] = tangential * sin[i] + normal * cos[i]
        work.right[i] += p * u[i]
    add_forces(scratch.force, work)
    put_added_mass(fluid, work, scratch.product)
    return x, y


@njit(cache=True, **KERNEL)
def advance_batch(
    ray: Ray,
    fluid: Fluid,
    motion: Motion,
    target: F64,
    skip: NDArray[np.bool_],
    share: float,
    give: float,
    dt: float,
    substeps: int,
    first: NDArray[np.bool_],
    work: Workspace,
    scratch: Scratch,
) -> None:
    """One control step of ``substeps`` substeps of ``dt`` in every copy not in ``skip`` (B,).

    Args:
        target: (B,) moments at the end of the step; they change linearly.
        share, give: of :func:`with_half_link`.
        first: (B,) whether a copy has just been reset; cleared.
    """
    n = motion.angle.shape[1]
    for b in range(len(target)):
        if skip[b]:
            continue
        angle, rate, acceleration = motion.angle[b], motion.rate[b], motion.acceleration[b]
        for i in range(n):
            scratch.saved[0, i], scratch.saved[1, i], scratch.saved[2, i] = angle[i], rate[i], acceleration[i]
        moment, circulation = motion.moment[b], motion.circulation[b]
        late_0, late_1, stalled = motion.late[b, 0], motion.late[b, 1], motion.stalled[b]
        force_x = force_y = done = 0.0
        fine = True
        for k in range(substeps):
            change = (target[b] - moment) / substeps
            mean = moment + change * (k + 0.5)
            put_structure(ray, angle, rate, share * mean, 0.0, dt, work)
            for i in range(n):
                scratch.rate[i] = rate[i] + 0.5 * dt * acceleration[i]
            x, y = put_fluid(fluid, motion, b, k > 0 or not first[b], work, scratch)
            solve_in_place(work.matrix, work.right)
            reaction_x, reaction_y = reaction(fluid, work, scratch)
            force_x += x + reaction_x
            force_y += y + reaction_y
            turned = angle[0]
            move(angle, rate, work.right, dt)
            done += mean * (share * (angle[0] - turned) + give * change)
            for i in range(n):
                acceleration[i] = work.right[i]
                fine &= abs(angle[i]) < MAX_ANGLE and abs(rate[i]) < MAX_RATE  # NaN compares false
            if not fine:
                break
        first[b] = False
        motion.diverged[b] = not fine
        if fine:
            motion.moment[b], motion.work[b] = target[b], done
            motion.thrust[b], motion.lateral[b] = -force_x / substeps, force_y / substeps
        else:
            for i in range(n):
                angle[i], rate[i], acceleration[i] = scratch.saved[0, i], scratch.saved[1, i], scratch.saved[2, i]
            motion.circulation[b], motion.stalled[b] = circulation, stalled
            motion.late[b, 0], motion.late[b, 1] = late_0, late_1
            motion.thrust[b] = motion.lateral[b] = motion.work[b] = 0.0


class Surrogate:
    """``copies`` rays in the surrogate's flow, at rest and straight at first.

    Args:
        ray: what all of them are made of.
        control_step: time of :meth:`advance`.
        coefficients: the shipped ones by default.
        links: n; ``substeps`` of a control step.

    Attributes:
        motion: the arrays of :class:`Motion`, written by every step.
    """

    def __init__(
        self,
        copies: int,
        ray: Ray,
        *,
        control_step: float = 0.05,
        coefficients: FluidCoefficients | None = None,
        links: int = LINKS,
        substeps: int = SUBSTEPS,
    ) -> None:
        check_ray(ray)
        self.ray, self.share, self.give = with_half_link(Ray(*map(float, ray)), links)
        self.substeps = substeps
        self.dt = control_step / substeps
        self.fluid = make_fluid(FluidCoefficients.load() if coefficients is None else coefficients, links, self.dt)
        self.motion = empty_motion(copies, links)
        self._first = np.ones(copies, np.bool_)
        self._work = workspace(links)
        self._scratch = Scratch(
            rate=np.zeros(links),
            w=np.zeros(links),
            u=np.zeros(links),
            bias=np.zeros(links),
            inert=np.zeros(links),
            force=np.zeros((links, 2)),
            product=np.zeros((links, links)),
            saved=np.zeros((3, links)),
        )

    def reset(self, which: NDArray[np.bool_], bend: F64) -> None:
        """Put the copies marked in ``which`` (B,) to rest, without moment, bent by ``bend``.

        Args:
            bend: (B, m) rad, angles at equal parts of the ray, from the base to the tip; linear between.
        """
        field: Any
        for field in self.motion:
            field[which] = 0
        links = self.motion.angle.shape[1]
        middles, parts = (np.arange(links) + 0.5) / links, np.linspace(0, 1, bend.shape[1])
        for b in np.flatnonzero(which).tolist():
            self.motion.angle[b] = np.interp(middles, parts, bend[b])
        self._first[which] = True

    def advance(self, target: F64, skip: NDArray[np.bool_]) -> None:
        """A control step in every copy not in ``skip`` (B,), the moments going linearly to ``target`` (B,)."""
        advance_batch(
            self.ray,
            self.fluid,
            self.motion,
            target,
            skip,
            self.share,
            self.give,
            self.dt,
            self.substeps,
            self._first,
            self._work,
            self._scratch,
        )

    def reason(self, b: int) -> str:
        """Why copy ``b`` has diverged."""
        return f"a link turned by over {MAX_ANGLE:.3g} rad or faster than {MAX_RATE:g} rad a time unit"

    def vorticity(self, b: int) -> None:
        """None: the surrogate has no field."""


def with_half_link(ray: Ray, links: int) -> tuple[Ray, float, float]:
    """A ray whose first link stands for half a link's bending at the base too: a few links then bend like many.

    Spring and moment act at the base, half a link before the first mid point. A massless half link of stiffness
    2 n K_b in between turns at the base by share theta_0 + give M and passes share (M - k theta_0) on.

    Returns:
        The ray with the first link's spring, share, and give.
    """
    if ray.stiffness == 0.0:
        return ray, 1.0, 0.0
    half = 2 * links * ray.stiffness
    share = half / (half + ray.base_stiffness)
    return ray._replace(base_stiffness=share * ray.base_stiffness), share, 1.0 / (half + ray.base_stiffness)
