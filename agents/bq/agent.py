"""BQ-NCO (Drakulic et al., NeurIPS 2023, arXiv 2301.03313): imitation on the bisimulation quotient of a problem's MDP."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optgap.agents.bq.config import SIZES, BQConfig
from optgap.agents.bq.corrections import Corrections
from optgap.agents.bq.imitation import Losses, imitation_loss
from optgap.agents.bq.labels import SHARD, LabelStore, Pool, task_of
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import Targets
from optgap.agents.common.checkpoint import STATE, read_checkpoint, write_checkpoint
from optgap.agents.common.contracts import Callback
from optgap.agents.common.schedules import cosine
from optgap.agents.common.seeding import Stream, derived_seed, seed_learner
from optgap.agents.common.tensors import Tree, is_single, map_tree, resolve_device, to_tensors
from optgap.agents.nn.bq import Reduced
from optgap.agents.nn.optimizers import muon_adamw
from optgap.agents.nn.precision import mixed_precision
from optgap.co.core import InputError

FIRST_SHARDS = 8  # with which training begins


class BQ:
    """Imitation of near-optimal solutions over random sub-instances; the average of the weights acts.

    Args:
        env_config: a routing configuration (``env=tsp``, ``atsp``, ``cvrp``, ``op``, ``kp``).
        config: hyperparameters.
        seed: with the update counter, the source of every random number.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        InputError: the environment is of another kind.
    """

    config_class: type[BQConfig] = BQConfig

    def __init__(self, env_config: Any, config: BQConfig | None = None, seed: int = 0, device: str = "cpu") -> None:
        self.task = task_of(getattr(env_config, "problem", None))
        if seed < 0:
            raise InputError(f"seed is {seed}; expected at least 0")
        self.env_config, self.config = env_config, config or self.config_class()
        self.seed, self.steps, self.updates = seed, 0, 0
        self.tell: Callable[[str], None] | None = None  # called with a line while learning waits for labels
        self.device = resolve_device(device)
        face = env_config.batch(1)
        self.observation_space, self.action_space = face.observation_space(), face.action_space()
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(seed, 0, Stream.WEIGHTS))
            self.learner = self._network().to(self.device)
            self.policy = self._network().to(self.device)
        self.policy.load_state_dict(self.learner.state_dict())
        self.policy.requires_grad_(False)
        self.optimizer = muon_adamw(
            self.learner, self.config.learning_rate, self.config.weight_decay, hidden=self.learner.network.is_hidden
        )

    def _network(self) -> BQPolicy:
        return BQPolicy(str(self.env_config.problem), self.task, SIZES[self.config.size], self.config.nearest)

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; a step is one sub-instance of one labelled solution."""
        config = self.config
        own = Corrections(self.env_config, self.task, config) if config.own_share and self.task.corrects else None
        store = LabelStore(self.env_config, config.label_folder, config.label_effort, config.label_processes)
        try:
            while self.steps < total_steps:
                begun = time.perf_counter()
                shards = min(-(-config.labels // SHARD), FIRST_SHARDS + self.updates // config.label_interval)
                pool = store.require(shards, self.tell)
                waited = time.perf_counter() - begun
                if own is not None and self.updates >= config.own_after:
                    own.grow(self.policy, self.seed, self.updates)
                corrected = time.perf_counter() - begun - waited
                metrics = self._update(pool, self.steps / max(total_steps, 1), own)
                metrics["time/own_states"] = corrected
                metrics["train/labels"] = float(shards * SHARD)
                metrics["time/waiting_for_labels"] = waited
                metrics["time/steps_per_second"] = metrics.pop("steps") / (time.perf_counter() - begun)
                if callback is not None and callback(self, metrics) is False:
                    break
        finally:
            store.close()
        return self

    def _update(self, pool: Pool, done: float, own: Corrections | None = None) -> dict[str, float]:
        """One gradient step on sub-instances of random labels; ``done`` is the share of the run behind it."""
        config = self.config
        with torch.random.fork_rng():
            rng = seed_learner(self.seed, self.updates)
            corrected = own is not None and self.updates >= config.own_after and rng.random() < config.own_share
            source = own.pool if own is not None and corrected else pool
            reduced, targets = self._batch(source, rng)
            with mixed_precision(self.device):
                scores = self.learner.network(reduced)
            losses = imitation_loss(scores, targets)
            loss = losses.action + config.edge_weight * losses.edges + config.chosen_weight * losses.chosen
            rate = cosine(config.learning_rate, config.final_learning_rate, done, self.updates, config.warmup_updates)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.learner.parameters(), config.max_grad_norm)
            self.optimizer.step()
        self._average()
        rows = len(reduced.features)
        self.steps += rows
        self.updates += 1
        return _metrics(losses) | {"train/learning_rate": rate, "steps": float(rows)}

    def _batch(self, pool: Pool, rng: np.random.Generator) -> tuple[Reduced, Targets]:
        """Sub-instances of one random share of their solutions, as many as ``tokens`` allows."""
        labels, count = pool.draw(rng)
        share = float(rng.uniform(0.02, 1.0))
        tokens = self.task.tokens(labels, share)
        nearest = None
        if rng.random() < self.config.crop:
            nearest = int(rng.integers(min(tokens, max(2, tokens // 4)), tokens + 1))
            tokens = min(tokens, nearest + 2)
        rows = rng.integers(count, size=max(1, self.config.tokens // tokens))
        reduced, targets = self.task.subinstances(labels, rows, share, nearest, rng)
        return _to(reduced, self.device), _to(targets, self.device)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.averaging, (self.updates + 1) / (self.updates + 10))
        for mean, now in zip(self.policy.parameters(), self.learner.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

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
        logits = self.policy.action_logits(to_tensors(batch, self.device))
        chosen = logits.argmax(1) if deterministic else torch.distributions.Categorical(logits=logits).sample()
        actions = chosen.cpu().numpy()
        return (actions[0] if single else actions), None

    def save(self, path: str | Path) -> None:
        """Write the checkpoint folder ``path`` atomically: the averaged weights, and what training goes on from."""
        write_checkpoint(path, self, self.seed, self.policy, self.optimizer, learner=self.learner)

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: Any = None) -> Self:
        """Read what :meth:`save` wrote; :class:`InputError` where it is damaged or of another version."""
        checkpoint = read_checkpoint(path, cls, env_config)
        if not isinstance(checkpoint.config, cls.config_class):
            raise InputError(f"{checkpoint.path / STATE}: its configuration is not one of {cls.__name__}")
        agent = cls(checkpoint.env_config, checkpoint.config, checkpoint.seed, device)
        checkpoint.restore(agent, agent.policy, agent.optimizer, learner=agent.learner)
        return agent


def _metrics(losses: Losses) -> dict[str, float]:
    return {f"train/{name}": float(value.detach()) for name, value in losses._asdict().items()}


def _to(tensors: Any, device: torch.device) -> Any:
    """A named tuple of tensors on a device; from the CPU without waiting where that is CUDA."""

    def move(tensor: Tensor | None) -> Tensor | None:
        if tensor is None or device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(device, non_blocking=True)

    return type(tensors)(*(move(tensor) for tensor in tensors))
