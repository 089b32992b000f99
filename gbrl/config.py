"""Settings of the trees and of the optimisers, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from optgap.gbrl.errors import GBTError

MAX_DEPTH = 12
MAX_BINS = 256
GROWTHS = ("greedy", "oblivious")
SCORES = ("cosine", "l2")
BINNINGS = ("quantile", "uniform")
KINDS = ("sgd", "adam")
SCHEDULES = ("constant", "linear")


def _require(settings: Any, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise GBTError(f"{type(settings).__name__}: {name} is {getattr(settings, name)!r}; expected {expected}")


def _integer(value: Any, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: Any, low: float, high: float = float("inf")) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and low <= value <= high


@dataclass
class TreeConfig:
    """How a tree is grown.

    Raises:
        GBTError: a value is out of its range.
    """

    max_depth: int = 4
    """Splits from the root to a leaf at most, 1 to 12."""
    growth: str = "greedy"
    """"greedy": each node takes its own best split; "oblivious": the nodes of a level share one."""
    score: str = "cosine"
    """What a split gains: the drop in the gradients' sum of squares, summed over the outputs. "l2": of gradients first
    standardised over the batch, so that every output counts alike. "cosine": of the gradients as they are, which ranks
    splits as the cosine score of GBRL (arXiv 2407.08250) does."""
    n_bins: int = 256
    """Bins of a numeric feature at most, 2 to 256. A categorical one has a bin a category, up to 256."""
    binning: str = "quantile"
    """Where the edges of a numeric feature's bins lie: "quantile" (as many rows a bin) or "uniform" (equal widths)."""
    min_leaf: int = 1
    """Rows in a leaf at least. An oblivious tree may have empty leaves also."""
    nan_allowed: bool = False
    """Whether a feature may be NaN (missing). It takes one of the 256 bins."""
    control_variate_decay: float | None = None
    """Decay of the running mean of a row's leaf values that serves as control variate of its gradient, in (0, 1);
    None: no control variate."""

    def __post_init__(self) -> None:
        _require(self, "max_depth", _integer(self.max_depth, 1, MAX_DEPTH), f"an integer from 1 to {MAX_DEPTH}")
        _require(self, "growth", self.growth in GROWTHS, " or ".join(GROWTHS))
        _require(self, "score", self.score in SCORES, " or ".join(SCORES))
        _require(self, "n_bins", _integer(self.n_bins, 2, MAX_BINS), f"an integer from 2 to {MAX_BINS}")
        _require(self, "binning", self.binning in BINNINGS, " or ".join(BINNINGS))
        _require(self, "min_leaf", _integer(self.min_leaf, 1), "an integer of at least 1")
        _require(self, "nan_allowed", isinstance(self.nan_allowed, bool), "true or false")
        decay = self.control_variate_decay
        inside = decay is None or (_number(decay, 0, 1) and 0 < decay < 1)
        _require(self, "control_variate_decay", inside, "none or a number between 0 and 1")


@dataclass
class OptimizerConfig:
    """How the outputs ``start:stop`` follow the leaf values of each tree.

    Raises:
        GBTError: a value is out of its range.
    """

    start: int
    """First output."""
    stop: int
    """One past the last output."""
    kind: str = "sgd"
    """"sgd", or "adam" (Kingma & Ba 2015), whose moments each row gathers from the leaves that it falls into."""
    learning_rate: float = 0.1
    """Step size, at the first tree if the schedule is "linear"."""
    schedule: str = "constant"
    """"constant" or "linear"."""
    final_learning_rate: float = 0.0
    """Step size from tree ``schedule_trees`` on, if the schedule is "linear"."""
    schedule_trees: int = 10_000
    """Trees over which a "linear" schedule goes from the first to the final step size."""
    beta1: float = 0.9
    """Decay of Adam's first moment."""
    beta2: float = 0.999
    """Decay of Adam's second moment."""
    epsilon: float = 1e-8
    """Added to the root of Adam's second moment."""

    def __post_init__(self) -> None:
        _require(self, "start", _integer(self.start, 0), "an integer of at least 0")
        _require(self, "stop", _integer(self.stop, self.start + 1), f"an integer above start = {self.start}")
        _require(self, "kind", self.kind in KINDS, " or ".join(KINDS))
        for name in ("learning_rate", "final_learning_rate"):
            _require(self, name, _number(getattr(self, name), 0), "a number of at least 0")
        _require(self, "schedule", self.schedule in SCHEDULES, " or ".join(SCHEDULES))
        _require(self, "schedule_trees", _integer(self.schedule_trees, 1), "an integer of at least 1")
        for name in ("beta1", "beta2"):
            beta = getattr(self, name)
            _require(self, name, _number(beta, 0, 1) and beta < 1, "a number in [0, 1)")
        _require(self, "epsilon", _number(self.epsilon, 0) and self.epsilon > 0, "a number above 0")

    def learning_rate_at(self, tree: int) -> float:
        """Step size of tree number ``tree``, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        done = min(tree / self.schedule_trees, 1.0)
        return self.learning_rate + done * (self.final_learning_rate - self.learning_rate)
