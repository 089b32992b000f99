"""Sub-instances of labelled solutions: their targets are right by enumeration, and by hand on small labels."""

from __future__ import annotations

from typing import Any

import bq_cases
import numpy as np
import pytest
import torch
from bq_cases import right, subinstances

from optgap.agents.bq.decoding import play
from optgap.agents.bq.labels import TASKS, task_of
from optgap.agents.bq.tasks.task import Targets, neighbours
from optgap.agents.nn.bq import Reduced
from optgap.co.core import PROBLEMS
from optgap.co.problems.cvrp import CVRPInstance
from optgap.co.problems.knapsack import KnapsackInstance
from optgap.co.problems.orienteering import OrienteeringInstance
from optgap.co.problems.tsp import ATSPInstance, TSPInstance

SHARES = (0.1, 0.4, 0.7, 1.0)


def random_labels(problem: str, count: int, size: int) -> tuple[list[Any], list[Any], Any]:
    """Instances, solutions of an untrained policy, and these as labels."""
    policy, instances = bq_cases.policy_of(problem), bq_cases.instances_of(problem, count, size)
    _, solutions = play(policy.network, policy.task, policy.task.start(instances, bq_cases.CPU))
    return instances, solutions, policy.task.encode(instances, solutions)


@pytest.mark.parametrize("problem", TASKS)
def test_what_follows_in_an_optimal_solution_is_optimal_for_what_remains(problem: str) -> None:
    """The bisimulation: every target leads to an optimal solution of the sub-instance."""
    task, size = task_of(problem), {"cvrp": 5, "op": 7, "kp": 9}.get(problem, 6)
    arguments = {"capacity": 14} if problem == "cvrp" else {}
    instances = bq_cases.instances_of(problem, 4, size, **arguments)
    labels = task.encode(instances, [bq_cases.optimum(problem, instance) for instance in instances])
    wrong = 0
    for seed, share in enumerate(SHARES):
        reduced, targets = subinstances(task, labels, share, seed, copies=4)
        for row in range(len(reduced.features)):
            values, targeted = bq_cases.best_values(problem, reduced, row), right(targets, row)
            best = {choice for choice, value in values.items() if value > max(values.values()) - 1e-4}
            assert targeted
            assert targeted <= best
            if problem in ("tsp", "kp"):  # others have other orders of nodes or routes, and shortest paths, as good
                assert targeted == best
            wrong += len(values) - len(best)
    assert wrong > 20


@pytest.mark.parametrize("problem", TASKS)
@pytest.mark.parametrize("nearest", [None, 3])
def test_targets_are_allowed_and_edges_are_distributions(problem: str, nearest: int | None) -> None:
    task = task_of(problem)
    _, _, labels = random_labels(problem, 5, 12)
    for seed, share in enumerate(SHARES):
        reduced, targets = subinstances(task, labels, share, seed, nearest, copies=6)
        assert reduced.features.dtype == torch.float32
        assert bool(reduced.features.isfinite().all())
        assert not bool((targets.actions & ~reduced.allowed).any())
        assert bool(targets.actions.flatten(1).any(1).all()) or nearest is not None
        if nearest is not None:
            assert reduced.features.shape[1] <= nearest + (2 if task.edges else 0)
        if targets.edges is None:
            assert not task.edges
            continue
        sums = targets.edges.sum(2)
        assert bool(((sums - 1).abs() < 1e-6).logical_or(sums == 0).all())
        inner = targets.edges[:, 2:, 2:] > 0
        assert not bool(targets.edges.diagonal(dim1=1, dim2=2).any())
        if task.symmetric:
            assert torch.equal(inner, inner.transpose(1, 2))
            assert int(inner.sum(2).max()) <= 2
        else:
            assert int(inner.sum(2).max()) <= 1
            assert not bool((inner & inner.transpose(1, 2)).any())
        if reduced.present is not None:
            assert not bool(targets.edges.masked_fill(reduced.present[:, None, :], 0.0).any())


