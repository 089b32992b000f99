"""How the outputs follow the trees: step sizes and Adam's constants, one optimiser a slice of outputs.

Under Adam the moments belong to a row: they run along the leaves that the row falls into, from the first tree to the last
(see :class:`optgap.gbrl.ensemble.Ensemble`), so an optimiser has no state but the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from optgap.gbrl.config import OptimizerConfig
from optgap.gbrl.errors import GBTError

F32 = NDArray[np.float32]


def check_cover(optimizers: Sequence[OptimizerConfig], n_outputs: int) -> None:
    """Raise :class:`GBTError` unless these are optimisers of which exactly one has each output."""
    for optimizer in optimizers:
        if not isinstance(optimizer, OptimizerConfig):
            raise GBTError(f"optimizers: found {type(optimizer).__name__}; expected a list of OptimizerConfig")
    owners = np.zeros(n_outputs, np.int64)
    for optimizer in optimizers:
        if optimizer.stop > n_outputs:
            raise GBTError(f"optimizers: slice {optimizer.start}:{optimizer.stop}; expected within {n_outputs} outputs")
        owners[optimizer.start : optimizer.stop] += 1
    if (owners != 1).any():
        output = int(np.flatnonzero(owners != 1)[0])
        raise GBTError(f"optimizers: output {output} belongs to {owners[output]} of them; expected exactly one")


def adam_constants(optimizers: Sequence[OptimizerConfig], n_outputs: int) -> F32:
    """(3, D): beta1, beta2 and epsilon of the outputs under Adam, zeros for the others."""
    constants = np.zeros((3, n_outputs), np.float32)
    for optimizer in optimizers:
        if optimizer.kind == "adam":
            own = [[optimizer.beta1], [optimizer.beta2], [optimizer.epsilon]]
            constants[:, optimizer.start : optimizer.stop] = own
    return constants


def step_sizes(optimizers: Sequence[OptimizerConfig], tree: int, n_outputs: int) -> F32:
    """(D,): step sizes of tree number ``tree`` (from 0), by the schedule, with Adam's bias correction where it holds."""
    sizes = np.empty(n_outputs, np.float32)
    for optimizer in optimizers:
        size = optimizer.learning_rate_at(tree)
        if optimizer.kind == "adam":
            size *= np.sqrt(1 - optimizer.beta2 ** (tree + 1)) / (1 - optimizer.beta1 ** (tree + 1))
        sizes[optimizer.start : optimizer.stop] = size
    return sizes
