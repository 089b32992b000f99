import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.finray.batch import FinRayBatch, Start
from optgap.envs.finray.config import STIFFNESS_LIMIT, FinRayConfig
from optgap.envs.finray.high_batch import HighFidelityRays
from optgap.envs.finray.high_fidelity import HighFidelityConfig
from optgap.envs.finray.surrogate import Surrogate


def play(config, actions, seed=0):
    """Total reward, thrust and work of each step, and the last info."""
    env = config.make()
    env.reset(seed=seed)
    motion, total, found = env.get_wrapper_attr("batch").rays.motion, 0.0, []
    for action in actions:
        _, reward, terminated, truncated, info = env.step(np.array([action], np.float32))
        total += reward
        found.append((motion.thrust[0], motion.work[0]))
        if terminated or truncated:
            break
    return total, np.array(found), info


@pytest.mark.parametrize("objective", ["thrust", "efficiency", "limited-thrust"])
def test_the_return_is_the_objective(objective):
    actions = np.random.default_rng(3).uniform(-1, 1, 60)
    config = FinRayConfig(objective=objective, steps=60, power_limit=0.1, penalty=2.0, epsilon=0.3)
    total, found, info = play(config, actions)
    thrust, effort = 0.05 * found[:, 0].sum(), found[found[:, 1] > 0, 1].sum()
    assert len(found) == 60
    assert effort / 3 > 0.1  # the power limit binds; an episode takes 60 x 0.05 = 3
    expected = {
        "thrust": thrust / 3,
        "efficiency": thrust / (effort + 0.3),
        "limited-thrust": thrust / 3 - 2.0 * (effort / 3 - 0.1),
    }[objective]
    assert total == pytest.approx(expected, rel=1e-12)
    assert info["thrust"] == pytest.approx(thrust / 3, rel=1e-12)
    assert info["power"] == pytest.approx(effort / 3, rel=1e-12)
    assert info["efficiency"] == pytest.approx(thrust / (effort + 0.3), rel=1e-12)
    np.testing.assert_array_equal(info["solution"], actions.astype(np.float32)[:, None])


def test_an_unlimited_power_costs_nothing():
    actions = np.sin(np.arange(40))
    limited, plain = (
        play(FinRayConfig(objective=objective, steps=40, power_limit=100.0), actions)[0]
        for objective in ("limited-thrust", "thrust")
    )
    assert limited == pytest.approx(plain, rel=1e-12)


def test_the_moment_follows_at_its_rate():
    env = FinRayConfig(max_moment=0.5, max_rate=2.0).make()
    env.reset(seed=0)
    seen = [float(env.step(np.array([a], np.float32))[0][10]) for a in (1, 1, 0.5, 0.5, -1)]
    np.testing.assert_allclose(seen, [0.2, 0.4, 0.5, 0.5, 0.3], atol=1e-6)  # 2 x 0.05 a step, of 0.5


def test_what_is_seen():
    env = FinRayConfig(steps=10).make()
    s = np.linspace(0, 1, 6)
    seen, info = env.reset(options={"instance": Start("bent", 0.2 * s)})
    assert info["instance"] == "bent"
    np.testing.assert_allclose(seen[:5], 0.2 * np.array([0.1, 0.3, 0.5, 0.7, 0.9]), rtol=1e-6)
    np.testing.assert_array_equal(seen[5:], [0] * 16 + [1])
    motion = env.get_wrapper_attr("batch").rays.motion
    forces: list[float] = []
    for step in range(6):
        seen, *_ = env.step(np.array([0.3], np.float32))
        forces = [motion.thrust[0] / 2, motion.lateral[0] / 2, *forces]
        np.testing.assert_allclose(seen[11:19], (forces + [0] * 8)[:8], rtol=1e-6)
        assert seen[21] == pytest.approx(1 - (step + 1) / 10)
    # links' middles stand at 0.05, 0.15, ...: two of ten are about each place
    np.testing.assert_allclose(seen[:5], motion.angle[0].reshape(5, 2).mean(1), rtol=1e-6)
    np.testing.assert_allclose(seen[5:10], motion.rate[0].reshape(5, 2).mean(1) / 5, rtol=1e-6)


def test_a_ray_that_diverges_ends_the_episode_with_a_reason():
    config = FinRayConfig(max_moment=1000.0, max_rate=1e5)
    env = config.make()
    before, _ = env.reset(seed=0)
    total = 0.0
    for _ in range(200):
        seen, reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
        total += reward
        assert np.isfinite(seen).all()
        if terminated:
            break
        before = seen
    assert terminated
    assert not truncated
    assert info["reason"].startswith("a link turned by over 3.14 rad")
    np.testing.assert_array_equal(seen[:11], before[:11])
    assert total == pytest.approx(env.get_wrapper_attr("batch").thrust_work[0] / 10)
    # the batched environment goes on with the others, and with this one after a reset
    vector = config.make_vec(2)
    vector.reset(seed=0)
    ended = np.zeros(2, np.bool_)
    for _ in range(200):
        _, _, stop, _, infos = vector.step(np.array([[1.0], [0.0]], np.float32))
        ended |= stop
        if stop[0]:
            assert infos["reason"][0]
            _, reward, stop, *_, infos = vector.step(np.array([[1.0], [0.0]], np.float32))
            assert not stop[0]
            assert reward[0] == 0.0
            assert infos["reason"].tolist() == ["", ""]
            break
    assert ended.tolist() == [True, False]