@pytest.mark.parametrize("problem", ["tsp", "atsp", "cvrp"])
def test_the_edges_of_all_that_remains_are_the_labels_solution(problem: str) -> None:
    """Followed from token to token they are as long as the label, in the unit of the plane."""
    task, definition = task_of(problem), PROBLEMS.load(problem)
    instances, solutions, labels = random_labels(problem, 4, 11)
    reduced, targets = task.subinstances(labels, np.arange(4), 1.0, None, np.random.default_rng(0))
    assert reduced.distances is not None
    assert targets.edges is not None
    for row, (instance, solution) in enumerate(zip(instances, solutions, strict=True)):
        near, d = targets.edges[row] > 0, reduced.distances[row]
        if problem == "cvrp":
            unit = np.ptp(instance.positions, axis=0).max()
            among = float(d[2:, 2:][near[2:, 2:]].sum()) / 2
            ends = 2 - near[2:, 2:].sum(1).clamp(max=2)  # a customer alone on a route is both of its ends
            assert torch.equal(ends > 0, near[2:, 1])
            length = among + float((ends * d[1, 2:]).sum())
        elif problem == "tsp":
            unit = np.ptp(instance.positions, axis=0).max()
            length = float(d[2:, 2:][near[2:, 2:]].sum()) / 2
            length += float(d[0, 2:][near[2:, 0]].sum() + d[1, 2:][near[2:, 1]].sum())
        else:
            unit, length = 1.0, float(d[near].sum())
        assert length * unit == pytest.approx(definition.cost(instance, solution), rel=1e-5)


def test_what_the_solution_contains_is_chosen() -> None:
    instances, solutions, labels = random_labels("op", 4, 12)
    reduced, targets = task_of("op").subinstances(labels, np.arange(4), 1.0, None, np.random.default_rng(0))
    assert targets.chosen is not None
    for row, (instance, solution) in enumerate(zip(instances, solutions, strict=True)):
        far = [instance.distances[0, j] * 2 <= instance.limit for j in range(1, instance.n_nodes)]
        assert int(targets.chosen[row].isfinite().sum()) == sum(far)
        assert int((targets.chosen[row] == 1).sum()) == len(solution) - 2
        unit = max(instance.prize[1:][far])
        gained = float(reduced.features[row, targets.chosen[row] == 1, 4].sum()) * unit
        assert gained == pytest.approx(PROBLEMS.load("op").cost(instance, solution), rel=1e-5)


def polygon(nodes: int) -> np.ndarray[Any, Any]:
    angle = 2 * np.pi * np.arange(nodes) / nodes + 0.1
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def test_a_whole_tour_goes_both_ways_and_a_stretch_of_it_one() -> None:
    """On a regular polygon the next node is a side away, the one after next more."""
    instance = TSPInstance(coordinates=polygon(7)[[3, 0, 5, 1, 4, 2, 6]])
    tour = np.argsort([3, 0, 5, 1, 4, 2, 6])
    labels = task_of("tsp").encode([instance], [tour])
    whole, targets = subinstances(task_of("tsp"), labels, 1.0, 0, copies=20)
    for row in range(20):
        side = whole.features[row, 2:, 2].min()
        sides = (whole.features[row, :, 2] - side).abs() < 1e-4
        assert right(targets, row) == {(int(token), 0) for token in sides.nonzero()[:, 0]}
        assert len(right(targets, row)) == 2
    part, targets = subinstances(task_of("tsp"), labels, 0.5, 0, copies=20)
    assert part.features.shape[1] == 2 + 3
    assert targets.edges is not None
    for row in range(20):
        assert right(targets, row) == {(2 + int(part.features[row, 2:, 2].argmin()), 0)}
        last = 2 + int(part.features[row, 2:, 3].argmin())  # nearest to the destination
        assert targets.edges[row, 1].nonzero()[:, 0].tolist() == [last]
        assert int((targets.edges[row, last] > 0).sum()) == 2


def test_an_asymmetric_tour_goes_one_way() -> None:
    n = 6
    step = (np.arange(n)[None] - np.arange(n)[:, None]) % n
    instance = ATSPInstance(matrix=step.astype(float), metric="explicit")  # j - i nodes ahead
    labels = task_of("atsp").encode([instance], [np.arange(n)])
    for share, size in ((1.0, 5), (0.6, 3)):
        reduced, targets = subinstances(task_of("atsp"), labels, share, 0, copies=10)
        assert reduced.distances is not None
        assert targets.edges is not None
        for row in range(10):
            d = reduced.distances[row]
            assert right(targets, row) == {(int((d[0] == 1).nonzero()[0, 0]), 0)}
            expected = (d == 1).float()
            expected[:, 0], expected[1] = 0, 0  # the path begins at the origin and stops at its end
            assert torch.equal(targets.edges[row], expected)
            assert d.shape == (size + 2, size + 2)


