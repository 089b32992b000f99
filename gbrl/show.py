"""One tree, printed or drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optgap.gbrl.ensemble import Ensemble, HasTrees, ensemble_of
from optgap.gbrl.errors import GBTError, integer, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BRANCH_WIDTH, LEVEL_HEIGHT = 1.9, 1.1  # inches a leaf and a level of a drawing
MARKS = (("├─ ", "│  "), ("└─ ", "   "))  # of the first child and of the last: its own line, the lines below it


def tree_text(model: HasTrees | Ensemble, tree: int, feature_names: Sequence[str] | None = None) -> str:
    """Tree ``tree`` as text, a line a node: the question of a split, what a leaf adds to each output.

    Args:
        model: fitted, or its ensemble.
        tree: number of the tree, negative from the end.
        feature_names: F names; ``x0``, ``x1``, ... if None.

    Raises:
        GBTError: no such tree, or a wrong number of names.
    """
    view = _View(ensemble_of(model), tree, feature_names)
    lines: list[str] = [f"tree {view.tree} of {view.ensemble.n_trees}"]
    pending = [(0, "", "", "")]  # node, the line's margin, the margin of what hangs below, the answer that led here
    while pending:
        node, margin, below, answer = pending.pop()
        lines.append(f"{margin}{answer}{view.label(node)}  [{view.record(node)}]")
        children = view.children(node)
        for child, (mark, rest), word in reversed(list(zip(children, MARKS, ("no: ", "yes: "), strict=False))):
            pending.append((child, below + mark, below + rest, word))
    return "\n".join(lines)


def draw_tree(
    model: HasTrees | Ensemble, tree: int, feature_names: Sequence[str] | None = None, axes: Axes | None = None
) -> Axes:
    """Tree ``tree`` drawn with matplotlib, root on top, "no" to the left and "yes" to the right.

    Args:
        model: fitted, or its ensemble.
        tree: number of the tree, negative from the end.
        feature_names: F names; ``x0``, ``x1``, ... if None.
        axes: where to draw; a figure of fitting size is made if None.

    Raises:
        GBTError: no such tree, or a wrong number of names.
    """
    view = _View(ensemble_of(model), tree, feature_names)
    depth, across = view.positions()
    if axes is None:
        from matplotlib import pyplot

        size = (BRANCH_WIDTH * (across.max() + 1), LEVEL_HEIGHT * (depth.max() + 1))
        axes = pyplot.figure(figsize=size, layout="constrained").add_subplot()
    axes.set(xlim=(-0.6, across.max() + 0.6), ylim=(-depth.max() - 0.5, 0.5), title=f"tree {view.tree}")
    axes.set_axis_off()
    for node in range(len(across)):
        for child, word in zip(view.children(node), ("no", "yes"), strict=False):
            xs, ys = (across[node], across[child]), (-depth[node], -depth[child])
            axes.plot(xs, ys, color="0.6", linewidth=1, zorder=1)
            axes.text(sum(xs) / 2, sum(ys) / 2, word, ha="center", va="center", fontsize="x-small", color="0.4")
        leaf = not view.children(node)
        axes.text(
            across[node],
            -depth[node],
            f"{view.label(node, separator=chr(10))}\n{view.record(node)}",
            ha="center",
            va="center",
            fontsize="small",
            bbox={"boxstyle": "round", "facecolor": "honeydew" if leaf else "aliceblue", "edgecolor": "0.5"},
        )
    return axes


class _View:
    """The nodes of one tree, in words."""

    def __init__(self, ensemble: Ensemble, tree: int, feature_names: Sequence[str] | None) -> None:
        if ensemble.n_trees == 0:
            raise GBTError("tree: the ensemble holds no tree; expected at least one")
        self.tree = integer("tree", tree, -ensemble.n_trees, ensemble.n_trees - 1) % ensemble.n_trees
        given = [f"x{f}" for f in range(ensemble.n_features)] if feature_names is None else feature_names
        if (
            isinstance(given, str)
            or not isinstance(given, Iterable)
            or len(names := list(given)) != ensemble.n_features
        ):
            raise GBTError(f"feature_names is {shown(feature_names)}; expected {ensemble.n_features} names")
        self.names = names
        self.ensemble = ensemble
        self.start = int(ensemble.tree_start[self.tree])
        self.size = int(ensemble.tree_start[self.tree + 1]) - self.start

    def children(self, node: int) -> tuple[int, ...]:
        """(left, right) of a split, () of a leaf."""
        left = int(self.ensemble.left[self.start + node])
        return (left, left + 1) if self.ensemble.feature[self.start + node] >= 0 else ()

    def label(self, node: int, separator: str = " ") -> str:
        """The question whose answer "yes" leads right, or what the leaf adds to the outputs."""
        e, at = self.ensemble, self.start + node
        feature = int(e.feature[at])
        if feature < 0:
            row = e.leaf_start[self.tree] + e.left[at]
            added = -e.rate[self.tree] * e.value[row] + 0.0  # no "-0"
            return "leaf" + separator + ", ".join(f"{a:+.4g}" for a in added)
        threshold = float(e.threshold[at])
        question = f"is {threshold:.0f}" if e.is_categorical[feature] else f"> {threshold:.6g}"
        return (
            f"{self.names[feature]} {question}{separator * bool(e.nan_right[at])}{'or missing' * bool(e.nan_right[at])}"
        )

    def record(self, node: int) -> str:
        """What growing the tree left in the node."""
        e, at = self.ensemble, self.start + node
        rows = f"{e.cover[at]:.0f} rows"
        return rows if e.feature[at] < 0 else f"{rows}, gain {e.gain[at]:.4g}"

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Depth of each node, and its place from left to right: leaves at 0, 1, 2, ..., splits amid their children."""
        depth, across = np.zeros(self.size, np.int64), np.zeros(self.size)
        for node in range(self.size):  # breadth first: parents before children
            for child in self.children(node):
                depth[child] = depth[node] + 1
        leaves, pending = 0, [0]
        while pending:
            node = pending.pop()
            pending += self.children(node)[::-1]
            if not self.children(node):
                across[node] = leaves
                leaves += 1
        for node in reversed(range(self.size)):
            if self.children(node):
                across[node] = across[list(self.children(node))].mean()
        return depth, across
