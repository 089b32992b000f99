"""The replay holds the newest transitions, whole, and knows what an episode's end and several steps mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optgap.agents.common.replay import Replay, parts, several_steps
from optgap.agents.common.rollout import Decision, RolloutBuffer
from optgap.co.core import InputError

NUMBERS = spaces.Box(-1e9, 1e9, (1,), np.float64)
ACTION = np.zeros((), np.int64)
GAMMA = 0.5


def rollout(
    first: int, length: int, ends: dict[int, str] | None = None, masks: bool = False
) -> tuple[RolloutBuffer, Any, Any]:
    """One environment: observation t is ``first + t``, action 10 + it, reward 100 + it; and what is seen after it."""
    buffer, resetting = RolloutBuffer(length, 1), False
    for t in range(length):
        seen = np.array([[float(first + t)]])
        mask = np.array([[True, t % 2 == 0]]) if masks else None
        none = np.zeros(1, np.float32)
        buffer.decide(t, seen, mask, Decision(np.array([10 + first + t]), none, none), np.array([not resetting]))
        end = (ends or {}).get(t)
        buffer.outcome(
            t, np.array([100.0 + first + t]), np.array([end == "terminated"]), np.array([end == "truncated"])
        )
        resetting = end is not None
    return buffer, np.array([[float(first + length)]]), np.array([[False, True]]) if masks else None


def contents(replay: Replay) -> dict[str, list[float]]:
    state = replay.state()
    return {name: tensor.flatten().tolist() for name, tensor in state.items()}


def test_one_rollout_by_hand():
    """Step 1 terminates and step 2 only resets; step 4 is truncated and step 5 only resets."""
    replay = Replay(100, NUMBERS, ACTION)
    replay.add(*rollout(0, 7, {1: "terminated", 4: "truncated"}), GAMMA)
    found = contents(replay)
    assert found["observations"] == [0, 1, 3, 4, 6]
    assert found["next_observations"] == [1, 2, 4, 5, 7]  # the last of an episode is its own, not the next one's
    assert found["actions"] == [10, 11, 13, 14, 16]
    assert found["rewards"] == [100, 101, 103, 104, 106]
    assert found["discounts"] == [0.5, 0, 0.5, 0.5, 0.5]  # a truncated episode would have gone on


def test_three_steps_by_hand():
    replay = Replay(100, NUMBERS, ACTION)
    replay.add(*rollout(0, 7, {1: "terminated", 4: "truncated"}), GAMMA, 3)
    found = contents(replay)
    assert found["observations"] == [0, 1, 3, 4, 6]
    assert found["rewards"] == [100 + 0.5 * 101, 101, 103 + 0.5 * 104, 104, 106]
    assert found["discounts"] == [0, 0, 0.25, 0.5, 0.5]
    assert found["next_observations"] == [2, 2, 5, 5, 7]


@given(st.data(), st.integers(1, 12), st.integers(1, 14))
def test_several_steps_against_walking(data, length, n_steps):
    rewards = data.draw(arrays(np.float32, (length, 2), elements=st.integers(-3, 3)))
    terminated = data.draw(arrays(np.bool_, (length, 2)))
    ended = terminated | data.draw(arrays(np.bool_, (length, 2)))
    total, discounts, after = several_steps(rewards, terminated, ended, 0.5, n_steps)
    for t in range(length):
        for b in range(2):
            worth, factor, now = 0.0, 1.0, t
            while True:
                worth += factor * rewards[now, b]
                factor *= 0.5 * (not terminated[now, b])
                over = ended[now, b]
                now += 1
                if over or now == length or now == t + n_steps:
                    break
            assert (total[t, b], discounts[t, b], after[t, b]) == (worth, factor, now)


def test_the_newest_stay():
    replay = Replay(5, NUMBERS, ACTION)
    replay.add(*rollout(0, 3), GAMMA)
    assert (len(replay), replay.position) == (3, 3)
    replay.add(*rollout(3, 4), GAMMA)
    assert (len(replay), replay.position) == (5, 2)
    assert contents(replay)["observations"] == [5, 6, 2, 3, 4]
    assert contents(replay)["next_observations"] == [6, 7, 3, 4, 5]
    replay.add(*rollout(7, 12), GAMMA)  # more than it holds
    assert sorted(contents(replay)["observations"]) == [14, 15, 16, 17, 18]
    replay.add(*rollout(19, 1), GAMMA)
    assert sorted(contents(replay)["observations"]) == [15, 16, 17, 18, 19]


def test_what_is_drawn_belongs_together():
    replay = Replay(64, NUMBERS, ACTION)
    for first in range(0, 200, 20):
        replay.add(*rollout(first, 20, masks=True), GAMMA)
    drawn = replay.sample(1000, np.random.default_rng(0))
    seen = drawn.observations[:, 0]
    assert seen.dtype == np.float32
    assert len(np.unique(seen)) == 64
    assert seen.min() == 200 - 64
    np.testing.assert_array_equal(drawn.actions, 10 + seen)
    np.testing.assert_array_equal(drawn.rewards, 100 + seen)
    np.testing.assert_array_equal(drawn.next_observations[:, 0], seen + 1)
    last = seen % 20 == 19
    np.testing.assert_array_equal(drawn.masks, np.stack([~last, last | (seen % 2 == 1)], axis=1))


def test_forgetting_down_to_a_size():
    replay = Replay(5, NUMBERS, ACTION)
    replay.add(*rollout(0, 7), GAMMA)
    a_row = 4 + 8 + 4 + 4 + 4
    replay.trim(5 * a_row)
    assert contents(replay)["observations"] == [5, 6, 2, 3, 4]
    replay.trim(3 * a_row + 1)
    assert contents(replay)["observations"] == [4, 5, 6]
    replay.add(*rollout(7, 3), GAMMA)
    assert sorted(contents(replay)["observations"]) == [5, 6, 7, 8, 9]


def test_a_copy_draws_and_goes_on_alike():
    space = spaces.Dict({"a": NUMBERS, "b": spaces.Dict({"c": spaces.Discrete(5)})})

    def play(replay: Replay, seed: int) -> None:
        rng, buffer, none = np.random.default_rng(seed), RolloutBuffer(4, 2), np.zeros(2, np.float32)

        def seen():
            return {"a": rng.normal(size=(2, 1)), "b": {"c": rng.integers(0, 5, 2)}}

        for t in range(4):
            buffer.decide(t, seen(), None, Decision(rng.integers(0, 9, 2), none, none), np.ones(2, np.bool_))
            buffer.outcome(t, rng.normal(size=2), np.zeros(2, np.bool_), np.zeros(2, np.bool_))
        replay.add(buffer, seen(), None, GAMMA)

    one, other = Replay(10, space, ACTION), Replay(10, space, ACTION)
    for seed in (1, 2, 3):
        play(one, seed)
    other.restore({name: tensor.clone() for name, tensor in one.state().items()})
    for replay in (one, other):
        play(replay, 4)
    assert contents(one) == contents(other)
    first, second = (replay.sample(5, np.random.default_rng(0)) for replay in (one, other))
    np.testing.assert_array_equal(first.next_observations["b"]["c"], second.next_observations["b"]["c"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": None}, "'rewards' is missing"),
        ({"more": torch.zeros(3)}, "'more' is unexpected"),
        ({"rewards": torch.zeros(3, dtype=torch.float64)}, "'rewards' is float64"),
        ({"observations": torch.zeros(3, 2)}, r"'observations' is float32 of shape \(3, 2\)"),
        ({"actions": torch.zeros(2, dtype=torch.int64)}, r"'actions' .*expected int64 of \(3,\)"),
        ({"position": torch.tensor(1)}, "3 transitions, the next at 1, do not fit capacity 5"),
        ({"masks": torch.zeros(2, 4, dtype=torch.bool)}, "'masks'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    replay = Replay(5, NUMBERS, ACTION)
    replay.add(*rollout(0, 3), GAMMA)
    state = {name: tensor.clone() for name, tensor in replay.state().items()} | changes
    other = Replay(5, NUMBERS, ACTION)
    with pytest.raises(InputError, match=message):
        other.restore({name: tensor for name, tensor in state.items() if tensor is not None})
    assert len(other) == 0


def test_minibatches():
    found = list(parts(10, 4, 2, np.random.default_rng(0)))
    assert [len(part) for part in found] == [4, 3, 3, 4, 3, 3]
    for epoch in (found[:3], found[3:]):
        assert sorted(np.concatenate(epoch)) == list(range(10))
    assert not np.array_equal(found[0], found[3])
