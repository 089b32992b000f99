"""Hyperparameters of the BQ agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optgap.co.core import InputError

# name -> width, layers, heads, hidden; "full" is BQ-NCO's (4 more heads let every slope of the bias have one head more)
SIZES: dict[str, tuple[int, int, int, int]] = {
    "tiny": (32, 2, 4, 64),
    "small": (128, 6, 8, 256),
    "full": (192, 9, 12, 512),
}


@dataclass
class BQConfig:
    """Imitation of near-optimal solutions over random sub-instances (BQ-NCO, arXiv 2301.03313, section 4).

    Raises:
        InputError: a value is out of its range.
    """

    size: str = "small"
    """Network: "small" (0.8M parameters, trains on a CPU), "full" (3.5M, the paper's width and depth), "tiny" (tests)."""
    tokens: int = 8192
    """Tokens an update: sub-instances times their size."""
    learning_rate: float = 1e-2
    """Step size of Muon at its peak; AdamW, for what is no matrix of a hidden layer, takes a fifth of it."""
    final_learning_rate: float = 5e-5
    """Step size at the last step that ``learn`` was asked for; the descent follows a cosine."""
    warmup_updates: int = 100
    """Updates over which the step size rises from 0."""
    weight_decay: float = 0.01
    """Of Muon and AdamW."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    averaging: float = 0.999
    """Decay of the average of the weights, which is what acts; it forgets faster during the first updates."""
    edge_weight: float = 1.0
    """Of the loss of the expert's neighbours beside that of its next action."""
    chosen_weight: float = 0.5
    """Of the loss of what the expert's solution contains (orienteering, knapsack)."""
    own_share: float = 0.5
    """Share of updates on sub-instances that the acting weights' own solutions lead to, labelled anew (DAgger, Ross et
    al. 2011); tsp and atsp."""
    own_after: int = 400
    """Updates before the first of them: a policy that knows nothing leads nowhere."""
    own_interval: int = 50
    """Updates after which more of them are made; ``checkpoint_interval`` is a multiple, so that no file holds them."""
    own_instances: int = 64
    """Instances that are solved for it each time."""
    own_states: int = 8
    """Sub-instances that are labelled of each of them."""
    crop: float = 0.3
    """Share of updates that see the nearest candidates alone, as decoding on a large instance does."""
    nearest: Any = 100
    """Candidates that decoding looks at, the nearest ones; None: all."""
    labels: int = 20_000
    """Labelled instances in the end; training begins with the first 1,024 and adds 128 every ``label_interval`` updates."""
    label_interval: int = 40
    """Updates after which the labels grow."""
    label_effort: float = 1.0
    """Of the heuristic that makes the labels; 2 searches twice as long."""
    label_folder: str = "runs/labels"
    """Where labels are kept; runs with the same instances share them."""
    label_processes: int = 1
    """Processes that make labels beside the training; 0: the training waits for them."""
    checkpoint_interval: int = 200
    """Updates from one checkpoint to the next."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.size not in SIZES:
            raise InputError(f"{name}: size is {self.size!r}; expected one of {', '.join(SIZES)}")
        for key in (
            "tokens",
            "labels",
            "label_interval",
            "checkpoint_interval",
            "own_interval",
            "own_instances",
            "own_states",
        ):
            if getattr(self, key) < 1:
                raise InputError(f"{name}: {key} is {getattr(self, key)}; expected at least 1")
        for key in ("warmup_updates", "weight_decay", "edge_weight", "chosen_weight", "label_processes", "own_after"):
            if not getattr(self, key) >= 0:
                raise InputError(f"{name}: {key} is {getattr(self, key)}; expected at least 0")
        if not 0 < self.final_learning_rate <= self.learning_rate:
            raise InputError(f"{name}: expected 0 < final_learning_rate <= learning_rate")
        if not self.max_grad_norm > 0 or not self.label_effort > 0:
            raise InputError(f"{name}: expected max_grad_norm and label_effort above 0")
        if not 0 <= self.averaging < 1 or not 0 <= self.crop <= 1 or not 0 <= self.own_share <= 1:
            raise InputError(f"{name}: expected 0 <= averaging < 1, 0 <= crop <= 1, 0 <= own_share <= 1")
        if self.own_share and self.checkpoint_interval % self.own_interval:
            raise InputError(
                f"{name}: checkpoint_interval is {self.checkpoint_interval}; expected a multiple of own_interval, "
                f"{self.own_interval}: a checkpoint holds no solutions"
            )
        if self.nearest is not None and (not isinstance(self.nearest, int) or self.nearest < 1):
            raise InputError(f"{name}: nearest is {self.nearest!r}; expected at least 1, or null for all")


@dataclass
class SILConfig(BQConfig):
    """Self-improvement: imitation of what the network itself finds by sampling (Pirnay and Grimm 2024, arXiv 2403.15180).

    The fields that begin with ``label`` mean nothing here: there are no other labels.

    Raises:
        InputError: a value is out of its range.
    """

    own_share: float = 0.0
    """As the parent's, whose labels come from a heuristic; 0 keeps to no labels at all."""
    tokens: int = 2048
    """Tokens an update: sub-instances times their size. What is imitated improves by updates, so they are smaller ones."""
    width: int = 8
    """Solutions sampled an instance, without replacement; the best of them and of the beam search is imitated."""
    temperature: float = 0.5
    """Divides the logits when sampling; at 1 an untrained network's samples are far worse than its greedy solution."""
    beam: int = 8
    """Width of the beam search, which finds more where the network ranks well; 1: the greedy solution alone."""
    reuse: float = 8.0
    """Sub-instances drawn from a solution, for each of its decisions; a smaller number solves more instances."""
    pool_interval: int = 10
    """Updates after which newly solved instances join the pool."""
    epoch_updates: int = 200
    """Updates after which the pool is emptied; ``checkpoint_interval`` is a multiple, so that no file holds a pool."""
    start: str | None = None
    """Shipped weights or a run folder of an agent of the same size to begin with; null: begin from random weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        for key in ("width", "beam", "pool_interval", "epoch_updates"):
            if getattr(self, key) < 1:
                raise InputError(f"{name}: {key} is {getattr(self, key)}; expected at least 1")
        if not self.temperature > 0 or not self.reuse > 0:
            raise InputError(f"{name}: expected temperature and reuse above 0")
        if self.checkpoint_interval % self.epoch_updates:
            raise InputError(
                f"{name}: checkpoint_interval is {self.checkpoint_interval}; expected a multiple of epoch_updates, "
                f"{self.epoch_updates}: a checkpoint holds no pool"
            )
