"""The tiny slicing environment is the model that it says it is, and the model is the problem that is wanted."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InfeasibleError, InputError, InvalidActionError
from optgap.co.exact.constrained_mdp import averages, solve_constrained_mdp
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.slicing.tiny import NAMES, ROOM, STATES, TinySlicingConfig, states_of


@pytest.fixture(scope="module")
def config():
    return TinySlicingConfig()


def play(config, copies, steps, policy, seed=0):
    """(states, actions, rewards, costs, next states) of a stationary policy (N, A); none of an automatic reset."""
    env = config.make_vec(copies)
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    found: list[tuple[np.ndarray, ...]] = []
    ended = False
    while len(found) < steps:
        state = states_of(observation)
        action = (rng.random((copies, 1)) > np.cumsum(policy[state], 1)[:, :-1]).sum(1)
        observation, reward, terminated, truncated, info = env.step(action)
        assert not terminated.any()
        if not ended:
            found.append((state, action, reward, info["cost"], states_of(observation)))
        else:
            assert not reward.any()
            assert not info["cost"].any()
        ended = truncated.all()
        assert ended == truncated.any()
    return [np.array(column) for column in zip(*found, strict=True)]


def test_the_model_is_what_the_description_says_in_a_state_by_hand(config):
    P, r, c, _, start = config.model()
    # q0 = 3, q1 = 1, bad channel: the one unit goes to slice 0 with action 2; 2 packets of it and 1 of video wait.
    s = (3 * 5 + 1) * 2
    assert r[s, 2] == 2.0
    assert r[s, 0] == 1.0
    assert c[0, s, 2] == pytest.approx(3 / 0.8)
    assert c[1, s, 2] == 0.0  # at most 3 packets come
    none0, none1 = (1 - 0.8 / 3) ** 3, (1 - 1.2 / 3) ** 3
    assert P[2, s, (2 * 5 + 1) * 2] == pytest.approx(none0 * none1 * 0.8)
    assert P[2, s, (2 * 5 + 1) * 2 + 1] == pytest.approx(none0 * none1 * 0.2)
    full = (4 * 5 + 4) * 2 + 1
    assert c[1, full, 3] == pytest.approx(1.0)  # nothing of video is served: all that come are dropped
    assert r[full, 1] == 2.0 + 2.0
    np.testing.assert_allclose(P.sum(2), 1.0, atol=1e-12)
    assert start.sum() == pytest.approx(1.0)


def test_the_limits_make_a_problem(config):
    """The best policy without limits breaks both, and the best one within them randomizes, at the price of both."""
    P, r, c, limits, _ = config.model()
    free = solve_constrained_mdp(P, r, c, [np.inf, np.inf])
    assert (free.costs > 1.1 * limits).all()
    optimum = config.optimum()
    assert optimum.costs == pytest.approx(limits, abs=1e-8)
    assert (optimum.multipliers > 0.1).all()
    assert optimum.value < free.value - 0.05
    assert optimum.value == pytest.approx(2.5677502, abs=1e-6)
    assert optimum.bound == pytest.approx(optimum.value, abs=1e-8)
    visited = optimum.occupancy.sum(1) > 1e-6
    assert (optimum.policy[visited].max(1) < 1 - 1e-6).sum() == 2


def test_no_policy_without_randomness_near_the_optimum_reaches_it(config):
    P, r, c, limits, _ = config.model()
    optimum = config.optimum()
    for choice in range(4):  # each of the two randomized states decided one way or the other
        policy = optimum.policy.copy()
        mixed = np.flatnonzero((policy.max(1) < 1 - 1e-6) & (optimum.occupancy.sum(1) > 1e-6))
        for bit, s in enumerate(mixed):
            options = np.flatnonzero(policy[s])
            policy[s] = np.eye(4)[options[choice >> bit & 1]]
        found = averages(P, r, c, policy)
        assert found.value < optimum.value or (found.costs > limits + 1e-6).any()


def test_frequencies_of_transitions_rewards_and_costs_are_the_models(config):
    P, r, c, _, start = config.model()
    copies, steps = 400, 600
    state, action, reward, cost, after = play(config, copies, steps, np.full((STATES, 4), 0.25))
    np.testing.assert_array_equal(reward, r[state, action])
    np.testing.assert_array_equal(cost[..., 0], c[0, state, action])
    seen = np.zeros((4, STATES, STATES))
    np.add.at(seen, (action, state, after), 1)
    visits = seen.sum(2, keepdims=True)
    assert seen[P == 0].sum() == 0
    z = (seen - visits * P) / np.sqrt(np.maximum(visits * P * (1 - P), 1e-9))
    enough = (visits * P > 25) & (P < 1)
    assert enough.sum() > 1200
    assert np.abs(z[enough]).max() < 5.5
    assert (z[enough] ** 2).mean() == pytest.approx(1.0, abs=0.1)
    drops = np.zeros((STATES, 4))
    np.add.at(drops, (state, action), cost[..., 1])
    pairs = visits[..., 0].T
    expected = c[1][pairs > 200]
    error = drops[pairs > 200] / pairs[pairs > 200] - expected
    assert np.abs(error).max() < 6 * np.sqrt(3 / 1.2 / 200)
    assert np.abs(error.mean()) < 0.01
    first = np.bincount(np.concatenate([state[0], state[200], state[400]]), minlength=STATES)
    assert np.abs(first - 1200 * start).max() < 5 * np.sqrt(1200 * start.max())


def test_an_episodes_mean_under_the_optimum_is_its_value(config):
    optimum = config.optimum()
    _, _, reward, cost, _ = play(config, 500, 400, optimum.policy, seed=1)
    assert reward.mean() == pytest.approx(optimum.value, abs=0.02)
    assert cost.mean((0, 1)) == pytest.approx(optimum.costs, rel=0.02)
    # no transient: an episode begins where the policy is in the long run
    _, _, _, early, _ = play(config, 20_000, 5, optimum.policy, seed=2)
    assert early.mean((0, 1)) == pytest.approx(optimum.costs, rel=0.03)


def test_states_and_observations_are_one_to_one(config):
    env = config.make()
    seen = set()
    observation, _ = env.reset(seed=0)
    for _ in range(2000):
        seen.add((tuple(observation.tolist()), int(states_of(observation))))
        *_, truncated, _ = answer = env.step(env.action_space.sample())
        observation = env.reset()[0] if truncated else answer[0]
    assert len({shown for shown, _ in seen}) == len({number for _, number in seen}) == len(seen) > 40
    for (q0, q1, good), number in seen:
        assert number == (round(q0 * ROOM) * 5 + round(q1 * ROOM)) * 2 + good


def test_costs_and_limits_are_found_by_agents(config):
    env, vector = config.make(decisions=3, limits=[2.0, np.inf]), config.make_vec(2, decisions=3)
    assert env.unwrapped.cost_names == vector.unwrapped.cost_names == NAMES
    assert env.unwrapped.cost_limits.tolist() == [2.0, np.inf]
    assert vector.unwrapped.cost_limits.tolist() == [1.55, 0.115]
    env.reset(seed=0)
    for step in range(3):
        *_, terminated, truncated, info = env.step(1)
        assert (terminated, truncated) == (False, step == 2)
        assert info["cost"].shape == (2,)
        assert info["cost"].dtype == np.float64
    vector.reset(seed=0)
    for step in range(8):
        *_, truncated, info = vector.step(np.array([1, 2]))
        assert info["cost"].shape == (2, 2)
        assert truncated.all() == truncated.any() == (step % 4 == 2)


def test_registered_under_the_name_that_users_type():
    env: Any = gym.make("optgap/TinySlicing-v0", limits=(1.6, 0.2))
    assert ENVIRONMENTS.load("tiny-slicing") is TinySlicingConfig
    assert env.unwrapped.cost_limits.tolist() == [1.6, 0.2]


def test_limits_that_no_policy_meets_are_found_when_the_configuration_is_made():
    with pytest.raises(InfeasibleError, match=r"latency/urllc is at least 1\.18\d* \(limit 1\)") as error:
        TinySlicingConfig(limits=(1.0, 0.2))
    assert "drop/video" not in str(error.value)
    with pytest.raises(InfeasibleError, match=r"drop/video.*latency/urllc is at least"):
        gym.make("optgap/TinySlicing-v0", limits=(1.3, 0.05))


@pytest.mark.parametrize(
    "arguments",
    [
        {"limits": (1.0,)},
        {"limits": "ab"},
        {"limits": (1.5, float("nan"))},
        {"limits": None},
        {"arrivals": (-0.1, 1.0)},
        {"arrivals": (0.0, 1.0)},
        {"arrivals": (1.0, 3.1)},
        {"decisions": 0},
        {"decisions": 1.5},
    ],
)
def test_an_argument_out_of_its_range_is_one_line(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))) as error:
        TinySlicingConfig(**arguments)
    assert "\n" not in str(error.value)


def test_an_action_out_of_range_moves_no_copy(config):
    env, other = config.make().unwrapped, config.make_vec(3).unwrapped
    env.reset(seed=0)
    for wrong in (-1, 4, 1.0, None, np.nan, [1]):
        with pytest.raises(InvalidActionError):
            env.step(wrong)
    other.reset(seed=0)
    before = other.batch.observation()
    for actions in ([0, 4, 0], [0.0, 1.0, 2.0], [0, 1]):
        with pytest.raises(InvalidActionError):
            other.step(np.array(actions))
    np.testing.assert_array_equal(before, other.batch.observation())
