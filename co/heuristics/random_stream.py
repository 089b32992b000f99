"""A fast stream of random numbers for compiled search: its state is one number in an array, so it costs no call out.

Splitmix64 (Steele, Lea and Flood, OOPSLA 2014). Numba does not notice a change of this file in what it keeps on disk
of its callers: after one, empty their caches (``__pycache__/*.nb*``).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL

U64 = NDArray[np.uint64]

_GAMMA, _MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)


def random_stream(seed: int) -> U64:
    """(1,) uint64 state of a stream, for :func:`draw` and :func:`below`; any seed of at least 0."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64).astype(np.uint64)


@njit(inline="always", **KERNEL)
def draw(stream: U64) -> float:
    """The next number in [0, 1)."""
    stream[0] += _GAMMA
    z = stream[0]
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return np.float64((z ^ (z >> _S31)) >> _S11) * (1.0 / 9007199254740992.0)


@njit(inline="always", **KERNEL)
def below(stream: U64, n: int) -> int:
    """The next integer in 0..n-1."""
    return int(draw(stream) * n)
