"""How the trees of an agent grow."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.co.core import InputError
from optgap.gbrl.config import LARGEST_RATE, TreeConfig
from optgap.gbrl.errors import GBTError, number


@dataclass
class GrowthSettings:
    """The part of a configuration that every agent with boosted trees has; ``hidden_sizes`` is not read by them."""

    max_depth: int = 4
    """Splits from the root to a leaf, 1 to 12."""
    growth: str = "greedy"
    """"greedy", or "oblivious": all nodes of a level split alike."""
    score: str = "cosine"
    """What a split gains: "cosine" (gradients as they are) or "l2" (every output counts alike)."""
    n_bins: int = 256
    """Candidates of a split on a numeric feature, 2 to 256."""
    binning: str = "quantile"
    """Where they lie: "quantile" or "uniform"."""
    min_leaf: int = 1
    """Rows that a leaf holds at least."""
    nan_allowed: bool = False
    """Whether observations may hold NaN (missing numbers); where they go is learned."""

    def tree(self) -> TreeConfig:
        """How a tree is grown.

        Raises:
            InputError: a value is out of its range.
        """
        names = ("max_depth", "growth", "score", "n_bins", "binning", "min_leaf", "nan_allowed")
        try:
            return TreeConfig(**{name: getattr(self, name) for name in names})
        except GBTError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None

    def check_growth(self, *rates: str) -> None:
        """Raise an :class:`InputError` unless trees can be grown so, and followed at the step sizes of these fields."""
        self.tree()
        try:
            for name in rates:
                number(f"{type(self).__name__}: {name}", getattr(self, name), 0, LARGEST_RATE)
        except GBTError as error:
            raise InputError(str(error)) from None
