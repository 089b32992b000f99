"""The solver against exact solutions, an independent solver, and the laws that the equations keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp  # type: ignore[import-untyped]

from optgap.envs.pde import burgers
from optgap.envs.pde.kuramoto_sivashinsky import growth_rate
from optgap.envs.pde.spectral import (
    advance,
    amplification,
    kept_waves,
    make_scheme,
    make_workspace,
    put_fields,
)

LENGTH = 8 * np.pi
POINTS = 64
X = np.arange(POINTS) * LENGTH / POINTS
FRONT = np.cos(X / 4) * (1 + np.sin(X / 2)) + 0.5 * np.cos(3 * X / 4 + 1)
damping_rate = partial(burgers.damping_rate, 0.01)


class Solver:
    """Fields (B, N) that follow an equation under a constant force (N,)."""

    def __init__(
        self, start: Any, dt: float, force: Any = 0.0, length: float = LENGTH, rate: Callable[[Any], Any] = growth_rate
    ) -> None:
        self.grid = np.array(np.atleast_2d(start), np.float64)
        copies, points = self.grid.shape
        self.dt, self.scheme = dt, make_scheme(length, points, rate, dt)
        self.work = make_workspace(self.scheme, points)
        self.modes, self.budget = np.zeros((copies, len(self.scheme.wave))), np.zeros((copies, 3))
        self.force = self.put(np.broadcast_to(force, (1, points)).astype(np.float64).copy())
        self.modes = self.put(self.grid)

    def put(self, grid: Any) -> Any:
        modes = np.zeros((len(grid), len(self.scheme.wave)))
        put_fields(self.scheme, np.ones(len(grid), np.bool_), self.work, grid, modes)
        return modes

    def run(self, time: float) -> Any:
        """The fields after ``time``; the budget is that of this time."""
        copies, steps = len(self.grid), round(time / self.dt)
        assert steps * self.dt == pytest.approx(time)
        one, none = np.ones((copies, 1)), np.zeros(copies, np.bool_)
        advance(self.scheme, self.modes, one, self.force, none, steps, self.work, self.grid, self.budget)
        return self.grid


@given(points=st.integers(4, 80).map(lambda n: 2 * n), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_transform_is_the_discrete_fourier_transform(points, seed):
    grid = np.random.default_rng(seed).standard_normal((2, points))
    expected = np.fft.rfft(grid, axis=1) / points
    expected[:, kept_waves(points) + 1 :] = 0
    solver = Solver(grid, 1.0)
    np.testing.assert_allclose(solver.grid, np.fft.irfft(expected * points, points, axis=1), atol=1e-13)
    squares = (solver.scheme.share * solver.modes**2).sum(axis=1)  # Parseval
    np.testing.assert_allclose(squares, (solver.grid**2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(solver.modes[:, 0], grid.mean(axis=1), atol=1e-14)


@pytest.mark.parametrize(
    ("start", "length", "rate", "time", "steps"),
    [
        (FRONT, LENGTH, growth_rate, 1.0, (32, 64, 128)),
        (0.3 + 0.2 * np.sin(2 * np.pi * np.arange(150) / 150), 1.0, damping_rate, 0.5, (20, 40, 80)),
    ],
)
def test_fourth_order_in_time(start, length, rate, time, steps):
    force = 0.1 * np.exp(np.cos(2 * np.pi * np.arange(len(start)) / len(start)))
    exact = Solver(start, time / 1024, force, length, rate).run(time).copy()
    errors = [np.abs(Solver(start, time / n, force, length, rate).run(time) - exact).max() for n in steps]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 4) < 0.25).all(), (errors, orders)


def test_an_independent_solver_agrees():
    """Adaptive Runge-Kutta of eighth order on complex modes, the product by zero-padding to twice the points."""
    force = np.exp(-((X - LENGTH / 2) ** 2) / 2)
    waves = kept_waves(POINTS)
    q = 2 * np.pi * np.arange(waves + 1) / LENGTH
    force_modes = np.fft.rfft(force)[: waves + 1] / POINTS

    def slope(_: float, z: Any) -> Any:
        padded = np.zeros(POINTS + 1, np.complex128)
        padded[: waves + 1] = z
        field = np.fft.irfft(padded * 2 * POINTS, 2 * POINTS)
        square = np.fft.rfft(field**2 / 2)[: waves + 1] / (2 * POINTS)
        return growth_rate(q) * z - 1j * q * square + force_modes

    begin = np.fft.rfft(FRONT)[: waves + 1] / POINTS
    answer = solve_ivp(slope, (0, 3), begin, method="DOP853", rtol=1e-10, atol=1e-12)
    expected = np.fft.irfft(np.pad(answer.y[:, -1], (0, POINTS // 2 - waves)) * POINTS, POINTS)
    np.testing.assert_allclose(Solver(FRONT, 1 / 128, force).run(3.0)[0], expected, atol=1e-7)
    np.testing.assert_allclose(Solver(FRONT, 1 / 16, force).run(3.0)[0], expected, atol=1e-4)  # the environment's step


@pytest.mark.parametrize("wave", range(1, 7))
def test_small_waves_grow_at_their_rate(wave):
    q, time = 2 * np.pi * wave / LENGTH, 4.0
    start = 1e-7 * np.cos(q * X)
    found = Solver(start, 1 / 16).run(time)[0]
    np.testing.assert_allclose(found, np.exp((q**2 - q**4) * time) * start, atol=1e-12)


def cole_hopf(x: Any, t: float, viscosity: float, flow: float) -> Any:
    """u = flow - 2 nu p'/p at x - flow t, for p = 1 + 0.6 cos(2 pi x) + 0.2 sin(6 pi x), each wave damped as by heat."""
    y = x - flow * t
    first, third = 0.6 * np.exp(-viscosity * 4 * np.pi**2 * t), 0.2 * np.exp(-viscosity * 36 * np.pi**2 * t)
    p = 1 + first * np.cos(2 * np.pi * y) + third * np.sin(6 * np.pi * y)
    slope = -2 * np.pi * first * np.sin(2 * np.pi * y) + 6 * np.pi * third * np.cos(6 * np.pi * y)
    return flow - 2 * viscosity * slope / p


