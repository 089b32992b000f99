import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]
from scipy.optimize import brentq  # type: ignore[import-untyped]

from optgap.co.core import InputError
from optgap.envs.finray.chain import Chain, Ray


def frequency_of(chain: Chain, dt: float, periods: int) -> float:
    """Angular frequency of the bend between first and last link (a free turn is none), from its zero crossings."""
    crossings: list[float] = []
    time, before = 0.0, chain.angle[-1] - chain.angle[0]
    while len(crossings) < 2 * periods + 1:
        chain.advance(dt)
        time += dt
        after = chain.angle[-1] - chain.angle[0]
        if before * after < 0.0:
            crossings.append(time - dt * after / (after - before))
        before = after
    return math.pi * 2 * periods / (crossings[-1] - crossings[0])


def bend_first_mode(chain: Chain, root: float, clamped: bool) -> None:
    """Slopes of an Euler-Bernoulli beam's mode, small."""
    n = len(chain.angle)
    x = (np.arange(n) + 0.5) / n
    if clamped:
        ratio = (math.cosh(root) + math.cos(root)) / (math.sinh(root) + math.sin(root))
        slope = np.sinh(root * x) + np.sin(root * x) - ratio * (np.cosh(root * x) - np.cos(root * x))
    else:
        slope = np.cosh(root * x) / np.cosh(root) + np.cos(root * x) / np.cos(root)
    chain.angle[:] = 1e-4 * slope / np.abs(slope).max()


@pytest.mark.parametrize("clamped", [True, False])
def test_first_frequency_is_that_of_an_euler_bernoulli_beam(clamped):
    # characteristic equations: cos r cosh r = -1 (clamped-free), tan r = tanh r (pinned-free)
    root = (
        brentq(lambda r: math.cos(r) * math.cosh(r) + 1, 1.5, 2.5)
        if clamped
        else brentq(lambda r: math.tan(r) - math.tanh(r), 3.6, 4.2)
    )
    mass, stiffness = 0.7, 2.0
    exact = root**2 * math.sqrt(stiffness / mass)
    errors = []
    for n in (8, 16, 32):
        chain = Chain(n, Ray(mass, stiffness, 2 * n * stiffness if clamped else 0.0))
        bend_first_mode(chain, root, clamped)
        errors.append(abs(frequency_of(chain, 2 * math.pi / exact / 400, 4) / exact - 1))
    assert errors[-1] < (2e-3 if clamped else 5e-5)  # second and fourth order in the links' length
    if clamped:
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)


def test_two_links_are_a_compound_double_pendulum():
    # Lagrange's equations of two uniform rods, written out, against an adaptive integrator
    mass, gravity, h = 1.3, 2.0, 0.5
    m = mass * h

    def derivative(_, y):
        a, b, p, q = y
        c, s = math.cos(a - b), math.sin(a - b)
        inertia = m * h * h * np.array([[4 / 3, c / 2], [c / 2, 1 / 3]])
        right = (
            m
            * h
            * np.array(
                [-h / 2 * s * q * q - 1.5 * gravity * math.sin(a), h / 2 * s * p * p - 0.5 * gravity * math.sin(b)]
            )
        )
        return [p, q, *np.linalg.solve(inertia, right)]

    exact = solve_ivp(derivative, (0, 2), [1.0, -0.5, 0.3, 2.0], rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for steps in (1000, 2000):
        chain = Chain(2, Ray(mass, 0.0, gravity_x=gravity))
        chain.angle[:], chain.rate[:] = (1.0, -0.5), (0.3, 2.0)
        for _ in range(steps):
            chain.advance(2 / steps)
        errors.append(np.abs([*chain.angle, *chain.rate] - exact).max())
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.floats(0.05, 3), st.floats(0, 0.5), st.integers(0, 2**31))
def test_energy_is_kept_and_dampers_take_it(links, mass, stiffness, seed):
    rng = np.random.default_rng(seed)
    angle, rate = rng.uniform(-0.5, 0.5, links), rng.uniform(-1, 1, links)
    found = []
    for damping, steps in ((0.0, 1000), (0.0, 4000), (0.05, 1000)):
        chain = Chain(links, Ray(mass, stiffness, 0.3, damping, damping * 0.1, 0.4, -0.2))
        chain.angle[:], chain.rate[:] = angle, rate
        energies = [chain.energy()]
        for _ in range(steps):
            chain.advance(0.5 / steps)
            energies.append(chain.energy())
        found.append(np.array(energies) - energies[0])
    coarse, fine = (np.abs(gains).max() for gains in found[:2])
    assert fine < coarse / 8 + 1e-7  # 16 in the limit: second order
    assert coarse < 1e-3 * (mass + stiffness * links**2 + 0.3)
    assert found[2][-1] < found[0][-1] - 1e-6


