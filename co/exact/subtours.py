"""Separation of subtours: connected components and minimum cuts of a weighted support graph, compiled.

A support graph is what an LP solution leaves of a complete graph: N nodes and the M edges (or arcs) of weight above 0. A
*cut* is a set S of nodes without the root; its weight is that of the edges between S and the rest (arcs: of those that
enter S, which is what the root can send into S).

Minimum cuts come from maximum flows from the root, one a node at most: a node that the root reaches with its threshold
lies in no violated set whose node asks for no more, so it joins the root, and later flows are shorter (Padberg and
Rinaldi 1990 shrink for the same reason). Flows: shortest augmenting paths, Edmonds and Karp 1972; support graphs have
few edges, and a flow ends where it reaches its threshold.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8 = NDArray[np.float64]
I64 = NDArray[np.int64]
EMPTY = 1e-9  # a residual capacity below this is none


class Cut(NamedTuple):
    """A set of nodes and what crosses into it."""

    nodes: I64  # (K,) ascending, without the root
    weight: float  # of the edges between the set and the rest, or of the arcs that enter it


@njit(cache=True)
def _labels(n: int, tails: I64, heads: I64) -> I64:
    parent = np.arange(n)
    for e in range(len(tails)):
        a, b = tails[e], heads[e]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)  # a root is the smallest node of its component
    labels, count = np.empty(n, np.int64), 0
    for i in range(n):
        a = i
        while parent[a] != a:
            a = parent[a]
        if a == i:
            labels[i] = count
            count += 1
        else:
            labels[i] = labels[a]
    return labels


def components(n: int, tails: Any, heads: Any, weights: Any = None, *, above: float = 1e-6) -> I64:
    """Connected components, directions ignored: (N,) labels 0, 1, ... in the order of each component's first node.

    Args:
        tails, heads: (M,) integers, the ends of the edges or arcs.
        weights: (M,) or None. Edges of a weight up to ``above`` count as absent.
    """
    tails, heads = np.asarray(tails, np.int64), np.asarray(heads, np.int64)
    if weights is not None:
        kept = np.asarray(weights) > above
        tails, heads = tails[kept], heads[kept]
    return _labels(n, tails, heads)


@njit(cache=True)
def _network(n: int, tails: I64, heads: I64) -> tuple[I64, I64, I64]:
    """Arcs 2e (tail to head) and 2e + 1 (back) by their first node: pointers (N + 1,), arcs (2M,), ends (2M,)."""
    pointer, end = np.zeros(n + 1, np.int64), np.empty(2 * len(tails), np.int64)
    for e in range(len(tails)):
        pointer[tails[e] + 1] += 1
        pointer[heads[e] + 1] += 1
        end[2 * e], end[2 * e + 1] = heads[e], tails[e]
    pointer = np.cumsum(pointer)
    filled, arcs = pointer[:-1].copy(), np.empty(len(end), np.int64)
    for a in range(len(end)):
        start = end[a ^ 1]
        arcs[filled[start]] = a
        filled[start] += 1
    return pointer, arcs, end


@njit(cache=True)
def _send(
    pointer: I64, arcs: I64, end: I64, residual: F8, source: NDArray[np.bool_], sink: int, enough: float, via: I64
) -> float:
    """Raise the flow from the nodes of ``source`` to ``sink`` to its maximum, or until it is ``enough``.

    ``residual`` (2M,) is changed. ``via`` (N,): afterwards -1 at the nodes that cannot send more to the sink.
    """
    queue = np.empty(len(via), np.int64)
    flow = 0.0
    while True:
        via[:] = -1
        via[sink], queue[0] = len(end), sink
        first, last, found = 0, 1, -1
        while first < last and found < 0:  # backwards from the sink: it stops at the first node of the source
            v = queue[first]
            first += 1
            for k in range(pointer[v], pointer[v + 1]):
                back = arcs[k] ^ 1  # an arc into v
                u = end[arcs[k]]
                if via[u] < 0 and residual[back] > EMPTY:
                    via[u], queue[last] = back, u
                    last += 1
                    if source[u]:
                        found = u
                        break
        if found < 0:
            return flow
        amount, v = np.inf, found
        while v != sink:
            amount = min(amount, residual[via[v]])
            v = end[via[v]]
        v = found
        while v != sink:
            residual[via[v]] -= amount
            residual[via[v] ^ 1] += amount
            v = end[via[v]]
        flow += amount
        if flow >= enough:
            return flow


@njit(cache=True)
def _violated(
    n: int, tails: I64, heads: I64, capacity: F8, root: int, order: I64, threshold: F8, tolerance: float
) -> NDArray[np.bool_]:
    """(C, N) one row a violated set; ``order``: nodes by descending threshold; ``capacity`` (2M,) of arcs 2e, 2e + 1."""
    pointer, arcs, end = _network(n, tails, heads)
    source, done, via = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.empty(n, np.int64)
    found, count = np.zeros((n, n), np.bool_), 0
    source[root] = True
    for k in range(len(order)):
        sink = order[k]
        if source[sink] or done[sink] or threshold[sink] <= tolerance:
            continue
        if _send(pointer, arcs, end, capacity.copy(), source, sink, threshold[sink] - tolerance, via) >= (
            threshold[sink] - tolerance
        ):
            source[sink] = True
            continue
        for v in range(n):
            if via[v] >= 0:
                found[count, v] = done[v] = True  # its other nodes rest: one set for each violated place
        count += 1
    return found[:count]


def _graph(tails: Any, heads: Any, weights: Any, directed: bool) -> tuple[I64, I64, F8]:
    tails, heads = np.asarray(tails, np.int64), np.asarray(heads, np.int64)
    weights = np.maximum(np.asarray(weights, np.float64), 0.0)
    kept = weights > EMPTY
    capacity = np.repeat(weights[kept], 2)
    if directed:
        capacity[1::2] = 0.0
    return tails[kept], heads[kept], capacity


def _crossing(inside: NDArray[np.bool_], tails: I64, heads: I64, capacity: F8) -> float:
    into = inside[heads] & ~inside[tails]
    out = inside[tails] & ~inside[heads]
    return float(capacity[::2][into].sum() + capacity[1::2][out].sum())


def minimum_cut(n: int, tails: Any, heads: Any, weights: Any, source: int, sink: int, *, directed: bool = False) -> Cut:
    """The minimum cut between two nodes: the smallest set around ``sink``, and its weight, the maximum flow.

    Args:
        tails, heads, weights: (M,) the support graph; negative weights count as 0. Undirected edges are listed once.
    """
    tails, heads, capacity = _graph(tails, heads, weights, directed)
    begin, via = np.zeros(n, np.bool_), np.empty(n, np.int64)
    begin[source] = True
    _send(*_network(n, tails, heads), capacity.copy(), begin, sink, np.inf, via)
    inside = via >= 0
    return Cut(np.flatnonzero(inside), _crossing(inside, tails, heads, capacity))


def minimum_cuts(
    n: int,
    tails: Any,
    heads: Any,
    weights: Any,
    root: int = 0,
    threshold: Any = 2.0,
    *,
    directed: bool = False,
    tolerance: float = 1e-6,
) -> list[Cut]:
    """Sets of nodes without the root, of a weight below the threshold of one of their nodes; none means that none exists.

    Exact: if any set S has a weight of less than max(threshold[v] for v in S) - tolerance, at least one set is returned.
    Not all are: one for each violated place. Disconnected graphs are fine, but their components are cheaper found by
    :func:`components`.

    Args:
        tails, heads, weights: (M,) the support graph; negative weights count as 0. Undirected edges are listed once.
        threshold: a number, or (N,) one a node (for x(S) >= 2 y(v), v in S: 2 y); nodes of threshold 0 ask for nothing.
        directed: arcs instead of edges; the weight of a set is that of the arcs that enter it.

    Returns:
        The sets, the one with the most violation first. A set comes once.
    """
    tails, heads, capacity = _graph(tails, heads, weights, directed)
    limit = np.ascontiguousarray(np.broadcast_to(np.asarray(threshold, np.float64), (n,)))
    order = np.argsort(-limit, kind="stable")
    cuts = []
    for inside in _violated(n, tails, heads, capacity, root, order[order != root], limit, tolerance):
        nodes = np.flatnonzero(inside)
        cuts.append((float(limit[nodes].max()), Cut(nodes, _crossing(inside, tails, heads, capacity))))
    cuts.sort(key=lambda item: item[1].weight - item[0])
    return [cut for _, cut in cuts]
