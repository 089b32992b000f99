"""Gradient-boosted trees for reinforcement learning: a tree a gradient step. See :class:`optgap.gbrl.model.GBTModel`.

``from optgap.gbrl import GBTModel, TreeConfig, OptimizerConfig, GBTRegressor``; explanations and exports (``shap``, ``importance``,
``show``, ``export_c``, ``export_onnx``) take a model or its ``ensemble``.
"""

from importlib import import_module
from typing import Any

if __name__ == "gbrl":
    raise ImportError("import optgap.gbrl, not gbrl: the folder is part of the package optgap (pip install optgap)")

_HOMES = {
    "GBTModel": "model",
    "TreeConfig": "config",
    "OptimizerConfig": "config",
    "GBTError": "errors",
    "GBTRegressor": "estimator",
}


def __getattr__(name: str) -> Any:
    """The main classes, imported when they are asked for, so that ``import optgap`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
