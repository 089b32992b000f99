"""The fin ray: an inextensible elastic beam as a chain of rigid links, integrated in time with bending implicit.

Dimensionless: length of the ray, oncoming speed and fluid density are 1. The base is at the origin, the flow comes along
+x, the straight ray lies along +x. Its n links have length h = 1/n and are uniform rods of mass mu h; their absolute angles
theta (n,) are the coordinates, so the length cannot change.

The equations of motion are Lagrange's, exact for any angles. With W_jk = mu h^3 (n - max(j, k) - 1/2) for j != k and
W_jj = mu h^3 (n - j - 2/3) (j from 0),

    sum_k W_jk [cos(theta_j - theta_k) theta_k'' + sin(theta_j - theta_k) theta_k'^2] = Q_j - dV/dtheta_j,

V the energy of springs K_b n at the joints (Euler-Bernoulli bending stiffness K_b in the limit of many links) and of a
torsional spring at the base. A step is the implicit midpoint rule, linearized: geometry at the explicit midpoint angles,
springs and dampers at the implicit ones, theta_k'^2 as (old rate) x (new rate). It is of second order, needs one linear
solve, and is stable for stiff chains at any step that resolves the motion.

Forces act at the links' mid points; :func:`advance_chain` is called from other kernels, :class:`Chain` from Python.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.co.dynamics.options import INLINED, KERNEL

F64 = NDArray[np.float64]


class Ray(NamedTuple):
    """What a ray is made of, dimensionless. A base stiffness of 0 is a free pin; 2 n K_b is a clamp (of second order)."""

    mass: float = 0.5  # mu: mass per length by (fluid density x length)
    stiffness: float = 0.1  # K_b: bending stiffness
    base_stiffness: float = 0.0  # of the torsional spring at the base
    base_damping: float = 0.0  # moment by the first link's rate
    bending_damping: float = 0.0  # Kelvin-Voigt: bending moment by the rate of curvature
    gravity_x: float = 0.0  # force per mass
    gravity_y: float = 0.0


class Workspace(NamedTuple):
    """Scratch arrays of one chain's step; no content outlives the step but ``right``, the accelerations."""

    cos: F64  # (n,) of the midpoint angles
    sin: F64  # (n,)
    matrix: F64  # (n, n)
    right: F64  # (n,)


def workspace(links: int) -> Workspace:
    """Scratch arrays for ``links`` links."""
    return Workspace(np.zeros(links), np.zeros(links), np.zeros((links, links)), np.zeros(links))


def check_ray(ray: Ray) -> None:
    """Raise :class:`InputError` unless the numbers are finite, the mass is above 0 and stiffnesses and dampings are not below."""
    for name, value in ray._asdict().items():
        signed = name.startswith("gravity")
        if not (math.isfinite(value) and (signed or value > 0.0 or (value == 0.0 and name != "mass"))):
            expected = "a finite number" if signed else "above 0" if name == "mass" else "at least 0"
            raise InputError(f"{name} of the ray is {value!r}; expected {expected}")


@njit(cache=True, **INLINED)
def put_structure(
    ray: Ray, angle: F64, rate: F64, moment: float, base_angle: float, dt: float, work: Workspace
) -> None:
    """Fill ``matrix`` and ``right`` of the linear system for the accelerations with inertia, springs, gravity, moment.

    Args:
        angle: (n,) rad; ``rate`` (n,) rad a time unit: at the beginning of the step.
        moment: at the base, at the step's middle.
        base_angle: at which the base's spring is relaxed.
    """
    n = len(angle)
    h, half = 1.0 / n, 0.5 * dt
    unit = ray.mass * h * h * h
    matrix, right, cos, sin = work.matrix, work.right, work.cos, work.sin
    for j in range(n):
        middle = angle[j] + half * rate[j]
        cos[j], sin[j] = math.cos(middle), math.sin(middle)
    for j in range(n):
        matrix[j, j] = unit * (n - j - 2.0 / 3.0)
        right[j] = ray.mass * h * h * (n - j - 0.5) * (cos[j] * ray.gravity_y - sin[j] * ray.gravity_x)
    for j in range(n):
        for k in range(j):
            weight = unit * (n - j - 0.5)  # j is the larger
            both, cross = weight * (cos[j] * cos[k] + sin[j] * sin[k]), weight * (sin[j] * cos[k] - cos[j] * sin[k])
            matrix[j, k] = both + dt * cross * rate[k]
            matrix[k, j] = both - dt * cross * rate[j]
            right[j] -= cross * rate[k] * rate[k]
            right[k] += cross * rate[j] * rate[j]
    spring, damper = ray.stiffness * n, ray.bending_damping * n
    implicit = half * (half * spring + damper)
    for j in range(n - 1):
        # of the upper link on the lower one, from what is known of the midpoint
        bend = spring * (angle[j + 1] - angle[j] + half * (rate[j + 1] - rate[j])) + damper * (rate[j + 1] - rate[j])
        right[j] += bend
        right[j + 1] -= bend
        matrix[j, j] += implicit
        matrix[j + 1, j + 1] += implicit
        matrix[j, j + 1] -= implicit
        matrix[j + 1, j] -= implicit
    right[0] += moment - ray.base_stiffness * (angle[0] + half * rate[0] - base_angle) - ray.base_damping * rate[0]
    matrix[0, 0] += half * (half * ray.base_stiffness + ray.base_damping)