DEMAND = (0.0, 0.21, 0.22, 0.13, 0.14, 0.15)  # both routes are about as full
ROUTES = np.array([0, 1, 2, 0, 3, 4, 5, 0])


def customers(reduced: Reduced, row: int) -> dict[int, int]:
    """Token -> customer, by its demand."""
    demand = reduced.features[row, :, 4].tolist()
    return {t: DEMAND.index(round(demand[t], 2)) for t in range(2, len(demand))}


def two_routes(demand: tuple[float, ...] = DEMAND) -> Any:
    positions = np.random.default_rng(3).random((6, 2))
    instance = CVRPInstance(coordinates=positions, demand=demand, capacity=1.0)
    return task_of("cvrp").encode([instance], [ROUTES])


def named(reduced: Reduced, targets: Targets, row: int) -> tuple[set[int], set[int]]:
    """Customers that are right directly, and via the depot."""
    name, found = customers(reduced, row), right(targets, row)
    return {name[t] for t, a in found if a == 0}, {name[t] for t, a in found if a == 1}


@pytest.mark.parametrize("left", [1, 2, 3, 4, 5])
def test_routes_begin_and_end_where_the_labels_do(left: int) -> None:
    """Routes 1-2 and 3-4-5, in any order and direction: what is left says all but which way a route is walked."""
    reduced, targets = subinstances(task_of("cvrp"), two_routes(), left / 5, 0, copies=60)
    seen = set()
    for row in range(60):
        name = customers(reduced, row)
        direct, via = named(reduced, targets, row)
        rest, room = set(name.values()), round(float(reduced.features[row, 0, 5]), 2)
        gone = set(range(1, 6)) - rest
        seen.add(frozenset(rest))
        if left == 5:
            assert (direct, via, room) == ({1, 2, 3, 5}, set(), 1.0)
        elif gone in ({1, 2}, {3, 4, 5}):  # at the end of a route: any end of the other
            assert (direct, via) == (set(), {3, 5} if gone == {1, 2} else {1, 2})
            assert room == pytest.approx(1 - sum(DEMAND[c] for c in gone))
        else:  # on a route: the next customer of it
            current = next(route & gone for route in ({1, 2}, {3, 4, 5}) if route & gone and route & rest)
            begun = {frozenset({1}): {2}, frozenset({2}): {1}, frozenset({3}): {4}, frozenset({5}): {4}}
            begun |= {frozenset({3, 4}): {5}, frozenset({4, 5}): {3}}
            assert (direct, via) == (begun[frozenset(current)], set())
            assert room == pytest.approx(1 - sum(DEMAND[c] for c in current))
    assert len(seen) == {1: 4, 2: 3, 3: 3, 4: 4, 5: 1}[left]


def test_the_fullest_route_comes_first() -> None:
    demand = (0.0, 0.45, 0.46, 0.13, 0.14, 0.15)
    for left, served, begin in ((5, 0, {0.45, 0.46}), (3, 2, {0.13, 0.15})):
        reduced, targets = subinstances(task_of("cvrp"), two_routes(demand), left / 5, 0, copies=30)
        for row in range(30):
            assert {a for _, a in right(targets, row)} == {1 if served else 0}
            assert {round(float(reduced.features[row, t, 4]), 2) for t, _ in right(targets, row)} == begin


def test_the_depot_is_beside_the_ends_of_routes() -> None:
    reduced, targets = subinstances(task_of("cvrp"), two_routes(), 1.0, 0, copies=8)
    assert targets.edges is not None
    for row in range(8):
        token = {customer: t for t, customer in customers(reduced, row).items()}
        half, edges = pytest.approx(0.5), targets.edges[row]
        expected = {(1, 2), (2, 1), (3, 4), (4, 3), (4, 5), (5, 4)}
        found = {(a, b) for a in token for b in token if edges[token[a], token[b]] > 0}
        assert found == expected
        assert [float(edges[token[c], 1]) for c in (1, 2, 3, 5)] == [half] * 4
        assert float(edges[token[4], 1]) == 0
        assert not bool(edges[:2].any())  # at the depot: nothing is before the first


