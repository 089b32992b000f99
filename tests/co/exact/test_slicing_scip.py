"""The bound of network slicing with hindsight: by hand, and above everything that can be played."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optgap.co.core import SOLVERS, Budget, InfeasibleError, InputError
from optgap.co.core import solve as checked
from optgap.co.exact.slicing_scip import hindsight_bound, solve
from optgap.co.heuristics.slicing_rules import RULES, make_rule, play
from optgap.co.problems.slicing import SLICING, SlicingInstance, simulate


def one_slice(**changes):
    """One user, one block, 2 slots a decision, 100 bits a slot, T = 2; reference efficiency so that 200 bits earn 1."""
    fields = {
        "rate": np.array([[100], [100]]),
        "user_slice": np.array([0]),
        "packet_slot": np.array([0, 0]),
        "packet_user": np.array([0, 0]),
        "packet_bits": np.array([150, 100]),
        "slices": ("voip",),
        "deadline": np.array([2.0]),
        "weight": np.array([1.0]),
        "blocks": 1.0,
        "decision_slots": 2,
        "queue": 5,
        "block_hertz": 100.0,
        "slot_seconds": 1.0,
        "reference_efficiency": 1.0,
    }
    return SlicingInstance(**(fields | changes))


def small(seed: int, **changes) -> SlicingInstance:
    rng = np.random.default_rng(seed)
    size = {
        "users": int(rng.integers(3, 12)),
        "decisions": int(rng.integers(1, 8)),
        "decision_slots": int(rng.integers(5, 60)),
        "queue": int(rng.integers(1, 4)),
        "load": float(rng.choice([0.5, 2.0, 8.0])),
        "bandwidth": float(rng.choice([0.4e6, 3e6, 10e6])),
        "variation": str(rng.choice(["constant", "sinusoid", "regime"])),
    }
    return SLICING.generate(rng, **(size | changes))


def test_the_bound_by_hand():
    # 250 bits, of which 200 fit into the first decision and the rest into the second.
    assert hindsight_bound(one_slice()) == pytest.approx(1.25, abs=1e-5)
    # One decision less: 200.
    assert hindsight_bound(one_slice(rate=np.array([[100]]))) == pytest.approx(1.0, abs=1e-5)
    # A bad second channel: 200, then 2 x 10.
    assert hindsight_bound(one_slice(rate=np.array([[100], [10]]))) == pytest.approx(1.1, abs=1e-5)
    # A queue of one packet: at most 150 bits wait; with no channel at first the relaxation carries over no more.
    closed = one_slice(rate=np.array([[0], [100]]), queue=1)
    assert hindsight_bound(closed) == pytest.approx(0.75, abs=1e-5)
    # Always on time, and 0.01 x spectral efficiency (1.25 bits/s/Hz in all).
    assert hindsight_bound(one_slice(reward="utility")) == pytest.approx(2.0 + 0.0125, abs=1e-5)


def test_limits_of_drops_by_hand():
    # Two slices, a decision each good for only one user: 200 bits of the band for 200 bits of each. A dropped packet of
    # video (2 of 100 bits) costs a half in its decision; what both drop is the 200 bits that do not fit.
    both = one_slice(
        rate=np.array([[100, 50]]),
        user_slice=np.array([0, 1]),
        packet_slot=np.array([0, 0, 0, 0]),
        packet_user=np.array([0, 0, 1, 1]),
        packet_bits=np.full(4, 100),
        slices=("voip", "video"),
        deadline=np.ones(2),
        weight=np.ones(2),
        queue=1,
    )
    # At most 100 bits of each wait at the end. Free: all 200 of voip. With no drops of video 100 of its bits are served,
    # which take the whole band.
    assert hindsight_bound(both) == pytest.approx(1.0, abs=1e-5)
    free, tight = [np.inf] * 4, [np.inf, np.inf, np.inf, 0.0]
    assert hindsight_bound(both, free) == pytest.approx(1.0, abs=1e-5)
    assert hindsight_bound(both, tight) == pytest.approx(0.5, abs=1e-5)
    assert hindsight_bound(both, [np.inf, np.inf, np.inf, 0.25]) == pytest.approx(0.75, abs=1e-5)
    # Means over two instances: dropping half in one and nothing in the other does as well.
    assert hindsight_bound([both, both], [np.inf, np.inf, np.inf, 0.25]) == pytest.approx(0.75, abs=1e-5)
    with pytest.raises(InfeasibleError, match=r"drop/video <= 0$|drop/voip <= 0") as error:
        hindsight_bound(both, [np.inf, np.inf, 0.0, 0.0])
    assert "latency" not in str(error.value)


def test_limits_that_cannot_be_met_are_named():
    closed = one_slice(rate=np.array([[0], [0]]), queue=1)
    with pytest.raises(InfeasibleError, match=r"drop/voip <= 0\.1"):
        hindsight_bound(closed, [1.0, 0.1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_that_can_be_played_is_above_the_bound(seed):
    instance = small(seed)
    rng = np.random.default_rng(seed)
    slices = instance.n_slices
    bound = hindsight_bound(instance)
    played = [rng.dirichlet(np.full(slices, a), instance.n_decisions) for a in (0.2, 1.0)]
    played += [play(make_rule(name, [0.5] * slices + [0.01] * slices), instance) for name in RULES]
    for k, shares in enumerate(played):
        counts = simulate(instance, shares)
        earned = sum(counts.rewards(instance))
        assert earned <= bound + 1e-9
        if k < 3:  # also by those whose limits are what this policy needed
            limits = counts.costs(instance.deadline).mean(0)
            assert earned <= hindsight_bound(instance, limits + 1e-9) + 1e-9


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
def test_the_mean_return_over_instances_is_below_the_bound_of_all(seed):
    instances = [small(seed + k, decisions=3 + k) for k in range(3)]
    rng = np.random.default_rng(seed)
    counts = [simulate(i, rng.dirichlet(np.ones(3), i.n_decisions)) for i in instances]
    earned = np.mean([sum(c.rewards(i)) for c, i in zip(counts, instances, strict=True)])
    costs = np.concatenate([c.costs(i.deadline) for c, i in zip(counts, instances, strict=True)]).mean(0)
    tied = hindsight_bound(instances, costs + 1e-9)
    assert earned <= tied + 1e-9
    assert tied <= hindsight_bound(instances) + 1e-5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_utility_is_bounded_too(seed):
    instance = small(seed, reward="utility")
    bound = hindsight_bound(instance)
    for name in RULES:
        assert SLICING.cost(instance, play(make_rule(name, [1.0] * 6), instance)) <= bound + 1e-9


def test_the_solver_is_at_least_the_best_rule_and_reports_the_bound():
    instance = small(5, users=10, decisions=6)
    result = checked(SOLVERS.load("slicing/scip"), SLICING, instance, Budget(30))
    rules: list[Any] = [checked(SOLVERS.load(f"slicing/{name}"), SLICING, instance, Budget(1)).cost for name in RULES]
    assert result.cost >= max(rules)
    assert result.cost <= result.bound == pytest.approx(hindsight_bound(instance), rel=1e-5)


def test_the_solver_without_time_has_the_rules_shares():
    result = solve(small(1), Budget(1e-9))
    assert result.bound is None
    SLICING.check(small(1), result.solution)


@pytest.mark.parametrize(
    ("instances", "limits", "message"),
    [
        ([], None, "0 instances"),
        ([one_slice(), small(0)], None, "same slices"),
        (one_slice(), [1.0], "latency/voip, drop/voip"),
        (one_slice(), [1.0, np.nan], "limits"),
    ],
)
def test_wrong_arguments_are_one_line(instances, limits, message):
    with pytest.raises(InputError, match=message):
        hindsight_bound(instances, limits)
