"""Rules for network slicing: shares by hand, what holds for every rule, and what each is for."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optgap.co.core import PROBLEMS, SOLVERS, Budget, InputError, solve
from optgap.co.dynamics.slicing import SEEN, replay
from optgap.co.heuristics.slicing_rules import (
    AGE,
    BACKLOG,
    FEATURES,
    LATENCY,
    LOAD,
    RULES,
    DriftPlusPenalty,
    LatencyGreedy,
    Proportional,
    equal_share,
    make_rule,
    play,
)
from optgap.co.problems.slicing import SLICING

LIMITS = [0.5, 0.5, 1.0, 0.01, 0.01, 0.05]
every_rule = pytest.mark.parametrize("name", list(RULES))
cells = st.integers(1, 4).flatmap(
    lambda b: arrays(np.float32, (b, 3, FEATURES), elements=st.floats(0, 10, width=32, allow_subnormal=False))
)


def seen(**columns) -> np.ndarray:
    """One cell; a column is given by its values for the slices."""
    slices = len(next(iter(columns.values())))
    found = np.zeros((1, slices, FEATURES), np.float32)
    for name, values in columns.items():
        found[0, :, {"load": LOAD, "backlog": BACKLOG, "age": AGE, "latency": LATENCY}[name]] = values
    return found


def test_the_columns_are_those_that_the_dynamics_fill():
    assert len(SEEN) == FEATURES
    words = "arrived in|serves their bits|waiting bits|waiting packets|age|latency|drops|rate|share of the band that"
    for text, word in zip(SEEN, words.split("|"), strict=True):
        assert word in text


@every_rule
@settings(max_examples=30, deadline=None)
@given(cells)
def test_shares_are_a_division_of_the_band(name, observation):
    rule = make_rule(name, LIMITS)
    for _ in range(3):
        shares = rule(observation)
        assert shares.shape == observation.shape[:2]
        assert (shares >= 0.004).all()
        narrow = shares.astype(np.float32)
        assert (narrow.sum(1, dtype=np.float32) <= 1.0).all()
        assert (shares.sum(1) > 0.999).all()
    flat = make_rule(name, LIMITS)
    np.testing.assert_array_equal(make_rule(name, LIMITS)(observation), flat(observation.reshape(len(observation), -1)))


@every_rule
def test_copies_do_not_see_each_other(name):
    rng = np.random.default_rng(0)
    observations = rng.random((20, 4, 3, FEATURES)).astype(np.float32)
    together, alone = make_rule(name, LIMITS), [make_rule(name, LIMITS) for _ in range(4)]
    begins = rng.random((20, 4)) < 0.1
    for step, observation in enumerate(observations):
        expected = [alone[b](observation[b : b + 1], begins[step, b : b + 1])[0] for b in range(4)]
        np.testing.assert_allclose(together(observation, begins[step]), expected, rtol=1e-12)


def test_equal_and_proportional_shares_by_hand():
    assert equal_share(seen(load=[1.0, 5.0]))[0] == pytest.approx([0.5, 0.5], abs=1e-5)
    rule = Proportional()
    assert rule(seen(load=[1.0, 1.0]))[0] == pytest.approx([0.5, 0.5], abs=1e-5)  # an episode begins: no load yet
    # loads 0.3 and 0.1, backlog 0 and 0.4: needs 0.3 and 0.5, above a floor of 0.08 each
    found = rule(seen(load=[0.3, 0.1], backlog=[0.0, 0.4]))[0]
    assert found == pytest.approx([0.08 + 0.84 * 0.375, 0.08 + 0.84 * 0.625], abs=1e-5)
    # a second decision: the mean load is 0.2 and 0.2
    found = rule(seen(load=[0.1, 0.3]))[0]
    assert found == pytest.approx([0.5, 0.5], abs=1e-5)


def test_the_latency_greedy_rule_serves_the_late_slice_first():
    rule = LatencyGreedy()
    rule(seen(load=[0.0, 0.0]))
    late, other = rule(seen(backlog=[0.9, 0.9], age=[3.0, 0.5]))[0]
    assert late > 0.98  # needs 1.03 with headroom: all but the other's floor
    assert other < 0.02
    calm = rule(seen(backlog=[0.1, 0.2], age=[0.0, 2.0]))[0]  # both get their needs, the rest likewise: 1 to 2
    assert calm == pytest.approx([1 / 3, 2 / 3], abs=0.01)


def test_virtual_queues_grow_by_the_excess_in_limits_and_move_the_band():
    rule = DriftPlusPenalty([0.5, 0.5, 0.1, 0.1], price=0.01)
    calm = seen(backlog=[0.8, 0.8], latency=[0.4, 0.4], age=[1.0, 1.0])
    broken = seen(backlog=[0.8, 0.8], latency=[0.4, 0.9], age=[1.0, 1.0])
    rule(calm)
    first = rule(calm)[0]
    for _ in range(3):
        after = rule(broken)[0]
    np.testing.assert_allclose(rule.queues[0], [0.0, 2.4, 0.0, 0.0], atol=1e-6)
    assert first[0] > first[1]  # a tie: in order
    assert after[1] > 0.95
    rule(calm)
    np.testing.assert_allclose(rule.queues[0], [0.0, 2.2, 0.0, 0.0], atol=1e-6)
    rule(calm, np.array([True]))
    assert not rule.queues.any()


@every_rule
def test_a_solver_plays_the_rule_and_its_cost_is_checked(name):
    instance = SLICING.generate(np.random.default_rng(1), users=20, decisions=10, decision_slots=40)
    result = solve(SOLVERS.load(f"slicing/{name}"), PROBLEMS.load("slicing"), instance, Budget(1))
    assert result.solution.shape == (10, 3)
    assert result.cost > 0
    again = play(make_rule(name, np.full(6, np.inf)), instance)
    assert again.shape == (10, 3)
    if name != "drift-plus-penalty":  # the only one that looks at the limits
        np.testing.assert_array_equal(again, result.solution)


@every_rule
def test_an_environment_is_played_as_an_instance_is(name):
    instances = [SLICING.generate(np.random.default_rng(k), users=15, decisions=8, decision_slots=40) for k in range(2)]
    env = gym.make_vec(
        "optgap:optgap/NetworkSlicing-v0", 2, vectorization_mode="vector_entry_point", instances=instances
    )
    rule = make_rule(name, LIMITS)
    observation, _ = env.reset(options={"instances": instances})
    total = np.zeros(2)
    for step in range(8):
        actions = rule(observation, np.full(2, step == 0)).astype(np.float32)
        observation, reward, _, truncated, _ = env.step(actions)
        total += reward
    assert truncated.all()
    expected = [replay(i, play(make_rule(name, LIMITS), i))["reward"].sum() for i in instances]
    np.testing.assert_allclose(total, expected, rtol=1e-3)


def test_rules_that_look_beat_the_one_that_does_not():
    instances = [SLICING.generate(np.random.default_rng(k), decisions=40) for k in range(3)]
    earned = {n: np.mean([replay(i, play(make_rule(n, LIMITS), i))["reward"].sum() for i in instances]) for n in RULES}
    assert (
        min(earned["proportional"], earned["latency-greedy"], earned["drift-plus-penalty"])
        > 1.1 * earned["equal-share"]
    )


def test_wrong_arguments_are_one_line():
    with pytest.raises(InputError, match=r"greedy.*known: equal-share"):
        make_rule("greedy", LIMITS)
    with pytest.raises(InputError, match="price"):
        DriftPlusPenalty(LIMITS, price=0.0)
    with pytest.raises(InputError, match="limits"):
        DriftPlusPenalty([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="2 slices"):
        DriftPlusPenalty(LIMITS)(seen(load=[1.0, 1.0]))
    with pytest.raises(InputError, match="observations"):
        equal_share(np.zeros((2, 10)))
