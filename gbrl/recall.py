"""Outputs of rows that come again: only the trees that are new since they came last are added.

An ensemble grows by a tree a step, and so does the time of a prediction. Where observations are few categories, as in grid
worlds, an agent that acts sees the same rows again and again: for these the time does not depend on the trees there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.errors import GBTError, integer
from optgap.gbrl.model import GBTModel
from optgap.gbrl.predict import Outputs, initial_outputs
from optgap.gbrl.rows import as_rows

MOST_ROWS = 2**15  # that are remembered; one more, and all are forgotten


class Recall:
    """Predictions of a model, equal to those of its ``predict`` to the last bit, that remember rows.

    The model may take steps, be compressed or get another ensemble between two predictions.

    Raises:
        GBTError: no model, or ``most_rows`` below 1.
    """

    def __init__(self, model: GBTModel, most_rows: int = MOST_ROWS) -> None:
        if not isinstance(model, GBTModel):
            raise GBTError(f"recall: found {type(model).__name__}; expected a GBTModel")
        self._model, self._most_rows = model, integer("most_rows", most_rows, 1)
        self._forget(0)

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Outputs (n, D) float32 of the rows ``x`` (n, F).

        Raises:
            GBTError: not a matrix of F columns.
        """
        model = self._model
        rows = as_rows(x, model.n_features, "features")
        trees = model.n_trees
        if model.ensemble is not self._ensemble or len(self._index) + len(rows) > self._most_rows:
            self._forget(len(rows))
        known = np.array([self._number(row) for row in rows], np.int64)
        chosen, place = np.unique(known, return_inverse=True)
        for since in np.unique(self._trees[chosen]):
            if since < trees:
                part = chosen[self._trees[chosen] == since]
                state = Outputs(*(array[part] if len(array) else array for array in self._state))
                model._descend(self._rows[part], state, int(since))
                for array, new in zip(self._state, state, strict=True):
                    if len(array):
                        array[part] = new
        self._trees[chosen] = trees
        outputs: NDArray[np.float32] = self._state.out[chosen[place], : model.n_outputs]
        return outputs

    def _number(self, row: NDArray[np.float32]) -> int:
        """Where a row is remembered, from now on at least."""
        number = self._index.setdefault(row.tobytes(), len(self._index))
        if number == len(self._trees):
            self._grow(2 * number)
        self._rows[number] = row
        return number

    def _forget(self, rows: int) -> None:
        model = self._model
        self._ensemble = model.ensemble
        self._index: dict[bytes, int] = {}
        self._rows = np.empty((0, model.n_features), np.float32)
        self._trees = np.empty(0, np.int64)  # that are in the outputs of each row
        self._state = initial_outputs(model.ensemble, 0)
        self._grow(max(64, rows))

    def _grow(self, size: int) -> None:
        more = size - len(self._rows)
        model = self._model
        self._rows = np.concatenate([self._rows, np.zeros((more, model.n_features), np.float32)])
        self._trees = np.concatenate([self._trees, np.zeros(more, np.int64)])
        fresh = initial_outputs(model.ensemble, more)
        additive = model.ensemble.additive
        parts = zip(self._state, fresh, strict=True)
        self._state = Outputs(
            *(old if additive and i else np.concatenate([old, new]) for i, (old, new) in enumerate(parts))
        )
