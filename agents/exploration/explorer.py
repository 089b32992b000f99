"""What every exploring agent has: the bonuses of a rollout, from its environment or from networks, on a known scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from optgap.agents.common.checkpoint import Growing
from optgap.agents.common.normalize import RewardScale
from optgap.agents.common.replay import parts
from optgap.agents.common.rollout import RolloutBuffer
from optgap.agents.common.seeding import Stream, derived_seed, separate_generators
from optgap.agents.common.tensors import Tree, map_tree, to_tensor, to_tensors
from optgap.agents.exploration.config import COUNTED, LEARNED, MAPPED, Exploration, IntrinsicConfig
from optgap.agents.exploration.curiosity import ICM, Disagreement
from optgap.agents.exploration.rnd import RND, LearnedBonus, Transitions
from optgap.agents.nn.distributions import ActionInterface
from optgap.agents.nn.mlp import flatten
from optgap.co.core import InputError

F32 = NDArray[np.float32]
NETWORKS: dict[str, type[LearnedBonus]] = dict(zip(LEARNED, (RND, ICM, Disagreement), strict=True))


class Statistic(nn.Module):
    """What a lifetime bonus knows of all copies and episodes, as buffers: a checkpoint has them with the weights."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.array(array)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views of the buffers, which lie on the CPU."""
        return {name: buffer.numpy() for name, buffer in self.named_buffers()}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what a wrapper's ``statistic_state`` gave."""
        for name, view in self.arrays().items():
            np.copyto(view, arrays[name], casting="no")


def explored(env_config: Any, config: Exploration) -> tuple[Any, Statistic | None]:
    """The environment that an exploring agent plays, and what its lifetime bonus knows.

    Bonuses that are learned and seen by nobody need no other environment than the plain one.
    """
    if isinstance(env_config, IntrinsicConfig):
        env_config = env_config.plain
    if config.bonus not in COUNTED:
        return env_config, None
    maps = {"centred": config.centred} if config.bonus in MAPPED else {}
    played = IntrinsicConfig(env_config, config.bonus, config.sofe, config.episodic, maps | config.bonus_options)
    if config.episodic:
        return played, None
    env = played.make()
    try:
        statistic = Statistic(env.get_wrapper_attr("statistic_state")())
    finally:
        env.close()
    return dataclasses.replace(played, statistic=statistic.arrays()), statistic


