"""Slow environments sleep as told, and are otherwise the same."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.envs.gym_config import PendulumConfig
from optgap.envs.wrappers.slow import Durations, Slow, SlowConfig, SlowVector


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr("optgap.envs.wrappers.slow.time.sleep", seconds.append)
    return seconds


def test_steps_take_as_long_as_told_and_a_seed_repeats_them(slept):
    for _ in range(2):
        durations = Durations(0.5, 0.3)
        durations.seed(7)
        for _ in range(2000):
            durations.sleep()
    first, second = np.array(slept).reshape(2, -1)
    np.testing.assert_array_equal(first, second)
    assert first.min() == pytest.approx(0.35, abs=1e-3)
    assert first.max() == pytest.approx(0.65, abs=1e-3)
    assert first.mean() == pytest.approx(0.5, abs=0.01)  # standard error 0.002


def test_one_sleep_a_step_and_the_same_episode(slept):
    plain, slow = gym.make("Pendulum-v1"), Slow(gym.make("Pendulum-v1"), seconds=0.1)
    observations = [env.reset(seed=3)[0] for env in (plain, slow)]
    assert slept == []
    for _ in range(3):
        answers = [env.step(np.array([0.5], np.float32)) for env in (plain, slow)]
        assert answers[0][1:] == answers[1][1:]
        np.testing.assert_array_equal(answers[0][0], answers[1][0])
    assert slept == [0.1] * 3
    np.testing.assert_array_equal(*observations)
    batch = SlowConfig(PendulumConfig(), seconds=0.2, jitter=0).make_vec(4)
    assert isinstance(batch, SlowVector)
    assert isinstance(SlowConfig(PendulumConfig()).make(), Slow)
    batch.reset(seed=[3, 4, 5, 6])
    batch.step(np.zeros((4, 1), np.float32))
    assert slept[3:] == [0.2]
    batch.close()


def test_bad_input():
    with pytest.raises(InputError, match="seconds of a step is -1"):
        Durations(-1, 0)
    for seconds in (float("inf"), float("nan"), 1e300):
        with pytest.raises(InputError, match="expected a number from 0 to 86400"):
            Durations(seconds, 0)
    with pytest.raises(InputError, match="jitter is 2"):
        SlowConfig(PendulumConfig(), 1, 2)
