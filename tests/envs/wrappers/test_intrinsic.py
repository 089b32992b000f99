from __future__ import annotations

import copy
import pickle
from collections import Counter
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import InputError
from optgap.envs.wrappers.intrinsic import BONUSES, IntrinsicReward, IntrinsicRewardVector
from optgap.envs.wrappers.places import Place

ENCODED = [name for name in BONUSES if name != "knn"]
ROWS, COLUMNS = 3, 4
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))
actions = st.lists(st.integers(0, 3), min_size=1, max_size=30)


class Walk(gym.Env):
    """A grid of 3 x 4 cells from the top left corner; entering the last cell earns 1 and ends the episode."""

    observation_space = spaces.Discrete(ROWS * COLUMNS)
    action_space = spaces.Discrete(4)
    grid_shape = (ROWS, COLUMNS)
    position_bounds = ((0.0, 0.0), (COLUMNS - 1.0, ROWS - 1.0))

    def __init__(self, ends=True, render_mode=None):
        self.ends, self.render_mode = ends, render_mode

    def answer(self):
        cell = self.row * COLUMNS + self.column
        return cell, {"cell": cell, "position": np.array([self.column, self.row], np.float64)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.row = self.column = 0
        return self.answer()

    def step(self, action):
        down, right = MOVES[action]
        self.row = min(max(self.row + down, 0), ROWS - 1)
        self.column = min(max(self.column + right, 0), COLUMNS - 1)
        cell, info = self.answer()
        last = cell == ROWS * COLUMNS - 1
        return cell, float(last), last and self.ends, False, info


gym.register("WrappedWalk-v0", Walk, disable_env_checker=True, order_enforce=False)


def walks(copies, ends=True):
    return SyncVectorEnv([partial(Walk, ends)] * copies, autoreset_mode=AutoresetMode.NEXT_STEP)


def played(env, taken):
    """(key of the augmented observation before, action, bonus, key after), step by step."""
    observation, _ = env.reset(seed=0)
    before = key(observation)
    for action in taken:
        observation, _, terminated, truncated, info = env.step(action)
        after = key(observation)
        yield before, action, info["intrinsic_reward"], after
        if terminated or truncated:
            return
        before = after


def key(observation):
    if not isinstance(observation, dict):
        return int(observation)
    return int(observation["observation"]), tuple((observation["statistic"].ravel() * 1e4).round().astype(int).tolist())


@pytest.mark.parametrize("bonus", ENCODED)
def test_with_its_statistic_in_the_observation_a_bonus_is_a_function_of_observation_and_action(bonus):
    env = IntrinsicReward(Walk(ends=False), bonus, sofe=True)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(actions, min_size=2, max_size=6))
    def holds(sequences):
        known: dict = {}
        for taken in sequences:
            for order in (taken, sorted(taken)):  # the second brings the same multisets of visits about in other orders
                for before, action, earned, after in played(env, order):
                    first_earned, first_after = known.setdefault((before, action), (earned, after))
                    assert earned == pytest.approx(first_earned, rel=1e-3, abs=1e-3)
                    np.testing.assert_allclose(after[1], first_after[1], atol=2)  # units of 1e-4
                    assert after[0] == first_after[0]

    holds()


@pytest.mark.parametrize("bonus", ENCODED)
def test_equal_visits_in_another_order_are_the_same_augmented_observation(bonus):
    env = IntrinsicReward(Walk(ends=False), bonus, sofe=True)
    there, around = [0, 1, 2, 3], [1, 0, 3, 2]  # both ways round a square
    one, other = list(played(env, there)), list(played(env, around))
    np.testing.assert_allclose(one[-1][3][1], other[-1][3][1], atol=2)
    for action in range(4):
        after = [list(played(env, [*way, action]))[-1] for way in (there, around)]
        assert after[0][2] == pytest.approx(after[1][2], rel=1e-9)
    assert one[2][3] != other[2][3]


@pytest.mark.parametrize("bonus", list(BONUSES))
def test_without_it_equal_observations_and_actions_earn_different_bonuses(bonus):
    earned: dict = {}
    nearest = {"neighbours": 1} if bonus == "knn" else {}
    for before, action, bonus_earned, _ in played(IntrinsicReward(Walk(ends=False), bonus, **nearest), [0, 2, 0, 2, 0]):
        earned.setdefault((before, action), set()).add(round(bonus_earned, 6))
    assert len(earned[0, 0]) > 1


