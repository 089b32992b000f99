"""An ensemble of fewer trees that says nearly the same: its size stays bounded while learning goes on.

Distillation: new and deeper trees are boosted towards the ensemble's outputs on reference rows. Every tree sees a random
part of the rows, and the step sizes fall, which averages what the parts leave over. A leaf moves by a share of a mean of
residuals, so that the new outputs stay near those on the reference rows wherever a row lies. Weights fitted to the old
trees have no such bound: with as many trees as rows they fit these exactly, cancel one another, and say anything elsewhere.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from numpy.typing import ArrayLike

from optgap.gbrl.binning import Binner
from optgap.gbrl.config import TreeConfig
from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.errors import GBTError, integer
from optgap.gbrl.grow import grow
from optgap.gbrl.predict import add_trees, checked_rows, initial_outputs, predict

DEPTH = 6  # of the new trees
ROWS = 4096  # that a new tree sees at most
FIRST_RATE, LAST_RATE = 0.3, 0.1  # step sizes, on a line between; fewer than TREES trees begin with larger ones
TREES = 10


def compress(model: HasTrees | Ensemble, x: ArrayLike, n_trees: int, threads: int = 1) -> Ensemble:
    """At most ``n_trees`` trees whose outputs are close to those of ``model`` on rows like ``x``.

    While a model learns, with a bound of 2 N trees and rows from where its outputs matter::

        if model.n_trees >= 2 * N:
            model.compress(rows, N)

    A cache of the model notices. Monotone constraints do not outlive it, and the leaf values are no mean gradients, so
    that control variates from them mean nothing. The same arguments give the same trees.

    Args:
        model: fitted, or its ensemble; left as it is.
        x: (n, F) reference rows, some thousands: those of the latest rollouts, and some of the earlier ones.
        n_trees: bound on the number of trees, at least 1.
        threads: that grow and predict; the trees do not depend on it.

    Returns:
        a new ensemble; a copy of one that is small enough.

    Raises:
        GBTError: no rows or rows that do not fit, ``n_trees`` below 1, or an output under Adam.
    """
    ensemble = ensemble_of(model)
    integer("n_trees of a compression", n_trees, 1)
    ensemble.require_additive("compression")
    rows = checked_rows(ensemble, x)
    if len(rows) == 0:
        raise GBTError("compression: no reference rows; expected at least one")
    if ensemble.n_trees <= n_trees:
        return deepcopy(ensemble)
    target = predict(ensemble, rows, threads)
    growth = "oblivious" if ensemble.oblivious else "greedy"
    config = TreeConfig(max_depth=DEPTH, growth=growth, score="l2", nan_allowed=bool(np.isnan(rows).any()))
    kinds = ensemble.is_categorical
    binned = Binner.fit_transform(rows, config.n_bins, config.binning, kinds, config.nan_allowed, threads)
    small = Ensemble.empty(target.mean(axis=0, dtype=np.float64), kinds, ensemble.oblivious, ensemble.adam)
    outputs, weight = initial_outputs(small, len(rows)), np.ones(ensemble.n_features)
    rng, first = np.random.default_rng(0), min(1.0, max(FIRST_RATE, FIRST_RATE * TREES / n_trees))
    for tree, rate in enumerate(np.linspace(first, LAST_RATE, n_trees) if n_trees > 1 else [1.0]):
        part = rng.choice(len(rows), ROWS, replace=False) if len(rows) > ROWS else np.arange(len(rows))
        residual = outputs.out[part, : ensemble.n_outputs] - target[part]
        grown = grow(binned.take(part), residual, config, weight, np.zeros((0, 0), np.int8), threads)
        small.append(grown.nodes, grown.value, np.full(ensemble.n_outputs, rate, np.float32))
        add_trees(small, rows, outputs, tree, tree + 1, threads)
    small.steps = ensemble.steps
    return small
