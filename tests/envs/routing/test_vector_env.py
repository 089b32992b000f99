"""The batched routing environments: what is shared, what is copied, and instances of several kinds in one batch."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import routing_cases
from gymnasium.utils.env_checker import data_equivalence

from optgap.co.core import PROBLEMS, InputError
from optgap.co.problems.tsp import TSPInstance
from optgap.envs.registry import ENVIRONMENTS
from optgap.envs.routing.vector_env import CVRPVectorEnv, TSPVectorEnv

SIZE = {"tsp": "nodes", "atsp": "nodes", "cvrp": "customers", "op": "nodes", "kp": "items"}


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
def test_copy_false_shares_the_buffers_and_changes_no_value(problem: str) -> None:
    config = ENVIRONMENTS.load(problem)(**{SIZE[problem]: (4, 7)})
    kept, shared = config.make_vec(3), config.make_vec(3, copy=False)
    history = [kept.reset(seed=1)[0]]
    buffers, _ = shared.reset(seed=1)
    frozen = [{key: value.copy() for key, value in history[0].items()}]
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = kept.unwrapped.action_masks()
        action = (mask * rng.random(mask.shape)).argmax(1)
        a, b = kept.step(action), shared.step(action)
        assert data_equivalence(a[0], b[0], exact=True)
        np.testing.assert_array_equal(a[1], b[1])
        assert all(np.shares_memory(b[0][key], buffers[key]) for key in buffers)
        history.append(a[0])
        frozen.append({key: value.copy() for key, value in a[0].items()})
    assert data_equivalence(history, frozen, exact=True)  # later steps and resets changed no answer


def test_what_an_episode_does_not_change_is_copied_once_an_episode() -> None:
    env = TSPVectorEnv(2, nodes=4)
    first, _ = env.reset(seed=0)
    seen = [first] + [env.step(env.action_masks().argmax(1))[0] for _ in range(5)]
    same = [a["nodes"] is b["nodes"] for a, b in zip(seen[:-1], seen[1:], strict=True)]
    assert same == [True, True, True, False, True]  # three decisions, then the step that resets
    assert not any(a["action_mask"] is b["action_mask"] for a, b in zip(seen[:-1], seen[1:], strict=True))


@pytest.mark.parametrize("problem", routing_cases.PROBLEMS)
def test_the_instances_of_a_batch_are_those_its_generators_draw(problem: str) -> None:
    """They are made when they are asked for, and may be of several sizes in one batch."""
    env: Any = ENVIRONMENTS.load(problem)(**{SIZE[problem]: (3, 5)}).make_vec(12).unwrapped
    env.reset(seed=40)
    copy = pickle.loads(pickle.dumps(env))  # noqa: S301  (our own)
    shown, sizes = env.batch.observation(), set()
    for b, instance in enumerate(env.batch.instances):
        rng = np.random.default_rng(40 + b)
        sizes.add(size := int(rng.integers(3, 6)))
        expected = PROBLEMS.load(problem).generate(rng, **{SIZE[problem]: size})
        if problem != "kp":  # of which one may have been drawn again
            for name, value in vars(expected).items():
                np.testing.assert_array_equal(getattr(instance, name), value)
        assert env.batch.instances[b] is instance
        assert copy.batch.instances[b].name == instance.name
        alone = ENVIRONMENTS.load(problem)(instances=[instance], padding=env.batch.nodes).make()
        for key, value in alone.reset()[0].items():
            np.testing.assert_array_equal(shown[key][b], value)
    assert sizes == {3, 4, 5}


def test_coordinates_and_matrices_play_side_by_side() -> None:
    points = np.random.default_rng(0).random((5, 2))
    planar = TSPInstance(coordinates=points, name="planar")
    matrix = TSPInstance(matrix=np.array(planar.distances) * 3, metric="explicit", name="matrix")
    env = TSPVectorEnv(3, nodes=5)
    env.reset(options={"instances": [planar, matrix, planar]})
    total, ended = np.zeros(3), np.zeros(3, np.bool_)
    while not ended.all():
        _, reward, ended, _, info = env.step(env.action_masks().argmax(1))
        total += reward
    assert total[1] == pytest.approx(3 * total[0])
    assert total[0] == total[2] == -info["length"][0]
    for solution in info["solution"]:
        PROBLEMS.load("tsp").check(planar, solution)
    for wrong in ([planar], [planar] * 4):
        with pytest.raises(InputError, match="instances"):
            env.reset(options={"instances": wrong})


def test_a_batch_of_one_customer_ends_at_every_other_step() -> None:
    env = CVRPVectorEnv(2, customers=1)
    env.reset(seed=0)
    for _ in range(3):
        _, reward, ended, _, info = env.step(np.array([1, 1]))
        assert ended.all()
        assert [solution.tolist() for solution in info["solution"]] == [[0, 1, 0]] * 2
        np.testing.assert_allclose(reward, -info["length"])
        _, reward, ended, _, info = env.step(np.array([-1, 99]))
        assert not ended.any()
        assert not reward.any()
        assert "solution" not in info


def test_every_id_is_made_natively_batched() -> None:
    for problem in routing_cases.PROBLEMS:
        env = ENVIRONMENTS.load(problem)().make_vec(2)
        assert isinstance(env, gym.vector.VectorEnv)
        assert env.num_envs == 2
        assert env.metadata["autoreset_mode"] is gym.vector.AutoresetMode.NEXT_STEP
