"""Observations as structures (an array or a dict of them), and their way to a torch device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from optgap.co.core import InputError

Tree = Any
"""An array (NumPy or torch) or a dict of trees; recursion as in ``gymnasium.spaces.Dict``."""


def map_tree(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """``function`` applied leaf by leaf to trees of the same structure."""
    if isinstance(tree, dict):
        return {key: map_tree(function, value, *(other[key] for other in others)) for key, value in tree.items()}
    return function(tree, *others)


def to_tensor(array: Any, device: torch.device | str) -> torch.Tensor:
    """A tensor on ``device``; float64 becomes float32, other dtypes stay. Shares memory on the CPU where it can."""
    array = np.asarray(array)
    array = np.ascontiguousarray(array, dtype=np.float32 if array.dtype == np.float64 else array.dtype)
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


def to_tensors(tree: Tree, device: torch.device | str) -> Tree:
    """:func:`to_tensor` on every leaf."""
    return map_tree(lambda array: to_tensor(array, device), tree)


def is_single(observation: Tree, space: gym.Space[Any]) -> bool:
    """Whether ``observation`` is one of ``space``, not a batch.

    Only the rank counts, so that a policy that takes any size sees instances of other sizes than the training space's.
    """
    while isinstance(space, gym.spaces.Dict):
        key = next(iter(space.spaces))
        observation, space = observation[key], space.spaces[key]
    return np.ndim(observation) == len(space.shape or ())


def resolve_device(name: str) -> torch.device:
    """``"auto"`` is CUDA where present, else the CPU; a device that is not there raises :class:`InputError`."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device is {name!r}; expected auto, cpu, cuda or cuda:<number>") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA device(s)")
    return device


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
