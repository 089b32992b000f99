"""The ray in the flow: symmetry, repetition, drag of a plate, the flapping filament, divergence, limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.envs.finray.chain import Ray
from optgap.envs.finray.high_fidelity import HighFidelity, HighFidelityConfig

SMALL = {"cells": 24, "lattice_velocity": 0.05, "upstream": 1.5, "downstream": 3.0, "height": 3.0}
FIN = Ray(mass=0.5, stiffness=0.4, base_stiffness=0.5, base_damping=0.02, bending_damping=0.004)


def small(**more: Any) -> HighFidelity:
    return HighFidelity(HighFidelityConfig(**({**SMALL, "ray": FIN} | more)))


@pytest.fixture(scope="module")
def simulation() -> HighFidelity:
    return small()


def played(simulation: HighFidelity, sign: float = 1.0, steps: int = 20) -> np.ndarray[Any, np.dtype[np.float64]]:
    simulation.reset([0.02 * sign, 0.05 * sign])
    moments = sign * 0.6 * np.sin(0.3 * np.arange(steps + 1))
    pairs = zip(moments[:-1], moments[1:], strict=True)
    return np.array([simulation.advance(float(a), float(b))[:3] for a, b in pairs])


def test_the_same_again_after_a_reset(simulation: HighFidelity) -> None:
    first, angle = played(simulation), simulation.angle.copy()
    np.testing.assert_array_equal(played(simulation), first)
    np.testing.assert_array_equal(simulation.angle, angle)
    assert np.isfinite(first).all()
    assert np.abs(angle).max() > 0.05


def test_mirrored_actuation_is_mirrored(simulation: HighFidelity) -> None:
    up, angle = played(simulation), simulation.angle.copy()
    down = played(simulation, -1.0)
    np.testing.assert_allclose(down * [1, -1, 1], up, atol=2e-3)  # rounding grows a little
    np.testing.assert_allclose(simulation.angle, -angle, atol=1e-4)


def test_straight_ray_has_the_drag_of_a_plate_as_the_grid_is_refined(simulation: HighFidelity) -> None:
    """Both sides, laminar: 1.328 / sqrt(Re) + 2.668 Re^(-7/8) (Messiter, SIAM J. Appl. Math. 18 (1970) 241): 0.071."""
    exact = 1.328 / math.sqrt(500) + 2.668 * 500 ** (-7 / 8)
    found = []
    for ray in (simulation, small(cells=48)):
        ray.reset()
        steps = [ray.advance(0.0) for _ in range(30)]
        found.append(-np.mean([step.thrust for step in steps[-5:]]))
        assert all(step.power == 0 for step in steps)
        assert abs(steps[-1].lateral) < 1e-3
    assert exact < found[1] < found[0] < 1.5 * exact
    assert found[1] < 1.3 * exact


def test_power_is_what_the_moment_puts_in(simulation: HighFidelity) -> None:
    simulation.reset()
    before = simulation.angle[0]
    step = simulation.advance(0.3)
    assert step.power == pytest.approx(0.3 * (simulation.angle[0] - before) / 0.05, rel=1e-9)
    assert step.power > 0
    assert step.lateral < 0  # it pushes the fluid up


def test_filament_flaps_as_published() -> None:
    """Huang, Shin & Sung, J. Comput. Phys. 226 (2007) 2206: amplitude about 0.35, Strouhal number about 0.30."""
    ray = Ray(mass=1.5, stiffness=0.0015, gravity_x=0.5)
    simulation = HighFidelity(HighFidelityConfig(24, 200.0, 0.06, downstream=6.0, height=8.0, settling=0.0, ray=ray))
    simulation.reset(0.1 * math.pi)
    tip = []
    for _ in range(500):
        assert not simulation.advance(0.0).reason
        tip.append(simulation.nodes()[-1, 1])
    late = np.array(tip[250:])
    rises = np.flatnonzero((late[:-1] < 0) & (late[1:] >= 0))
    assert 0.33 < np.ptp(late) / 2 < 0.42
    assert (len(rises) - 1) / (rises[-1] - rises[0]) / 0.05 == pytest.approx(0.305, abs=0.02)


def test_divergence_is_reported_and_leaves_finite_numbers() -> None:
    simulation = small()
    simulation.reset(0.1)
    reason = ""
    for _ in range(20):
        step = simulation.advance(60.0)
        assert np.isfinite([*step[:3], *simulation.angle, *simulation.rate]).all()
        if step.reason:
            reason = step.reason
            break
    assert reason
    assert simulation.reason == reason
    with pytest.raises(InputError, match="reset it first"):
        simulation.advance(0.0)
    simulation.reset()
    assert not simulation.advance(0.0).reason


def test_a_control_step_is_whole_steps() -> None:
    for cells in (24, 31, 48, 64):
        config = HighFidelityConfig(cells=cells, lattice_velocity=0.05)
        assert config.velocity <= config.lattice_velocity + 1e-12
        assert config.steps * config.velocity / cells == pytest.approx(config.control_step)


def test_vorticity_and_extent(simulation: HighFidelity) -> None:
    simulation.reset()
    vorticity, (left, right, low, high) = simulation.vorticity(), simulation.extent()
    assert vorticity.shape == (72, 108)
    assert (left, right) == pytest.approx((-1.5, 3.0), abs=0.05)
    assert (low, high) == pytest.approx((-1.5, 1.5), abs=0.05)
    row = 36 + 4  # a boundary layer: slower below, so clockwise above the ray
    assert vorticity[row, 36 + 12] < -1
    assert vorticity[71 - row, 36 + 12] > 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ray": Ray(mass=0.1)}, "MASS_LIMIT = 4"),
        ({"lattice_velocity": 0.3}, "VELOCITY_LIMIT"),
        ({"reynolds": 5000.0}, "VISCOSITY_LIMIT"),
        ({"reynolds": math.nan}, "reynolds is nan"),
        ({"cells": 4}, "at least 12"),
        ({"height": 1.0}, "lengths of the ray"),
        ({"settling": -1.0}, "settling"),
        ({"ray": Ray(stiffness=-1.0)}, "stiffness"),
    ],
)
def test_bad_configurations_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        HighFidelityConfig(**({"cells": 24, "lattice_velocity": 0.05} | arguments))


def test_bad_input_is_refused(simulation: HighFidelity) -> None:
    with pytest.raises(InputError, match="bend"):
        simulation.reset([0.0, math.nan])
    simulation.reset()
    with pytest.raises(InputError, match="finite"):
        simulation.advance(math.inf)
