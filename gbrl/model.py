"""Boosted trees as a trainable function: one tree a gradient step, fitted to the gradients at the outputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optgap.gbrl import storage
from optgap.gbrl.binning import BinnedRows, Binner
from optgap.gbrl.compress import compress
from optgap.gbrl.config import OptimizerConfig, TreeConfig
from optgap.gbrl.ensemble import Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.gradients import less_variance
from optgap.gbrl.optimizers import adam_constants, check_cover, step_sizes
from optgap.gbrl.predict import Outputs, add_trees, initial_outputs, running_means
from optgap.gbrl.rows import F32, as_rows

BACKENDS = {"numba": "optgap.gbrl.grow", "torch": "optgap.gbrl.torch_backend"}  # modules with a function ``grow``


class GBTModel:
    """D outputs of F features as a sum of trees that descend gradients (GBRL, arXiv 2407.08250).

    Args:
        n_features: F.
        n_outputs: D.
        tree: how trees are grown.
        optimizers: one for each slice of outputs, together covering all D; default: SGD for all. Their learning rates
            may be changed between steps.
        bias: (D,) outputs before the first tree, default 0.
        categorical: (F,) bool, features that hold integer codes, default none.
        feature_weights: (F,) factors of the gains of a feature's splits, at least 0; 0 excludes a feature. Default 1.
        monotone: (F, D) of -1, 0 and 1 (or (F,), the same for all outputs): output d must not rise, is free, or must not
            fall as feature f rises; for numeric features and outputs under SGD. Default free.
        backend: "numba" or "torch", which grow the same trees.
        threads: for growth, binning and prediction; the results do not depend on it.

    Attributes:
        ensemble: the fitted trees.

    Raises:
        GBTError: an argument is out of its range or does not fit the others. Every method raises it likewise, and then
            has left the model as it was.
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        tree: TreeConfig | None = None,
        optimizers: Sequence[OptimizerConfig] | None = None,
        *,
        bias: ArrayLike | None = None,
        categorical: ArrayLike | None = None,
        feature_weights: ArrayLike | None = None,
        monotone: ArrayLike | None = None,
        backend: str = "numba",
        threads: int = 1,
    ) -> None:
        for name, size in (("n_features", n_features), ("n_outputs", n_outputs), ("threads", threads)):
            if size < 1:
                raise GBTError(f"{name} is {size}; expected at least 1")
        if backend not in BACKENDS:
            raise GBTError(f"backend is {backend!r}; expected {' or '.join(BACKENDS)}")
        self.n_features, self.n_outputs = n_features, n_outputs
        self.tree = TreeConfig() if tree is None else tree
        self.optimizers = [OptimizerConfig(0, n_outputs)] if optimizers is None else list(optimizers)
        self.backend, self.threads = backend, threads
        check_cover(self.optimizers, n_outputs)
        start = _vector("bias", bias, 0.0, n_outputs)
        kinds = _vector("categorical", categorical, False, n_features).astype(np.bool_)
        self.feature_weights = _vector("feature_weights", feature_weights, 1.0, n_features)
        if (self.feature_weights < 0).any():
            raise GBTError("feature_weights: a weight is negative; expected at least 0")
        adam = adam_constants(self.optimizers, n_outputs)
        self.ensemble = Ensemble.empty(start, kinds, self.tree.growth == "oblivious", adam)
        self.monotone = self._directions(monotone)

    @property
    def n_trees(self) -> int:
        return self.ensemble.n_trees

    @property
    def steps(self) -> int:
        """Trees fitted so far, by which schedules and Adam's correction go: compression does not set it back."""
        return self.ensemble.steps

    def bin(self, x: ArrayLike) -> BinnedRows:
        """Fit bins to the rows ``x`` (n, F), and put them in: for the steps on all of them and on their minibatches."""
        tree = self.tree
        rows = as_rows(x, self.n_features, "features")
        kinds = self.ensemble.is_categorical
        return Binner.fit_transform(rows, tree.n_bins, tree.binning, kinds, tree.nan_allowed, self.threads)

    def step(self, x: ArrayLike | BinnedRows, gradients: ArrayLike) -> None:
        """Fit a tree to the gradients (n, D) of a loss at the outputs for n rows, and add it.

        The outputs of a row fall by the learning rate times its leaf's mean gradient.

        Args:
            x: (n, F) rows, which are binned for this step alone; or rows from :meth:`bin`.
            gradients: (n, D), each row's own (of a mean loss: times the number of rows).
        """
        if self.ensemble.compressed:
            self._require_compressible()
        binned = x if isinstance(x, BinnedRows) else self.bin(x)
        if not np.array_equal(binned.binner.is_categorical, self.ensemble.is_categorical):
            raise GBTError("features: binned with other features or categories than the model's")
        targets = as_rows(gradients, self.n_outputs, "gradients")
        if len(targets) != len(binned) or len(binned) == 0:
            raise GBTError(
                f"gradients: {len(targets)} rows for {len(binned)} rows of features; expected as many, above 0"
            )
        decay = self.tree.control_variate_decay
        if decay is not None and self.n_trees and np.isfinite(targets).all():
            targets = less_variance(targets, running_means(self.ensemble, binned.x, decay, self.threads))
        tree = self._backend().grow(binned, targets, self.tree, self.feature_weights, self.monotone, self.threads)
        self.ensemble.append(tree.nodes, tree.value, step_sizes(self.optimizers, self.steps, self.n_outputs))

    def compress(self, x: ArrayLike, n_trees: int) -> None:
        """Go on with at most ``n_trees`` trees that say nearly the same on the rows ``x`` (n, F): see :func:`compress`."""
        self._require_compressible()
        self.ensemble = compress(self.ensemble, x, n_trees, self.threads)

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Outputs (n, D) float32 of the rows ``x`` (n, F), or (D,) of a single row (F,).

        A category that was not there when the trees were fitted is none of those that splits ask for.
        """
        single = np.ndim(x) == 1
        rows = as_rows(np.asarray(x)[None] if single else x, self.n_features, "features")
        outputs = initial_outputs(self.ensemble, len(rows))
        self._descend(rows, outputs, 0)
        found = np.ascontiguousarray(outputs.out[:, : self.n_outputs])
        return found[0] if single else found

    def cache(self, x: ArrayLike | BinnedRows) -> Cache:
        """The outputs of a fixed set of rows, which new trees alone will change."""
        return Cache(self, as_rows(x.x if isinstance(x, BinnedRows) else x, self.n_features, "features"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write trees and settings to the file ``path`` (safetensors), all of it or nothing."""
        settings = {
            "tree": asdict(self.tree),
            "optimizers": [asdict(optimizer) for optimizer in self.optimizers],
            "backend": self.backend,
            "threads": self.threads,
        }
        own = {"feature_weights": self.feature_weights, "monotone": self.monotone}
        storage.write(path, self.ensemble.arrays() | own, settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GBTModel:
        """The model of a file that :meth:`save` wrote; it goes on learning where that one stood.

        Raises:
            GBTError: no such file, cut short, of another kind or version, or with contents that do not fit together.
        """
        arrays, settings = storage.read(path)
        try:
            weights, monotone = arrays.pop("feature_weights"), arrays.pop("monotone")
            tree = TreeConfig(**settings.pop("tree"))
            optimizers = [OptimizerConfig(**optimizer) for optimizer in settings.pop("optimizers")]
            ensemble = Ensemble(**arrays, oblivious=tree.growth == "oblivious")
            ensemble.check()
            model = cls(
                ensemble.n_features,
                ensemble.n_outputs,
                tree,
                optimizers,
                bias=ensemble.bias,
                categorical=ensemble.is_categorical,
                feature_weights=weights,
                monotone=monotone,
                **settings,
            )
        except (GBTError, KeyError, TypeError, ValueError) as error:
            raise GBTError(f"{os.fspath(path)}: contents that do not fit together ({error})") from None
        model.ensemble = ensemble
        return model

    def _backend(self) -> Any:
        try:
            return import_module(BACKENDS[self.backend])
        except ModuleNotFoundError as error:
            raise GBTError(
                f"backend {self.backend!r}: the module {error.name} is not there; expected it installed"
            ) from None

    def _require_compressible(self) -> None:
        if len(self.monotone):
            raise GBTError("monotone constraints do not outlive a compression; expected a model without them")
        if self.tree.control_variate_decay is not None:
            raise GBTError("control variates are no running means after a compression; expected a model without them")

    def _descend(self, rows: F32, outputs: Outputs, first: int) -> None:
        whole = add_trees(self.ensemble, rows, outputs, first, self.n_trees, self.threads)
        if not (whole or self.tree.nan_allowed):
            row, f = np.argwhere(np.isnan(rows))[0]
            raise GBTError(f"features: row {row}, feature {f}: NaN, but nan_allowed is false")

    def _directions(self, monotone: ArrayLike | None) -> NDArray[np.int8]:
        shape = (self.n_features, self.n_outputs)
        if monotone is None or not np.any(monotone):
            return np.zeros((0, 0), np.int8)
        given = np.asarray(monotone)
        given = np.repeat(given[:, None], self.n_outputs, axis=1) if given.ndim == 1 else given
        if given.shape != shape or not np.isin(given, (-1, 0, 1)).all():
            raise GBTError(f"monotone: expected -1, 0 or 1 in a matrix {shape}, found {np.shape(monotone)}")
        if given[self.ensemble.is_categorical].any() or given[:, self.ensemble.adam.any(axis=0)].any():
            raise GBTError("monotone: a categorical feature or an output under Adam; expected numeric ones under SGD")
        return np.ascontiguousarray(given, np.int8)


class Cache:
    """Outputs of fixed rows, brought up to date by the trees that are new.

    Attributes:
        outputs: (n, D) float32 as of the last :meth:`update`; equal to what ``predict`` says.
    """

    outputs: F32

    def __init__(self, model: GBTModel, rows: F32) -> None:
        self._model, self._rows = model, rows
        self._ensemble, self._trees, self._state = model.ensemble, -1, initial_outputs(model.ensemble, 0)
        self.update()

    def slide(self, kept: int, x: ArrayLike) -> F32:
        """Forget all but the last ``kept`` rows, and take the rows ``x`` (n, F) in behind them."""
        self.update()
        new = Cache(self._model, as_rows(x, self._model.n_features, "features"))
        first = len(self._rows) - kept
        self._rows = np.concatenate([self._rows[first:], new._rows])
        parts = zip(self._state, new._state, strict=True)
        self._state = Outputs(*(np.concatenate([old[first:], added]) if len(old) else old for old, added in parts))
        self.outputs = self._state.out[:, : self._model.n_outputs]
        return self.outputs

    def update(self) -> F32:
        """Let the model's new trees change the outputs; all of its trees, if its ensemble is another one."""
        model = self._model
        if model.ensemble is not self._ensemble or not 0 <= self._trees <= model.n_trees:
            self._ensemble, self._trees = model.ensemble, 0
            self._state = initial_outputs(model.ensemble, len(self._rows))
            self.outputs = self._state.out[:, : model.n_outputs]
            model._descend(self._rows, self._state, 0)
        elif model.n_trees > self._trees:
            model._descend(self._rows, self._state, self._trees)
        self._trees = model.n_trees
        return self.outputs


def _vector(name: str, given: ArrayLike | None, default: Any, size: int) -> NDArray[Any]:
    vector = np.full(size, default) if given is None else np.array(given)
    with np.errstate(over="ignore"):
        finite = vector.dtype.kind in "bfiu" and np.isfinite(vector.astype(np.float32)).all()  # as they are stored
    if vector.shape != (size,) or not finite:
        raise GBTError(f"{name}: shape {vector.shape}; expected {size} finite numbers")
    return vector.astype(np.float64) if vector.dtype.kind != "b" else vector
