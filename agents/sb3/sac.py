"""Stable-Baselines3's SAC behind the contract of an agent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from optgap.agents.common.box_actions import BoxActions
from optgap.agents.common.checkpoint import STATE, read_checkpoint, write_checkpoint
from optgap.agents.common.contracts import Callback
from optgap.agents.common.seeding import Stream, derived_seed, separate_generators
from optgap.agents.common.tensors import resolve_device
from optgap.agents.sb3.sac_config import SB3SACConfig
from optgap.co.core import InputError, MissingExtraError
from optgap.envs.registry import EnvironmentConfig

ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")  # of its replay


class SB3SAC:
    """SAC on a Box that is observed and a bounded Box of actions; ``self.model`` is Stable-Baselines3's.

    Its files are ours (safetensors and json), because those of Stable-Baselines3 hold pickles. A checkpoint at a boundary
    holds the whole replay.

    Raises:
        InputError: the device or a space cannot be used.
        MissingExtraError: stable-baselines3 is not installed.
    """

    def __init__(
        self, env_config: EnvironmentConfig, config: SB3SACConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        try:
            from stable_baselines3 import SAC
            from stable_baselines3.common.monitor import Monitor
            from stable_baselines3.common.vec_env import DummyVecEnv
        except ImportError as error:
            raise MissingExtraError("stable-baselines3", "dev") from error
        if seed < 0:
            raise InputError(f"seed is {seed}; expected an integer of at least 0")
        self.env_config = env_config
        self.config = own = config if config is not None else SB3SACConfig()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.device = resolve_device(device)
        env = DummyVecEnv([lambda: Monitor(env_config.make())] * own.num_envs)
        BoxActions(env.action_space)
        with separate_generators(self.device):
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            try:
                self.model: Any = SAC(
                    "MlpPolicy",
                    env,
                    learning_rate=own.learning_rate,
                    buffer_size=own.capacity,
                    learning_starts=own.warmup_steps,
                    batch_size=own.minibatch_size,
                    tau=own.target_rate,
                    gamma=own.gamma,
                    train_freq=(own.rollout_length, "step"),
                    gradient_steps=-(-own.batch_size // own.minibatch_size) * own.epochs,
                    ent_coef=f"auto_{own.temperature}" if own.learn_temperature else own.temperature,
                    policy_kwargs={"net_arch": list(own.hidden_sizes)},
                    device=self.device,
                )
            except (AssertionError, NotImplementedError, ValueError) as error:
                raise InputError(f"{env_config} does not suit Stable-Baselines3: {error}") from error
        self._learner = _Learner(self.model, own.learning_rate)

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; one call of the model's ``learn`` is one rollout and one update.

        Stable-Baselines3 draws from its replay with NumPy's global generator, which is therefore seeded.
        """
        taken = self.config.num_envs * self.config.rollout_length
        with separate_generators(self.device):
            while self.steps < total_steps:
                begun = time.perf_counter()
                learner_seed = derived_seed(self.seed, self.updates, Stream.LEARNER)
                torch.manual_seed(learner_seed)
                np.random.seed(learner_seed)  # noqa: NPY002 (the generator that Stable-Baselines3 uses)
                self.model.action_space.seed(learner_seed)
                if self.updates % self.config.checkpoint_interval == 0:
                    self.model.env.seed(derived_seed(self.seed, self.updates, Stream.ENVIRONMENT))
                    self.model._last_obs = None  # makes the next learn reset the environments
                    self.model.ep_info_buffer = None  # and forget episodes of before
                self.model.learn(taken, reset_num_timesteps=False)
                self.steps += taken
                self.updates += 1
                metrics = self._metrics()
                metrics["time/steps_per_second"] = taken / (time.perf_counter() - begun)
                if callback is not None and callback(self, metrics) is False:
                    break
        return self

    def predict(
        self,
        observation: Any,
        action_masks: Any = None,
        deterministic: bool = False,
        state: None = None,
        episode_start: Any = None,
    ) -> tuple[Any, None]:
        """Actions for a batch of observations or a single one; the other arguments are ignored."""
        return self.model.predict(observation, deterministic=deterministic)[0], None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        replay = None
        if self.updates % self.config.checkpoint_interval == 0:
            buffer = self.model.replay_buffer
            size = buffer.buffer_size if buffer.full else buffer.pos
            replay = {name: torch.from_numpy(getattr(buffer, name)[:size]) for name in ARRAYS}
            replay["position"] = torch.tensor(buffer.pos)
        write_checkpoint(path, self, self.seed, self._learner, self._learner.joint(), replay=replay)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Rebuild the model and read what :meth:`save` wrote.

        Raises:
            InputError: a file is missing, damaged, of another version, or does not fit the model.
        """
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, SB3SACConfig):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not an SB3SACConfig")
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        joint = agent._learner.joint()
        checkpoint.restore(agent, agent._learner, joint)
        agent._learner.take(joint)
        agent.model.num_timesteps = agent.steps
        agent.model._n_updates = 0
        if checkpoint.replay is not None:
            buffer, size = agent.model.replay_buffer, len(checkpoint.replay["rewards"])
            try:
                for name in ARRAYS:
                    getattr(buffer, name)[:size] = checkpoint.replay[name].numpy()
                buffer.pos, buffer.full = int(checkpoint.replay["position"]), size == buffer.buffer_size
            except (KeyError, ValueError) as error:
                raise InputError(f"{checkpoint.path}: the replay does not fit: {error}") from None
        return agent

    def _metrics(self) -> dict[str, float]:
        """What the model's logger holds after an update, under the names of :class:`optgap.agents.sac.agent.SAC`."""
        logged = self.model.logger.name_to_value
        names = {"train/critic_loss": "train/value_loss", "train/ent_coef": "train/temperature"}
        metrics = {ours: float(logged[theirs]) for theirs, ours in names.items() if theirs in logged}
        if episodes := list(self.model.ep_info_buffer):
            metrics["episode/return"] = float(np.mean([episode["r"] for episode in episodes]))
            metrics["episode/length"] = float(np.mean([episode["l"] for episode in episodes]))
        return metrics


class _Learner(nn.Module):
    """All that the model learns, and its three optimizers as the one that a checkpoint holds."""

    def __init__(self, model: Any, learning_rate: float) -> None:
        super().__init__()
        self.policy, self._optimizers = model.policy, [model.actor.optimizer, model.critic.optimizer]
        if model.ent_coef_optimizer is not None:
            self.log_ent_coef = model.log_ent_coef = nn.Parameter(model.log_ent_coef.detach())
            model.ent_coef_optimizer = torch.optim.Adam([self.log_ent_coef], lr=learning_rate)
            self._optimizers.append(model.ent_coef_optimizer)

    def joint(self) -> torch.optim.Optimizer:
        """One optimizer over the parameters and the state of all of them."""
        parameters = [
            one for optimizer in self._optimizers for group in optimizer.param_groups for one in group["params"]
        ]
        joint = torch.optim.Adam(parameters)
        for optimizer in self._optimizers:
            joint.state.update(optimizer.state)
        return joint

    def take(self, joint: torch.optim.Optimizer) -> None:
        """Give each optimizer its part of the joint state."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                optimizer.state.update({one: joint.state[one] for one in group["params"] if one in joint.state})
