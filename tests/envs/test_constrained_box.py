from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.envs.constrained_box import Capacity, ConstrainedBox, Linear

SPACES = {
    "capacity": lambda: ConstrainedBox(0.0, 1.0, Capacity(1.0), n=4),
    "exact": lambda: ConstrainedBox(0.0, 1.0, Capacity(1.0, exact=True), n=4),
    "bounds": lambda: ConstrainedBox(np.full(3, -1.0), np.array([1.0, 2.0, 3.0]), Capacity(0.5), dtype=np.float64),
    "linear": lambda: ConstrainedBox(-2.0, 2.0, Linear([[1.0, 1, 0], [0, -1, 2]], [0.3, 0.1]), n=3),
    "equation": lambda: ConstrainedBox(0.0, 1.0, Linear(E=[[1.0, -1, 0]], f=[0.25]), n=3),
}


@pytest.mark.parametrize("name", SPACES)
def test_samples_are_members_and_repeat_with_the_seed(name):
    space = SPACES[name]()
    space.seed(3)
    samples = [space.sample() for _ in range(200)]
    assert all(space.contains(sample) for sample in samples)
    assert samples[0].dtype == space.dtype
    assert not np.array_equal(samples[0], samples[1])
    for other in (copy.deepcopy(SPACES[name]()), pickle.loads(pickle.dumps(SPACES[name]()))):  # noqa: S301
        other.seed(3)
        np.testing.assert_array_equal([other.sample() for _ in range(200)], samples)


def test_membership():
    space = SPACES["capacity"]()
    assert space.contains(np.array([0.25, 0.25, 0.25, 0.25], np.float32))
    assert not space.contains(np.array([0.25, 0.25, 0.25, 0.2500001], np.float32))
    assert not space.contains(np.array([-0.1, 0, 0, 0], np.float32))
    assert not space.contains(np.zeros(3, np.float32))
    assert not space.contains(np.full(4, np.nan, np.float32))
    assert "Capacity" in repr(space)
    assert isinstance(gym.vector.utils.batch_space(space, 2), gym.spaces.Box)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstrainedBox(0.5, 1.0, Capacity(1.0), n=4), "contradicts"),
        (lambda: ConstrainedBox(0.0, 1.0, Capacity(5.0, exact=True), n=4), "contradicts"),
        (lambda: ConstrainedBox(-np.inf, 1.0, Capacity(1.0), n=4), "finite lower bounds"),
        (lambda: ConstrainedBox(0.0, 1.0, Linear([[1.0, 1.0]], [1.0]), n=3), "2 columns; expected 3"),
        (lambda: ConstrainedBox(0.0, 1.0, Linear([[1.0, 1.0]]), n=2), "expected"),
        (
            lambda: ConstrainedBox(np.zeros((2, 2)), np.ones((2, 2)), Capacity(1.0), dtype=np.float64),
            r"expected \(n,\)",
        ),
    ],
)
def test_bad_constraints_are_said(make, message):
    with pytest.raises(InputError, match=message):
        make()
