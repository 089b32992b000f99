import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hankel2  # type: ignore[import-untyped]

from optgap.co.core import InputError
from optgap.envs.finray import thin_aerofoil
from optgap.envs.finray.chain import Chain, Ray
from optgap.envs.finray.coefficients import FluidCoefficients
from optgap.envs.finray.surrogate import Surrogate

POTENTIAL = FluidCoefficients()  # the theory: no drag, no stall, all of the suction
RAY = Ray(0.5, 3.0, 5.0, 0.05, 0.03)


def swim(copies=1, moments=None, **arguments):
    """A surrogate after the moments (T, copies), and thrust, lateral force and work of each step, (T, copies, 3)."""
    rays = Surrogate(copies, arguments.pop("ray", RAY), **arguments)
    rays.reset(np.ones(copies, np.bool_), np.zeros((copies, 2)))
    found = []
    for target in moments:
        rays.advance(np.asarray(target, np.float64), np.zeros(copies, np.bool_))
        found.append(np.stack([rays.motion.thrust, rays.motion.lateral, rays.motion.work], 1))
    return rays, np.array(found)


def sine(amplitude, frequency, steps, dt=0.05):
    return amplitude * np.sin(2 * np.pi * frequency * dt * np.arange(1, steps + 1))[:, None]


@pytest.mark.parametrize("links", [4, 10, 30])
def test_operators_of_a_plate(links):
    x = (np.arange(links) + 0.5) / links
    mass, small = thin_aerofoil.added_mass(links), 2 / links**2
    np.testing.assert_allclose(mass, mass.T)
    assert np.linalg.eigvalsh(mass).min() > 0
    assert mass.sum() == pytest.approx(math.pi / 4)  # rho pi c^2 / 4
    about_middle = (x - 0.5) @ mass @ (x - 0.5)
    assert about_middle == pytest.approx(math.pi / 128, abs=small * math.pi / 16)  # rho pi c^4 / 128
    assert thin_aerofoil.kutta(links).sum() == pytest.approx(math.pi)
    assert thin_aerofoil.kutta(links) @ x == pytest.approx(math.pi * 3 / 4, rel=small)  # the three-quarter point
    for shares, centre in ((thin_aerofoil.leading(links), 1 / 4), (thin_aerofoil.centred(links), 1 / 2)):
        assert shares.sum() == pytest.approx(1)
        assert shares @ x == pytest.approx(centre, abs=1 / links**1.5)


@pytest.mark.parametrize("k", [0.3, 1.0, 3.0])
def test_a_pitching_plate_has_theodorsens_lift_and_garricks_thrust(k):
    # reduced frequency k of the semichord b = 1/2; pitch about the leading edge, alpha = Re(exp(i omega t)) a0
    omega, amplitude, periods, n = 2 * k, 0.01, 16, 200
    lags = ((0.165, 0.0455), (0.335, 0.3))
    jones = 1 - sum(a * 1j * k / (1j * k + b) for a, b in lags)
    exact = hankel2(1, k) / (hankel2(1, k) + 1j * hankel2(0, k))
    assert abs(jones - exact) < 0.03
    rate = 1j * omega
    quarter = 0.75 * rate + 1  # normal velocity at three quarters of the chord
    lift = -(math.pi / 4 * (rate * rate / 2 + rate) + math.pi * jones * quarter)
    nose = math.sqrt(0.5) * (2 * jones * quarter - rate / 2)
    thrust = lift.real / 2 + math.pi / 2 * abs(nose) ** 2 / 2
    # a rigid and so heavy ray that the moment alone decides how it turns
    dt = 2 * math.pi / omega / n
    rays = Surrogate(1, Ray(1e6, 1e13), control_step=dt, coefficients=POTENTIAL, links=16, substeps=1)
    rays.reset(np.ones(1, np.bool_), np.zeros((1, 2)))
    motion, turn = rays.motion, -amplitude * omega**2 * 1e6 / 3
    found = []
    for step in range(periods * n):
        time = step * dt
        grown = min(time / (2 * math.pi / omega * 4), 1.0)  # slowly from rest: Wagner's lags forget a start late
        motion.angle[:] = grown * amplitude * math.cos(omega * time)
        motion.rate[:] = -grown * amplitude * omega * math.sin(omega * time)
        motion.acceleration[:] = -grown * amplitude * omega**2 * math.cos(omega * time)
        motion.moment[:] = grown * turn * math.cos(omega * time)
        rays.advance(np.array([grown * turn * math.cos(omega * (time + dt))]), np.zeros(1, np.bool_))
        found.append((motion.lateral[0], motion.thrust[0]))
    lateral, pull = np.array(found[-4 * n :]).T
    middles = (np.arange(periods * n) + 0.5)[-4 * n :] * dt
    phasor = 2 * np.mean(lateral * np.exp(-1j * omega * middles)) / amplitude
    assert abs(phasor - lift) < 0.015 * abs(lift)
    assert pull.mean() / amplitude**2 == pytest.approx(thrust, abs=0.02 * abs(lift))


