"""A ring of past transitions, from which off-policy agents draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.rollout import RolloutBuffer
from optgap.agents.common.tensors import Tree, map_tree
from optgap.co.core import InputError

FIELDS = ("observations", "actions", "rewards", "next_observations", "terminated", "masks")


class Transitions(NamedTuple):
    """N transitions: NumPy arrays, or torch tensors after :func:`optgap.agents.common.tensors.to_tensors`."""

    observations: Tree  # (N, ...)
    actions: NDArray[Any]  # (N, ...) as the policy means them
    rewards: NDArray[np.float32]  # (N,)
    next_observations: Tree  # (N, ...)
    terminated: NDArray[np.bool_]  # (N,) the next state is worth nothing
    masks: NDArray[np.bool_] | None  # (N, A) actions allowed in the next state


class Replay:
    """The newest ``capacity`` transitions, in arrays allocated once (pages that were never written take no memory).

    Observations lie there twice, as a transition's first and as its next one: so that nothing has to be known about
    what was stored beside it. float64 is stored as float32.

    Args:
        capacity: transitions.
        observation_space: gives the shapes and dtypes of observations.
        action: one action, for its shape and dtype.
    """

    def __init__(self, capacity: int, observation_space: gym.Space[Any], action: NDArray[Any]) -> None:
        self.capacity, self.size, self.position = capacity, 0, 0
        self._arrays: dict[str, Tree] = {
            "observations": _allocate(capacity, observation_space),
            "actions": np.zeros((capacity, *action.shape), action.dtype),
            "rewards": np.zeros(capacity, np.float32),
            "next_observations": _allocate(capacity, observation_space),
            "terminated": np.zeros(capacity, np.bool_),
            "masks": None,
        }

    def __len__(self) -> int:
        return self.size

    def add(self, rollout: RolloutBuffer, observation: Tree, masks: NDArray[np.bool_] | None) -> None:
        """Take in a rollout, without the steps that only reset.

        Args:
            rollout: T steps of B environments.
            observation: (B, ...) what was observed after its last step.
            masks: (B, A) actions allowed then, where there are masks.
        """
        assert rollout.actions is not None
        valid = rollout.valid.ravel()

        def here(array: NDArray[Any]) -> NDArray[Any]:
            kept: NDArray[Any] = array.reshape(-1, *array.shape[2:])[valid]
            return kept

        def following(array: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
            return here(np.concatenate([array[1:], np.asarray(last)[None]]))

        if rollout.masks is not None and self._arrays["masks"] is None:
            self._arrays["masks"] = np.zeros((self.capacity, rollout.masks.shape[-1]), np.bool_)
        # An episode's last observation is what its reset step was shown, so the next row holds it too.
        new = Transitions(
            observations=map_tree(here, rollout.observations),
            actions=here(rollout.actions),
            rewards=here(rollout.rewards),
            next_observations=map_tree(following, rollout.observations, observation),
            terminated=here(rollout.terminated),
            masks=None if rollout.masks is None or masks is None else following(rollout.masks, masks),
        )
        count = len(new.rewards)
        rows = (self.position + np.arange(count)) % self.capacity
        rows, kept = rows[-self.capacity :], slice(max(0, count - self.capacity), None)

        def write(store: NDArray[Any], array: NDArray[Any]) -> None:
            store[rows] = array[kept]

        for name, tree in new._asdict().items():
            if tree is not None:
                map_tree(write, self._arrays[name], tree)
        self.position = (self.position + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, count: int, rng: np.random.Generator) -> Transitions:
        """``count`` transitions drawn uniformly, with replacement."""
        rows = rng.integers(self.size, size=count)
        return Transitions(
            *(
                None if self._arrays[name] is None else map_tree(lambda a: a[rows], self._arrays[name])
                for name in FIELDS
            )
        )

    def trim(self, limit: int) -> None:
        """Forget the oldest transitions, so that :meth:`state` has at most ``limit`` bytes (and at least one row)."""
        a_row = sum(array[:1].nbytes for _, array in self._leaves())
        keep = max(1, limit // a_row)
        if self.size <= keep:
            return
        rows = (self.position - keep + np.arange(keep)) % self.capacity
        for _, array in self._leaves():
            array[:keep] = array[rows]
        self.size = self.position = keep

    def state(self) -> dict[str, torch.Tensor]:
        """All transitions and where the next one goes, as :meth:`restore` takes them."""
        tensors = {name: torch.from_numpy(array[: self.size]) for name, array in self._leaves()}
        return tensors | {"position": torch.tensor(self.position)}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Become what :meth:`state` told.

        Raises:
            InputError: a tensor is missing, unexpected, or of another shape or dtype than this replay's.
        """
        found = {name: tensor.numpy() for name, tensor in state.items()}
        masks = found.get("masks")
        if masks is not None and masks.ndim == 2 and self._arrays["masks"] is None:
            self._arrays["masks"] = np.zeros((self.capacity, masks.shape[1]), np.bool_)
        own = dict(self._leaves())
        if missing := sorted(({*own, "position"}) ^ found.keys()):
            raise InputError(f"replay: tensor {missing[0]!r} is {'unexpected' if missing[0] in found else 'missing'}")
        size, position = len(found["rewards"]), int(found["position"])
        for name, array in own.items():
            expected = (size, *array.shape[1:])
            if found[name].shape != expected or found[name].dtype != array.dtype:
                shape, dtype = found[name].shape, found[name].dtype
                raise InputError(f"replay: {name!r} is {dtype} of shape {shape}; expected {array.dtype} of {expected}")
        if not (0 <= position == size < self.capacity or 0 <= position < size == self.capacity):
            raise InputError(f"replay: {size} transitions, the next at {position}, do not fit capacity {self.capacity}")
        for name, array in own.items():
            array[:size] = found[name]
        self.size, self.position = size, position

    def _leaves(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for name in FIELDS:
            yield from _leaves(name, self._arrays[name])


def _allocate(capacity: int, space: gym.Space[Any]) -> Tree:
    if isinstance(space, gym.spaces.Dict):
        return {key: _allocate(capacity, part) for key, part in space.spaces.items()}
    dtype = np.float32 if space.dtype == np.float64 else space.dtype
    return np.zeros((capacity, *(space.shape or ())), dtype)


def _leaves(name: str, tree: Tree) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from _leaves(f"{name}/{key}", part)
    elif tree is not None:
        yield name, tree


def parts(count: int, size: int, epochs: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """``range(count)`` in random order ``epochs`` times, each time in equal parts (to within one) of at most ``size``."""
    for _ in range(epochs):
        yield from np.array_split(rng.permutation(count), -(-count // size))
