"""The fin ray in a simulated flow: the chain of rigid links coupled to the lattice-Boltzmann flow around it.

Everything a caller sees is dimensionless: length of the ray, oncoming speed and fluid density are 1.

A time step places the points (the links' mid points, one cell apart) where the chain is, forces the fluid to move with
them, streams and collides the fluid, and moves the chain by the opposite forces. That is explicit. Explicit coupling of a
light body to an incompressible fluid is unstable at any time step, because the fluid's added mass answers at once. Here it
does not: the fluid is slightly compressible, and within one step the body meets only the fluid under the smoothed delta
function, a layer of ``GAIN`` = 2 cells, with its own ``mass * cells`` of fluid (van Brummelen, J. Appl. Mech. 76 (2009)
021206, on both kinds of fluid). So the coupling is stable without sub-iterations where the latter is above 2 (measured
with the gain alone: 2.9 runs, 1.9 diverges), at any stiffness, bending being implicit; a ray below ``MASS_LIMIT`` cells is
refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from optgap.co.core import InputError
from optgap.co.dynamics.options import KERNEL
from optgap.envs.finray.chain import Ray, Workspace, advance_chain, check_ray, place_nodes, workspace
from optgap.envs.finray.immersed_boundary import Markers, advance_around, advance_fixed, markers
from optgap.envs.finray.lattice_boltzmann import F32, F64, VELOCITY_LIMIT, Flow, Lattice

MASS_LIMIT = 4.0  # least mass per length, in cells of fluid
DENSITY_LIMIT = 0.3  # of the cells around the ray, from 1; 0.1 is a pressure of 13 rho U^2 at a velocity of 0.05
SPEED_LIMIT = 0.3  # of a point, cells a step: half of the speed of sound

REASONS = (
    "",
    "the ray left the flow's domain",
    f"a point of the ray moved at over SPEED_LIMIT = {SPEED_LIMIT:g} cells a step",
    f"the flow's density around the ray is off by over DENSITY_LIMIT = {DENSITY_LIMIT:g}",
)


@dataclass(frozen=True)
class HighFidelityConfig:
    """A ray in a flow, dimensionless but for the numbers of cells; checked.

    Args:
        cells: along the ray; as many links.
        reynolds: oncoming speed times length of the ray over kinematic viscosity.
        lattice_velocity: wanted oncoming speed, cells a step; made smaller so that a control step is whole steps.
        upstream, downstream, height: of the domain, lengths of the ray; the former two from the base.
        control_step: of :meth:`HighFidelity.advance`, time units.
        settling: time units for which the straight ray is held in the flow before an episode.
        ray: mass, stiffness, base stiffness and so on.

    Raises:
        InputError: a flow or coupling beyond a named limit (of the lattice, or ``MASS_LIMIT``).
    """

    cells: int = 64
    reynolds: float = 500.0
    lattice_velocity: float = 0.025
    upstream: float = 2.0
    downstream: float = 4.0
    height: float = 4.0
    control_step: float = 0.05
    settling: float = 1.0
    ray: Ray = field(default_factory=Ray)

    def __post_init__(self) -> None:
        check_ray(self.ray)
        if not (isinstance(self.cells, int) and self.cells >= 12):
            raise InputError(f"cells along the ray are {self.cells}; expected a whole number of at least 12")
        for name in ("reynolds", "lattice_velocity", "control_step"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name} is {getattr(self, name)}; expected above 0")
        if self.lattice_velocity > VELOCITY_LIMIT:
            raise InputError(
                f"lattice_velocity is {self.lattice_velocity:g}; expected at most VELOCITY_LIMIT = {VELOCITY_LIMIT:g}"
            )
        if not self.settling >= 0:
            raise InputError(f"settling is {self.settling}; expected at least 0")
        if not (self.upstream >= 1 and self.downstream >= 2 and self.height >= 2.5):
            raise InputError(
                f"domain of upstream {self.upstream:g}, downstream {self.downstream:g}, height {self.height:g};"
                " expected at least 1, 2 and 2.5 lengths of the ray"
            )
        if self.ray.mass * self.cells < MASS_LIMIT:
            raise InputError(
                f"mass {self.ray.mass:g} on {self.cells} cells is {self.ray.mass * self.cells:.3g} cells of fluid;"
                f" expected at least MASS_LIMIT = {MASS_LIMIT:g}: more cells or a heavier ray"
            )
        self.lattice()

    @property
    def steps(self) -> int:
        """Time steps of a control step."""
        return math.ceil(self.control_step * self.cells / self.lattice_velocity - 1e-9)

    @property
    def velocity(self) -> float:
        """Of the oncoming flow, cells a step."""
        return self.control_step * self.cells / self.steps

    def lattice(self) -> Lattice:
        """The flow's lattice, checked."""
        width = round((self.upstream + self.downstream) * self.cells)
        velocity = self.velocity
        return Lattice(width, round(self.height * self.cells), velocity, velocity * self.cells / self.reynolds)


