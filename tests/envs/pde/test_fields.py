"""The environments: rewards against their definitions, symmetries, limits, bad input, and what the baselines earn."""

from __future__ import annotations

import math
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.optimize import lsq_linear  # type: ignore[import-untyped]

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.pde.baselines import FlowRegulator, regulator
from optgap.envs.pde.burgers import HIGH, INTERVAL, LOW
from optgap.envs.pde.config import BurgersConfig, KuramotoSivashinskyConfig
from optgap.envs.pde.field_batch import Field
from optgap.envs.pde.kuramoto_sivashinsky import ks_line

KS, BURGERS = KuramotoSivashinskyConfig(), BurgersConfig()
both = pytest.mark.parametrize("config", [KS, BURGERS], ids=["ks", "burgers"])


def play(config: Any, policy: Any, copies: int, seed: int = 0) -> tuple[Any, dict[str, Any]]:
    """Returns (B,) of one episode of each copy, and what its last step says."""
    env: Any = config.make_vec(copies)
    observation, _ = env.reset(seed=seed)
    returns = np.zeros(copies)
    for t in range(config.steps):
        observation, reward, terminated, truncated, info = env.step(policy(observation, None))
        returns += reward
        assert not terminated.any()
        assert truncated.all() == (t == config.steps - 1)
    return returns, info


def fields_of(config: Any, start: Any, actions: Any) -> list[Any]:
    """The field after each action of one episode from ``start``."""
    env: Any = config.make()
    env.reset(options={"instance": Field("given", np.asarray(start))})
    found = []
    for action in actions:
        env.step(np.asarray(action))
        found.append(env.unwrapped.batch.grid[0].copy())
    return found


def a_start(config: Any, seed: int = 3) -> Any:
    env: Any = config.make()
    env.reset(seed=seed)
    return env.unwrapped.batch.instances[0].values


def test_the_reward_is_minus_dissipation_and_power():
    """Against D and P of the definition at the ends of each control step, which are close to its means."""
    env: Any = KS.make()
    actuators = KS.batch(1).line.actuators()
    _, info = env.reset(seed=1)
    assert info["dissipation"] == info["power"] == 0
    rng, sums, returned = np.random.default_rng(0), np.zeros(2), 0.0
    q = 2 * np.pi * np.arange(33) / KS.length
    for t in range(1, 41):
        action, ends = rng.uniform(-1, 1, 4), []
        before = env.unwrapped.batch.grid[0].copy()
        observation, reward, *_, info = env.step(action)
        for field in (before, observation.astype(np.float64)):
            u_x, u_xx = np.fft.irfft(1j * q * np.fft.rfft(field)), np.fft.irfft(-(q**2) * np.fft.rfft(field))
            force = 0.5 * action @ actuators
            ends.append([(u_xx**2).mean(), (u_x**2).mean() + (field * force).mean()])
        assert reward == pytest.approx(-np.mean(ends, axis=0).sum(), rel=0.02)
        sums += np.mean(ends, axis=0)
        returned += reward
        assert (info["dissipation"], info["power"]) == pytest.approx(tuple(sums / t), rel=0.02)
        assert info["dissipation"] + info["power"] == pytest.approx(-returned / t, rel=1e-12)