def test_actions_outside_are_refused_and_change_nothing():
    env: Any = FinRayConfig().make().unwrapped
    env.reset(seed=0)
    kept = env.batch.rays.motion.angle.copy()
    for action in (1.01, -2.0, math.nan):
        with pytest.raises(InvalidActionError, match=r"copy 0; expected a number in -1..1"):
            env.step(np.array([action]))
    np.testing.assert_array_equal(env.batch.rays.motion.angle, kept)
    assert env.batch.step_count[0] == 0


def test_starts_are_small_and_of_the_seed():
    bends = []
    env = FinRayConfig(bend=0.05).make()
    for seed in range(20):
        env.reset(seed=seed)
        bends.append(env.get_wrapper_attr("batch").instances[0].bend)
    assert np.abs(bends).max() <= 0.05
    assert np.abs(bends).max() > 0.03
    assert len({float(b[-1]) for b in bends}) == 20
    assert not np.array(bends)[:, 0].any()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fidelity": "low"}, "fidelity is 'low'; expected one of surrogate, high"),
        ({"objective": "speed"}, "objective is 'speed'; expected one of thrust, efficiency, limited-thrust"),
        ({"steps": 0}, "steps is 0; expected a whole number from 1"),
        ({"max_moment": 0}, "max_moment is 0; expected a number from 1e-06 to 1e"),
        ({"penalty": -1.0}, "penalty is -1.0; expected 0 or a number from 1e-06 to 1e"),
        ({"stiffness": math.nan}, "stiffness is nan; expected a number"),
        ({"stiffness": 101.0}, "stiffness is 101.0; expected at most STIFFNESS_LIMIT = 100: the time step"),
        ({"mass": 10**400}, "mass is 1000"),
        ({"mass": 1e300}, "mass is 1e"),
        ({"bend": 2.0}, "bend is 2.0; expected at most 1 rad"),
        ({"problem": "x"}, "has no argument 'problem'; known: .* penalty, epsilon$"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, said):
    with pytest.raises(InputError, match=said):
        gym.make("optgap/FinRay-v0", **arguments)


def test_numbers_of_numpy_are_numbers():
    assert FinRayConfig(steps=np.int64(2), mass=np.float32(0.5)).batch(1).steps == 2


@pytest.mark.parametrize("stiffness", [3.0, STIFFNESS_LIMIT])
def test_the_time_step_resolves_rays_up_to_the_limit(stiffness):
    thrusts = []
    for substeps in (5, 80):
        rays = Surrogate(1, FinRayConfig(stiffness=stiffness).ray, substeps=substeps)
        rays.reset(np.ones(1, np.bool_), 0.05 * np.linspace(0, 1, 10)[None] ** 2)
        moments = np.cumsum(np.clip(8.0 * np.sin(np.arange(100) * 0.45), -1.2, 1.2))
        total = 0.0
        for moment in moments - moments.mean():
            rays.advance(np.array([moment]), np.zeros(1, np.bool_))
            total += rays.motion.thrust[0] / len(moments)
        thrusts.append(total)
    assert thrusts[0] == pytest.approx(thrusts[1], abs=0.01)


def test_an_unstable_high_fidelity_is_refused_before_the_run():
    with pytest.raises(InputError, match="expected at least MASS_LIMIT"):
        FinRayConfig(fidelity="high", mass=0.01)
    with pytest.raises(InputError, match=r"1000 copies of a flow of 384 x 256 cells; expected at most 682"):
        FinRayConfig(fidelity="high").batch(1000)


@pytest.mark.parametrize("bend", [[0.1], [0.0, 2.0], [0.0, math.nan], "bent", [0.0, "x"], [[0.0], [0.0, 1.0]]])
def test_a_start_that_cannot_be_is_one_line(bend):
    with pytest.raises(InputError, match="start wrong: bend is"):
        Start("wrong", bend)


def test_an_instance_of_something_else_is_refused():
    with pytest.raises(InputError, match="instance is a int; expected a Start"):
        FinRayConfig().make().unwrapped.reset(options={"instance": 3})


def test_pictures_are_of_one_size():
    env = FinRayConfig().make(render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    for _ in range(30):
        env.step(np.ones(1, np.float32))
    last = env.render()
    assert first.shape == last.shape == (400, 700, 3)
    assert (first != last).any()


def test_high_fidelity_has_the_same_face():
    config = FinRayConfig(steps=3)
    small = HighFidelityConfig(
        cells=16, reynolds=100, upstream=1, downstream=2, height=2.5, settling=0.1, ray=config.ray
    )
    limits = {"steps": 3, "control_step": 0.05, "max_moment": 1.0, "max_rate": 8.0}
    batch = FinRayBatch(2, HighFidelityRays(2, small), objective=config.objective_of("thrust"), bend=0.05, **limits)
    everyone, rngs = np.ones(2, np.bool_), [np.random.default_rng(0) for _ in range(2)]
    batch.reset(everyone, rngs)
    peer = config.batch(2)
    peer.reset(everyone, [np.random.default_rng(0) for _ in range(2)])
    np.testing.assert_allclose(batch.observation(), peer.observation(), atol=1e-4)
    total = np.zeros(2)
    for _ in range(3):
        batch.step(np.full((2, 1), 0.1), np.zeros(2, np.bool_))
        total += batch.reward
        assert np.isfinite(batch.observation()).all()
    np.testing.assert_array_equal(batch.observation()[0], batch.observation()[1])
    assert batch.truncated.all()
    np.testing.assert_allclose(total, batch.thrust_work / 0.15)
    assert batch.info()["power"][0] > 0
    assert batch.picture(0, "rgb_array").shape == (400, 700, 3)
