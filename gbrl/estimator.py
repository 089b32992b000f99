"""Boosted trees in scikit-learn's style, extra ``sklearn``: for its pipelines, searches and scores."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.errors import GBTError, integer
from optgap.gbrl.model import GBTModel
from optgap.gbrl.rows import MOST_THREADS

try:
    from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError("scikit-learn is not installed; run: pip install 'optgap[sklearn]'") from None


class GBTRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Least-squares boosting of one or more outputs at once; NaN is a missing value, and nothing is random.

    Args:
        n_estimators: trees that ``fit`` grows.
        learning_rate: as in :class:`OptimizerConfig`.
        max_depth, growth, n_bins, binning, min_leaf: as in :class:`TreeConfig`.
        split_score: ``score`` of :class:`TreeConfig` ("l2" by default: every output counts alike).
        categorical: (F,) bool, features that hold integer codes; None: none. A category that ``fit`` has not seen is none
            of those that splits ask for.
        warm_start: whether another ``fit`` keeps the trees and grows what is missing to ``n_estimators``.
        n_jobs: threads; results do not depend on it.

    Attributes:
        model_: the fitted :class:`GBTModel`; what explanation, export and compression take.
        n_features_in_: F.
        feature_names_in_: (F,) names, if the rows came with names.

    Raises:
        GBTError: a parameter out of its range, found by ``fit``, ``partial_fit`` and ``step``.
    """

    model_: GBTModel

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        growth: str = "greedy",
        split_score: str = "l2",
        n_bins: int = 256,
        binning: str = "quantile",
        min_leaf: int = 1,
        categorical: ArrayLike | None = None,
        warm_start: bool = False,
        n_jobs: int = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.growth = growth
        self.split_score = split_score
        self.n_bins = n_bins
        self.binning = binning
        self.min_leaf = min_leaf
        self.categorical = categorical
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Grow ``n_estimators`` trees on the rows ``X`` (n, F) and the outputs ``y`` (n,) or (n, D), from their means.

        Raises:
            GBTError: with ``warm_start``, more trees than ``n_estimators`` are there already.
        """
        go_on = self.warm_start and hasattr(self, "model_")
        rows, targets = self._checked(X, y, reset=not go_on)
        model = self.model_ if go_on else self._new_model(rows.shape[1], targets.mean(axis=0))
        if integer("n_estimators", self.n_estimators, 0) < model.n_trees:
            raise GBTError(
                f"n_estimators is {self.n_estimators}; expected at least the {model.n_trees} trees there are"
            )
        binned = model.bin(rows)
        cache = model.cache(rows)
        for _ in range(self.n_estimators - model.n_trees):
            model.step(binned, cache.update() - targets)
        self.model_ = model
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """One gradient step, so one tree more, on a batch of rows; the first batch's means are where the outputs begin."""
        new = not hasattr(self, "model_")
        rows, targets = self._checked(X, y, reset=new)
        model = self._new_model(rows.shape[1], targets.mean(axis=0)) if new else self.model_
        model.step(rows, model.predict(rows) - targets)
        self.model_ = model
        return self

    def step(self, X: ArrayLike, gradients: ArrayLike) -> Self:
        """One tree more, fitted to the gradients (n,) or (n, D) of any loss at the outputs, which begin at 0."""
        new = not hasattr(self, "model_")
        rows, targets = self._checked(X, gradients, reset=new)
        model = self._new_model(rows.shape[1], np.zeros(targets.shape[1])) if new else self.model_
        model.step(rows, targets)
        self.model_ = model
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Outputs of the rows ``X`` (n, F), (n,) or (n, D) as ``y`` was: the model's float32, as float64."""
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)
        outputs = self.model_.predict(_own(rows)).astype(np.float64)
        return outputs[:, 0] if self._flat else outputs

    def _checked(self, X: ArrayLike, y: ArrayLike, reset: bool) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Rows (n, F) and outputs (n, D)."""
        rows, targets = validate_data(
            self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", multi_output=True, y_numeric=True, reset=reset
        )
        if not reset and targets.size // len(targets) != self.model_.n_outputs:
            raise GBTError(f"y: {targets.size // len(targets)} outputs; expected {self.model_.n_outputs} as before")
        self._flat = targets.ndim == 1
        return _own(rows), targets.reshape(len(targets), -1)

    def _new_model(self, n_features: int, bias: NDArray[np.float64]) -> GBTModel:
        tree = TreeConfig(
            max_depth=self.max_depth,
            growth=self.growth,
            score=self.split_score,
            n_bins=self.n_bins,
            binning=self.binning,
            min_leaf=self.min_leaf,
            nan_allowed=True,
        )
        optimizer = OptimizerConfig(0, len(bias), learning_rate=self.learning_rate)
        threads = integer("n_jobs", self.n_jobs, 1, MOST_THREADS)
        return GBTModel(
            n_features, len(bias), tree, [optimizer], bias=bias, categorical=self.categorical, threads=threads
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _own(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy of rows that are read-only: numba would compile every kernel anew for them."""
    return np.require(rows, requirements=["C", "W"])
