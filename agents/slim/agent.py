"""Self-labelling improvement method (Corsini et al. 2024, arXiv 2401.11849): sample schedules, imitate the best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.common.checkpoint import STATE, read_checkpoint, write_checkpoint
from optgap.agents.common.contracts import Callback
from optgap.agents.common.schedules import cosine
from optgap.agents.common.seeding import Stream, derived_seed, seed_learner
from optgap.agents.common.tensors import Tree, is_single, map_tree, resolve_device, to_tensors
from optgap.agents.nn.job_shop import JobShopActorCritic
from optgap.agents.nn.job_shop_rollout import batch_of, encode, log_probability, play, record
from optgap.agents.slim.config import SLIMConfig
from optgap.co.core import InputError


class SLIM:
    """Self-labelling on a scheduling environment: no value function, no reward; the best of many samples is the label.

    Args:
        env_config: a scheduling configuration (``env=jssp`` or ``env=isbjssp``).
        config: hyperparameters.
        seed: with the update counter, the source of every random number.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        InputError: the environment is not a scheduling one.
    """

    config_class: type[SLIMConfig] = SLIMConfig

    def __init__(self, env_config: Any, config: SLIMConfig | None = None, seed: int = 0, device: str = "cpu") -> None:
        if not hasattr(env_config, "batch"):
            raise InputError(
                f"{type(self).__name__} trains on scheduling environments (jssp, isbjssp), not on {type(env_config).__name__}"
            )
        if seed < 0:
            raise InputError(f"seed is {seed}; expected at least 0")
        self.env_config, self.config = env_config, config or self.config_class()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.device = resolve_device(device)
        face = env_config.batch(1)
        self.observation_space = face.observation_space()
        self.action_space = face.action_space()
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            self.policy = JobShopActorCritic(self.observation_space, self.action_space, self.config).to(self.device)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=self.config.learning_rate)

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; a step is one decision of one sampled schedule."""
        config = self.config
        draw = self.env_config.source()
        while self.steps < total_steps:
            begun = time.perf_counter()
            with torch.random.fork_rng():
                rng = seed_learner(self.seed, self.updates)
                generator = torch.Generator().manual_seed(derived_seed(self.seed, self.updates, Stream.LEARNER))
                # Algorithm 1: draw instances, sample beta solutions of each from the current policy ...
                instances = [draw(rng) for _ in range(config.instances)]
                batch = batch_of(self.env_config, instances, config.samples)
                bound = batch.scratch.first_bound[:: config.samples].astype(float)
                actions = play(self.policy.network, batch, config.samples, self.device, generator=generator)
                makespan = batch.state.makespan.reshape(config.instances, config.samples)
                loss = self._loss(instances, actions, makespan)
                share = self.steps / max(total_steps, 1)
                rate = cosine(
                    config.learning_rate, config.final_learning_rate, share, self.updates, config.warmup_updates
                )
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm)
                self.optimizer.step()
            taken = int((actions >= 0).sum())
            self.steps += taken
            self.updates += 1
            metrics = {
                "train/loss": loss.item(),
                "train/mean_gap_to_bound": float((makespan.mean(1) / bound).mean() - 1),
                "train/best_gap_to_bound": float((makespan.min(1) / bound).mean() - 1),
                "train/learning_rate": self.optimizer.param_groups[0]["lr"],
                "time/steps_per_second": taken / (time.perf_counter() - begun),
            }
            if callback is not None and callback(self, metrics) is False:
                break
        return self

    def _loss(self, instances: Sequence[Any], actions: NDArray[np.int64], makespan: NDArray[np.int64]) -> Tensor:
        """... take the sample of the smallest makespan as the label; cross-entropy of its decisions (equation 3).

        Args:
            instances: I instances.
            actions: (T, I * K) what K samples of each did.
            makespan: (I, K) what came of it.
        """
        samples, network = makespan.shape[1], self.policy.network
        best = makespan.argmin(1) + np.arange(len(makespan)) * samples
        batch = batch_of(self.env_config, instances, 1)
        encoded = encode(network, batch, 1, self.device)
        decisions, labels, _ = record(batch, actions[:, best], self.device)
        return -log_probability(network, encoded, decisions, labels, batch.jobs).mean()

    def predict(
        self,
        observation: Tree,
        action_masks: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        state: None = None,
        episode_start: Any = None,
    ) -> tuple[NDArray[Any], None]:
        """Actions for a batch of observations or a single one. The masks are read from the observation itself.

        Sampling draws from torch's global generator. ``state`` and ``episode_start`` belong to the Stable-Baselines3
        convention and are ignored: the policy has no memory.
        """
        single = is_single(observation, self.observation_space)
        batch = map_tree(lambda array: np.asarray(array)[None] if single else np.asarray(array), observation)
        with torch.no_grad():
            logits, _ = self.policy(to_tensors(batch, self.device))
            chosen = logits.argmax(1) if deterministic else torch.distributions.Categorical(logits=logits).sample()
        actions = chosen.cpu().numpy()
        return (actions[0] if single else actions), None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically."""
        write_checkpoint(path, self, self.seed, self.policy, self.optimizer)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: Any = None) -> Self:
        """Read what :meth:`save` wrote; :class:`InputError` where it is damaged or of another version."""
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, cls.config_class):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not one of {cls.__name__}")
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        checkpoint.restore(agent, agent.policy, agent.optimizer)
        return agent