@pytest.mark.parametrize("drag", [0.0, 2.0])
def test_work_of_the_moment_is_stored_or_dissipated(drag):
    # without circulation the fluid's forces are Lagrange's (but for terms of fourth order) and drag
    coefficients = FluidCoefficients(
        layer_mass=drag / 10, circulation=0, suction=0, normal_drag=drag, tangential_drag=drag / 10
    )
    ray, links, dt = Ray(0.5, 0.4, 1.5), 8, 0.002
    mass = thin_aerofoil.added_mass(links) + drag / 10 / links * np.eye(links)
    rays = Surrogate(1, ray, control_step=dt, coefficients=coefficients, links=links, substeps=1)
    rays.reset(np.ones(1, np.bool_), np.zeros((1, 2)))
    chain, motion = Chain(links, rays.ray), rays.motion

    def stored():
        chain.angle, chain.rate = motion.angle[0].copy(), motion.rate[0].copy()
        velocity = chain.mid_points()[1]
        normal = np.cos(chain.angle) * velocity[:, 1] - np.sin(chain.angle) * velocity[:, 0]
        along = np.cos(chain.angle) * velocity[:, 0] + np.sin(chain.angle) * velocity[:, 1]
        incidence = np.sin(chain.angle)
        w, u = normal + incidence, np.cos(chain.angle) - along
        lost = drag / (2 * links) * (np.abs(w) * w * normal - 0.1 * np.abs(u) * u * along).sum()
        return chain.energy() + (normal @ mass @ normal - incidence @ mass @ incidence) / 2, lost

    work = dissipated = 0.0
    before, rate_before = stored()
    for step in range(1500):
        rays.advance(np.array([0.02 * math.sin(4.0 * step * dt)]), np.zeros(1, np.bool_))
        work += motion.work[0]
        after, rate_after = stored()
        dissipated += dt * (rate_before + rate_after) / 2
        rate_before = rate_after
    base = rays.give * motion.moment[0] ** 2 / 2  # in the half link at the base, which is no part of the chain
    assert work - base == pytest.approx(after - before + dissipated, rel=0.01)
    assert abs(work) > 1e-6
    if drag:
        assert dissipated > 0


def test_mirrored_actuation_mirrors_the_motion():
    moments = np.random.default_rng(0).uniform(-3, 3, 100)
    rays, found = swim(2, np.stack([moments, -moments], 1))
    np.testing.assert_allclose(rays.motion.angle[0], -rays.motion.angle[1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[:, 0] * [1, -1, 1], found[:, 1], rtol=1e-9, atol=1e-12)


def test_a_step_is_of_second_order_in_time():
    found = [swim(moments=sine(2.0, 1.0, 60), substeps=k)[0].motion.angle[0] for k in (5, 10, 40)]
    coarse, fine = (np.abs(angle - found[2]).max() for angle in found[:2])
    assert fine < 1e-3
    assert 3 < coarse / fine < 6


def test_few_links_move_as_many_do():
    few, many = (swim(moments=sine(4.0, 0.75, 200), links=n, substeps=10) for n in (10, 30))
    tips = [np.sin(rays.motion.angle).mean() for rays, _ in (few, many)]
    assert tips[0] == pytest.approx(tips[1], abs=0.02)
    assert np.maximum(few[1][..., 2], 0).sum() == pytest.approx(np.maximum(many[1][..., 2], 0).sum(), rel=0.05)


def test_a_ray_at_rest_has_drag_alone():
    _, found = swim(moments=np.zeros((20, 1)), coefficients=FluidCoefficients(tangential_drag=0.12))
    np.testing.assert_allclose(found, np.tile([-0.06, 0, 0], (20, 1, 1)), atol=1e-15)


def held(angle, steps, coefficients):
    """Thrust and lateral force (steps, 2) of a straight ray so heavy that it stays at an angle."""
    rays = Surrogate(1, Ray(1e9, 1e13), coefficients=coefficients)
    rays.reset(np.ones(1, np.bool_), np.full((1, 2), angle))
    found = []
    for _ in range(steps):
        rays.advance(np.zeros(1), np.zeros(1, np.bool_))
        found.append((rays.motion.thrust[0], rays.motion.lateral[0]))
    return np.array(found)


def test_a_cross_flow_adds_to_the_tangential_drag():
    sin, cos = math.sin(0.4), math.cos(0.4)
    expected = -(0.3 * cos + 0.5 * sin**1.5) * cos / 2 * np.array([cos, -sin])
    coefficients = FluidCoefficients(circulation=0, suction=0, tangential_drag=0.3, crossflow_drag=0.5)
    np.testing.assert_allclose(held(0.4, 3, coefficients), np.tile(expected, (3, 1)), rtol=1e-6)


def test_a_stall_comes_with_time_and_takes_what_is_beyond_the_largest_circulation():
    full = math.pi * math.sin(0.5)
    lasting, rate = full / math.sqrt(1 + (0.8 * full) ** 2), 4.0
    coefficients = FluidCoefficients(added_mass=0, stall=0.8, stall_rate=rate, suction=0, lag_shares=(0, 0))
    lift = -held(0.5, 60, coefficients)[:, 1]
    times = 0.05 * (np.arange(60) + 0.5)
    circulation = lasting + (full - lasting) * np.exp(-rate * times)
    np.testing.assert_allclose(lift, circulation * math.cos(0.5) ** 2, rtol=0.002)
    assert lift[0] > 1.3 * lift[-1]


def test_strokes_at_the_resonance_swim_and_weak_ones_do_not():
    _, strong = swim(moments=sine(4.0, 0.75, 200))
    _, weak = swim(moments=sine(0.5, 0.75, 200))
    assert strong[100:, 0, 0].mean() > 0.05
    assert weak[100:, 0, 0].mean() < 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 200), st.floats(0.001, 2))