@njit(cache=True, **INLINED)
def add_forces(force: F64, work: Workspace) -> None:
    """Add forces (n, 2) at the links' mid points to ``right``."""
    n = len(force)
    h = 1.0 / n
    beyond_x = beyond_y = 0.0  # of the links further out
    for j in range(n - 1, -1, -1):
        fx, fy = beyond_x + 0.5 * force[j, 0], beyond_y + 0.5 * force[j, 1]
        work.right[j] += h * (work.cos[j] * fy - work.sin[j] * fx)
        beyond_x += force[j, 0]
        beyond_y += force[j, 1]


@njit(cache=True, **INLINED)
def solve_in_place(matrix: F64, right: F64) -> None:
    """``right`` (n,) becomes the solution; ``matrix`` (n, n) is lost. Elimination without pivots: mass dominates."""
    n = len(right)
    for k in range(n):
        pivot = 1.0 / matrix[k, k]
        for i in range(k + 1, n):
            factor = matrix[i, k] * pivot
            for j in range(k + 1, n):
                matrix[i, j] -= factor * matrix[k, j]
            right[i] -= factor * right[k]
    for k in range(n - 1, -1, -1):
        total = right[k]
        for j in range(k + 1, n):
            total -= matrix[k, j] * right[j]
        right[k] = total / matrix[k, k]


@njit(cache=True, **INLINED)
def move(angle: F64, rate: F64, acceleration: F64, dt: float) -> None:
    """Bring angles and rates (n,) to the end of the step."""
    for j in range(len(angle)):
        angle[j] += dt * (rate[j] + 0.5 * dt * acceleration[j])
        rate[j] += dt * acceleration[j]


@njit(cache=True, **KERNEL)
def advance_chain(
    ray: Ray, angle: F64, rate: F64, force: F64, moment: float, base_angle: float, dt: float, work: Workspace
) -> None:
    """One step of ``dt``; ``angle`` and ``rate`` (n,) are changed. Of second order if the inputs are those of its middle.

    Args:
        force: (n, 2) at the links' mid points (not per length).
        moment: at the base, on the first link.
        base_angle: rad, at which the base's spring is relaxed: a given motion of a clamped base, else 0.
        work: of :func:`workspace`; ``work.right`` holds the accelerations (n,) afterwards.
    """
    put_structure(ray, angle, rate, moment, base_angle, dt, work)
    add_forces(force, work)
    solve_in_place(work.matrix, work.right)
    move(angle, rate, work.right, dt)


@njit(cache=True, **KERNEL)
def place_nodes(angle: F64, rate: F64, nodes: F64, velocities: F64) -> None:
    """Fill positions and velocities (n + 1, 2) of the links' ends, the base first. Mid points are means of neighbours."""
    n = len(angle)
    h = 1.0 / n
    nodes[0, 0] = nodes[0, 1] = velocities[0, 0] = velocities[0, 1] = 0.0
    for j in range(n):
        cos, sin = h * math.cos(angle[j]), h * math.sin(angle[j])
        nodes[j + 1, 0], nodes[j + 1, 1] = nodes[j, 0] + cos, nodes[j, 1] + sin
        velocities[j + 1, 0] = velocities[j, 0] - sin * rate[j]
        velocities[j + 1, 1] = velocities[j, 1] + cos * rate[j]


class Chain:
    """One ray of ``links`` links, at rest and straight at first.

    ``angle`` and ``rate`` are (links,) float64, the caller's to set.

    Raises:
        InputError: fewer than one link, or a ray that cannot be.
    """

    def __init__(self, links: int, ray: Ray) -> None:
        if links < 1:
            raise InputError(f"links is {links}; expected at least 1")
        check_ray(ray)
        self.ray = Ray(*map(float, ray))
        self.angle, self.rate = np.zeros(links), np.zeros(links)
        self.base_angle = 0.0
        self._nodes, self._velocities = np.zeros((links + 1, 2)), np.zeros((links + 1, 2))
        self._work = workspace(links)
        self._no_force = np.zeros((links, 2))

    def advance(self, dt: float, force: F64 | None = None, moment: float = 0.0) -> None:
        """One step of ``dt`` under ``force`` (links, 2) at the mid points and ``moment`` at the base."""
        force = self._no_force if force is None else force
        advance_chain(self.ray, self.angle, self.rate, force, moment, self.base_angle, dt, self._work)

    def nodes(self) -> tuple[F64, F64]:
        """Positions and velocities of the links' ends, (links + 1, 2) each; buffers, overwritten by the next call."""
        place_nodes(self.angle, self.rate, self._nodes, self._velocities)
        return self._nodes, self._velocities

    def mid_points(self) -> tuple[F64, F64]:
        """Positions and velocities of the links' mid points, (links, 2) each."""
        nodes, velocities = self.nodes()
        return (nodes[1:] + nodes[:-1]) / 2, (velocities[1:] + velocities[:-1]) / 2

    def energy(self) -> float:
        """Kinetic energy and that of springs and of gravity."""
        ray, n = self.ray, len(self.angle)
        places, velocities = self.mid_points()
        kinetic = ray.mass / n * ((velocities**2).sum() + (self.rate**2).sum() / (12 * n * n)) / 2
        bending = ray.stiffness * n * (np.diff(self.angle) ** 2).sum() / 2
        base = ray.base_stiffness * (self.angle[0] - self.base_angle) ** 2 / 2
        weight = ray.mass / n * (places @ [ray.gravity_x, ray.gravity_y]).sum()
        return float(kinetic + bending + base - weight)
