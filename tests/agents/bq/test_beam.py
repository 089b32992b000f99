"""Beam search and sampling without replacement against all sequences of actions of tiny instances, enumerated."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from optgap.agents.bq import decoding
from optgap.agents.bq.beam import beam, beam_search, conditioned_gumbel, sample_without_replacement
from optgap.agents.bq.decoding import act, log_probabilities, play
from optgap.agents.bq.labels import TASKS, task_of
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import State
from optgap.co.core import PROBLEMS

# nodes, customers or items: small enough that all sequences of actions are enumerated
TINY = {"tsp": 5, "atsp": 5, "cvrp": 3, "op": 5, "kp": 5}
SIZE = {"cvrp": "customers", "kp": "items"}
EULER, DEVIATION = 0.5772156649, math.pi / math.sqrt(6)  # of a standard Gumbel variable


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single precision, so that a row's scores do not depend on the batch that it stands in."""
    monkeypatch.setattr(decoding, "mixed_precision", lambda device: torch.autocast("cpu", enabled=False))
    torch.set_num_threads(1)


def policy_of(problem: str, seed: int = 0) -> BQPolicy:
    torch.manual_seed(seed)
    return BQPolicy(problem, task_of(problem), (16, 1, 2, 16), None)


def instances_of(problem: str, count: int, size: int | None = None) -> list[Any]:
    name = SIZE.get(problem, "nodes")
    generate, size = PROBLEMS.load(problem).generate, size or TINY[problem]
    return [generate(np.random.default_rng([size, index]), **{name: size}) for index in range(count)]


def sign_of(policy: BQPolicy) -> float:
    return 1.0 if policy.problem.sense == "minimize" else -1.0


def started(policy: BQPolicy, instances: list[Any], copies: int = 1) -> State:
    state = policy.task.start(instances, policy.device)
    return state.select(torch.arange(len(instances)).repeat_interleave(copies))


def every_sequence(policy: BQPolicy, state: State, so_far: float = 0.0) -> Iterator[tuple[float, float, Any]]:
    """(log-probability, cost, solution) of all sequences of actions from a state of one row."""
    if not bool(state.alive()[0]):
        yield so_far, float(state.costs()[0]), state.solutions()[0]
        return
    reduced, node = state.reduced(None)
    logs = log_probabilities(policy.network, reduced)[0]
    for flat in logs.isfinite().nonzero()[:, 0]:
        following = state.select(torch.zeros(1, dtype=torch.int64))
        act(following, node, flat[None], policy.task.actions)
        yield from every_sequence(policy, following, so_far + float(logs[flat]))


@pytest.mark.parametrize("problem", TASKS)
def test_a_beam_with_room_for_all_finds_the_likeliest_sequence_and_the_optimum(problem: str) -> None:
    policy = policy_of(problem)
    instances, sign = instances_of(problem, 4), sign_of(policy)
    leaves = beam_search(policy.network, policy.task, started(policy, instances), 200, sign)
    solutions = beam(policy.network, policy.task, policy.problem, instances, 200)
    for index, instance in enumerate(instances):
        known = list(every_sequence(policy, started(policy, [instance])))
        assert sum(math.exp(logs) for logs, _, _ in known) == pytest.approx(1, abs=1e-5)
        best = max(leaves[index], key=lambda leaf: leaf.log_probability)
        assert best.log_probability == pytest.approx(max(logs for logs, _, _ in known), abs=1e-5)
        optimum = min(sign * cost for _, cost, _ in known)
        assert min(sign * leaf.cost for leaf in leaves[index]) == pytest.approx(optimum, rel=1e-6)
        policy.problem.check(instance, solutions[index])
        assert sign * policy.problem.cost(instance, solutions[index]) == pytest.approx(optimum, rel=1e-6)