class Advance(NamedTuple):
    """What a control step did, means over it; zeros after a divergence."""

    thrust: float  # minus the fluid's force along x
    lateral: float  # the fluid's force along y
    power: float  # that the base moment put in
    reason: str  # why the simulation diverged; empty if it did not


class HighFidelity:
    """One ray in one flow; deterministic.

    Attributes:
        config: as given.
        angle, rate: (links,) rad and rad a time unit, of the links; finite always.
        flow: the flow around it, lattice units.
    """

    def __init__(self, config: HighFidelityConfig | None = None) -> None:
        self.config = config = HighFidelityConfig() if config is None else config
        links = config.cells
        self.flow = Flow(config.lattice())
        self.base = np.array([config.upstream * links, (self.flow.lattice.height + 1) / 2])
        self.angle, self.rate = np.zeros(links), np.zeros(links)
        self._chain = _Chain(np.zeros((links, 2)), np.zeros((links + 1, 2)), np.zeros((links + 1, 2)), workspace(links))
        straight = self.base + np.stack([np.arange(links) + 0.5, np.zeros(links)], 1)
        self._body = markers(self.flow, straight, np.ones(links))
        steps = round(config.settling * links / config.velocity)
        advance_fixed(self.flow, self._body, steps)
        self._settled = self.flow.populations[self.flow.now].copy(), self._body.force.copy()
        self._ray = Ray(*map(float, config.ray))  # whole numbers would be compiled for once more
        self.reason = ""

    def reset(self, bend: Any = None) -> None:
        """The ray at rest in the flow that has settled around the straight ray.

        Args:
            bend: angles, rad, at equal parts of the ray (any number of them, the first at the base, the last at the tip),
                linear between; by default straight.

        Raises:
            InputError: angles that are not finite or not within 1.5 rad.
        """
        bend = np.atleast_1d(np.asarray(0.0 if bend is None else bend, np.float64))
        if bend.ndim != 1 or not bend.size or not (np.abs(bend) <= 1.5).all():
            raise InputError("bend: expected a row of finite angles within 1.5 rad")
        links = len(self.angle)
        middles = (np.arange(links) + 0.5) / links
        self.angle[:] = np.interp(middles, np.linspace(0, 1, len(bend)), bend)
        self.rate[:] = 0.0
        self.flow.now, self.reason = 0, ""
        self.flow.populations[:], self._body.force[:] = self._settled

    def advance(self, moment: float, end: float | None = None) -> Advance:
        """One control step with the base moment going linearly from ``moment`` to ``end`` (by default constant).

        A divergence is reported in ``reason``: the ray is then as it was before the step, and only :meth:`reset` goes on.

        Raises:
            InputError: a moment that is not finite, or a simulation that has diverged before.
        """
        end = moment if end is None else end
        if not (math.isfinite(moment) and math.isfinite(end)):
            raise InputError(f"base moment from {moment} to {end}; expected finite numbers")
        if self.reason:
            raise InputError(f"the simulation has diverged ({self.reason}); reset it first")
        config, flow, lattice = self.config, self.flow, self.flow.lattice
        before = self.angle.copy(), self.rate.copy()
        sums = np.zeros(3)
        code = _advance_coupled(
            flow.populations, flow.now, flow.rows, *lattice.rates, lattice.outlet, self._body, self._ray, self.angle, self.rate,
            self._chain, self.base, lattice.velocity, float(moment), float(end), config.steps, sums,
        )  # fmt: skip
        if code:
            self.angle[:], self.rate[:] = before
            self.reason = REASONS[code]
            return Advance(0.0, 0.0, 0.0, self.reason)
        flow.now = (flow.now + config.steps) % 2
        thrust, lateral, power = (float(total) / config.steps for total in sums)
        return Advance(thrust, lateral, power, "")

    def nodes(self) -> F64:
        """Positions of the links' ends, (links + 1, 2), the base (0, 0) first."""
        place_nodes(self.angle, self.rate, self._chain.nodes, self._chain.velocities)
        return self._chain.nodes.copy()

    def vorticity(self) -> F64:
        """Of the flow, (height, width) cells, speed over length of the ray; row 0 is the lowest."""
        return self.flow.vorticity() * (self.config.cells / self.config.velocity)

    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper side of :meth:`vorticity` in lengths of the ray, the base being the origin."""
        cells, lattice = self.config.cells, self.flow.lattice
        left, low = (0.5 - self.base) / cells
        return float(left), float(left + lattice.width / cells), float(low), float(low + lattice.height / cells)


class _Chain(NamedTuple):
    """Buffers of the chain's step."""

    force: F64  # (links, 2) of the fluid
    nodes: F64  # (links + 1, 2)
    velocities: F64  # (links + 1, 2)
    work: Workspace


