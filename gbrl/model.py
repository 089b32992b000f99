"""Boosted trees as a trainable function: one tree a gradient step, fitted to the gradients at the outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
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
from optgap.gbrl.errors import GBTError, choice, integer, shown
from optgap.gbrl.gradients import less_variance
from optgap.gbrl.optimizers import adam_constants, check_cover, step_sizes
from optgap.gbrl.predict import Outputs, add_trees, initial_outputs, running_means
from optgap.gbrl.rows import F32, MOST_THREADS, as_array, as_flags, as_rows, as_vector

BACKENDS = {"numba": "optgap.gbrl.grow", "torch": "optgap.gbrl.torch_backend"}  # modules with a function ``grow``
MOST_COLUMNS = 1 << 24  # features or outputs: histograms of more would not fit in memory


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
        self.n_features = integer("n_features", n_features, 1, MOST_COLUMNS)
        self.n_outputs = integer("n_outputs", n_outputs, 1, MOST_COLUMNS)
        self.threads = integer("threads", threads, 1, MOST_THREADS)
        choice("backend", backend, BACKENDS)
        self.backend = backend
        self.tree = TreeConfig() if tree is None else tree
        if not isinstance(self.tree, TreeConfig):
            raise GBTError(f"tree: found {type(tree).__name__}; expected a TreeConfig")
        heads = [OptimizerConfig(0, self.n_outputs)] if optimizers is None else optimizers
        if not isinstance(heads, Iterable):
            raise GBTError(f"optimizers: found {type(heads).__name__}; expected a list of OptimizerConfig")
        self.optimizers = list(heads)
        check_cover(self.optimizers, self.n_outputs)
        start = as_vector("bias", bias, 0.0, self.n_outputs)
        kinds = as_flags("categorical", categorical, self.n_features)
        self.feature_weights = as_vector("feature_weights", feature_weights, 1.0, self.n_features)
        if (self.feature_weights < 0).any():
            raise GBTError("feature_weights: a weight is negative; expected at least 0")
        adam = adam_constants(self.optimizers, self.n_outputs)
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
        sizes = step_sizes(self.optimizers, self.steps, self.n_outputs)
        tree = self._backend().grow(binned, targets, self.tree, self.feature_weights, self.monotone, self.threads)
        self.ensemble.append(tree.nodes, tree.value, sizes)

    def compress(self, x: ArrayLike, n_trees: int) -> None:
        """Go on with at most ``n_trees`` trees that say nearly the same on the rows ``x`` (n, F): see :func:`compress`."""
        self._require_compressible()
        rows = as_rows(x, self.n_features, "features")
        self._require_whole(rows)
        self.ensemble = compress(self.ensemble, rows, n_trees, self.threads)

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Outputs (n, D) float32 of the rows ``x`` (n, F), or (D,) of a single row (F,).

        A category that was not there when the trees were fitted is none of those that splits ask for.
        """
        given = x if isinstance(x, np.ndarray) else as_array("features", x)
        single = given.ndim == 1
        rows = as_rows(given[None] if single else given, self.n_features, "features")
        outputs = initial_outputs(self.ensemble, len(rows))
        self._descend(rows, outputs, 0)
        found = np.ascontiguousarray(outputs.out[:, : self.n_outputs])
        return found[0] if single else found

    def cache(self, x: ArrayLike | BinnedRows) -> Cache:
        """The outputs of a fixed set of rows, which new trees alone will change."""
        return Cache(self, as_rows(x.x if isinstance(x, BinnedRows) else x, self.n_features, "features"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write trees and settings to the file ``path`` (safetensors), all of it or nothing.

        Raises:
            GBTError: no file can be written there.
        """
        settings = {
            "tree": asdict(self.tree),
            "optimizers": [asdict(optimizer) for optimizer in self.optimizers],
            "backend": self.backend,
            "threads": self.threads,
        }
        own: dict[str, NDArray[Any]] = {"feature_weights": self.feature_weights, "monotone": self.monotone}
        storage.write(path, self.ensemble.arrays() | own, settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GBTModel:
        """The model of a file that :meth:`save` wrote; it goes on learning where that one stood.

        Raises:
            GBTError: no such file, cut short, of another kind or version, or with contents that do not fit together.
        """
        arrays, settings = storage.read(path)
        try:
            own = {name: arrays.pop(name) for name in ("feature_weights", "monotone")}
            tree = TreeConfig(**settings.pop("tree"))
            optimizers = [OptimizerConfig(**optimizer) for optimizer in settings.pop("optimizers")]
            backend, threads = settings.pop("backend"), settings.pop("threads")
            if settings:
                raise GBTError(f"settings {shown(sorted(settings))} are not expected")
            ensemble = Ensemble.from_arrays(arrays, tree.growth == "oblivious")
            model = cls(
                ensemble.n_features,
                ensemble.n_outputs,
                tree,
                optimizers,
                categorical=ensemble.is_categorical,
                backend=backend,
                threads=threads,
                **own,
            )
            ensemble.require_like(model.ensemble)
        except KeyError as error:
            raise GBTError(f"{os.fspath(path)}: {error} is missing") from None
        except (GBTError, TypeError) as error:
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
        if not whole:
            self._require_whole(rows)

    def _require_whole(self, rows: F32) -> None:
        if not self.tree.nan_allowed and np.isnan(rows).any():
            row, f = np.argwhere(np.isnan(rows))[0]
            raise GBTError(f"features: row {row}, feature {f}: NaN, but nan_allowed is false")

    def _directions(self, monotone: ArrayLike | None) -> NDArray[np.int8]:
        shape = (self.n_features, self.n_outputs)
        given = np.zeros(0) if monotone is None else as_array("monotone", monotone)
        if not given.any():
            return np.zeros((0, 0), np.int8)
        given = np.repeat(given[:, None], self.n_outputs, axis=1) if given.ndim == 1 else given
        if given.shape != shape or not np.isin(given, (-1, 0, 1)).all():
            raise GBTError(f"monotone: expected -1, 0 or 1 in a matrix {shape}, found {given.shape}")
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
        """Forget all but the last ``kept`` rows, and take the rows ``x`` (n, F) in behind them.

        Raises:
            GBTError: there are not so many rows, or ``x`` does not fit; the rows stay those that they were.
        """
        kept = integer("kept", kept, 0, len(self._rows))
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
