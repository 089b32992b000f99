"""Trees whose number stays bounded while they learn, and whose former outputs are the outputs of their first trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.gbrl.binning import BinnedRows
from optgap.gbrl.model import GBTModel
from optgap.gbrl.predict import add_trees, checked_rows, initial_outputs

F32 = NDArray[np.float32]

MOST_ROWS = 2**14  # on which a compressed ensemble says nearly the same as before
HORIZON = 2**18  # rows


def outputs_then_and_now(model: GBTModel, rows: F32, then: int) -> tuple[F32, F32]:
    """Outputs (n, D) of the first ``then`` trees, and of all of them, in one pass.

    An ensemble never changes a tree, so its first trees are what it was: a target network needs no copy.
    """
    ensemble = model.ensemble
    rows = checked_rows(ensemble, rows)
    outputs = initial_outputs(ensemble, len(rows))
    add_trees(ensemble, rows, outputs, 0, then, model.threads)
    before = outputs.out[:, : model.n_outputs].copy()
    add_trees(ensemble, rows, outputs, then, model.n_trees, model.threads)
    return before, np.ascontiguousarray(outputs.out[:, : model.n_outputs])


def descend(model: GBTModel, binned: BinnedRows, targets: F32, rows: list[NDArray[np.int64]]) -> float:
    """One tree for each of the minibatches ``rows``, towards ``targets``; the mean squared error before.

    Args:
        model: of one output.
        binned: n rows.
        targets: (n,) what their outputs should be.
        rows: numbers of rows, a minibatch each.
    """
    cache = model.cache(binned)
    before = float(np.square(cache.outputs[:, 0] - targets).mean())
    for part in rows:
        model.step(binned.take(part), cache.outputs[part] - targets[part, None])
        cache.update()
    return before


def keep_bounded(model: GBTModel, rows: F32, n_trees: int) -> None:
    """At twice ``n_trees`` trees, go on with ``n_trees`` that say nearly the same on rows spread over ``rows``."""
    if model.n_trees >= 2 * n_trees:
        model.compress(rows[:: -(-len(rows) // MOST_ROWS)], n_trees)


def remember(sample: F32, rows: F32, came: int) -> None:
    """Let ``rows`` (n, F) take places in the ``sample`` (size, F) of the ``came`` rows before them, in place.

    Of the latest ``HORIZON`` rows each is there with about the same probability; older ones fade away. The first rows
    fill the sample in order. The same rows in the same calls give the same sample (Vitter 1985, algorithm R).
    """
    size, numbers = len(sample), came + np.arange(len(rows))
    places = np.random.default_rng(came).integers(0, np.minimum(numbers, HORIZON) + 1)
    places[numbers < size] = numbers[numbers < size]
    taking = np.flatnonzero(places < size)[::-1]
    taken, latest = np.unique(places[taking], return_index=True)  # the last row that asks for a place has it
    sample[taken] = rows[taking[latest]]
