"""Step sizes over a run."""

from __future__ import annotations

import math


def cosine(peak: float, final: float, share: float, update: int, warmup: int) -> float:
    """Step size that rises linearly over ``warmup`` updates and falls from ``peak`` to ``final`` along a cosine.

    Args:
        share: of the run that is done, cut off at 1.
        update: number of updates done.
    """
    value = final + (peak - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return value * min(1.0, (update + 1) / (warmup + 1))
