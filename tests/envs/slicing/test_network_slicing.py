"""``optgap/NetworkSlicing-v0``: returns, costs, actions, arguments; the rest is in the conformance suite."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import slicing_cases
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError, InvalidActionError
from optgap.co.formats.archives import write_archive
from optgap.co.problems.slicing import SLICING, SlicingInstance
from optgap.envs.constrained_box import ConstrainedBox
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.slicing.config import SlicingConfig
from optgap.envs.slicing.env import SlicingEnv

SMALL = {"users": 8, "decisions": 4, "decision_slots": 40}


def play(env: Any, actions: Any) -> tuple[float, Any, dict[str, Any]]:
    """Return, (T, m) costs and the last info of an episode that has been reset."""
    total, costs, info = 0.0, [], {}
    for t, action in enumerate(actions):
        _, reward, terminated, truncated, info = env.step(action)
        total += reward
        costs.append(info["cost"])
        assert not terminated
        assert truncated == (t == len(actions) - 1)
    return total, np.array(costs), info


@settings(max_examples=40)
@given(slicing_cases.cells(), st.integers(0, 2**32), st.booleans())
def test_return_costs_and_solution_are_those_of_the_problem(
    instance: SlicingInstance, seed: int, projected: bool
) -> None:
    env = SlicingEnv(instances=[instance], projected=projected, limits=[0.0] * (2 * instance.n_slices))
    env.reset(seed=0)
    actions = slicing_cases.shares_of(instance, seed)
    if projected:
        actions = np.random.default_rng(seed).normal(0.3, 1, actions.shape)
    total, costs, info = play(env, actions)
    SLICING.check(instance, info["solution"])
    assert total == SLICING.cost(instance, info["solution"])
    np.testing.assert_array_equal(costs, SLICING.costs(instance, info["solution"]))
    assert costs.dtype == np.float64
    if not projected:
        np.testing.assert_array_equal(info["solution"], actions)


def test_a_seed_plays_the_trace_that_generate_draws() -> None:
    env: Any = SlicingConfig(**SMALL, variation="regime").make().unwrapped
    env.reset(seed=9)
    drawn = SLICING.generate(np.random.default_rng(9), **SMALL, variation="regime")
    played = env.batch.instances[0]
    for name in ("rate", "packet_slot", "packet_user", "packet_bits"):
        np.testing.assert_array_equal(getattr(played, name), getattr(drawn, name))


@pytest.mark.parametrize(
    ("action", "shares"),
    [
        ([0.2, 0.3, 0.4], [0.2, 0.3, 0.4]),
        ([-1.0, 0.3, 0.4], [0.0, 0.3, 0.4]),
        ([0.5, 0.5, 0.6], [0.3, 0.3, 0.4]),  # 0.2 less each
        ([1e6, 0.0, -1e6], [1.0, 0.0, 0.0]),
        ([5, 5, 0], [0.5, 0.5, 0.0]),  # whole numbers are numbers
    ],
)
def test_the_projected_face_takes_the_nearest_shares(action: Any, shares: Any) -> None:
    env = gym.make("optgap/NetworkSlicing-v0", **SMALL).unwrapped
    env.reset(seed=0)
    _, _, info = play(env, [action] * 4)
    np.testing.assert_allclose(info["solution"], [shares] * 4, atol=1e-7)


@pytest.mark.parametrize("projected", [True, False])
def test_an_action_that_cannot_be_taken_changes_nothing(projected: bool) -> None:
    env, untouched = (gym.make("optgap/NetworkSlicing-v0", **SMALL, projected=projected).unwrapped for _ in range(2))
    env.reset(seed=0)
    untouched.reset(seed=0)
    wrong = [[np.nan, 0, 0], [np.inf, 0, 0], [0.1, 0.1], [[0.1, 0.1, 0.1]], 0.5, None, "abc", [None] * 3, [1, [2], 3]]
    wrong += [[2e6, 0, 0]] if projected else [[-1e-6, 0, 0], [0.5, 0.5, 0.1], [1.1, 0, 0]]
    for _ in range(4):
        for action in wrong:
            with pytest.raises(InvalidActionError, match="expected") as error:
                env.step(action)
            assert "\n" not in str(error.value)
        good = np.array([0.1, 0.2, 0.7], np.float32)
        assert data_equivalence(env.step(good), untouched.step(good), exact=True)


def test_a_wrong_action_in_one_copy_moves_no_copy() -> None:
    vector, untouched = (SlicingConfig(**SMALL, projected=False).make_vec(3) for _ in range(2))
    assert isinstance(vector.single_action_space, ConstrainedBox)
    vector.reset(seed=2)
    untouched.reset(seed=2)
    good = np.full((3, 3), 0.3, np.float32)
    for copy in range(3):
        bad = good.copy()
        bad[copy, 1] = np.nan
        with pytest.raises(InvalidActionError, match=f"copy {copy}"):
            vector.step(bad)
    for malformed in (good[:2], good[:, :2], good[0], None):
        with pytest.raises(InvalidActionError, match="expected"):
            vector.step(malformed)
    assert data_equivalence(vector.step(good), untouched.step(good), exact=True)


def test_costs_are_there_at_the_end_and_nothing_after_a_reset() -> None:
    vector: Any = SlicingConfig(**SMALL).make_vec(2)
    _, info = vector.reset(seed=0)
    assert info["cost"].shape == (2, 6)
    assert not info["cost"].any()
    for t in range(5):
        _, rewards, _, truncated, info = vector.step(np.zeros((2, 3), np.float32))
        assert truncated.all() == (t == 3)
        assert info["cost"].any() == (t < 4)
        assert info["cost"].dtype == np.float64
    assert not rewards.any()
    assert vector.unwrapped.cost_names[0] == "latency/voip"


def test_copies_of_different_sizes_and_rewards() -> None:
    given = [
        SLICING.generate(np.random.default_rng(s), **SMALL | {"users": 4 + s, "decisions": 2 + s}) for s in range(3)
    ]
    vector = SlicingConfig(instances=given).make_vec(3)
    vector.reset(options={"instances": given})
    total, ended = np.zeros(3), np.zeros(3, np.bool_)
    for _ in range(4):
        _, reward, _, truncated, info = vector.step(np.full((3, 3), 0.3))
        total += np.where(ended, 0.0, reward)
        for b in np.flatnonzero(truncated & ~ended):
            assert total[b] == SLICING.cost(given[b], info["solution"][b])
        ended |= truncated
    assert ended.all()


def test_arguments_reach_the_cell() -> None:
    env = ENVIRONMENTS.load("slicing")(slices=["video", "urllc"], mix=[3, 1], limits=[1, 2, 3, 4], **SMALL).make()
    assert env.observation_space.shape == (18,)
    assert env.unwrapped.cost_names == ("latency/video", "latency/urllc", "drop/video", "drop/urllc")
    assert env.unwrapped.cost_limits.tolist() == [1, 2, 3, 4]
    env.reset(seed=0)
    assert np.bincount(env.unwrapped.batch.instances[0].user_slice).tolist() == [6, 2]
    four: Any = SlicingConfig(slices=("voip", "video", "urllc", "best-effort")).make()
    assert four.unwrapped.cost_limits.tolist() == [0.1, 0.2, 0.85, 1.0, 0.01, 0.01, 0.02, 0.05]


def test_traces_come_by_name_file_or_as_they_are(tmp_path: Any) -> None:
    write_archive(tmp_path / "one.npz", SLICING.generate(np.random.default_rng(0), **SMALL))
    for instances, name in ((tmp_path / "one.npz", "one"), ("slicing-25-s3", "slicing-25-s3")):
        _, info = SlicingConfig(instances=instances).make().reset(seed=0)
        assert info["instance"] == name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"users": 0}, "users is 0"),
        ({"bandwidth": 0.0}, "bandwidth is 0.0"),
        ({"load": -0.5}, "load is -0.5"),
        ({"limits": [1, 2]}, r"limits are \[1, 2\]; expected 6 numbers: latency/voip"),
        ({"limits": [np.nan] * 6}, "finite"),
        ({"instances": []}, "instances is empty"),
        ({"instances": ["slicing-x"]}, "unknown slicing instance 'slicing-x'"),
        ({"instances": [3]}, "is a int"),
        ({"instances": [slicing_cases.by_hand()]}, "slice type is 'only'"),  # which has no default limits
    ],
)
def test_bad_arguments_are_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        gym.make("optgap/NetworkSlicing-v0", **arguments)
    assert "\n" not in str(error.value)


def test_a_trace_with_other_slices_is_refused_and_the_episode_goes_on() -> None:
    env = gym.make("optgap/NetworkSlicing-v0", **SMALL).unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match="has slices"):
        env.reset(options={"instance": slicing_cases.by_hand()})
    env.step(np.zeros(3))


def test_an_episode_goes_on_from_a_pickle() -> None:
    env = gym.make("optgap/NetworkSlicing-v0", **SMALL)
    env.reset(seed=0)
    env.step(np.full(3, 0.2, np.float32))
    again = pickle.loads(pickle.dumps(env))  # noqa: S301  (our own)
    action = np.full(3, 0.3, np.float32)
    assert data_equivalence(env.step(action), again.step(action), exact=True)


def test_pictures_show_every_decision() -> None:
    env = gym.make("optgap/NetworkSlicing-v0", render_mode="rgb_array", **SMALL)
    env.reset(seed=0)
    before = env.render()
    env.step(np.array([0.1, 0.2, 0.7], np.float32))
    after = env.render()
    assert before.shape == after.shape
    assert before.dtype == np.uint8
    assert (before != after).any()
    text = gym.make("optgap/NetworkSlicing-v0", render_mode="ansi", **SMALL)
    text.reset(seed=0)
    text.step(np.array([0.25, 0.25, 0.5], np.float32))
    lines = text.render().splitlines()
    assert "decision 1 of 4" in lines[0]
    bar = lines[-1].split("|")[1]
    assert len(lines[-1]) == 80
    assert {letter: bar.count(letter) for letter in "vu"} == {"v": 24, "u": 24}


def test_the_equal_share_breaks_a_default_limit_and_a_rule_that_follows_demand_keeps_all() -> None:
    copies = 12
    batch = SlicingConfig().batch(copies)
    no_one, means = np.zeros(copies, np.bool_), []
    for follow in (False, True):
        batch.reset(~no_one, [np.random.default_rng(seed) for seed in range(copies)])
        total = np.zeros(6)
        for _ in range(100):
            seen, shares = batch.observation().reshape(copies, 3, 9), np.full((copies, 3), 1 / 3)
            if follow:
                shares[:, :2] = 0.005 + 1.2 * seen[:, :2, 1] + seen[:, :2, 2]
                shares[:, 2] = 1 - shares[:, :2].sum(1)
            batch.step(shares, no_one)
            total += batch.state.cost.mean(0)
        means.append(total / 100)
    assert (means[0] <= batch.cost_limits).tolist() == [True, True, False, True, True, False]
    assert (means[1] <= batch.cost_limits).all()