@settings(max_examples=30, deadline=None)
@given(actions)
def test_counts_are_those_of_a_dictionary(taken):
    env, once = IntrinsicReward(Walk(), sofe=True), IntrinsicReward(Walk(), "first-visit", sofe=True)
    observation, info = env.reset(seed=0)
    once.reset(seed=0)
    visits = Counter([info["cell"]])
    for action in taken:
        observation, reward, terminated, _, info = env.step(action)
        shown, _, _, _, first = once.step(action)
        cell = info["cell"]
        assert info["intrinsic_reward"] == 1 / np.sqrt(visits[cell] + 1)
        assert first["intrinsic_reward"] == float(visits[cell] == 0)
        assert reward == float(terminated)  # the coefficient is 0
        visits[cell] += 1
        counts = np.array([visits[c] for c in range(ROWS * COLUMNS)]).reshape(1, ROWS, COLUMNS)
        np.testing.assert_array_equal(observation["statistic"], (1 / np.sqrt(counts + 1)).astype(np.float32))
        np.testing.assert_array_equal(shown["statistic"], (counts == 0).astype(np.float32))
        if terminated:
            break


def test_the_coefficient_adds_the_bonus_to_the_reward():
    env = IntrinsicReward(Walk(), coefficient=0.5)
    assert env.reset(seed=0)[1]["intrinsic_reward"] == 0.0
    assert [env.step(action)[1] for action in (0, 2, 0)] == [0.5, 0.5 / np.sqrt(2), 0.5 / np.sqrt(2)]
    vector = IntrinsicRewardVector(walks(2), coefficient=0.5)
    vector.reset(seed=0)
    np.testing.assert_array_equal(vector.step([0, 3])[1], [0.5, 0.5 / np.sqrt(2)])


@pytest.mark.parametrize("bonus", list(BONUSES))
def test_copies_of_a_vector_environment_earn_and_see_what_single_ones_do(bonus):
    sofe = bonus in ENCODED
    vector, buffered = (IntrinsicRewardVector(walks(3), bonus, 0.1, sofe, copy=kept) for kept in (True, False))
    singles = [IntrinsicReward(Walk(), bonus, 0.1, sofe) for _ in range(3)]
    ended, kept = [False] * 3, []
    vector.reset(seed=0)
    buffered.reset(seed=0)
    for env in singles:
        env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(120):
        taken = rng.choice(4, 3, p=[0.35, 0.35, 0.15, 0.15])
        seen, rewards, terminated, _, info = vector.step(taken)
        again, *_ = buffered.step(taken)
        for i, env in enumerate(singles):
            if ended[i]:  # this step only resets
                (one, told), reward, ended[i] = env.reset(), 0.0, False
                assert info["intrinsic_reward"][i] == 0.0
            else:
                one, reward, ended[i], _, told = env.step(taken[i])
            assert (rewards[i], terminated[i]) == (reward, ended[i])
            assert info["intrinsic_reward"][i] == told["intrinsic_reward"]
            if sofe:
                np.testing.assert_array_equal(seen["statistic"][i], one["statistic"])
                np.testing.assert_array_equal(again["statistic"][i], one["statistic"])
        if sofe:
            assert seen in vector.observation_space
            kept.append((seen["statistic"], seen["statistic"].copy()))
    for answered, then in kept:  # answers are the caller's
        np.testing.assert_array_equal(answered, then)
    assert buffered.step(taken)[0]["statistic"] is again["statistic"] if sofe else True


def test_a_lifetime_statistic_is_of_all_copies_and_episodes():
    vector = IntrinsicRewardVector(walks(2), "count", sofe=True, episodic=False)
    seen, _ = vector.reset(seed=0)
    assert seen["statistic"][0, 0, 0, 0] == np.float32(1 / np.sqrt(3))  # both started there
    np.testing.assert_array_equal(seen["statistic"][0], seen["statistic"][1])
    assert vector.step([0, 0])[4]["intrinsic_reward"].tolist() == [1.0, 1.0]  # both see it as it was before
    seen, *_, info = vector.step([0, 3])
    assert info["intrinsic_reward"].tolist() == [1.0, 1 / np.sqrt(3)]
    vector.reset(seed=0)
    visits = vector.statistic_state()["visits"]
    assert visits.shape == (1, ROWS * COLUMNS)
    assert visits[0, :3].tolist() == [4, 3, 1]
    seen["statistic"][0] = 7.0  # the caller's
    assert vector.step([0, 0])[0]["statistic"].max() <= 1.0


