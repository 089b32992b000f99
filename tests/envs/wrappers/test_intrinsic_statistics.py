"""The kernels against formulas, with ``numpy.linalg``."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.envs.wrappers.intrinsic import IntrinsicRewardVector
from optgap.envs.wrappers.places import Place
from optgap.envs.wrappers.statistics.ellipse import WIDTH, Ellipse
from optgap.envs.wrappers.statistics.statistic import Setting

BOUNDS = ((-1.0, 0.0), (3.0, 2.0))
RIDGE = 0.3
histories = st.integers(0, 2**32 - 1)


class Told(VectorEnv):
    """Copies that are where the next action, a position in BOUNDS or a little beyond, says; none ends."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    single_observation_space = spaces.Discrete(1)
    single_action_space = spaces.Box(-9, 9, (2,), np.float64)

    def __init__(self, num_envs, starts):
        self.num_envs, self.starts = num_envs, starts

    def reset(self, *, seed=None, options=None):
        return np.zeros(self.num_envs, np.int64), {"position": self.starts}

    def step(self, actions):
        never = np.zeros(self.num_envs, np.bool_)
        return np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs), never, never, {"position": actions}


def scaled(positions):
    low, high = np.array(BOUNDS)
    return np.clip(2 * (positions - low) / (high - low) - 1, -1, 1)


def earned(seed, bonus, copies, episodic, **parameters):
    """Bonuses (T, B) and the scaled positions (T + 1, B, 2) that earned them, the statistic's arrays and what is seen."""
    rng = np.random.default_rng(seed)
    paths = rng.uniform((-1.2, -0.2), (3.2, 2.2), (rng.integers(2, 25), copies, 2))
    place = Place(lambda observation, info: (None, info["position"]), None, BOUNDS)
    env = IntrinsicRewardVector(
        Told(copies, paths[0]), bonus, sofe=bonus != "knn", episodic=episodic, place=place, **parameters
    )
    env.reset()
    bonuses = []
    for positions in paths[1:]:
        seen, *_, info = env.step(positions)
        bonuses.append(info["intrinsic_reward"])
    return np.array(bonuses), scaled(paths), env.statistic_state(), seen


def before(x, t, b, episodic):
    """Positions visited before step ``t`` by copy ``b``, or by all."""
    return x[: t + 1, b] if episodic else x[: t + 1].reshape(-1, 2)


def rooted(matrix):
    entries = matrix[np.triu_indices(len(matrix))]
    return np.sign(entries) * np.sqrt(np.abs(entries))


@pytest.mark.parametrize("episodic", [True, False])
@pytest.mark.parametrize("features", [0, 5])
@settings(max_examples=15, deadline=None)
@given(seed=histories)
def test_the_ellipse_is_the_inverse_of_the_sum_of_outer_products(seed, episodic, features):
    bonuses, x, state, seen = earned(seed, "e3b", 3, episodic, ridge=RIDGE, features=features)
    rng = np.random.default_rng(0)
    W, phases = rng.normal(0, 1 / WIDTH, (features, 2)), rng.uniform(0, 2 * np.pi, features)

    def phi(x):
        return np.sqrt(2 / features) * np.cos(x @ W.T + phases) if features else np.insert(x, 0, 1.0, axis=-1)

    def inverse(visited):
        return np.linalg.inv(RIDGE * np.eye(phi(x).shape[-1]) + phi(visited).T @ phi(visited))

    for t in range(len(bonuses)):
        for b in range(3):
            u = phi(x[t + 1, b])
            assert bonuses[t, b] == pytest.approx(u @ inverse(before(x, t, b, episodic)) @ u, rel=1e-8, abs=1e-8)
    for row in range(3 if episodic else 1):
        expected = inverse(before(x, len(bonuses), row, episodic))
        np.testing.assert_allclose(state["inverse"][row], expected, atol=1e-8)
        np.testing.assert_allclose(seen["statistic"][row], rooted(RIDGE * expected), atol=1e-5)


