"""Whether what is going to be filled fits into this machine's memory: asked before it is, and the system kills the run."""

from __future__ import annotations

import os

from optgap.co.core import InputError

GIBIBYTE = 2**30


def require_memory(what: str, needed: int) -> None:
    """Raise an :class:`InputError` where ``needed`` bytes are more than the machine has; ``what`` is named first."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > total:
        raise InputError(
            f"{what} takes {needed / GIBIBYTE:,.1f} GiB; expected at most the {total / GIBIBYTE:,.1f} GiB of this machine"
        )
