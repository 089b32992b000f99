"""Settings of the trees and of the optimisers, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from optgap.gbrl.errors import GBTError, choice, integer, number

MAX_DEPTH = 12
MAX_BINS = 256
GROWTHS = ("greedy", "oblivious")
SCORES = ("cosine", "l2")
BINNINGS = ("quantile", "uniform")
KINDS = ("sgd", "adam")
SCHEDULES = ("constant", "linear")
LARGEST_RATE = 1e9  # no useful step is larger, and float32 holds what it makes of a gradient
LARGEST_DECAY = 0.999999  # float32, in which the means run, still tells it from 1


@dataclass(frozen=True)
class TreeConfig:
    """How a tree is grown.

    Raises:
        GBTError: a value is out of its range.
    """

    max_depth: int = 4
    """Splits from the root to a leaf at most, 1 to 12. Default: as users of the gbrl package have it. A step's time grows
    with the depth while rows dominate, with 2^depth when the search does."""
    growth: str = "greedy"
    """"greedy": each node takes its own best split; "oblivious": the nodes of a level share one, which predicts faster.
    Default: greedy, which tells more rows apart at the same depth."""
    score: str = "cosine"
    """What a split gains: the drop in the gradients' sum of squares, summed over the outputs. "l2": of gradients first
    standardised over the batch, so that every output counts alike. "cosine": of the gradients as they are, which ranks
    splits as the cosine score of GBRL (arXiv 2407.08250) does. Default: cosine, that of the paper's agents."""
    n_bins: int = 256
    """Bins of a numeric feature at most, 2 to 256. A categorical one has a bin a category, up to 256. Default: all that a
    byte holds; fewer save little time, because rows cost the same."""
    binning: str = "quantile"
    """Where the edges of a numeric feature's bins lie: "quantile" (as many rows a bin) or "uniform" (equal widths). Default:
    quantile, which outliers do not spoil."""
    min_leaf: int = 1
    """Rows in a leaf at least, 1 or more. An oblivious tree may have empty leaves also. Default: no bound, since what suits
    depends on the batch; of small minibatches leaves follow single rows without one."""
    nan_allowed: bool = False
    """Whether a feature may be NaN (missing). It takes one of the 256 bins. Default: no, so that NaN from a bug is found."""
    control_variate_decay: float | None = None
    """Decay by tree of the running mean of a row's leaf values that serves as control variate of its gradient, 1e-6 to
    0.999999; None: no control variate. Default: none, because ensembles that use one cannot be compressed."""

    def __post_init__(self) -> None:
        integer("TreeConfig: max_depth", self.max_depth, 1, MAX_DEPTH)
        choice("TreeConfig: growth", self.growth, GROWTHS)
        choice("TreeConfig: score", self.score, SCORES)
        integer("TreeConfig: n_bins", self.n_bins, 2, MAX_BINS)
        choice("TreeConfig: binning", self.binning, BINNINGS)
        integer("TreeConfig: min_leaf", self.min_leaf, 1)
        if not isinstance(self.nan_allowed, bool):
            raise GBTError(f"TreeConfig: nan_allowed is {self.nan_allowed!r}; expected true or false")
        if self.control_variate_decay is not None:
            number("TreeConfig: control_variate_decay", self.control_variate_decay, 1e-6, LARGEST_DECAY)


@dataclass
class OptimizerConfig:
    """How the outputs ``start:stop`` follow the leaf values of each tree.

    Raises:
        GBTError: a value is out of its range.
    """

    start: int
    """First output, 0 or more."""
    stop: int
    """One past the last output, above ``start``."""
    kind: str = "sgd"
    """"sgd", or "adam" (Kingma & Ba 2015), whose moments each row gathers from the leaves that it falls into. Default: sgd,
    whose outputs are sums over the trees, so that they can be explained, exported and compressed."""
    learning_rate: float = 0.1
    """Step size, outputs per unit of gradient (sgd) or outputs (adam), at the first tree if the schedule is "linear"; 0 to
    1e9. Default: boosting's usual shrinkage, ten trees for the whole way to a constant target."""
    schedule: str = "constant"
    """"constant" or "linear". Default: constant, because the trees of a run are not always known beforehand."""
    final_learning_rate: float = 0.0
    """Step size from tree ``schedule_trees`` on, if the schedule is "linear"; 0 to 1e9. Default: learning ends there."""
    schedule_trees: int = 10_000
    """Trees over which a "linear" schedule goes from the first to the final step size, 1 or more. Default: a training run
    of moderate length, with a tree a gradient step."""
    beta1: float = 0.9
    """Decay by tree of Adam's first moment, 0 to 0.999999. Default: Kingma & Ba's, as are the next two."""
    beta2: float = 0.999
    """Decay by tree of Adam's second moment, 0 to 0.999999."""
    epsilon: float = 1e-8
    """Added to the root of Adam's second moment, in units of the gradient, 1e-30 to 1e30."""

    def __post_init__(self) -> None:
        integer("OptimizerConfig: start", self.start, 0)
        integer("OptimizerConfig: stop", self.stop, self.start + 1)
        choice("OptimizerConfig: kind", self.kind, KINDS)
        choice("OptimizerConfig: schedule", self.schedule, SCHEDULES)
        integer("OptimizerConfig: schedule_trees", self.schedule_trees, 1)
        for name in ("beta1", "beta2"):
            number(f"OptimizerConfig: {name}", getattr(self, name), 0, LARGEST_DECAY)
        number("OptimizerConfig: epsilon", self.epsilon, 1e-30, 1e30)
        self._check_rates()

    def _check_rates(self) -> None:
        number("OptimizerConfig: learning_rate", self.learning_rate, 0, LARGEST_RATE)
        number("OptimizerConfig: final_learning_rate", self.final_learning_rate, 0, LARGEST_RATE)

    def learning_rate_at(self, tree: int) -> float:
        """Step size of tree number ``tree``, counted from 0.

        Raises:
            GBTError: a step size has been changed to one that is out of its range.
        """
        self._check_rates()
        if self.schedule == "constant":
            return self.learning_rate
        done = min(tree / self.schedule_trees, 1.0)
        return self.learning_rate + done * (self.final_learning_rate - self.learning_rate)