class Explorer(nn.Module):
    """Gives the bonuses of rollouts and learns from them.

    Args:
        observations: space of observations.
        actions: space of actions.
        interface: of the policy's actions.
        config: an :class:`Exploration` with ``num_envs``.
        statistic: of a lifetime bonus.
        seed: of the run.
    """

    def __init__(
        self,
        observations: gym.Space[Any],
        actions: gym.Space[Any],
        interface: ActionInterface,
        config: Any,
        statistic: Statistic | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.config, self.observations, self.seed = config, observations, seed
        self.learned: LearnedBonus | None = None
        if config.bonus in NETWORKS:
            with separate_generators(torch.device("cpu")):
                torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS) + 1)  # not the policy's weights
                self.learned = NETWORKS[config.bonus](observations, actions, interface, config)
        self.moments: torch.Tensor
        self.register_buffer("moments", torch.zeros(3, dtype=torch.float64))  # of the scale of bonuses
        self.statistic = statistic
        self._scale = RewardScale(config.num_envs, config.intrinsic_gamma, "bonus")

    def join(self, policy: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Become a part of the agent's policy, ``policy.explorer``, and of what the policy's Adam moves, its last group.

        So a checkpoint has the networks, their moments and the statistics, and a resumed run goes on exactly.

        Raises:
            InputError: the policy is made of boosted trees.
        """
        if isinstance(policy, Growing):
            raise InputError(
                f"policy {self.config.policy!r} is made of boosted trees; agents that explore expect a network"
            )
        self.device, self._optimizer = device, optimizer
        self.moments = self.moments.to(device)
        if self.learned is not None:
            self.learned.to(device)
            moved = [parameter for parameter in self.learned.parameters() if parameter.requires_grad]
            optimizer.add_param_group({"params": moved, "lr": self.config.bonus_learning_rate})
        policy.explorer = self

    def restart(self) -> None:
        """New episodes have begun everywhere."""
        self._scale.reset()

    def take(self, rollout: RolloutBuffer, collector: Any, update: int) -> tuple[F32, dict[str, float]]:
        """Bonuses (T, B) of a new rollout, 0 where a step only reset, and figures; then learn from it.

        Networks give them as they were before they learned from the rollout, with observations normalized by what has
        been seen including it (so the first rollout gives the initial moments).

        Args:
            rollout: its last stream is what the environment says.
            collector: what has played it.
            update: number of the update, from which random numbers derive.
        """
        valid, figures = rollout.valid, {}
        if self.statistic is not None:
            self.statistic.take(collector.env.statistic_state())
        bonus = rollout.streams[..., -1].copy()
        if self.learned is not None and valid.any():
            seen = self._transitions(rollout, collector.observation)
            self.learned.observe(seen)
            bonus[valid] = self.learned.bonus(seen).cpu().numpy()
            figures["train/bonus_loss"] = self._fit(self.learned, seen, update)
        figures["train/bonus"] = float(bonus[valid].mean(dtype=np.float64)) if valid.any() else 0.0
        if self.config.normalize_bonus:
            scale = self._scale
            scale.count, scale.mean, scale.squares = self.moments.tolist()
            scale.divide(bonus, valid)
            self.moments.copy_(torch.tensor([scale.count, scale.mean, scale.squares], dtype=torch.float64))
            figures["train/bonus_scale"] = scale.scale
        return bonus, figures

    def mixed(self, rewards: NDArray[Any], bonus: NDArray[Any]) -> NDArray[Any]:
        """Rewards and bonuses, or advantages of each, by their coefficients."""
        total: NDArray[Any] = self.config.extrinsic_coefficient * rewards + self.config.bonus_coefficient * bonus
        return total

    def _fit(self, learned: LearnedBonus, seen: Transitions, update: int) -> float:
        """Gradient steps on a random part of a rollout; the mean loss."""
        config, losses = self.config, []
        sequence = np.random.SeedSequence((self.seed, update), spawn_key=(int(Stream.LEARNER), 2))
        rng, count = np.random.default_rng(sequence), len(seen.actions)
        chosen = rng.permutation(count)[: max(1, round(config.bonus_share * count))]
        self._optimizer.param_groups[-1]["lr"] = config.bonus_learning_rate  # the policy's steps set that of all groups
        for part in parts(len(chosen), config.bonus_minibatch_size, config.bonus_epochs, rng):
            loss = learned.loss(seen.select(torch.from_numpy(chosen[part]).to(self.device)), rng)
            self._optimizer.zero_grad()  # gradients of nothing else are left: the step moves nothing else
            loss.backward()
            self._optimizer.step()
            losses.append(loss.detach())
        self._optimizer.zero_grad()
        return float(torch.stack(losses).mean())

    def _transitions(self, rollout: RolloutBuffer, last: Tree) -> Transitions:
        """The rollout's steps; ``last`` (B, ...) is what the last of them led to."""
        assert rollout.actions is not None
        rows = torch.from_numpy(np.flatnonzero(rollout.valid))

        def with_last(array: NDArray[Any], after: Any) -> NDArray[Any]:
            joined = np.concatenate([array, np.asarray(after, array.dtype)[None]])
            return joined.reshape(-1, *array.shape[2:])

        # An episode's last observation is what its reset step was shown, so the next row holds it too.
        shown = to_tensors(map_tree(with_last, rollout.observations, last), self.device)
        assert self.learned is not None
        features = self.learned.seen(flatten(shown, self.observations))
        actions = to_tensor(rollout.actions.reshape(-1, *rollout.actions.shape[2:]), "cpu")[rows]
        first = rows.to(self.device)
        return Transitions(features[first], actions.to(self.device), features[first + rollout.num_envs])


def intrinsic_advantages(
    rollout: RolloutBuffer, bonus: F32, values: F32, gamma: float, gae_lambda: float
) -> tuple[F32, F32]:
    """Advantages and value targets of bonuses whose value goes on over an episode's end (arXiv 1810.12894, section 2.3).

    Generalized advantage estimation along each copy's steps, whatever ended between them; a step that only resets passes
    value and advantage of the step after it on to the one before it.

    Args:
        rollout: of T steps of B copies; only ``valid`` is read.
        bonus: (T, B).
        values: (T + 1, B).
        gamma: discount factor.
        gae_lambda: weight of longer returns.

    Returns:
        advantages and returns, (T, B) each; the advantage of a step that only resets is 0.
    """
    advantages = np.zeros_like(bonus)
    value, following = values[-1], np.zeros_like(bonus[0])
    for t in range(len(bonus) - 1, -1, -1):
        valid = rollout.valid[t]
        advantage = bonus[t] + gamma * value - values[t] + gamma * gae_lambda * following
        following = np.where(valid, advantage, following).astype(bonus.dtype)
        value = np.where(valid, values[t], value)
        advantages[t] = np.where(valid, advantage, 0.0)
    return advantages, advantages + values[:-1]