def test_work_of_moment_and_forces_is_the_gain_of_energy():
    chain = Chain(7, Ray(0.5, 0.1, 0.2))
    force = np.random.default_rng(0).normal(size=(7, 2)) * 0.05
    work, before = 0.0, chain.energy()
    for step in range(4000):
        moment = 0.3 * math.sin(step * 2.5e-3)
        places, first = chain.mid_points()[0].copy(), chain.angle[0]
        chain.advance(1e-3, force, moment)
        work += moment * (chain.angle[0] - first) + ((chain.mid_points()[0] - places) * force).sum()
    assert chain.energy() - before == pytest.approx(work, abs=2e-5)
    assert abs(work) > 0.01


def test_static_deflection_of_a_clamped_beam_under_a_tip_load():
    # Euler-Bernoulli: F L^3 / (3 K) at the tip for small loads; the load at the last mid point, at 1 - h/2
    n, stiffness, load = 40, 0.5, 1e-3
    chain = Chain(n, Ray(0.5, stiffness, 2 * n * stiffness, bending_damping=0.3))
    force = np.zeros((n, 2))
    force[-1, 1] = load
    for _ in range(3000):
        chain.advance(0.02, force)
    assert np.abs(chain.rate).max() < 1e-5
    at = 1 - 0.5 / n
    assert chain.mid_points()[0][-1, 1] == pytest.approx(load * at**3 / (3 * stiffness), rel=2e-3)


def test_a_constant_moment_turns_the_base_spring():
    chain = Chain(5, Ray(0.5, 0.2, 0.8, 0.5, 0.05))
    for _ in range(4000):
        chain.advance(0.01, moment=0.2)
    np.testing.assert_allclose(chain.angle, 0.25, atol=1e-6)  # M / k, and no bending


def test_a_given_motion_of_the_clamped_base_is_followed_when_slow():
    n = 12
    chain = Chain(n, Ray(0.1, 1.0, 2 * n * 1.0, bending_damping=0.05))
    for step in range(4000):
        chain.base_angle = 0.3 * math.sin(0.2 * step * 0.005) ** 2
        chain.advance(0.005)
    np.testing.assert_allclose(chain.angle, chain.base_angle, atol=0.01)


def test_stiff_chains_step_stably():
    chain = Chain(60, Ray(0.01, 1e4, 1e6))
    chain.angle[:] = np.random.default_rng(1).uniform(-1e-3, 1e-3, 60)
    before = chain.energy()
    for _ in range(2000):
        chain.advance(0.01)  # the fastest mode turns some 10^6 times as fast
    assert chain.energy() < 1.1 * before


def test_mirrored_input_gives_mirrored_motion():
    up, down = (Chain(6, Ray(0.5, 0.05, 0.1)) for _ in range(2))
    force = np.random.default_rng(2).normal(size=(6, 2)) * 0.1
    for _ in range(500):
        up.advance(0.005, force, 0.2)
        down.advance(0.005, force * [1, -1], -0.2)
    np.testing.assert_allclose(up.angle, -down.angle, rtol=1e-12, atol=1e-13)


def test_nodes_and_velocities():
    chain = Chain(2, Ray())
    chain.angle[:], chain.rate[:] = (0.0, math.pi / 2), (1.0, 2.0)
    nodes, velocities = chain.nodes()
    np.testing.assert_allclose(nodes, [[0, 0], [0.5, 0], [0.5, 0.5]], atol=1e-15)
    np.testing.assert_allclose(velocities, [[0, 0], [0, 0.5], [-1, 0.5]], atol=1e-15)
    np.testing.assert_allclose(chain.mid_points()[0], [[0.25, 0], [0.5, 0.25]], atol=1e-15)


@pytest.mark.parametrize(
    ("links", "ray", "said"),
    [
        (0, Ray(), "links is 0; expected at least 1"),
        (3, Ray(mass=0.0), "mass of the ray is 0.0; expected above 0"),
        (3, Ray(stiffness=-1.0), "stiffness of the ray is -1.0; expected at least 0"),
        (3, Ray(gravity_x=math.nan), "gravity_x of the ray is nan; expected a finite number"),
    ],
)
def test_what_cannot_be_is_one_line(links, ray, said):
    with pytest.raises(InputError, match=said):
        Chain(links, ray)