def test_burgers_rewards_the_error_that_is_observed():
    env: Any = BURGERS.make()
    observation, info = env.reset(seed=1)
    assert info["error"] == 0
    rng, squares, reward = np.random.default_rng(0), [], 0.0
    for t in range(61):
        phase = np.pi * t * INTERVAL / 15
        assert observation[-2:] == pytest.approx([np.sin(phase), np.cos(phase)], abs=1e-6)
        field = env.unwrapped.batch.grid[0]
        np.testing.assert_allclose(observation[:-2], field - 0.5 - 0.05 * np.sin(phase), atol=1e-7)
        if t:
            squares.append((observation[:-2].astype(np.float64) ** 2).mean())
            assert reward == pytest.approx(-10 * squares[-1], rel=1e-5)
            assert info["error"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
        if t < 60:
            observation, reward, *_, info = env.step(rng.uniform(-1, 1, 2))


def test_the_starts_are_the_published_ones():
    x = np.arange(150) / 150
    parts = []
    for seed in range(20):
        start = a_start(BURGERS, seed) - 0.2
        bump, wave = 0.2 * np.exp(-25 * (x - 0.5) ** 2), 0.2 * np.sin(4 * np.pi * x)
        part = (start - wave) @ (bump - wave) / ((bump - wave) @ (bump - wave))
        np.testing.assert_allclose(start, part * bump + (1 - part) * wave, atol=1e-12)
        parts.append(part)
    assert min(parts) >= 0
    assert max(parts) <= 1
    assert np.ptp(parts) > 0.5


def test_the_actuators_are_the_published_ones_and_wrap_around():
    x = np.arange(64) * KS.length / 64
    found = KS.batch(1).line.actuators()
    for i in range(4):
        away = np.minimum(np.abs(x - i * KS.length / 4), KS.length - np.abs(x - i * KS.length / 4))
        np.testing.assert_allclose(found[i], np.exp(-(away**2) / 2) / np.sqrt(2 * np.pi), atol=1e-12)
    x = np.arange(150) / 150
    for force, centre in zip(BURGERS.batch(1).line.actuators(), (0.25, 0.75), strict=True):
        np.testing.assert_allclose(force, np.exp(-225 * (x - centre) ** 2), atol=1e-6)  # and images


def test_symmetries():
    """u(x) -> u(x - L/4) and u(x) -> -u(-x) are symmetries where the actuators' amplitudes follow."""
    start, rng = a_start(KS), np.random.default_rng(2)
    actions = rng.uniform(-1, 1, (20, 4))
    plain = np.array(fields_of(KS, start, actions))
    moved = np.array(fields_of(KS, np.roll(start, 16), np.roll(actions, 1, axis=1)))
    np.testing.assert_allclose(np.roll(plain, 16, axis=1), moved, atol=1e-9)
    mirror = -np.arange(64) % 64
    mirrored = np.array(fields_of(KS, -start[mirror], -actions[:, [0, 3, 2, 1]]))
    np.testing.assert_allclose(-plain[:, mirror], mirrored, atol=1e-9)
    start, actions = a_start(BURGERS), rng.uniform(-1, 1, (20, 2))
    plain = np.array(fields_of(BURGERS, start, actions))
    moved = np.array(fields_of(BURGERS, np.roll(start, 75), actions[:, ::-1]))
    np.testing.assert_allclose(np.roll(plain, 75, axis=1), moved, atol=1e-12)


@both
def test_where_a_copy_stands_changes_nothing(config):
    start, rng = Field("given", a_start(config)), np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (5, config.batch(1).action_space().shape[0]))
    alone = fields_of(config, start.values, actions)
    vector: Any = config.make_vec(7)
    vector.reset(seed=0)
    others = vector.unwrapped.batch.instances[:6]
    vector.reset(options={"instances": [*others, start]})
    for action, field in zip(actions, alone, strict=True):
        all_actions = rng.uniform(-1, 1, (7, len(action)))
        all_actions[6] = action
        vector.step(all_actions)
        np.testing.assert_array_equal(vector.unwrapped.batch.grid[6], field)


@both
@pytest.mark.parametrize("seed", range(2))
def test_time_steps_agree_with_a_fine_reference(config, seed):
    """An episode's first quarter under random actions, against sixteen times as many time steps."""
    start = a_start(config, seed)
    actions = np.random.default_rng(seed).uniform(-1, 1, (15, config.batch(1).action_space().shape[0]))
    fine = type(config)(substeps=16 * config.substeps)
    errors = [
        np.abs(a - b).max()
        for a, b in zip(fields_of(config, start, actions), fields_of(fine, start, actions), strict=True)
    ]
    assert errors[0] < 1e-5
    assert max(errors) < 3e-5


def test_full_force_stays_within_the_bounds_of_burgers():
    """By the comparison principle no control can exceed what full force does, nor fall below what the least force does."""
    extremes = []
    for action in (1.0, -1.0):
        env: Any = BURGERS.make_vec(64)
        env.reset(seed=0)
        for _ in range(BURGERS.steps):
            env.step(np.full((64, 2), action))
            extremes += [env.unwrapped.batch.grid.max(), env.unwrapped.batch.grid.min()]
    assert max(extremes) == pytest.approx(0.81, abs=0.01)
    assert min(extremes) > 0


@both
def test_a_field_that_diverges_ends_its_episode_alone(config):
    """Just below the limit and pushed up, beside a copy that is calm."""
    near = Field("near", np.full(config.points, 0.999 * config.batch(1).line.speed))
    env: Any = config.make_vec(2)
    env.reset(seed=0)
    env.reset(options={"instances": [env.unwrapped.batch.instances[0], near]})
    for _ in range(10):
        observation, reward, terminated, truncated, info = env.step(np.ones(env.action_space.shape))
        assert env.observation_space.contains(observation)
        assert not truncated.any()
        if terminated.any():
            break
    assert terminated.tolist() == [False, True]
    assert info["reason"].tolist() == ["", "diverged"]
    left = config.steps + 1 - len(info["solution"][1])
    assert reward[1] == pytest.approx((-100.0 if config is KS else -24.025) * left)
    *_, terminated, _, info = env.step(np.zeros(env.action_space.shape))
    assert info["reason"].tolist() == ["", ""]
    assert not terminated.any()