@pytest.mark.parametrize("bonus", list(BONUSES))
def test_a_lifetime_statistic_continues_from_its_state(bonus):
    env, other = (IntrinsicReward(Walk(ends=False), bonus, sofe=bonus in ENCODED, episodic=False) for _ in range(2))
    for _ in played(env, [0, 0, 1, 2, 1]):
        pass
    other.reset(seed=0)
    other.restore_statistic(env.statistic_state())
    for one, two in zip(played(env, [0, 1, 3]), played(other, [0, 1, 3]), strict=True):
        assert one == two
    with pytest.raises(InputError, match="state of the statistic has"):
        other.restore_statistic({"visits": np.zeros(3)})


def test_gymnasium_accepts_the_wrapped_environment(recwarn):
    for bonus in BONUSES:
        env = IntrinsicReward(Walk(), bonus, sofe=bonus in ENCODED)
        with pytest.warns(UserWarning, match="is different from the unwrapped version"):
            check_env(env, skip_render_check=True)
    assert not recwarn.list


def test_it_is_made_anew_from_its_specification_copied_and_pickled():
    env = IntrinsicReward(gym.make("WrappedWalk-v0"), "e3b", 0.5, sofe=True, ridge=0.2, features=4)
    assert env.spec is not None
    anew = gym.make(env.spec)
    env.reset(seed=0)
    env.step(0)
    copies = [anew, copy.deepcopy(env), pickle.loads(pickle.dumps(env))]  # noqa: S301
    anew.reset(seed=0)
    anew.step(0)
    expected = env.step(1)
    for other in copies:
        seen, reward, *_ = other.step(1)
        assert reward == expected[1]
        np.testing.assert_array_equal(seen["statistic"], expected[0]["statistic"])
    vector = IntrinsicRewardVector(walks(2), sofe=True, copy=False)
    vector.reset(seed=0)
    clone = pickle.loads(pickle.dumps(vector))  # noqa: S301
    np.testing.assert_array_equal(vector.step([0, 1])[0]["statistic"], clone.step([0, 1])[0]["statistic"])


class Dumb(Walk):
    """Says nothing of where the agent is."""

    grid_shape = position_bounds = None  # type: ignore[assignment]

    def answer(self):
        return super().answer()[0], {}


class Named(Walk):
    observation_space = spaces.Dict({"cell": spaces.Discrete(12), "statistic": spaces.Discrete(2)})  # type: ignore[assignment]


