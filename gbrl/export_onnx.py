"""An ensemble as an ONNX model: one TreeEnsembleRegressor of ai.onnx.ml, extra ``onnx``.

The operator knows several outputs, equality splits and a direction for missing values, so that no plain operators are
needed. A runtime may add the trees up in another order than the engine: predictions agree to float32 rounding, and each
row reaches the engine's very leaves, because ONNX compares float32 with float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.errors import GBTError
from optgap.gbrl.export_c import leaf_terms
from optgap.gbrl.storage import write_bytes

OPSET, ML_OPSET = 17, 3  # old enough for runtimes of 2022, and all that the operator needs
IR_VERSION = 8  # that of opset 17


def export_onnx(model: HasTrees | Ensemble, path: str | Path | None = None) -> Any:
    """``model`` as an ``onnx.ModelProto``: input ``x`` (n, F) float32, output ``y`` (n, D) float32.

    Args:
        model: fitted, or its ensemble; greedy or oblivious, at least one tree.
        path: the file to write as well, if any.

    Raises:
        GBTError: onnx is not installed, no trees, an output under Adam (no sum over trees), or no file can be written.
    """
    ensemble = ensemble_of(model)
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        raise GBTError("onnx is not installed; run: pip install 'optgap[onnx]'") from None
    ensemble.require_additive("export to ONNX")
    if ensemble.n_trees == 0:
        raise GBTError("export to ONNX: the ensemble holds no tree; expected at least one")
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **_attributes(ensemble))
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", ensemble.n_features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", ensemble.n_outputs])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(graph, producer_name="optgap", opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(made)
    if path is not None:
        write_bytes(path, made.SerializeToString())
    return made


def _attributes(ensemble: Ensemble) -> dict[str, Any]:
    sizes = np.diff(ensemble.tree_start)
    tree = np.repeat(np.arange(ensemble.n_trees), sizes)
    node = np.arange(len(tree)) - ensemble.tree_start[tree]
    leaf = ensemble.feature < 0
    feature, left = np.where(leaf, 0, ensemble.feature), np.where(leaf, 0, ensemble.left)
    right = np.where(leaf, 0, ensemble.left + 1)
    # The true branch: left of "x <= threshold", right of "x == code". A missing value makes both comparisons false,
    # unless the node sends it along the true branch.
    equal = ensemble.is_categorical[feature] & ~leaf
    modes = np.where(leaf, "LEAF", np.where(equal, "BRANCH_EQ", "BRANCH_LEQ"))
    missing_true = ~leaf & np.where(equal, ensemble.nan_right, ~ensemble.nan_right)
    row = (ensemble.leaf_start[tree] + ensemble.left)[leaf]
    outputs = np.arange(ensemble.n_outputs)
    return {
        "n_targets": ensemble.n_outputs,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "base_values": ensemble.bias.tolist(),
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_featureids": feature.tolist(),
        "nodes_values": ensemble.threshold.tolist(),
        "nodes_modes": modes.tolist(),
        "nodes_truenodeids": np.where(equal, right, left).tolist(),
        "nodes_falsenodeids": np.where(equal, left, right).tolist(),
        "nodes_missing_value_tracks_true": missing_true.astype(int).tolist(),
        "target_treeids": np.repeat(tree[leaf], len(outputs)).tolist(),
        "target_nodeids": np.repeat(node[leaf], len(outputs)).tolist(),
        "target_ids": np.tile(outputs, int(leaf.sum())).tolist(),
        "target_weights": leaf_terms(ensemble)[row].ravel().tolist(),
    }
