"""The fitted trees as a struct of arrays: the only description of them that prediction, explanation and export read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from optgap.gbrl.errors import GBTError
from optgap.gbrl.lanes import LANES

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

NODE_FIELDS = {  # one entry a node
    "feature": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "nan_right": np.bool_,
    "cover": np.float32,
    "gain": np.float32,
}
ROW_FIELDS = {"value": np.float32, "rate": np.float32}  # rows of D outputs, stored padded to whole vectors
VECTORS = {
    "tree_start": np.int64,
    "leaf_start": np.int64,
    **NODE_FIELDS,
    "bias": np.float32,
    "is_categorical": np.bool_,
}
MATRICES = {**ROW_FIELDS, "adam": np.float32}
LARGEST = (
    1e18  # of gradients, step sizes and moves: float32 holds their squares, and the sum of as many trees as one likes
)


def padded_outputs(n_outputs: int) -> int:
    """Width of a stored row of outputs: a multiple of 8, so that kernels add whole vectors."""
    return -(-n_outputs // LANES) * LANES


class Trees(NamedTuple):
    """What prediction kernels read, as described in :class:`Ensemble`; rows of outputs are padded to P."""

    tree_start: I64  # (T+1,)
    feature: I32  # (N,)
    threshold: F32  # (N,)
    left: I32  # (N,)
    nan_right: Bools  # (N,)
    leaf_start: I64  # (T+1,)
    value: F32  # (L, P)
    rate: F32  # (T, P)
    is_categorical: Bools  # (F,)
    adam: F32  # (3, P)


class Ensemble:
    """T trees over F features with D outputs; N nodes and L leaves in all.

    The output of a row x is computed in float32, tree by tree in order:
    ``out = bias; out = out - rate[t] * value[leaf_t(x)]`` (descent along the mean gradients). Outputs under Adam replace
    the leaf value g by ``m / (sqrt(v) + epsilon)`` with the row's moments ``m = beta1 m + (1 - beta1) g`` and
    ``v = beta2 v + (1 - beta2) g^2``; such an ensemble is not additive.

    Every array is a view of the stored trees (appending may move them, so fetch it anew after a new tree):

    ==============  ==================  ==============================================================================
    tree_start      (T+1,) int64        offsets into the node arrays; breadth-first within a tree, root first
    feature         (N,) int32          feature of a split, -1 for a leaf
    threshold       (N,) float32        numeric feature: RIGHT iff x > threshold (inf: only NaN may go right);
                                        categorical: RIGHT iff x == threshold
    left            (N,) int32          number within the tree of the left child, the right one follows it; for a leaf:
                                        number of its value within the tree
    nan_right       (N,) bool           whether NaN goes right
    cover           (N,) float32        training rows that reached the node; 0 in empty parts of an oblivious tree
    gain            (N,) float32        of a split, 0 for a leaf
    leaf_start      (T+1,) int64        offsets into ``value``
    value           (L, D) float32      mean gradient of a leaf
    rate            (T, D) float32      step size of each output in each tree; with Adam's bias correction if it has one
    bias            (D,) float32        the output before the first tree
    is_categorical  (F,) bool           feature holds integer codes
    adam            (3, D) float32      beta1, beta2, epsilon of outputs under Adam; zeros for SGD
    steps           () int64            trees appended so far, those that a compression took away included
    ==============  ==================  ==============================================================================

    ``oblivious``: the nodes of a level share feature, threshold and nan_right, and trees are complete.
    """

    def __init__(
        self,
        *,
        bias: NDArray[Any],
        tree_start: NDArray[Any],
        feature: NDArray[Any],
        threshold: NDArray[Any],
        left: NDArray[Any],
        nan_right: NDArray[Any],
        cover: NDArray[Any],
        gain: NDArray[Any],
        leaf_start: NDArray[Any],
        value: NDArray[Any],
        rate: NDArray[Any],
        is_categorical: NDArray[Any],
        oblivious: bool,
        adam: NDArray[Any] | None = None,
        steps: NDArray[Any] | int | None = None,
    ) -> None:
        self.n_outputs = len(bias)
        self.is_categorical = np.array(is_categorical, np.bool_)
        self.oblivious = bool(oblivious)
        self.adam = np.zeros((3, self.n_outputs), np.float32) if adam is None else np.array(adam, np.float32)
        self.additive = not self.adam.any()  # the output is a sum over the trees: none is under Adam
        self.n_trees = len(tree_start) - 1
        self.steps = self.n_trees if steps is None else int(steps)
        self._n_nodes, self._n_leaves = len(feature), len(value)
        self._trees: Trees | None = None  # kept for as long as no tree is added
        self._data: dict[str, NDArray[Any]] = {
            "tree_start": np.array(tree_start, np.int64),
            "leaf_start": np.array(leaf_start, np.int64),
        }
        given = {"feature": feature, "threshold": threshold, "left": left, "nan_right": nan_right, "cover": cover}
        for name, array in (given | {"gain": gain}).items():
            self._data[name] = np.array(array, NODE_FIELDS[name])
        for name, array in {"value": value, "rate": rate, "bias": np.reshape(bias, (1, -1))}.items():
            self._data[name] = np.zeros((len(array), padded_outputs(self.n_outputs)), np.float32)
            self._data[name][:, : self.n_outputs] = array

    @classmethod
    def empty(cls, bias: NDArray[Any], is_categorical: NDArray[Any], oblivious: bool, adam: NDArray[Any]) -> Ensemble:
        """No trees yet: every output is its bias."""
        none = np.zeros(0)
        nodes = dict.fromkeys(NODE_FIELDS, none)
        rows = np.zeros((0, len(bias)))
        start = np.zeros(1)
        return cls(
            bias=bias,
            tree_start=start,
            leaf_start=start,
            value=rows,
            rate=rows,
            is_categorical=is_categorical,
            oblivious=oblivious,
            adam=adam,
            **nodes,
        )

    @property
    def n_features(self) -> int:
        return len(self.is_categorical)

    @property
    def compressed(self) -> bool:
        """Whether trees were taken away, so that leaf values need not be mean gradients."""
        return self.steps != self.n_trees

    @property
    def bias(self) -> F32:
        return self._data["bias"][0, : self.n_outputs]

    @property
    def padded_bias(self) -> F32:
        """The outputs before the first tree, (1, P)."""
        return self._data["bias"]

    @property
    def tree_start(self) -> I64:
        return self._data["tree_start"][: self.n_trees + 1]

    @property
    def leaf_start(self) -> I64:
        return self._data["leaf_start"][: self.n_trees + 1]

    @property
    def feature(self) -> I32:
        return self._data["feature"][: self._n_nodes]

    @property
    def threshold(self) -> F32:
        return self._data["threshold"][: self._n_nodes]

    @property
    def left(self) -> I32:
        return self._data["left"][: self._n_nodes]

    @property
    def nan_right(self) -> Bools:
        return self._data["nan_right"][: self._n_nodes]

    @property
    def cover(self) -> F32:
        return self._data["cover"][: self._n_nodes]

    @property
    def gain(self) -> F32:
        return self._data["gain"][: self._n_nodes]

    @property
    def value(self) -> F32:
        return self._data["value"][: self._n_leaves, : self.n_outputs]

    @property
    def rate(self) -> F32:
        return self._data["rate"][: self.n_trees, : self.n_outputs]

    @property
    def trees(self) -> Trees:
        """The arrays that prediction kernels read."""
        if self._trees is None:
            adam = np.zeros((3, padded_outputs(self.n_outputs)), np.float32)
            adam[:, : self.n_outputs] = self.adam
            self._trees = Trees(
                self.tree_start,
                self.feature,
                self.threshold,
                self.left,
                self.nan_right,
                self.leaf_start,
                self._data["value"][: self._n_leaves],
                self._data["rate"][: self.n_trees],
                self.is_categorical,
                adam,
            )
        return self._trees

    def require_additive(self, purpose: str) -> None:
        """Raise :class:`GBTError` if an output is under Adam."""
        if self.adam.any():
            outputs = np.flatnonzero(self.adam.any(axis=0)).tolist()
            raise GBTError(f"{purpose}: outputs {outputs} are under Adam, so not a sum over trees; expected SGD alone")

    def require_like(self, other: Ensemble) -> None:
        """Raise :class:`GBTError` unless features, outputs and what is under Adam are those of another ensemble."""
        for name in ("n_features", "n_outputs"):
            own, expected = getattr(self, name), getattr(other, name)
            self._demand(own == expected, f"{name} is {own}; expected {expected}")
        self._demand(np.array_equal(self.is_categorical, other.is_categorical), "other features are categorical")
        self._demand(np.array_equal(self.adam, other.adam), "other optimizers than those of the trees")

    def append(self, nodes: dict[str, NDArray[Any]], value: F32, rate: F32) -> None:
        """Add one tree.

        Args:
            nodes: the arrays of ``NODE_FIELDS``, one entry a node of the tree.
            value: (leaves, D) mean gradients.
            rate: (D,) step sizes.

        Raises:
            GBTError: gradients or what they would move the outputs by are too large.
        """
        largest, size = float(np.abs(value).max()), float(rate.max())
        if largest * max(1.0, size) > LARGEST:
            found = f"a leaf's mean is {largest:.3g} at step size {size:.3g}"
            raise GBTError(f"gradients: {found}; expected at most {LARGEST:g}, and their product too")
        n, leaves, trees = self._n_nodes + len(nodes["feature"]), self._n_leaves + len(value), self.n_trees + 1
        for name in NODE_FIELDS:
            self._room(name, n)[self._n_nodes : n] = nodes[name]
        self._room("value", leaves)[self._n_leaves : leaves, : self.n_outputs] = value
        self._room("rate", trees)[self.n_trees, : self.n_outputs] = rate
        self._room("tree_start", trees + 1)[trees] = n
        self._room("leaf_start", trees + 1)[trees] = leaves
        self._n_nodes, self._n_leaves, self.n_trees, self._trees = n, leaves, trees, None
        self.steps += 1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_trees": None}  # a copy's arrays are its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # joblib hands read-only arrays to its workers, for which numba would compile every kernel anew.
        self._data = {name: np.require(array, requirements="W") for name, array in self._data.items()}
        for name in ("is_categorical", "adam"):
            setattr(self, name, np.require(getattr(self, name), requirements="W"))

    def _room(self, name: str, entries: int) -> NDArray[Any]:
        """The stored array, with room for ``entries``: half as much again when it is full."""
        array = self._data[name]
        if entries > len(array):
            grown = np.zeros((max(entries, len(array) + len(array) // 2, 64), *array.shape[1:]), array.dtype)
            grown[: len(array)] = array
            self._data[name] = array = grown
        return array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but ``oblivious``, by the names of the constructor."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in (*VECTORS, *MATRICES)}
        return arrays | {"steps": np.array(self.steps, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], oblivious: bool) -> Ensemble:
        """The ensemble whose :meth:`arrays` these are, from a file that need not be one of ours.

        Raises:
            GBTError: an array is missing, not expected or of another type, or they do not make sense together.
        """
        kinds = {name: (dtype, 1) for name, dtype in VECTORS.items()}
        kinds |= {name: (dtype, 2) for name, dtype in MATRICES.items()} | {"steps": (np.int64, 0)}
        for name in sorted(kinds.keys() | arrays.keys()):
            if name not in arrays or name not in kinds:
                raise GBTError(f"ensemble: {name} is {'missing' if name in kinds else 'not expected'}")
            array, (dtype, axes) = arrays[name], kinds[name]
            if array.dtype != dtype or array.ndim != axes:
                found = f"{name} is {array.dtype} of shape {array.shape}"
                raise GBTError(f"ensemble: {found}; expected {np.dtype(dtype).name} in {axes} dimensions")
        for name in MATRICES:
            if arrays[name].shape[1] != len(arrays["bias"]):
                raise GBTError(
                    f"ensemble: {name} has {arrays[name].shape[1]} columns; expected {len(arrays['bias'])}, as many as bias"
                )
        ensemble = cls(**arrays, oblivious=oblivious)
        ensemble.check()
        return ensemble

    def check(self) -> None:
        """Raise :class:`GBTError` unless every number within keeps kernels inside their arrays and out of cycles."""
        n, leaves, D = self._n_nodes, self._n_leaves, self.n_outputs
        for name in NODE_FIELDS:
            self._demand(getattr(self, name).shape == (n,), f"{name} has not one entry a node")
        self._demand(self._data["rate"].shape[0] == self.n_trees, "rate has not one row a tree")
        self._demand(self.adam.shape == (3, D), "adam is not (3, D)")
        self._demand(self.steps >= self.n_trees, "steps is below the number of trees")
        for name, end in (("tree_start", n), ("leaf_start", leaves)):
            start = getattr(self, name)
            well = len(start) == self.n_trees + 1 and start[0] == 0 and start[-1] == end and (np.diff(start) > 0).all()
            self._demand(bool(well), f"{name} does not rise from 0 to {end}")
        tree = np.repeat(np.arange(self.n_trees), np.diff(self.tree_start))
        number = np.arange(n) - self.tree_start[tree]
        leaf = self.feature == -1
        within = np.where(
            leaf, self.left < np.diff(self.leaf_start)[tree], self.left + 1 < np.diff(self.tree_start)[tree]
        )
        self._demand(bool((within & np.where(leaf, self.left >= 0, self.left > number)).all()), "left points astray")
        self._demand(bool(((self.feature >= -1) & (self.feature < self.n_features)).all()), "feature out of range")
        self._demand(not np.isnan(self.threshold).any(), "a threshold is NaN")
        for name in ("bias", "cover", "gain"):
            self._demand(bool(np.isfinite(getattr(self, name)).all()), f"{name} is not finite everywhere")
        for name in ROW_FIELDS:
            self._demand(bool((np.abs(getattr(self, name)) <= LARGEST).all()), f"{name} is above {LARGEST:g} somewhere")
        for name in ("rate", "cover", "gain"):
            self._demand(bool((getattr(self, name) >= 0).all()), f"{name} is negative somewhere")
        decays, epsilon = self.adam[:2], self.adam[2]
        well = ((decays >= 0) & (decays < 1)).all() and np.isfinite(epsilon).all()
        # Which outputs are under Adam is told by epsilon.
        self._demand(bool(well and ((epsilon > 0) | (self.adam == 0).all(axis=0)).all()), "adam is out of range")
        if self.oblivious:  # complete trees: leaves in order after all splits, children of node k at 2 k + 1
            width = np.diff(self.leaf_start)
            self._demand(bool((width & (width - 1) == 0).all()), "an oblivious tree is not complete")
            splits = width[tree] - 1
            self._demand(bool((leaf == (number >= splits)).all()), "an oblivious tree is not complete")
            expected = np.where(leaf, number - splits, 2 * number + 1)
            self._demand(bool((self.left == expected).all()), "left points astray")
            first = self.tree_start[tree] + (1 << np.log2(number + 1).astype(np.int64)) - 1  # of the node's level
            for name in ("feature", "threshold", "nan_right"):
                field = getattr(self, name)
                self._demand(bool((field == field[first]).all()), f"{name} differs within a level of an oblivious tree")

    def _demand(self, holds: bool, found: str) -> None:
        if not holds:
            raise GBTError(f"ensemble: {found}")


class HasTrees(Protocol):
    """A :class:`optgap.gbrl.model.GBTModel`."""

    ensemble: Ensemble


def ensemble_of(model: HasTrees | Ensemble) -> Ensemble:
    """The trees of a model, or the ensemble that they are already: what can be explained, exported and predicted with.

    Raises:
        GBTError: neither.
    """
    found = getattr(model, "ensemble", model)
    if not isinstance(found, Ensemble):
        raise GBTError(f"trees: found {type(model).__name__}; expected a GBTModel or its ensemble")
    return found
