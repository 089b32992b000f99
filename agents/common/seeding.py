"""Every random number of a run derives from (seed, update counter), so that no generator's state needs saving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """Independent streams of random numbers of one (seed, update) pair."""

    WEIGHTS = 0  # initial weights
    ENVIRONMENT = 1  # resets of the environments
    LEARNER = 2  # action sampling, minibatch order, dropout


def derived_seed(seed: int, update: int, stream: Stream) -> int:
    """A seed in [0, 2^31): small enough for any third-party environment's ``reset(seed=...)``."""
    words = np.random.SeedSequence((seed, update), spawn_key=(int(stream),)).generate_state(1, np.uint32)
    return int(words[0] >> 1)


@contextmanager
def separate_generators(device: torch.device) -> Iterator[None]:
    """Restores torch's global generators, on the CPU and on ``device``, when it ends."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_learner(seed: int, update: int) -> np.random.Generator:
    """Seed torch (all devices) for one update and return the NumPy generator of the same update.

    Torch's global generators are used because networks with dropout know no other; call it inside
    :func:`separate_generators` to leave the caller's own random numbers untouched.
    """
    torch.manual_seed(derived_seed(seed, update, Stream.LEARNER))
    return np.random.default_rng(np.random.SeedSequence((seed, update), spawn_key=(int(Stream.LEARNER), 1)))