@pytest.mark.parametrize("episodic", [True, False])
@settings(max_examples=15, deadline=None)
@given(seed=histories)
def test_smax_is_minus_the_log_density_of_the_fitted_gaussian(seed, episodic):
    bonuses, x, state, seen = earned(seed, "smax", 3, episodic, ridge=RIDGE)

    def covariance(visited):
        return np.cov(visited.T, ddof=0) + RIDGE * np.eye(2) / len(visited)

    for t in range(len(bonuses)):
        for b in range(3):
            visited = before(x, t, b, episodic)
            off, C = x[t + 1, b] - visited.mean(0), covariance(visited)
            expected = 0.5 * (off @ np.linalg.inv(C) @ off + np.log(np.linalg.det(2 * np.pi * C)))
            assert bonuses[t, b] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    for row in range(3 if episodic else 1):
        visited = before(x, len(bonuses), row, episodic)
        assert state["n"][row] == len(visited)
        shown = [1 / np.sqrt(len(visited)), *visited.mean(0), *rooted(covariance(visited) / (1 + RIDGE))]
        np.testing.assert_allclose(seen["statistic"][row], shown, atol=1e-5)
        np.testing.assert_allclose(state["scatter"][row], (visited - visited.mean(0)).T @ (visited - visited.mean(0)))


@pytest.mark.parametrize("episodic", [True, False])
@settings(max_examples=15, deadline=None)
@given(seed=histories, neighbours=st.integers(1, 4), memory=st.integers(4, 9))
def test_knn_is_the_distance_to_the_kth_nearest_remembered_position(seed, neighbours, memory, episodic):
    bonuses, x, *_ = earned(seed, "knn", 3, episodic, neighbours=neighbours, memory=memory)
    for t in range(len(bonuses)):
        for b in range(3):
            distances = np.sort(np.linalg.norm(before(x, t, b, episodic)[-memory:] - x[t + 1, b], axis=1))
            assert bonuses[t, b] == pytest.approx(distances[:neighbours][-1], rel=1e-12)


def test_encodings_are_bounded_whatever_is_visited():
    corners = np.array([[-9.0, -9.0], [9.0, 9.0], [9.0, -9.0]])
    for bonus in ("e3b", "smax"):
        place = Place(lambda observation, info: (None, info["position"]), None, BOUNDS)
        env = IntrinsicRewardVector(Told(3, corners), bonus, sofe=True, place=place)
        seen, _ = env.reset()
        for t in range(500):
            assert seen in env.observation_space
            seen, *_ = env.step(np.roll(corners, t, axis=0))


def test_an_ellipse_of_a_million_visits_stays_the_inverse():
    rng = np.random.default_rng(1)
    place = Place(lambda observation, info: (None, None), None, BOUNDS)
    ellipse = Ellipse(Setting(place, 1000, False, False, 1.0))
    fresh, never, bonus = np.zeros(1000, np.bool_), np.zeros(1000, np.bool_), np.zeros(1000)
    total = ellipse.ridge * np.eye(3)
    for _ in range(1000):
        positions = rng.uniform(*BOUNDS, (1000, 2))
        ellipse.visit(positions, fresh, never, never, bonus)
        phi = np.insert(scaled(positions), 0, 1.0, axis=-1)
        total += phi.T @ phi
    np.testing.assert_allclose(ellipse.arrays["inverse"][0] @ total, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("episodic", [True, False])
@pytest.mark.parametrize("bonus", ["count", "first-visit"])
@settings(max_examples=10, deadline=None)
@given(seed=histories)
def test_a_centred_map_is_the_other_turned_by_the_place(seed, bonus, episodic):
    shape, copies = (3, 4), 2
    cells = np.random.default_rng(seed).integers(12, size=(15, copies))
    place = Place(lambda observation, info: (info["position"].astype(np.int64), None), shape)
    envs = [
        IntrinsicRewardVector(Told(copies, cells[0]), bonus, sofe=True, episodic=episodic, place=place, **more)
        for more in ({}, {"centred": True})
    ]
    for env in envs:
        env.reset()
    for now in cells[1:]:
        (plain, *_, info), (turned, *_, same) = (env.step(now) for env in envs)
        np.testing.assert_array_equal(info["intrinsic_reward"], same["intrinsic_reward"])
        for b in range(copies):
            row, column = divmod(int(now[b]), 4)
            wanted = np.roll(plain["statistic"][b, 0], (1 - row, 2 - column), (0, 1))
            np.testing.assert_array_equal(turned["statistic"][b, 0], wanted)
            assert turned["statistic"][b, 0, 1, 2] < 1  # the agent's own cell was visited
