"""Components and minimum cuts against networkx and against all subsets of small graphs."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.exact.subtours import F8, I64, components, minimum_cut, minimum_cuts
from optgap.co.exact.tour_lp import subtours

Graph = tuple[int, I64, I64, F8]


@st.composite
def graphs(draw: st.DrawFn, directed: bool) -> Graph:
    """Up to 8 nodes, any set of edges (arcs), weights in quarters, zeros among them."""
    n = draw(st.integers(2, 8))
    pairs = [(i, j) for i in range(n) for j in range(n) if (i != j if directed else i < j)]
    kept = draw(st.lists(st.sampled_from(pairs), unique=True))
    weights = draw(st.lists(st.integers(0, 6), min_size=len(kept), max_size=len(kept)))
    tails, heads = (np.array([pair[side] for pair in kept], np.int64) for side in (0, 1))
    return n, tails, heads, np.array(weights) / 4.0


def crossing(graph: Graph, nodes: tuple[int, ...], directed: bool) -> float:
    n, tails, heads, weights = graph
    inside = np.zeros(n, np.bool_)
    inside[list(nodes)] = True
    into, out = weights[inside[heads] & ~inside[tails]].sum(), weights[inside[tails] & ~inside[heads]].sum()
    return float(into if directed else into + out)


def sets_without(n: int, root: int) -> list[tuple[int, ...]]:
    others = [i for i in range(n) if i != root]
    return [chosen for size in range(1, n) for chosen in combinations(others, size)]


@pytest.mark.parametrize("directed", [False, True])
@settings(max_examples=60)
@given(st.data())
def test_minimum_cuts_find_a_violated_set_where_there_is_one(directed: bool, data: st.DataObject) -> None:
    graph = n, tails, heads, weights = data.draw(graphs(directed))
    root = data.draw(st.integers(0, n - 1))
    one = st.sampled_from([0.0, 0.5, 1.0, 2.0])
    limit = np.array(data.draw(st.one_of(one.map(lambda x: [x] * n), st.lists(one, min_size=n, max_size=n))))
    worst = max(limit[list(nodes)].max() - crossing(graph, nodes, directed) for nodes in sets_without(n, root))
    cuts = minimum_cuts(n, tails, heads, weights, root, limit, directed=directed)
    assert bool(cuts) == (worst > 1e-6)
    for cut in cuts:
        assert root not in cut.nodes
        assert cut.weight == pytest.approx(crossing(graph, tuple(cut.nodes), directed))
        assert cut.weight < limit[cut.nodes].max() - 1e-6
    assert len({tuple(cut.nodes) for cut in cuts}) == len(cuts)


@pytest.mark.parametrize("directed", [False, True])
@settings(max_examples=60)
@given(st.data())
def test_minimum_cut_is_the_least_of_all_sets_and_the_smallest_of_those(directed: bool, data: st.DataObject) -> None:
    graph = n, tails, heads, weights = data.draw(graphs(directed))
    source, sink = data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True))
    cut = minimum_cut(n, tails, heads, weights, source, sink, directed=directed)
    around = {nodes: crossing(graph, nodes, directed) for nodes in sets_without(n, source) if sink in nodes}
    least = min(around.values())
    assert cut.weight == pytest.approx(least)
    assert len(cut.nodes) == min(len(nodes) for nodes, weight in around.items() if weight < least + 1e-9)


@given(graphs(False))
def test_components_are_those_of_networkx(graph: Graph) -> None:
    n, tails, heads, weights = graph
    reference = nx.Graph()
    reference.add_nodes_from(range(n))
    reference.add_edges_from((i, j) for i, j, w in zip(tails, heads, weights, strict=True) if w > 0)
    labels = components(n, tails, heads, weights)
    expected = sorted(map(sorted, nx.connected_components(reference)))
    assert [np.flatnonzero(labels == k).tolist() for k in range(labels.max() + 1)] == expected


@pytest.mark.parametrize("directed", [False, True])
@settings(max_examples=60)
@given(st.data())
def test_subtours_are_found_in_exactly_the_points_outside_the_subtour_polytope(
    directed: bool, data: st.DataObject
) -> None:
    """Convex combinations of permutations keep the degrees; some have subtours, some have not."""
    n = data.draw(st.integers(5, 8))
    flow = np.zeros((n, n))
    for share in ([1.0], [0.5, 0.5], [0.25, 0.75])[data.draw(st.integers(0, 2))]:
        permutation = np.array(
            data.draw(st.permutations(range(n)).filter(lambda p: all(i != j for i, j in enumerate(p))))
        )
        flow[np.arange(n), permutation] += share
    if not directed:
        flow = np.triu(flow + flow.T)
    tails, heads = np.nonzero(flow)
    values = flow[tails, heads]
    inside = [nodes for nodes in sets_without(n, n - 1) if len(nodes) >= 2]
    excess = max(flow[np.ix_(nodes, nodes)].sum() - (len(nodes) - 1) for nodes in map(list, inside))
    masks = subtours(n, tails, heads, values, directed=directed)
    assert bool(masks) == (excess > 1e-9)
    for mask in masks:
        assert 2 <= mask.sum() <= n // 2
        assert flow[np.ix_(mask, mask)].sum() > mask.sum() - 1
