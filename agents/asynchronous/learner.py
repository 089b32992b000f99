"""Asynchronous off-policy learning (the scheme of arXiv 2401.11349): acting and learning do not wait for each other.

Actors play for ever with the newest policy they have and push what they play. The learner drains that, updates at
``update_ratio`` gradient steps to one environment step, and publishes its policy. It waits only where that ratio is met
and nothing has been played since; actors wait only while the queue is full, that is, where the learner cannot keep up.

What is learned from is what the algorithm itself would have learned from: networks, replay, targets and updates are
those of the synchronous agent, only who plays and when an update happens differs. Transitions of a time limit are
truncated, not terminal, and lead to the observation that the episode ended with.

What an update sees depends on the speed of processes, so that **two asynchronous runs of one seed are not the same to
the bit**, and neither are a resumed and an uninterrupted one. A checkpoint holds weights, optimizer, replay and counters;
a resumed run goes on with them, and with new episodes.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save

from optgap.agents.asynchronous.engine import ENGINES
from optgap.agents.asynchronous.fleet import Fleet
from optgap.agents.asynchronous.messages import Assignment, Parcel, Published
from optgap.agents.common.checkpoint import write_checkpoint
from optgap.agents.common.collector import Collector
from optgap.agents.common.contracts import Callback
from optgap.agents.common.off_policy import MEBIBYTE, OffPolicyAgent
from optgap.agents.common.rollout import Decision
from optgap.agents.common.seeding import seed_learner, separate_generators
from optgap.agents.common.tensors import Tree
from optgap.co.core import InputError

WINDOW = 5.0  # seconds over which speeds are measured


class AsynchronousAgent(OffPolicyAgent):
    """The loop of an asynchronous agent, in the place of that of the algorithm it is mixed into.

    An update comes after every ``batch_size / minibatch_size * epochs / update_ratio`` environment steps; in the
    warm-up it has no gradient step. Figures of an update, besides the algorithm's own, are ``actors/staleness_mean`` and
    ``actors/staleness_max`` (updates since the policies were published that played what has just been drained),
    ``actors/queue`` (rollouts waiting), ``actors/restarts``, ``time/steps_per_second`` and
    ``time/gradient_steps_per_second`` (of the last seconds).
    """

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps``; ``callback`` returning False ends it earlier. All actors end with it.

        Raises:
            InputError: the environment cannot be made in an actor, the cluster is not there, or memory does not suffice.
            DivergedError: the weights are no numbers any more.
            ActorsLostError: training cannot go on; :meth:`save_resumable` keeps what was learned.
        """
        config = self.config
        gradient_steps = -(-config.batch_size // config.minibatch_size) * config.epochs
        every = gradient_steps / config.update_ratio
        due = self.steps + every
        speeds = Speeds(self.steps)
        if self.steps >= total_steps:
            return self
        self._require_memory(total_steps)
        engine = ENGINES.load(config.engine)(self._assignment(), self._published(), config)
        try:
            with separate_generators(self.device):
                fleet = Fleet(engine, config.actors, config.heartbeat_seconds)
                while self.steps < total_steps or self.steps >= due:
                    drained = []
                    while self.steps < due:
                        drained.append(self._take(fleet.next()))
                    due += every
                    self._rng = seed_learner(self.seed, self.updates)
                    metrics = self._figures(drained)
                    self.updates += 1
                    learns = len(self.replay) >= config.warmup_steps
                    if learns:
                        metrics |= self._update(self._rng)
                        self._require_finite()
                    if self.updates % config.publish_interval == 0:
                        engine.publish(self._published())
                    if self.updates % config.checkpoint_interval == 0:
                        self.replay.trim(config.replay_mib * MEBIBYTE)
                    metrics |= {"actors/queue": float(fleet.waiting()), "actors/restarts": float(fleet.restarts)}
                    metrics |= speeds.after(self.steps, gradient_steps if learns else 0)
                    if callback is not None and callback(self, metrics) is False:
                        break
        finally:
            engine.close()
        return self

    def save_resumable(self, path: str | Path) -> None:
        """A checkpoint with the replay, at any update: there is no boundary that a resumed run would have to begin at.

        Weights that are no numbers are not written: the last checkpoint is what a diverged run has.
        """
        if not self._finite():
            return
        self.replay.trim(self.config.replay_mib * MEBIBYTE)
        write_checkpoint(path, self, self.seed, self.policy, self.policy.optimizer, replay=self.replay.state())

    # What an actor does, in its own process:

    @property
    def last_seen(self) -> tuple[Tree, NDArray[np.bool_] | None]:
        """Observations (B, ...) and masks (B, A) that :meth:`act` was called with last."""
        return self._last

    def begin_acting(self, rng: np.random.Generator) -> Collector:
        """New episodes, in ``envs_per_actor`` environments; actions are drawn with ``rng`` from now on."""
        self._rng = rng
        self._collector = self._restart()
        return self._collector

    def act(self, observation: Tree, masks: NDArray[np.bool_] | None) -> Decision:
        """Random actions in the warm-up, the policy's afterwards."""
        return self._play(observation, masks)

    # What the learner does between two updates:

    def _take(self, parcel: Parcel) -> tuple[NDArray[np.int64], dict[str, float]]:
        """Remember what an actor played: how old its policies were, and figures of its episodes."""
        rollout, config = parcel.rollout, self.config
        self._prepare(rollout)
        self.replay.add(rollout, parcel.observation, parcel.masks, config.gamma, config.n_steps)
        self.steps += int(rollout.valid.sum())
        return self.updates - parcel.versions, parcel.metrics

    def _figures(self, drained: list[tuple[NDArray[np.int64], dict[str, float]]]) -> dict[str, float]:
        """Staleness, and the episodes' figures weighted by how many there were."""
        found = episode_figures([metrics for _, metrics in drained])
        if drained:
            ages = np.concatenate([age for age, _ in drained])
            found |= {"actors/staleness_mean": float(ages.mean()), "actors/staleness_max": float(ages.max())}
        return found

    def _published(self) -> Published:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.policy.acting_state().items()}
        return Published(self.updates, self.steps, save(tensors))

    def _assignment(self) -> Assignment:
        if not hasattr(self.policy, "acting_state"):
            raise InputError(f"policy {self.config.policy} cannot act apart from its critics: it has no acting_state()")
        modules = registering_modules(self.env_config)
        return Assignment(type(self), self.env_config, self.config, modules, self.seed, self.updates)


