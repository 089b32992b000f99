"""The subtour relaxation of a tour over all edges of a complete graph, solved on few of them by pricing.

minimize c x, degree equalities, x(E(S)) <= |S| - 1 for every set S of 2 to N - 2 nodes, 0 <= x <= 1 (Dantzig, Fulkerson and
Johnson 1954). Rows are separated (:mod:`~optgap.co.exact.subtours`), columns are priced over the whole matrix. The bound
rests on no LP tolerance: for any multipliers of the right sign, b pi + sum of min(0, reduced cost) over *all* edges bounds
every tour, and is what is reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.exact.subtours import F8, I64, components, minimum_cuts

NEAREST = 8  # edges a node with which the LP begins
VIOLATION = 1e-4  # a row violated by less is not added: it moves the bound by nothing
COLUMNS = 3  # priced in at most so many times N a round, the most negative first


def subtours(
    n: int, tails: I64, heads: I64, values: F8, *, directed: bool, tolerance: float = VIOLATION
) -> list[NDArray[np.bool_]]:
    """(N,) masks of node sets whose x(E(S)) <= |S| - 1 the values violate: components first, else minimum cuts.

    Of a set and its complement, which say the same under the degree equalities, the smaller one is given.
    """
    labels = components(n, tails, heads, values)
    if labels.max() > 0:
        masks = [labels == k for k in range(int(labels.max()) + 1)]
        masks = masks[1:] if len(masks) == 2 else masks  # two say the same
    else:
        masks = []
        threshold = 1.0 if directed else 2.0
        for cut in minimum_cuts(n, tails, heads, values, 0, threshold, directed=directed, tolerance=tolerance):
            masks.append(np.zeros(n, np.bool_))
            masks[-1][cut.nodes] = True
    masks = [~mask if 2 * mask.sum() > n else mask for mask in masks]
    return [mask for mask in masks if mask.sum() >= 2]


class SubtourLP:
    """The relaxation over the columns priced in so far.

    Args:
        costs: (N, N) float64; symmetric unless ``directed``. N >= 4.
        tour: (N,) a tour whose edges the LP holds from the start, so that it is feasible.
    """

    def __init__(self, costs: F8, tour: I64, *, directed: bool) -> None:
        from pyscipopt import LP

        self.n, self.costs, self.directed = len(costs), costs, directed
        self.lp = LP()
        degree = 1.0 if directed else 2.0
        rows = (2 if directed else 1) * self.n
        self.lp.addRows([[] for _ in range(rows)], [degree] * rows, [degree] * rows)
        self.rows = rows
        self.masks = np.zeros((0, self.n), np.bool_)  # the sets S of the other rows
        self.tails, self.heads = np.zeros(0, np.int64), np.zeros(0, np.int64)  # of the columns
        self.present = np.eye(self.n, dtype=np.bool_)  # pairs (i, j) with a column, and what is no pair
        if not directed:
            self.present |= np.tri(self.n, dtype=np.bool_)  # an edge is i < j
        self.values = np.zeros(0)
        self.bound = -np.inf
        self.reduced = costs
        first = np.zeros_like(self.present)
        k = min(NEAREST, self.n - 1)
        far = costs + np.diag(np.full(self.n, np.inf))
        near = np.argpartition(far, k - 1, axis=1)[:, :k]
        first[np.arange(self.n)[:, None], near] = True
        first[tour, np.roll(tour, -1)] = True
        if directed:
            near = np.argpartition(far, k - 1, axis=0)[:k]
            first[near, np.arange(self.n)[None]] = True
        else:
            first = first | first.T
        self._add_columns(*np.nonzero(first & ~self.present))

    def _add_columns(self, tails: I64, heads: I64) -> None:
        first = len(self.tails)
        self.lp.addCols([[] for _ in tails], self.costs[tails, heads].tolist(), [0.0] * len(tails), [1.0] * len(tails))
        shift = self.n if self.directed else 0
        for column, (i, j) in enumerate(zip(tails.tolist(), heads.tolist(), strict=True), first):
            self.lp.chgCoef(i, column, 1.0)
            self.lp.chgCoef(j + shift, column, 1.0)
            for row in np.flatnonzero(self.masks[:, i] & self.masks[:, j]).tolist():
                self.lp.chgCoef(self.rows + row, column, 1.0)
        self.present[tails, heads] = True
        self.tails, self.heads = np.concatenate([self.tails, tails]), np.concatenate([self.heads, heads])

    def solve(self, *, dual: bool) -> None:
        """Solve over the rows and columns there are."""
        self.lp.solve(dual)
        self.values = np.array(self.lp.getPrimal())

    def separate(self) -> bool:
        """Add the rows that the solution violates; whether there were any."""
        masks = subtours(self.n, self.tails, self.heads, self.values, directed=self.directed)
        if not masks:
            return False
        found = np.array(masks)
        inside = found[:, self.tails] & found[:, self.heads]
        entries: list[Any] = [[(column, 1.0) for column in np.flatnonzero(row).tolist()] for row in inside]
        sizes = found.sum(1)
        self.lp.addRows(entries, [-self.lp.infinity()] * len(found), (sizes - 1.0).tolist())
        self.masks = np.concatenate([self.masks, found])
        return True

    def price(self) -> bool:
        """Compute the bound and the reduced costs of all edges; add columns of negative ones; whether there were any."""
        duals = np.array(self.lp.getDual())
        degree, sets = duals[: self.rows], np.minimum(duals[self.rows :], 0.0)
        out, into = (degree[: self.n], degree[self.n :]) if self.directed else (degree, degree)
        active = sets < 0
        member = self.masks[active].astype(np.float64)
        reduced = self.costs - out[:, None] - into[None, :] - (member * sets[active, None]).T @ member
        edges = np.eye(self.n, dtype=np.bool_) if self.directed else np.tri(self.n, dtype=np.bool_)
        reduced[edges] = np.inf  # no pairs
        constant = (1.0 if self.directed else 2.0) * degree.sum() + (sets[active] * (member.sum(1) - 1.0)).sum()
        bound = float(constant + np.minimum(reduced, 0.0).sum())
        if bound > self.bound:
            self.bound, self.reduced = bound, reduced
        candidates = np.where(self.present, np.inf, reduced).ravel()
        tolerance = 1e-7 * max(1.0, float(self.costs.mean()))
        order = np.flatnonzero(candidates < -tolerance)
        if len(order) > COLUMNS * self.n:
            order = order[np.argpartition(candidates[order], COLUMNS * self.n)[: COLUMNS * self.n]]
        if len(order):
            self._add_columns(*np.divmod(np.sort(order), self.n))
        return len(order) > 0

    def tight(self) -> NDArray[np.bool_]:
        """(K, N) the sets whose rows the solution holds with equality."""
        inside = self.masks[:, self.tails] & self.masks[:, self.heads]
        tight: NDArray[np.bool_] = inside @ self.values > self.masks.sum(1) - 1.0 - 1e-6
        return self.masks[tight]