@pytest.mark.parametrize("problem", TASKS)
@pytest.mark.parametrize("nearest", [None, 4])
def test_a_beam_of_one_is_greedy(problem: str, nearest: int | None) -> None:
    policy = policy_of(problem)
    instances = instances_of(problem, 5, 12)
    _, greedy = play(policy.network, policy.task, started(policy, instances), nearest=nearest)
    found = beam(policy.network, policy.task, policy.problem, instances, 1, nearest)
    for one, other in zip(greedy, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("problem", TASKS)
def test_wider_beams_are_better_and_each_instance_is_searched_for_itself(problem: str) -> None:
    policy = policy_of(problem)
    instances, sign = instances_of(problem, 8, 12), sign_of(policy)

    def costs(width: int) -> list[float]:
        found = beam(policy.network, policy.task, policy.problem, instances, width)
        return [float(policy.problem.cost(i, s)) for i, s in zip(instances, found, strict=True)]

    narrow, wide = costs(1), costs(16)
    assert sign * np.mean(wide) < sign * np.mean(narrow)
    alone = [policy.beam_search(instance, 16)[0] for instance in instances]
    assert alone == pytest.approx(wide)


def test_equal_states_are_one() -> None:
    policy = policy_of("kp")
    leaves = beam_search(policy.network, policy.task, started(policy, instances_of("kp", 1, 7)), 500, -1.0)[0]
    sets = [tuple(leaf.solution) for leaf in leaves]
    assert len(sets) == len(set(sets)) > 1
    policy = policy_of("tsp")
    leaves = beam_search(policy.network, policy.task, started(policy, instances_of("tsp", 1, 6)), 500, 1.0)[0]
    # one a pair of last nodes, the shortest way before them; those that are the same tour backwards are one
    assert 5 * 4 / 2 <= len(leaves) <= 5 * 4 < math.factorial(5)


@pytest.mark.parametrize("problem", TASKS)
def test_a_sample_of_all_sequences_is_all_sequences(problem: str) -> None:
    policy = policy_of(problem)
    state = started(policy, instances_of(problem, 3))
    generator = torch.Generator().manual_seed(0)
    sampled = sample_without_replacement(policy.network, policy.task, state, 200, generator=generator)
    for index, leaves in enumerate(sampled):
        known = list(every_sequence(policy, state.select(torch.tensor([index]))))
        assert len(leaves) == len(known)
        assert [leaf.rank for leaf in leaves] == sorted((leaf.rank for leaf in leaves), reverse=True)
        found = sorted((leaf.log_probability, leaf.cost) for leaf in leaves)
        np.testing.assert_allclose(found, sorted((logs, cost) for logs, cost, _ in known), atol=1e-4)


def test_pairs_are_drawn_as_without_replacement() -> None:
    """P(a, then b) = p(a) p(b) / (1 - p(a)), for all ordered pairs of the 6 tours of 4 nodes."""
    policy, count = policy_of("tsp"), 6000
    instance = instances_of("tsp", 1, 4)
    p = {tuple(s): math.exp(logs) for logs, _, s in every_sequence(policy, started(policy, instance))}
    state, generator = started(policy, instance, count), torch.Generator().manual_seed(1)
    sampled = sample_without_replacement(policy.network, policy.task, state, 2, generator=generator)
    pairs = Counter((tuple(first.solution), tuple(second.solution)) for first, second in sampled)
    assert all(first != second for first, second in pairs)
    firsts, statistic = Counter(tuple(leaves[0].solution) for leaves in sampled), 0.0
    for tour, chance in p.items():  # the first is a sample of the policy
        assert abs(firsts[tour] / count - chance) < 4 * math.sqrt(chance * (1 - chance) / count)
    for first, second in itertools.permutations(p, 2):
        expected = count * p[first] * p[second] / (1 - p[first])
        statistic += (pairs[first, second] - expected) ** 2 / expected
    freedom = 6 * 5 - 1
    assert statistic < freedom + 4 * math.sqrt(2 * freedom)
    ranks = np.array([leaves[0].rank for leaves in sampled])  # the largest of all: standard Gumbel
    assert abs(ranks.mean() - EULER) < 4 * DEVIATION / math.sqrt(count)
    assert ranks.std() == pytest.approx(DEVIATION, rel=0.05)


def test_sequences_that_end_early_are_drawn_as_often_as_they_should_be() -> None:
    policy, count, width = policy_of("op", 1), 4000, 3
    instance = instances_of("op", 1, 5)
    p = {tuple(s): math.exp(logs) for logs, _, s in every_sequence(policy, started(policy, instance))}
    assert len({len(sequence) for sequence in p}) > 1
    inclusion = dict.fromkeys(p, 0.0)
    for order in itertools.permutations(p, width):
        chance, left = 1.0, 1.0
        for sequence in order:
            chance, left = chance * p[sequence] / left, left - p[sequence]
        for sequence in order:
            inclusion[sequence] += chance
    assert sum(inclusion.values()) == pytest.approx(width, abs=1e-4)
    state, generator = started(policy, instance, count), torch.Generator().manual_seed(2)
    sampled = sample_without_replacement(policy.network, policy.task, state, width, generator=generator)
    assert all(len({tuple(leaf.solution) for leaf in leaves}) == width for leaves in sampled)
    found = Counter(tuple(leaf.solution) for leaves in sampled for leaf in leaves)
    for sequence, chance in inclusion.items():
        assert abs(found[sequence] / count - chance) < 4 * math.sqrt(chance * (1 - chance) / count) + 1e-9


def test_a_temperature_flattens_the_policy() -> None:
    policy = policy_of("tsp")
    state = started(policy, instances_of("tsp", 1, 8), 200)
    means = []
    for temperature in (0.01, 1.0, 100.0):
        generator = torch.Generator().manual_seed(0)
        sampled = sample_without_replacement(policy.network, policy.task, state, 1, temperature, generator)
        means.append(-np.mean([leaves[0].log_probability for leaves in sampled]))
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(math.log(math.factorial(7)), rel=0.01)


def test_gumbel_variables_are_conditioned_on_their_largest() -> None:
    rows, generator = 10_000, torch.Generator().manual_seed(0)
    location = torch.tensor([0.5, -1.0, -torch.inf, -3.0], dtype=torch.float64).expand(rows, 4)
    top = location[0].logsumexp(0) - torch.empty(rows).double().exponential_(generator=generator).log()
    found = conditioned_gumbel(location, top, generator)
    torch.testing.assert_close(found.amax(1), top)
    assert bool((found[:, 2] == -torch.inf).all())
    free = found[:, [0, 1, 3]] - location[:, [0, 1, 3]]  # over all largest values, they are free again
    assert free.mean(0).numpy() == pytest.approx(EULER, abs=4 * DEVIATION / math.sqrt(rows))
    assert free.std(0).numpy() == pytest.approx(DEVIATION, rel=0.05)
    assert abs(np.corrcoef(free.numpy(), rowvar=False) - np.eye(3)).max() < 0.04


def test_conditioning_loses_no_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    location = torch.tensor([[-1e-12, -600.0, -5000.0, -torch.inf]], dtype=torch.float64)
    for top in (-800.0, -1.0, 30.0, 700.0):
        found = conditioned_gumbel(location, torch.tensor([top]).double(), generator)[0]
        assert float(found[0]) == top
        assert bool(found[:3].isfinite().all())
        assert bool((found <= top).all())
        if top >= -1:
            assert float(found[1]) < top - 400  # far from the largest, as its location is
