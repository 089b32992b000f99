from __future__ import annotations

from importlib.util import find_spec

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode
from omegaconf import OmegaConf

from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.registry import ENVIRONMENTS


def test_single_and_batched():
    config = GymConfig("CartPole-v1", {"sutton_barto_reward": True})
    assert config.problem is None
    env = config.make(max_episode_steps=7)
    assert env.spec.id == "CartPole-v1"
    assert env.spec.max_episode_steps == 7
    assert env.get_wrapper_attr("_sutton_barto_reward")
    vector = config.make_vec(3)
    assert vector.num_envs == 3
    assert isinstance(vector, gym.vector.SyncVectorEnv)  # CartPole's own batched form has other numbers
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPole-v7", "did you mean CartPole-v1"),
        ("cartpole", "is not registered with Gymnasium"),
        ("", "is not registered"),
        ("not_imported_package:Env-v0", r"import not_imported_package first \(plugins=\[not_imported_package\]\)"),
        ("gymnasium:Nothing-v0", "is not registered"),
    ],
)
def test_wrong_ids(name, message):
    with pytest.raises(InputError, match=message) as error:
        GymConfig(name)
    assert "\n" not in str(error.value)


def test_a_package_that_is_imported_may_be_named():
    assert GymConfig("gymnasium:CartPole-v1").make().spec.id == "CartPole-v1"


def test_wrong_arguments():
    config = GymConfig("CartPole-v1", {"gravitation": 9.8})
    for make in (config.make, lambda: config.make_vec(2)):
        with pytest.raises(InputError, match=r"CartPole-v1 cannot be made with .*gravitation") as error:
            make()
        assert "\n" not in str(error.value)


def test_registered_and_a_hydra_schema():
    assert ENVIRONMENTS.load("gym") is GymConfig
    schema = OmegaConf.structured(GymConfig)
    schema.id = "Pendulum-v1"
    schema.kwargs.g = 9.81
    assert OmegaConf.to_object(schema) == GymConfig("Pendulum-v1", {"g": 9.81})


@pytest.mark.parametrize(
    ("name", "observed", "actions"),
    [("cartpole", 4, 2), ("acrobot", 6, 3), ("mountaincar", 2, 3), ("lunarlander", 8, 4)],
)
def test_names_of_classic_environments(name, observed, actions):
    if name == "lunarlander" and find_spec("Box2D") is None:
        pytest.skip("needs the extra box2d")
    env = ENVIRONMENTS.load(name)().make()
    assert (env.observation_space.shape, env.action_space.n) == ((observed,), actions)
    env.reset(seed=0)
    env.step(0)
