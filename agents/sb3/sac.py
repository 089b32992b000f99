"""Stable-Baselines3's SAC behind the contract of an agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import nn

from optgap.agents.common.box_actions import BoxActions
from optgap.agents.common.checkpoint import STATE, read_checkpoint, write_checkpoint
from optgap.agents.common.seeding import Stream, derived_seed, separate_generators
from optgap.agents.common.tensors import resolve_device
from optgap.agents.sb3.loop import SB3Agent
from optgap.agents.sb3.sac_config import SB3SACConfig
from optgap.co.core import InputError, MissingExtraError
from optgap.envs.registry import EnvironmentConfig

ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")  # of its replay


class SB3SAC(SB3Agent):
    """SAC on a Box that is observed and a bounded Box of actions; ``self.model`` is Stable-Baselines3's.

    A checkpoint at a boundary holds the whole replay.

    Raises:
        InputError: the device or a space cannot be used.
        MissingExtraError: stable-baselines3 is not installed.
    """

    names: ClassVar[dict[str, str]] = {"train/critic_loss": "train/value_loss", "train/ent_coef": "train/temperature"}

    def __init__(
        self, env_config: EnvironmentConfig, config: SB3SACConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        try:
            from stable_baselines3 import SAC
            from stable_baselines3.common.monitor import Monitor
            from stable_baselines3.common.vec_env import DummyVecEnv
        except ImportError as error:
            raise MissingExtraError("stable-baselines3", "dev") from error
        own = config if config is not None else SB3SACConfig()
        super().__init__(env_config, own, seed)
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