def test_a_round_trip_begins_at_either_end() -> None:
    """Depot 0, then 1, 2, 3 on the way round; 4 is out of the optimal path, 5 out of reach."""
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.4, -0.4], [9, 9]])
    prize = np.array([0, 5, 6, 7, 1, 100])
    instance = OrienteeringInstance(coordinates=points, prize=prize, limit=4.2)
    labels = task_of("op").encode([instance], [np.array([0, 1, 2, 3, 0])])
    for share, remain in ((1.0, 3), (0.67, 2), (0.3, 1)):
        reduced, targets = subinstances(task_of("op"), labels, share, 1, copies=20)
        assert targets.chosen is not None
        for row in range(20):
            assert int((targets.chosen[row] == 1).sum()) == remain
            assert bool((reduced.features[row, 2:, 6] >= -1e-6).all())  # nothing but what is in reach
            if share < 1:
                assert len(right(targets, row)) == 1
                continue
            prizes = (7 * reduced.features[row, :, 4]).round().int().tolist()
            assert {prizes[token] for token, _ in right(targets, row)} == {5, 7}
            assert sorted(prizes[2:]) == [1, 5, 6, 7]
            assert (targets.chosen[row, 2:] == 1).tolist() == [p > 1 for p in prizes[2:]]


def test_an_open_path_goes_one_way() -> None:
    points = np.array([[0, 0], [1, 0.1], [2, 0.1], [3, 0]])
    instance = OrienteeringInstance(coordinates=points, prize=np.array([0, 1, 2, 0]), limit=3.2, end=3)
    labels = task_of("op").encode([instance], [np.arange(4)])
    reduced, targets = subinstances(task_of("op"), labels, 1.0, 0, copies=10)
    for row in range(10):
        assert right(targets, row) == {(2 + int(reduced.features[row, 2:, 2].argmin()), 0)}


def test_the_rest_of_the_best_items_is_right_in_any_order() -> None:
    instance = KnapsackInstance(value=[10, 9, 8, 2, 1, 50], weight=[3, 3, 3, 3, 1, 60], capacity=10)
    labels = task_of("kp").encode([instance], [np.array([0, 1, 2, 4])])
    sizes = set()
    for share in (0.1, 0.5, 0.75, 1.0):
        reduced, targets = subinstances(task_of("kp"), labels, share, 0, copies=10)
        assert reduced.present is not None
        assert targets.chosen is not None
        for row in range(10):
            present = reduced.present[row]
            assert torch.equal((targets.chosen[row] == 1), targets.actions[row, :, 0])
            assert bool(targets.chosen[row][~present].isnan().all())
            sizes.add((share, len(right(targets, row))))
    assert sizes == {(0.1, 1), (0.5, 2), (0.75, 3), (1.0, 4)}


@pytest.mark.parametrize("problem", ["tsp", "atsp", "cvrp", "op"])
def test_a_crop_keeps_the_nearest(problem: str) -> None:
    task, nearest = task_of(problem), 4
    _, _, labels = random_labels(problem, 6, 14)
    whole, all_targets = subinstances(task, labels, 0.8, 5)
    part, targets = subinstances(task, labels, 0.8, 5, nearest)
    assert whole.distances is not None
    assert part.distances is not None
    for row in range(6):
        keep = whole.allowed[row].any(1).nonzero()[:, 0]
        far = whole.distances[row, 0]
        expected = sorted(keep.tolist(), key=lambda t: float(far[t]))[:nearest]
        found = part.allowed[row].any(1).nonzero()[:, 0]
        assert len(found) == len(expected)
        # the box around fewer nodes is another unit
        near = part.distances[row, 0, found].sort().values
        want = far[torch.tensor(expected)]
        torch.testing.assert_close(near / near[0], want / want[0], atol=1e-4, rtol=1e-4)
        kept_right = {token for token, _ in right(all_targets, row)} & set(expected)
        assert len({token for token, _ in right(targets, row)}) == len(kept_right)


def test_neighbours_of_positions() -> None:
    place = torch.tensor([[0.0, 4.0, 2.0, 1.0, 3.0, torch.nan]])
    expected = torch.zeros(6, 6)
    expected[0, 3] = 1
    expected[1, 4] = 1
    expected[2, 3] = expected[2, 4] = 0.5
    expected[3, 0] = expected[3, 2] = 0.5
    expected[4, 1] = expected[4, 2] = 0.5
    assert torch.equal(neighbours(place)[0], expected)
    one_way = torch.zeros(6, 6)
    for before, after in ((0, 3), (3, 2), (2, 4), (4, 1)):
        one_way[before, after] = 1
    assert torch.equal(neighbours(place, symmetric=False)[0], one_way)
