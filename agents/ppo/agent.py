"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347), with invalid actions masked out."""

from __future__ import annotations

import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from optgap.agents.common.approximator import Approximator, Network, Outputs
from optgap.agents.common.checkpoint import STATE, import_trusted, read_checkpoint, write_checkpoint
from optgap.agents.common.collector import Collector, spaces_of
from optgap.agents.common.contracts import Callback
from optgap.agents.common.normalize import RewardScale
from optgap.agents.common.rollout import Batch, Decision, minibatches
from optgap.agents.common.seeding import Stream, derived_seed, seed_learner, separate_generators
from optgap.agents.common.tensors import Tree, is_single, map_tree, resolve_device, to_tensor
from optgap.agents.nn.distributions import Distribution, action_interface
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.registry import EnvironmentConfig


class PPO:
    """PPO with the clipped surrogate objective and GAE, on an actor-critic network with Adam or on boosted trees.

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

    def __init__(
        self, env_config: EnvironmentConfig, config: PPOConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}; expected an integer of at least 0")
        self.env_config = env_config
        self.config = config if config is not None else PPOConfig()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.device = resolve_device(device)
        self.observation_space, self.action_space = spaces_of(env_config)
        self.interface = action_interface(self.action_space)
        with separate_generators(self.device):
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            policy = load_policy(self.config.policy)(self.observation_space, self.action_space, self.config)
        self.policy: nn.Module = policy.to(self.device)
        self.approximator: Approximator = (
            policy
            if isinstance(policy, Approximator)
            else Network(self.policy, self.config.learning_rate, self.config.max_grad_norm, self.device)
        )
        self.optimizer = self.approximator.optimizer
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

                # Algorithm 1: run the policy in N environments for T steps, compute advantage estimates ...
                rollout, metrics = self._collector.collect(self._act)
                if self.config.normalize_reward:
                    self.reward_scale.apply(rollout)
                rollout.estimate_advantages(self.config.gamma, self.config.gae_lambda)
                # ... and optimize the surrogate L, with K epochs and minibatch size M <= NT.
                learning_rate = self.config.learning_rate_at(self.steps, total_steps)
                batch = rollout.batch(self.device)
                batch = batch._replace(observations=self.approximator.hold(batch.observations))
                metrics |= self._optimize(batch, learning_rate, rng)

                taken = int(rollout.valid.sum())
                self.steps += taken
                self.updates += 1
                metrics["time/steps_per_second"] = taken / (time.perf_counter() - begun)
                if callback is not None and callback(self, metrics) is False:
                    break
        return self

    def _optimize(self, batch: Batch, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        """Maximize equation 9 over one rollout; the mean of each figure over the gradient steps."""
        config = self.config
        figures: dict[str, list[Tensor]] = defaultdict(list)
        for _ in range(config.epochs):
            divergence = 0.0
            for part in minibatches(batch, config.minibatch_size, rng):
                parameters, values = self.approximator.evaluate(part.observations)
                distribution = self.interface.distribution(parameters, part.masks)
                advantages = part.advantages
                if config.normalize_advantage:
                    advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)

                log_ratio = distribution.log_probability(part.actions) - part.log_probabilities
                ratio = log_ratio.exp()  # r(theta) of equation 6
                clipped = ratio.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
                policy_loss = -torch.min(ratio * advantages, clipped * advantages).mean()  # equation 7
                value_loss = nn.functional.mse_loss(values, part.returns)  # L^VF of equation 9
                entropy = distribution.entropy().mean()  # S of equation 9
                loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy

                with torch.no_grad():
                    kl = (ratio - 1.0 - log_ratio).mean()  # unbiased and never negative: joschu.net/blog/kl-approx.html
                    outside = ((ratio - 1.0).abs() > config.clip_range).float().mean()
                figures["train/policy_loss"].append(policy_loss.detach())
                figures["train/value_loss"].append(value_loss.detach())
                figures["train/entropy"].append(entropy.detach())
                figures["train/approximate_kl"].append(kl)
                figures["train/clip_fraction"].append(outside)
                if config.target_kl is not None and (divergence := kl.item()) > 1.5 * config.target_kl:
                    break

                self.approximator.minimize(loss, learning_rate)
            if config.target_kl is not None and divergence > 1.5 * config.target_kl:
                break
        metrics = {name: float(torch.stack(values).mean()) for name, values in figures.items()}
        unexplained = torch.var(batch.returns - batch.values, correction=0)
        variance = torch.var(batch.returns, correction=0)
        metrics["train/explained_variance"] = float(1.0 - unexplained / variance) if variance > 0 else 0.0
        metrics["train/learning_rate"] = learning_rate
        return metrics

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
        distribution = self._distribution(self.approximator.predict(observation), masks)
        actions = distribution.mode() if deterministic else distribution.sample()
        chosen = self.interface.to_environment(actions.cpu().numpy())
        return (chosen[0] if single else chosen), None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        write_checkpoint(path, self, self.seed, self.policy, self.optimizer, self.reward_scale.state())

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Read what :meth:`save` wrote. ``env_config`` replaces the stored one, for instance by another size.

        Raises:
            InputError: a file is missing, damaged, of another version, or does not fit the policy.
        """
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, PPOConfig):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not one of PPO")
        import_trusted(checkpoint.config.policy, checkpoint.path / STATE)
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        checkpoint.restore(agent, agent.policy, agent.optimizer)
        try:
            if checkpoint.optimizer is not None:  # published weights hold what acting needs, not what training needs
                agent.reward_scale.restore(checkpoint.statistics)
        except KeyError as error:
            raise InputError(f"{checkpoint.path / STATE}: statistics: {error.args[0]} is missing") from None
        return agent

    def _restart(self) -> Collector:
        """New episodes everywhere, determined by (seed, update); the vector environment is made at the first call."""
        collector = self._collector
        if collector is None:
            env = self.env_config.make_vec(self.config.num_envs)
            collector = Collector(env, self.config.rollout_length, self.interface.to_environment)
        collector.reset(derived_seed(self.seed, self.updates, Stream.ENVIRONMENT))
        self.reward_scale.reset()
        return collector

    def _act(self, observation: Tree, masks: NDArray[np.bool_] | None) -> Decision:
        """Sampled actions, their log-probabilities, and values."""
        outputs = self.approximator.predict(observation)
        distribution = self._distribution(outputs, masks)
        actions = distribution.sample()
        log_probabilities = distribution.log_probability(actions)
        return Decision(actions.cpu().numpy(), log_probabilities.cpu().numpy(), outputs.values.float().cpu().numpy())

    def _distribution(self, outputs: Outputs, masks: NDArray[np.bool_] | None) -> Distribution:
        allowed = None if masks is None else to_tensor(masks, self.device)
        return self.interface.distribution(outputs.parameters, allowed)


def load_policy(name: str) -> type[nn.Module]:
    """The torch module class that the import string ``name`` (``"package.module:Class"``) means."""
    module, _, attribute = name.partition(":")
    try:
        policy = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"policy {name!r} cannot be imported ({error}); expected package.module:Class") from error
    if not (isinstance(policy, type) and issubclass(policy, nn.Module)):
        raise InputError(f"policy {name!r} is not a torch.nn.Module class")
    return policy