@njit(cache=True, **KERNEL)
def _advance_coupled(
    populations: F32,
    now: int,
    rows: F32,
    even: float,
    odd: float,
    outlet: int,
    body: Markers,
    ray: Ray,
    angle: F64,
    rate: F64,
    chain: _Chain,
    base: F64,
    velocity: float,
    start: float,
    end: float,
    steps: int,
    sums: F64,
) -> int:
    """So many steps; adds thrust, lateral force and power of each to ``sums`` (3,). Returns an index of ``REASONS``."""
    links = len(angle)
    dt = velocity / links
    unit = 1.0 / (velocity * velocity * links)
    for step in range(steps):
        place_nodes(angle, rate, chain.nodes, chain.velocities)
        for k in range(links):
            for a in range(2):
                body.place[k, a] = base[a] + 0.5 * links * (chain.nodes[k, a] + chain.nodes[k + 1, a])
                body.velocity[k, a] = 0.5 * velocity * (chain.velocities[k, a] + chain.velocities[k + 1, a])
                if not abs(body.velocity[k, a]) <= SPEED_LIMIT:  # NaN compares false
                    return 2
        source, target = populations[(now + step) % 2], populations[(now + step + 1) % 2]
        if not advance_around(source, target, rows, even, odd, outlet, body):
            return 1
        thrust = lateral = 0.0
        for k in range(links):
            for a in range(2):
                chain.force[k, a] = -unit * body.force[k, a]
            thrust -= chain.force[k, 0]
            lateral += chain.force[k, 1]
        for k in range(links):
            if not abs(body.rho[body.near[k, 4]] - 1.0) <= DENSITY_LIMIT:
                return 3
        moment = start + (end - start) * (step + 0.5) / steps
        first = angle[0]
        advance_chain(ray, angle, rate, chain.force, moment, 0.0, dt, chain.work)
        sums[0] += thrust
        sums[1] += lateral
        sums[2] += moment * (angle[0] - first) / dt
    for k in range(links):
        if not (abs(angle[k]) < math.inf and abs(rate[k]) < math.inf):
            return 2
    return 0
