"""One face over the shop dynamics: numba functions that find their implementation by the type of the state's arrays.

Code written against these functions (a dispatching rule, an environment) is compiled once a problem from the same
source. They can be called from numba alone. A new kind of shop is one module with these functions, and one entry of
``DYNAMICS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import singledispatch
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from numba.extending import overload

from optgap.co.core import InputError
from optgap.co.dynamics import blocking_job_shop, job_shop, options
from optgap.co.problems.blocking_job_shop import BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance


def digest_of(*modules: ModuleType) -> str:
    """A digest of the sources of ``modules``: what code that numba keeps on disk, and that calls them, must hold."""
    sources = (Path(str(module.__file__)).read_bytes() for module in (options, *modules))
    return hashlib.sha256(b"".join(sources)).hexdigest()


F = TypeVar("F", bound=Callable[..., Any])

DYNAMICS: dict[type, ModuleType] = {
    job_shop.ShopArrays: job_shop,
    blocking_job_shop.BlockingShopArrays: blocking_job_shop,
}


@singledispatch
def dynamics_of(instance: object) -> Any:
    """The dynamics module of an instance's type."""
    raise InputError(f"no dynamics for a {type(instance).__name__}; expected a job shop or a blocking job shop")


@dynamics_of.register
def _(_: JobShopInstance) -> Any:
    return job_shop


@dynamics_of.register
def _(_: BlockingJobShopInstance) -> Any:
    return blocking_job_shop


def _by_arrays(stub: F) -> F:
    """Let numba replace ``stub`` by the function of its name in the module of the arrays it is called with.

    A closure over the module would do as well, but numba cannot keep compiled closures from one process to the next.
    """

    def choose(shop: Any, *_: Any) -> Any:
        return getattr(DYNAMICS[shop.instance_class], stub.__name__).py_func

    overload(stub, strict=False)(choose)  # not strict: one `choose` for stubs of several signatures
    return stub


@_by_arrays
def reset(shop: Any, state: Any, b: int) -> None:
    """Put copy ``b`` at time 0 with nothing started."""
    raise NotImplementedError


@_by_arrays
def find_candidates(shop: Any, state: Any, b: int, scheme: int, scope: int) -> int:
    """Advance copy ``b`` to its next decision, mark the candidates and return how many there are (0: finished)."""
    raise NotImplementedError


@_by_arrays
def dispatch(shop: Any, state: Any, b: int, j: int, scheme: int) -> None:
    """Start the next operation of candidate job ``j``."""
    raise NotImplementedError


@_by_arrays
def next_event(shop: Any, state: Any, b: int) -> int:
    """When waiting would end, or ``job_shop.NEVER``."""
    raise NotImplementedError


@_by_arrays
def wait_for_event(shop: Any, state: Any, b: int) -> None:
    """Let the deciding machine (all of them where several decide) pass to the next event."""
    raise NotImplementedError


@_by_arrays
def lower_bound(shop: Any, state: Any, b: int) -> int:
    """A bound on the makespan of every completion, from what has been seen so far."""
    raise NotImplementedError
