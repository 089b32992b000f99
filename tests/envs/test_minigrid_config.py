from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from optgap.co.core import InputError, MissingExtraError
from optgap.envs.gym_config import GymConfig, LunarLanderConfig
from optgap.envs.minigrid_config import CategoricalGrid, DoorKeyConfig, FetchConfig, GoToDoorConfig, MiniGridConfig
from optgap.envs.registry import ENVIRONMENTS

pytest.importorskip("minigrid")
NAMES = [name for name in ENVIRONMENTS if name.startswith("minigrid-")]


@pytest.mark.filterwarnings("error", "ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("name", NAMES)
def test_a_named_grid_keeps_the_promises_of_gymnasium(name):
    env = ENVIRONMENTS.load(name)().make()
    check_env(env, skip_render_check=True)
    vector = ENVIRONMENTS.load(name)().make_vec(3)
    observation, _ = vector.reset(seed=0)
    assert vector.observation_space.contains(observation)
    assert observation["image"].shape == (3, 147)
    env.close()
    vector.close()


def test_the_names():
    plain = ["doorkey", "fetch", "fourrooms", "gotodoor", "keycorridor", "redbluedoors", "unlock"]
    sized = ["doorkey-8x8", "keycorridor-s3r3", "multiroom-n6"]
    assert sorted(f"minigrid-{name}" for name in plain + sized) == sorted(NAMES)


def test_cells_keep_their_codes():
    env = DoorKeyConfig().make()
    shown, _ = env.reset(seed=3)
    inner = env.unwrapped.gen_obs()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(shown["image"].reshape(7, 7, 3), inner["image"])
    assert shown["direction"] == inner["direction"]
    assert "mission" not in shown  # it never varies
    np.testing.assert_array_equal(env.observation_space["image"].nvec[:6], [11, 6, 3, 11, 6, 3])


@pytest.mark.parametrize("config", [FetchConfig, GoToDoorConfig])
def test_a_mission_is_the_words_in_its_gaps(config):
    env = config().make()
    space = env.unwrapped.observation_space["mission"]
    assert isinstance(env.observation_space["mission"], spaces.MultiDiscrete)
    for seed in range(10):
        shown, _ = env.reset(seed=seed)
        words = [gap[word] for gap, word in zip(space.ordered_placeholders, shown["mission"], strict=True)]
        assert space.mission_func(*words) == env.unwrapped.mission


@pytest.mark.parametrize("env_id", [*(ENVIRONMENTS.load(name)().id for name in NAMES), "MiniGrid-LavaCrossingS9N1-v0"])
def test_the_fast_view_is_the_one_of_minigrid(env_id):
    """Over random play, doors and things carried included."""
    ours, theirs = MiniGridConfig(env_id).make(), gym.make(env_id)
    ours.action_space.seed(0)
    for seed in range(3):
        shown, expected = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
        for _ in range(150):
            np.testing.assert_array_equal(shown["image"], expected["image"].ravel())
            assert shown["direction"] == expected["direction"]
            action = ours.action_space.sample()
            answers = ours.step(action), theirs.step(action)
            (shown, *others), (expected, *rest) = answers
            assert others == rest
            if others[1] or others[2]:
                break


def test_any_other_grid_by_its_id():
    assert MiniGridConfig("MiniGrid-Empty-8x8-v0").make().observation_space["image"].shape == (147,)
    with pytest.raises(InputError, match="did you mean MiniGrid-Empty-8x8-v0"):
        MiniGridConfig("MiniGrid-Empty-8x8-v9")
    with pytest.raises(InputError, match="expected the image, direction and mission of MiniGrid"):
        CategoricalGrid(GymConfig("CartPole-v1").make())


@pytest.mark.parametrize(("config", "package"), [(MiniGridConfig, "minigrid"), (LunarLanderConfig, "Box2D")])
def test_a_missing_extra_is_one_line(config, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtraError, match=rf"{package} is not installed; run: pip install 'optgap\[{package.lower()}\]'"
    ):
        config()