class Speeds:
    """Environment steps and gradient steps a second, over the last :data:`WINDOW` seconds."""

    def __init__(self, steps: int) -> None:
        self._points: deque[tuple[float, int, int]] = deque([(time.perf_counter(), steps, 0)])

    def after(self, steps: int, gradient_steps: int) -> dict[str, float]:
        """The speeds once there are so many ``steps`` in all, and so many more ``gradient_steps``."""
        points, now = self._points, time.perf_counter()
        points.append((now, steps, points[-1][2] + gradient_steps))
        while len(points) > 2 and now - points[1][0] > WINDOW:
            points.popleft()
        begun, first, done = points[0]
        elapsed = max(now - begun, 1e-9)
        speeds = (steps - first) / elapsed, (points[-1][2] - done) / elapsed
        return {"time/steps_per_second": speeds[0], "time/gradient_steps_per_second": speeds[1]}


def episode_figures(metrics: list[dict[str, float]]) -> dict[str, float]:
    """Figures of several rollouts' episodes as one: means are weighted by the numbers of episodes."""
    counts = [one["episode/count"] for one in metrics]
    total = sum(counts)
    found = {"episode/count": float(total)}
    names = {name for one in metrics for name in one if name.startswith("episode/")} - {"episode/count"}
    for name in sorted(names):
        found[name] = sum(count * one[name] for count, one in zip(counts, metrics, strict=True) if count) / total
    return found


def registering_modules(env_config: Any) -> tuple[str, ...]:
    """Modules of other packages that register the environment's id with Gymnasium when they are imported."""
    name = str(getattr(getattr(env_config, "plain", env_config), "id", "")).rpartition(":")[2]
    spec = gym.registry.get(name)
    if spec is None or spec.entry_point is None:
        return ()
    entry = spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else entry.__module__
    package = module.partition(".")[0]
    return () if package in ("gymnasium", "optgap") else (package, module)
