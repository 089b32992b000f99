"""What agents of Stable-Baselines3 share behind the contract of an agent: the loop, and the figures of an update."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from optgap.agents.common.contracts import Callback
from optgap.agents.common.seeding import Stream, derived_seed, separate_generators
from optgap.co.core import InputError
from optgap.envs.registry import EnvironmentConfig


class SB3Agent:
    """Trains ``self.model``, a model of Stable-Baselines3 that a subclass makes.

    Its files are ours (safetensors and json), because those of Stable-Baselines3 hold pickles.
    """

    names: ClassVar[dict[str, str]] = {}
    """Figures of the model's logger, and what they are called here."""

    masked = False
    """Whether the model takes action masks."""

    model: Any
    device: torch.device

    def __init__(self, env_config: EnvironmentConfig, config: Any, seed: int) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}; expected an integer of at least 0")
        self.env_config, self.config = env_config, config
        self.seed, self.steps, self.updates = seed, 0, 0
        self._total_steps = 1

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; one call of the model's ``learn`` is one rollout and one update.

        Stable-Baselines3 draws minibatches with NumPy's global generator and random actions with the space's, which
        are therefore seeded.
        """
        self._total_steps = total_steps
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
        """Actions for a batch of observations or a single one; ``state`` and ``episode_start`` are ignored."""
        masks = {"action_masks": action_masks} if self.masked else {}
        return self.model.predict(observation, deterministic=deterministic, **masks)[0], None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Rebuild the model and read what :meth:`save` wrote."""
        raise NotImplementedError

    def _metrics(self) -> dict[str, float]:
        """What the model's logger holds after an update."""
        logged = self.model.logger.name_to_value
        metrics = {ours: float(logged[theirs]) for theirs, ours in self.names.items() if theirs in logged}
        if episodes := list(self.model.ep_info_buffer):
            metrics["episode/return"] = float(np.mean([episode["r"] for episode in episodes]))
            metrics["episode/length"] = float(np.mean([episode["l"] for episode in episodes]))
        return metrics
