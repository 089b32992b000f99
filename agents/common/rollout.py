"""Storage of rollouts: what T steps of B environments looked like, and the minibatches an update draws from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.gae import generalized_advantages
from optgap.agents.common.tensors import Tree, map_tree, to_tensor


class Decision(NamedTuple):
    """What a policy decided for B environments."""

    actions: NDArray[Any]  # (B, ...)
    log_probabilities: NDArray[np.float32]  # (B,)
    values: NDArray[np.float32]  # (B,)
    streams: NDArray[np.float32] | None = None  # (B, K) values of the further streams


class Batch(NamedTuple):
    """N transitions as tensors on one device."""

    observations: Tree  # tensors (N, ...)
    actions: torch.Tensor  # (N, ...)
    masks: torch.Tensor | None  # (N, A) bool
    log_probabilities: torch.Tensor  # (N,) float32, of the policy that acted
    values: torch.Tensor  # (N,) float32, of the policy that acted
    advantages: torch.Tensor  # (N,) float32
    returns: torch.Tensor  # (N,) float32, targets of the value function
    stream_advantages: torch.Tensor | None = None  # (N, K) float32; None where there is no further stream
    stream_returns: torch.Tensor | None = None  # (N, K) float32

    def select(self, index: torch.Tensor) -> Batch:
        """The transitions at ``index`` (M,), integers on the batch's device."""
        return Batch._make(None if part is None else map_tree(lambda tensor: tensor[index], part) for part in self)


class RolloutBuffer:
    """T steps of B environments in autoreset mode NEXT_STEP.

    Arrays are (T, B, ...) and are allocated at the first step from the shapes and dtypes seen there (float64 is stored
    as float32). Observations and masks are copied in :meth:`decide`, before the environment steps and may overwrite
    them. The step after an episode's end only resets: it is stored with ``valid`` False and never trained on.

    Besides the reward there may be K further ``streams`` of rewards, costs for instance: (T, B, K), each with values
    and advantages of its own.
    """

    def __init__(self, length: int, num_envs: int, streams: int = 0) -> None:
        shape = (length, num_envs)
        self.length, self.num_envs = length, num_envs
        self.observations: Tree = None
        self.actions: NDArray[Any] | None = None
        self.masks: NDArray[np.bool_] | None = None
        self.log_probabilities = np.zeros(shape, dtype=np.float32)
        self.values = np.zeros((length + 1, num_envs), dtype=np.float32)
        self.rewards = np.zeros(shape, dtype=np.float32)
        self.terminated = np.zeros(shape, dtype=np.bool_)
        self.truncated = np.zeros(shape, dtype=np.bool_)
        self.valid = np.ones(shape, dtype=np.bool_)
        self.advantages = np.zeros(shape, dtype=np.float32)
        self.returns = np.zeros(shape, dtype=np.float32)
        self.streams = np.zeros((*shape, streams), dtype=np.float32)
        self.stream_values = np.zeros((length + 1, num_envs, streams), dtype=np.float32)
        self.stream_advantages = np.zeros_like(self.streams)
        self.stream_returns = np.zeros_like(self.streams)

    def decide(
        self, t: int, observation: Tree, masks: NDArray[np.bool_] | None, decision: Decision, valid: NDArray[np.bool_]
    ) -> None:
        """Store step ``t`` up to its actions; ``valid`` (B,) is False where this step only resets."""
        if self.observations is None:
            self.observations = map_tree(self._allocate, observation)
            self.actions = self._allocate(decision.actions)
            self.masks = None if masks is None else self._allocate(masks)
        assert self.actions is not None
        map_tree(lambda store, array: np.copyto(store[t], array, casting="same_kind"), self.observations, observation)
        self.actions[t] = decision.actions
        if self.masks is not None:
            self.masks[t] = masks
        self.log_probabilities[t] = decision.log_probabilities
        self.values[t] = decision.values
        if decision.streams is not None:
            self.stream_values[t] = decision.streams
        self.valid[t] = valid

    def outcome(
        self,
        t: int,
        rewards: NDArray[Any],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        streams: NDArray[Any] | None = None,
    ) -> None:
        """Store what the environments answered to step ``t``, each (B,), ``streams`` (B, K)."""
        self.rewards[t] = rewards
        self.terminated[t] = terminated
        self.truncated[t] = truncated
        if streams is not None:
            self.streams[t] = streams

    @classmethod
    def join(cls, rollouts: Sequence[RolloutBuffer]) -> RolloutBuffer:
        """Rollouts of the same environments, each of which goes on where the one before ended, as one rollout."""
        length = sum(rollout.length for rollout in rollouts)
        joined = cls(length, rollouts[0].num_envs, rollouts[0].streams.shape[-1])

        def along_time(*arrays: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate(arrays)

        joined.observations = map_tree(along_time, *(rollout.observations for rollout in rollouts))
        for name in ("values", "stream_values"):
            parts = [getattr(rollout, name) for rollout in rollouts]
            setattr(joined, name, np.concatenate([*(part[:-1] for part in parts), parts[-1][-1:]]))
        masks = [rollout.masks for rollout in rollouts if rollout.masks is not None]
        joined.masks = np.concatenate(masks) if masks else None
        for name in ("actions", "log_probabilities", "rewards", "terminated", "truncated", "valid", "streams"):
            setattr(joined, name, np.concatenate([getattr(rollout, name) for rollout in rollouts]))
        return joined

    def estimate_advantages(self, gamma: float, gae_lambda: float) -> None:
        """Fill ``advantages`` and ``returns``; row T of ``values`` must hold the value of the last observation.

        The same for every further stream.
        """
        ends = (self.terminated, self.truncated, self.valid)
        self.advantages, self.returns = generalized_advantages(self.rewards, self.values, *ends, gamma, gae_lambda)
        for k in range(self.streams.shape[-1]):
            rewards, values = self.streams[..., k], self.stream_values[..., k]
            advantages, returns = generalized_advantages(rewards, values, *ends, gamma, gae_lambda)
            self.stream_advantages[..., k], self.stream_returns[..., k] = advantages, returns

    def batch(self, device: torch.device | str) -> Batch:
        """All valid transitions, flattened, on ``device``."""
        assert self.actions is not None, "the buffer is empty"
        chosen = torch.from_numpy(np.flatnonzero(self.valid))

        def flatten(array: NDArray[Any]) -> torch.Tensor:
            flat = to_tensor(array.reshape(-1, *array.shape[2:]), "cpu")
            return (flat if len(chosen) == len(flat) else flat[chosen]).to(device)

        return Batch(
            observations=map_tree(flatten, self.observations),
            actions=flatten(self.actions),
            masks=None if self.masks is None else flatten(self.masks),
            log_probabilities=flatten(self.log_probabilities),
            values=flatten(self.values[:-1]),
            advantages=flatten(self.advantages),
            returns=flatten(self.returns),
            stream_advantages=flatten(self.stream_advantages) if self.streams.size else None,
            stream_returns=flatten(self.stream_returns) if self.streams.size else None,
        )

    def _allocate(self, array: Any) -> NDArray[Any]:
        array = np.asarray(array)
        dtype = np.float32 if array.dtype == np.float64 else array.dtype
        return np.zeros((self.length, *array.shape), dtype=dtype)


def minibatches(batch: Batch, size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """``batch`` in random order, in equal parts (to within one) of at most ``size`` transitions."""
    count = len(batch.advantages)
    order = rng.permutation(count)
    for part in np.array_split(order, -(-count // size)):
        yield batch.select(torch.from_numpy(part).to(batch.advantages.device))
