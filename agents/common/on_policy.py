"""What on-policy actor-critics have in common: everything except what an update does with a rollout."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.approximator import Approximator, Network, Outputs
from optgap.agents.common.checkpoint import STATE, import_trusted, read_checkpoint, write_checkpoint
from optgap.agents.common.collector import Collector, figures_of, spaces_of
from optgap.agents.common.contracts import Callback
from optgap.agents.common.normalize import RewardScale
from optgap.agents.common.on_policy_config import OnPolicyConfig
from optgap.agents.common.policies import load_policy
from optgap.agents.common.rollout import Batch, Decision, RolloutBuffer
from optgap.agents.common.seeding import Stream, derived_seed, seed_learner, separate_generators
from optgap.agents.common.tensors import Tree, is_single, map_tree, resolve_device, to_tensor
from optgap.agents.nn.distributions import ActionInterface, Distribution, action_interface
from optgap.co.core import InputError
from optgap.envs.registry import EnvironmentConfig

Config = TypeVar("Config", bound=OnPolicyConfig)


class OnPolicyAgent(Generic[Config]):
    """Plays rollouts with the present policy and updates it after each, on a network with Adam or on boosted trees.

    A subclass sets ``config_class`` and says in :meth:`_update` what an update is.

    Args:
        env_config: what to learn; its ``make_vec`` must give a vector environment in autoreset mode NEXT_STEP. Actions
            are masked where it has ``action_masks() -> (num_envs, A) bool``, or where it is a ``SyncVectorEnv`` of
            environments that have ``action_masks() -> (A,) bool``.
        config: hyperparameters.
        seed: with the update counter, the source of every random number.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:<number>"`` or ``"auto"``.

    Raises:
        InputError: the policy, the device or a space cannot be used.
    """

    config_class: type[Config]
    intrinsic: ClassVar[bool] = False
    """Whether a rollout has a stream of bonuses, see :class:`optgap.agents.common.collector.Collector`."""

    def __init__(
        self, env_config: EnvironmentConfig, config: Config | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}; expected an integer of at least 0")
        self.env_config = env_config
        self.config = config if config is not None else self.config_class()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.device = resolve_device(device)
        self.observation_space, self.action_space = spaces_of(env_config)
        self.streams = self._stream_names()
        with separate_generators(self.device):
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            policy = self._make_policy()
        self.policy: nn.Module = policy.to(self.device)
        self.approximator: Approximator = (
            policy
            if isinstance(policy, Approximator)
            else Network(self.policy, self.config.learning_rate, self.config.max_grad_norm, self.device)
        )
        self.optimizer = self.approximator.optimizer
        self.interface: ActionInterface = getattr(policy, "interface", None) or action_interface(self.action_space)
        self._observe = getattr(self.policy, "observe", None)
        self.reward_scale = RewardScale(self.config.num_envs, self.config.gamma)
        self._collector: Collector | None = None

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``, in whole rollouts; ``callback`` returning False ends it earlier.

        Only true environment steps count; the steps in which autoreset starts an episode do not.
        """
        with separate_generators(self.device):
            while self.steps < total_steps:
                begun = time.perf_counter()
                rng = seed_learner(self.seed, self.updates)
                if self._collector is None or self.updates % self.config.checkpoint_interval == 0:
                    self._collector = self._restart()

                rollout, metrics = self._collector.collect(self._act)
                self._prepare(rollout)
                learning_rate = self.config.learning_rate_at(self.steps, total_steps)
                metrics |= self._update(rollout, learning_rate, rng)
                if self._observe is not None:  # after the update, which compares with the policy that acted
                    self._observe(rollout.batch(self.device).observations)
                metrics["train/learning_rate"] = learning_rate

                taken = int(rollout.valid.sum())
                self.steps += taken
                self.updates += 1
                metrics["time/steps_per_second"] = taken / (time.perf_counter() - begun)
                if callback is not None and callback(self, metrics) is False:
                    break
        return self

    def _stream_names(self) -> tuple[str, ...]:
        """The costs ``info["cost"]`` that are learned from besides the reward; asked once, while being made."""
        return ()

    def _prepare(self, rollout: RolloutBuffer) -> None:
        """Bring the rewards of a new rollout, in place, to the scale on which they are learned."""
        if self.config.normalize_reward:
            self.reward_scale.apply(rollout)

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        """Learn from one rollout of the present policy; figures of what was done."""
        raise NotImplementedError

    def _batch(self, rollout: RolloutBuffer) -> Batch:
        """A rollout's transitions with their advantages, in the approximator's hold."""
        rollout.estimate_advantages(self.config.gamma, self.config.gae_lambda)
        batch = rollout.batch(self.device)
        return batch._replace(observations=self.approximator.hold(batch.observations))

    def predict(
        self,
        observation: Tree,
        action_masks: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        state: None = None,
        episode_start: Any = None,
    ) -> tuple[NDArray[Any], None]:
        """Actions for a batch of observations (B, ...) or a single one, ``action_masks`` (B, A) or (A,) to match.

        Sampling draws from torch's global generator. ``state`` and ``episode_start`` belong to the Stable-Baselines3
        convention and are ignored: the policy has no memory.
        """
        single = is_single(observation, self.observation_space)
        if single:
            observation = map_tree(lambda array: np.asarray(array)[None], observation)
            action_masks = None if action_masks is None else np.asarray(action_masks)[None]
        masks = None if action_masks is None else np.asarray(action_masks, dtype=np.bool_)
        distribution = self._distribution(self._outputs(observation), masks)
        actions = distribution.mode() if deterministic else distribution.sample()
        chosen = self.interface.to_environment(actions.cpu().numpy())
        return (chosen[0] if single else chosen), None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        write_checkpoint(path, self, self.seed, self.policy, self.optimizer, self._statistics())

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Read what :meth:`save` wrote. ``env_config`` replaces the stored one, for instance by another size.

        Raises:
            InputError: a file is missing, damaged, of another version, or does not fit the policy.
        """
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, cls.config_class):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not one of {cls.__name__}")
        import_trusted(checkpoint.config.policy, checkpoint.path / STATE)
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        checkpoint.restore(agent, agent.policy, agent.optimizer)
        try:
            if checkpoint.optimizer is not None:  # published weights hold what acting needs, not what training needs
                agent._restore_statistics(checkpoint.statistics)
        except KeyError as error:
            raise InputError(f"{checkpoint.path / STATE}: statistics: {error.args[0]} is missing") from None
        return agent

    def _statistics(self) -> dict[str, float]:
        """Running statistics of the training, as :meth:`_restore_statistics` takes them."""
        return self.reward_scale.state()

    def _restore_statistics(self, statistics: Mapping[str, float]) -> None:
        """Put back what :meth:`_statistics` gave; a missing name is a KeyError."""
        self.reward_scale.restore(statistics)

    def _make_policy(self) -> nn.Module:
        """What ``config.policy`` names, with a value for each further stream."""
        policy = load_policy(self.config.policy)
        arguments = (self.observation_space, self.action_space, self.config)
        if not self.streams:
            return policy(*arguments)
        if "streams" not in inspect.signature(policy).parameters:
            raise InputError(
                f"policy {self.config.policy!r} takes no argument 'streams', so it has no values of {len(self.streams)} "
                f"costs; {type(self).__name__} needs one that has, such as optgap.agents.nn.mlp:MLPActorCritic"
            )
        return policy(*arguments, streams=len(self.streams))

    def _restart(self) -> Collector:
        """New episodes everywhere, determined by (seed, update); the vector environment is made at the first call."""
        collector = self._collector
        if collector is None:
            env = self.env_config.make_vec(self.config.num_envs)
            costs = () if self.intrinsic else self.streams
            acting = self.config.rollout_length, self.interface.to_environment
            collector = Collector(env, *acting, costs, figures_of(self.env_config), self.intrinsic)
        collector.reset(derived_seed(self.seed, self.updates, Stream.ENVIRONMENT))
        self.reward_scale.reset()
        return collector

    def _outputs(self, observation: Tree) -> Outputs:
        """What :meth:`predict` acts by."""
        return self.approximator.predict(observation)

    def _act(self, observation: Tree, masks: NDArray[np.bool_] | None) -> Decision:
        """Sampled actions, their log-probabilities, and values."""
        outputs = self.approximator.predict(observation)
        distribution = self._distribution(outputs, masks)
        actions = distribution.sample()
        log_probabilities = distribution.log_probability(actions)
        values = outputs.values.float().cpu().numpy()
        streams = None if outputs.streams is None else outputs.streams.float().cpu().numpy()
        return Decision(actions.cpu().numpy(), log_probabilities.cpu().numpy(), values, streams)

    def _distribution(self, outputs: Outputs, masks: NDArray[np.bool_] | None) -> Distribution:
        allowed = None if masks is None else to_tensor(masks, self.device)
        return self.interface.distribution(outputs.parameters, allowed)


def standardized(advantages: Tensor) -> Tensor:
    """Advantages (N,) with mean 0 and standard deviation 1."""
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


def mean_figures(figures: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """The mean of each figure over the gradient steps."""
    return {name: float(torch.stack(list(values)).mean()) for name, values in figures.items()}


def explained_variance(batch: Batch) -> float:
    """Share of the variance of the returns that the acting policy's values account for; 1 is all of it."""
    unexplained = torch.var(batch.returns - batch.values, correction=0)
    variance = torch.var(batch.returns, correction=0)
    return float(1.0 - unexplained / variance) if variance > 0 else 0.0
