"""Instances given to a reset: taken by all copies or by none, and only under the key of that face."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InputError, InvalidActionError
from optgap.co.problems.slicing import SLICING

ID = "optgap/NetworkSlicing-v0"
CELL = {"users": 6, "decisions": 4, "decision_slots": 20}


def test_a_wrong_instance_among_others_changes_nothing():
    good = SLICING.generate(np.random.default_rng(0), **CELL)
    other = SLICING.generate(np.random.default_rng(1), slices=("voip", "video"), **CELL)
    envs = [gym.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point", **CELL) for _ in range(2)]
    shares = np.full((2, 3), 0.3, np.float32)
    for env in envs:
        env.reset(seed=0)
        env.step(shares)
    with pytest.raises(InputError, match="has slices"):
        envs[0].reset(options={"instances": [good, other]})
    for _ in range(3):
        (_, rewards, *_, info), (_, expected, *_, twin) = (env.step(shares) for env in envs)
        np.testing.assert_array_equal(rewards, expected)
        np.testing.assert_array_equal(info["cost"], twin["cost"])


def test_the_key_of_the_other_face_is_refused():
    good = SLICING.generate(np.random.default_rng(0), **CELL)
    with pytest.raises(InputError, match='a vector environment takes "instances"'):
        gym.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point", **CELL).reset(options={"instance": good})
    with pytest.raises(InputError, match='a single environment takes "instance"'):
        gym.make(ID, **CELL).reset(options={"instances": [good]})


def test_resets_that_cannot_be_are_one_line():
    vector, single = gym.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point", **CELL), gym.make(ID, **CELL)
    for env, said in ((vector, "seed is 'a'"), (vector, "options is 3"), (single, "options is 3")):
        with pytest.raises(InputError, match=f"{said}; expected"):
            env.reset(**({"seed": "a"} if "seed" in said else {"options": 3}))
    for given in (3, None):
        with pytest.raises(InputError, match=f"instances is {given}; expected one for each of 2 copies"):
            vector.reset(options={"instances": given})
    for copies in (0, 2.5, "2"):
        with pytest.raises(InputError, match=f"num_envs is {copies!r}; expected an integer of at least 1"):
            gym.make_vec(ID, num_envs=copies, vectorization_mode="vector_entry_point", **CELL)
    with pytest.raises(InputError, match="has no argument 'problem'; known: "):
        gym.make("optgap/DeepSea-v0", problem="x")
    vector.reset(seed=np.int64(3))
    sea = gym.make("optgap/DeepSea-v0")
    sea.reset()
    with pytest.raises(InvalidActionError, match=r"action is array\(\[\[0\], \[1\]\]\); expected an integer") as error:
        sea.step(np.array([[0], [1]]))
    assert "\n" not in str(error.value)
