"""Bodies in the flow: the delta function, conservation of force, no slip, drag of a cylinder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.envs.finray.immersed_boundary import advance_fixed, circle, delta, find_force, locate, markers, release
from optgap.envs.finray.lattice_boltzmann import Flow, Lattice


def flow_of(width: int = 60, height: int = 40, velocity: float = 0.05, viscosity: float = 0.01) -> Flow:
    return Flow(Lattice(width, height, velocity, viscosity))


@given(st.floats(-3, 3))
def test_delta_function_has_unit_sum_no_first_moment_and_half_its_squares(place: float) -> None:
    cells = np.arange(-6, 7)
    values = np.array([delta(place - c) for c in cells])
    assert values.sum() == pytest.approx(1, abs=1e-7)
    assert (values * (cells - place)).sum() == pytest.approx(0, abs=1e-7)
    assert (values**2).sum() == pytest.approx(0.5, abs=1e-7)


def test_spreading_conserves_force_and_torque() -> None:
    flow = flow_of()
    rng = np.random.default_rng(0)
    body = markers(flow, rng.uniform(10, 30, (25, 2)), np.full(25, 0.9))
    body.velocity[:] = rng.normal(size=(25, 2)) * 0.02
    count = locate(body)
    find_force(flow.populations[flow.now], body, count)
    push, cell = body.push[:count], body.cell[:count]
    assert len(np.unique(cell, axis=0)) == count
    np.testing.assert_allclose(push.sum(0), body.force.sum(0), atol=1e-12)
    torque = [(p[:, 0] * f[:, 1] - p[:, 1] * f[:, 0]).sum() for p, f in ((cell, push), (body.place, body.force))]
    assert torque[0] == pytest.approx(torque[1], abs=1e-10)
    release(body, count)
    assert (body.slot == -1).all()


def test_fluid_moves_with_the_points() -> None:
    """A plate across the flow, which presses on it hard: what still goes through it."""
    flow = flow_of(80, 60)
    place = np.stack([np.full(21, 30.3), 20.0 + np.arange(21)], 1)
    body = markers(flow, place, np.ones(21))
    advance_fixed(flow, body, 1500)
    _, ux, uy = flow.fields()
    through = []
    for x, y in place[3:-3]:
        weights = np.outer([delta(y - j) for j in range(1, 61)], [delta(x - i) for i in range(1, 81)])
        through.append([(weights * ux).sum(), (weights * uy).sum()])
    # fields() is after the collision, half of a force beyond the velocity that has no slip
    half = -0.25 * body.force[3:-3]
    assert np.abs(np.array(through) - half * -1).max() < 0.02 * 0.05


def test_cylinder_at_reynolds_number_40_has_the_drag_of_dennis_and_chang() -> None:
    """J. Fluid Mech. 42 (1970) 471: drag coefficient 1.522, a steady symmetric flow (others: 1.50 to 1.60)."""
    cells, velocity = 12, 0.06
    flow = flow_of(25 * cells, 24 * cells, velocity, velocity * cells / 40)
    body = circle(flow, (10.0 * cells, 12.0 * cells + 0.5), cells)
    force = advance_fixed(flow, body, 30 * cells * 17)[-200:].mean(0) * 2 / (velocity**2 * cells)
    assert force[0] == pytest.approx(1.522, rel=0.07)
    assert abs(force[1]) < 0.01


def test_bodies_that_cannot_be_are_refused() -> None:
    flow = flow_of()
    with pytest.raises(InputError, match="two cells inside"):
        markers(flow, np.array([[59.0, 20.0]]), np.ones(1))
    with pytest.raises(InputError, match=r"at most 1\.5"):
        markers(flow, np.array([[30.0, 20.0]]), np.full(1, 2.0))


def test_points_that_leave_are_noticed_and_nothing_is_left_behind() -> None:
    body = markers(flow_of(), np.array([[30.0, 20.0], [31.0, 20.0]]), np.ones(2))
    for bad in (np.nan, 59.5, -1e9):
        body.place[1, 0] = bad
        assert locate(body) == -1
        assert (body.slot == -1).all()
