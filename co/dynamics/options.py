"""How numba compiles the kernels: functions that allocate nothing and work on tuples of some thirty arrays."""

from __future__ import annotations

from typing import Any

KERNEL: dict[str, Any] = {
    # No reference counts. Numba would count those of every array of a tuple at every call that it does not inline:
    # half of the time of an environment's step. What a kernel calls inherits this, and does not compile if it
    # allocates. A function that Python hands a random generator must do without this: numba would lose a reference
    # of the generator at each call.
    "_nrt": False,
    # Division as in C, without a branch that raises. No kernel divides by zero.
    "error_model": "numpy",
}

# What a kernel calls for every copy at every step. A call that is not inlined hands over every field of every array of
# its tuples: most of the time of a routing environment's step.
INLINED: dict[str, Any] = {**KERNEL, "forceinline": True}
