"""The flow alone: viscosity, conservation, agreement of the two kernels, open sides, limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.finray.lattice_boltzmann import Flow, Lattice, collide_with_force, moments

F64 = NDArray[np.float64]


def periodic(cells: int, viscosity: float = 0.02) -> Flow:
    return Flow(Lattice(cells, cells, 0.0, viscosity, periodic=True))


def disturbed(flow: Flow, size: float = 0.03) -> Flow:
    rng = np.random.default_rng(3)
    shape = (flow.lattice.height, flow.lattice.width)
    flow.reset(size * rng.normal(size=shape), size * rng.normal(size=shape))
    flow.advance(3)  # so that the populations are not those of an equilibrium
    return flow


def taylor_green(cells: int) -> float:
    """Relative error of a Taylor-Green vortex after one decay time; the velocity falls with the cells (diffusive)."""
    viscosity, speed = 0.02, 0.4 / cells
    flow, k = periodic(cells, viscosity), 2 * math.pi / cells
    x, y = np.meshgrid(np.arange(cells), np.arange(cells))
    start: F64 = speed * np.sin(k * x) * np.cos(k * y)
    flow.reset(start, -speed * np.cos(k * x) * np.sin(k * y))
    steps = round(1 / (2 * viscosity * k * k))
    flow.advance(steps)
    exact = start * math.exp(-2 * viscosity * k * k * steps)
    return float(np.abs(flow.fields()[1] - exact).max() / np.abs(exact).max())


def test_vortex_decays_by_the_viscosity_to_second_order() -> None:
    coarse, fine = taylor_green(16), taylor_green(32)
    assert fine < 0.008
    assert 1.6 < math.log2(coarse / fine) < 2.6


def test_mass_and_momentum_are_conserved() -> None:
    flow = disturbed(periodic(24))

    def totals() -> F64:
        density, ux, uy = flow.fields()
        return np.array([density.sum(), (density * ux).sum(), (density * uy).sum()])

    before = totals()
    flow.advance(101)
    np.testing.assert_allclose(totals(), before, atol=2e-4)  # single precision, 576 cells


def test_uniform_flow_stays() -> None:
    flow = Flow(Lattice(60, 40, 0.08, 0.005))
    flow.advance(300)
    density, ux, uy = flow.fields()
    np.testing.assert_allclose(density, 1, atol=2e-6)
    np.testing.assert_allclose(ux, 0.08, atol=2e-6)
    np.testing.assert_allclose(uy, 0, atol=2e-6)


def test_disturbance_leaves_through_the_sides() -> None:
    flow = Flow(Lattice(60, 40, 0.08, 0.005))
    x, y = np.meshgrid(np.arange(60) - 20, np.arange(40) - 20)
    bump = 0.05 * np.exp(-(x**2 + y**2) / 18)
    flow.reset(0.08 + bump, bump)
    flow.advance(3000)
    density, ux, uy = flow.fields()
    assert np.abs(density - 1).max() < 1e-4
    assert max(np.abs(ux - 0.08).max(), np.abs(uy).max()) < 1e-3


def pushed(flow: Flow, force: tuple[float, float]) -> NDArray[np.float32]:
    """Populations after one step, cell by cell, under the same force everywhere."""
    lattice, source = flow.lattice, flow.populations[flow.now]
    target = source.copy()
    for y in range(1, lattice.height + 1):
        for x in range(1, lattice.width + 1):
            rho, jx, jy = moments(source, x, y)
            ux, uy = (jx + force[0] / 2) / rho, (jy + force[1] / 2) / rho
            collide_with_force(source, target, x, y, rho, ux, uy, *force, *lattice.rates)
    return target


def test_rows_and_single_cells_agree_without_a_force() -> None:
    flow = disturbed(periodic(12))
    one_by_one = pushed(flow, (0.0, 0.0))[:, 1:-1, 1:-1]
    flow.advance(1)
    np.testing.assert_allclose(flow.populations[flow.now, :, 1:-1, 1:-1], one_by_one, atol=3e-8)


def test_a_force_adds_its_momentum_and_no_mass() -> None:
    flow, force = disturbed(periodic(12)), (2e-4, -5e-4)
    with_force, without = (pushed(flow, f)[:, 1:-1, 1:-1].astype(float) for f in (force, (0.0, 0.0)))
    np.testing.assert_allclose(with_force.sum(0), without.sum(0), atol=1e-7)
    ex, ey = np.array([0, 1, -1, 0, 0, 1, -1, 1, -1]), np.array([0, 0, 0, 1, -1, 1, -1, -1, 1])
    for along, part in ((ex, force[0]), (ey, force[1])):
        np.testing.assert_allclose(np.tensordot(along, with_force - without, 1), part, atol=1e-7)


def test_vorticity_of_a_shear() -> None:
    flow = Flow(Lattice(20, 20, 0.05, 0.01))
    flow.reset(0.002 * np.arange(20)[:, None] * np.ones((1, 20)))
    np.testing.assert_allclose(flow.vorticity(), -0.002, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ({"velocity": 0.2}, "VELOCITY_LIMIT = 0.12"),
        ({"velocity": math.nan}, "VELOCITY_LIMIT"),
        ({"viscosity": 0.001}, "VISCOSITY_LIMIT"),
        ({"viscosity": math.nan}, "VISCOSITY_LIMIT"),
        ({"viscosity": 0.002, "velocity": 0.1}, "CELL_REYNOLDS_LIMIT = 25"),
        ({"width": 4}, "at least 8 x 8"),
    ],
)
def test_limits_are_named(arguments: dict[str, Any], limit: str) -> None:
    with pytest.raises(InputError, match=limit):
        Lattice(**({"width": 20, "height": 20, "velocity": 0.05, "viscosity": 0.01} | arguments))