@pytest.mark.parametrize("flow", [0.0, 0.5])
@pytest.mark.parametrize("viscosity", [0.01, 0.05])
def test_burgers_follows_the_exact_solution_of_cole_and_hopf(viscosity, flow):
    x = np.arange(150) / 150
    rate = partial(burgers.damping_rate, viscosity)
    solver = Solver(cole_hopf(x, 0.0, viscosity, flow), 1 / 24, 0.0, 1.0, rate)
    for t in (0.5, 1.0, 3.0):
        solver.run(t - (0.0 if t == 0.5 else 0.5 if t == 1.0 else 1.0))
        np.testing.assert_allclose(solver.grid[0], cole_hopf(x, t, viscosity, flow), atol=2e-4)
    fine = Solver(cole_hopf(x, 0.0, viscosity, flow), 1 / 384, 0.0, 1.0, rate).run(0.5)[0]
    np.testing.assert_allclose(fine, cole_hopf(x, 0.5, viscosity, flow), atol=1e-8)


def test_the_mean_changes_by_the_mean_force_alone():
    still = Solver(FRONT + 0.3, 1 / 16).run(50.0)[0]
    assert still.mean() == pytest.approx((FRONT + 0.3).mean(), abs=1e-13)
    force = np.exp(-((X - LENGTH / 2) ** 2))
    pushed = Solver(FRONT, 1 / 16, force).run(5.0)[0]
    assert pushed.mean() == pytest.approx(FRONT.mean() + 5 * force.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("start", "length", "rate", "gain"),
    [
        (FRONT, LENGTH, growth_rate, lambda curvature, gradient: gradient - curvature),
        (0.3 + 0.2 * np.sin(2 * np.pi * np.arange(150) / 150), 1.0, damping_rate, lambda _, gradient: -0.01 * gradient),
    ],
)
def test_the_energy_changes_by_its_budget(start, length, rate, gain):
    """d/dt of <u^2> / 2 = <u_x^2> - <u_xx^2> + <u f>, or -nu <u_x^2> + <u f>: the product u u_x carries nothing."""
    force, time, errors = 0.2 * np.exp(-((np.arange(len(start)) / len(start) - 0.5) ** 2) * 30), 1.0, []
    for steps in (16, 32, 64):
        solver = Solver(start, time / steps, force, length, rate)
        before = (solver.grid**2).mean() / 2
        change = (solver.run(time) ** 2).mean() / 2 - before
        curvature, gradient, work = solver.budget[0]
        errors.append(abs(change - time * (gain(curvature, gradient) + work)))
    assert errors[-1] < 1e-4 * before
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)  # the means over time are trapezoidal
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_left_alone_three_steady_cells_remain():
    """The state that the environment's documentation warns of: dissipation and power balance at 1.907."""
    solver = Solver(np.cos(3 * X / 4) + 1e-3 * np.cos(X / 4), 1 / 16)
    solver.run(300.0)
    before = solver.grid.copy()
    solver.run(10.0)
    np.testing.assert_allclose(before, solver.grid, atol=1e-4)
    assert solver.budget[0, 0] == pytest.approx(1.907, abs=1e-3)
    assert solver.budget[0, 1] == pytest.approx(solver.budget[0, 0], abs=1e-4)
    assert np.abs(np.fft.rfft(solver.grid[0]))[1:6].argmax() == 2


