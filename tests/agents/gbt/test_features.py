from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given
from hypothesis import strategies as st

from optgap.agents.gbt.features import FeatureMap
from optgap.co.core import InputError

SIMPLE = st.sampled_from(
    [
        spaces.Discrete(3),
        spaces.Discrete(4, start=-2),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete(np.array([[2, 5], [3, 3]]), start=np.array([[1, 1], [0, 7]])),
        spaces.MultiBinary((2, 2)),
        spaces.Box(-1, 1, (2, 3)),
        spaces.Box(0, 255, (4,), np.uint8),
        spaces.Box(-1, 1, (), np.float64),
    ]
)
SPACES = st.one_of(SIMPLE, st.dictionaries(st.sampled_from("abc"), SIMPLE, min_size=1).map(spaces.Dict))


def batch_of(space: gym.Space, count: int):
    samples = [space.sample() for _ in range(count)]
    return samples, concatenate(space, samples, create_empty_array(space, count))


def test_each_kind_of_space():
    space = spaces.Dict(
        {
            "place": spaces.Box(-1, 1, (2,)),
            "tool": spaces.Discrete(3, start=5),
            "cells": spaces.MultiDiscrete([4, 300]),
            "flags": spaces.MultiBinary(2),
            "inner": spaces.Dict({"city": spaces.Discrete(1000)}),
        }
    )
    features = FeatureMap(space)
    order = list(space.spaces)
    observation = {
        "place": np.array([[0.5, -0.25]]),
        "tool": np.array([7]),
        "cells": np.array([[3, 299]]),
        "flags": np.array([[1, 0]], np.int8),
        "inner": {"city": np.array([999])},
    }
    expected = {
        "place": ([0.5, -0.25], [False, False]),
        "tool": ([2], [True]),
        "cells": ([3, 299], [True, False]),  # more values than codes are ordered
        "flags": ([1, 0], [False, False]),
        "inner": ([999], [False]),
    }
    np.testing.assert_array_equal(features.rows(observation)[0], np.concatenate([expected[key][0] for key in order]))
    np.testing.assert_array_equal(features.categorical, np.concatenate([expected[key][1] for key in order]))
    assert features.rows(observation).dtype == np.float32


@given(SPACES)
def test_rows_of_a_batch_are_those_of_its_observations_alone_and_determine_them(space):
    features = FeatureMap(space)
    space.seed(0)
    samples, batch = batch_of(space, 5)
    rows = features.rows(batch)
    assert rows.shape == (5, features.n_features)
    assert (rows[:, features.categorical] >= 0).all()
    for sample, row in zip(samples, rows, strict=True):
        alone = concatenate(space, [sample], create_empty_array(space, 1))
        np.testing.assert_array_equal(features.rows(alone)[0], row)
    assert features.n_features == spaces.utils.flatdim(space) or features.categorical.any()
    tensors = (
        {key: torch.as_tensor(value) for key, value in batch.items()}
        if isinstance(batch, dict)
        else torch.as_tensor(batch)
    )
    np.testing.assert_array_equal(features.rows(tensors), rows)
    assert batch_space(space, 5).contains(batch)


@pytest.mark.parametrize(
    "space", [spaces.Text(5), spaces.Dict({"words": spaces.Text(5)}), spaces.Sequence(spaces.Discrete(2))]
)
def test_other_spaces_are_refused(space):
    with pytest.raises(InputError, match="has no features; expected Box, Discrete"):
        FeatureMap(space)