def test_what_is_not_a_number_is_never_seen():
    """Time steps that are stable at the limit alone: a field put far beyond, by hand, overflows."""
    for config in (KS, BURGERS):
        env: Any = config.make()
        env.reset(seed=0)
        env.unwrapped.batch.modes *= 1e4
        observation, reward, terminated, truncated, info = env.step(np.zeros(env.action_space.shape))
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        assert terminated
        assert not truncated
        assert info["reason"] == "diverged"
        assert env.reset()[1]["reason"] == ""


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        (KuramotoSivashinskyConfig, {"points": 63}, "points is 63; expected an even number"),
        (KuramotoSivashinskyConfig, {"points": 16}, "the resolution limit is 2"),
        (KuramotoSivashinskyConfig, {"points": 4.0}, "points is 4.0; expected a whole number from 8 to 1024"),
        (KuramotoSivashinskyConfig, {"length": float("nan")}, "length is nan; expected a number from 1e-06 to 1e"),
        (KuramotoSivashinskyConfig, {"length": "long"}, "length is 'long'"),
        (KuramotoSivashinskyConfig, {"length": 10**400}, "length is 1000"),
        (BurgersConfig, {"viscosity": 1e-300}, "viscosity is 1e-300; expected a number from"),
        (KuramotoSivashinskyConfig, {"steps": 0}, "steps is 0; expected a whole number from 1"),
        (KuramotoSivashinskyConfig, {"substeps": True}, "substeps is True"),
        (BurgersConfig, {"viscosity": 0}, "viscosity is 0; expected a number from 1e-06 to 1e"),
        (
            BurgersConfig,
            {"viscosity": 0.001},
            "the cell Reynolds number at speed 1 and viscosity 0.001 is 6.67; the limit is 2",
        ),
        (BurgersConfig, {"viscosity": 0.001}, "takes 500 points (of at most 1024) or a viscosity of 0.00333"),
    ],
)
def test_bad_arguments_are_one_line(config, arguments, said):
    with pytest.raises(InputError, match="(?s)" + re.escape(said)) as error:
        config(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("config", "substeps"), [(KuramotoSivashinskyConfig, 3), (BurgersConfig, 10)])
def test_unstable_time_steps_are_refused_with_the_number_that_is_enough(config, substeps):
    with pytest.raises(
        InputError, match=r"amplifies waves by .* the stability limit is .* takes (\d+) substeps"
    ) as error:
        gym.make(config.id, substeps=substeps)
    enough = int(str(error.value).split()[-2])
    config(substeps=enough).make()
    with pytest.raises(InputError):
        config(substeps=enough - 1).make()


@both
def test_bad_actions_and_fields_change_nothing(config):
    env, size = config.make_vec(2), config.batch(1).action_space().shape[0]
    env.reset(seed=0)
    before = env.unwrapped.batch.grid.copy()
    for bad in (1.5, -np.inf, np.nan):
        actions = np.zeros((2, size))
        actions[1, 0] = bad
        with pytest.raises(InvalidActionError, match=f"in copy 1; expected {size} numbers in -1..1"):
            env.step(actions)
    with pytest.raises(InvalidActionError):
        env.step(np.zeros((2, size + 1)))
    single: Any = config.make()
    high, low = 21.0 * np.ones(config.points), -21.0 * np.ones(config.points)
    square = np.where(np.arange(config.points) % 8 < 4, high, low) * env.unwrapped.batch.line.speed / 21.0
    for values, said in (
        (np.zeros(3), "has shape"),
        (high, "reaches 21;"),
        (math.nan * high, "reaches nan;"),
        (square, "without the waves that the grid does not resolve, reaches"),  # an overshoot
    ):
        with pytest.raises(InputError, match=f"field odd.* {said}"):
            single.reset(options={"instance": Field("odd", values)})
    with pytest.raises(InputError, match="begins with a Field"):
        single.reset(options={"instance": 3})
    np.testing.assert_array_equal(env.unwrapped.batch.grid, before)


@pytest.mark.parametrize("values", ["x", None, [[0.0]] * 64, [0.0, "a"], [[0.0], [0.0, 1.0]]])
def test_a_field_that_is_no_row_of_numbers_is_one_line(values):
    with pytest.raises(InputError, match=r"field odd: values are .*; expected a row of numbers"):
        Field("odd", values)