def test_nothing_that_comes_out_is_ever_not_finite(seed, most, stiffness):
    moments = np.random.default_rng(seed).uniform(-most, most, (60, 4))
    rays = Surrogate(4, RAY._replace(stiffness=stiffness, base_stiffness=0.0))
    rays.reset(np.ones(4, np.bool_), np.zeros((4, 2)))
    for target in moments:
        before = rays.motion.angle.copy()
        over = rays.motion.diverged.copy()
        rays.advance(target, over)
        assert all(np.isfinite(field).all() for field in rays.motion)
        new = rays.motion.diverged & ~over
        np.testing.assert_array_equal(rays.motion.angle[new], before[new])
        assert not rays.motion.thrust[new].any()


def test_a_wild_moment_diverges_and_a_reset_mends_it():
    rays, _ = swim(2, [[0.1, 1e6]] * 3)
    assert rays.motion.diverged.tolist() == [False, True]
    assert "turned" in rays.reason(1)
    rays.reset(np.array([False, True]), np.full((2, 3), 0.1))
    assert not rays.motion.diverged.any()
    np.testing.assert_allclose(rays.motion.angle[1], 0.1)
    assert np.abs(rays.motion.angle[0]).max() > 0


def test_copies_and_skipped_copies_do_not_touch_each_other():
    moments = np.random.default_rng(1).uniform(-0.5, 0.5, (40, 3))
    batch, found = swim(3, moments)
    for b in range(3):
        single, alone = swim(1, moments[:, b : b + 1])
        np.testing.assert_array_equal(single.motion.angle[0], batch.motion.angle[b])
        np.testing.assert_array_equal(alone[:, 0], found[:, b])
    before = [field[1].copy() for field in batch.motion]
    batch.advance(np.ones(3), np.array([False, True, False]))
    for kept, field in zip(before, batch.motion, strict=True):
        np.testing.assert_array_equal(field[1], kept)


def test_the_shipped_coefficients_are_read(tmp_path):
    assert FluidCoefficients.load().added_mass > 0
    path = tmp_path / "fluid.json"
    with pytest.raises(InputError, match=r"fluid\.json: no fluid coefficients"):
        FluidCoefficients.load(path)
    path.write_text(json.dumps({"coefficients": {"added_mass": 1.0}}))
    with pytest.raises(InputError, match=r"coefficients are \['added_mass'\]; expected added_mass, layer_mass"):
        FluidCoefficients.load(path)


@pytest.mark.parametrize("wrong", [{"stall": -1}, {"lag_rates": 0.5}, {"lag_shares": (0.1,)}, {"suction": math.nan}])
def test_wrong_coefficients_are_one_line(wrong):
    with pytest.raises(InputError, match=rf"fluid coefficient {next(iter(wrong))} is .*; expected"):
        FluidCoefficients(**wrong)
