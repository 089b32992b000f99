"""Hyperparameters of AWR by environment."""

from __future__ import annotations

from optgap.agents.common.contracts import Recipe

TREES: dict[str, Recipe] = {}
