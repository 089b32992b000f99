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

FIELDS = ("observations", "actions", "rewards", "next_observations", "discounts", "masks")


class Transitions(NamedTuple):
    """N transitions of n steps each, fewer where an episode or a rollout ended."""

    observations: Tree  # (N, ...)
    actions: NDArray[Any]  # (N, ...) as the policy means them
    rewards: NDArray[np.float32]  # (N,) sum_k gamma^k r_k over the steps
    next_observations: Tree  # (N, ...) after the last of them
    discounts: NDArray[np.float32]  # (N,) what its value counts: gamma^n, 0 where it is terminal
    masks: NDArray[np.bool_] | None  # (N, A) actions allowed then


class Replay:
    """The newest ``capacity`` transitions, in arrays allocated once (pages that were never written take no memory).

    Observations lie there twice, as a transition's first and as its next one: so that nothing has to be known about
    what was stored beside it. float64 is stored as float32.

    Args:
        capacity: transitions.
        observation_space: gives the shapes and dtypes of observations.
        action: one action, for its shape and dtype.

    Raises:
        InputError: the memory cannot even be reserved.
    """

    def __init__(self, capacity: int, observation_space: gym.Space[Any], action: NDArray[Any]) -> None:
        self.capacity, self.size, self.position = capacity, 0, 0
        try:
            self._arrays: dict[str, Tree] = {
                "observations": _allocate(capacity, observation_space),
                "actions": np.zeros((capacity, *action.shape), action.dtype),
                "rewards": np.zeros(capacity, np.float32),
                "next_observations": _allocate(capacity, observation_space),
                "discounts": np.zeros(capacity, np.float32),
                "masks": None,
            }
        except (MemoryError, ValueError) as error:  # a ValueError where a size is no number of the machine's
            raise InputError(f"capacity is {capacity}: a replay cannot be so large: {error}; expected fewer") from None

    def __len__(self) -> int:
        return self.size

    @property
    def row_bytes(self) -> int:
        """Memory of one transition."""
        return sum(array[:1].nbytes for _, array in self._leaves())

    def add(
        self, rollout: RolloutBuffer, observation: Tree, masks: NDArray[np.bool_] | None, gamma: float, n_steps: int = 1
    ) -> None:
        """Take in a rollout, without the steps that only reset.

        Args:
            rollout: T steps of B environments.
            observation: (B, ...) what was observed after its last step.
            masks: (B, A) actions allowed then, where there are masks.
            gamma: discount factor.
            n_steps: of a transition; 1 is the usual one.
        """
        assert rollout.actions is not None
        if rollout.masks is not None and self._arrays["masks"] is None:
            self._arrays["masks"] = np.zeros((self.capacity, rollout.masks.shape[-1]), np.bool_)
        rewards, discounts, after = several_steps(
            rollout.rewards, rollout.terminated, rollout.terminated | rollout.truncated, gamma, n_steps
        )
        valid = rollout.valid
        following = after[valid], np.broadcast_to(np.arange(rollout.num_envs), after.shape)[valid]

        def later(array: NDArray[Any], last: NDArray[Any]) -> NDArray[Any]:
            # An episode's last observation is what its reset step was shown, so the next row holds it too.
            found: NDArray[Any] = np.concatenate([array, np.asarray(last, array.dtype)[None]])[following]
            return found

        new = Transitions(
            observations=map_tree(lambda array: array[valid], rollout.observations),
            actions=rollout.actions[valid],
            rewards=rewards[valid],
            next_observations=map_tree(later, rollout.observations, observation),
            discounts=discounts[valid],
            masks=None if rollout.masks is None or masks is None else later(rollout.masks, masks),
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
        drawn = {
            name: map_tree(lambda array: array[rows], tree) for name, tree in self._arrays.items() if tree is not None
        }
        return Transitions(**{"masks": None, **drawn})

    def trim(self, limit: int) -> None:
        """Forget the oldest transitions, so that :meth:`state` has at most ``limit`` bytes (and at least one row)."""
        keep = max(1, limit // self.row_bytes)
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


def several_steps(
    rewards: NDArray[np.float32], terminated: NDArray[np.bool_], ended: NDArray[np.bool_], gamma: float, n_steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Transitions of up to ``n_steps`` steps from each of T steps of B environments, none across an episode's end.

    Args:
        rewards: (T, B).
        terminated: (T, B) the state after the step is worth nothing.
        ended: (T, B) the episode ended with the step, terminated or truncated.
        gamma: discount factor.
        n_steps: steps of a transition, at most.

    Returns:
        their discounted rewards, their discounts, and the rows of their next observations, (T, B) each.
    """
    length = len(rewards)
    total, discounts = rewards.copy(), (gamma * ~terminated).astype(np.float32)
    after = np.arange(length)[:, None] + np.ones(rewards.shape, np.int64)
    on = ~ended
    for k in range(1, min(n_steps, length)):
        on[length - k :] = False
        on[:-k] &= ~ended[k - 1 : -1]
        first, later = on[:-k], slice(k, None)
        total[:-k] += first * discounts[:-k] * rewards[later]
        discounts[:-k] *= np.where(first, gamma * ~terminated[later], 1.0).astype(np.float32)
        after[:-k] += first
    return total, discounts, after


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
