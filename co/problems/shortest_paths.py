"""Shortest paths between all nodes of many small graphs, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def shorten(matrices: NDArray[np.float64]) -> None:
    """Lower distances (B, N, N) to the lengths of the shortest paths, in place, by Floyd's and Warshall's algorithm.

    Distances are not negative; those on the diagonals are 0.
    """
    nodes = matrices.shape[1]
    onwards = np.empty(nodes)  # a copy: the compiler then knows that no row is written that is read
    for b in range(len(matrices)):
        matrix = matrices[b]
        for k in range(nodes):  # neither row nor column k changes in its own round
            for j in range(nodes):
                onwards[j] = matrix[k, j]
            for i in range(nodes):
                first = matrix[i, k]
                for j in range(nodes):
                    matrix[i, j] = min(matrix[i, j], first + onwards[j])
