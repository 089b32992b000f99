"""Observations of any space as rows of features, some of them categorical."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.agents.common.tensors import Tree
from optgap.co.core import InputError

MOST_CATEGORIES = 250  # of a categorical feature; integers of more values are ordered features


class FeatureMap:
    """How an observation space becomes F features.

    | space | features |
    |---|---|
    | Box | its numbers, as they are |
    | MultiBinary | its zeros and ones |
    | Discrete, MultiDiscrete | its integers, counted from 0; categorical where there are at most 250 values |
    | Dict | those of its parts, in its order |

    Raises:
        InputError: a space of another kind.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self._parts = list(_parts(space, ()))
        self.categorical: NDArray[np.bool_] = np.concatenate([categorical for *_, categorical in self._parts])  # (F,)
        self.n_features = len(self.categorical)

    def rows(self, observations: Tree) -> NDArray[np.float32]:
        """Observations (B, ...), NumPy arrays or CPU tensors, as features (B, F)."""
        columns: list[tuple[NDArray[Any], NDArray[Any] | None]] = []
        for path, start, _ in self._parts:
            part = observations
            for key in path:
                part = part[key]
            columns.append((np.asarray(part), start))
        rows = np.empty((len(columns[0][0]), self.n_features), np.float32)
        first = 0
        for column, start in columns:
            flat = column.reshape(len(column), -1)
            part = rows[:, first : first + flat.shape[1]]
            if start is None:
                part[...] = flat
            else:
                np.subtract(flat, start, out=part, casting="unsafe")
            first += flat.shape[1]
        return rows


def _parts(
    space: gym.Space[Any], path: tuple[str, ...]
) -> list[tuple[tuple[str, ...], NDArray[Any] | None, NDArray[np.bool_]]]:
    """(where in the observation, what is subtracted, which features are categorical) of each simple space inside."""
    if isinstance(space, spaces.Dict):
        return [part for key, inner in space.spaces.items() for part in _parts(inner, (*path, key))]
    if isinstance(space, spaces.Discrete):
        return [(path, _offset(np.array([space.start])), np.array([space.n <= MOST_CATEGORIES]))]
    if isinstance(space, spaces.MultiDiscrete):
        return [(path, _offset(space.start.ravel()), space.nvec.ravel() <= MOST_CATEGORIES)]
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return [(path, None, np.zeros(math.prod(space.shape), np.bool_))]
    where = f" (at {'.'.join(path)})" if path else ""
    raise InputError(
        f"observation space {space}{where} has no features; expected Box, Discrete, MultiDiscrete, MultiBinary or a Dict of them"
    )


def _offset(start: NDArray[Any]) -> NDArray[Any] | None:
    """What is subtracted from the integers of a space; None where that is nothing."""
    return start.astype(np.int64) if start.any() else None
