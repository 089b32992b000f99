"""What learner and actors tell each other. It travels between processes of one run alone, never to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.agents.common.rollout import RolloutBuffer
from optgap.agents.common.tensors import Tree


@dataclass(frozen=True)
class Assignment:
    """What every actor of a run needs to begin."""

    agent: type[Any]  # an AsynchronousAgent
    env_config: Any
    config: Any
    modules: tuple[str, ...]  # imported first: they register the environment's id
    seed: int
    updates: int  # of the learner when the run began or was resumed: no two runs of one seed play the same episodes


@dataclass(frozen=True)
class Published:
    """The policy after so many updates."""

    version: int  # updates
    steps: int  # environment steps that the learner had taken in then
    weights: bytes  # safetensors of ``policy.acting_state()``


@dataclass(frozen=True)
class Parcel:
    """T steps of one actor's B environments."""

    rollout: RolloutBuffer
    observation: Tree  # (B, ...) after the last step, as an episode left it where one ended there
    masks: NDArray[np.bool_] | None  # (B, A) actions allowed then
    versions: NDArray[np.int64]  # (T,) of the policies that acted
    metrics: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """An actor is no more."""

    reason: str
    fatal: bool = False  # a person's mistake, which would happen again


@dataclass(frozen=True)
class Mail:
    """A message and who sent it."""

    actor: int
    generation: int  # how often the actor had been started before: what comes from an earlier life can be told
    content: Parcel | Ended
