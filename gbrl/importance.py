"""How much each feature matters to an ensemble, from what its trees recorded while they grew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.errors import choice

IMPORTANCES = ("gain", "splits", "cover")


def importances(model: HasTrees | Ensemble, kind: str = "gain", normalise: bool = False) -> NDArray[np.float64]:
    """One figure a feature, (F,) float64.

    Args:
        model: fitted, or its ensemble; the heads' optimisers do not matter.
        kind: ``"gain"``: summed score that the feature's splits won; ``"splits"``: their number; ``"cover"``: summed
            training rows that they divided. An oblivious level counts once for each of its nodes that rows reached.
        normalise: divide by the total, so that the figures sum to 1 (all stay 0 if nothing was split).

    Raises:
        GBTError: an unknown ``kind``.
    """
    ensemble = ensemble_of(model)
    choice("kind of importance", kind, IMPORTANCES)
    split = (ensemble.feature >= 0) & (ensemble.cover > 0)
    weights = {"gain": ensemble.gain, "splits": np.ones_like(ensemble.gain), "cover": ensemble.cover}[kind]
    figures = np.bincount(
        ensemble.feature[split], weights=weights[split].astype(np.float64), minlength=ensemble.n_features
    )
    total = figures.sum()
    return np.asarray(figures / total if normalise and total > 0 else figures, dtype=np.float64)
