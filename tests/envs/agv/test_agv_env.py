"""Faces of the AGV environment: ends, figures, given instances, actions, arguments, pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from optgap.co.core import InputError, InvalidActionError
from optgap.co.problems.path_planning import PATH_PLANNING, PathPlanningInstance
from optgap.envs.agv.config import AGVConfig
from optgap.envs.registry import ENVIRONMENTS

SCENES = ("simple-static", "simple-dynamic", "complex-static", "complex-dynamic", "warehouse")


def hall(**fields: Any) -> PathPlanningInstance:
    """Nothing between start and target."""
    return PathPlanningInstance(
        **{"bounds": [0, 0, 12, 9], "start": [2.0, 5.0, 2.0], "route": [[9.0, 3.0]], "name": "open"} | fields
    )


def homing(observation: np.ndarray) -> np.ndarray:
    """Turn to the target and drive to it."""
    cos, sin = observation[-10:-8]
    return np.array([1.0 if cos > 0.5 else -0.5, np.clip(2 * math.atan2(sin, cos), -1, 1)], np.float32)


@pytest.mark.parametrize("kinematics", ["differential", "car"])
@pytest.mark.parametrize("fields", [{}, {"route": [[9.0, 3.0], [3.0, 1.0]], "target_speed": 0.4}])
def test_who_drives_to_the_target_returns_1_with_a_path_that_passes_the_check(kinematics: str, fields: Any) -> None:
    env: Any = AGVConfig(kinematics=kinematics).make()
    instance = hall(**fields)
    observation, info = env.reset(options={"instance": instance})
    assert (info["cell"], info["position"].tolist(), info["success"]) == (5 * 12 + 2, [2.0, 5.0], 0.0)
    rewards, terminated, truncated = [], False, False
    while not (terminated or truncated):
        assert "solution" not in info
        observation, reward, terminated, truncated, info = env.step(homing(observation))
        rewards.append(reward)
    assert (terminated, truncated) == (True, False)
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]
    assert info["success"] == 1.0
    PATH_PLANNING.check(instance, info["solution"])
    assert PATH_PLANNING.cost(instance, info["solution"]) == pytest.approx(info["length"])
    np.testing.assert_array_equal(info["solution"][-1], info["position"])
    x, y = info["position"]
    assert info["cell"] == math.floor(y) * 12 + math.floor(x)
    assert len(info["solution"]) == len(rewards) + 1


@pytest.mark.parametrize("collision", ["stop", "end"])
def test_every_way_that_an_episode_ends(collision: str) -> None:
    env: Any = AGVConfig(collision=collision, max_steps=40).make()
    env.reset(options={"instance": hall(start=[2.0, 5.0, math.pi])})
    terminated, truncated, steps = False, False, 0
    while not (terminated or truncated):
        _, reward, terminated, truncated, info = env.step(np.array([1.0, 0.0], np.float32))
        assert (reward, info["success"]) == (0.0, 0.0)
        steps += 1
    assert info["cost"].tolist() == [1.0, 0.0]
    assert (terminated, truncated) == ((False, True) if collision == "stop" else (True, False))
    assert steps == (40 if collision == "stop" else 11)
    assert info["position"] == pytest.approx([0.3, 5.0], abs=1e-8)


@pytest.mark.parametrize("kinematics", ["differential", "car"])
@pytest.mark.parametrize("scene", SCENES)
def test_copies_equal_single_environments_to_the_bit(scene: str, kinematics: str) -> None:
    config = AGVConfig(scene=scene, kinematics=kinematics, max_steps=25)
    vector, singles = config.make_vec(4), [config.make() for _ in range(4)]
    batch, info = vector.reset(seed=7)
    found = [env.reset(seed=7 + i) for i, env in enumerate(singles)]
    rng, ended = np.random.default_rng(0), False
    for _ in range(80):
        for i, (observation, single) in enumerate(found):
            np.testing.assert_array_equal(batch[i], observation)
            for name in ("cell", "position", "success", "length", "cost"):
                np.testing.assert_array_equal(info[name][i], single[name])
        assert info["cell"].dtype == np.int64
        assert info["cell"].max() < math.prod(vector.unwrapped.grid_shape)  # type: ignore[attr-defined]
        actions = rng.uniform(-0.5, 1, (4, 2)).astype(np.float32)
        batch, _, _, truncated, info = vector.step(actions)
        found = [env.reset() if ended else env.step(a)[::4] for env, a in zip(singles, actions, strict=True)]
        ended = bool(truncated.all())
        assert ended == truncated.any()


def test_a_given_instance_that_cannot_be_played_is_one_line_that_names_it() -> None:
    box = [[8.0, 2.0, 10.0, 4.0]]
    wrong: list[tuple[Any, str]] = [
        (hall(boxes=box), "open.*target"),
        (hall(boxes=[[5.0, 0.0, 5.5, 9.0]]), "open.*no path"),
        (hall(boxes=[[1.9, 4.0, 2.5, 4.8]]), "open.*start"),
        (hall(start=[0.2, 5.0, 0.0]), "open.*start"),
        (hall(bounds=[0, 0, 12.5, 9]), "open has a hall of 12.5 x 9 m; expected at most the scene's, 12 x 12 m"),
        ("open", "instance unnamed is a str"),
    ]
    env, untouched = (AGVConfig().make() for _ in range(2))
    vector: Any = AGVConfig().make_vec(2)
    env.reset(seed=1)
    untouched.reset(seed=1)
    vector.reset(seed=1)
    for instance, says in wrong:
        with pytest.raises(InputError, match=says) as error:
            env.reset(options={"instance": instance})
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=says):
            vector.reset(options={"instances": [hall(), instance]})
    action = np.ones(2, np.float32)
    observation = untouched.step(action)[0]
    np.testing.assert_array_equal(env.step(action)[0], observation)
    np.testing.assert_array_equal(vector.step(np.stack([action, action]))[0][0], observation)


def test_an_action_that_cannot_be_taken_changes_nothing() -> None:
    env, untouched = (gym.make("optgap/AGV-v0").unwrapped for _ in range(2))
    env.reset(seed=0)
    untouched.reset(seed=0)
    wrong = [[np.nan, 0], [0, np.inf], [1.01, 0], [0, -1.01], [0], [0, 0, 0], [[0, 0]], 0.5, None, "ab", [None, 0]]
    good = np.array([1.0, -1.0], np.float32)
    for action in wrong:
        with pytest.raises(InvalidActionError, match="expected") as error:
            env.step(action)
        assert "\n" not in str(error.value)
    assert data_equivalence(env.step(good), untouched.step(good), exact=True)
    vectors = [AGVConfig().make_vec(3) for _ in range(2)]
    for vector in vectors:
        vector.reset(seed=0)
    actions = np.zeros((3, 2))
    actions[1, 0] = np.nan
    with pytest.raises(InvalidActionError, match=r"\[nan, 0.0\] in copy 1"):
        vectors[0].step(actions)
    zeros = np.zeros((3, 2))
    assert data_equivalence(vectors[0].step(zeros), vectors[1].step(zeros), exact=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scene": "mars"}, "scene is 'mars'"),
        ({"scene": []}, r"scene is \[\]"),
        ({"kinematics": "boat"}, "kinematics is 'boat'; expected one of differential, car"),
        ({"collision": "bounce"}, "collision is 'bounce'"),
        ({"beams": -1}, "beams is -1"),
        ({"beams": 2.5}, "beams is 2.5"),
        ({"beams": True}, "beams is True"),
        ({"beams": 10**9}, "beams is 1000000000; expected a whole number from 0 to 4096"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"max_steps": 10**12}, "max_steps is 1000000000000; expected a whole number from 1 to 1000000"),
        ({"dt": True}, "dt is True"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": math.nan}, "dt is nan"),
        ({"dt": 1e19}, "dt is 1e\\+19; expected a number from 1e-06 to 100000"),
        ({"dt": 1e5, "size": {"max_speed": 2.0}}, "expected steps of at most 100000 m"),
        ({"size": {"max_speed": 1e300}}, "max_speed is 1e\\+300; expected a number from"),
        ({"size": {"radius": 1e-200}}, "radius is 1e-200; expected a number from"),
        ({"lidar_range": math.inf}, "lidar_range is inf"),
        ({"map": "hall.map"}, "expected a map with scene 'map' alone"),
        ({"scene": "map"}, "expected a map with scene 'map' alone"),
        ({"scene": "map", "map": 5}, "map is 5; expected the path of a file"),
        ({"size": 3}, "size is 3"),
        ({"size": {1: 2}}, "size is {1: 2}"),
        ({"size": {"scene": "warehouse"}}, "size is {'scene': 'warehouse'}"),
        ({"size": {"max_speed": "a"}}, "max_speed is 'a'; expected a number"),
        ({"size": {"wheels": 3}}, "wheels"),
    ],
)
def test_arguments_out_of_range_are_one_line(arguments: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        gym.make("optgap/AGV-v0", **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kinematics", "dt"), [("differential", 0.5), ("car", 0.5), ("car", 1e5)])
def test_a_slow_vehicle_drives_back_no_faster_than_ahead(kinematics: str, dt: float) -> None:
    env: Any = AGVConfig(kinematics=kinematics, dt=dt, size={"max_speed": 0.1}, max_steps=30).make()
    for forward in (-1.0, 0.0, 1.0):
        before = env.reset(seed=1)[1]["position"]
        for _ in range(10):
            observation, _, _, _, info = env.step(np.array([forward, 0.5], np.float32))
            assert env.observation_space.contains(observation)
            assert np.hypot(*(info["position"] - before)) <= 0.1 * dt + 1e-12
            before = info["position"]
    assert env.get_wrapper_attr("max_steps") == 30


def test_arguments_reach_the_scene() -> None:
    config = ENVIRONMENTS.load("agv")(
        scene="warehouse", beams=5, dt=0.1, size={"rows": 2, "vehicles": 1, "max_speed": 2.0}
    )
    env: Any = config.make().unwrapped
    env.reset(seed=3)
    instance = env.batch.instances[0]
    assert env.observation_space.shape == (16,)
    assert (instance.dt, instance.max_speed, len(instance.loops)) == (0.1, 2.0, 1)
    assert env.grid_shape == tuple(np.ceil(instance.bounds[[3, 2]]).astype(int))
    assert env.cost_names == ("collision", "wrong-way")
    assert env.cost_limits.shape == (2,)
    assert config.figures == ("success",)
    assert config.problem is None


def test_pictures_show_the_vehicle_and_the_target_where_they_are() -> None:
    env: Any = AGVConfig(scene="warehouse").make(render_mode="rgb_array").unwrapped
    env.reset(seed=2)
    instance = env.batch.instances[0]
    frames = [env.render()]
    for _ in range(30):
        env.step(np.array([1.0, 0.2], np.float32))
    frames.append(env.render())
    assert frames[0].shape == frames[1].shape
    assert frames[0].dtype == np.uint8
    assert (frames[0] != frames[1]).any()
    scale = 640 / (instance.bounds[2:] - instance.bounds[:2]).max()

    def pixel(frame: np.ndarray, x: float, y: float) -> list[int]:
        return frame[round(len(frame) - 8 - y * scale), round(8 + x * scale)].tolist()

    behind = env.batch.fleet.position[0] - 0.15 * np.array(
        [math.cos(env.batch.fleet.heading[0]), math.sin(env.batch.fleet.heading[0])]
    )
    assert pixel(frames[1], *behind) == [20, 60, 130]
    assert pixel(frames[0], *instance.route[0]) == [40, 160, 80]
    assert pixel(frames[0], *(instance.boxes[0, :2] + 0.4)) == [120, 124, 130]


@pytest.mark.parametrize("scene", SCENES)
def test_a_seed_plays_what_generate_draws_and_checks(scene: str) -> None:
    env: Any = AGVConfig(scene=scene).make().unwrapped
    for seed in range(20):
        env.reset(seed=seed)
        played, drawn = env.batch.instances[0], PATH_PLANNING.generate(np.random.default_rng(seed), scene=scene, dt=0.5)
        for name in (
            "name",
            "bounds",
            "boxes",
            "start",
            "route",
            "target_phase",
            "lanes",
            "loops",
            "loop_phases",
            "dt",
        ):
            np.testing.assert_array_equal(getattr(played, name), getattr(drawn, name))


def test_a_map_is_played_and_one_without_a_path_is_one_line(tmp_path: Path) -> None:
    rows = ["." * 16] * 5 + ["." * 7 + "@@" + "." * 7] * 5
    file = tmp_path / "hall.map"
    for rest, connected in (("." * 16, True), ("." * 7 + "@@" + "." * 7, False)):
        rows[:5] = [rest] * 5
        file.write_text("\n".join(["type octile", "height 10", "width 16", "map", *rows]) + "\n")
        config = AGVConfig(scene="map", map=file, size={"start": [2.0, 2.0], "target": [14.0, 2.0]})
        if connected:
            env: Any = config.make().unwrapped
            assert env.reset(seed=0)[1]["instance"] == "hall"
            assert env.grid_shape == (10, 16)
            assert len(env.batch.instances[0].boxes) > 0
        else:
            with pytest.raises(InputError, match=r"hall: .*no path.*seed 0") as error:
                config.make().reset(seed=0)
            assert "\n" not in str(error.value)


def test_what_is_wrong_with_a_map_is_said_with_its_name_and_with_the_seed_where_that_matters(tmp_path: Path) -> None:
    file = tmp_path / "shut.map"
    for text, says in (
        (None, "no such file"),
        ("type octile\n", "line 2: the file ends; expected 'height' and a value"),
        ("type octile\nheight 1\nwidth 3\nmap\n@@@\n", "shut: no free start and target .* seed 0"),
    ):
        if text is not None:
            file.write_text(text)
        with pytest.raises(InputError, match=says) as error:
            AGVConfig(scene="map", map=file).make()
        assert "\n" not in str(error.value)
        assert ("seed" in str(error.value)) == ("seed" in says)


def test_the_judge_compares_a_checked_path_with_the_shortest() -> None:
    config, instance = AGVConfig(), hall(start=[2.0, 3.0, 0.0])
    straight = np.array([[2.0, 3.0], [8.5, 3.0]])
    assert config.judge(instance, straight)["path_gap"] == pytest.approx(0.0, abs=1e-9)
    bent = np.array([[2.0, 3.0], [2.0, 4.0], [8.5, 4.0], [8.5, 3.0]])
    assert config.judge(instance, bent)["path_gap"] == pytest.approx(2.0 / 6.5)
    there = hall(start=[8.8, 3.0, 0.0])  # at the goal already: the shortest way is nothing
    assert math.isnan(config.judge(there, np.array([[8.8, 3.0], [8.9, 3.0]]))["path_gap"])
    for failed in (straight[:1], straight - 0.1):  # short of the target; from elsewhere
        assert math.isnan(config.judge(instance, failed)["path_gap"])
    moving = hall(route=[[9.0, 3.0], [9.0, 6.0]], target_speed=0.3, start=[2.0, 3.0, 0.0])
    episode = np.column_stack(
        [np.linspace(2.0, 9.0, 61), np.linspace(3.0, 6.0, 61)]
    )  # 12 s: the target is at y = 5.4 then
    assert episode[-1, 1] - moving.target_at(12.0)[1] == pytest.approx(0.6)
    episode = episode[:59]  # 11.6 s: within the goal radius
    gap = config.judge(moving, episode)["path_gap"]
    assert 0.0 < gap < np.hypot(7.0, 3.0) / 6.5 - 1.0
