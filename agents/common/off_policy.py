"""What off-policy agents share: play, remember, learn from what is remembered, and resume exactly.

A resumed run equals an uninterrupted one because a checkpoint at a boundary (every ``checkpoint_interval`` updates) holds
the replay, and because the environments begin new episodes there in either. So that no checkpoint has gigabytes, the
replay then forgets its oldest transitions down to ``replay_mib``, in the run that goes on as in the file. A checkpoint
between two boundaries (``final``, ``best``) holds no replay.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from optgap.agents.common.checkpoint import STATE, import_trusted, read_checkpoint, write_checkpoint
from optgap.agents.common.collector import Collector, figures_of, spaces_of
from optgap.agents.common.contracts import Callback
from optgap.agents.common.field_types import require_types
from optgap.agents.common.memory import require_memory
from optgap.agents.common.on_policy_config import require_widths
from optgap.agents.common.policies import load_policy
from optgap.agents.common.replay import Replay
from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.agents.common.seeding import Stream, derived_seed, seed_learner, separate_generators
from optgap.agents.common.tensors import Tree, is_single, map_tree, resolve_device
from optgap.co.core import InputError, OptgapError
from optgap.envs.registry import EnvironmentConfig

MEBIBYTE = 2**20


class DivergedError(OptgapError):
    """An update has made weights infinite or no numbers; the last checkpoint is intact."""


@dataclass
class OffPolicyConfig:
    """What every off-policy agent understands.

    An update plays ``rollout_length`` steps of each environment, then draws ``batch_size`` transitions, computes their
    targets once, and takes gradient steps on minibatches of them.

    Raises:
        InputError: a value is out of its range.
    """

    policy: str = ""
    """Import string of a torch module: ``policy(observation_space, action_space, config)``, what learns."""
    num_envs: int = 8
    """Copies of the environment that play in parallel."""
    rollout_length: int = 8
    """Steps of each environment between two updates."""
    capacity: int = 100_000
    """Transitions remembered."""
    replay_mib: int = 256
    """Mebibytes of the newest transitions that outlast a checkpoint, in the run as in the file."""
    warmup_steps: int = 1_000
    """Environment steps with random actions, and transitions remembered before the first gradient step."""
    warmup_hold: int = 1
    """Steps that each of these random actions is held: where only a long push leads anywhere new, more than 1."""
    gamma: float = 0.99
    """Discount factor, in [0, 1]."""
    reward_scale: float = 1.0
    """What rewards are multiplied by to be learned from: steps and temperatures suit returns of some tens."""
    n_steps: int = 1
    """Steps of a transition: of more than 1, rewards reach earlier states sooner, and targets mix in past policies."""
    batch_size: int = 4096
    """Transitions drawn for an update."""
    minibatch_size: int = 128
    """At most so many of them in a gradient step."""
    epochs: int = 1
    """Passes over them."""
    learning_rate: float = 1e-3
    """Step size."""
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64])
    """Widths of the hidden layers."""
    checkpoint_interval: int = 250
    """Updates from one checkpoint to the next."""

    def __post_init__(self) -> None:
        require_types(self)
        names = ("num_envs", "rollout_length", "capacity", "replay_mib", "warmup_steps", "warmup_hold", "batch_size")
        for name in (*names, "minibatch_size", "epochs", "n_steps", "checkpoint_interval"):
            self._require(name, getattr(self, name) >= 1, "an integer of at least 1")
        self._require("warmup_steps", self.warmup_steps <= self.capacity, f"at most capacity = {self.capacity}")
        self._require("gamma", 0 <= self.gamma <= 1, "a number in [0, 1]")
        for name in ("learning_rate", "reward_scale"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a number above 0")
        require_widths(self, self.hidden_sizes)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InputError(f"{type(self).__name__}: {name} is {getattr(self, name)!r}; expected {expected}")


class OffPolicyAgent:
    """The loop of an off-policy agent.

    Args:
        env_config: what to learn; its ``make_vec`` must give a vector environment in autoreset mode NEXT_STEP.
        config: hyperparameters.
        seed: with the update counter, the source of every random number.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:<number>"`` or ``"auto"``.

    Raises:
        InputError: the policy, the device or a space cannot be used.
    """

    config_class: ClassVar[type[OffPolicyConfig]]
    intrinsic: ClassVar[bool] = False
    """Whether a rollout has a stream of bonuses, see :class:`optgap.agents.common.collector.Collector`."""

    def __init__(
        self, env_config: EnvironmentConfig, config: OffPolicyConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}; expected an integer of at least 0")
        self.env_config = env_config
        self.config: Any = config if config is not None else self.config_class()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.device = resolve_device(device)
        self.observation_space, self.action_space = spaces_of(env_config)
        action = self._require_actions(self.action_space)
        with separate_generators(self.device):
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            made = load_policy(self.config.policy)(self.observation_space, self.action_space, self.config)
        self.policy: Any = made.to(self.device)
        self.replay = Replay(self.config.capacity, self.observation_space, action)
        self._collector: Collector | None = None
        self._held: NDArray[Any] = action

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``, in whole updates; ``callback`` returning False ends it earlier.

        Only true environment steps count; the steps in which autoreset starts an episode do not.

        Raises:
            InputError: the replay that would be filled is larger than the memory.
            DivergedError: the weights are no numbers any more.
        """
        self._require_memory(total_steps)
        with separate_generators(self.device):
            while self.steps < total_steps:
                begun = time.perf_counter()
                self._rng = seed_learner(self.seed, self.updates)
                if self._collector is None or self.updates % self.config.checkpoint_interval == 0:
                    self._collector = self._restart()
                rollout, metrics = self._collector.collect(self._play)
                self._prepare(rollout)
                observation, masks = self._last
                self.replay.add(rollout, observation, masks, self.config.gamma, self.config.n_steps)
                taken = int(rollout.valid.sum())
                self.steps += taken
                self.updates += 1
                if len(self.replay) >= self.config.warmup_steps:
                    metrics |= self._update(self._rng)
                    self._require_finite()
                if self.updates % self.config.checkpoint_interval == 0:
                    self.replay.trim(self.config.replay_mib * MEBIBYTE)
                metrics["time/steps_per_second"] = taken / (time.perf_counter() - begun)
                if callback is not None and callback(self, metrics) is False:
                    break
        return self

    def predict(
        self,
        observation: Tree,
        action_masks: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        state: None = None,
        episode_start: Any = None,
    ) -> tuple[NDArray[Any], None]:
        """Actions for a batch of observations (B, ...) or a single one, ``action_masks`` (B, A) or (A,) to match.

        Random choices are seeded by torch's global generator. ``state`` and ``episode_start`` belong to the
        Stable-Baselines3 convention and are ignored: the policy has no memory.
        """
        single = is_single(observation, self.observation_space)
        if single:
            observation = map_tree(lambda array: np.asarray(array)[None], observation)
            action_masks = None if action_masks is None else np.asarray(action_masks)[None]
        masks = None if action_masks is None else np.asarray(action_masks, dtype=np.bool_)
        rng = None if deterministic else np.random.default_rng(int(torch.randint(2**31, ()).item()))
        chosen = self._to_environment(self._choose(observation, masks, rng))
        return (chosen[0] if single else chosen), None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically; with the replay at a boundary alone (see the module)."""
        boundary = self.updates % self.config.checkpoint_interval == 0
        replay = self.replay.state() if boundary else None
        write_checkpoint(path, self, self.seed, self.policy, self.policy.optimizer, replay=replay)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Read what :meth:`save` wrote. ``env_config`` replaces the stored one.

        Raises:
            InputError: a file is missing, damaged, of another version, or does not fit the policy.
        """
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, cls.config_class):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not a {cls.config_class.__name__}")
        import_trusted(checkpoint.config.policy, checkpoint.path / STATE)
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        try:
            if checkpoint.replay is not None:
                agent.replay.restore(checkpoint.replay)
        except InputError as error:
            raise InputError(f"{checkpoint.path}: {error}") from None
        checkpoint.restore(agent, agent.policy, agent.policy.optimizer)
        return agent

    def _require_memory(self, total_steps: int) -> None:
        """Raise :class:`InputError` where the transitions of so many steps do not fit into the memory."""
        rows = min(self.config.capacity, max(0, total_steps - self.steps) + len(self.replay))
        require_memory(
            f"capacity is {self.config.capacity}: a replay of {rows} transitions", rows * self.replay.row_bytes
        )

    def _finite(self) -> bool:
        """Whether all weights are numbers."""
        with torch.no_grad():
            norm = torch.nn.utils.get_total_norm([*self.policy.parameters()])
        return bool(torch.isfinite(norm))

    def _require_finite(self) -> None:
        """Raise :class:`DivergedError` after an update that has made weights infinite or no numbers."""
        if not self._finite():
            raise DivergedError(
                f"training diverged: update {self.updates} has made weights infinite or no numbers; the last checkpoint is"
                " from before; expected smaller step sizes (learning_rate, policy_rate, temperature_rate) or reward_scale"
            )

    def _prepare(self, rollout: RolloutBuffer) -> None:
        """Change the rewards of a new rollout, in place, to those that are remembered."""
        rollout.rewards *= self.config.reward_scale

    def _require_actions(self, space: gym.Space[Any]) -> NDArray[Any]:
        """One action as the replay stores it; a space that the algorithm cannot act in raises :class:`InputError`."""
        raise NotImplementedError

    def _to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """The algorithm's actions (B, ...) as the environment's."""
        raise NotImplementedError

    def _random(self, masks: NDArray[np.bool_] | None, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """``count`` uniformly random allowed actions, the algorithm's."""
        raise NotImplementedError

    def _choose(
        self, observation: Tree, masks: NDArray[np.bool_] | None, rng: np.random.Generator | None
    ) -> NDArray[Any]:
        """The policy's actions (B, ...), sampled with ``rng``, the best ones without."""
        raise NotImplementedError

    def _update(self, rng: np.random.Generator) -> dict[str, float]:
        """Gradient steps on remembered transitions; the figures of the update."""
        raise NotImplementedError

    def _restart(self) -> Collector:
        """New episodes everywhere, determined by (seed, update); the vector environment is made at the first call."""
        collector = self._collector
        if collector is None:
            env = self.env_config.make_vec(self.config.num_envs)
            acting = self.config.rollout_length, self._to_environment
            collector = Collector(env, *acting, (), figures_of(self.env_config), self.intrinsic)
        collector.reset(derived_seed(self.seed, self.updates, Stream.ENVIRONMENT))
        self._held_for = 0
        return collector

    def _play(self, observation: Tree, masks: NDArray[np.bool_] | None) -> Decision:
        """Random actions at first, the policy's afterwards; what was seen is kept for :meth:`Replay.add`."""
        self._last = map_tree(np.array, observation), masks
        count = self.config.num_envs
        if self.steps >= self.config.warmup_steps:
            actions = self._choose(observation, masks, self._rng)
        else:
            actions = self._warm(masks, count)
        none = np.zeros(count, np.float32)
        return Decision(actions, none, none)

    def _warm(self, masks: NDArray[np.bool_] | None, count: int) -> NDArray[Any]:
        """Random actions, held for ``warmup_hold`` steps where no mask may forbid them meanwhile."""
        if self._held_for == 0 or masks is not None:
            self._held, self._held_for = self._random(masks, count, self._rng), self.config.warmup_hold
        self._held_for -= 1
        return self._held
