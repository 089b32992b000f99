"""Deep Q-learning (Mnih et al. 2015), double (van Hasselt, Guez & Silver 2016), with invalid actions masked out."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.off_policy import OffPolicyAgent
from optgap.agents.common.tensors import Tree
from optgap.agents.dqn.config import DQNConfig
from optgap.co.core import InputError

F32 = NDArray[np.float32]


class ActionValues(Protocol):
    """Q of A actions, as a network or as trees; a torch module too."""

    optimizer: torch.optim.Optimizer  # of its torch parameters; its state is a part of a checkpoint

    def predict(self, observations: Tree) -> F32:
        """Present values (B, A) of observations (B, ...)."""
        ...

    def pair(self, observations: Tree) -> tuple[F32, F32]:
        """Present values and the target's, (B, A) each."""
        ...

    def fit(self, observations: Tree, actions: NDArray[np.int64], targets: F32, rng: np.random.Generator) -> float:
        """Gradient steps on minibatches that move Q(s_i, a_i) towards ``targets[i]``; the mean squared error before."""
        ...

    def follow(self) -> None:
        """Make the present values the target's."""
        ...


class DQN(OffPolicyAgent):
    """Double deep Q-learning on a network with Adam or on boosted trees; Discrete actions.

    See :class:`optgap.agents.common.off_policy.OffPolicyAgent`. Actions are masked where the environment has
    ``action_masks()``.
    """

    config_class = DQNConfig
    policy: Any

    def _update(self, rng: np.random.Generator) -> dict[str, float]:
        """Algorithm 1 of Mnih et al. 2015, many transitions at a time."""
        config = self.config
        batch = self.replay.sample(config.batch_size, rng)
        values, target = self.policy.pair(batch.next_observations)
        targets = q_targets(batch.rewards, batch.discounts, values if config.double else target, target, batch.masks)
        error = self.policy.fit(batch.observations, batch.actions, targets, rng)
        if self.updates % config.target_interval == 0:
            self.policy.follow()
        figures = {"train/value_loss": error, "train/value": float(targets.mean())}
        return figures | {"train/epsilon": config.epsilon_at(self.steps), "train/replay": float(len(self.replay))}

    def _choose(
        self, observation: Tree, masks: NDArray[np.bool_] | None, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        values = self.policy.predict(observation)
        best: NDArray[Any] = _allowed(values, masks).argmax(axis=1)
        if rng is None:
            return best
        explore = rng.random(len(best)) < self.config.epsilon_at(self.steps)
        return np.where(explore, self._random(masks, len(best), rng), best)

    def _random(self, masks: NDArray[np.bool_] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
        draws = rng.random((count, self._n)).astype(np.float32)
        drawn: NDArray[Any] = _allowed(draws, masks).argmax(axis=1)
        return drawn

    def _require_actions(self, space: gym.Space[Any]) -> NDArray[Any]:
        if not isinstance(space, gym.spaces.Discrete):
            raise InputError(f"action space {space} has no table of values; expected Discrete")
        self._n, self._start = int(space.n), int(space.start)
        return np.zeros((), np.int64)

    def _to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions + self._start


def q_targets(
    rewards: F32,
    discounts: F32,
    values: F32,
    target: F32,
    masks: NDArray[np.bool_] | None,
) -> F32:
    """What Q(s, a) should be, (N,): ``r + gamma Q'(s', argmax_a Q(s', a))``, and r where nothing follows.

    Args:
        rewards: (N,).
        discounts: (N,) gamma, or gamma^n after n steps; 0 where the next state is terminal.
        values: (N, A) Q(s', .), which chooses.
        target: (N, A) Q'(s', .), which says what the choice is worth (van Hasselt et al. 2016, equation 4).
        masks: (N, A) allowed actions in s', or None for all; where none is allowed, nothing follows.
    """
    best = _allowed(values, masks).argmax(axis=1)
    worth = target[np.arange(len(best)), best]
    return rewards + discounts * (worth if masks is None else np.where(masks.any(axis=1), worth, 0))


def _allowed(values: F32, masks: NDArray[np.bool_] | None) -> F32:
    """``values`` (B, A), the least finite number where an action is forbidden."""
    return values if masks is None else np.where(masks, values, np.finfo(np.float32).min)