@pytest.mark.parametrize(
    ("rate", "length", "points", "dt", "speed"),
    [
        (growth_rate, LENGTH, 64, 1 / 8, 20.0),
        (growth_rate, LENGTH, 64, 1 / 16, 20.0),
        (damping_rate, 1.0, 150, 1 / 20, 1.0),
        (damping_rate, 1.0, 150, 1 / 24, 1.0),
    ],
)
def test_the_amplification_is_that_of_small_waves_on_a_uniform_flow(rate, length, points, dt, speed):
    x = np.arange(points) * length / points
    found = []
    for k in range(1, kept_waves(points) + 1):
        solver = Solver(speed + 1e-6 * np.cos(2 * np.pi * k * x / length), dt, 0.0, length, rate)
        solver.run(dt)
        found.append(np.abs(np.fft.rfft(solver.grid[0]))[k] * 2 / points / 1e-6)
    growth, most = amplification(length, points, rate, dt, speed)
    assert max(1.0, *found) == pytest.approx(max(1.0, growth), rel=1e-4)
    q = 2 * np.pi * np.arange(kept_waves(points) + 1) / length
    assert most == pytest.approx(max(1.0, np.exp(dt * rate(q)).max()))


def test_copies_do_not_touch_each_other():
    rng = np.random.default_rng(0)
    starts = rng.standard_normal((5, 1)) * FRONT
    together = Solver(starts, 1 / 16).run(5.0)
    for start, field in zip(starts, together, strict=True):
        np.testing.assert_array_equal(Solver(start, 1 / 16).run(5.0)[0], field)


@pytest.mark.parametrize(
    ("start", "length", "rate", "time", "dt", "tolerance"),
    [
        (lambda s: np.cos(s) * (1 + np.sin(2 * s)) + 2 * np.cos(3 * s + 1), LENGTH, growth_rate, 5.0, 1 / 64, 1e-5),
        (lambda s: 0.2 + 0.2 * np.exp(-25 * (s / 2 / np.pi - 0.5) ** 2), 1.0, damping_rate, 0.5, 1 / 96, 1e-6),
    ],
)
def test_the_grids_resolve_their_fields(start, length, rate, time, dt, tolerance):
    points = 64 if length == LENGTH else 150
    fields = [
        Solver(start(2 * np.pi * np.arange(n) / n), dt, 0.0, length, rate).run(time)[0] for n in (points, 2 * points)
    ]
    assert np.ptp(fields[0]) > 0.1
    np.testing.assert_allclose(fields[0], fields[1][::2], atol=tolerance)
