"""Separation of rounded capacity inequalities: what it finds is violated, valid, and on integral points complete."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import Budget
from optgap.co.exact.cvrp_scip import _Model
from optgap.co.exact.progress import Progress
from optgap.co.exact.rounded_capacity import slack, vehicles, violated_sets
from optgap.co.problems.cvrp import CVRPInstance

Routes = list[list[int]]


def graph(n: int, routes: Routes) -> np.ndarray:
    """(n, n) how often routes drive each edge."""
    weight = np.zeros((n, n))
    for route in routes:
        for a, b in zip([0, *route], [*route, 0], strict=True):
            weight[a, b] += 1
            weight[b, a] += 1
    return weight


@st.composite
def points(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[Routes]]:
    """Mixtures of up to 3 route sets that mind no capacity: degrees hold, inequalities may not; shares; the route sets."""
    customers = draw(st.integers(2, 6))
    sets = []
    for _ in range(draw(st.integers(1, 3))):
        order = draw(st.permutations(range(1, customers + 1)))
        cuts = sorted(draw(st.sets(st.integers(1, customers - 1), max_size=2)))
        sets.append([list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, customers], strict=True)])
    demand = draw(st.lists(st.integers(0, 5), min_size=customers, max_size=customers))
    capacity = draw(st.integers(5, 12))
    mixture = np.array(draw(st.lists(st.integers(1, 4), min_size=len(sets), max_size=len(sets))), np.float64)
    weight = sum(
        part * graph(customers + 1, routes) for part, routes in zip(mixture / mixture.sum(), sets, strict=True)
    )
    return np.asarray(weight), np.array([0, *demand]) / capacity, sets


def crossing(weight: np.ndarray, inside: set[int]) -> float:
    """x(delta(S)), edge by edge."""
    return sum(weight[i, j] for i in inside for j in range(len(weight)) if j not in inside)


def partitions(customers: list[int]) -> list[Routes]:
    """All ways to split customers into routes, orders within a route aside."""
    if not customers:
        return [[]]
    first, rest = customers[0], customers[1:]
    return [
        [[first, *mates], *others]
        for size in range(len(rest) + 1)
        for mates in combinations(rest, size)
        for others in partitions([c for c in rest if c not in mates])
    ]


@settings(max_examples=60)
@given(point=points())
def test_what_is_found_is_violated_and_valid_for_every_feasible_solution(
    point: tuple[np.ndarray, np.ndarray, list[Routes]],
) -> None:
    weight, share, sets = point
    n = len(share)
    found = violated_sets(weight, share)
    feasible = [
        routes for routes in partitions(list(range(1, n))) if all(share[route].sum() <= 1 + 1e-9 for route in routes)
    ]
    for mask in found:
        inside = set(np.flatnonzero(mask).tolist())
        need = vehicles(share[mask].sum())
        assert 0 not in inside
        assert inside
        assert crossing(weight, inside) < 2 * need - 1e-5
        # a feasible solution enters the set with at least as many routes as serve its customers
        assert all(sum(bool(inside & set(route)) for route in routes) >= need for routes in feasible)
    if len(sets) == 1:  # an integral point: exact
        overloaded = any(share[route].sum() > 1 + 1e-9 for route in sets[0])
        assert bool(found) == overloaded
        assert bool(violated_sets(weight, share, fractional=False)) == overloaded


@settings(max_examples=40)
@given(point=points(), chosen=st.sets(st.integers(1, 6), min_size=1))
def test_both_forms_of_a_row_say_the_same(point: tuple[np.ndarray, np.ndarray, list[Routes]], chosen: set[int]) -> None:
    weight, share, _ = point
    n = len(share)
    inside = np.isin(np.arange(n), [c for c in chosen if c < n])
    if not inside.any():
        return
    instance = CVRPInstance(coordinates=np.zeros((n, 2)), demand=share, capacity=1.0)
    model = _Model(instance, Progress(), Budget())
    row = model._row(inside)
    values = weight[model.tails, model.heads]
    twice = 2 * (row.coefficients @ values[row.columns] - row.lower)
    assert np.isclose(twice, slack(weight, share, inside), atol=1e-9)


def test_the_fractional_form_finds_what_components_do_not() -> None:
    # customers 1, 2, 3 of demand 1 and capacity 2 in one triangle of weight 2/3 a side, each tied to the depot by 2/3:
    # x(delta) = 2 but three units need 2 vehicles, so 4
    weight = np.full((4, 4), 2 / 3)
    np.fill_diagonal(weight, 0.0)
    share = np.array([0, 0.5, 0.5, 0.5])
    assert [mask.tolist() for mask in violated_sets(weight, share)] == [[False, True, True, True]]


def test_vehicles_are_not_rounded_up_by_noise() -> None:
    assert vehicles(0.0) == 1  # customers without demand are still served
    assert vehicles(sum([0.1] * 10)) == vehicles(1.0 + 1e-12) == 1
    assert vehicles(3.0) == 3
    assert vehicles(1.0 + 1e-8) == 2


def test_merged_customers_keep_the_violation() -> None:
    # 1-2-3 and 4-5-6 are paths of weight 1; half of a unit each joins their ends: a set of all six crosses 1 + 1 = 2
    weight = np.zeros((7, 7))
    for a, b, w in [(1, 2, 1), (2, 3, 1), (4, 5, 1), (5, 6, 1), (3, 4, 1), (0, 1, 1), (0, 6, 1)]:
        weight[a, b] = weight[b, a] = w
    share = np.array([0, *[0.3] * 6])
    found = violated_sets(weight, share)
    assert found[0].tolist() == [False] + [True] * 6  # 1.8 capacities: 2 vehicles, 4 edges
    assert slack(weight, share, found[0]) == -2.0
