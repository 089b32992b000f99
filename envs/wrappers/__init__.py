"""Wrappers: intrinsic rewards, constraint costs, recording."""
