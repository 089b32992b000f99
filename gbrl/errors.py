"""The error that every module of the tree engine raises."""

from __future__ import annotations


class GBTError(ValueError):
    """Data, a setting or a file that the engine cannot use, in one line; no model has been changed."""
