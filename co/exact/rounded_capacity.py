"""Separation of rounded capacity inequalities of the CVRP, compiled: x(delta(S)) >= 2 k(S) for sets S of customers.

k(S) is the number of vehicles that the demands of S need at least, ceil(d(S) / Q), and 1 for demands of 0. Sets come from
connected components, from the minimum cut that separates the fractional form x(delta(S)) >= 2 d(S) / Q exactly, and from a
greedy enlargement around every customer, all on a graph whose customers joined by edges of weight 1 are one node, which
loses no violated set. Sources: Lysgaard, Letchford and Eglese 2004, section 4; Augerat et al. 1998.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from optgap.co.dynamics.options import KERNEL
from optgap.co.exact.subtours import F8, I64, components, minimum_cut

Mask = NDArray[np.bool_]
CAPACITY = 1.0 + 1e-9  # a route's load over the capacity up to which the problem's check accepts it
SUMS = 1e-12  # relative, of sums of demands in different orders
WHOLE = 1.0 - 1e-9  # customers joined by at least this are one


@njit(**KERNEL)
def _vehicles(share: float) -> float:
    return max(1.0, np.ceil(share / CAPACITY * (1.0 - SUMS)))  # type: ignore[no-any-return]


def vehicles(share: float) -> int:
    """Vehicles that a set of customers needs at least, from its demand in capacities; never too many by rounding."""
    return int(_vehicles(float(share)))


@njit(cache=True, **KERNEL)
def _shrink(weight: F8, share: F8, group: I64, alive: Mask) -> None:
    """Merge customers (nodes 1..) joined by a weight of 1, in place; ``group`` (N,) becomes each one's representative."""
    n = len(share)
    for i in range(n):
        group[i] = i
        alive[i] = True
    for first in range(1, n):
        if not alive[first]:
            continue
        j = 1
        while j < n:
            if j != first and alive[j] and weight[first, j] >= WHOLE:
                for k in range(n):
                    weight[first, k] += weight[j, k]
                    weight[k, first] = weight[first, k]
                weight[first, first] = 0.0
                share[first] += share[j]
                alive[j] = False
                for k in range(n):
                    if group[k] == j:
                        group[k] = first
                j = 1  # what it has grown by may join it to nodes already seen
            else:
                j += 1


@njit(cache=True, **KERNEL)
def _enlarge(
    weight: F8, degree: F8, share: F8, tolerance: float, inside: Mask, best: Mask, near: F8, sets: Mask, slacks: F8
) -> int:
    """From each node, add the node that leaves the least slack; ``sets`` (G, G) gets the best violated set of each."""
    n, count = len(share), 0
    for seed in range(1, n):
        for v in range(n):
            inside[v] = best[v] = False
            near[v] = weight[seed, v]
        inside[seed] = True
        crossing, load, least = degree[seed], share[seed], -tolerance
        for _ in range(1, n):
            slack = crossing - 2.0 * _vehicles(load)
            if slack < least:
                least = slack
                for v in range(n):
                    best[v] = inside[v]
            chosen, lowest = -1, np.inf
            for v in range(1, n):
                if not inside[v] and near[v] > 0.0:
                    after = crossing + degree[v] - 2.0 * near[v]
                    # of equal slack, the one closest to another vehicle
                    key = after - 2.0 * _vehicles(load + share[v]) - 1e-3 * share[v]
                    if key < lowest:
                        chosen, lowest = v, key
            if chosen < 0:
                break
            crossing += degree[chosen] - 2.0 * near[chosen]
            load += share[chosen]
            inside[chosen] = True
            for v in range(n):
                near[v] += weight[chosen, v]
        if least < -tolerance:
            for v in range(n):
                sets[count, v] = best[v]
            slacks[count] = least
            count += 1
    return count


def slack(weight: F8, share: F8, inside: Mask) -> float:
    """x(delta(S)) - 2 k(S) of the set of customers ``inside`` (N,); below 0, its inequality is violated."""
    return float(weight[inside][:, ~inside].sum()) - 2.0 * vehicles(share[inside].sum())


def violated_sets(weight: F8, share: F8, *, fractional: bool = True, tolerance: float = 1e-4) -> list[Mask]:
    """(N,) masks of sets of customers whose rounded capacity inequality is violated, the most violated first.

    Exact where all weights are integers: a solution with no such set is a set of routes within the capacity.

    Args:
        weight: (N, N) symmetric support graph of an LP solution, the depot first; every customer's row sums to 2.
        share: (N,) demands in units of the capacity, 0 for the depot.
        fractional: search beyond connected components.
    """
    n = len(share)
    tails, heads = np.nonzero(np.triu(weight[1:, 1:], 1) > 1e-6)
    labels = components(n - 1, tails, heads)
    found = [np.concatenate([[False], labels == k]) for k in range(int(labels.max()) + 1)]
    if labels.max() > 0:
        found += [np.concatenate([[False], ~mask[1:]]) for mask in found]
    if fractional:
        found += _fractional(weight, share, tolerance)
    sets = {mask.tobytes(): mask for mask in found}
    measured = [(slack(weight, share, mask), key) for key, mask in sets.items()]
    return [sets[key] for value, key in sorted(measured) if value < -tolerance]


def _fractional(weight: F8, share: F8, tolerance: float) -> list[Mask]:
    shrunk, load, group, alive = (
        weight.copy(),
        share.copy(),
        np.empty(len(share), np.int64),
        np.empty(len(share), np.bool_),
    )
    _shrink(shrunk, load, group, alive)
    nodes = np.flatnonzero(alive)
    shrunk, load = np.ascontiguousarray(shrunk[np.ix_(nodes, nodes)]), load[nodes]
    degree, g = shrunk.sum(1), len(nodes)
    sets, slacks = np.empty((g, g), np.bool_), np.empty(g)
    scratch = np.empty(g, np.bool_), np.empty(g, np.bool_), np.empty(g)
    count = _enlarge(shrunk, degree, load, tolerance, *scratch, sets, slacks)
    chosen = list(sets[:count])
    # x(delta(S)) - 2 d(S) / Q is, up to a constant, the cut of S and an extra node that is tied to each node by 2 d / Q
    tails, heads = np.nonzero(np.triu(shrunk, 1) > 1e-9)
    tied = np.flatnonzero(load > 0)
    cut = minimum_cut(
        g + 1,
        np.concatenate([tails, np.full(len(tied), g)]),
        np.concatenate([heads, tied]),
        np.concatenate([shrunk[tails, heads], 2.0 * load[tied]]),
        source=0,
        sink=g,
    )
    if len(cut.nodes) > 1:
        mask = np.zeros(g, np.bool_)
        mask[cut.nodes[cut.nodes < g]] = True
        chosen.append(mask)
    position = np.searchsorted(nodes, group)  # representatives are nodes
    return [mask[position] for mask in chosen]
