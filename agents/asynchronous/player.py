"""An actor, wherever it runs: plays its environments for ever with the newest policy that it is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from optgap.agents.asynchronous.messages import Assignment, Parcel, Published
from optgap.agents.common.rollout import Decision
from optgap.agents.common.tensors import Tree


class Player:
    """One actor; made in its own process.

    Args:
        assignment: what to play.
        actor: its number, and how often it has been started: with the seed, the source of its random numbers.
        newest: the newest policy, or None where that is the one it gave last; asked before every step.
        beat: called after every step of the environments.

    Raises:
        InputError: the environment cannot be made here.
    """

    def __init__(
        self,
        assignment: Assignment,
        actor: int,
        generation: int,
        newest: Callable[[], Published | None],
        beat: Callable[[], None],
    ) -> None:
        torch.set_num_threads(1)
        for module in assignment.modules:
            import_module(module)
        root = np.random.SeedSequence((assignment.seed, actor, generation, assignment.updates))
        seed, own = root.generate_state(2, np.uint32)
        # A configuration made anew imports what its environment needs; one that was sent has not.
        env_config = dataclasses.replace(assignment.env_config)
        if hasattr(env_config, "plain"):  # nor has what it wraps
            dataclasses.replace(env_config.plain)
        self.agent = assignment.agent(env_config, assignment.config, int(seed >> 1))
        self.newest, self.beat, self.version = newest, beat, 0
        self._take()
        self.collector = self.agent.begin_acting(np.random.default_rng(int(own)))
        self.versions: list[int] = []

    def play(self) -> Parcel:
        """The next T steps of all environments; episodes run on from one call to the next."""
        self.versions = []
        rollout, metrics = self.collector.collect(self._act)
        observation, masks = self.agent.last_seen
        return Parcel(rollout, observation, masks, np.array(self.versions[: rollout.length]), metrics)

    def close(self) -> None:
        """Close the environments."""
        self.collector.env.close()

    def _act(self, observation: Tree, masks: NDArray[np.bool_] | None) -> Decision:
        self.beat()
        self._take()
        self.versions.append(self.version)
        decision: Decision = self.agent.act(observation, masks)
        return decision

    def _take(self) -> None:
        published = self.newest()
        if published is not None:
            self.agent.policy.load_state_dict(load(published.weights), strict=False)
            self.version, self.agent.steps = published.version, published.steps