def where(observation, info):
    return observation, np.stack([observation % COLUMNS, observation // COLUMNS], -1)


@pytest.mark.parametrize("bonus", ["count", "smax"])
def test_any_environment_with_a_function_that_says_where_its_agent_is(bonus):
    place = Place(where, Walk.grid_shape, Walk.position_bounds)
    env, walk = IntrinsicReward(Dumb(), bonus, place=place), IntrinsicReward(Walk(), bonus)
    assert [step[2] for step in played(env, [0, 1, 2])] == [step[2] for step in played(walk, [0, 1, 2])]
    asked = IntrinsicReward(Walk(), bonus, place=where)
    assert [step[2] for step in played(asked, [0, 1, 2])] == [step[2] for step in played(walk, [0, 1, 2])]
    dumb = SyncVectorEnv([Dumb] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    vector = IntrinsicRewardVector(dumb, bonus, place=place)
    vector.reset()
    assert vector.step([0, 1])[4]["intrinsic_reward"][0] == next(played(walk, [0]))[2]


class Line(Dumb):
    grid_shape = 5  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntrinsicReward(Walk(), "counts"), "bonus is 'counts'; expected one of count, first-visit, e3b"),
        (lambda: IntrinsicReward(Walk(), "knn", sofe=True), "'knn' has no statistic of fixed size"),
        (lambda: IntrinsicReward(Walk(), "e3b", rigde=1.0), "'e3b' has no parameter 'rigde'; known: ridge, features"),
        (lambda: IntrinsicReward(Walk(), "smax", ridge=0.0), "ridge is 0.0; expected a number from 1e-09 to 1e\\+09"),
        (lambda: IntrinsicReward(Walk(), "e3b", ridge=1e-300), "ridge is 1e-300"),
        (lambda: IntrinsicReward(Walk(), "smax", ridge="a"), "ridge is 'a'; expected a number"),
        (lambda: IntrinsicReward(Walk(), "e3b", features=-1), "features is -1"),
        (lambda: IntrinsicReward(Walk(), "e3b", features=1.5), "features is 1.5; expected a whole number"),
        (lambda: IntrinsicReward(Walk(), "e3b", features=10**9), r"inverse \(1, 1000000000, 1000000000\) float64"),
        (lambda: IntrinsicReward(Walk(), place=Place(where, (10**9, 10**9))), "expected at most 256"),
        (lambda: IntrinsicReward(Walk(), ["count"]), r"bonus is \['count'\]; expected one of"),
        (lambda: IntrinsicReward(Walk(), sofe="no"), "sofe is 'no'; expected true or false"),
        (lambda: IntrinsicReward(Walk(), episodic=None), "episodic is None; expected true or false"),
        (lambda: IntrinsicReward(Walk(), coefficient=np.nan), "coefficient is nan; expected a finite number"),
        (lambda: IntrinsicReward(Walk(), coefficient="a"), "coefficient is 'a'; expected a finite number"),
        (lambda: IntrinsicReward(Walk(), max_mib=True), "max_mib is True; expected a number above 0"),
        (lambda: IntrinsicReward(Walk(), place=3), r"place is 3; expected a Place, or where\(observation, info\)"),
        (lambda: Place(3), "where is 3; expected where"),
        (lambda: Place(where, 5), "grid_shape is 5; expected rows and columns"),
        (lambda: Place(where, (2.5, 3)), r"grid_shape is \(2.5, 3\)"),
        (lambda: Place(where, None, "ab"), "position_bounds are 'ab'"),
        (lambda: Place(where, None, ((), ())), "position_bounds are"),
        (lambda: IntrinsicReward(Line()), "grid_shape is 5; expected rows and columns"),
        (lambda: IntrinsicReward(Walk(), "count", centred="yes"), "centred is 'yes'; expected true or false"),
        (lambda: IntrinsicReward(Walk(), max_mib="a"), "max_mib is 'a'; expected a number above 0"),
        (lambda: IntrinsicReward(Walk(), "knn", memory="a"), "memory is 'a'; expected a whole number"),
        (lambda: IntrinsicReward(Walk(), "knn", neighbours=9, memory=8), "neighbours is 9"),
        (lambda: IntrinsicReward(Walk(), max_mib=1e-5), r"visits \(1, 12\) int64.*expected at most 1e-05"),
        (lambda: IntrinsicReward(Dumb()), r"attribute grid_shape = \(rows, columns\); or give place=Place"),
        (lambda: IntrinsicReward(Dumb(), "smax"), "attribute position_bounds"),
        (lambda: IntrinsicReward(Dumb(), place=Place(where, (0, 3))), "grid_shape is"),
        (lambda: IntrinsicReward(Dumb(), "smax", place=Place(where, None, ((0, 0), (1, 0)))), "position_bounds are"),
        (lambda: IntrinsicReward(Named(), sofe=True), "has the key 'statistic' already"),
        (lambda: IntrinsicReward(Dumb(), place=Place(lambda o, i: (None, None), (3, 4))).reset(), "does not say where"),
        (lambda: IntrinsicReward(Dumb(), place=Place(lambda o, i: (12, None), (3, 4))).reset(), "integers in 0..11"),
        (lambda: IntrinsicReward(Dumb(), place=Place(lambda o, i: (2.7, None), (3, 4))).reset(), "integers in 0..11"),
        (lambda: IntrinsicReward(Dumb(), place=Place(lambda o, i: ("3", None), (3, 4))).reset(), "integers in 0..11"),
        (lambda: IntrinsicReward(Dumb(), place=Place(lambda o, i: ([1, 2], None), (3, 4))).reset(), r"of shape \(\)"),
        (
            lambda: IntrinsicReward(
                Dumb(), "e3b", place=Place(lambda o, i: (0, (np.nan, 0.0)), None, ((0, 0), (1, 1)))
            ).reset(),
            r"position of .* expected finite numbers of shape \(2,\)",
        ),
        (
            lambda: IntrinsicRewardVector(SyncVectorEnv([Walk], autoreset_mode=AutoresetMode.SAME_STEP)),
            "autoreset mode",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