def test_a_field_is_kept_as_it_was_given():
    values = np.zeros(64)
    field = Field("flat", values)
    values[:] = 1.0
    assert not field.values.any()
    env = KS.make(render_mode="rgb_array")
    env.reset(options={"instance": Field("listed", [0.0] * 64)})
    assert env.render().shape == (600, 800, 3)


@both
def test_pictures_and_solutions(config):
    env: Any = gym.make(config.id, steps=3, render_mode="rgb_array")
    env.reset(seed=0)
    sizes, actions = [env.render().shape], np.random.default_rng(0).uniform(-1, 1, (3, *env.action_space.shape))
    for action in actions:
        *_, info = env.step(action)
        sizes.append(env.render().shape)
    assert set(sizes) == {(600, 800, 3)}
    np.testing.assert_array_equal(info["solution"], actions)
    batch: Any = env.unwrapped.batch
    *_, last = batch.evolve(batch.instances[0].values[None], actions[:, None])
    np.testing.assert_array_equal(last, batch.grid)  # what is drawn is what was played


def most_earned(start: Any) -> float:
    """A bound of every control's return on Burgers: the mean alone, which the mean force alone moves, off its target."""
    line = BURGERS.batch(1).line
    push = INTERVAL * line.actuators().mean(axis=1).sum()
    target = 0.5 + 0.05 * np.sin(np.pi * INTERVAL / 15 * np.arange(1, 61))
    best = lsq_linear(np.tril(np.full((60, 60), push)), target - start.mean(), (LOW, HIGH), tol=1e-12)
    return -10 * 2 * float(best.cost)


def test_burgers_baselines_against_the_bound():
    copies = 20
    env: Any = BURGERS.make_vec(copies)
    env.reset(seed=0)
    bounds = np.array([most_earned(instance.values) for instance in env.unwrapped.batch.instances])
    policies = BURGERS.baselines()
    rng = np.random.default_rng(0)
    random, _ = play(BURGERS, lambda o, _: rng.uniform(-1, 1, (len(o), 2)), copies)
    zero, _ = play(BURGERS, policies["zero"], copies)
    rule, _ = play(BURGERS, policies["proportional"], copies)
    assert (rule <= bounds).all()
    assert (rule > 1.02 * bounds).all()  # within 2%
    assert zero.mean() == pytest.approx(-42, abs=5)
    assert random.mean() == pytest.approx(-22, abs=3)


def test_zero_control_of_burgers_is_no_force():
    action = BURGERS.baselines()["zero"](np.zeros((1, 152)), None)[0]
    fields = fields_of(BURGERS, a_start(BURGERS), [action] * 10)
    assert fields[-1].mean() == pytest.approx(a_start(BURGERS).mean(), abs=1e-9)


def test_the_regulator_solves_its_riccati_equation():
    """The scalar one by hand: x' = 2 x + u, weights 1 and 1: p^2 - 4 p - 1 = 0, gain 2 p / (1 + p)."""
    p = 2 + np.sqrt(5)
    gain = regulator(np.array([[2.0]]), np.eye(1), np.eye(1), np.eye(1))
    assert gain[0, 0] == pytest.approx(2 * p / (1 + p), rel=1e-9)


def test_a_flow_lets_the_actuators_hold_the_front_flat():
    line = ks_line(KS.length, 64, 4)
    assert FlowRegulator(line, flow=0.0).radius > 1  # sin(2 pi 2 x / L) grows where no actuator reaches it
    policy = FlowRegulator(line, flow=1.0)
    assert policy.radius < 1
    x = 2 * np.pi * np.arange(64) / 64
    start = Field("ripple", 1 + 0.05 * np.sin(2 * x) + 0.05 * np.cos(x))
    steep = []
    for choose in (policy, KS.baselines()["zero"]):
        env: Any = KS.make()
        observation, _ = env.reset(options={"instance": start})
        for _ in range(KS.steps):
            observation, reward, *_ = env.step(choose(observation[None], None)[0])
        steep.append(-reward)
    assert steep[0] < 1e-3
    assert steep[1] > 0.5


def test_baselines_of_kuramoto_sivashinsky():
    copies, policies, rng = 20, KS.baselines(), np.random.default_rng(0)
    zero, info = play(KS, policies["zero"], copies)
    regulated, _ = play(KS, policies["lqr"], copies)
    random, _ = play(KS, lambda o, _: rng.uniform(-1, 1, (len(o), 4)), copies)
    np.testing.assert_allclose(info["dissipation"] + info["power"], -zero / KS.steps, rtol=1e-12)
    assert zero.mean() == pytest.approx(-1058, abs=120)
    assert random.mean() == pytest.approx(-1113, abs=120)
    assert regulated.mean() == pytest.approx(-390, abs=60)
