"""How long a heuristic may work on the first incumbent of an exact search."""

from __future__ import annotations

from collections.abc import Callable

from optgap.co.core import Budget
from optgap.co.exact.progress import Progress

SHARE = 0.05  # of the budget, at most
PROBE = 500  # iterations that tell how long one takes


def warm_up(progress: Progress, budget: Budget, improve: Callable[[int], None], iterations: int) -> None:
    """Call ``improve(count)`` with a few iterations, then with ``iterations`` or as many as a share of the budget allows."""
    limit = SHARE * budget.seconds
    if progress.seconds() >= limit:
        return
    began = progress.seconds()
    improve(PROBE)
    left = limit - progress.seconds()
    count = min(float(iterations), left / (progress.seconds() - began) * PROBE)
    if count >= 1:
        improve(int(count))
