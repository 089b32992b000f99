"""Dynamics kernels: numba functions over arrays, shared by the dispatching rules and the environments."""
